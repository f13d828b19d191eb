//! A temporary PostgreSQL for the tests: data and socket in a temporary directory, no port.

use crate::server::signal;
use crate::shell::{command, finish, output, say, succeeds};
use crate::tool;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running PostgreSQL. Dropping the value stops it.
pub(crate) struct Postgres {
    server: Child,
    programs: PathBuf,
    folder: TempDir,
}

/// Returns a command that does not run as root, which PostgreSQL refuses. Root runs it as Debian's user `postgres`.
fn as_user(program: &Path) -> Command {
    if tool::is_root() {
        let mut run = command("runuser");
        run.args(["-u", "postgres", "--"]).arg(program);
        run
    } else {
        command(program)
    }
}

/// Starts PostgreSQL on the data in this folder. Commits have PostgreSQL's default durability.
fn launch(programs: &Path, folder: &Path) -> Result<Child> {
    let mut start = as_user(&programs.join("postgres"));
    start.current_dir(folder).arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    start.args(["-c", "listen_addresses=", "-c", "max_connections=400", "-c", "shared_buffers=64MB"]);
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    start.stdout(Stdio::null()).stderr(log).spawn().context("cannot start PostgreSQL")
}

impl Postgres {
    /// Creates a cluster and starts it.
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
        let server = launch(&programs, folder.path())?;
        let started = Self { server, programs, folder };
        started.wait()?;
        Ok(started)
    }

    fn wait(&self) -> Result<()> {
        for _ in 0..200 {
            if succeeds(self.programs.join("pg_isready"), &["-q", "-h", &self.socket()]) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("PostgreSQL did not start: {}", std::fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// Runs a statement in the administrative database. Returns its rows as text.
    pub(crate) fn ask(&self, sql: &str) -> Result<String> {
        let mut ask = as_user(&self.programs.join("psql"));
        output(ask.current_dir(self.folder.path()).args(["-U", "postgres", "-h", &self.socket(), "-Atc", sql]))
    }

    /// Returns the id of the process that all others of this PostgreSQL are children of.
    pub(crate) fn id(&self) -> Result<u32> {
        let path = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid has no process id")
    }

    /// Kills a session, as a fault of PostgreSQL would. PostgreSQL then ends all sessions and recovers by itself.
    pub(crate) fn kill_session(&self) -> Result<()> {
        let sql = "SELECT pid FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1";
        signal(self.ask(sql)?.parse().context("PostgreSQL has no session")?, "KILL")
    }

    /// Stops PostgreSQL without a checkpoint, as a power cut does. Committed data is in its log.
    pub(crate) fn stop_at_once(&mut self) {
        // If this fails, a process remains until the machine stops.
        let data = self.folder.path().join("data");
        let mut stop = as_user(&self.programs.join("pg_ctl"));
        let _ = stop.current_dir(self.folder.path()).args(["stop", "-m", "immediate", "-D"]).arg(data).output();
        let _ = self.server.wait();
    }

    /// Starts PostgreSQL again on the same data.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.server = launch(&self.programs, self.folder.path())?;
        self.wait()
    }

    fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Returns the URL of the administrative database. Each test creates its own database beside it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.socket())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The data is not needed again.
        self.stop_at_once();
    }
}
