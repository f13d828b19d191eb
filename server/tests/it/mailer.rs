//! The mailer in the console: its form with its secrets, its holds, its test, and the pages of what it sends.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{MailServer, Offer, Script, Step, TestServer, TestStore, reply};
use crate::hold::{ALL, count, power_on};
use app::error::Code;
use app::view::delivery::DeliveryLine;
use app::view::destination::{Held, ReleaseChoice};
use app::view::inventory::ObjectQuery;
use model::access::{Role, Scope};
use model::delivery::Status;
use model::mailer::MailerDraft;
use model::task::TaskDraft;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::store::mailer;
use std::time::Duration;

/// A password that no page contains by chance, and that every encoding has to escape.
const CANARY: &str = "canary 4f7a+%\"<";

fn draft(mail: &MailServer) -> MailerDraft {
    MailerDraft {
        server: "127.0.0.1".into(),
        port: mail.address.port().to_string(),
        encryption: "none".into(),
        from_address: "ops@example.com".into(),
        ..MailerDraft::default()
    }
}

/// Returns the draft of the stored mailer, as its form shows it.
async fn stored(server: &TestServer) -> MailerDraft {
    server.services.backend().mailers.load_form().await.expect("a form").draft
}

async fn save(server: &TestServer, draft: MailerDraft) -> Result<(), app::error::AppError> {
    server.services.backend().mailers.save(draft).await.map(drop)
}

async fn row(server: &TestServer) -> mailer::Row {
    mailer::find_only(server.services.store.read()).await.expect("read").expect("there")
}

/// Saves a task that sends an e-mail about each VM that is powered on. Returns a key to report with.
async fn prepare(server: &TestServer, to: &str, subject: &str) -> String {
    let draft = TaskDraft {
        name: "t".into(),
        object_type: "email".into(),
        object: row(server).await.id.to_string(),
        to: to.into(),
        subject: subject.into(),
        body: "${NAME}".into(),
        ..TaskDraft::new_form()
    };
    let task = server.services.backend().tasks.save(None, draft).await.expect("a task");
    server.event(task).await;
    server.key("dc", &[Scope::Ingest]).await
}

async fn page(server: &TestServer, cookie: &str, path: &str) -> (u16, String) {
    let request = server.http.get(format!("{}{path}", server.url)).header("cookie", cookie);
    let response = request.send().await.expect("a response");
    (response.status().as_u16(), response.text().await.expect("a page"))
}

/// Posts the form of the mailer. Returns the status, the address that follows, and the page.
async fn post(server: &TestServer, cookie: &str, draft: &MailerDraft) -> (u16, String, String) {
    let fields = serde_json::to_value(draft).expect("texts");
    let fields = fields.as_object().expect("an object").iter();
    let fields: Vec<_> = fields.map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))).collect();
    let response = server.post_form("/smtp/edit", cookie, &fields).await;
    let location = response.headers().get("location").map(|path| path.to_str().expect("text").to_owned());
    (response.status().as_u16(), location.unwrap_or_default(), response.text().await.expect("a page"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_is_kept_until_the_target_changes_and_is_then_demanded(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let mail = MailServer::start(Script::new(Offer::Plain).login("ops", CANARY)).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let (_, first) = page(&server, &cookie, "/smtp").await;
    assert!(
        first.contains("Tasks send e-mails through one mail server") && first.contains("name=\"server\""),
        "{first}"
    );
    let typed = MailerDraft { username: "ops".into(), password: CANARY.into(), ..draft(&mail) };
    let (status, path, _) = post(&server, &cookie, &typed).await;
    assert_eq!((status, path.as_str()), (303, "/smtp?done=saved"));
    let sealed = row(&server).await.password.expect("a password");
    let accepts = async || {
        let tested = server.services.backend().mailers.send_test("bob@example.com".into()).await.expect("a test");
        assert_eq!(tested.error, None, "{}", tested.dialogue);
    };
    accepts().await;

    // An edit without a password keeps it.
    let edited = MailerDraft { from_name: "Operations".into(), ..stored(&server).await };
    assert_eq!(post(&server, &cookie, &edited).await.0, 303);
    assert_eq!(row(&server).await.password.as_ref(), Some(&sealed));
    accepts().await;

    // Another target does not get it.
    let other = MailServer::start(Script::new(Offer::Plain).login("ops", CANARY)).await;
    let moved = MailerDraft { port: other.address.port().to_string(), ..stored(&server).await };
    let (status, _, refused) = post(&server, &cookie, &moved).await;
    assert_eq!(status, 422);
    assert!(refused.contains("Enter the password again: the port has changed."), "{refused}");
    assert_eq!(row(&server).await.settings.port, mail.address.port());
    assert_eq!(post(&server, &cookie, &MailerDraft { password: CANARY.into(), ..moved }).await.0, 303);
    accepts().await;
    assert_eq!((mail.mails().len(), other.mails().len()), (2, 1));

    // Without a user name there is no password.
    let open = MailerDraft { username: String::new(), ..stored(&server).await };
    assert_eq!(post(&server, &cookie, &open).await.0, 303);
    assert_eq!(row(&server).await.password, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_lost_by_a_refused_form_is_typed_again_or_kept_explicitly() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mail = MailServer::open().await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    save(&server, MailerDraft { username: "ops".into(), password: "first".into(), ..draft(&mail) })
        .await
        .expect("saved");
    let sealed = row(&server).await.password;
    let wrong = MailerDraft { password: CANARY.into(), timeout: "2".into(), ..stored(&server).await };
    let (status, _, refused) = post(&server, &cookie, &wrong).await;
    assert_eq!(status, 422);
    assert!(
        refused.contains("name=\"retype\" value=\"password\"") && refused.contains("name=\"keep_secrets\""),
        "{refused}"
    );
    assert!(!refused.contains("Leave empty to keep it"), "{refused}");
    let lost = MailerDraft { retype: "password".into(), ..stored(&server).await };
    let (status, _, refused) = post(&server, &cookie, &lost).await;
    assert_eq!(status, 422);
    assert!(refused.contains("Enter the new password again"), "{refused}");
    let kept = MailerDraft { keep_secrets: "true".into(), ..lost.clone() };
    assert_eq!(post(&server, &cookie, &kept).await.0, 303);
    assert_eq!(row(&server).await.password, sealed);
    let again = MailerDraft { password: CANARY.into(), revision: "2".into(), ..lost };
    assert_eq!(post(&server, &cookie, &again).await.0, 303);
    assert_ne!(row(&server).await.password, sealed);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_mailer_holds_waiting_e_mails_until_confirmed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let (mut dead, living) = (MailServer::open().await, MailServer::open().await);
    dead.die().await;
    save(&server, draft(&dead)).await.expect("saved");
    let key = prepare(&server, "bob@example.com", "s").await;
    server.post(&key, &power_on("a")).await;
    server.deliveries_until(|rows| rows.first().is_some_and(|row| row.attempts == 1 && row.error.is_some())).await;

    save(&server, MailerDraft { port: living.address.port().to_string(), ..stored(&server).await })
        .await
        .expect("moved");
    server.deliveries_until(|rows| count(rows, Status::Held) == 1).await;
    server.post(&key, &power_on("b")).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1).await;
    server.advance(Duration::from_hours(1));
    let cookie = server.sign_in("olga", Role::Operator).await;
    let (_, text) = page(&server, &cookie, "/smtp").await;
    assert!(text.contains("The target has changed. ") && text.contains("action=\"/smtp/confirm\""), "{text}");
    assert_eq!(living.mails().len(), 1, "only the one that was queued after the change");

    // A confirmation is for the server that was seen.
    let confirm = async |revision: &str| {
        let fields = [("held", "all"), ("per_second", ""), ("revision", revision)];
        server.post_form("/smtp/confirm", &cookie, &fields).await.status().as_u16()
    };
    assert_eq!(confirm("1").await, 409);
    assert_eq!(confirm("2").await, 303);
    server.deliveries_until(|rows| count(rows, Status::Sent) == 2).await;
    assert_eq!(living.mails().len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_mailer_holds_e_mails_and_releases_the_chosen_ones(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let mail = MailServer::open().await;
    save(&server, draft(&mail)).await.expect("saved");
    let key = prepare(&server, "bob@example.com", "${OBJECT_ID}").await;
    let mailers = server.services.backend().mailers;
    mailers.pause().await.expect("paused");
    assert_eq!(mailers.pause().await.expect_err("paused").message, "This mail server is paused already.");
    for id in ["a", "a", "b"] {
        server.post(&key, &power_on(id)).await;
    }
    server.deliveries_until(|rows| count(rows, Status::Held) == 3).await;
    let detail = mailers.detail().await.expect("read").expect("there");
    assert!(detail.state.paused.is_some() && detail.tasks.len() == 1 && detail.deliveries.len() == 3, "{detail:?}");
    // A test is no delivery.
    assert_eq!(mailers.send_test("bob@example.com".into()).await.expect("a test").error, None);
    mailers.resume(ReleaseChoice { held: Held::Newest, per_second: None }).await.expect("resumed");
    let rows = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!((count(&rows, Status::Sent), count(&rows, Status::Discarded)), (2, 1));
    assert_eq!(mail.mails().len(), 3);
    assert_eq!(mailers.resume(ALL).await.expect_err("resumed").message, "This mail server is not paused.");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outdated_form_is_refused_with_both_versions_and_then_replaces(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let mail = MailServer::open().await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    // Two people enter the first settings.
    save(&server, draft(&mail)).await.expect("saved");
    let late =
        MailerDraft { from_name: "Mine".into(), password: CANARY.into(), username: "ops".into(), ..draft(&mail) };
    let (status, _, refused) = post(&server, &cookie, &late).await;
    assert_eq!(status, 409);
    for part in ["Somebody else changed this mail server", "from_name", "Mine", "name=\"revision\" value=\"1\""] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(!refused.contains("canary"), "{refused}");
    // Two people edit.
    let opened = stored(&server).await;
    save(&server, MailerDraft { retries: "3".into(), ..opened.clone() }).await.expect("saved");
    let mine = MailerDraft { retries: "5".into(), ..opened };
    let (status, _, refused) = post(&server, &cookie, &mine).await;
    assert_eq!(status, 409);
    assert!(refused.contains("name=\"revision\" value=\"2\""), "{refused}");
    assert_eq!(post(&server, &cookie, &MailerDraft { revision: "2".into(), ..mine.clone() }).await.0, 303);
    assert_eq!(stored(&server).await.retries, "5");
    let malformed = MailerDraft { revision: "x".into(), ..mine };
    assert_eq!(post(&server, &cookie, &malformed).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_that_may_not_be_called_is_refused_at_save() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mail = MailServer::open().await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    for address in ["169.254.169.254", "[::ffff:169.254.169.254]", "fe80::1"] {
        let typed = MailerDraft { server: address.into(), ..draft(&mail) };
        let (status, _, refused) = post(&server, &cookie, &typed).await;
        assert_eq!(status, 422, "{address}");
        assert!(refused.contains("link-local or metadata address") && refused.contains("server-error"), "{refused}");
    }
    let own = server.url.rsplit_once(':').expect("a port").1.to_owned();
    let (status, _, refused) = post(&server, &cookie, &MailerDraft { port: own, ..draft(&mail) }).await;
    assert_eq!(status, 422);
    assert!(refused.contains("own listener"), "{refused}");
    let nobody = MailerDraft { server: "nobody.invalid".into(), ..draft(&mail) };
    let (status, path, _) = post(&server, &cookie, &nobody).await;
    assert_eq!((status, path.as_str()), (303, "/smtp?done=unresolved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_is_on_no_page_and_only_administrators_change_settings() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mail = MailServer::open().await;
    let admin = server.sign_in("maria", Role::Admin).await;
    let operator = server.sign_in("olga", Role::Operator).await;
    let viewer = server.sign_in("victor", Role::Viewer).await;
    for cookie in [&operator, &viewer] {
        let (status, text) = page(&server, cookie, "/smtp").await;
        assert_eq!(status, 200);
        assert!(text.contains("None is configured") && !text.contains("name=\"server\""), "{text}");
        assert_eq!(page(&server, cookie, "/smtp/edit").await.0, 403);
    }
    assert_eq!(page(&server, &operator, "/smtp/test").await.0, 404);
    let typed = MailerDraft { username: "ops".into(), password: CANARY.into(), ..draft(&mail) };
    for cookie in [&operator, &viewer] {
        let (status, _, text) = post(&server, cookie, &typed).await;
        assert_eq!(status, 403);
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(post(&server, &admin, &typed).await.0, 303);
    let (_, _, refused) = post(&server, &admin, &MailerDraft { port: "x".into(), revision: "1".into(), ..typed }).await;
    let mut seen = refused;
    for path in ["/smtp", "/smtp/edit", "/smtp/test", "/objects", "/deliveries"] {
        for cookie in [&admin, &operator, &viewer] {
            seen += &page(&server, cookie, path).await.1;
        }
    }
    assert!(!seen.contains("canary"));
    let (_, text) = page(&server, &viewer, "/smtp").await;
    // Some servers take a token as the user name.
    assert!(text.contains("As ••••••••, password stored"), "{text}");
    assert!(!text.contains("<form method=\"post\" action=\"/smtp/pause\"") && !text.contains("/smtp/edit"), "{text}");
    assert_eq!(page(&server, &viewer, "/smtp/test").await.0, 403);
    let (_, text) = page(&server, &operator, "/smtp").await;
    assert!(text.contains("As ops, password stored"), "{text}");
    assert!(text.contains("/smtp/pause") && text.contains("/smtp/test") && !text.contains("/smtp/edit"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_uses_stored_settings_alone_and_shows_the_dialogue() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mail = MailServer::start(Script::new(Offer::Plain).login("ops", "other")).await;
    save(&server, MailerDraft { username: "ops".into(), password: CANARY.into(), ..draft(&mail) })
        .await
        .expect("saved");
    let operator = server.sign_in("olga", Role::Operator).await;
    let test = async |to: &str| {
        let fields = [("to", to), ("server", "192.0.2.1"), ("password", "other")];
        let response = server.post_form("/smtp/test", &operator, &fields).await;
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    let (status, page) = test("bob@example.com").await;
    assert_eq!(status, 200);
    assert!(page.contains("S: 535") && page.contains("C: AUTH PLAIN ••••"), "{page}");
    assert!(!page.contains("canary") && !page.contains("Y2FuYX"), "{page}");
    for wrong in
        ["", "bob", "bob@", "a@b.example, c@d.example", "Bob <bob@example.com>", "a@b.example\r\nRCPT TO:<x@y.example>"]
    {
        let (status, page) = test(wrong).await;
        assert_eq!(status, 422, "{wrong}");
        assert!(page.contains("id=\"to-error\"") && page.contains("autofocus"), "{wrong}: {page}");
    }
    let refusing = Script::new(Offer::Plain).on(|_, step| match step {
        Step::Command(line) if line.starts_with("RCPT") => Some(reply("550 No <such> user")),
        _ => None,
    });
    let refusing = MailServer::start(refusing).await;
    save(&server, MailerDraft { revision: "1".into(), ..draft(&refusing) }).await.expect("saved");
    let (_, page) = test("bob@example.com").await;
    assert!(page.contains("S: 550 No &lt;such> user") || page.contains("S: 550 No &lt;such&gt; user"), "{page}");
    let open = MailServer::open().await;
    save(&server, MailerDraft { revision: "2".into(), ..draft(&open) }).await.expect("saved");
    let (_, page) = test("bob@example.com").await;
    assert!(page.contains("has accepted the message to bob@example.com"), "{page}");
    assert!(page.contains("C: MAIL FROM:&lt;ops@example.com") && page.contains("[message, "), "{page}");
    let sent = open.mails().remove(0);
    assert_eq!(sent.recipients, ["bob@example.com"]);
    assert!(String::from_utf8(sent.message).expect("text").contains("Subject: Test message from Hookwright\r\n"));
    assert!(server.deliveries_until(|_| true).await.is_empty(), "a test makes no delivery");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e_mail_is_shown_with_its_envelope_message_and_dialogue() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let script = Script::new(Offer::Plain).on(|_, step| match step {
        Step::Command(line) if line.contains("bob@") => Some(reply("550 5.1.1 No <such> user")),
        _ => None,
    });
    let mail = MailServer::start(script).await;
    save(&server, draft(&mail)).await.expect("saved");
    let key = prepare(&server, "Zo\u{eb} <zoe@example.com>\nbob@example.com", "caf\u{e9} \u{2713} ${NAME}").await;
    server.post(&key, &power_on("web <01>")).await;
    let rows = server.deliveries_until(|rows| rows.first().is_some_and(DeliveryLine::is_settled)).await;
    assert_eq!(rows[0].status, Some(Status::Error));
    let cookie = server.sign_in("victor", Role::Viewer).await;
    let (_, text) = page(&server, &cookie, &format!("/deliveries/{}", rows[0].uuid)).await;
    for part in [
        "2 recipients: 1 refused, 1 accepted",
        "550 5.1.1 No &lt;such&gt; user",
        "caf\u{e9} \u{2713} web &lt;01&gt;",
        "Zo\u{eb} ",
        ">Dialogue<",
        "C: RCPT TO:&lt;bob@example.com&gt;",
        "Correct the refused addresses in the task.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(">Request<") && !text.contains("=?utf-8"), "{text}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailer_is_an_object_that_events_can_be_about(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let mail = MailServer::open().await;
    save(&server, draft(&mail)).await.expect("saved");
    save(&server, stored(&server).await).await.expect("saved again");
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    let mailers: Vec<_> = objects.iter().filter(|object| object.type_id == "mailers").collect();
    assert_eq!(mailers.len(), 1, "{objects:?}");
    assert_eq!((mailers[0].name.as_str(), mailers[0].external_id.clone()), ("SMTP", row(&server).await.id.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailer_whose_password_does_not_open_can_be_entered_again() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mail = MailServer::open().await;
    let typed = MailerDraft { username: "ops".into(), password: CANARY.into(), ..draft(&mail) };
    save(&server, typed.clone()).await.expect("saved");
    server.services.store.write().execute_unprepared("UPDATE mailer SET password = X'00'").await.expect("spoilt");
    let mailers = server.services.backend().mailers;
    let error = mailers.send_test("bob@example.com".into()).await.expect_err("it does not open");
    assert_eq!(
        (error.code, error.message.as_str()),
        (Code::Internal, "The stored password cannot be opened. Enter it again.")
    );
    save(&server, MailerDraft { revision: "1".into(), ..typed }).await.expect("entered again");
}
