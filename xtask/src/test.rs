//! `cargo xtask test`: runs every check and test, the cheapest first.

use crate::postgres::Postgres;
use crate::shell::{cargo, command, finish, root, say, succeeds};
use crate::{chaos, layers, site, tool};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The name of a step, and its function.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("layers", layers::check),
    ("deny", deny),
    ("site", || site::build().map(drop)),
    ("clippy", clippy),
    ("doc", doc),
    ("rust", rust),
    ("chaos", chaos),
    ("browser", browser),
];

/// The packages of the server half. The server builds `app` with the feature `ssr` too, so that `app` is built once.
/// `frontend` is not among them, since it builds `app` with `hydrate`.
const SERVER_HALF: &[&str] =
    &["-p", "model", "-p", "migrations", "-p", "app", "-p", "server", "-p", "xtask", "--features", "app/ssr"];

/// Runs the named steps, or all steps.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|(step, _)| step == *name)) {
        let known: Vec<_> = STEPS.iter().map(|(step, _)| *step).collect();
        bail!("there is no step {unknown}; the steps are {}", known.join(", "));
    }
    let mut times = Vec::new();
    for (name, step) in STEPS.iter().filter(|(step, _)| names.is_empty() || names.iter().any(|name| name == step)) {
        let start = Instant::now();
        say(name);
        step()?;
        times.push(format!("{name} {} s", start.elapsed().as_secs()));
    }
    say(&format!("all passed: {}", times.join(", ")));
    Ok(())
}

fn fmt() -> Result<()> {
    finish(&mut cargo(&["fmt", "--all", "--check"]))
}

fn deny() -> Result<()> {
    if !succeeds("cargo", &["deny", "--version"]) {
        println!("cargo-deny is not installed: licences, bans and sources are not checked here");
        return Ok(());
    }
    // The advisory database is a clone from a code host, which a closed network does not have.
    finish(&mut cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}

/// Lints the server half and the browser half apart. Together, the features `ssr` and `hydrate` would unify.
fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    let server = ["clippy", "-p", "model", "-p", "migrations", "-p", "server", "-p", "xtask", "--all-targets"];
    finish(cargo(&server).args(deny))?;
    finish(cargo(&["clippy", "-p", "app", "--features", "ssr", "--no-deps"]).args(deny))?;
    let browser = ["clippy", "-p", "frontend", "--target", "wasm32-unknown-unknown", "--profile", "wasm-release"];
    finish(cargo(&browser).args(deny))
}

/// Builds the documentation of private items too, so that a link to a renamed item is an error. Public documentation may
/// therefore link to private items.
fn doc() -> Result<()> {
    let mut doc = cargo(&["doc", "--no-deps", "--document-private-items"]);
    finish(doc.args(SERVER_HALF).env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))
}

fn rust() -> Result<()> {
    tool::network_programs()?;
    let postgres = Postgres::start()?;
    let mut tests = if succeeds("cargo", &["nextest", "--version"]) {
        cargo(&["nextest", "run", "--no-fail-fast", "--status-level", "slow"])
    } else {
        println!("cargo-nextest is not installed: using cargo test");
        cargo(&["test", "--no-fail-fast"])
    };
    // Snapshots are compared, never written.
    tests.args(SERVER_HALF).env("INSTA_UPDATE", "no");
    finish(tests.env("HOOKWRIGHT_TEST_POSTGRES", postgres.url()).envs(tool::peers()?))
}

fn chaos() -> Result<()> {
    chaos::run(&["--short".to_owned(), "--binary".to_owned(), debug_binary()?.display().to_string()])
}

fn browser() -> Result<()> {
    finish(&mut playwright()?)
}

/// Takes a picture of every page, wide and narrow, in both themes, while the browser tests check each page.
pub(crate) fn screenshots() -> Result<()> {
    let folder = root().join("target/screenshots");
    finish(
        playwright()?.args(["look.spec.ts", "--project=wasm", "--grep=every page"]).env("HOOKWRIGHT_SHOTS", &folder),
    )?;
    say(&format!("the pictures are in {}", folder.display()));
    Ok(())
}

/// Returns the command `playwright test`, with a server and a browser half that are built now.
fn playwright() -> Result<Command> {
    site::build()?;
    let chromium = tool::chromium()?;
    let nginx = tool::nginx()?;
    tool::npm_packages()?;
    let binary = debug_binary()?;
    let folder = root().join("end2end");
    let mut playwright = command(folder.join("node_modules/.bin/playwright"));
    playwright.arg("test").current_dir(&folder).env("HOOKWRIGHT_BIN", binary).env("HOOKWRIGHT_CHROMIUM", chromium);
    playwright.env("HOOKWRIGHT_NGINX", nginx);
    Ok(playwright)
}

/// Builds the server as it is tested. Returns its path.
fn debug_binary() -> Result<PathBuf> {
    finish(&mut cargo(&["build", "--package", "server", "--bin", "hookwright"]))?;
    Ok(root().join("target/debug/hookwright"))
}
