//! `cargo xtask …`: all automation of this repository, also on a fresh machine.
//!
//! Each command checks that its tools are there. It says what it installs and why. Without the permission to install,
//! it fails with the command to run by hand.

#![expect(clippy::print_stdout, reason = "a command line tool talks")]
#![expect(clippy::cast_precision_loss, reason = "measurements are printed with two digits")]

mod bench;
mod chaos;
mod dist;
mod fill;
mod layers;
mod postgres;
mod run;
mod server;
mod shell;
mod site;
mod snip;
mod test;
mod tool;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask run [OPTIONS OF SERVE]  build and start the console on http://127.0.0.1:8080
cargo xtask test [STEP…]            every check and test; installs missing tools
cargo xtask screenshots             a picture of every page: target/screenshots
cargo xtask dist [--quick]          one self-contained release binary: target/dist/hookwright; --quick leaves out the
                                    profile that the compiler optimises by
cargo xtask bench [speed] [--only NAME] [--rounds N] [--filled [N]] [--against URL] … [BINARY]
                                    speed, latency, CPU, memory and disk on both databases, as ratios to a bare client;
                                    of BINARY, or of a new one; --help says more
cargo xtask bench memory|viewers [BINARY]
                                    the memory of large requests; the cost of many viewers at a million deliveries
cargo xtask chaos [--short] [--binary PATH] [--kills N] [--seed N] [SCENARIO…]
                                    lost, repeated and stalled events while disk, database, node or program fails
cargo xtask fill N [--database-url URL] …
                                    fill ./data, or a PostgreSQL database, with N made-up deliveries; --help says more
cargo xtask site                    build the browser half only
cargo xtask layers                  check the imports between modules
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<_> = words.collect();
    match command.as_str() {
        "run" => run::run(&rest),
        "test" => test::run(&rest),
        "dist" => dist::run(&rest),
        "screenshots" => test::screenshots(),
        "bench" => bench::run(&rest),
        "chaos" => chaos::run(&rest),
        "fill" => fill::run(&rest),
        "site" => site::build().map(drop),
        "layers" => layers::check(),
        "" | "help" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command {other}\n{HELP}"),
    }
}
