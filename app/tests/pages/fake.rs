//! A fake backend with fixed data: none, one or many of everything, or a database that is down.

pub(crate) mod mailer;
mod schedule;

use app::backend::{Backend, Catalogue, Deliveries, Events, Inventory, Occurrences, Tasks, Webhooks};
use app::error::{AppError, Code};
use app::view::dashboard::{Counts, Dashboard, Hour};
use app::view::delivery::{AttemptLine, DeliveryDetail, DeliveryLine, DeliveryQuery, Request};
use app::view::destination::{DestinationLink, DestinationState, Failing, HeldCount, ReleaseChoice, Tested};
use app::view::event::{EventForm, EventLine, EventLink, EventMatches, EventRow, MatchedOccurrence, TagChoice};
use app::view::inventory::{CarriedTag, CategoryLine, ObjectLine, ObjectList, ObjectQuery, TagLine, UnknownLine};
use app::view::occurrence::{Considered, SentBecause, Why};
use app::view::run::{RunDelivery, RunLine, RunQuery};
use app::view::task::{Previewed, TaskDetail, TaskForm, TaskLink, TaskRow};
use app::view::webhook::{SavedWebhook, ShownHeader, TestRequest, TestResult, WebhookDetail, WebhookForm, WebhookRow};
use app::view::{Choice, FoundChoices, Listed, PAGE_ROWS, When};
use async_trait::async_trait;
use model::catalog::{Catalog, EventKind, EventKindDraft, TypeDefinition, TypeDraft};
use model::delivery::Status;
use model::destination::Kind;
use model::email::{Email, Mailbox};
use model::event::EventDraft;
use model::header::{HeaderList, MASK};
use model::hold::HoldReason;
use model::id::{CategoryId, DestinationId, EventId, ObjectId, RunId, TagId, TaskId, WebhookId};
use model::matching::Reason;
use model::object::ObjectDraft;
use model::preview::Preview;
use model::run;
use model::tag::{CategoryDraft, TagDraft};
use model::task::{Action, Task, TaskDraft, WebhookSend};
use model::url::TargetUrl;
use model::webhook::{Authorization, Method, Settings, WebhookDraft};
use std::sync::Arc;
use std::time::Duration;

/// The public id of every delivery and occurrence.
pub(crate) const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The public id of a delivery that is an e-mail.
pub(crate) const MAIL_UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

/// The number of rows of a list that the page itself divides, then for a list that the database divides: on the page,
/// and in all.
const MANY: i64 = 51;
const PAGE: i64 = 5;
const TOTAL: u64 = 12_345;

/// The contents of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No rows. Nothing is found.
    Empty,
    /// One row of everything, with every field set.
    One,
    /// More than one page of everything.
    Many,
    /// The database is down.
    Away,
}

/// Returns the backend in this state.
pub(crate) fn backend(state: State) -> Backend {
    let fake = Arc::new(Fake { state });
    Backend {
        webhooks: fake.clone(),
        mailers: fake.clone(),
        tasks: fake.clone(),
        events: fake.clone(),
        schedules: fake.clone(),
        deliveries: fake.clone(),
        occurrences: fake.clone(),
        inventory: fake.clone(),
        catalog: fake,
    }
}

struct Fake {
    state: State,
}

impl Fake {
    /// Returns a value that exists in every state, unless the database is down.
    fn always<T>(&self, value: T) -> Result<T, AppError> {
        match self.state {
            State::Away => {
                let message = "The database is not available right now. Try again in a moment.";
                Err(AppError::new(Code::Unavailable, message))
            }
            State::Empty | State::One | State::Many => Ok(value),
        }
    }

    /// Returns a value that exists unless there are no rows.
    fn found<T>(&self, what: &str, value: T) -> Result<T, AppError> {
        if self.state == State::Empty { Err(AppError::not_found(what)) } else { self.always(value) }
    }

    /// Returns all rows, each made from its number.
    fn rows<T>(&self, make: impl Fn(i64) -> T) -> Result<Vec<T>, AppError> {
        self.always((1..=self.count(MANY)).map(make).collect())
    }

    /// Returns a page of rows.
    fn page<T>(&self, make: impl Fn(i64) -> T) -> Result<Listed<T>, AppError> {
        let rows: Vec<_> = (1..=self.count(PAGE)).map(make).collect();
        let total = if self.state == State::Many { TOTAL } else { rows.len() as u64 };
        let further = (self.state == State::Many).then_some(70);
        self.always(Listed { rows, total, further, of_name: None })
    }

    fn count(&self, many: i64) -> i64 {
        match self.state {
            State::Empty | State::Away => 0,
            State::One => 1,
            State::Many => many,
        }
    }

    fn choices(&self, name: &str) -> FoundChoices {
        let make = |number: i64| choice(&number.to_string(), &format!("{name} {number}"));
        FoundChoices { choices: (1..=self.count(20)).map(make).collect(), has_more: self.state == State::Many }
    }
}

fn when() -> When {
    When {
        short: "11:38:07".to_owned(),
        full: "2025-10-16 11:38:07 EDT".to_owned(),
        machine: "2025-10-16T15:38:07Z".to_owned(),
    }
}

fn choice(value: &str, label: &str) -> Choice {
    Choice { value: value.to_owned(), label: label.to_owned() }
}

fn header(name: &str, value: &str, is_masked: bool) -> ShownHeader {
    ShownHeader { name: name.to_owned(), value: value.to_owned(), is_masked }
}

fn headers() -> Vec<ShownHeader> {
    vec![header("Content-Type", "application/json", false), header("X-Token", "stored, not shown", true)]
}

fn chat(number: i64) -> DestinationLink {
    DestinationLink { id: DestinationId(number), kind: Kind::Webhook, name: format!("Chat {number}") }
}

const URL: &str = "https://chat.example.com/hook?a=1&b=<2>";
/// The settings of a webhook, every one filled.
fn settings(number: i64) -> Settings {
    Settings {
        name: format!("Chat {number}"),
        url: TargetUrl::parse("https://chat.example.com/hook?a=1&b=2").expect("a URL"),
        method: if number % 2 == 1 { Method::Post } else { Method::Put },
        authorization: Authorization::Bearer,
        headers: HeaderList::parse("Content-Type: application/json\nX-Token: stored, not shown", "").expect("headers"),
        allows_insecure_tls: true,
        is_direct: true,
        timeout: Duration::from_secs(10),
        retries: 3,
        note: "Tells the people on call.\nAsk <Maria>.".to_owned(),
    }
}

const MESSAGE: &str = "{\"text\": \"${NAME} <is> on\"}";
const FAILURE: &str = "Returned 503 Service Unavailable.";

fn status_of(number: i64) -> Status {
    match number % 6 {
        1 => Status::Error,
        2 => Status::Sent,
        3 => Status::Held,
        4 => Status::Queued,
        5 => Status::Running,
        _ => Status::Discarded,
    }
}

fn delivery_line(number: i64) -> DeliveryLine {
    let status = status_of(number);
    let has_failed = status == Status::Error;
    DeliveryLine {
        uuid: UUID.to_owned(),
        status: Some(status),
        hold: (status == Status::Held).then_some(HoldReason::Paused),
        created: when(),
        destination: chat(number),
        task: format!("Tell {number}"),
        event: "Power On".to_owned(),
        object: format!("web-{number}"),
        attempts: 3,
        status_code: Some(if has_failed { 503 } else { 200 }),
        duration_ms: Some(42),
        next: Some(when()),
        error: has_failed.then(|| FAILURE.to_owned()),
    }
}

fn run_line(number: i64) -> RunLine {
    let status = match number % 3 {
        1 => run::Status::Failed,
        2 => run::Status::Succeeded,
        _ => run::Status::Running,
    };
    RunLine {
        id: RunId(number),
        task_id: Some(TaskId(number)),
        task: format!("Tell {number}"),
        status: Some(status),
        started: when(),
        ended: Some(when()),
        cause: format!("Virtual Machines: Power On, web-{number}"),
        note: None,
        occurrence: Some(UUID.to_owned()),
        deliveries: vec![RunDelivery {
            uuid: UUID.to_owned(),
            status: Some(status_of(number)),
            error: Some(FAILURE.to_owned()),
        }],
    }
}

fn object_line(number: i64) -> ObjectLine {
    ObjectLine {
        id: ObjectId(number),
        type_id: "vms".to_owned(),
        type_label: "Virtual Machines".to_owned(),
        name: format!("web-{number}"),
        external_id: format!("vm-{number}"),
        tags: vec![CarriedTag { id: TagId(1), label: "Environment 1 - production".to_owned() }],
        is_gone: number % 4 == 1,
    }
}

/// Returns the built-in types, and one that an administrator has added.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.add_type(&TypeDefinition {
        id: "backups".to_owned(),
        singular: "Backup".to_owned(),
        plural: "Backups".to_owned(),
        has_objects: true,
        has_tags: true,
    });
    catalog.add_event("backups", EventKind { id: "failed".to_owned(), label: "Failed".to_owned() });
    catalog
}

#[async_trait]
impl Webhooks for Fake {
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError> {
        self.rows(|number| WebhookRow {
            id: WebhookId(number),
            settings: settings(number),
            tasks: 2,
            is_paused: number % 3 == 1,
            is_failing: number % 3 == 2,
            held: 1234,
        })
    }

    async fn load_form(&self, _: WebhookId) -> Result<WebhookForm, AppError> {
        let draft = WebhookDraft {
            name: "Chat 1".to_owned(),
            url: URL.to_owned(),
            auth_type: "api_key".to_owned(),
            api_key_header: "X-Key".to_owned(),
            api_key_prefix: "Key".to_owned(),
            sign: "true".to_owned(),
            headers: format!("Content-Type: application/json\nX-Token: {MASK}"),
            allow_insecure: "true".to_owned(),
            direct: "true".to_owned(),
            timeout: "10".to_owned(),
            retries: "3".to_owned(),
            method: "PUT".to_owned(),
            note: "Tells the people on call.\nAsk <Maria>.".to_owned(),
            revision: "4".to_owned(),
            ..WebhookDraft::default()
        };
        let form = WebhookForm {
            draft,
            origin: "https://chat.example.com:443".to_owned(),
            secret_headers: vec!["X-Token".to_owned()],
        };
        self.found("webhook", form)
    }

    async fn save(&self, _: Option<WebhookId>, _: WebhookDraft) -> Result<SavedWebhook, AppError> {
        self.always(SavedWebhook { id: WebhookId(1), is_unresolved: false })
    }

    async fn delete(&self, _: Vec<WebhookId>) -> Result<(), AppError> {
        self.always(())
    }

    async fn pause(&self, _: WebhookId) -> Result<(), AppError> {
        self.always(())
    }

    async fn detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError> {
        let held = [HoldReason::Paused, HoldReason::Breaker, HoldReason::Target, HoldReason::Releasing];
        let detail = WebhookDetail {
            id,
            revision: 4,
            settings: Settings {
                method: Method::Put,
                authorization: Authorization::ApiKey { header: "X-Key".to_owned(), prefix: "Key".to_owned() },
                ..settings(1)
            },
            is_signing: true,
            in_clear: vec!["X-Secret".to_owned()],
            state: DestinationState {
                paused: Some(when()),
                failing: Some(Failing { since: when(), probe: when() }),
                releasing_per_second: Some(10),
                held: held.map(|reason| HeldCount { reason, count: 1234 }).into(),
            },
            tasks: vec![TaskLink { id: TaskId(1), name: "Tell 1".to_owned(), is_enabled: true }],
            deliveries: vec![delivery_line(1)],
        };
        self.found("webhook", detail)
    }

    async fn seal_headers(&self, _: WebhookId, _: i64) -> Result<(), AppError> {
        self.always(())
    }

    async fn send_test(&self, _: Option<WebhookId>, _: TestRequest) -> Result<TestResult, AppError> {
        self.always(TestResult::default())
    }

    async fn send_saved_test(&self, _: WebhookId, _: String) -> Result<TestResult, AppError> {
        self.always(TestResult::default())
    }

    async fn resume(&self, _: WebhookId, _: ReleaseChoice) -> Result<(), AppError> {
        self.always(())
    }

    async fn confirm_target(&self, _: WebhookId, _: i64, _: ReleaseChoice) -> Result<(), AppError> {
        self.always(())
    }
}

/// The task that sends an e-mail. All others send through a webhook.
pub(crate) const MAIL_TASK: TaskId = TaskId(2);

fn task(id: TaskId) -> Task {
    let mailbox = |number: usize| Mailbox { name: String::new(), address: format!("ops-{number}@example.com") };
    let email = Email {
        from_address: "hooks@example.com".to_owned(),
        from_name: "Hooks of ${NAME}".to_owned(),
        to: vec![Mailbox { name: "Lovelace, \"Ada\"".to_owned(), address: "ada@example.com".to_owned() }],
        cc: (1..=11).map(mailbox).collect(),
        bcc: vec![mailbox(12)],
        subject: "${NAME} <is> on".to_owned(),
        body: "Hello,\n${NAME} & <b>all</b> is on.\n".to_owned(),
    };
    let (destination_id, action) = if id == MAIL_TASK {
        (mailer::link().id, Action::Email(email))
    } else {
        (DestinationId(1), Action::Webhook(WebhookSend { message: MESSAGE.to_owned() }))
    };
    Task {
        name: format!("Tell {id}"),
        description: "Tells the people on call".to_owned(),
        is_enabled: true,
        deletes_after_running: true,
        destination_id,
        action,
    }
}

#[async_trait]
impl Tasks for Fake {
    async fn list(&self) -> Result<Vec<TaskRow>, AppError> {
        self.rows(|number| TaskRow {
            id: TaskId(number),
            name: format!("Tell {number}"),
            description: "Tells the people on call".to_owned(),
            is_enabled: number % 2 == 1,
            destination: chat(number),
            events: 3,
        })
    }

    async fn load_form(&self, id: Option<TaskId>, object: Option<DestinationId>) -> Result<TaskForm, AppError> {
        let webhooks = self.choices("Chat");
        let smtp = mailer::link();
        let smtp = choice(&smtp.id.to_string(), &smtp.name);
        let is_there = usize::from(self.state != State::Empty);
        let mailers = FoundChoices { choices: vec![smtp.clone(); is_there], has_more: false };
        let chosen = |id: DestinationId| choice(&id.to_string(), &format!("Chat {id}"));
        let Some(id) = id else {
            return self.always(TaskForm {
                name: String::new(),
                draft: TaskDraft::new_form(),
                webhooks,
                mailers,
                object: object.map(chosen),
                occurrences: Vec::new(),
            });
        };
        let task = task(id);
        let form = TaskForm {
            name: task.name.clone(),
            object: Some(if id == MAIL_TASK { smtp } else { chosen(object.unwrap_or(task.destination_id)) }),
            draft: TaskDraft::of(&task, 4),
            webhooks,
            mailers,
            occurrences: vec![choice(UUID, "Power On, web-1, 11:38:07")],
        };
        self.found("task", form)
    }

    async fn find_webhooks(&self, _: String) -> Result<FoundChoices, AppError> {
        self.always(self.choices("Chat"))
    }

    async fn variables(&self, _: String) -> Result<Vec<Choice>, AppError> {
        self.always(vec![choice("data.level", "warning")])
    }

    async fn save(&self, _: Option<TaskId>, _: TaskDraft) -> Result<TaskId, AppError> {
        self.always(TaskId(1))
    }

    async fn delete(&self, _: Vec<TaskId>) -> Result<(), AppError> {
        self.always(())
    }

    async fn set_enabled(&self, _: Vec<TaskId>, _: bool) -> Result<(), AppError> {
        self.always(())
    }

    async fn detail(&self, id: TaskId) -> Result<TaskDetail, AppError> {
        let event = EventLine {
            id: EventId(1),
            label: "Power On".to_owned(),
            type_label: "Virtual Machines".to_owned(),
            scope: "web-1".to_owned(),
            is_enabled: true,
        };
        let task = task(id);
        let detail = TaskDetail {
            id,
            name: task.name,
            description: task.description,
            is_enabled: task.is_enabled,
            deletes_after_running: task.deletes_after_running,
            is_running: true,
            destination: Some(if id == MAIL_TASK { mailer::link() } else { chat(1) }),
            action: task.action,
            events: vec![event],
            schedules: schedule::trigger_lines(),
            runs: vec![run_line(1)],
            run_count: 1,
        };
        self.found("task", detail)
    }

    async fn execute(&self, _: TaskId, _: String) -> Result<String, AppError> {
        self.always(UUID.to_owned())
    }

    async fn preview(&self, _: TaskDraft, _: String) -> Result<Previewed, AppError> {
        self.always(Previewed::Request(Preview::default()))
    }

    async fn test(&self, _: TaskDraft, _: String) -> Result<Tested, AppError> {
        self.always(Tested::Webhook(TestResult::default()))
    }
}

#[async_trait]
impl Events for Fake {
    async fn list(&self) -> Result<Vec<EventRow>, AppError> {
        self.rows(|number| EventRow {
            id: EventId(number),
            type_label: "Virtual Machines".to_owned(),
            event_label: "Power On".to_owned(),
            scope: format!("web-{number}"),
            task_id: TaskId(number),
            task_name: format!("Tell {number}"),
            is_enabled: number % 2 == 1,
        })
    }

    async fn load_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError> {
        let chosen = |id: TaskId| choice(&id.to_string(), &format!("Tell {id}"));
        let tag = TagChoice {
            value: "1".to_owned(),
            label: "Environment 1 - production".to_owned(),
            type_ids: vec!["vms".to_owned()],
        };
        let form = EventForm {
            name: String::new(),
            draft: EventDraft::new_form(),
            tasks: self.choices("Tell"),
            task: task.map(chosen),
            object: None,
            objects: FoundChoices::default(),
            object_named: String::new(),
            tags: if self.state == State::Empty { Vec::new() } else { vec![tag] },
            catalog: catalog(),
        };
        if id.is_none() {
            return self.always(form);
        }
        let stored = EventForm {
            name: "Power On".to_owned(),
            draft: EventDraft {
                event: "vms.poweron".to_owned(),
                object: "1".to_owned(),
                tag: "1".to_owned(),
                task: "1".to_owned(),
                revision: "4".to_owned(),
                ..EventDraft::new_form()
            },
            task: Some(chosen(task.unwrap_or(TaskId(1)))),
            object: Some(choice("1", "web-1")),
            objects: self.choices("web"),
            object_named: "vm-1".to_owned(),
            ..form
        };
        self.found("event", stored)
    }

    async fn find_tasks(&self, _: String) -> Result<FoundChoices, AppError> {
        self.always(self.choices("Tell"))
    }

    async fn save(&self, _: Option<EventId>, _: EventDraft) -> Result<EventId, AppError> {
        self.always(EventId(1))
    }

    async fn delete(&self, _: Vec<EventId>) -> Result<(), AppError> {
        self.always(())
    }

    async fn set_enabled(&self, _: Vec<EventId>, _: bool) -> Result<(), AppError> {
        self.always(())
    }

    async fn find_objects(&self, _: String, _: String) -> Result<FoundChoices, AppError> {
        self.always(self.choices("web"))
    }

    async fn matches(&self, _: EventDraft) -> Result<EventMatches, AppError> {
        let newest = MatchedOccurrence { id: UUID.to_owned(), received: when(), object: "web-1".to_owned() };
        self.always(EventMatches { objects: Some(1), occurrences: 1, newest: vec![newest], among: None })
    }
}

#[async_trait]
impl Deliveries for Fake {
    async fn list_newest(&self) -> Result<Vec<DeliveryLine>, AppError> {
        self.rows(delivery_line)
    }

    async fn search(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError> {
        let of = Some(query.of_destination).filter(|id| !id.is_empty()).map(|id| format!("Chat {id}"));
        Ok(Listed { of_name: of, ..self.page(delivery_line)? })
    }

    async fn detail(&self, uuid: String) -> Result<DeliveryDetail, AppError> {
        let attempt = AttemptLine {
            number: 1,
            started: when(),
            duration_ms: 42,
            connect_ms: Some(5),
            first_byte_ms: Some(30),
            status_code: Some(503),
            code: Some("status".to_owned()),
            error: Some(FAILURE.to_owned()),
            response_headers: "content-type: text/plain".to_owned(),
            response_body: "<busy>".to_owned(),
            response_bytes: 6,
            note: Some("The receiver asked for a pause of 5 s.".to_owned()),
        };
        if uuid == MAIL_UUID {
            return self.found("delivery", mailer::delivery(self.state));
        }
        let detail = DeliveryDetail {
            line: DeliveryLine { uuid, ..delivery_line(1) },
            request: Request { method: "PUT".to_owned(), url: URL.to_owned(), headers: headers() },
            body: "{\"text\": \"web-1 <is> on\"}".to_owned(),
            notes: vec!["The occurrence has no data.level: nothing is filled in.".to_owned()],
            attempts: vec![attempt],
            attempts_max: 4,
            timeout_ms: 10_000,
            occurrence: Some(UUID.to_owned()),
            events: vec![EventLink { id: EventId(1), label: "Power On".to_owned() }],
            task_id: Some(TaskId(1)),
            caused_by: Some("Executed by maria".to_owned()),
            replay_of: Some(UUID.to_owned()),
            is_destination_deleted: false,
            mail: None,
            recipients: Vec::new(),
            code: Some("status".to_owned()),
        };
        self.found("delivery", detail)
    }

    async fn runs(&self, _: RunQuery) -> Result<Listed<RunLine>, AppError> {
        self.page(run_line)
    }

    async fn dashboard(&self) -> Result<Dashboard, AppError> {
        if self.state == State::Empty {
            return self.always(Dashboard::default());
        }
        let many = self.count(MANY);
        let count = usize::try_from(many).unwrap_or_default();
        let each = many.unsigned_abs();
        let hour = |hour: u64| Hour {
            label: format!("{hour:02}:00"),
            sent: hour * each,
            failed: hour % 3 * each,
            waiting: hour % 2 * each,
        };
        self.always(Dashboard {
            tasks: Counts { all: count, enabled: count },
            events: Counts { all: count, enabled: count },
            schedules: Counts { all: count, enabled: count },
            webhooks: count,
            paused: count,
            failing: count,
            failed_tasks: count,
            hours: (0..24).map(hour).collect(),
            p50_ms: Some(42 * many),
            p95_ms: Some(420 * many),
            queued: many,
            running: many,
            held: many,
            oldest: Some("5 min".to_owned()),
            failures: vec![delivery_line(1)],
            recent: (1..=self.count(10)).map(delivery_line).collect(),
            is_demo: true,
        })
    }

    async fn replay(&self, _: String, _: bool, _: String) -> Result<String, AppError> {
        self.always(UUID.to_owned())
    }

    async fn discard(&self, _: String, _: String) -> Result<(), AppError> {
        self.always(())
    }
}

#[async_trait]
impl Occurrences for Fake {
    async fn why(&self, uuid: String) -> Result<Why, AppError> {
        let considered = |number: i64, reason: Option<Reason>| Considered {
            event_id: EventId(number),
            scope: format!("web-{number}"),
            task_id: TaskId(number),
            task: format!("Tell {number}"),
            reason,
            words: reason.map_or("It fired.", Reason::words).to_owned(),
            deliveries: if reason.is_none() {
                vec![SentBecause { id: UUID.to_owned(), status: Some(Status::Sent), destination: "Chat 1".to_owned() }]
            } else {
                Vec::new()
            },
        };
        let why = Why {
            id: uuid,
            type_id: "vms".to_owned(),
            type_label: "Virtual Machines".to_owned(),
            event_id: "poweron".to_owned(),
            event_label: "Power On".to_owned(),
            is_known: true,
            object: Some("web-1".to_owned()),
            object_id: Some("vm-1".to_owned()),
            tags: vec!["Environment 1/production".to_owned()],
            source: "hypervisor".to_owned(),
            received: when(),
            occurred: Some(when()),
            data: Some("{\n  \"level\": \"<warning>\"\n}".to_owned()),
            repeats: 2,
            considered: vec![considered(1, None), considered(2, Some(Reason::OtherObject))],
        };
        self.found("occurrence", why)
    }
}

#[async_trait]
impl Inventory for Fake {
    async fn list_objects(&self, _: ObjectQuery) -> Result<ObjectList, AppError> {
        let mut rows = self.rows(object_line)?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let (total, types) = (rows.len() as u64, rows.iter().map(|row| row.type_label.clone()).collect());
        rows.truncate(usize::try_from(PAGE_ROWS).unwrap_or_default());
        Ok(ObjectList { rows, total, types })
    }

    async fn load_object(&self, id: ObjectId) -> Result<ObjectLine, AppError> {
        self.found("object", object_line(id.0))
    }

    async fn list_categories(&self) -> Result<Vec<CategoryLine>, AppError> {
        self.rows(|number| CategoryLine {
            id: CategoryId(number),
            name: format!("Environment {number}"),
            description: "Where it runs".to_owned(),
            is_single: true,
            type_ids: vec!["vms".to_owned()],
            revision: 4,
            tags: vec![TagLine { id: TagId(number), name: "production".to_owned(), objects: 1 }],
        })
    }

    async fn save_object(&self, _: Option<ObjectId>, _: ObjectDraft) -> Result<ObjectId, AppError> {
        self.always(ObjectId(1))
    }

    async fn delete_objects(&self, _: Vec<ObjectId>) -> Result<(), AppError> {
        self.always(())
    }

    async fn save_category(&self, _: Option<CategoryId>, _: CategoryDraft) -> Result<CategoryId, AppError> {
        self.always(CategoryId(1))
    }

    async fn delete_category(&self, _: CategoryId) -> Result<(), AppError> {
        self.always(())
    }

    async fn add_tag(&self, _: TagDraft) -> Result<TagId, AppError> {
        self.always(TagId(1))
    }

    async fn delete_tag(&self, _: TagId) -> Result<(), AppError> {
        self.always(())
    }
}

#[async_trait]
impl Catalogue for Fake {
    async fn load(&self) -> Result<Catalog, AppError> {
        self.always(if self.state == State::Empty { Catalog::default() } else { catalog() })
    }

    async fn unknown(&self) -> Result<Vec<UnknownLine>, AppError> {
        self.rows(|number| UnknownLine {
            type_id: "printers".to_owned(),
            event_id: format!("jam-{number}"),
            seen: number.unsigned_abs(),
            last: when(),
            is_type_known: false,
        })
    }

    async fn add_type(&self, _: TypeDraft) -> Result<(), AppError> {
        self.always(())
    }

    async fn add_event(&self, _: String, _: EventKindDraft) -> Result<(), AppError> {
        self.always(())
    }

    async fn delete_type(&self, _: String) -> Result<(), AppError> {
        self.always(())
    }

    async fn delete_event(&self, _: String, _: String) -> Result<(), AppError> {
        self.always(())
    }
}
