//! Builds the browser half: WebAssembly, its JavaScript glue and the style sheet, with hashed names and compressed.
//!
//! The result is in `target/site`. A debug build of the server reads it at run time; a release embeds it.

use crate::shell::{cargo, command, finish, root, say};
use crate::{snip, tool};
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The most bytes of a first load of a page with a form, compressed with brotli.
const BUDGET: usize = 256_000;
/// The features that rustc uses by default, which wasm-opt has to be told.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
];

/// Builds the site if its inputs have changed. Returns the compressed bytes of a first load.
pub(crate) fn build() -> Result<usize> {
    tool::wasm_target()?;
    let bindgen = tool::wasm_bindgen()?;
    let optimiser = tool::wasm_opt()?;
    say("building the browser half");
    finish(&mut cargo(&[
        "build",
        "--package",
        "frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        "wasm-release",
    ]))?;
    let target = root().join("target");
    let module = fs::read(target.join("wasm32-unknown-unknown/wasm-release/frontend.wasm"))?;
    let css = join_styles(&root().join("style/main.css"))?;
    let morph = fs::read_to_string(root().join("frontend/vendor/idiomorph/idiomorph.min.js"))?;
    // The library is a plain script. The export makes it a module, which the page imports.
    let morph = morph + "\nexport{Idiomorph};\n";
    let inputs = hash(
        &[&module, css.as_bytes(), morph.as_bytes(), include_bytes!("site.rs"), include_bytes!("snip.rs")].concat(),
    );
    let site = target.join("site");
    if let Some(manifest) = read_manifest(&site).filter(|manifest| manifest["inputs"] == inputs.as_str()) {
        return weigh(&site, &manifest);
    }
    let work = target.join("site-work");
    fs::create_dir_all(&work)?;
    fs::write(work.join("hookwright.wasm"), snip::empty_unused(&module)?)?;
    finish(
        command(bindgen)
            .args(["--target", "web", "--no-typescript", "--out-dir"])
            .arg(&work)
            .arg(work.join("hookwright.wasm")),
    )?;
    say("shrinking it");
    let small = work.join("small.wasm");
    finish(
        command(optimiser).args(WASM_FEATURES).arg("-Oz").arg(work.join("hookwright_bg.wasm")).arg("-o").arg(&small),
    )?;
    let js = fs::read_to_string(work.join("hookwright.js"))?;
    let manifest = write_site(&site, &inputs, &fs::read(small)?, &js, &css, &morph)?;
    weigh(&site, &manifest)
}

fn write_site(site: &Path, inputs: &str, wasm: &[u8], js: &str, css: &str, morph: &str) -> Result<Value> {
    if site.exists() {
        fs::remove_dir_all(site)?;
    }
    fs::create_dir_all(site)?;
    let add = |stem: &str, ending: &str, content: &[u8]| -> Result<String> {
        let name = format!("{stem}.{}.{ending}", &hash(content)[..12]);
        fs::write(site.join(&name), content)?;
        fs::write(site.join(format!("{name}.br")), brotli(content)?)?;
        fs::write(site.join(format!("{name}.gz")), gzip(content)?)?;
        Ok(name)
    };
    let js = without_comments(js);
    let manifest = json!({
        "inputs": inputs,
        "wasm": add("hookwright", "wasm", wasm)?,
        "js": add("hookwright", "js", js.as_bytes())?,
        "js_integrity": integrity(js.as_bytes()),
        "morph": add("idiomorph", "js", morph.as_bytes())?,
        "css": add("hookwright", "css", css.as_bytes())?,
        "css_integrity": integrity(css.as_bytes()),
    });
    fs::write(site.join("site.json"), manifest.to_string())?;
    Ok(manifest)
}

fn read_manifest(site: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(site.join("site.json")).ok()?).ok()
}

/// Prints the bytes of each file of the first load. Fails over the budget.
fn weigh(site: &Path, manifest: &Value) -> Result<usize> {
    let bytes = |part: &str| -> Result<usize> {
        let name = manifest[part].as_str().context("the manifest names no such file")?;
        let bytes = usize::try_from(fs::metadata(site.join(format!("{name}.br")))?.len())?;
        println!("{bytes:>9}  {name}");
        Ok(bytes)
    };
    say("compressed with brotli: for pages without a form, when the browser is idle");
    bytes("morph")?;
    say("first load of a page with a form, compressed with brotli");
    let total = bytes("wasm")? + bytes("js")? + bytes("css")?;
    println!("{total:>9}  of {BUDGET} bytes");
    if total > BUDGET {
        bail!("the first load is over its budget");
    }
    Ok(total)
}

/// Returns the style sheet with its imported files in place of each `@import`, without comments.
fn join_styles(path: &Path) -> Result<String> {
    let folder = path.parent().context("a style sheet lies in a folder")?;
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut joined = String::new();
    for line in text.lines() {
        match line.strip_prefix("@import \"").and_then(|rest| rest.strip_suffix("\";")) {
            Some(name) => joined += &join_styles(&folder.join(name))?,
            None => {
                joined += line.trim();
                joined.push('\n');
            }
        }
    }
    Ok(strip_css_comments(&joined))
}

fn strip_css_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out += rest;
    out.lines().filter(|line| !line.trim().is_empty()).fold(String::new(), |all, line| all + line + "\n")
}

/// Removes the documentation in the generated glue. Only whole-line comments are removed.
fn without_comments(js: &str) -> String {
    let is_comment = |line: &&str| {
        let line = line.trim_start();
        !(line.starts_with("//")
            || line.starts_with("/**")
            || line.starts_with("* ")
            || line.starts_with("*/")
            || line == "*")
    };
    js.lines().filter(is_comment).fold(String::new(), |all, line| all + line.trim_start() + "\n")
}

fn hash(content: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(content)).replace(['-', '_'], "0")
}

fn integrity(content: &[u8]) -> String {
    format!("sha384-{}", STANDARD.encode(Sha384::digest(content)))
}

fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*content, &mut out, &params)?;
    Ok(out)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// Returns the folder of the site.
pub(crate) fn folder() -> PathBuf {
    root().join("target/site")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_are_removed_from_the_style_sheet() {
        assert_eq!(strip_css_comments("a { b: c; } /* x\ny */\n\nd {}\n/* z */"), "a { b: c; } \nd {}\n");
    }
}
