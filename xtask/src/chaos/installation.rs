//! The installation of a scenario: a database, its nodes, and a receiver. Dropping the value removes everything.

use super::random::Random;
use super::scenario::Scenario;
use crate::postgres::Postgres;
use crate::server::{Chain, Prepared, Program, Running, post, prepare, read_response, request};
use crate::shell::{command, finish};
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::ffi::OsString;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest time in which a server has to stop.
const STOP_MAX: Duration = Duration::from_secs(8);
/// Time after which the receiver has read what a killed server had sent.
const READ_LAST: Duration = Duration::from_millis(10);

/// The event that the senders post, and the webhooks that each one starts, by their paths at the receiver. The last
/// one responds late, so that attempts are in flight at any moment.
pub(crate) const EVENT: &str = "poweron";
pub(crate) const WEBHOOKS: [&str; 3] = ["hello/1", "hello/2", "delay/20"];
/// The event whose only webhook hangs.
pub(crate) const HANGING_EVENT: &str = "poweroff";
/// The number of webhooks, and of tasks, that an installation has. Their ids begin at 1.
pub(crate) const CHAINS: usize = WEBHOOKS.len() + 1;
/// The paths of the requests that mark in the receiver's record a cut, and the end of a cut that lasts.
pub(crate) const CUT: &str = "/cut";
pub(crate) const CUT_END: &str = "/cut/end";
/// The settled deliveries that a webhook retains: all. A thousand kills make more than the server retains by default.
const RETAINED: &str = "10000000";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A running installation. Fields are dropped in this order, so that the database outlives its nodes.
pub(crate) struct Installation {
    nodes: Vec<Node>,
    inbox: Running,
    pub(crate) postgres: Option<Postgres>,
    program: Program,
    pub(crate) record: PathBuf,
    /// Time of the last kill of a node. On PostgreSQL its leases outlive it.
    pub(crate) last_kill: Option<Instant>,
    /// The lines that ended servers printed.
    printed: Vec<String>,
    /// The cookie of an administrator's session.
    cookie: String,
    /// The data has its own file system.
    is_mounted: bool,
    folder: TempDir,
}

struct Node {
    listen: String,
    running: Option<Running>,
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.nodes.clear();
        if self.is_mounted {
            // If this fails, the mount ends with its namespace, and an empty folder remains.
            let _ = finish(command("umount").arg(self.folder.path().join("data")));
        }
    }
}

/// The variables of a server besides those that name its database.
pub(crate) type Variables = Vec<(&'static str, OsString)>;

impl Installation {
    /// Creates the database and starts the nodes on it, with the webhooks to the receiver and a webhook that hangs.
    /// Also returns a key to post with.
    pub(crate) fn start(
        binary: &Path,
        database: Database,
        scenario: &Scenario,
        random: &mut Random,
    ) -> Result<(Self, String)> {
        let folder = tempfile::Builder::new().prefix("hookwright-chaos-").tempdir()?;
        let record = folder.path().join("inbox.jsonl");
        let data = folder.path().join("data");
        // The server creates its folder with the same permissions.
        let mut private = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.create(&data)?;
        let variables = scenario.setup.map(|setup| setup(folder.path())).transpose()?.unwrap_or_default();
        let mut program = Program::new(binary, &data).with("HOOKWRIGHT_KEEP_PER_WEBHOOK", RETAINED);
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start()?),
        };
        if let Some(postgres) = &postgres {
            let key: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
            program = program.with("HOOKWRIGHT_DATABASE_URL", postgres.url());
            program = program.with("HOOKWRIGHT_KEY", STANDARD.encode(key));
        }
        let inbox = program.inbox(&record)?;
        let url = |path: &str| format!("http://{}/{path}", inbox.address);
        let chain = |(number, path): (u8, &str)| Chain {
            name: format!("chaos-{number}"),
            event: EVENT,
            url: url(path),
            fields: "&timeout=3",
        };
        let mut chains: Vec<_> = (1..).zip(WEBHOOKS).map(chain).collect();
        chains.push(Chain {
            name: "hanging".into(),
            event: HANGING_EVENT,
            url: url("delay/600000"),
            fields: "&timeout=60&retries=0",
        });
        let mut installation = Self {
            nodes: Vec::new(),
            inbox,
            postgres,
            program,
            record,
            last_kill: None,
            printed: Vec::new(),
            cookie: String::new(),
            is_mounted: scenario.mounts,
            folder,
        };
        for number in 0..scenario.nodes {
            let listen = format!("http://127.0.0.1:{}", free_port(random)?);
            installation.nodes.push(Node { listen, running: None });
            installation.start_node(number, &variables)?;
        }
        let first = installation.node(0)?;
        let Prepared { key, cookie } = prepare(&installation.program, first, "ingest,read", &chains)?;
        installation.cookie = cookie;
        Ok((installation, key))
    }

    /// Posts a form to the first node, as an administrator.
    pub(crate) fn post(&self, path: &str, fields: &str) -> Result<()> {
        post(self.node(0)?, path, &self.cookie, fields)
    }

    /// Starts one more receiver, with a record of its own.
    pub(crate) fn start_inbox(&self, record: &Path) -> Result<Running> {
        self.program.inbox(record)
    }

    /// Starts a node that does not run, at its previous port.
    pub(crate) fn start_node(&mut self, number: usize, variables: &Variables) -> Result<()> {
        let running = self.program.serve(&self.nodes[number].listen, with(variables));
        self.nodes[number].running = Some(running.context("the server did not come back")?);
        Ok(())
    }

    /// Starts a node that does not run, for a caller that expects its end. Does not wait until it listens.
    pub(crate) fn launch_node(&self, number: usize, variables: &Variables) -> Result<Running> {
        self.program.launch(&self.nodes[number].listen, with(variables))
    }

    fn node(&self, number: usize) -> Result<&Running> {
        self.nodes[number].running.as_ref().context("this node does not run")
    }

    /// Returns the process of a node.
    pub(crate) fn node_id(&self, number: usize) -> Result<u32> {
        Ok(self.node(number)?.id())
    }

    /// Returns the port of the receiver on 127.0.0.1.
    pub(crate) fn receiver_port(&self) -> Result<u16> {
        let (_, port) = self.inbox.address.rsplit_once(':').context("the receiver has no port")?;
        Ok(port.parse()?)
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.listen.trim_start_matches("http://").to_owned()).collect()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Marks in the receiver's record that attempts in flight were cut off. Those received before may be repeated after
    /// the mark. The order of the record needs no common clock.
    pub(crate) fn note_cut(&self) -> Result<()> {
        self.mark(CUT)
    }

    /// Marks the end of a cut that has lasted: it may have cut off attempts that were in flight since its beginning,
    /// too.
    pub(crate) fn note_end_of_cut(&self) -> Result<()> {
        self.mark(CUT_END)
    }

    fn mark(&self, path: &str) -> Result<()> {
        std::thread::sleep(READ_LAST);
        let address = &self.inbox.address;
        let mut stream = BufReader::new(TcpStream::connect(address)?);
        stream.get_mut().write_all(request(&format!("POST {path}"), address, "", "").as_bytes())?;
        read_response(&mut stream).map(drop).context("the receiver did not take the mark of a cut")
    }

    /// Marks that a node was killed.
    pub(crate) fn note_kill(&mut self) -> Result<()> {
        self.last_kill = Some(Instant::now());
        self.note_cut()
    }

    /// Kills a node as a power cut does.
    pub(crate) fn kill(&mut self, number: usize) -> Result<()> {
        let mut running = self.nodes[number].running.take().context("this node does not run")?;
        if running.wait(Duration::ZERO)?.is_some() {
            self.printed.extend(running.printed());
            bail!("the server had ended by itself");
        }
        running.signal("KILL")?;
        running.wait(Duration::from_secs(5))?;
        self.printed.extend(running.printed());
        self.note_kill()
    }

    /// Stops a node as a service manager does. Returns the time it took.
    pub(crate) fn stop(&mut self, number: usize) -> Result<Duration> {
        let mut running = self.nodes[number].running.take().context("this node does not run")?;
        let began = Instant::now();
        running.signal("TERM").context("the server had ended by itself")?;
        let ended = running.wait(STOP_MAX)?;
        let took = began.elapsed();
        self.printed.extend(running.printed());
        match ended {
            Some(status) if status.success() => Ok(took),
            Some(status) => bail!("stopped by SIGTERM, the server ended with {status}"),
            None => bail!("the server did not stop within {} s of SIGTERM", STOP_MAX.as_secs()),
        }
    }

    pub(crate) fn signal(&self, number: usize, name: &str) -> Result<()> {
        self.node(number)?.signal(name)
    }

    pub(crate) fn signal_receiver(&self, name: &str) -> Result<()> {
        self.inbox.signal(name)
    }

    /// Returns the last eight lines of the servers, for the report of a fault.
    pub(crate) fn last_lines(&mut self) -> Vec<String> {
        for running in self.nodes.iter().filter_map(|node| node.running.as_ref()) {
            self.printed.extend(running.printed());
        }
        self.printed.split_off(self.printed.len().saturating_sub(8))
    }
}

/// Returns a change of a command that sets these variables.
fn with(variables: &Variables) -> impl FnOnce(&mut Command) {
    move |serve: &mut Command| _ = serve.envs(variables.iter().map(|(name, value)| (name, value)))
}

/// Returns a free port below those that the system gives to clients, so that a restarted server gets it again.
fn free_port(random: &mut Random) -> Result<u16> {
    for _ in 0..100 {
        let port = u16::try_from(random.between(20_000, 32_000))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("there is no free port on 127.0.0.1 from 20000 to 32000")
}
