//! Our server on one of its databases, with the webhooks of all topics.

use super::form::encoded;
use super::processes;
use super::subject::{LANES, Message, Topic, payload};
use crate::fill;
use crate::postgres::Postgres;
use crate::server::{Prepared, Program, Running, post, prepare};
use crate::shell::{command, finish};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Base64 of 32 bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The longest time in which the server has to stop.
const STOP_MAX: Duration = Duration::from_mins(1);
/// The longest time of a page.
const PAGE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "sqlite" => Ok(Self::Sqlite),
            "postgresql" | "postgres" => Ok(Self::Postgres),
            other => bail!("there is no database {other}: sqlite or postgresql"),
        }
    }
}

/// The server and its database. Fields are dropped in this order, so that the database outlives the server.
pub(super) struct Ours {
    pub(super) database: Database,
    /// `None` while it is stopped.
    server: Option<Running>,
    postgres: Option<Postgres>,
    program: Program,
    data: PathBuf,
    prepared: Prepared,
}

impl Ours {
    /// Starts the server on an empty database and makes the webhooks of all topics, with their tasks and events.
    pub(super) fn start(binary: &Path, database: Database, folder: &Path, receiver: &str) -> Result<Self> {
        let data = folder.join(database.name());
        // Retention starts within minutes, and its work is not that of a run.
        let mut program = Program::new(binary, &data).with("HOOKWRIGHT_KEEP_PER_WEBHOOK", "100000000").apart();
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(durable_postgres()?),
        };
        if let Some(postgres) = &postgres {
            program = program.with("HOOKWRIGHT_DATABASE_URL", postgres.url()).with("HOOKWRIGHT_KEY", KEY);
        }
        let server = program.serve("http://127.0.0.1:0", |_| ())?;
        let prepared = prepare(&program, &server, "ingest", &[])?;
        make_webhooks(&server, &prepared.cookie, receiver)?;
        Ok(Self { database, server: Some(server), postgres, program, data, prepared })
    }

    /// Adds so many settled deliveries, with webhooks and tasks of their own.
    pub(super) fn fill(&mut self, deliveries: u32) -> Result<()> {
        self.stop()?;
        let mut arguments = vec![deliveries.to_string(), "--data-dir".into(), self.data.display().to_string()];
        let url = self.postgres.as_ref().map(Postgres::url);
        arguments.extend(url.into_iter().flat_map(|url| ["--database-url".to_owned(), url]));
        fill::run(&arguments)?;
        // The rows are written to the disk before the measurement.
        finish(&mut command("sync"))?;
        self.serve().map(drop)
    }

    /// Starts the server again. Returns the time until it listened.
    pub(super) fn serve(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.server = Some(self.program.serve("http://127.0.0.1:0", |_| ())?);
        Ok(began.elapsed())
    }

    /// Stops the server by SIGTERM. Returns the time until it ended.
    pub(super) fn stop(&mut self) -> Result<Duration> {
        let mut server = self.server.take().context("the server does not run")?;
        let began = Instant::now();
        server.signal("TERM")?;
        match server.wait(STOP_MAX)? {
            Some(status) if status.success() => Ok(began.elapsed()),
            Some(status) => bail!("stopped by SIGTERM, the server ended with {status}"),
            None => bail!("the server did not stop within {} s of SIGTERM", STOP_MAX.as_secs()),
        }
    }

    fn server(&self) -> Result<&Running> {
        self.server.as_ref().context("the server does not run")
    }

    pub(super) fn message(&self, topic: Topic) -> Message {
        let lane = if topic == Topic::Lanes { "{lane}" } else { "" };
        let address = self.server.as_ref().map(|server| server.address.as_str()).unwrap_or_default();
        Message {
            url: format!("http://{address}/api/v1/events"),
            token: self.prepared.key.clone(),
            body: format!(
                "{{\"type\":\"bench\",\"event\":\"{}{lane}\",\"object\":{{\"id\":\"vm-101\",\"name\":\"web-01\"}},\
                 \"data\":{{{}}}}}",
                topic.name(),
                payload()
            ),
        }
    }

    /// Returns the ids of the server and of its database.
    pub(super) fn processes(&self) -> Vec<u32> {
        let postgres = self.postgres.as_ref().and_then(|postgres| postgres.id().ok());
        self.server.iter().map(Running::id).chain(postgres).collect()
    }

    /// Pauses the webhook of a topic.
    pub(super) fn pause(&self, topic: Topic) -> Result<()> {
        self.command(topic, "pause", "")
    }

    /// Resumes the webhook of a topic. All that it holds goes on at once.
    pub(super) fn resume(&self, topic: Topic) -> Result<()> {
        self.command(topic, "resume", "held=all")
    }

    fn command(&self, topic: Topic, verb: &str, fields: &str) -> Result<()> {
        // The n-th webhook of an empty database has the id n.
        let number = webhooks().position(|(of_topic, _)| of_topic == topic).context("no webhook")? + 1;
        post(self.server()?, &format!("/webhooks/{number}/{verb}"), &self.prepared.cookie, fields)
    }

    /// Returns the bytes of the database. The server is stopped, so that its log is in the database.
    pub(super) fn bytes(&self) -> Result<u64> {
        match &self.postgres {
            None => processes::bytes_below(&self.data),
            Some(postgres) => {
                postgres.ask("CHECKPOINT")?;
                Ok(postgres.ask("SELECT pg_database_size(current_database())")?.parse()?)
            }
        }
    }

    /// Removes the old versions of rows, gathers statistics and writes all pages, as PostgreSQL does by and by.
    pub(super) fn clean_up(&self) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            postgres.ask("VACUUM ANALYZE")?;
            postgres.ask("CHECKPOINT")?;
        }
        Ok(())
    }

    /// Fetches a page. Returns its HTML and the time it took.
    pub(super) fn page(&self, path: &str) -> Result<(String, Duration)> {
        let address = &self.server()?.address;
        let began = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PAGE_MAX))?;
        let cookie = &self.prepared.cookie;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n")?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).with_context(|| format!("{path} did not come"))?;
        let took = began.elapsed();
        let response = String::from_utf8_lossy(&response).into_owned();
        if !response.starts_with("HTTP/1.1 200") {
            bail!("{path} responded {}", response.lines().next().unwrap_or_default());
        }
        Ok((response, took))
    }
}

/// Starts a PostgreSQL whose commits survive a power cut.
fn durable_postgres() -> Result<Postgres> {
    let postgres = Postgres::start()?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value = postgres.ask(&format!("SHOW {setting}"))?;
        if value != "on" {
            bail!("PostgreSQL runs with {setting}={value}: its commits would not be durable, and the bench would lie");
        }
    }
    Ok(postgres)
}

/// Returns each webhook's topic and endpoint, in the order in which they are made. Those of [`Topic::One`] are among
/// the ten.
fn webhooks() -> impl Iterator<Item = (Topic, u32)> {
    let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::One);
    topics.flat_map(|topic| topic.endpoints().map(move |endpoint| (topic, endpoint)))
}

fn make_webhooks(server: &Running, cookie: &str, receiver: &str) -> Result<()> {
    let form = |path: &str, fields: String| post(server, path, cookie, &fields);
    // An object type of the bench: fill makes events of the built-in types, which would start more tasks.
    form("/types/new", "id=bench&singular=Bench+Object&plural=Bench+Objects&has_objects=true".into())?;
    let add = |event: &str| form("/types/events/new", format!("of_type=bench&event_id={event}&label={event}"));
    for topic in Topic::ALL.into_iter().filter(|topic| *topic != Topic::Lanes) {
        add(topic.name())?;
    }
    let message = encoded(
        "{\"bench_seq\": ${data.bench_seq}, \"kind\": \"${data.kind}\", \"customer\": \"${data.customer}\", \
         \"amount\": ${data.amount}, \"currency\": \"${data.currency}\", \"note\": \"${data.note}\"}",
    );
    for (number, (topic, endpoint)) in (1..).zip(webhooks()) {
        let url = encoded(&format!("http://{receiver}/e/{endpoint}"));
        // A receiver that hangs for longer than a measurement lasts, and no attempt that ends meanwhile.
        let waits = if matches!(topic, Topic::Hanging | Topic::Backlog) { "&timeout=60&retries=0" } else { "" };
        form("/webhooks/new", format!("name=w{number}&url={url}{waits}"))?;
        form("/tasks/new", format!("name=t{number}&object={number}&enabled=true&message={message}"))?;
        let mut events = vec![topic.name().to_owned()];
        match topic {
            Topic::Ten if endpoint == 0 => events.push(Topic::One.name().to_owned()),
            Topic::Lanes => {
                // The sender's lane is a message's number modulo the number of lanes.
                events = vec![format!("lane{}", endpoint % LANES)];
                add(&events[0])?;
            }
            _ => {}
        }
        for event in events {
            form("/events/new", format!("event=bench.{event}&object=any&task={number}&enabled=true"))?;
        }
    }
    Ok(())
}
