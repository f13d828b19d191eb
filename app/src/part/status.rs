//! States and instants: text with a sign.

use crate::view::When;
use leptos::prelude::*;
use model::delivery::{HoldReason, Status};
use model::run;

/// An instant.
#[component]
pub(crate) fn Time(when: When) -> impl IntoView {
    view! { <time datetime=when.machine title=when.full>{when.short}</time> }
}

/// Returns a delivery's status as a label.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Queued => "Queued",
        Status::Running => "Running",
        Status::Sent => "Sent",
        Status::Error => "Error",
        Status::Held => "Held",
        Status::Discarded => "Discarded",
    }
}

/// A delivery's status: shape, label and colour.
#[component]
pub(crate) fn StatusWord(status: Status, #[prop(optional_no_strip)] hold: Option<HoldReason>) -> impl IntoView {
    let title = hold.map(HoldReason::words);
    view! { <span class=format!("c-status c-status--{}", status.as_str()) title=title>{status_word(status)}</span> }
}

/// Renders a run's status.
pub(crate) fn run_status(status: run::Status) -> AnyView {
    let (class, word) = match status {
        run::Status::Succeeded => ("c-status c-status--sent", "Succeeded"),
        run::Status::Failed => ("c-status c-status--error", "Failed"),
        run::Status::Running => ("c-status c-status--running", "Running"),
    };
    view! { <span class=class>{word}</span> }.into_any()
}

/// "Enabled" or "Disabled", with a sign.
#[component]
pub(crate) fn Enabled(is_enabled: bool) -> impl IntoView {
    let (class, word) = if is_enabled { ("c-status c-status--ok", "Enabled") } else { ("c-status", "Disabled") };
    view! { <span class=class>{word}</span> }
}
