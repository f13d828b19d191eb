//! Commands on objects, and their form.

use super::parse_id;
use super::posted::{Command, Edit};
use super::selection;
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::id::ObjectId;
use model::object::ObjectDraft;

pub(super) async fn delete_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: ObjectId| this.backend().inventory.delete_objects(vec![id]).await;
    selection::run(command, "Object", Done::Deleted, act).await
}

pub(super) async fn create(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let id = this.backend().inventory.save_object(None, draft(this)).await?;
        Ok(Done::Saved.at(&format!("/objects/{id}")))
    };
    command.run(act).await
}

pub(super) async fn change(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().inventory.save_object(Some(parse_id(&id, "object")?), draft(this)).await.map(drop)
    };
    command.run_here(Done::Saved, act).await
}

fn draft(command: &Command<Edit>) -> ObjectDraft {
    let tags: Vec<_> = command.typed.keys().filter_map(|key| key.strip_prefix("tag.")).collect();
    ObjectDraft {
        type_id: command.value("type_id"),
        name: command.value("name"),
        external_id: command.value("external_id"),
        tags: tags.join(","),
        revision: command.value("revision"),
    }
}
