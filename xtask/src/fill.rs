//! `cargo xtask fill`: a database with as many deliveries as one wants to try the console with.
//!
//! The work is done by the server's example `fill`, which knows the schema. It is no part of the product's binary.

use crate::shell::{cargo, command, finish, root, say};
use anyhow::{Context, Result, bail};

/// Builds the example and runs it with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    say("building what fills a database");
    finish(&mut cargo(&["build", "--package", "server", "--example", "fill"]))?;
    let mut fill = command(root().join("target/debug/examples/fill"));
    // Without the arguments in the error: a database URL may carry a password.
    let status = fill.args(arguments).status().context("cannot start target/debug/examples/fill")?;
    if !status.success() {
        bail!("the database was not filled ({status})");
    }
    Ok(())
}
