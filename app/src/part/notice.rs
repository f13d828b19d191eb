//! Notices above a page's content: the result of a command, or the reason for its refusal. Also the text of an empty
//! list.

use crate::asked::Asked;
use crate::error::{AppError, Code};
use crate::part::icon::Icon;
use crate::part::versions::versions_table;
use crate::view::done::Done;
use leptos::prelude::*;

/// Renders the notices of a page: a refusal that no field shows, and the result of a command.
pub(crate) fn notices(asked: &Asked) -> AnyView {
    let problem = asked.posted.problem.clone().filter(|problem| problem.fields.is_empty());
    // Only the code of a result shows a message, so that a link cannot put text into the page.
    let done = Done::find(asked.query.value("done")).map(done_message);
    view! {
        {problem.map(|problem| view! { <Problem error=problem/> })}
        {done.map(|(icon, class, message)| view! { <div class=class role="status"><Icon name=icon/><p>{message}</p></div> })}
    }
    .into_any()
}

/// Returns icon, class and message of a result.
fn done_message(done: Done) -> (&'static str, &'static str, &'static str) {
    let message = match done {
        Done::Deleted => "Deleted.",
        Done::Saved => "Saved.",
        Done::Paused => "Paused. New deliveries are held, none is dropped.",
        Done::Resumed => "Resumed.",
        Done::Sealed => "Sealed. The values are no longer shown, and are removed from earlier revisions.",
        Done::Confirmed => "Confirmed.",
        Done::Executed => "Started. Its run is below, with the state of its delivery.",
        Done::Replayed => "Queued again. This is the new delivery.",
        Done::ReplayedChecked => "Queued again, each as a new delivery.",
        Done::Discarded => "Discarded.",
        Done::Triggered => "Triggered. The runs of its tasks are in Task Logs.",
        Done::Enabled => "Enabled.",
        Done::Disabled => "Disabled.",
        Done::DisabledTask => "Disabled. It can still be executed by hand.",
        Done::Posted => "Something has happened. See what came of it below.",
        Done::Unresolved => {
            let message = "Saved, but the name of its host does not resolve at the moment. Until it does, every attempt ends with the error dns.";
            return ("warn", "c-note c-note--warn", message);
        }
    };
    ("sent", "c-note c-note--ok", message)
}

/// A refusal, with links to the things that prevent the command.
#[component]
fn Problem(error: AppError) -> impl IntoView {
    let links = (!error.links.is_empty()).then(|| {
        let links = error.links.into_iter().map(|link| view! { <li><a href=link.href>{link.label}</a></li> });
        view! { <ul class="c-inline" role="list">{links.collect_view()}</ul> }
    });
    let (class, icon) = match error.code {
        Code::Partial => ("c-note c-note--warn", "warn"),
        _ => ("c-note c-note--danger", "error"),
    };
    view! {
        <div class=class role="alert">
            <Icon name=icon/>
            <div>
                <p>{error.message}</p>
                {(!error.versions.is_empty()).then(|| versions_table(error.versions))}
                {links}
            </div>
        </div>
    }
}

/// The text of an empty list: its purpose.
#[component]
pub(crate) fn Empty(
    icon: &'static str,
    /// One sentence about the list's future rows.
    text: &'static str,
    /// The path of the form for the first row, and the button's label, for people who may create one.
    #[prop(optional_no_strip)]
    new: Option<(&'static str, &'static str)>,
) -> impl IntoView {
    let button = new.map(|(href, label)| {
        view! { <div class="l-row"><a class="c-button c-button--primary" href=href>{label}</a></div> }
    });
    view! {
        <div class="c-empty">
            <Icon name=icon/>
            <p>{text}</p>
            {button}
        </div>
    }
}
