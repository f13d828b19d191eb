//! Notes above a page's content: what a command has done, or why it was refused; and what a list is for while it is empty.

use crate::asked::Asked;
use crate::error::{AppError, Code};
use crate::part::icon::Icon;
use leptos::prelude::*;

/// The notes of a page: a refusal that no field shows, and what a command has done.
pub(crate) fn notices(asked: &Asked) -> AnyView {
    let problem = asked.posted.problem.clone().filter(|problem| problem.fields.is_empty());
    let done = done_words(asked.query.value("done"));
    view! {
        {problem.map(|problem| view! { <Problem error=problem/> })}
        {done.map(|(icon, class, words)| view! { <div class=class role="status"><Icon name=icon/><p>{words}</p></div> })}
    }
    .into_any()
}

/// What a command has done, by the word the redirect carries: sign, class, words. Only these: a link cannot put words
/// into the page.
fn done_words(word: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let words = match word {
        "deleted" => "Deleted.",
        "saved" => "Saved.",
        "paused" => "Paused. What comes is held, nothing is dropped.",
        "resumed" => "Resumed.",
        "sealed" => {
            "Sealed. The values are shown to nobody any more, and are gone from what was kept of earlier states."
        }
        "confirmed" => "Confirmed.",
        "executed" => "Started. Its delivery is on its way.",
        "replayed" => "Queued again. This is the new delivery.",
        "discarded" => "Given up.",
        "enabled" => "Enabled.",
        "disabled" => "Disabled. It can still be executed by hand.",
        "posted" => "Something has happened. See what came of it below.",
        "unresolved" => {
            let words = "Saved, but the name of its host does not resolve at the moment. Until it does, every attempt ends with the error dns.";
            return Some(("warn", "c-note c-note--warn", words));
        }
        _ => return None,
    };
    Some(("sent", "c-note c-note--ok", words))
}

/// What was refused, with what stands in the way.
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
                {links}
            </div>
        </div>
    }
}

/// What a list is for, while it is empty.
#[component]
pub(crate) fn Empty(
    icon: &'static str,
    /// One sentence: what stands here once there is something.
    text: &'static str,
    /// Where to make the first one, and the button's words.
    #[prop(optional)]
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
