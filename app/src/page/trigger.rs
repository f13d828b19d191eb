//! Triggers, which link schedules to tasks: the lists of them on the pages of both sides, and the form of a new one.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::nowhere;
use crate::part::icon::Icon;
use crate::part::question::bin;
use crate::part::status::{Enabled, Time};
use crate::part::typed_field::{required_select, switch, text};
use crate::view::Choice;
use crate::view::schedule::{TriggerForm, TriggerLine};
use leptos::prelude::*;
use model::access::Permission;

/// The side of a trigger whose page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The schedule.
    Schedule,
    /// The task.
    Task,
}

impl Side {
    /// Returns the value of the posted field `from`, by which a command returns to the page it came from.
    fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Task => "task",
        }
    }
}

/// Renders triggers on the page of one side; each is named by its other side.
pub(crate) fn lines(triggers: Vec<TriggerLine>, side: Side, may_edit: bool) -> AnyView {
    let lines = triggers.into_iter().map(|line| {
        let commands = may_edit.then(|| commands(&line, side));
        let (name, href, note) = match side {
            Side::Schedule => {
                let note = (!line.is_task_enabled).then(|| "The task is disabled.".into_any());
                (line.task, format!("/tasks/{}", line.task_id), note)
            }
            Side::Task => {
                let next = match line.next {
                    _ if !line.is_schedule_enabled => " The schedule is disabled.".into_any(),
                    Some(next) => view! { " Next: "<Time when=next/> }.into_any(),
                    None => " No run is left.".into_any(),
                };
                let note = view! { {line.summary}{next} }.into_any();
                (line.schedule, format!("/schedules/{}", line.schedule_id), Some(note))
            }
        };
        view! {
            <li>
                <div class="l-row l-row--apart">
                    <a href=href>{name}</a>
                    <span class="l-row"><Enabled is_enabled=line.is_enabled/>{commands}</span>
                </div>
                {note.map(|note| view! { <p class="u-small u-muted">{note}</p> })}
            </li>
        }
    });
    view! { <ul class="c-lines" role="list">{lines.collect_view()}</ul> }.into_any()
}

/// Renders the buttons of a trigger.
fn commands(line: &TriggerLine, side: Side) -> AnyView {
    let (other, back) = match side {
        Side::Schedule => (&line.task, line.schedule_id.0),
        Side::Task => (&line.schedule, line.task_id.0),
    };
    // The page that the command returns to.
    let from = || {
        view! {
            <input type="hidden" name="from" value=side.as_str()/>
            <input type="hidden" name="back" value=back/>
        }
        .into_any()
    };
    let button = |icon: &'static str, verb: &'static str, path: &'static str| {
        let label = format!("{verb} the trigger of {other}");
        view! {
            <form method="post" action=format!("/triggers/{}/{path}", line.id)>
                {from()}
                <button class="c-button c-button--plain c-button--icon c-button--s" type="submit" aria-label=label.clone() title=label>
                    <Icon name=icon/>
                </button>
            </form>
        }
        .into_any()
    };
    let switch =
        if line.is_enabled { button("pause", "Disable", "disable") } else { button("play", "Enable", "enable") };
    let question = match side {
        Side::Schedule => format!("Delete the trigger of {other}? The schedule does not start this task any more."),
        Side::Task => format!("Delete the trigger of {other}? This schedule does not start the task any more."),
    };
    let (id, action) = (format!("delete-trigger-{}", line.id), format!("/triggers/{}/delete", line.id));
    let bin = bin(id, &format!("the trigger of {other}"), question, action, Some(from()));
    view! { {switch} {bin} }.into_any()
}

/// The form of a new trigger. If it is opened from a task or a schedule, it does not ask for that side.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    let title = "New Schedule Trigger";
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only(title).below("/schedules", "Schedules"));
    }
    let wanted = |side: Side| asked.typed_or(side.as_str(), asked.query.value(side.as_str()));
    let (schedule, task) = (wanted(Side::Schedule).parse().ok(), wanted(Side::Task).parse().ok());
    let loaded = asked.backend.schedules.trigger_form(schedule, task).await?;
    let has = |side: Side| !asked.query.value(side.as_str()).is_empty();
    let from = match asked.typed_or("from", "").as_str() {
        "task" => Some(Side::Task),
        "schedule" => Some(Side::Schedule),
        _ if has(Side::Task) => Some(Side::Task),
        _ if has(Side::Schedule) => Some(Side::Schedule),
        _ => None,
    };
    // If the task or schedule that the form was opened from no longer exists, the form asks for another.
    let of = match from {
        Some(Side::Task) => loaded.task.clone().map(|task| (Side::Task, task)),
        Some(Side::Schedule) => loaded.schedule.clone().map(|schedule| (Side::Schedule, schedule)),
        None => None,
    };
    let asked = match &of {
        // The error of the side that is not asked for is shown at the other side, which can be changed.
        Some((Side::Task, _)) => asked.with_error_moved("task", "schedule"),
        Some((Side::Schedule, _)) => asked.with_error_moved("schedule", "task"),
        None => asked,
    };
    let page = Page::new(title, form(&asked, &loaded, of.as_ref()));
    Ok(match of {
        Some((Side::Task, Choice { value, label })) => {
            page.below("/tasks", "Tasks").below(format!("/tasks/{value}"), format!("Task: {label}"))
        }
        Some((Side::Schedule, Choice { value, label })) => {
            page.below("/schedules", "Schedules").below(format!("/schedules/{value}"), format!("Schedule: {label}"))
        }
        None => page.below("/schedules", "Schedules"),
    })
}

fn form(asked: &Asked, loaded: &TriggerForm, of: Option<&(Side, Choice)>) -> AnyView {
    let of_side = |side: Side| of.filter(|of| of.0 == side).map(|of| of.1.clone());
    let schedule = match of_side(Side::Schedule) {
        Some(schedule) => fixed(Side::Schedule, schedule),
        None => {
            let chosen = loaded.schedule.as_ref();
            view! {
                {choose(asked, "schedule", "Schedule", "Choose a schedule", &loaded.schedules, chosen)}
                <div><a class="c-button c-button--outline" href="/schedules/new">"New Schedule…"</a></div>
            }
            .into_any()
        }
    };
    let task = match of_side(Side::Task) {
        Some(task) => fixed(Side::Task, task),
        None if loaded.tasks.has_more => text(asked, "task", "Task", true, "", "Its name or id."),
        None => choose(asked, "task", "Task", "Choose a task", &loaded.tasks.choices, loaded.task.as_ref()),
    };
    let back = match of {
        Some((Side::Task, task)) => format!("/tasks/{}", task.value),
        Some((Side::Schedule, schedule)) => format!("/schedules/{}", schedule.value),
        None => "/schedules".to_owned(),
    };
    view! {
        <form method="post" action="/triggers/new" class="l-form" novalidate>
            <section class="c-card l-narrow" aria-labelledby="trigger">
                <header class="c-card__head">
                    <h2 class="c-card__title" id="trigger">"Schedule Trigger"</h2>
                    <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                </header>
                <div class="c-card__body l-stack l-stack--fields">
                    {schedule} {task}
                    {switch(asked, "enabled".to_owned(), "Enabled".to_owned(), true)}
                </div>
                <div class="c-card__foot c-card__foot--end">
                    <a class="c-button" href=back>"Cancel"</a>
                    <button class="c-button c-button--primary" type="submit">"Submit"</button>
                </div>
            </section>
        </form>
    }
    .into_any()
}

/// Renders the side from which the form was opened.
fn fixed(side: Side, Choice { value, label }: Choice) -> AnyView {
    let (words, href) = match side {
        Side::Schedule => ("Runs by the schedule ", format!("/schedules/{value}")),
        Side::Task => ("Starts the task ", format!("/tasks/{value}")),
    };
    view! {
        <input type="hidden" name="from" value=side.as_str()/>
        <input type="hidden" name=side.as_str() value=value/>
        <p class="u-small">{words}<a href=href>{label}</a>"."</p>
    }
    .into_any()
}

/// Renders a select. The chosen row is offered even if it is not among the first ones.
fn choose(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    none: &str,
    choices: &[Choice],
    chosen: Option<&Choice>,
) -> AnyView {
    let initial = chosen.map(|chosen| chosen.value.clone()).unwrap_or_default();
    let missing = chosen.filter(|chosen| !choices.contains(chosen));
    let rows = missing.into_iter().chain(choices).map(|choice| (choice.value.clone(), choice.label.clone()));
    let options = std::iter::once((String::new(), none.to_owned())).chain(rows).collect();
    required_select(asked, name, label, &initial, options)
}
