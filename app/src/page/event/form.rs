//! The pages of the event form.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::island::event_form::EventForm;
use crate::page::nowhere;
use leptos::prelude::*;
use model::access::Permission;
use model::id::EventId;

/// A new event.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    let title = "New Event";
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only(title).below("/events", "Events"));
    }
    form_page(asked, None).await
}

/// A stored event.
pub(crate) async fn edit(asked: Asked) -> Result<Page, AppError> {
    let id = asked.id("event")?;
    form_page(asked, Some(id)).await
}

async fn form_page(asked: Asked, id: Option<EventId>) -> Result<Page, AppError> {
    // The task for which the event is created, or that was chosen before the form was refused.
    let wanted = asked.query.value("task");
    let task = asked.typed_or("task", wanted).parse().ok();
    let loaded = asked.backend.events.load_form(id, task).await?;
    let title = if id.is_some() { format!("Event: {}", loaded.name) } else { "New Event".to_owned() };
    let of_task = loaded.task.clone().filter(|task| id.is_none() && task.value == wanted);
    let (refused, may_save) = (asked.refused(), asked.may(Permission::Edit));
    let form = view! { <EventForm id=id loaded=loaded refused=refused may_save=may_save of_task=of_task/> };
    Ok(Page::form(title, form).below("/events", "Events"))
}
