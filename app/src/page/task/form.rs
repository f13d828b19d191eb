//! The pages of the task form.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::island::task_form::TaskForm;
use crate::page::nowhere;
use leptos::prelude::*;
use model::access::Permission;
use model::id::TaskId;

/// A new task.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    let title = "New Task";
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only(title).below("/tasks", "Tasks"));
    }
    form_page(asked, None).await
}

/// A stored task.
pub(crate) async fn edit(asked: Asked) -> Result<Page, AppError> {
    let id = asked.id("task")?;
    form_page(asked, Some(id)).await
}

async fn form_page(asked: Asked, id: Option<TaskId>) -> Result<Page, AppError> {
    // The webhook that was just created for the task, or the object that was chosen before the form was refused.
    let object = asked.typed_or("object", asked.query.value("object")).parse().ok();
    let loaded = asked.backend.tasks.load_form(id, object).await?;
    let title = if id.is_some() { format!("Task: {}", loaded.name) } else { "New Task".to_owned() };
    let (refused, may_save) = (asked.refused(), asked.may(Permission::Edit));
    let may_set_up = asked.may(Permission::Administer);
    let form = view! { <TaskForm id=id loaded=loaded refused=refused may_save=may_save may_set_up=may_set_up/> };
    Ok(Page::form(title, form).below("/tasks", "Tasks"))
}
