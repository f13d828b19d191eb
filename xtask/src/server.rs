//! The real binary as a process: starts it, prepares it by posting forms as a browser without WASM does, and sends
//! requests.

use crate::shell::{command, finish, output};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The name of the account and of the key.
const NAME: &str = "xtask";
/// `{"vm": "${NAME}", "at": ${TIMESTAMP}, "t": ${data.t}}`, encoded as a field of a form.
const MESSAGE: &str =
    "%7B%22vm%22%3A+%22%24%7BNAME%7D%22%2C+%22at%22%3A+%24%7BTIMESTAMP%7D%2C+%22t%22%3A+%24%7Bdata.t%7D%7D";

/// The binary, with the variables that name its database. Each of its commands needs them.
#[derive(Clone)]
pub(crate) struct Program {
    binary: PathBuf,
    variables: Vec<(&'static str, OsString)>,
    /// The commands lead sessions of their own.
    is_apart: bool,
}

impl Program {
    /// Returns the binary with its data in this folder.
    pub(crate) fn new(binary: &Path, data: &Path) -> Self {
        Self { binary: binary.to_owned(), variables: vec![("HOOKWRIGHT_DATA_DIR", data.into())], is_apart: false }
    }

    /// Adds a variable.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Runs the commands in sessions of their own, between which Linux may share the processor. They end with xtask.
    pub(crate) fn apart(mut self) -> Self {
        self.is_apart = true;
        self
    }

    /// Returns a command of the binary.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if self.is_apart {
            let mut start = command("setsid");
            start.args(["setpriv", "--pdeathsig", "KILL"]).arg(&self.binary);
            start
        } else {
            command(&self.binary)
        };
        command
            .args(arguments)
            .env("HOOKWRIGHT_LOG", "warn")
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the server. Returns when the server listens.
    pub(crate) fn serve(&self, listen: &str, change: impl FnOnce(&mut Command)) -> Result<Running> {
        let mut server = self.launch(listen, change)?;
        server.find_address("Hookwright is at ")?;
        Ok(server)
    }

    /// Starts the server, and does not wait until it listens.
    pub(crate) fn launch(&self, listen: &str, change: impl FnOnce(&mut Command)) -> Result<Running> {
        let mut serve = self.command(&["serve", "--listen", listen, "--egress-allow", "127.0.0.0/8"]);
        change(&mut serve);
        launch(&mut serve)
    }

    /// Starts a receiver that appends each request to this file.
    pub(crate) fn inbox(&self, record: &Path) -> Result<Running> {
        start(self.command(&["inbox", "--listen", "127.0.0.1:0", "--record"]).arg(record), "inbox on ")
    }
}

/// A running process. Dropping the value kills it.
pub(crate) struct Running {
    child: Child,
    /// The address at which the process listens.
    pub(crate) address: String,
    lines: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, like `TERM`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    /// Waits until the process ends, or until the time is up.
    pub(crate) fn wait(&mut self, bound: Duration) -> Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if began.elapsed() > bound {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Returns the lines printed since the last call.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Returns the lines that an ended process printed since the last call. Some may still have to be read.
    pub(crate) fn printed_to_the_end(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(5)).ok()).collect()
    }

    /// Waits for the line that says where the process listens.
    fn find_address(&mut self, says: &str) -> Result<()> {
        let mut last = String::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(Duration::from_secs(30)) else {
                bail!("the program did not say where it listens; its last line: {last}");
            };
            if let Some((_, url)) = line.split_once(says) {
                url.trim().trim_start_matches("http://").clone_into(&mut self.address);
                return Ok(());
            }
            last = line;
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(id: u32, name: &str) -> Result<()> {
    finish(command("sh").args(["-c", &format!("kill -{name} {id}")]))
}

/// Starts a program and waits for the line that says where it listens.
pub(crate) fn start(command: &mut Command, says: &str) -> Result<Running> {
    let mut running = launch(command)?;
    running.find_address(says)?;
    Ok(running)
}

/// Starts a program whose lines are read.
fn launch(command: &mut Command) -> Result<Running> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take().context("no output")?, child.stderr.take().context("no output")?);
    let (sender, lines) = std::sync::mpsc::channel();
    let running = Running { child, address: String::new(), lines };
    for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // The receiver is gone if the process was dropped.
                let _ = sender.send(line);
            }
        });
    }
    // Only the threads of the streams still have a sender. So the wait for a line ends as soon as the program has
    // ended.
    drop(sender);
    Ok(running)
}

/// A webhook, with its own task and event.
pub(crate) struct Chain {
    pub(crate) name: String,
    /// The event of a VM that starts the task, like `poweron`.
    pub(crate) event: &'static str,
    /// The target of the webhook.
    pub(crate) url: String,
    /// More fields of the webhook, like `&timeout=3`.
    pub(crate) fields: &'static str,
}

/// The credentials for a prepared database.
pub(crate) struct Prepared {
    /// A key with the requested scopes.
    pub(crate) key: String,
    /// The cookie of an administrator's session.
    pub(crate) cookie: String,
}

/// Creates an administrator and the chains in an empty database.
pub(crate) fn prepare(program: &Program, server: &Running, scopes: &str, chains: &[Chain]) -> Result<Prepared> {
    let key = output(&mut program.command(&["key", "add", NAME, "--scope", scopes]))?;
    let mut user = program.command(&["user", "add", NAME, "--role", "admin", "--password-stdin"]);
    let mut child = user.stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(b"correct horse battery\n")?;
    child.wait()?;
    let cookie = form(server, "/sign-in", "", &format!("name={NAME}&password=correct+horse+battery"))?;
    let cookie = cookie
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|line| line.split(';').next())
        .context("cannot sign in")?
        .to_owned();
    // The n-th webhook of an empty database has the id n, as has the n-th task.
    for (number, Chain { name, event, url, fields }) in (1..).zip(chains) {
        let url = url.replace(':', "%3A").replace('/', "%2F");
        for (path, fields) in [
            ("/webhooks/new", format!("name={name}&url={url}{fields}")),
            ("/tasks/new", format!("name={name}&object={number}&enabled=true&message={MESSAGE}")),
            ("/events/new", format!("event=vms.{event}&object=any&task={number}&enabled=true")),
        ] {
            post(server, path, &cookie, &fields)?;
        }
    }
    Ok(Prepared { key, cookie })
}

/// Posts a form that is accepted.
pub(crate) fn post(server: &Running, path: &str, cookie: &str, fields: &str) -> Result<()> {
    let response = form(server, path, cookie, fields)?;
    if !response.starts_with("HTTP/1.1 303") {
        bail!("cannot post {path}: {}", response.lines().next().unwrap_or_default());
    }
    Ok(())
}

/// Posts a form. Returns the response as text.
pub(crate) fn form(server: &Running, path: &str, cookie: &str, fields: &str) -> Result<String> {
    let mut stream = TcpStream::connect(&server.address)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{fields}",
        server.address,
        fields.len()
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Returns a request with a JSON body as sent. `start` is like `POST /path`. `header` has whole lines, or is empty.
pub(crate) fn request(start: &str, address: &str, header: &str, body: &str) -> String {
    format!(
        "{start} HTTP/1.1\r\nHost: {address}\r\n{header}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )
}

/// Reads a response with a length from a connection that stays open. Returns its status and body.
pub(crate) fn read_response(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}

/// Returns the milliseconds of the day of a time that the receiver recorded, like `2025-10-16T11:38:07.123Z`.
pub(crate) fn millis_of_day(time: &str) -> Option<i64> {
    let clock = time.split_once('T')?.1.trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a day")]
    Some(((hours * 3600.0 + minutes * 60.0 + seconds) * 1000.0).round() as i64)
}
