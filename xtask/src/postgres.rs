//! A PostgreSQL of its own for the tests: data and socket in a temporary directory, no port, gone afterwards.

use crate::shell::{answers, command, finish, output, say};
use crate::tool;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running server; stops when dropped.
pub(crate) struct Postgres {
    server: Child,
    programs: PathBuf,
    folder: TempDir,
}

/// PostgreSQL refuses to run as root: then it runs as Debian's user for it.
fn as_user(program: &Path) -> Command {
    if tool::is_root() {
        let mut run = command("runuser");
        run.args(["-u", "postgres", "--"]).arg(program);
        run
    } else {
        command(program)
    }
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> Result<Self> {
        let programs = tool::postgres_programs()?;
        let folder = tempfile::Builder::new().prefix("hookwright-pg-").tempdir()?;
        if tool::is_root() {
            finish(command("chown").arg("postgres").arg(folder.path()))?;
        }
        say("starting a PostgreSQL for the tests");
        let data = folder.path().join("data");
        output(
            as_user(&programs.join("initdb"))
                .current_dir(folder.path())
                .args(["-U", "postgres", "-A", "trust", "-D"])
                .arg(&data),
        )?;
        let mut start = as_user(&programs.join("postgres"));
        start.current_dir(folder.path()).arg("-D").arg(&data).arg("-k").arg(folder.path());
        start.args(["-c", "listen_addresses=", "-c", "max_connections=400", "-c", "shared_buffers=64MB"]);
        let log = std::fs::File::create(folder.path().join("log"))?;
        let server = start.stdout(Stdio::null()).stderr(log).spawn().context("cannot start PostgreSQL")?;
        let started = Self { server, programs, folder };
        for _ in 0..200 {
            if answers(started.programs.join("pg_isready"), &["-q", "-h", &started.socket()]) {
                return Ok(started);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("PostgreSQL did not start: {}", std::fs::read_to_string(started.folder.path().join("log"))?)
    }

    fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The URL of its administrative database; tests make databases of their own beside it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.socket())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // "Immediate": nobody needs this data again. Failing to stop it leaves a process for the machine to end.
        let data = self.folder.path().join("data");
        let mut stop = as_user(&self.programs.join("pg_ctl"));
        let _ = stop.current_dir(self.folder.path()).args(["stop", "-m", "immediate", "-D"]).arg(data).output();
        let _ = self.server.wait();
    }
}
