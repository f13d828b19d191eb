//! The task form of an e-mail: saved by a plain post, refused field by field, previewed and tested.

use crate::harness::{Act, MailServer, Offer, Script, Step, TestServer, TestStore};
use app::view::delivery::DeliveryLine;
use app::view::destination::Tested;
use app::view::task::Previewed;
use model::access::{Role, Scope};
use model::id::{DestinationId, TaskId};
use model::mailer::MailerDraft;
use model::task::{Action, TaskDraft};
use serde_json::json;

/// Starts a console with the account of an administrator, whose cookie is returned.
async fn server() -> (TestServer, String) {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    (server, cookie)
}

/// Saves the settings of a mail server. Returns the id of its destination.
async fn set_up(server: &TestServer, mail: &MailServer) -> DestinationId {
    let draft = MailerDraft {
        server: mail.address.ip().to_string(),
        port: mail.address.port().to_string(),
        encryption: "none".into(),
        from_address: "console@example.com".into(),
        from_name: "The <console>".into(),
        ..MailerDraft::default()
    };
    let backend = server.services.backend();
    backend.mailers.save(draft).await.expect("saved");
    let form = backend.tasks.load_form(None, None).await.expect("a form");
    form.mailers.choices[0].value.parse().expect("an id")
}

const EMAIL: &[(&str, &str)] = &[
    ("name", "Tell"),
    ("enabled", "true"),
    ("object_type", "email"),
    ("from_name", "${NAME} <x>"),
    ("to", "Ada <ada@example.com>\r\nbob@example.com; carol@example.com"),
    ("cc", "dora@example.com"),
    ("bcc", "eve@example.com"),
    ("subject", "${NAME} is up"),
    ("body", "first\r\n${EVENT}"),
    ("message", "not used"),
];

/// Returns the fields of an e-mail with some of them changed.
fn fields<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let rest = EMAIL.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    rest.chain(changes).copied().collect()
}

fn draft(id: DestinationId) -> TaskDraft {
    let texts = EMAIL.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    TaskDraft { object: id.to_string(), ..TaskDraft::from(texts.collect::<model::draft::Texts>()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_posted_without_wasm_is_saved_shown_and_sent() {
    let (server, cookie) = server().await;
    let mail = MailServer::open().await;
    let id = set_up(&server, &mail).await.to_string();
    let saved = server.post_form("/tasks/new", &cookie, &fields(&[("object", &id)])).await;
    assert_eq!((saved.status().as_u16(), saved.headers()["location"].as_bytes()), (303, b"/tasks/1".as_slice()));
    let tasks = server.services.backend().tasks;
    let form = tasks.load_form(Some(TaskId(1)), None).await.expect("a form");
    assert_eq!(form.object.map(|choice| choice.label).as_deref(), Some("SMTP"));
    assert_eq!(form.draft.to, "Ada <ada@example.com>\nbob@example.com\ncarol@example.com");
    assert_eq!(form.draft.body, "first\n${EVENT}");
    let detail = tasks.detail(TaskId(1)).await.expect("a task");
    assert_eq!(detail.destination.map(|found| found.path()).as_deref(), Some("/smtp"));
    assert!(matches!(detail.action, Action::Email(email) if email.subject == "${NAME} is up"));

    tasks.execute(TaskId(1), "maria".into()).await.expect("started");
    server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await;
    let mails = mail.mails();
    let to = ["ada", "bob", "carol", "dora", "eve"].map(|name| format!("{name}@example.com"));
    assert_eq!((mails.len(), mails[0].recipients.as_slice()), (1, to.as_slice()));
    let message = String::from_utf8(mails[0].message.clone()).expect("text");
    assert!(message.contains("\r\nSubject: Tell is up\r\n") && !message.contains("eve@"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_field_of_an_email_is_named_and_everything_typed_stays() {
    let (server, cookie) = server().await;
    let mail = MailServer::open().await;
    let id = set_up(&server, &mail).await.to_string();
    let many: String =
        (0..500).map(|n| if n == 321 { "u321@\n".into() } else { format!("u{n}@example.com\n") }).collect();
    let long = "x".repeat(501);
    for (field, typed, message) in [
        ("from_address", "ops", "has no @"),
        ("from_name", long.as_str(), "longer than 500 characters"),
        ("to", "", "A recipient is required"),
        ("to", many.as_str(), "u321@"),
        ("cc", "a b@example.com", "a b@example.com"),
        ("bcc", "${NAME}@example.com", "${NAME}@example.com"),
        ("subject", " ", "A subject is required."),
        ("body", "\r\n", "A body is required."),
        ("object", "", "Choose an object."),
    ] {
        let posted = fields(&[("object", &id), ("description", "<kept>"), (field, typed)]);
        let response = server.post_form("/tasks/new", &cookie, &posted).await;
        assert_eq!(response.status(), 422, "{field}");
        let page = response.text().await.expect("a page");
        let error = page.split_once(&format!("id=\"{field}-error\"")).map(|(_, rest)| rest).unwrap_or_default();
        let error = error.split_once("</p>").map(|(error, _)| error).unwrap_or_default();
        assert!(error.contains(message), "{field}: {error}");
        assert_eq!(page.matches("c-hint--error").count(), 1, "{field}: one message");
        for kept in ["&lt;kept>", "Ada &lt;ada@example.com>", "value=\"${NAME} is up\"", "first\n${EVENT}", "not used"]
        {
            let is_changed = EMAIL
                .iter()
                .any(|(name, text)| *name == field && text.replace("\r\n", "\n").contains(&kept.replace("&lt;", "<")));
            assert!(
                is_changed || (field == "subject" && kept.contains("is up")) || page.contains(kept),
                "{field}: {kept}"
            );
        }
        assert!(page.contains("<option value=\"email\" selected>"), "{field}");
    }
    assert!(server.services.backend().tasks.list().await.expect("tasks").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domain_that_no_e_mail_can_go_to_is_refused_at_save() {
    let (server, cookie) = server().await;
    let mail = MailServer::open().await;
    let id = set_up(&server, &mail).await.to_string();
    for typed in ["ops@exa％mple.com", "ops@example.１２"] {
        for field in ["from_address", "to", "cc", "bcc"] {
            let response = server.post_form("/tasks/new", &cookie, &fields(&[("object", &id), (field, typed)])).await;
            assert_eq!(response.status(), 422, "{field} {typed}");
            let page = response.text().await.expect("a page");
            assert!(page.contains(&format!("id=\"{field}-error\"")), "{field} {typed}");
            assert!(page.contains("has a domain that cannot exist"), "{field} {typed}");
        }
        let backend = server.services.backend();
        let stored = backend.mailers.load_form().await.expect("a form").draft;
        let refused = backend.mailers.save(MailerDraft { from_address: typed.into(), ..stored }).await;
        let refused = refused.expect_err("refused");
        assert!(refused.fields.message("from_address").is_some(), "{typed}");
        let refused = backend.mailers.send_test(typed.into()).await.expect_err("refused");
        assert!(refused.fields.message("to").is_some(), "{typed}");
    }
    let typed = [("object", id.as_str()), ("cc", "ops@bücher.example")];
    assert_eq!(server.post_form("/tasks/new", &cookie, &fields(&typed)).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_of_another_kind_is_refused_and_smtp_is_found_by_its_name() {
    let (server, cookie) = server().await;
    let webhook = server.webhook("SMTP", "https://example.com/", |_| ()).await.to_string();
    let post = async |posted: &[(&str, &str)]| {
        let response = server.post_form("/tasks/new", &cookie, posted).await;
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    // There is no mail server yet, but a webhook of its name.
    let page = server.http.get(format!("{}/tasks/new", server.url)).header("cookie", &cookie).send().await;
    let page = page.expect("a response").text().await.expect("a page");
    assert!(page.contains("There is no mail server yet.") && page.contains("href=\"/smtp/edit\""), "{page}");
    let (status, page) = post(&fields(&[("object", "SMTP")])).await;
    assert!(status == 422 && page.contains("Choose an object."), "{page}");
    let (status, page) = post(&fields(&[("object", &webhook)])).await;
    assert!(status == 422 && page.contains("An e-mail is sent through the mail server. Choose SMTP."), "{page}");

    let mail = MailServer::open().await;
    let mailer = set_up(&server, &mail).await.to_string();
    let (status, page) = post(&[("name", "t"), ("object", &mailer), ("message", "x")]).await;
    assert!(status == 422 && page.contains("A message is sent through a webhook. Choose one."), "{page}");
    let (status, page) = post(&fields(&[("object", "999")])).await;
    assert!(status == 422 && page.contains("This object does not exist any more."), "{page}");
    // The object type decides which of the two is meant.
    assert_eq!(post(&fields(&[("object", "SMTP")])).await.0, 303);
    assert_eq!(post(&[("name", "t"), ("object", "SMTP"), ("message", "x")]).await.0, 303);
    let rows = server.services.backend().tasks.list().await.expect("tasks");
    let objects: Vec<_> = rows.iter().map(|row| row.destination.path()).collect();
    assert_eq!(objects, ["/smtp".to_owned(), format!("/webhooks/{webhook}")]);
    let page = server.http.get(format!("{}/tasks/new?object={mailer}", server.url)).header("cookie", &cookie);
    let page = page.send().await.expect("a response").text().await.expect("a page");
    assert!(page.contains("<option value=\"email\" selected>"), "the object brings its type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_of_an_email_shows_what_is_sent() {
    let (server, _) = server().await;
    let mail = MailServer::open().await;
    let id = set_up(&server, &mail).await;
    let tasks = server.services.backend().tasks;
    let typed = TaskDraft { body: "${NAME}\n${data.disk} ${HOST}".into(), ..draft(id) };
    let task = tasks.save(None, typed.clone()).await.expect("saved");
    server.event(task).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let object = json!({"id": "vm 1", "name": "web\r\nBcc: evil@example.com"});
    let one = json!({"type": "vms", "event": "poweron", "object": object, "data": {"disk": 7}});
    let (_, response) = server.post(&key, &one).await;
    let occurrence = response["occurrences"][0]["id"].as_str().expect("an id").to_owned();
    server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await;
    let sent = String::from_utf8(mail.mails()[0].message.clone()).expect("text");

    let Previewed::Email(preview) = tasks.preview(typed.clone(), occurrence).await.expect("a preview") else {
        panic!("not an e-mail")
    };
    let body = preview.texts.body.body.replace("\r\n", "\n").replace('\n', "\r\n");
    assert!(sent.contains(&format!("\r\n\r\n{body}\r\n")), "{sent}");
    let subject = model::email::one_line(&preview.texts.subject.body);
    assert_eq!(subject, "web  Bcc: evil@example.com is up");
    let read = mail_parser::MessageParser::default().parse(sent.as_bytes()).expect("a message");
    assert_eq!(read.subject(), Some(subject.as_str()));
    assert!(read.bcc().is_none(), "{sent}");
    let problems: Vec<_> = preview.texts.body.problems.iter().map(|one| (one.line, one.column)).collect();
    assert_eq!(problems, [(2, 14)]);
    assert_eq!(
        (preview.from_address.as_str(), preview.default_name.as_str()),
        ("console@example.com", "The <console>")
    );
    let counts = |lists: &[(&'static str, Option<Vec<model::email::Mailbox>>)]| {
        lists.iter().map(|(label, list)| (*label, list.as_ref().map(Vec::len))).collect::<Vec<_>>()
    };
    assert_eq!(counts(&preview.recipients), [("To", Some(3)), ("CC", Some(1)), ("BCC", Some(1))]);

    // While it is typed, a wrong list or no object does not stand in the way.
    let typed = TaskDraft { object: String::new(), to: "bob".into(), cc: String::new(), ..typed };
    let Previewed::Email(preview) = tasks.preview(typed, String::new()).await.expect("a preview") else {
        panic!("not an e-mail")
    };
    assert_eq!((preview.texts.from_name.body.as_str(), preview.from_address.as_str()), ("web-01 <x>", ""));
    assert_eq!(counts(&preview.recipients), [("To", None), ("BCC", Some(1))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_of_an_unsaved_email_goes_to_the_typed_address_alone() {
    let (server, _) = server().await;
    let mail = MailServer::start(Script::new(Offer::Plain).on(|_, step| match step {
        Step::Command(line) if line.contains("<nobody@") => Some(Act::Reply("550 No <such> user\r\n".into())),
        _ => None,
    }))
    .await;
    let id = set_up(&server, &mail).await;
    let tasks = server.services.backend().tasks;
    // Neither a name nor recipients are needed for a test.
    let unsaved = TaskDraft { name: String::new(), to: "bob".into(), ..draft(id) };
    let Tested::Mail(result) = tasks.test(unsaved.clone(), " maria@example.com ".into()).await.expect("a test") else {
        panic!("not an e-mail")
    };
    assert_eq!((result.error, result.to.as_str()), (None, "maria@example.com"));
    assert!(result.dialogue.contains("C: RCPT TO:<maria@example.com>"), "{}", result.dialogue);
    let mails = mail.mails();
    assert_eq!((mails.len(), mails[0].recipients.as_slice()), (1, ["maria@example.com".to_owned()].as_slice()));
    let message = String::from_utf8(mails[0].message.clone()).expect("text");
    assert!(message.contains("\r\nSubject: web-01 is up\r\n") && message.contains("first\r\npoweron\r\n"), "{message}");
    assert!(message.contains("\r\nTo: maria@example.com\r\n") && !message.contains("dora@"), "{message}");

    let Tested::Mail(result) = tasks.test(unsaved.clone(), "nobody@example.com".into()).await.expect("a test") else {
        panic!("not an e-mail")
    };
    assert!(result.error.is_some_and(|error| error.contains("550")), "{}", result.dialogue);
    for (recipient, change, message) in [
        ("", None, "A recipient is required"),
        ("bob", None, "has no @"),
        ("a@example.com, b@example.com", None, "A test goes to one address."),
        ("a@example.com", Some("subject"), "A subject is required."),
        ("a@example.com", Some("object"), "Choose an object."),
    ] {
        let mut wrong = unsaved.clone();
        match change {
            Some("subject") => wrong.subject.clear(),
            Some(_) => wrong.object.clear(),
            None => {}
        }
        let refused = tasks.test(wrong, recipient.into()).await.expect_err(message);
        assert!(refused.fields.0.len() == 1 && refused.fields.0[0].message.contains(message), "{refused:?}");
    }
    assert_eq!(mail.mails().len(), 1);
    assert!(server.services.backend().deliveries.list_newest().await.expect("deliveries").is_empty());
}
