//! What the pages of the server share: heads, notes, signs, times, menu commands.

use super::Page;
use super::render::{Request, html};
use crate::error::{AppError, Code};
use crate::part::frame::{Crumbs, module_of};
use crate::part::icon::Icon;
use crate::view::When;
use leptos::prelude::*;
use model::delivery::{HoldReason, Status};

/// A page of its parts.
pub(super) fn page(
    request: &Request,
    title: impl Into<String>,
    parents: Vec<(String, String)>,
    menu: Option<AnyView>,
    main: AnyView,
) -> Page {
    let title = title.into();
    let problem = request.problem.clone().filter(|problem| problem.fields.is_empty());
    let done = done_words(request.query().value("done"));
    let (heading, module) = (title.clone(), module_of(&request.path));
    Page {
        main: html(move || {
            view! {
                <div class="l-main__body">
                    <Crumbs module=module parents=parents title=heading/>
                    {problem.map(|problem| view! { <Problem error=problem/> })}
                    {done.map(|(icon, class, words)| view! { <div class=class role="status"><Icon name=icon/><p>{words}</p></div> })}
                    {main}
                </div>
            }
            .into_any()
        }),
        menu: menu.map(|menu| html(|| menu)).unwrap_or_default(),
        title,
        status: 200,
        is_live: false,
    }
}

/// What a command has done, by the word the redirect carries: sign, class, words. Only these: a link cannot put words
/// into the page.
fn done_words(word: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let words = match word {
        "deleted" => "Deleted.",
        "saved" => "Saved.",
        "paused" => "Paused. What comes is held, nothing is dropped.",
        "resumed" => "Resumed.",
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
pub(super) fn Problem(error: AppError) -> impl IntoView {
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

/// The page of what is not there, or cannot be read.
pub(super) fn nowhere(error: &AppError) -> Page {
    let message = error.message.clone();
    let status = error.code.http_status();
    let title = if status == 404 { "Not found" } else { "Not available" };
    Page {
        title: title.to_owned(),
        main: html(move || {
            view! {
                <div class="l-main__body">
                    <Crumbs parents=Vec::new() title=title.to_owned()/>
                    <section class="c-card">
                        <div class="c-card__body">
                            <p>{message}" "<a href="/">"Go to the Tasks Dashboard"</a>"."</p>
                        </div>
                    </section>
                </div>
            }
            .into_any()
        }),
        menu: String::new(),
        status,
        is_live: false,
    }
}

/// An instant.
#[component]
pub(super) fn Time(when: When) -> impl IntoView {
    view! { <time datetime=when.machine title=when.full>{when.short}</time> }
}

/// A delivery's status: shape, word, colour.
#[component]
pub(super) fn StatusWord(status: Status, #[prop(optional_no_strip)] hold: Option<HoldReason>) -> impl IntoView {
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
pub(super) fn run_status(status: &str) -> AnyView {
    let (class, icon, word) = match status {
        "succeeded" => ("c-status c-status--sent", "sent", "Succeeded"),
        "failed" => ("c-status c-status--error", "error", "Failed"),
        _ => ("c-status c-status--running", "running", "Running"),
    };
    view! { <span class=class><Icon name=icon/>{word}</span> }.into_any()
}

/// "Enabled" or "Disabled", with its sign.
#[component]
pub(super) fn Enabled(is_enabled: bool) -> impl IntoView {
    let (class, icon, word) =
        if is_enabled { ("c-status c-status--ok", "sent", "Enabled") } else { ("c-status", "discarded", "Disabled") };
    view! { <span class=class><Icon name=icon/>{word}</span> }
}

/// A command of the menu that leads somewhere.
pub(super) fn go(icon: &'static str, label: &'static str, href: String) -> AnyView {
    view! { <li><a class="c-menu__item" href=href><Icon name=icon/>{label}</a></li> }.into_any()
}

/// A command of the menu that posts, to `action`; with `of_selection` the rows that are checked go with it.
pub(super) fn post(icon: &'static str, label: &'static str, action: String, of_selection: bool) -> AnyView {
    if of_selection {
        return view! {
            <li>
                <button class="c-menu__item" type="submit" form="selection" formaction=action data-selection="">
                    <Icon name=icon/>
                    {label}
                </button>
            </li>
        }
        .into_any();
    }
    view! {
        <li>
            <form method="post" action=action>
                <button class="c-menu__item" type="submit"><Icon name=icon/>{label}</button>
            </form>
        </li>
    }
    .into_any()
}

/// A command that asks first: a popover that names what goes, and works without script.
pub(super) fn confirmed(
    icon: &'static str,
    label: &'static str,
    question: String,
    button: String,
    action: String,
    of_selection: bool,
) -> AnyView {
    let confirm = if of_selection {
        view! {
            <button class="c-button c-button--danger" type="submit" form="selection" formaction=action>{button}</button>
        }
        .into_any()
    } else {
        view! {
            <form method="post" action=action>
                <button class="c-button c-button--danger" type="submit">{button}</button>
            </form>
        }
        .into_any()
    };
    let selection = of_selection.then_some("");
    view! {
        <li>
            <button class="c-menu__item" type="button" popovertarget="confirm" data-selection=selection>
                <Icon name=icon/>
                {label}
            </button>
            <div class="c-dialog" id="confirm" popover="auto" role="dialog" aria-labelledby="confirm-title">
                <div class="c-dialog__body"><h2 id="confirm-title">{question}</h2></div>
                <div class="c-dialog__foot">
                    <button class="c-button" type="button" popovertarget="confirm" popovertargetaction="hide">"Cancel"</button>
                    {confirm}
                </div>
            </div>
        </li>
    }
    .into_any()
}

/// The menu's group of these commands.
pub(super) fn menu(items: Vec<AnyView>) -> AnyView {
    view! { <ul role="list">{items.into_iter().collect_view()}</ul> }.into_any()
}
