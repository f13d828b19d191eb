//! The real binary as a process of its own, and a database that is prepared for it.

use crate::harness::TestStore;
use model::access::Scope;
use model::time::Timestamp;
use secrecy::SecretString;
use server::clock::{Clock, new_uuid};
use server::service::account;
use server::store::webhook::SealedSecrets;
use server::store::{event, task, webhook};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command of the binary. Returns true on success, and its output.
pub(crate) fn run(test: &TestStore, arguments: &[&str], change: impl FnOnce(&mut Command)) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(arguments).arg("--data-dir").arg(test.dir.path()).env("HOOKWRIGHT_KEY", KEY).stdin(Stdio::null());
    if let Some(url) = &test.url {
        command.args(["--database-url", url]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    change(&mut command);
    let mut child = command.spawn().expect("runs");
    for _ in 0..400 {
        if child.try_wait().expect("asked").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Ends a server that should have refused to start.
    let _ = child.kill();
    let done = child.wait_with_output().expect("ended");
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout))
}

/// A running server, which is killed when it is dropped. The URL is empty until the server serves.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: no handler runs and nothing is flushed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Waits until the server serves, and reads its URL.
    pub(crate) fn serving(mut self) -> Self {
        let mut lines = BufReader::new(self.child.stdout.take().expect("output")).lines();
        let line = lines.next().expect("a line").expect("text");
        line.rsplit(' ').next().expect("a url").clone_into(&mut self.url);
        self
    }

    /// Stops the server with SIGTERM. Returns the time that it took to end.
    pub(crate) fn stop(mut self) -> Duration {
        self.signal("-TERM");
        let since = Instant::now();
        self.child.wait().expect("ended");
        since.elapsed()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("asked");
        assert!(sent.success());
    }

    /// Limits the number of open files. Those that are open stay open.
    pub(crate) fn limit_files(&self, limit: &str) {
        let arguments = ["--pid", &self.child.id().to_string(), &format!("--nofile={limit}:4096")];
        assert!(Command::new("prlimit").args(arguments).status().expect("asked").success());
    }

    /// Returns the peak of its memory, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") / 1024
    }

    /// Returns the lowest number that none of its open files has.
    pub(crate) fn lowest_free_file(&self) -> usize {
        let open = format!("/proc/{}/fd", self.child.id());
        (0..100_000).find(|number| !Path::new(&open).join(number.to_string()).exists()).expect("a number")
    }

    /// Returns its exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("asked")
    }
}

/// Master key of the servers of a test: 32 bytes in base64.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Starts a server.
pub(crate) fn serve(test: &TestStore) -> Process {
    serve_with(test, &[])
}

/// Starts a server with more arguments.
pub(crate) fn serve_with(test: &TestStore, more: &[&str]) -> Process {
    serve_changed(test, more, |_| ())
}

/// Starts a server that logs at this level to a file.
pub(crate) fn serve_logging(test: &TestStore, level: &str, log: &Path) -> Process {
    let file = std::fs::File::create(log).expect("a file");
    serve_changed(test, &[], |command| _ = command.env("HOOKWRIGHT_LOG", level).stderr(file))
}

/// Starts a server, after `change` has edited its environment or streams, and waits until it serves.
pub(crate) fn serve_changed(test: &TestStore, more: &[&str], change: impl FnOnce(&mut Command)) -> Process {
    spawn(test, more, change).serving()
}

/// Starts a server, after `change` has edited its environment or streams.
pub(crate) fn spawn(test: &TestStore, more: &[&str], change: impl FnOnce(&mut Command)) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(["serve", "--listen", "http://127.0.0.1:0", "--egress-allow", "127.0.0.0/8", "--data-dir"]);
    command.arg(test.dir.path()).args(more).env("HOOKWRIGHT_KEY", KEY).env("HOOKWRIGHT_LOG", "warn");
    // The server must ignore these. Nothing listens there.
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9/");
    }
    if let Some(url) = &test.url {
        command.args(["--database-url", url]);
    }
    command.stdout(Stdio::piped());
    change(&mut command);
    let child = command.spawn().expect("starts");
    Process { child, url: String::new() }
}

/// Inserts the webhook 1, a task and an event, and an account. Returns a key.
pub(crate) async fn prepare(test: &TestStore, url: &str, timeout: &str) -> String {
    fires(test, url, timeout).await;
    let password: SecretString = crate::harness::PASSWORD.to_owned().into();
    account::add(&test.store, &Clock::system(), "maria", model::access::Role::Admin, password)
        .await
        .expect("an account");
    account::add_key(&test.store, &Clock::system(), "dc", &[Scope::Ingest]).await.expect("a key")
}

/// Inserts a webhook that receives the name of each VM that is powered on.
async fn fires(test: &TestStore, url: &str, timeout: &str) {
    let now = Timestamp(0);
    let db = test.store.write();
    let draft = model::webhook::WebhookDraft {
        name: "w".into(),
        url: url.into(),
        timeout: timeout.into(),
        ..model::webhook::WebhookDraft::default()
    };
    let destination_id =
        webhook::insert(db, &draft.parse(None).expect("valid").settings, new_uuid(now), SealedSecrets::default(), now)
            .await
            .expect("a webhook");
    let new = model::task::Task {
        name: "t".into(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        destination_id: destination_id.into(),
        action: model::task::Action::Webhook(model::task::WebhookSend { message: "${NAME}".into() }),
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
