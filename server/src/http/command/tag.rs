//! Commands on tags and categories, and their forms.

use super::parse_id;
use super::posted::{Command, Edit};
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::tag::{CategoryDraft, TagDraft};

pub(super) async fn create(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let draft = TagDraft { name: this.value("name"), category: this.value("category") };
        this.backend().inventory.add_tag(draft).await.map(drop)
    };
    command.run_here(Done::Saved, act).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().inventory.delete_tag(parse_id(&id, "tag")?).await;
    command.run_here(Done::Deleted, act).await
}

pub(super) async fn create_category(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let draft = CategoryDraft {
            name: this.value("category_name"),
            description: this.value("description"),
            single: this.value("single"),
            revision: String::new(),
            types: this.typed.clone(),
        };
        let saved = this.backend().inventory.save_category(None, draft).await;
        // The page has the tag's form, too: this field has another name there.
        saved.map(drop).map_err(|error| error.with_field_renamed("name", "category_name"))
    };
    command.run_here(Done::Saved, act).await
}

pub(super) async fn delete_category(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().inventory.delete_category(parse_id(&id, "category")?).await;
    command.run_here(Done::Deleted, act).await
}
