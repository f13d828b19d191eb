//! The real binary as a process of its own, and a database prepared for it.

use crate::harness::TestStore;
use model::access::Scope;
use model::time::Timestamp;
use secrecy::SecretString;
use server::clock::{Clock, new_uuid};
use server::service::account;
use server::store::webhook::Secrets;
use server::store::{event, task, webhook};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command of the binary, as its administrator enters it: whether it succeeded, and what it said.
pub(crate) fn run(test: &TestStore, words: &[&str], change: impl FnOnce(&mut Command)) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(words).arg("--data-dir").arg(test.dir.path()).env("HOOKWRIGHT_KEY", KEY).stdin(Stdio::null());
    if let Some(url) = &test.url {
        command.args(["--database-url", url]);
    }
    change(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    for _ in 0..400 {
        if child.try_wait().expect("asked").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // One that should have refused to start, and serves.
    let _ = child.kill();
    let done = child.wait_with_output().expect("ended");
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout))
}

/// A running server; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: no handler runs, nothing is flushed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Lets what is under way end, as an admin stops it. Answers how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        self.signal("-TERM");
        let since = Instant::now();
        self.child.wait().expect("ended");
        since.elapsed()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("asked");
        assert!(sent.success());
    }

    /// Lets it have this many open files at most; the ones it has stay open.
    pub(crate) fn limit_files(&self, limit: &str) {
        let arguments = ["--pid", &self.child.id().to_string(), &format!("--nofile={limit}:4096")];
        assert!(Command::new("prlimit").args(arguments).status().expect("asked").success());
    }

    /// The most memory it has had, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") / 1024
    }

    /// The lowest number that no open file of it has.
    pub(crate) fn lowest_free_file(&self) -> usize {
        let open = format!("/proc/{}/fd", self.child.id());
        (0..100_000).find(|number| !Path::new(&open).join(number.to_string()).exists()).expect("a number")
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("asked")
    }
}

/// Base64 of 32 bytes, shared by the nodes of a test.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) fn serve(test: &TestStore) -> Process {
    serve_with(test, &[])
}

/// With more arguments.
pub(crate) fn serve_with(test: &TestStore, more: &[&str]) -> Process {
    serve_changed(test, more, |_| ())
}

/// With a log of this level.
pub(crate) fn serve_logging(test: &TestStore, level: &str, log: &Path) -> Process {
    let file = std::fs::File::create(log).expect("a file");
    serve_changed(test, &[], |command| _ = command.env("HOOKWRIGHT_LOG", level).stderr(file))
}

/// With a change to its environment or its streams.
pub(crate) fn serve_changed(test: &TestStore, more: &[&str], change: impl FnOnce(&mut Command)) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(["serve", "--listen", "http://127.0.0.1:0", "--egress-allow", "127.0.0.0/8", "--data-dir"]);
    command.arg(test.dir.path()).args(more).env("HOOKWRIGHT_KEY", KEY).env("HOOKWRIGHT_LOG", "warn");
    // A proxy of the environment, where nobody listens, is for others.
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9/");
    }
    if let Some(url) = &test.url {
        command.args(["--database-url", url]);
    }
    change(&mut command);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
    let line = lines.next().expect("a line").expect("text");
    let url = line.rsplit(' ').next().expect("a url").to_owned();
    Process { child, url }
}

/// A webhook, number 1, a task and an event in the database, and a key.
pub(crate) async fn prepare(test: &TestStore, url: &str, timeout: &str) -> String {
    fires(test, url, timeout).await;
    let password: SecretString = crate::harness::PASSWORD.to_owned().into();
    account::add(&test.store, &Clock::system(), "maria", model::access::Role::Admin, password)
        .await
        .expect("an account");
    account::add_key(&test.store, &Clock::system(), "dc", &[Scope::Ingest]).await.expect("a key")
}

/// A webhook that is told of every VM that is powered on.
async fn fires(test: &TestStore, url: &str, timeout: &str) {
    let now = Timestamp(0);
    let db = test.store.write();
    let draft = model::webhook::WebhookDraft {
        name: "w".into(),
        url: url.into(),
        timeout: timeout.into(),
        ..model::webhook::WebhookDraft::default()
    };
    let webhook_id = webhook::insert(db, &draft.parse(None).expect("valid"), new_uuid(now), Secrets::default(), now)
        .await
        .expect("a webhook");
    let new = model::task::Task {
        name: "t".into(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        webhook_id,
        message: "${NAME}".into(),
    };
    let task_id = task::insert(db, &new, now).await.expect("a task");
    let new = model::event::Event {
        type_id: "vms".into(),
        event_id: "poweron".into(),
        scope: model::event::EventScope::Any,
        filters: model::event::EventFilters::default(),
        task_id,
        is_enabled: true,
    };
    event::insert(db, &new, now).await.expect("an event");
}
