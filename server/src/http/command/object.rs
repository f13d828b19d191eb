//! Commands on objects, and their form.

use super::{Command, parse_id};
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;
use model::id::ObjectId;
use model::object::ObjectDraft;

pub(super) async fn delete_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<ObjectId>("Object", "/objects")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().inventory.delete_objects(vec![id]).await);
        }
        selection.finish("deleted")
    };
    command.run(Permission::Edit, "/objects", act).await
}

pub(super) async fn create(command: Command) -> Response {
    let act = async |this: &Command| {
        let id = this.backend().inventory.save_object(None, draft(this)).await?;
        Ok(format!("/objects/{id}?done=saved"))
    };
    command.run(Permission::Edit, "/objects/new", act).await
}

pub(super) async fn change(Path(id): Path<String>, command: Command) -> Response {
    let page = format!("/objects/{id}");
    let after = format!("{page}?done=saved");
    let act = async |this: &Command| {
        this.backend().inventory.save_object(Some(parse_id(&id, "object")?), draft(this)).await.map(|_| after)
    };
    command.run(Permission::Edit, page, act).await
}

fn draft(command: &Command) -> ObjectDraft {
    let tags: Vec<_> = command.typed.keys().filter_map(|key| key.strip_prefix("tag.")).collect();
    ObjectDraft {
        type_id: command.value("type_id"),
        name: command.value("name"),
        external_id: command.value("external_id"),
        tags: tags.join(","),
    }
}
