//! Commands on object types and their events, and their forms.

use super::Command;
use app::error::AppError;
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;
use model::catalog::{EventKindDraft, TypeDraft};

async fn run(command: Command, done: &str, act: impl AsyncFnOnce(&Command) -> Result<(), AppError>) -> Response {
    let after = format!("/types?done={done}");
    command.run(Permission::Administer, "/types", async |this: &Command| act(this).await.map(|()| after)).await
}

pub(super) async fn create_type(command: Command) -> Response {
    let act = async |this: &Command| {
        let draft = TypeDraft {
            id: this.value("id"),
            singular: this.value("singular"),
            plural: this.value("plural"),
            has_objects: this.value("has_objects"),
            has_tags: this.value("has_tags"),
        };
        this.backend().catalog.add_type(draft).await
    };
    run(command, "saved", act).await
}

pub(super) async fn create_event(command: Command) -> Response {
    let act = async |this: &Command| {
        let draft = EventKindDraft { id: this.value("event_id"), label: this.value("label") };
        let added = this.backend().catalog.add_event(this.value("of_type"), draft).await;
        // On its page the field has a name of its own, because the type's stands beside it.
        added.map_err(|error| error.with_field_renamed("id", "event_id"))
    };
    run(command, "saved", act).await
}

/// Adds what was reported and is in no catalogue, named by its ids; the type too, if that is new.
pub(super) async fn adopt(command: Command) -> Response {
    let act = async |this: &Command| {
        let (type_id, event_id) = (this.value("type_id"), this.value("event_id"));
        let catalogue = this.backend().catalog;
        if catalogue.load().await?.find(&type_id).is_none() {
            let label = words_of(&type_id);
            let draft = TypeDraft {
                id: type_id.clone(),
                singular: label.clone(),
                plural: label,
                has_objects: "true".into(),
                has_tags: String::new(),
            };
            catalogue.add_type(draft).await?;
        }
        let draft = EventKindDraft { label: words_of(&event_id), id: event_id };
        catalogue.add_event(type_id, draft).await
    };
    run(command, "saved", act).await
}

/// "Disk full" for `disk_full`.
fn words_of(id: &str) -> String {
    let text = id.replace(['_', '-', '.', '/', ':'], " ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

pub(super) async fn delete_type(Path(id): Path<String>, command: Command) -> Response {
    run(command, "deleted", async |this| this.backend().catalog.delete_type(id).await).await
}

pub(super) async fn delete_event(Path((id, event)): Path<(String, String)>, command: Command) -> Response {
    run(command, "deleted", async |this| this.backend().catalog.delete_event(id, event).await).await
}
