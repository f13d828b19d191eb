//! Commands on object types and their events, and their forms.

use super::posted::{Administer, Command};
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::catalog::{EventKindDraft, TypeDraft};
use model::text::capitalised;

pub(super) async fn create_type(command: Command<Administer>) -> Response {
    let act = async |this: &Command<Administer>| {
        let draft = TypeDraft {
            id: this.value("id"),
            singular: this.value("singular"),
            plural: this.value("plural"),
            has_objects: this.value("has_objects"),
            has_tags: this.value("has_tags"),
        };
        this.backend().catalog.add_type(draft).await
    };
    command.run_here(Done::Saved, act).await
}

pub(super) async fn create_event(command: Command<Administer>) -> Response {
    let act = async |this: &Command<Administer>| {
        let draft = EventKindDraft { id: this.value("event_id"), label: this.value("label") };
        let added = this.backend().catalog.add_event(this.value("of_type"), draft).await;
        // The page has the type's form, too: this field has another name there.
        added.map_err(|error| error.with_field_renamed("id", "event_id"))
    };
    command.run_here(Done::Saved, act).await
}

/// Adds a reported event that is not in the catalogue, labelled after its id. Adds its type, too, if that is new.
pub(super) async fn adopt(command: Command<Administer>) -> Response {
    let act = async |this: &Command<Administer>| {
        let (type_id, event_id) = (this.value("type_id"), this.value("event_id"));
        let catalogue = this.backend().catalog;
        if catalogue.load().await?.find(&type_id).is_none() {
            let label = label_of(&type_id);
            let draft = TypeDraft {
                id: type_id.clone(),
                singular: label.clone(),
                plural: label,
                has_objects: "true".into(),
                has_tags: String::new(),
            };
            catalogue.add_type(draft).await?;
        }
        let draft = EventKindDraft { label: label_of(&event_id), id: event_id };
        catalogue.add_event(type_id, draft).await
    };
    command.run_here(Done::Saved, act).await
}

/// Returns "Disk full" for `disk_full`.
fn label_of(id: &str) -> String {
    capitalised(&id.replace(['_', '-', '.', '/', ':'], " "))
}

pub(super) async fn delete_type(Path(id): Path<String>, command: Command<Administer>) -> Response {
    command.run_here(Done::Deleted, async |this| this.backend().catalog.delete_type(id).await).await
}

pub(super) async fn delete_event(Path((id, event)): Path<(String, String)>, command: Command<Administer>) -> Response {
    command.run_here(Done::Deleted, async |this| this.backend().catalog.delete_event(id, event).await).await
}
