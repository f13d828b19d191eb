//! Installs the tools that a fresh machine lacks. They go into a cache folder of this project, with a folder for each
//! name and version, and never replace tools of the user. Packages of Debian are installed by apt, if this process is
//! root.

use crate::shell::{cargo, command, finish, output, root, say, succeeds};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Must equal the `wasm-bindgen` of `Cargo.lock`. Checked when the browser half is built.
const WASM_BINDGEN: &str = "0.2.130";
const WASM_TARGET: &str = "wasm32-unknown-unknown";

fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("hookwright/tools"))
}

/// Returns a line that rustc prints about itself.
fn rustc(arguments: &[&str]) -> Result<String> {
    output(command("rustc").args(arguments))
        .context("Rust is missing: install rustup, the toolchain installer of the Rust project")
}

/// Returns the name of the target that rustc builds for by itself.
pub(crate) fn host() -> Result<String> {
    rustc(&["--print", "host-tuple"])
}

/// Returns LLVM's program for profiles, in the compiler's version.
pub(crate) fn llvm_profdata() -> Result<PathBuf> {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
    let program = sysroot.join("lib/rustlib").join(host()?).join("bin/llvm-profdata");
    if !program.exists() {
        say("installing Rust's llvm-tools (the release binary is optimised by a profile)");
        finish(command("rustup").args(["component", "add", "llvm-tools"]))
            .context("run by hand: rustup component add llvm-tools")?;
    }
    Ok(program)
}

/// Installs the standard library for the browser.
pub(crate) fn wasm_target() -> Result<()> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    if Path::new(&sysroot).join("lib/rustlib").join(WASM_TARGET).join("lib").is_dir() {
        return Ok(());
    }
    say(&format!("installing the Rust target {WASM_TARGET} (the console's browser half is WebAssembly)"));
    finish(command("rustup").args(["target", "add", WASM_TARGET]))
        .with_context(|| format!("run by hand: rustup target add {WASM_TARGET}"))
}

/// Returns the tool that generates the JavaScript glue of the module, in exactly the locked version.
pub(crate) fn wasm_bindgen() -> Result<PathBuf> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    if !lock.contains(&format!("name = \"wasm-bindgen\"\nversion = \"{WASM_BINDGEN}\"")) {
        bail!("Cargo.lock has another wasm-bindgen than {WASM_BINDGEN}: change xtask/src/tool.rs with it");
    }
    let home = cache()?.join(format!("wasm-bindgen-cli-{WASM_BINDGEN}"));
    let program = home.join("bin/wasm-bindgen");
    if succeeds(&program, &["--version"]) {
        return Ok(program);
    }
    say(&format!("installing wasm-bindgen-cli {WASM_BINDGEN} into {} (about 2 minutes, once)", home.display()));
    let version = format!("={WASM_BINDGEN}");
    // Not --locked: the lock file of the crate may name versions that the registry no longer serves.
    finish(cargo(&["install", "wasm-bindgen-cli", "--version", &version, "--root"]).arg(&home)).with_context(|| {
        format!("run by hand: cargo install wasm-bindgen-cli --version {version} --root {}", home.display())
    })?;
    Ok(program)
}

/// Installs the npm packages of `end2end` by their lock file: wasm-opt and the browser tests.
pub(crate) fn npm_packages() -> Result<()> {
    let node = output(command("node").arg("--version")).context("Node.js is missing: install version 20 or newer")?;
    let major: u32 = node.trim_start_matches('v').split('.').next().unwrap_or_default().parse().unwrap_or_default();
    if major < 20 {
        bail!("Node.js {node} is too old: install version 20 or newer");
    }
    let folder = root().join("end2end");
    let lock = std::fs::read(folder.join("package-lock.json"))?;
    let mark = folder.join("node_modules/.installed-lock.json");
    if std::fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    say("installing the npm packages of end2end (wasm-opt, Playwright, axe)");
    finish(command("npm").current_dir(&folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").args([
        "ci",
        "--no-audit",
        "--no-fund",
    ]))
    .context("run by hand: cd end2end && npm ci")?;
    Ok(std::fs::write(mark, lock)?)
}

/// Returns the optimiser of the module, from npm.
pub(crate) fn wasm_opt() -> Result<PathBuf> {
    npm_packages()?;
    Ok(root().join("end2end/node_modules/.bin/wasm-opt"))
}

/// Returns Debian's Chromium, for the browser tests.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("HOOKWRIGHT_CHROMIUM") {
        return Ok(given.into());
    }
    let program = PathBuf::from("/usr/bin/chromium");
    if !program.exists() {
        apt("chromium", "the browser tests run in it")?;
    }
    Ok(program)
}

/// Returns Debian's nginx, for the test of a console behind it.
pub(crate) fn nginx() -> Result<PathBuf> {
    if !succeeds("openssl", &["version"]) {
        apt("openssl", "a certificate authority of the tests is made with it")?;
    }
    extracted("HOOKWRIGHT_NGINX", "nginx", "usr/sbin/nginx", "the console is tested behind it")
}

/// Returns the programs that the server is tested with, each with the variable in which the tests look for it.
pub(crate) fn peers() -> Result<Vec<(&'static str, PathBuf)>> {
    if !succeeds("python3", &["--version"]) {
        apt("python3", "deliveries are sent to its HTTP server")?;
    }
    let sender = "events are sent with it";
    let programs = [
        ("HOOKWRIGHT_TEST_ALERTMANAGER", "prometheus-alertmanager", "usr/bin/prometheus-alertmanager", sender),
        ("HOOKWRIGHT_TEST_NETCAT", "netcat-openbsd", "bin/nc.openbsd", sender),
        ("HOOKWRIGHT_TEST_CHASQUID", "chasquid", "usr/bin/chasquid", "e-mails are sent to this mail server"),
    ];
    let fetch = |(variable, package, path, reason)| Ok((variable, extracted(variable, package, path, reason)?));
    let found = programs.into_iter().map(fetch).collect();
    alertmanager_templates()?;
    found
}

/// Installs the templates of Alertmanager. It reads them from a fixed path, even if it does not use them.
fn alertmanager_templates() -> Result<()> {
    let name = "usr/share/prometheus/alertmanager/email.tmpl";
    let (path, fetched) = (Path::new("/").join(name), root().join("target/tools/prometheus-alertmanager").join(name));
    if path.exists() || !fetched.exists() {
        return Ok(());
    }
    if !is_root() {
        bail!("Alertmanager's templates are missing; install it by hand: sudo apt-get install prometheus-alertmanager");
    }
    std::fs::create_dir_all("/usr/share/prometheus")?;
    finish(command("cp").arg("-r").arg(fetched.parent().context("a folder")?).arg("/usr/share/prometheus"))
}

/// Returns a program of a Debian package. Only the program is extracted: installing the package would start a server.
fn extracted(variable: &str, package: &str, path: &str, reason: &str) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(variable) {
        return Ok(given.into());
    }
    let folder = root().join("target/tools").join(package);
    let paths = [Path::new("/").join(path), folder.join(path)];
    if let Some(found) = paths.iter().find(|path| path.exists()) {
        return Ok(found.clone());
    }
    say(&format!("fetching Debian's {package} ({reason})"));
    std::fs::create_dir_all(&folder)?;
    if is_root() {
        finish(command("apt-get").args(["-q", "update"]))?;
    }
    finish(command("apt-get").args(["-q", "download", package]).current_dir(&folder))
        .with_context(|| format!("install it by hand: sudo apt-get update && sudo apt-get install {package}"))?;
    let packages = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let fetched = packages.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"));
    finish(command("dpkg").arg("-x").arg(fetched.context("nothing was fetched")?).arg(&folder))?;
    Ok(paths[1].clone())
}

/// Returns the folder of PostgreSQL's programs, for the tests on PostgreSQL. It is not in Debian's PATH.
pub(crate) fn postgres_programs() -> Result<PathBuf> {
    if let Some(found) = find_postgres() {
        return Ok(found);
    }
    // Debian's package would create and start a cluster on port 5432.
    let config = Path::new("/etc/postgresql-common/createcluster.conf");
    if is_root() && !config.exists() {
        std::fs::create_dir_all("/etc/postgresql-common")?;
        std::fs::write(config, "create_main_cluster = false\n")?;
    }
    apt("postgresql-15", "every store test runs on PostgreSQL too")?;
    find_postgres().context("postgresql-15 is installed, but /usr/lib/postgresql has no initdb")
}

fn find_postgres() -> Option<PathBuf> {
    let mut versions: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.into_iter().rev().map(|path| path.join("bin")).find(|bin| bin.join("initdb").exists())
}

/// Installs the programs that create network namespaces, for the tests of the egress table.
pub(crate) fn network_programs() -> Result<()> {
    if !succeeds("ip", &["-V"]) && !succeeds("/usr/sbin/ip", &["-V"]) {
        apt("iproute2", "the egress table is tested in a network namespace")?;
    }
    if !succeeds("unshare", &["--version"]) {
        apt("util-linux", "the egress table is tested in a network namespace")?;
    }
    Ok(())
}

/// Returns true if this process is root.
pub(crate) fn is_root() -> bool {
    output(command("id").arg("-u")).is_ok_and(|id| id == "0")
}

fn apt(package: &str, reason: &str) -> Result<()> {
    let by_hand = format!("install it by hand: sudo apt-get update && sudo apt-get install {package}");
    if !is_root() {
        bail!("{package} is missing ({reason}); {by_hand}");
    }
    say(&format!("installing Debian's {package} ({reason})"));
    let apt_get = |words: &[&str]| {
        finish(command("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-q").args(words))
            .with_context(|| by_hand.clone())
    };
    apt_get(&["update"])?;
    apt_get(&["install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", package])
}
