//! A schedule's dashboard: its rule in words, its next runs, and the tasks that it starts.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::trigger::{Side, lines};
use crate::part::menu::{confirmed, go, menu, post};
use crate::part::status::{Enabled, next_times};
use crate::view::When;
use crate::view::schedule::ScheduleDetail;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let detail = asked.backend.schedules.detail(asked.id("schedule")?).await?;
    let may_edit = asked.may(Permission::Edit);
    let commands = may_edit.then(|| commands(&detail));
    let title = format!("Schedule: {}", detail.name);
    let page = Page::new(title, content(detail, may_edit)).below("/schedules", "Schedules");
    Ok(page.with_commands(commands).live_if(true))
}

fn commands(detail: &ScheduleDetail) -> AnyView {
    let path = format!("/schedules/{}", detail.id);
    let switch = if detail.is_enabled {
        post("pause", "Disable", format!("{path}/disable"), false)
    } else {
        post("play", "Enable", format!("{path}/enable"), false)
    };
    menu(vec![
        post("play", "Trigger Now", format!("{path}/trigger"), false),
        go("pencil", "Edit", format!("{path}/edit")),
        go("plus", "New Trigger", format!("/triggers/new?schedule={}", detail.id)),
        switch,
        confirmed(
            "bin",
            "Delete…",
            format!("Delete the schedule {}? Its past runs stay.", detail.name),
            "Delete schedule".to_owned(),
            format!("{path}/delete"),
            false,
        ),
    ])
}

fn content(detail: ScheduleDetail, may_edit: bool) -> AnyView {
    let description =
        (!detail.description.is_empty()).then(|| view! { <p class="u-muted u-lines">{detail.description}</p> });
    let new_trigger = format!("/triggers/new?schedule={}", detail.id);
    let new = may_edit.then(|| view! { <a class="u-small" href=new_trigger>"New"</a> });
    let triggers = if detail.triggers.is_empty() {
        view! { <p class="c-card__body u-muted">"It starts no task yet."</p> }.into_any()
    } else {
        lines(detail.triggers, Side::Schedule, may_edit)
    };
    view! {
        <div class="l-stack">
            {description}
            <div class="l-split l-split--even">
                <section class="c-card" aria-labelledby="rule">
                    <header class="c-card__head">
                        <h2 class="c-card__title" id="rule">"When it runs"</h2>
                        <Enabled is_enabled=detail.is_enabled/>
                    </header>
                    <p class="c-card__body">{detail.summary}</p>
                    {next_runs(detail.runs, detail.is_enabled)}
                    <p class="c-card__foot">"Time zone: "{detail.zone}</p>
                </section>
                <section class="c-card" aria-labelledby="triggers">
                    <header class="c-card__head"><h2 class="c-card__title" id="triggers">"Triggers"</h2>{new}</header>
                    {triggers}
                </section>
            </div>
        </div>
    }
    .into_any()
}

fn next_runs(runs: Vec<When>, is_enabled: bool) -> AnyView {
    if runs.is_empty() {
        let words = if is_enabled { "No run is left." } else { "It is disabled, and does not run." };
        return view! { <p class="c-card__body u-muted">{words}</p> }.into_any();
    }
    next_times(runs)
}
