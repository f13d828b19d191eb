//! Starts with options that do not fit, and what a start prints.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, client, eventually};
use crate::process::{KEY, run, serve_changed, serve_with, spawn};
use model::tag::CategoryDraft;
use rstest::rstest;
use server::store::{event, setting, tag, task, webhook};
use std::fs::File;

/// Returns a file that takes nothing, as on a full disk.
fn full_disk() -> File {
    File::options().write(true).open("/dev/full").expect("a device")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_starts_after_a_start_without_egress_allow(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let address = inbox.url.trim_start_matches("http://");
    let (done, output) = run(&test, &["serve", "--listen", "http://127.0.0.1:0", "--demo", address], |_| ());
    assert!(!done && output.contains("demo: ") && output.contains("--egress-allow"), "{output}");
    let db = test.store.read();
    assert!(tag::list_categories(db).await.expect("categories").is_empty(), "nothing was written");
    assert_eq!(setting::find(db, "demo").await.expect("read"), None);
    let _server = serve_with(&test, &["--demo", address]);
    assert_eq!(event::list(db).await.expect("events").len(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_demo_is_completed_by_the_next_start(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let inbox = TestInbox::start().await;
    let (db, backend) = (server.services.store.read(), server.services.backend());
    let counts = async || {
        let webhooks = webhook::list(db).await.expect("webhooks").len();
        let tags = tag::list(db).await.expect("tags").len();
        (tags, webhooks, task::list(db).await.expect("tasks").len(), event::list(db).await.expect("events").len())
    };
    // A person has made a category of this name, for another type.
    let mut draft = CategoryDraft { name: "Environment".into(), ..CategoryDraft::default() };
    draft.types.insert("type.tenants".into(), "true".into());
    backend.inventory.save_category(None, draft).await.expect("a category");
    let make = || server::service::demo::make(&server.services, &inbox.url);
    let (one, other) = tokio::join!(make(), make());
    assert_eq!((one, other), (Ok(()), Ok(())), "two nodes at once");
    assert_eq!(counts().await, (4, 3, 3, 3));
    setting::put(server.services.store.write(), "demo", "begun").await.expect("put");
    let events = event::list(db).await.expect("events");
    backend.events.delete(vec![events[0].id]).await.expect("deleted");
    backend.tasks.delete(vec![events[0].event.task_id]).await.expect("deleted");
    make().await.expect("made");
    assert_eq!(counts().await, (4, 3, 3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_listen_is_refused_instead_of_listening_nowhere() {
    let test = TestStore::sqlite().await;
    let file = test.dir.path().join("hookwright.toml");
    std::fs::write(&file, "listen = [\"\"]").expect("written");
    let file = file.display().to_string();
    for (arguments, variable) in [(["--listen", ""].as_slice(), None), (&["--config", &file], None), (&[], Some(","))] {
        let arguments = [["serve"].as_slice(), arguments].concat();
        let (done, output) = run(&test, &arguments, |command| {
            command.envs(variable.map(|value| ("HOOKWRIGHT_LISTEN", value)));
        });
        assert!(!done && output.contains("listen: it is empty"), "{arguments:?} {output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_configuration_file_names_the_option_or_the_line() {
    let test = TestStore::sqlite().await;
    let file = test.dir.path().join("hookwright.toml");
    let path = file.display().to_string();
    let check = |text: &str| {
        std::fs::write(&file, text).expect("written");
        run(&test, &["check-config", "--config", &path], |_| ())
    };
    for (text, expected) in [
        ("log = \"info\"\nkeep-days = -1", "keep-days: invalid value: integer `-1`, expected a whole number"),
        ("listen = 5", "listen: expected a text, or a list of texts"),
        ("log = \"info\"\n\ntime-zone = Berlin", "line 3: "),
        ("log = \"info", "line 1: "),
        ("demo = true", "demo: "),
    ] {
        let (done, output) = check(text);
        assert!(!done && output.contains(expected), "{text}: {output}");
    }
    let (done, output) = check("listen = \"http://127.0.0.1:0,http://[::1]:0\"\negress-allow = \"127.0.0.0/8\"");
    assert!(done && output.contains("listen = http://127.0.0.1:0,http://[::1]:0  # file"), "{output}");
    assert!(output.contains("egress-allow = 127.0.0.0/8  # file"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_the_environment_precedes_a_key_file_of_the_configuration_file() {
    let test = TestStore::sqlite().await;
    let path = |name: &str| test.dir.path().join(name).display().to_string();
    let (file, other) = (path("hookwright.toml"), path("other.key"));
    std::fs::write(&file, format!("key-file = \"{other}\"")).expect("written");
    std::fs::write(&other, KEY.replacen('A', "B", 1)).expect("written");
    // The database is used with the key of the environment.
    serve_with(&test, &[]).stop();
    serve_with(&test, &["--config", &file]).stop();
    let (done, output) = run(&test, &["serve", "--listen", "http://127.0.0.1:0", "--key-file", &other], |_| ());
    assert!(!done && output.contains("this master key is not the one"), "{output}");

    let check = |arguments: &[&str], key: &str| {
        let arguments = [["check-config"].as_slice(), arguments].concat();
        run(&test, &arguments, |command| _ = command.env("HOOKWRIGHT_KEY", key)).1
    };
    let output = check(&["--config", &file], KEY);
    assert!(output.contains("key-file = (not used: the key is in HOOKWRIGHT_KEY)"), "{output}");
    assert!(output.contains("HOOKWRIGHT_KEY = (set, hidden)\n"), "{output}");
    let output = check(&["--key-file", &other], KEY);
    assert!(output.contains("HOOKWRIGHT_KEY = (set, and not used: key-file precedes it)"), "{output}");
    let output = check(&["--config", &file], "");
    assert!(output.contains(&format!("key-file = {other}  # file")), "{output}");
    assert!(output.contains("HOOKWRIGHT_KEY = \n"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_key_variable_is_named_among_the_remedies() {
    let test = TestStore::sqlite().await;
    serve_with(&test, &[]).stop();
    let (done, output) = run(&test, &["serve", "--listen", "http://127.0.0.1:0"], |command| {
        command.env_remove("HOOKWRIGHT_KEY");
    });
    assert!(!done && output.contains("or set --key-file or HOOKWRIGHT_KEY"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_and_its_key_may_come_from_different_sources() {
    let test = TestStore::sqlite().await;
    let file = test.dir.path().join("hookwright.toml");
    std::fs::write(&file, "tls-key = \"tls.key\"").expect("written");
    let file = file.display().to_string();
    let check = |arguments: &[&str]| run(&test, &[["check-config"].as_slice(), arguments].concat(), |_| ());
    let (done, output) = check(&["--config", &file, "--tls-cert", "tls.crt"]);
    assert!(done && output.contains("tls-key = tls.key  # file"), "{output}");
    let (done, output) = check(&["--config", &file]);
    assert!(!done && output.contains("tls-cert: it is missing"), "{output}");
    let (done, output) = check(&["--tls-cert", "tls.crt"]);
    assert!(!done && output.contains("tls-key: it is missing"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_that_could_not_be_printed_is_to_be_revoked() {
    let test = TestStore::sqlite().await;
    let (done, output) =
        run(&test, &["key", "add", "dc", "--scope", "ingest"], |command| _ = command.stdout(full_disk()));
    assert!(!done && output.contains("the key dc was created but could not be printed"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_whose_address_could_not_be_printed_serves() {
    let test = TestStore::sqlite().await;
    let log = test.dir.path().join("log");
    let file = File::create(&log).expect("a file");
    let _server = spawn(&test, &[], |command| {
        command.env("HOOKWRIGHT_LOG", "info").stdout(full_disk()).stderr(file);
    });
    let logged = || std::fs::read_to_string(&log).expect("a log");
    eventually("the failure is reported", async || logged().contains("could not be printed")).await;
    let logged = logged();
    let port =
        logged.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let url = format!("http://127.0.0.1:{}/health/live", port.expect("a listener"));
    assert_eq!(client().get(url).send().await.expect("a response").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_without_a_listener_for_https_is_reported() {
    let test = TestStore::sqlite().await;
    let log = test.dir.path().join("log");
    let file = File::create(&log).expect("a file");
    let _server = serve_changed(&test, &["--tls-cert", "x", "--tls-key", "y"], |command| _ = command.stderr(file));
    let logged = std::fs::read_to_string(&log).expect("a log");
    assert!(logged.contains("tls-cert and tls-key are not used"), "{logged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_link_of_a_listener_on_all_addresses_leads_to_this_machine() {
    let test = TestStore::sqlite().await;
    let out = test.dir.path().join("out");
    let file = File::create(&out).expect("a file");
    let printed = || std::fs::read_to_string(&out).expect("text");
    let arguments = ["serve", "--listen", "http://0.0.0.0:0", "--data-dir"];
    let _server = spawn(&test, &[], |command| {
        let mut other = std::process::Command::new(command.get_program());
        other.args(arguments).arg(test.dir.path()).env("HOOKWRIGHT_KEY", KEY).env("HOOKWRIGHT_LOG", "warn");
        *command = other;
        command.stdout(file);
    });
    eventually("the hint is printed", async || printed().contains("--public-url")).await;
    let printed = printed();
    assert!(printed.starts_with("Hookwright is at http://localhost:"), "{printed}");
    assert!(printed.contains(" http://localhost:") && printed.contains("/setup?token=hwk_"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_start_says_why_when_the_log_is_off() {
    let test = TestStore::sqlite().await;
    for level in ["off", "server=debug"] {
        let (done, output) = run(&test, &["serve", "--listen", "nonsense"], |command| {
            _ = command.env("HOOKWRIGHT_LOG", level);
        });
        assert!(!done && output.contains("nonsense"), "{level}: {output}");
    }
}
