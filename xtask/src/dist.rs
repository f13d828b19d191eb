//! `cargo xtask dist`: one release binary with the browser half in it.
//!
//! The binary is built twice. The first build counts how often each part of its code runs, while a short bench uses the
//! server and its pages on both databases. The compiler optimises the second build by these counts, its profile. A delivery
//! costs a fifth less CPU then (`docs/performance.md`). Without the profile, `--quick` takes half the time.

use crate::shell::{cargo, command, finish, root, say};
use crate::{site, tool};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Builds the release binary as its options say.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let binary = match arguments {
        [] => make()?,
        [option] if option == "--quick" => make_quickly()?,
        other => bail!("dist has one option, --quick, and not {}", other.join(" ")),
    };
    println!("{:>9}  {}", std::fs::metadata(&binary)?.len(), binary.display());
    Ok(())
}

/// Builds `target/dist/hookwright` as it is released. Returns its path.
pub(crate) fn make() -> Result<PathBuf> {
    if std::env::var_os("RUSTFLAGS").is_some() {
        bail!(
            "RUSTFLAGS would replace the compiler's flags for the profile: unset the variable, or build with --quick"
        );
    }
    site::build()?;
    let profile = profile()?;
    say("building the release binary by the profile (about ten minutes on two cores)");
    place(&build(Some(&format!("-Cprofile-use={}", profile.display())))?)
}

/// Builds `target/dist/hookwright` without a profile. Returns its path.
pub(crate) fn make_quickly() -> Result<PathBuf> {
    site::build()?;
    say("building the release binary, without a profile");
    place(&build(None)?)
}

fn place(built: &Path) -> Result<PathBuf> {
    let folder = root().join("target/dist");
    std::fs::create_dir_all(&folder)?;
    let binary = folder.join("hookwright");
    std::fs::copy(built, &binary)?;
    Ok(binary)
}

/// Builds a binary that counts, lets it work, and returns the file with its counts.
fn profile() -> Result<PathBuf> {
    let profdata = tool::llvm_profdata()?;
    say("building a release binary that counts what it does (about thirteen minutes on two cores)");
    let counting = build(Some("-Cprofile-generate"))?;
    say("letting it work for its profile: a short bench");
    let folder = root().join("target/profile");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    // `%m`: all its processes add to one file.
    let counts = folder.join("counts/%m.profraw");
    let bench = ["bench", "--short", "--rounds", "1"];
    let mut work = command(std::env::current_exe()?);
    finish(work.args(bench).arg(counting).env("LLVM_PROFILE_FILE", counts)).context("there is no profile")?;
    let profile = folder.join("hookwright.profdata");
    let arguments = [OsString::from("merge"), "--output".into(), profile.clone().into(), folder.join("counts").into()];
    finish(command(profdata).args(arguments))?;
    Ok(profile)
}

/// Builds the release binary with this flag of the compiler. Returns its path.
fn build(flag: Option<&str>) -> Result<PathBuf> {
    // A macro embeds the files. Cargo does not know that it reads them, so the source that has the macro is touched.
    let embeds = root().join("server/src/http/site.rs");
    std::fs::File::options()
        .append(true)
        .open(&embeds)?
        .set_modified(std::fs::metadata(site::folder())?.modified()?)?;
    let mut arguments = vec!["build", "--release", "--package", "server", "--bin", "hookwright"];
    // With a named target, the flags do not apply to the macros and build scripts, which run during the build.
    let (host, config) = (tool::host()?, flag.map(|flag| format!("build.rustflags=[{flag:?}]")));
    if let Some(config) = &config {
        arguments.extend(["--target", &host, "--config", config]);
    }
    finish(&mut cargo(&arguments))?;
    let folder = if flag.is_some() { Path::new("target").join(host) } else { "target".into() };
    Ok(root().join(folder).join("release/hookwright"))
}
