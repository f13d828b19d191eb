//! Compares every page in its states with snapshots, rendered from a fake backend.
//!
//! The paths come from the routes, so a new page fails here until it has its snapshots: `INSTA_UPDATE=always cargo test
//! -p app --features ssr --test pages` writes them, and the diff is reviewed.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod fake;

use app::error::{AppError, Code, Versions};
use app::session::Viewer;
use app::shell::Assets;
use app::view::destination::Tested;
use app::{App, Posted};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use fake::{MAIL_UUID, State, UUID, backend};
use leptos::prelude::provide_context;
use model::access::Role;
use model::catalog::Catalog;
use model::event::EventDraft;
use model::mailer::MailerDraft;
use model::schedule::{ScheduleDraft, TriggerDraft, ZoneDraft};
use model::tag::CategoryDraft;
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use serde_json::json;
use std::sync::LazyLock;

/// The path of every page, `/webhooks/{id}`. Reading the routes also starts the executor that renders pages.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut paths: Vec<_> = leptos_axum::generate_route_list(App).iter().map(|route| route.path().to_owned()).collect();
    paths.sort();
    paths.dedup();
    paths
});

/// The groups of pages that have their own test, by the first segment of their paths.
const GROUPS: &[(&str, &[&str])] = &[
    ("webhooks", &["webhooks"]),
    ("smtp", &["smtp"]),
    ("tasks", &["tasks"]),
    ("events", &["events"]),
    ("deliveries", &["deliveries", "occurrences", "runs"]),
    ("schedules", &["schedules", "triggers", "time-zone"]),
    ("inventory", &["objects", "tags", "types"]),
];

/// The group of the pages that are in no other.
const OTHERS: &str = "others";

/// The pages for signing in, which are not shown to signed-in people.
const ALONE: &[&str] = &["/sign-in", "/setup"];

/// The pages that look different to a viewer without the permission to edit.
const READ_ONLY: &[&str] = &[
    "/webhooks/new",
    "/webhooks/{id}",
    "/webhooks/{id}/edit",
    "/webhooks/{id}/test",
    "/smtp",
    "/smtp/edit",
    "/smtp/test",
    "/tasks/new",
    "/tasks/{id}",
    "/tasks/{id}/edit",
    "/events/new",
    "/events/{id}",
    "/schedules/new",
    "/schedules/{id}",
    "/schedules/{id}/edit",
    "/triggers/new",
    "/time-zone",
    "/objects/new",
    "/objects/{id}",
];

/// The forms that are islands. A viewer sees them read-only.
const ISLANDS: &[&str] = &["/webhooks/{id}/edit", "/tasks/{id}/edit", "/events/{id}", "/schedules/{id}/edit"];

fn group_of(path: &str) -> &'static str {
    let segment = path.split('/').nth(1).unwrap_or_default();
    GROUPS.iter().find(|(_, segments)| segments.contains(&segment)).map_or(OTHERS, |found| found.0)
}

/// Returns true if the page shows rows, so that their number matters.
fn has_rows(path: &str) -> bool {
    let is_form = path.ends_with("/new") || ["/smtp/edit", "/smtp/test", "/time-zone"].contains(&path);
    !path.contains('{') && !is_form && !ALONE.contains(&path)
}

/// Returns a path with its parameter filled in.
fn address(path: &str) -> String {
    let has_uuid = path.starts_with("/deliveries/") || path.starts_with("/occurrences/");
    path.replace("{id}", if has_uuid { UUID } else { "1" })
}

/// Returns the name of a page's snapshots: `webhooks-id-edit`.
fn name_of(path: &str) -> String {
    match path.trim_matches('/') {
        "" => "dashboard".to_owned(),
        path => path.replace('/', "-").replace(['{', '}'], ""),
    }
}

/// A rendered page.
struct Shown {
    status: u16,
    title: String,
    body: String,
}

impl Shown {
    fn snapshot(&self) -> String {
        format!("{}\n{}\n{}", self.status, self.title, self.body)
    }
}

async fn show(address: &str, state: State, role: Option<Role>, posted: Posted) -> Shown {
    LazyLock::force(&PATHS);
    let context = move || {
        provide_context(backend(state));
        provide_context(assets());
        provide_context(posted.clone());
    };
    let mut request = Request::get(address).body(Body::empty()).expect("the address is one");
    if let Some(role) = role {
        request.extensions_mut().insert(Viewer { id: 1, name: "maria".to_owned(), role });
    }
    let response = leptos_axum::render_app_async_with_context(context, App)(request).await;
    let status = response.status().as_u16();
    let html = to_bytes(response.into_body(), usize::MAX).await.expect("a page is rendered whole");
    let html = filtered(&without_marks(std::str::from_utf8(&html).expect("a page is UTF-8")));
    let title = between(&html, "<title>", "</title>").to_owned();
    let body = lines(&without_sprite(between(&html, "<body", "</body>")));
    Shown { status, title, body: format!("<body{body}") }
}

fn assets() -> Assets {
    let file = |name: &str| format!("/pkg/{name}");
    Assets {
        css: file("hookwright.css"),
        js: file("hookwright.js"),
        wasm: file("hookwright.wasm"),
        morph: file("morph.js"),
        ..Assets::default()
    }
}

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = html.split_once(start).expect("a page has a title and a body");
    rest.split_once(end).expect("what begins ends").0
}

/// Removes the marks for hydration, as the server does.
fn without_marks(html: &str) -> String {
    let mut parts = html.split("<!--");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once("-->").map_or(part, |(_, rest)| rest));
    }
    out.replace("<!>", "")
}

fn without_sprite(html: &str) -> String {
    let id = html.find("id=\"icons\"").expect("a page has icons");
    let start = html[..id].rfind("<svg").expect("the id stands in a tag");
    let (_, rest) = html[start..].split_once("</svg>").expect("the icons end");
    format!("{}{rest}", &html[..start])
}

/// Replaces the values that change with each build or request.
fn filtered(html: &str) -> String {
    let html = with_values(html, "nonce=\"", |_| "NONCE");
    let html = with_values(&html, "\"/pkg/", |_| "FILE");
    // The name of an island ends with a number that depends on its position in the source.
    with_values(&html, "data-component=\"", |name| name.rsplit_once('_').map_or(name, |(name, _)| name))
}

/// Returns the text with each value changed that stands between `start` and the next quotation mark.
fn with_values(html: &str, start: &str, change: impl Fn(&str) -> &str) -> String {
    let mut parts = html.split(start);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = part.split_once('"').expect("a value ends");
        out.push_str(&format!("{start}{}\"{rest}", change(value)));
    }
    out
}

/// Puts each element on a line of its own, so that a diff is readable.
fn lines(html: &str) -> String {
    html.replace('<', "\n<").replace("\n</", "</")
}

fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn administrator(path: &str) -> Option<Role> {
    (!ALONE.contains(&path)).then_some(Role::Admin)
}

async fn check_state(path: &str, state: State, word: &str) {
    let shown = show(&address(path), state, administrator(path), Posted::default()).await;
    compare(&format!("{}@{word}", name_of(path)), &shown.snapshot());
}

/// Checks the pages of a group: each with one row of everything, and pages with rows also with none and with many.
async fn check_group(group: &str) {
    let paths: Vec<_> = PATHS.iter().filter(|path| group_of(path) == group).collect();
    assert!(!paths.is_empty(), "no page is in the group {group}");
    for path in paths {
        check_state(path, State::One, "one").await;
        if has_rows(path) {
            check_state(path, State::Empty, "empty").await;
            check_state(path, State::Many, "many").await;
        }
    }
}

/// Returns path, status and title of every page for which `is_wanted` holds, one a line.
async fn statuses(state: State, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for path in PATHS.iter().filter(|path| is_wanted(path)) {
        let shown = show(&address(path), state, administrator(path), Posted::default()).await;
        text.push_str(&format!("{path}: {} {}\n", shown.status, shown.title));
    }
    text
}

async fn check_refused(path: &str, role: Option<Role>, draft: serde_json::Value, problem: AppError) {
    let posted = Posted { draft, problem: Some(problem), tested: None };
    let shown = show(path, State::One, role, posted).await;
    compare(&format!("{}@refused", name_of(path)), &shown.snapshot());
}

#[tokio::test]
async fn webhooks() {
    check_group("webhooks").await;
}

#[tokio::test]
async fn smtp() {
    check_group("smtp").await;
}

#[tokio::test]
async fn tasks() {
    check_group("tasks").await;
}

#[tokio::test]
async fn events() {
    check_group("events").await;
}

#[tokio::test]
async fn deliveries() {
    check_group("deliveries").await;
}

#[tokio::test]
async fn schedules() {
    check_group("schedules").await;
}

#[tokio::test]
async fn inventory() {
    check_group("inventory").await;
}

#[tokio::test]
async fn others() {
    check_group(OTHERS).await;
}

#[tokio::test]
async fn read_only() {
    for path in READ_ONLY {
        assert!(PATHS.iter().any(|found| found == path), "{path} is no page any more");
        let shown = show(&address(path), State::One, Some(Role::Viewer), Posted::default()).await;
        compare(&format!("{}@viewer", name_of(path)), &shown.snapshot());
    }
}

/// Names may contain each other, and change.
#[tokio::test]
async fn links_to_the_rows_of_one_thing_filter_by_its_id() {
    let uuid = format!("/deliveries/{UUID}");
    let mail = format!("/deliveries/{MAIL_UUID}");
    let smtp = format!("/deliveries?of_destination={}", fake::mailer::link().id);
    for (page, link) in [
        ("/webhooks/1", "/deliveries?of_destination=1"),
        (&uuid, "/deliveries?of_destination=1"),
        ("/smtp", &smtp),
        (&mail, &smtp),
        ("/tasks/1", "/runs?of_task=1"),
    ] {
        let shown = show(page, State::One, Some(Role::Admin), Posted::default()).await;
        assert!(shown.body.contains(&format!("href=\"{link}\"")), "{page}: {}", shown.body);
    }
}

#[tokio::test]
async fn result_of_a_command_is_true_of_the_page_that_shows_it() {
    for (address, message, wrong) in [
        ("/deliveries?done=replayed-checked", "Queued again, each as a new delivery.", Some("This is the new")),
        ("/events?done=disabled", "Disabled.", Some("executed by hand")),
        ("/tasks/1?done=disabled-task", "It can still be executed by hand.", None),
        ("/tasks/1?done=executed", "with the state of its delivery", Some("on its way")),
    ] {
        let shown = show(address, State::One, Some(Role::Admin), Posted::default()).await;
        assert!(shown.body.contains(message), "{address}: {}", shown.body);
        assert!(!wrong.is_some_and(|wrong| shown.body.contains(wrong)), "{address}: {}", shown.body);
    }
    let shown = show("/tasks?done=deleted", State::Many, Some(Role::Admin), Posted::default()).await;
    assert!(shown.body.contains("Deleted."), "{}", shown.body);
    assert!(!shown.body.contains("done="), "a link says it again: {}", shown.body);
}

#[tokio::test]
async fn bin_asks_before_it_deletes() {
    for (page, action, question) in [
        (
            "/tags",
            "/tags/1/delete",
            "Delete the tag Environment 1 - production? It is removed from the object that carries it.",
        ),
        ("/tags", "/tags/categories/1/delete", "Delete the category Environment 1 with its tag?"),
        ("/types", "/types/backups/delete", "Delete the object type Backups with its event type?"),
        ("/types", "/types/backups/failed/delete", "Delete the event type Failed of Backups?"),
        ("/tasks/1", "/triggers/1/delete", "Delete the trigger of"),
        ("/schedules/1", "/triggers/1/delete", "Delete the trigger of"),
    ] {
        let body = show(page, State::One, Some(Role::Admin), Posted::default()).await.body;
        let (before, _) = body.split_once(&format!("action=\"{action}\"")).expect("a form");
        let (_, dialog) = before.rsplit_once("role=\"dialog\"").expect("the form is in a dialog");
        assert!(dialog.contains(question) && !dialog.contains("</section>"), "{page}: {dialog}");
    }
}

#[tokio::test]
async fn ids_are_unique_on_a_page_with_several_questions() {
    for page in ["/tags", "/types", "/tasks/1", "/schedules/1"] {
        let body = show(page, State::Many, Some(Role::Admin), Posted::default()).await.body;
        let ids: Vec<_> = body.split(" id=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{page}: {ids:?}");
    }
}

#[tokio::test]
async fn filter_by_a_thing_stays_in_force_and_can_be_removed() {
    let address = "/deliveries?of_destination=7&status=error&page=2";
    let shown = show(address, State::Many, Some(Role::Admin), Posted::default()).await;
    compare("deliveries@of-destination", &shown.snapshot());
    for part in [
        "<input type=\"hidden\" name=\"of_destination\" value=\"7\"",
        "Chat 7",
        "href=\"/deliveries?status=error\"",
        "href=\"/deliveries?of_destination=7&amp;page=3&amp;status=error\"",
        "href=\"/deliveries?beyond=70&amp;of_destination=7&amp;status=error\"",
        "<input type=\"hidden\" name=\"query\" value=\"of_destination=7&amp;page=2&amp;status=error\"",
    ] {
        assert!(shown.body.contains(part), "no {part}: {}", shown.body);
    }
    let shown = show("/runs?of_task=7", State::Empty, Some(Role::Admin), Posted::default()).await;
    assert!(shown.body.contains("Nothing matches these filters."), "{}", shown.body);
}

#[tokio::test]
async fn viewer_is_offered_no_form_and_no_new_thing() {
    for path in PATHS.iter().filter(|path| !ALONE.contains(&path.as_str()) && !ISLANDS.contains(&path.as_str())) {
        for state in [State::Empty, State::One] {
            let body = show(&address(path), state, Some(Role::Viewer), Posted::default()).await.body;
            let main = between(&body, "<main", "</main>");
            // A list has its form for checked rows, which a viewer cannot check.
            let forms =
                main.matches("method=\"post\"").count() - main.matches("method=\"post\" id=\"selection\"").count();
            assert_eq!(forms, 0, "{path}: {main}");
            assert!(!main.contains("/new\"") && !main.contains("/new?"), "{path}: {main}");
        }
    }
}

#[tokio::test]
async fn away() {
    compare("away", &statuses(State::Away, |_| true).await);
    check_state("/webhooks", State::Away, "away").await;
}

#[tokio::test]
async fn not_found() {
    compare("not-found", &statuses(State::Empty, |path| path.contains('{')).await);
    check_state("/nowhere", State::One, "one").await;
}

#[tokio::test]
async fn refused_webhook() {
    let draft = WebhookDraft {
        url: "ftp://example.com".to_owned(),
        timeout: "1".to_owned(),
        headers: "no header".to_owned(),
        ..WebhookDraft::default()
    };
    let errors = draft.parse(None).expect_err("four fields are wrong");
    let draft = serde_json::to_value(draft).expect("a draft is texts");
    check_refused("/webhooks/new", Some(Role::Admin), draft, errors.into()).await;
}

#[tokio::test]
async fn task_of_an_email() {
    let id = fake::MAIL_TASK;
    for (path, name) in [(format!("/tasks/{id}"), "tasks-id"), (format!("/tasks/{id}/edit"), "tasks-id-edit")] {
        let shown = show(&path, State::One, Some(Role::Admin), Posted::default()).await;
        compare(&format!("{name}@mail"), &shown.snapshot());
    }
    let draft = TaskDraft {
        object_type: "email".to_owned(),
        object: "1".to_owned(),
        to: "ada@example.com,\nbob".to_owned(),
        message: "kept".to_owned(),
        ..TaskDraft::default()
    };
    let errors = draft.parse().expect_err("name, recipients, subject and body are wrong");
    let draft = serde_json::to_value(draft).expect("a draft is texts");
    check_refused("/tasks/new", Some(Role::Admin), draft, errors.into()).await;
}

/// The next edit would empty a field of the draft that is in no form.
#[tokio::test]
async fn form_has_a_control_for_each_field_of_its_draft() {
    // A refused form has the most fields.
    let refused = WebhookDraft { retype: "token".to_owned(), ..WebhookDraft::default() };
    let draft = serde_json::to_value(refused).expect("a draft is texts");
    let posted = Posted { draft, problem: Some(AppError::forbidden()), tested: None };
    let refused = MailerDraft { retype: "password".to_owned(), ..MailerDraft::default() };
    let mailer = Posted { draft: serde_json::to_value(refused).expect("a draft is texts"), ..posted.clone() };
    for (path, posted, fields) in [
        ("/webhooks/1/edit", posted, WebhookDraft::FIELDS),
        ("/smtp/edit", mailer, MailerDraft::FIELDS),
        ("/tasks/1/edit", Posted::default(), TaskDraft::FIELDS),
        ("/events/1", Posted::default(), EventDraft::FIELDS),
        ("/schedules/1/edit", Posted::default(), ScheduleDraft::FIELDS),
        ("/triggers/new", Posted::default(), TriggerDraft::FIELDS),
        ("/time-zone", Posted::default(), ZoneDraft::FIELDS),
    ] {
        let form = show(path, State::One, Some(Role::Admin), posted).await.body;
        let missing: Vec<_> = fields.iter().filter(|field| !form.contains(&format!("name=\"{field}\""))).collect();
        assert!(missing.is_empty(), "{path} has no control for {missing:?}");
    }
}

#[tokio::test]
async fn refused_mailer() {
    let draft = MailerDraft {
        server: "http://mail.example.com".to_owned(),
        port: "0".to_owned(),
        encryption: "none".to_owned(),
        allow_insecure: "true".to_owned(),
        username: "ops".to_owned(),
        password: "canary-4f7a".to_owned(),
        from_address: "ops@".to_owned(),
        revision: "4".to_owned(),
        ..MailerDraft::default()
    };
    let errors = draft.parse(None).expect_err("three fields are wrong");
    let draft = serde_json::to_value(draft.without_secrets()).expect("a draft is texts");
    check_refused("/smtp/edit", Some(Role::Admin), draft, errors.into()).await;
}

#[tokio::test]
async fn conflict_over_the_mailer_shows_both_versions_and_adopts_the_saved_revision() {
    let version = |field: &str, yours: &str, saved: &str| Versions {
        field: field.to_owned(),
        yours: yours.to_owned(),
        saved: saved.to_owned(),
    };
    let versions = vec![version("revision", "3", "4"), version("server", "<mine>", "theirs.example.com")];
    let problem = AppError { versions, ..AppError::new(Code::Conflict, "Somebody else changed this mail server.") };
    let draft = MailerDraft { server: "<mine>".to_owned(), revision: "3".to_owned(), ..MailerDraft::default() };
    let posted = Posted { draft: serde_json::to_value(draft).expect("texts"), problem: Some(problem), tested: None };
    let shown = show("/smtp/edit", State::One, Some(Role::Admin), posted).await;
    compare("smtp-edit@conflict", &shown.snapshot());
}

#[tokio::test]
async fn tested_mailer() {
    let posted = Posted {
        draft: json!({"to": "bob@example.com"}),
        problem: None,
        tested: Some(Tested::Mail(fake::mailer::test_result())),
    };
    let shown = show("/smtp/test", State::One, Some(Role::Operator), posted).await;
    compare("smtp-test@tested", &shown.snapshot());
}

#[tokio::test]
async fn e_mail() {
    for (state, word) in [(State::One, "one"), (State::Many, "many")] {
        let shown = show(&format!("/deliveries/{MAIL_UUID}"), state, Some(Role::Admin), Posted::default()).await;
        compare(&format!("deliveries-id@mail-{word}"), &shown.snapshot());
    }
}

#[tokio::test]
async fn refused_schedule() {
    let draft = ScheduleDraft {
        every: "0".to_owned(),
        start_date: "2025-02-30".to_owned(),
        start_time: "7".to_owned(),
        description: "kept".to_owned(),
        ..ScheduleDraft::default()
    };
    let errors = draft.parse().expect_err("five fields are wrong");
    let draft = serde_json::to_value(draft).expect("a draft is texts");
    check_refused("/schedules/new", Some(Role::Admin), draft, errors.into()).await;
}

#[tokio::test]
async fn refused_trigger() {
    let errors = TriggerDraft::default().parse().expect_err("two fields are wrong");
    check_refused("/triggers/new", Some(Role::Admin), json!({"task": "none"}), errors.into()).await;
}

#[tokio::test]
async fn trigger_form_opened_from_one_side_asks_for_the_other_alone() {
    for (address, name) in [("/triggers/new?task=1", "task"), ("/triggers/new?schedule=1", "schedule")] {
        let shown = show(address, State::One, Some(Role::Admin), Posted::default()).await;
        compare(&format!("triggers-new@of-{name}"), &shown.snapshot());
    }
    let draft = json!({"from": "task", "task": "1", "schedule": ""});
    let posted = Posted { draft, problem: Some(AppError::forbidden()), tested: None };
    let shown = show("/triggers/new", State::One, Some(Role::Admin), posted).await;
    assert!(shown.body.contains("Starts the task"), "a refused form forgets the task it is for: {}", shown.body);
}

#[tokio::test]
async fn refused_category() {
    let draft = CategoryDraft { name: "a/b".to_owned(), ..CategoryDraft::default() };
    let errors = draft.parse(&Catalog::default()).expect_err("the name has a slash, and no type is chosen");
    let problem = AppError::from(errors).with_field_renamed("name", "category_name");
    let draft = json!({"category_name": "a/b", "description": "What for", "single": "true"});
    check_refused("/tags", Some(Role::Admin), draft, problem).await;
}

#[tokio::test]
async fn refused_sign_in() {
    let draft = json!({"name": "maria", "password": "", "next": "/tasks"});
    let problem = AppError::new(Code::Invalid, "This name and password do not belong together.");
    check_refused("/sign-in", None, draft, problem).await;
}
