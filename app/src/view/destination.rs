//! Destinations: the data that pages show for every kind, and the choices of a person who ends a hold.

use crate::view::When;
use crate::view::mailer::MailTest;
use crate::view::webhook::TestResult;
use model::destination::Kind;
use model::hold::HoldReason;
use model::id::DestinationId;

/// A destination as a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationLink {
    /// The id.
    pub id: DestinationId,
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

impl DestinationLink {
    /// Returns the path of the destination's page.
    pub fn path(&self) -> String {
        match self.kind {
            Kind::Webhook => format!("/webhooks/{}", self.id),
            Kind::Mailer => "/smtp".to_owned(),
        }
    }

    /// Returns the name of the icon.
    pub fn icon(&self) -> &'static str {
        match self.kind {
            Kind::Webhook => "webhook",
            Kind::Mailer => "mail",
        }
    }
}

/// The reasons that hold a destination, if any do.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct DestinationState {
    pub paused: Option<When>,
    /// The open breaker, if it is open.
    pub failing: Option<Failing>,
    pub releasing_per_second: Option<u32>,
    /// Held deliveries by reason.
    pub held: Vec<HeldCount>,
}

impl DestinationState {
    /// Returns the number of deliveries that are held for this reason.
    pub fn count(&self, reason: HoldReason) -> u64 {
        self.held.iter().filter(|held| held.reason == reason).map(|held| held.count).sum()
    }
}

/// An open breaker.
#[derive(Debug, Clone)]
pub struct Failing {
    /// The instant at which the breaker opened.
    pub since: When,
    /// The instant at which the next probe is due.
    pub probe: When,
}

/// The deliveries that are held for one reason.
#[derive(Debug, Clone, Copy)]
pub struct HeldCount {
    /// The reason.
    pub reason: HoldReason,
    /// The number of deliveries.
    pub count: u64,
}

/// The held deliveries that are sent when a destination is resumed or its target is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All are sent.
    All,
    /// Of each object the newest is sent, and the others are discarded.
    Newest,
    /// None is sent: all are discarded.
    None,
}

/// The way in which a hold is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseChoice {
    /// The deliveries that are sent.
    pub held: Held,
    /// Deliveries per second. `None` for all at once.
    pub per_second: Option<u32>,
}

/// The result of a test message.
#[derive(Debug, Clone)]
pub enum Tested {
    /// An HTTP exchange.
    Webhook(TestResult),
    /// A session with the mail server.
    Mail(MailTest),
}
