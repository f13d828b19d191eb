//! A task's dashboard: its triggers, its message and its runs.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::run::short_table;
use crate::page::trigger::{Side, lines};
use crate::part::icon::Icon;
use crate::part::menu::{confirmed, go, menu, post};
use crate::part::status::{Enabled, Time, run_status};
use crate::view::task::TaskDetail;
use leptos::prelude::*;
use model::access::Permission;
use model::email::{Mailbox, list_text};
use model::task;

/// The most recipients of a list that are shown at once.
const LISTED: usize = 10;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let detail = asked.backend.tasks.detail(asked.id("task")?).await?;
    let may_edit = asked.may(Permission::Edit);
    let commands = may_edit.then(|| commands(&detail));
    let title = format!("Task: {}", detail.name);
    let page = Page::new(title, content(detail, may_edit)).below("/tasks", "Tasks");
    Ok(page.with_commands(commands).live_if(true))
}

fn commands(detail: &TaskDetail) -> AnyView {
    let path = format!("/tasks/{}", detail.id);
    let switch = if detail.is_enabled {
        post("pause", "Disable", format!("{path}/disable"), false)
    } else {
        post("play", "Enable", format!("{path}/enable"), false)
    };
    menu(vec![
        post("play", "Execute", format!("{path}/execute"), false),
        go("pencil", "Edit", format!("{path}/edit")),
        go("plus", "New Task Event", format!("/events/new?task={}", detail.id)),
        go("plus", "New Schedule Trigger", format!("/triggers/new?task={}", detail.id)),
        switch,
        confirmed(
            "bin",
            "Delete…",
            format!("Delete the task {}? Its runs and deliveries stay.", detail.name),
            "Delete task".to_owned(),
            format!("{path}/delete"),
            false,
        ),
    ])
}

fn content(detail: TaskDetail, may_edit: bool) -> AnyView {
    let notes = notes(&detail);
    let events = detail.events.len();
    let new = |path: &'static str, label: &'static str| {
        may_edit.then(|| view! { <a href=format!("{path}?task={}", detail.id)>{label}</a> })
    };
    let (new_event, new_trigger) = (new("/events/new", "New"), new("/triggers/new", "New"));
    let (first_event, first_trigger) =
        (new("/events/new", "New Task Event"), new("/triggers/new", "New Schedule Trigger"));
    let last = detail.runs.first().cloned();
    let last = match last {
        Some(run) => view! { {run_status(run.status)}" "<Time when=run.started/> }.into_any(),
        None => "Never run".into_any(),
    };
    let event_lines = detail.events.into_iter().map(|event| {
        view! {
            <li class="l-row l-row--apart">
                <a href=format!("/events/{}", event.id)>{event.type_label}": "{event.label}", "{event.scope}</a>
                <Enabled is_enabled=event.is_enabled/>
            </li>
        }
    });
    let triggers = if events == 0 {
        view! { <p class="c-card__body u-muted">"No event starts it yet. "{first_event}</p> }.into_any()
    } else {
        view! { <ul class="c-lines" role="list">{event_lines.collect_view()}</ul> }.into_any()
    };
    let schedules = detail.schedules.len();
    let schedule_triggers = if schedules == 0 {
        view! { <p class="c-card__body u-muted">"No schedule starts it yet. "{first_trigger}</p> }.into_any()
    } else {
        lines(detail.schedules, Side::Task, may_edit)
    };
    let runs = if detail.runs.is_empty() {
        view! { <p class="c-card__body u-muted">"It has not run yet. An event, a schedule or a person starts it."</p> }
            .into_any()
    } else {
        short_table("Newest runs", detail.runs)
    };
    let description =
        (!detail.description.is_empty()).then(|| view! { <p class="u-muted u-lines">{detail.description}</p> });
    let all_runs = format!("/runs?of_task={}", detail.id);
    let through = detail.destination.map(|destination| {
        view! { <span class="u-small">"through "<a href=destination.path()>{destination.name.clone()}</a></span> }
    });
    view! {
        <div class="l-stack">
            {description}
            {notes}
            <section class="l-counts" aria-label="Counts">
                <article class="c-card c-count">
                    <h2 class="l-row l-row--apart"><a href="#triggers">"Event Triggers"</a><Icon name="event"/></h2>
                    <p class="c-count__number">{events}</p>
                    {new_event.map(|link| view! { <p class="u-small">{link}</p> })}
                </article>
                <article class="c-card c-count">
                    <h2 class="l-row l-row--apart"><a href="#schedules">"Schedule Triggers"</a><Icon name="schedule"/></h2>
                    <p class="c-count__number">{schedules}</p>
                    {new_trigger.map(|link| view! { <p class="u-small">{link}</p> })}
                </article>
                <article class="c-card c-count">
                    <h2 class="l-row l-row--apart"><a href=all_runs>"Runs"</a><Icon name="log"/></h2>
                    <p class="c-count__number">{detail.run_count}</p>
                    <p class="u-small">{last}</p>
                </article>
                <article class="c-card c-count">
                    <h2 class="l-row l-row--apart"><span>"State"</span><Icon name="task"/></h2>
                    <p class="c-count__number"><Enabled is_enabled=detail.is_enabled/></p>
                </article>
            </section>
            <div class="l-split l-split--even">
                <div class="l-stack">
                    <section class="c-card" aria-labelledby="triggers">
                        <header class="c-card__head"><h2 class="c-card__title" id="triggers">"Event Triggers"</h2></header>
                        {triggers}
                    </section>
                    <section class="c-card" aria-labelledby="schedules">
                        <header class="c-card__head"><h2 class="c-card__title" id="schedules">"Schedule Triggers"</h2></header>
                        {schedule_triggers}
                    </section>
                </div>
                <section class="c-card" aria-labelledby="sends">
                    <header class="c-card__head">
                        <h2 class="c-card__title" id="sends">"Sends"</h2>
                        {through}
                    </header>
                    <div class="c-card__body l-stack">{sends(detail.action)}</div>
                </section>
            </div>
            <section class="c-card c-card--list" aria-labelledby="runs">
                <header class="c-card__head"><h2 class="c-card__title" id="runs">"Newest runs"</h2></header>
                {runs}
            </section>
        </div>
    }
    .into_any()
}

/// Renders the most important notes: the failure of the last run, and that the task is deleted after running.
fn notes(detail: &TaskDetail) -> AnyView {
    let failure = detail.failure().cloned().map(|delivery| {
        let off = if detail.deletes_after_running && !detail.is_enabled { " The task was disabled." } else { "" };
        view! {
            <div class="c-note c-note--danger">
                <Icon name="error"/>
                <p>
                    <strong>"The last run failed: "</strong>{delivery.error}{off}" "
                    <a href=format!("/deliveries/{}", delivery.uuid)>"The delivery"</a>
                </p>
            </div>
        }
    });
    let once = detail.deletes_after_running.then(|| {
        let text = if detail.is_running {
            "It is running, and is deleted when that succeeds."
        } else {
            "It is deleted after its first successful run."
        };
        view! { <div class="c-note c-note--warn"><Icon name="warn"/><p>{text}</p></div> }
    });
    view! { {failure} {once} }.into_any()
}

/// Renders the settings of an action.
fn sends(action: task::Action) -> AnyView {
    let text = |label: &'static str, text: String| {
        view! { <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label=label>{text}</pre> }
    };
    match action {
        task::Action::Webhook(send) => text("Message", send.message).into_any(),
        task::Action::Email(email) => {
            let address =
                if email.from_address.is_empty() { "sender of the SMTP settings" } else { &email.from_address };
            let from = if email.from_name.is_empty() {
                address.to_owned()
            } else {
                format!("{} <{address}>", email.from_name)
            };
            view! {
                <dl class="c-facts">
                    <div><dt>"From"</dt><dd>{from}</dd></div>
                    {recipients("To", &email.to)}
                    {recipients("CC", &email.cc)}
                    {recipients("BCC", &email.bcc)}
                    <div><dt>"Subject"</dt><dd>{email.subject}</dd></div>
                </dl>
                {text("Body", email.body)}
            }
            .into_any()
        }
    }
}

/// Renders a list of recipients, if there are any. A long list opens by a click.
fn recipients(label: &'static str, list: &[Mailbox]) -> Option<AnyView> {
    let all = list_text(list);
    let shown = match list.len() {
        0 => return None,
        1..=LISTED => all.into_any(),
        count => view! { <details><summary>{format!("{count} addresses")}</summary>{all}</details> }.into_any(),
    };
    Some(view! { <div><dt>{label}</dt><dd>{shown}</dd></div> }.into_any())
}
