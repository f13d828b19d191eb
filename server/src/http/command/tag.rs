//! Commands on tags and categories, and their forms.

use super::{Command, parse_id};
use app::error::AppError;
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;
use model::tag::{CategoryDraft, TagDraft};

async fn run(command: Command, done: &str, act: impl AsyncFnOnce(&Command) -> Result<(), AppError>) -> Response {
    let after = format!("/tags?done={done}");
    command.run(Permission::Edit, "/tags", async |this: &Command| act(this).await.map(|()| after)).await
}

pub(super) async fn create(command: Command) -> Response {
    let act = async |this: &Command| {
        let draft = TagDraft { name: this.value("name"), category: this.value("category") };
        this.backend().inventory.add_tag(draft).await.map(drop)
    };
    run(command, "saved", act).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command) -> Response {
    run(command, "deleted", async |this| this.backend().inventory.delete_tag(parse_id(&id, "tag")?).await).await
}

pub(super) async fn create_category(command: Command) -> Response {
    let act = async |this: &Command| {
        let draft = CategoryDraft {
            name: this.value("category_name"),
            description: this.value("description"),
            single: this.value("single"),
            revision: String::new(),
            types: this.typed.clone(),
        };
        let saved = this.backend().inventory.save_category(None, draft).await;
        // On its page the field has a name of its own, because the tag's stands beside it.
        saved.map(drop).map_err(|error| error.with_field_renamed("name", "category_name"))
    };
    run(command, "saved", act).await
}

pub(super) async fn delete_category(Path(id): Path<String>, command: Command) -> Response {
    run(command, "deleted", async |this| this.backend().inventory.delete_category(parse_id(&id, "category")?).await)
        .await
}
