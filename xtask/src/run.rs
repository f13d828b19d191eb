//! `cargo xtask run`: builds and starts the console.

use crate::shell::{cargo, command, finish, root, say};
use crate::site;
use anyhow::Result;

/// Builds and starts the server, and waits until it ends. The arguments are passed to `hookwright serve`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    site::build()?;
    say("building the server");
    finish(&mut cargo(&["build", "--package", "server", "--bin", "hookwright"]))?;
    say("starting the console; Ctrl-C stops it. Its data lies in ./data");
    println!(
        "    create an account: target/debug/hookwright user add NAME --role admin --password-stdin\n    \
         create an API key: target/debug/hookwright key add NAME --scope ingest,inventory\n    \
         The first start creates example content with a receiver on 127.0.0.1:9000; what it gets is printed here.\n    \
         Webhooks may call this machine (127.0.0.0/8) for that.\n"
    );
    finish(
        command(root().join("target/debug/hookwright"))
            .args(["serve", "--egress-allow", "127.0.0.0/8", "--demo", "127.0.0.1:9000"])
            .args(arguments),
    )
}
