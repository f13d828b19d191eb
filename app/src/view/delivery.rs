//! Deliveries: their list with its filters, and a single delivery with everything about it.

use crate::view::When;
use crate::view::destination::DestinationLink;
use crate::view::event::EventLink;
use crate::view::webhook::ShownHeader;
use model::delivery::Status;
use model::email::Recipient;
use model::hold::HoldReason;
use model::id::TaskId;

/// A delivery as a line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLine {
    /// The public id, `webhook-id` on the wire.
    pub uuid: String,
    /// The status.
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    /// The reason for which the delivery is held.
    pub hold: Option<HoldReason>,
    /// The instant at which the delivery was queued.
    pub created: When,
    /// The destination, by its name when the delivery was queued.
    pub destination: DestinationLink,
    /// The task's name when the delivery was queued.
    pub task: String,
    /// "Power On".
    pub event: String,
    /// The object's name.
    pub object: String,
    /// The number of attempts made.
    pub attempts: u32,
    /// The status code of the last response.
    pub status_code: Option<u16>,
    /// The duration of the last attempt, in milliseconds.
    pub duration_ms: Option<u32>,
    /// The instant at which the next attempt is due; `None` before the first one.
    pub next: Option<When>,
    /// The last failure as a sentence.
    pub error: Option<String>,
}

impl DeliveryLine {
    /// Returns the reason for which the delivery is held, as a sentence.
    pub fn held(&self) -> Option<String> {
        self.hold.map(|reason| reason.message(self.destination.kind))
    }

    /// Returns true when nothing more happens by itself, which includes a state that cannot be read.
    pub fn is_settled(&self) -> bool {
        self.status.is_none_or(Status::is_settled)
    }
}

/// The filters of a delivery list, as typed.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the filter of that name")]
pub struct DeliveryQuery {
    pub status: String,
    /// `1h`, `24h`, `7d`.
    pub since: String,
    /// The id of a destination.
    pub of_destination: String,
    pub destination: String,
    pub task: String,
    pub event: String,
    pub object: String,
    /// A status code or an error code.
    pub result: String,
    /// `time`, `attempts` or `duration`, with `-` in front for descending.
    pub sort: String,
    /// The number of the page, from 1.
    pub page: u64,
    /// The id at which an earlier search ended, which this search continues.
    pub beyond: Option<i64>,
}

/// A delivery with everything about it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct DeliveryDetail {
    pub line: DeliveryLine,
    /// The request as it is sent, with secrets masked.
    pub request: Request,
    pub body: String,
    /// Doubts about the message, each a sentence. The receiver may refuse the message because of them.
    pub notes: Vec<String>,
    pub attempts: Vec<AttemptLine>,
    /// The largest possible number of attempts.
    pub attempts_max: u32,
    pub timeout_ms: u32,
    /// The occurrence's public id.
    pub occurrence: Option<String>,
    /// The events that started the delivery's run.
    pub events: Vec<EventLink>,
    pub task_id: Option<TaskId>,
    /// The person who caused the delivery, if it was a person: `Executed by maria`.
    pub caused_by: Option<String>,
    /// The public id of the delivery that this one repeats.
    pub replay_of: Option<String>,
    pub is_destination_deleted: bool,
    /// The message of an e-mail, instead of a request and its body.
    pub mail: Option<Mail>,
    /// The recipients of an e-mail, each with the server's last reply.
    pub recipients: Vec<Recipient>,
    pub code: Option<String>,
}

/// A request as a person may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Request {
    pub method: String,
    pub url: String,
    /// The headers in the order in which they are sent.
    pub headers: Vec<ShownHeader>,
}

/// The message of an e-mail, decoded for reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// The address that errors return to, if a mailer is stored.
    pub sender: Option<String>,
    /// The headers in their order, each with its name.
    pub headers: Vec<(String, String)>,
    /// The text.
    pub text: String,
}

/// One attempt.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct AttemptLine {
    pub number: u32,
    pub started: When,
    pub duration_ms: u32,
    /// `None` when a kept-alive connection was used, or none was made.
    pub connect_ms: Option<u32>,
    pub first_byte_ms: Option<u32>,
    pub status_code: Option<u16>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub response_headers: String,
    /// The body of the response, decoded and in its character set. For an e-mail, the dialogue.
    pub response_body: String,
    pub response_bytes: usize,
    pub note: Option<String>,
}
