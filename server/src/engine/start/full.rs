//! A delivery that its destination could not hold, and the alarm about it.

use crate::store::internal::InternalEvent;
use model::destination::Kind;
use model::id::DestinationId;
use model::occurrence::Occurrence;

/// A delivery that its destination could not hold.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of the delivery")]
pub struct FullHold {
    pub destination_id: DestinationId,
    pub kind: Kind,
    pub destination_name: String,
    pub depth: u32,
}

impl FullHold {
    /// Returns the internal event about the full hold.
    pub fn alarm(&self) -> InternalEvent {
        let (name, noun) = (&self.destination_name, self.kind.noun());
        let text = format!("The {noun} {name} has reached its limit of held deliveries; further ones are errors.");
        let occurrence = Occurrence {
            type_id: "alarms".to_owned(),
            event_id: "raised".to_owned(),
            object: None,
            external_id: None,
            source: None,
            time: None,
            data: Some(serde_json::json!({ "level": "error", "text": text, self.kind.as_str(): name })),
        };
        InternalEvent { occurrence, about_destination: Some(self.destination_id), depth: self.depth + 1 }
    }
}
