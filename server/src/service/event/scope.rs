//! Scopes of events as texts.

use crate::store::{object, tag};
use app::error::AppError;
use model::event::EventScope;
use model::id::TagId;
use model::text::shown;
use sea_orm::ConnectionTrait;
use std::collections::HashMap;

/// The objects that scopes refer to, and the labels of all tags.
pub(in crate::service) struct Scopes {
    objects: HashMap<i64, object::Row>,
    tags: HashMap<TagId, String>,
}

impl Scopes {
    /// Loads the objects and tags that these scopes refer to.
    pub(in crate::service) async fn load(
        db: &impl ConnectionTrait,
        scopes: impl Iterator<Item = EventScope>,
    ) -> Result<Self, AppError> {
        let ids: Vec<_> =
            scopes.filter_map(|scope| if let EventScope::Object(id) = scope { Some(id.0) } else { None }).collect();
        let mut objects = HashMap::new();
        for ids in ids.chunks(1000) {
            let rows = object::find_many(db, ids.to_vec()).await?;
            objects.extend(rows.into_iter().map(|row| (row.id.0, row)));
        }
        Ok(Self { objects, tags: tag::labels(db).await? })
    }

    /// Returns the text of a scope: "Any", "web-01", "Environment - production".
    pub(in crate::service) fn label(&self, scope: EventScope) -> String {
        match scope {
            EventScope::Any => "Any".to_owned(),
            EventScope::Object(id) => match self.objects.get(&id.0) {
                Some(row) if row.is_gone => format!("{} (gone: matches nothing)", shown(&row.name)),
                Some(row) => shown(&row.name),
                None => "an object that was deleted".to_owned(),
            },
            EventScope::Tag(id) => self.tags.get(&id).map_or("a tag that was deleted", String::as_str).to_owned(),
        }
    }
}
