//! The console's time zone as typed. The server, which has the names of all time zones, checks the name.

use crate::draft::draft;

draft! {
    /// The time zone as typed. Field names are those of the form.
    pub struct ZoneDraft {
        time_zone,
        /// The name that was stored when the form was opened.
        revision,
    }
}
