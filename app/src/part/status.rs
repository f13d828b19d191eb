//! States and instants: text with a sign.

use crate::view::When;
use leptos::prelude::*;
use model::delivery::Status;
use model::run;

/// The explanation of a state that cannot be read.
const UNREADABLE: &str = "This state cannot be read: it was written by a newer version or by hand.";

/// An instant.
#[component]
pub(crate) fn Time(when: When) -> impl IntoView {
    view! { <time datetime=when.machine title=when.full>{when.short}</time> }
}

/// Renders the instants of the runs to come, each with its weekday and zone.
pub(crate) fn next_times(runs: Vec<When>) -> AnyView {
    let run = |when: When| view! { <li><time datetime=when.machine>{when.full}</time></li> };
    let runs = runs.into_iter().map(run).collect_view();
    view! { <ol class="c-lines u-num" role="list" aria-label="Next runs">{runs}</ol> }.into_any()
}

/// Returns a delivery's status as a label.
pub(crate) fn status_label(status: Option<Status>) -> &'static str {
    let Some(status) = status else { return "Unreadable" };
    match status {
        Status::Queued => "Queued",
        Status::Running => "Running",
        Status::Sent => "Sent",
        Status::Error => "Error",
        Status::Held => "Held",
        Status::Discarded => "Discarded",
    }
}

/// Returns the class of a delivery's status.
pub(crate) fn status_class(status: Option<Status>) -> String {
    status.map_or_else(|| "c-status".to_owned(), |status| format!("c-status c-status--{}", status.as_str()))
}

/// Returns the explanation of a delivery's status, where there is one.
pub(crate) fn status_title(status: Option<Status>, held: Option<String>) -> Option<String> {
    if status.is_none() { Some(UNREADABLE.to_owned()) } else { held }
}

/// A delivery's status: shape, label and colour.
#[component]
pub(crate) fn StatusWord(
    status: Option<Status>,
    /// The reason for which it is held, as a sentence.
    #[prop(optional_no_strip)]
    held: Option<String>,
) -> impl IntoView {
    view! { <span class=status_class(status) title=status_title(status, held)>{status_label(status)}</span> }
}

/// Renders a run's status.
pub(crate) fn run_status(status: Option<run::Status>) -> AnyView {
    let class = match status {
        Some(run::Status::Succeeded) => "c-status c-status--sent",
        Some(run::Status::Failed | run::Status::Missed) => "c-status c-status--error",
        Some(run::Status::Running) => "c-status c-status--running",
        None => "c-status",
    };
    view! { <span class=class title=status.is_none().then_some(UNREADABLE)>{run_status_label(status)}</span> }
        .into_any()
}

/// Returns a run's status as a label.
pub(crate) fn run_status_label(status: Option<run::Status>) -> &'static str {
    match status {
        Some(run::Status::Succeeded) => "Succeeded",
        Some(run::Status::Failed) => "Failed",
        Some(run::Status::Running) => "Running",
        Some(run::Status::Missed) => "Missed",
        None => "Unreadable",
    }
}

/// "Enabled" or "Disabled", with a sign.
#[component]
pub(crate) fn Enabled(is_enabled: bool) -> impl IntoView {
    let (class, word) = if is_enabled { ("c-status c-status--ok", "Enabled") } else { ("c-status", "Disabled") };
    view! { <span class=class>{word}</span> }
}
