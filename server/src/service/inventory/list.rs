//! The list of objects: translates the filters and orders of the page into those of the store.

use crate::service::{Services, page_part};
use crate::store::object::{self, Filter, Sort};
use crate::store::{catalog, tag};
use app::error::AppError;
use app::view::inventory::{ObjectList, ObjectQuery};
use model::text::folded;
use std::collections::BTreeSet;

impl Services {
    /// Returns a page of the list of objects.
    pub(super) async fn object_list(&self, query: &ObjectQuery) -> Result<ObjectList, AppError> {
        let db = self.store.pages();
        let catalog = catalog::load(db).await?;
        let types = object::list_types(db).await?;
        let mut by_label = types.clone();
        by_label.sort_by_cached_key(|id| folded(catalog.type_label(id)));
        let labels: BTreeSet<_> = types.iter().map(|id| catalog.type_label(id).to_owned()).collect();
        let tags = tag::labels(db).await?;
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let filter = Filter {
            name: given(&query.name),
            external_id: given(&query.external_id),
            type_ids: given(&query.type_label).map(|label| {
                let is_wanted = |id: &String| folded(catalog.type_label(id)) == folded(&label);
                types.into_iter().filter(is_wanted).collect()
            }),
            tag_ids: given(&query.tags).map(|text| {
                let is_wanted = |label: &str| folded(label).contains(&folded(&text));
                tags.iter().filter(|(_, label)| is_wanted(label)).map(|(id, _)| *id).collect()
            }),
        };
        let (key, is_descending) = query.sort.strip_prefix('-').map_or((query.sort.as_str(), false), |key| (key, true));
        let sort = match key {
            "type" => Sort::Type(by_label),
            "id" => Sort::ExternalId,
            "tags" => Sort::Tags,
            _ => Sort::Name,
        };
        let part = page_part(query.page);
        let found = if filter.is_search() {
            self.store.search(object::list(self.store.searches(), &filter, &sort, is_descending, part)).await?
        } else {
            object::list(db, &filter, &sort, is_descending, part).await?
        };
        Ok(ObjectList { rows: self.object_lines(found.rows).await?, total: found.total, types: labels })
    }
}
