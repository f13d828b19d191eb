//! `cargo xtask fill`: fills a database with many deliveries, to try the console with.
//!
//! The server's example `fill` does the work, since it has the schema. The example is not part of the product's binary.

use crate::shell::{cargo, command, finish, root, say};
use anyhow::{Context, Result, bail};

/// Builds the example and runs it with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    say("building what fills a database");
    finish(&mut cargo(&["build", "--package", "server", "--example", "fill"]))?;
    let mut fill = command(root().join("target/debug/examples/fill"));
    // The error leaves out the arguments: a database URL may have a password.
    let status = fill.args(arguments).status().context("cannot start target/debug/examples/fill")?;
    if !status.success() {
        bail!("the database was not filled ({status})");
    }
    Ok(())
}
