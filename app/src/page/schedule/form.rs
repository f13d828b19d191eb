//! The pages of the schedule form.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::island::schedule_form::ScheduleForm;
use crate::page::nowhere;
use leptos::prelude::*;
use model::access::Permission;
use model::id::ScheduleId;

/// A new schedule.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    let title = "New Schedule";
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only(title).below("/schedules", "Schedules"));
    }
    form_page(asked, None).await
}

/// A stored schedule.
pub(crate) async fn edit(asked: Asked) -> Result<Page, AppError> {
    let id = asked.id("schedule")?;
    form_page(asked, Some(id)).await
}

async fn form_page(asked: Asked, id: Option<ScheduleId>) -> Result<Page, AppError> {
    let loaded = asked.backend.schedules.load_form(id).await?;
    let title = if id.is_some() { format!("Schedule: {}", loaded.name) } else { "New Schedule".to_owned() };
    let (refused, may_save) = (asked.refused(), asked.may(Permission::Edit));
    let form = view! { <ScheduleForm id=id loaded=loaded refused=refused may_save=may_save/> };
    Ok(Page::form(title, form).below("/schedules", "Schedules"))
}
