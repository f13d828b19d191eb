//! `cargo xtask dist`: one release binary with the browser half in it.

use crate::shell::{cargo, finish, root, say};
use crate::site;
use anyhow::Result;
use std::path::PathBuf;

/// Builds `target/dist/hookwright`. Returns its path.
pub(crate) fn run() -> Result<PathBuf> {
    site::build()?;
    say("building the release binary");
    // A macro embeds the files. Cargo does not know that it reads them, so the source that has the macro is touched.
    let embeds = root().join("server/src/http/site.rs");
    std::fs::File::options()
        .append(true)
        .open(&embeds)?
        .set_modified(std::fs::metadata(site::folder())?.modified()?)?;
    finish(&mut cargo(&["build", "--release", "--package", "server", "--bin", "hookwright"]))?;
    let folder = root().join("target/dist");
    std::fs::create_dir_all(&folder)?;
    let binary = folder.join("hookwright");
    let bytes = std::fs::copy(root().join("target/release/hookwright"), &binary)?;
    println!("{bytes:>9}  {}", binary.display());
    Ok(binary)
}
