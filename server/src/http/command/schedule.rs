//! Commands on schedules, on their triggers, and on the time zone.

use super::parse_id;
use super::posted::{Administer, Command, Edit};
use super::selection;
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::id::{ScheduleId, TaskId};
use model::schedule::{TriggerDraft, ZoneDraft};

pub(super) async fn delete_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: ScheduleId| this.backend().schedules.delete(vec![id]).await;
    selection::run(command, "Schedule", Done::Deleted, act).await
}

pub(super) async fn enable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: ScheduleId| this.backend().schedules.set_enabled(vec![id], true).await;
    selection::run(command, "Schedule", Done::Enabled, act).await
}

pub(super) async fn disable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: ScheduleId| this.backend().schedules.set_enabled(vec![id], false).await;
    selection::run(command, "Schedule", Done::Disabled, act).await
}

pub(super) async fn trigger(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().schedules.trigger(parse_id(&id, "schedule")?, this.by()).await.map(drop)
    };
    command.run_here(Done::Triggered, act).await
}

pub(super) async fn enable(Path(id): Path<String>, command: Command<Edit>) -> Response {
    set_enabled(id, true, Done::Enabled, command).await
}

pub(super) async fn disable(Path(id): Path<String>, command: Command<Edit>) -> Response {
    set_enabled(id, false, Done::Disabled, command).await
}

async fn set_enabled(id: String, is_enabled: bool, done: Done, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().schedules.set_enabled(vec![parse_id(&id, "schedule")?], is_enabled).await
    };
    command.run_here(done, act).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().schedules.delete(vec![parse_id(&id, "schedule")?]).await?;
        Ok(Done::Deleted.at("/schedules"))
    };
    command.run(act).await
}

pub(super) async fn create_trigger(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let (schedule, task, enabled) = (this.value("schedule"), this.value("task"), this.value("enabled"));
        let from = this.value("from");
        let page = page_of(&from, if from == "task" { &task } else { &schedule });
        this.backend().schedules.add_trigger(TriggerDraft { schedule, task, enabled }).await?;
        Ok(Done::Saved.at(&page))
    };
    command.run(act).await
}

pub(super) async fn enable_trigger(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().schedules.set_trigger_enabled(parse_id(&id, "trigger")?, true).await
    };
    from_its_page(command).run_here(Done::Enabled, act).await
}

pub(super) async fn disable_trigger(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().schedules.set_trigger_enabled(parse_id(&id, "trigger")?, false).await
    };
    from_its_page(command).run_here(Done::Disabled, act).await
}

pub(super) async fn delete_trigger(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().schedules.delete_trigger(parse_id(&id, "trigger")?).await;
    from_its_page(command).run_here(Done::Deleted, act).await
}

/// Returns the command with the page that it came from: that of a task or of a schedule.
fn from_its_page(mut command: Command<Edit>) -> Command<Edit> {
    command.page = page_of(&command.value("from"), &command.value("back"));
    command
}

/// Returns the path of a task or a schedule, or that of all schedules if this is no id.
fn page_of(side: &str, id: &str) -> String {
    match (side, id.parse::<TaskId>(), id.parse::<ScheduleId>()) {
        ("task", Ok(id), _) => format!("/tasks/{id}"),
        (_, _, Ok(id)) => format!("/schedules/{id}"),
        _ => "/schedules".to_owned(),
    }
}

pub(super) async fn choose_zone(command: Command<Administer>) -> Response {
    let act = async |this: &Command<Administer>| {
        let draft = ZoneDraft { time_zone: this.value("time_zone"), revision: this.value("revision") };
        this.backend().schedules.set_zone(draft).await
    };
    command.run_here(Done::Saved, act).await
}
