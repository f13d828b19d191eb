//! The fake mailer, and a delivery of it.

use super::{Fake, MAIL_UUID, State, UUID, delivery_line, when};
use app::backend::Mailers;
use app::error::AppError;
use app::view::delivery::{AttemptLine, DeliveryDetail, DeliveryLine, Mail, Request};
use app::view::destination::{DestinationLink, DestinationState, Failing, HeldCount, ReleaseChoice};
use app::view::mailer::{MailTest, MailerDetail, MailerForm, SavedMailer};
use app::view::task::TaskLink;
use async_trait::async_trait;
use model::delivery::Status;
use model::destination::Kind;
use model::email::{Recipient, RecipientState};
use model::hold::HoldReason;
use model::id::{DestinationId, TaskId};
use model::mailer::{Encryption, MailerDraft, NAME, Settings};
use std::time::Duration;

const ERROR: &str = "2 of 3 recipients accepted.\nbob@example.com was refused: 550 No <such> user";

/// The settings of the mailer, every one filled.
fn settings() -> Settings {
    Settings {
        host: "2001:db8::25".to_owned(),
        port: 25,
        encryption: Encryption::None,
        username: "ops <1>".to_owned(),
        from_address: "ops@example.com".to_owned(),
        from_name: "Operations, <day>".to_owned(),
        allows_insecure_tls: true,
        timeout: Duration::from_secs(30),
        retries: 10,
    }
}

pub(crate) fn link() -> DestinationLink {
    DestinationLink { id: DestinationId(9), kind: Kind::Mailer, name: NAME.to_owned() }
}

fn line() -> DeliveryLine {
    DeliveryLine {
        uuid: MAIL_UUID.to_owned(),
        status: Some(Status::Error),
        destination: link(),
        status_code: Some(550),
        error: Some(ERROR.to_owned()),
        ..delivery_line(1)
    }
}

fn recipient(address: &str, state: RecipientState, reply: &str) -> Recipient {
    Recipient { address: address.to_owned(), state, reply: reply.to_owned() }
}

/// Returns an e-mail to three recipients, or in the state of many to more than the page shows at first.
pub(super) fn delivery(state: State) -> DeliveryDetail {
    let more = if state == State::Many { 9 } else { 0 };
    let accepted = |number: i32| recipient(&format!("team-{number}@example.com"), RecipientState::Accepted, "250 Ok");
    let mut recipients = vec![
        recipient("alice@example.com", RecipientState::Accepted, "250 Ok"),
        recipient("bob@example.com", RecipientState::Refused, "550 No <such> user\n550 Go away"),
        recipient("carol@example.com", RecipientState::Pending, ""),
    ];
    recipients.extend((1..=more).map(accepted));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    DeliveryDetail {
        line: line(),
        request: Request::default(),
        body: String::new(),
        notes: Vec::new(),
        attempts: vec![AttemptLine {
            number: 1,
            started: when(),
            duration_ms: 420,
            connect_ms: Some(5),
            first_byte_ms: Some(30),
            status_code: Some(550),
            code: Some("refused_recipient".to_owned()),
            error: Some(ERROR.to_owned()),
            response_headers: String::new(),
            response_body: "S: 220 mail.example.com\nC: EHLO hookwright\nS: 250 Ok".to_owned(),
            response_bytes: 60,
            note: None,
        }],
        attempts_max: 11,
        timeout_ms: 30_000,
        occurrence: Some(UUID.to_owned()),
        events: Vec::new(),
        task_id: Some(TaskId(1)),
        caused_by: None,
        replay_of: None,
        is_destination_deleted: false,
        mail: Some(Mail {
            sender: Some("ops@example.com".to_owned()),
            headers: vec![header("From", "Operations <ops@example.com>"), header("Subject", "web-1 <is> on")],
            text: "It is on.\n<b>Really.</b>\n".to_owned(),
        }),
        recipients,
        code: Some("refused_recipient".to_owned()),
    }
}

/// The result of a test.
pub(crate) fn test_result() -> MailTest {
    MailTest {
        to: "bob@example.com".to_owned(),
        status_code: Some(535),
        error: Some("The server refused the user name or the password: 535 <No>.".to_owned()),
        dialogue: "S: 220 mail.example.com\nC: AUTH PLAIN ••••\nS: 535 <No>".to_owned(),
        note: Some("the rest of the dialogue was not kept".to_owned()),
        duration_ms: 42,
        connect_ms: Some(5),
        ..MailTest::default()
    }
}

#[async_trait]
impl Mailers for Fake {
    async fn load_form(&self) -> Result<MailerForm, AppError> {
        let is_stored = self.state != State::Empty;
        let draft = if is_stored { MailerDraft::of(&settings(), 4) } else { MailerDraft::default() };
        self.always(MailerForm { draft, is_stored, has_password: is_stored })
    }

    async fn save(&self, _: MailerDraft) -> Result<SavedMailer, AppError> {
        self.always(SavedMailer { is_unresolved: false })
    }

    async fn detail(&self) -> Result<Option<MailerDetail>, AppError> {
        if self.state == State::Empty {
            return self.always(None);
        }
        let held = [HoldReason::Paused, HoldReason::Breaker, HoldReason::Target, HoldReason::Releasing];
        // One state has every hold, the other none.
        let state = if self.state == State::One {
            DestinationState {
                paused: Some(when()),
                failing: Some(Failing { since: when(), probe: when() }),
                releasing_per_second: Some(10),
                held: held.map(|reason| HeldCount { reason, count: 1234 }).into(),
            }
        } else {
            DestinationState::default()
        };
        let settings = if self.state == State::One {
            settings()
        } else {
            Settings { host: "mail.example.com".to_owned(), username: String::new(), ..settings() }
        };
        self.always(Some(MailerDetail {
            id: link().id,
            revision: 4,
            settings,
            has_password: true,
            state,
            tasks: vec![TaskLink { id: TaskId(1), name: "Tell 1".to_owned(), is_enabled: true }],
            deliveries: if self.state == State::One { vec![line()] } else { Vec::new() },
        }))
    }

    async fn send_test(&self, _: String) -> Result<MailTest, AppError> {
        self.always(test_result())
    }

    async fn pause(&self) -> Result<(), AppError> {
        self.always(())
    }

    async fn resume(&self, _: ReleaseChoice) -> Result<(), AppError> {
        self.always(())
    }

    async fn confirm_target(&self, _: i64, _: ReleaseChoice) -> Result<(), AppError> {
        self.always(())
    }
}
