//! Words with a sign: states, and instants.

use crate::part::icon::Icon;
use crate::view::When;
use leptos::prelude::*;
use model::delivery::{HoldReason, Status};

/// An instant.
#[component]
pub(crate) fn Time(when: When) -> impl IntoView {
    view! { <time datetime=when.machine title=when.full>{when.short}</time> }
}

/// A delivery's status: shape, word, colour.
#[component]
pub(crate) fn StatusWord(status: Status, #[prop(optional_no_strip)] hold: Option<HoldReason>) -> impl IntoView {
    let (icon, word) = match status {
        Status::Queued => ("queued", "Queued"),
        Status::Running => ("running", "Running"),
        Status::Sent => ("sent", "Sent"),
        Status::Error => ("error", "Error"),
        Status::Held => ("held", "Held"),
        Status::Discarded => ("discarded", "Discarded"),
    };
    let title = hold.map(HoldReason::words);
    view! { <span class=format!("c-status c-status--{}", status.as_str()) title=title><Icon name=icon/>{word}</span> }
}

/// A run's status.
pub(crate) fn run_status(status: &str) -> AnyView {
    let (class, icon, word) = match status {
        "succeeded" => ("c-status c-status--sent", "sent", "Succeeded"),
        "failed" => ("c-status c-status--error", "error", "Failed"),
        _ => ("c-status c-status--running", "running", "Running"),
    };
    view! { <span class=class><Icon name=icon/>{word}</span> }.into_any()
}

/// "Enabled" or "Disabled", with its sign.
#[component]
pub(crate) fn Enabled(is_enabled: bool) -> impl IntoView {
    let (class, icon, word) =
        if is_enabled { ("c-status c-status--ok", "sent", "Enabled") } else { ("c-status", "discarded", "Disabled") };
    view! { <span class=class><Icon name=icon/>{word}</span> }
}
