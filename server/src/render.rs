//! From a task's message to the bytes of a delivery: the instant written out in the system's zone, and chance.

use jiff::tz::TimeZone;
use model::message::{Escape, Rendered, TooLarge, Variables, render};
use model::time::Timestamp;

/// `Thu, 16 Oct 2025 11:38:07 EDT`.
pub fn date(now: Timestamp, zone: &TimeZone) -> String {
    zoned(now, zone).strftime("%a, %d %b %Y %H:%M:%S %Z").to_string()
}

/// The instant in the zone; out of range it is 1970.
pub fn zoned(at: Timestamp, zone: &TimeZone) -> jiff::Zoned {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(zone.clone())
}

/// Renders with real chance for `${RANDOM}`.
pub fn message(template: &str, content_type: Option<&str>, variables: &Variables<'_>) -> Result<Rendered, TooLarge> {
    render(template, Escape::for_content_type(content_type), variables, &mut rand::random::<u32>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_specification() {
        let zone = TimeZone::get("America/New_York").expect("a zone");
        assert_eq!(date(Timestamp(1_760_629_087_000), &zone), "Thu, 16 Oct 2025 11:38:07 EDT");
    }
}
