//! Tags, their categories, and the objects that carry them.

use super::entity::{object, object_tag, tag, tag_category};
use super::rows::{self, Columns, INT, TEXT};
use super::{Result, group};
use app::view::inventory::TAGGED;
use model::id::{CategoryId, ObjectId, TagId};
use model::number::{to_i64, to_u64};
use model::tag::{Category, Tag};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Statement, Value,
    sea_query::LockType,
};
use std::collections::{BTreeSet, HashMap};

/// A category as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct CategoryRow {
    pub id: CategoryId,
    pub category: Category,
    pub revision: i64,
}

impl From<tag_category::Model> for CategoryRow {
    fn from(row: tag_category::Model) -> Self {
        let category = Category {
            name: row.name,
            description: row.description,
            is_single: row.is_single,
            type_ids: row.type_ids.split(',').map(str::to_owned).collect(),
        };
        Self { id: CategoryId(row.id), category, revision: row.revision }
    }
}

/// A tag with its category.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct TagRow {
    pub id: TagId,
    pub name: String,
    pub category_id: CategoryId,
    pub category: Category,
}

impl TagRow {
    /// Returns the path of the tag, as senders write it: `Environment/production`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.category.name, self.name)
    }

    /// Returns the tag as pages show it: `Environment - production`.
    pub fn label(&self) -> String {
        format!("{} - {}", self.category.name, self.name)
    }

    /// Returns true when objects of this type may carry the tag.
    pub fn suits(&self, type_id: &str) -> bool {
        self.category.type_ids.iter().any(|id| id == type_id)
    }

    /// Refuses the tag when its category allows one tag per object, and `others`, the object's tags, contain another
    /// tag of the category.
    ///
    /// # Errors
    /// A sentence for the person or sender who named the tags.
    pub fn check_beside(&self, others: &[&Self]) -> std::result::Result<(), String> {
        let is_rival = |other: &&Self| other.category_id == self.category_id && other.id != self.id;
        if self.category.is_single && others.iter().any(is_rival) {
            return Err(format!("An object can carry only one tag of {}.", self.category.name));
        }
        Ok(())
    }
}

fn columns(category: &Category, now: Timestamp) -> tag_category::ActiveModel {
    tag_category::ActiveModel {
        name: Set(category.name.clone()),
        description: Set(category.description.clone()),
        is_single: Set(category.is_single),
        type_ids: Set(category.type_ids.join(",")),
        updated_at: Set(now.0),
        ..Default::default()
    }
}

/// Makes a category.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when the name is taken.
pub async fn insert_category(db: &impl ConnectionTrait, category: &Category, now: Timestamp) -> Result<CategoryId> {
    let row =
        tag_category::ActiveModel { id: NotSet, revision: Set(1), created_at: Set(now.0), ..columns(category, now) };
    Ok(CategoryId(tag_category::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Changes a category if it still has this revision. Returns true when it had.
pub async fn update_category(
    db: &impl ConnectionTrait,
    id: CategoryId,
    revision: i64,
    category: &Category,
    now: Timestamp,
) -> Result<bool> {
    let row = tag_category::ActiveModel { id: Unchanged(id.0), revision: Set(revision + 1), ..columns(category, now) };
    let done = tag_category::Entity::update_many()
        .set(row)
        .filter(tag_category::Column::Id.eq(id.0))
        .filter(tag_category::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Returns the category with this id.
pub async fn find_category(db: &impl ConnectionTrait, id: CategoryId) -> Result<Option<CategoryRow>> {
    Ok(tag_category::Entity::find_by_id(id.0).one(db).await?.map(CategoryRow::from))
}

/// Returns all categories, by name.
pub async fn list_categories(db: &impl ConnectionTrait) -> Result<Vec<CategoryRow>> {
    let rows = tag_category::Entity::find().order_by_asc(tag_category::Column::Name).all(db).await?;
    Ok(rows.into_iter().map(CategoryRow::from).collect())
}

/// Deletes a category with its tags, also from the objects that carry them: see [`remove_from_objects`].
///
/// Takes lock 8 of 9.
///
/// # Errors
/// [`InUse`](super::Error::InUse) when an event names one of the tags.
pub async fn delete_category(db: &impl ConnectionTrait, id: CategoryId) -> Result<bool> {
    tag::Entity::delete_many().filter(tag::Column::CategoryId.eq(id.0)).exec(db).await?;
    Ok(tag_category::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Makes a tag.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when the category has a tag of this name.
pub async fn insert(db: &impl ConnectionTrait, new: &Tag, now: Timestamp) -> Result<TagId> {
    let row = tag::ActiveModel {
        id: NotSet,
        category_id: Set(new.category_id.0),
        name: Set(new.name.clone()),
        created_at: Set(now.0),
    };
    Ok(TagId(tag::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Removes a tag from up to `limit` objects that carry it. Returns their number.
///
/// Takes lock 8 of 9.
pub async fn remove_from_objects(db: &impl ConnectionTrait, id: TagId, limit: i64) -> Result<u64> {
    // A range of one tag, as in `counts`.
    let sql = "SELECT object_id FROM object_tag WHERE tag_id >= $1 AND tag_id <= $1 ORDER BY tag_id LIMIT $2";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into(), limit.into()]);
    let mut carriers = Vec::new();
    for row in db.query_all_raw(statement).await? {
        carriers.push(row.try_get_by_index::<i64>(0)?);
    }
    carriers.sort_unstable();
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!("DELETE FROM object_tag WHERE {} AND tag_id = $2", group::id_in("object_id", "$1", is_postgres));
    let values = [group::ids(carriers.into_iter(), is_postgres), id.0.into()];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Deletes a tag, also from the objects that carry it: see [`remove_from_objects`], for these may be many.
///
/// Takes lock 8 of 9.
///
/// # Errors
/// [`InUse`](super::Error::InUse) when an event names the tag.
pub async fn delete(db: &impl ConnectionTrait, id: TagId) -> Result<bool> {
    Ok(tag::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Returns all tags, by category and name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<TagRow>> {
    let categories: HashMap<_, _> = list_categories(db).await?.into_iter().map(|row| (row.id, row.category)).collect();
    let rows = tag::Entity::find().order_by_asc(tag::Column::Name).order_by_asc(tag::Column::Id).all(db).await?;
    let mut rows: Vec<_> = rows.into_iter().filter_map(|row| with_category(row, &categories)).collect();
    // A stable sort: the names within a category keep their order.
    rows.sort_by(|a, b| a.category.name.cmp(&b.category.name));
    Ok(rows)
}

/// Returns the ids of the tags of a category.
pub async fn ids_of(db: &impl ConnectionTrait, id: CategoryId) -> Result<Vec<TagId>> {
    let rows = tag::Entity::find().filter(tag::Column::CategoryId.eq(id.0)).all(db).await?;
    Ok(rows.into_iter().map(|row| TagId(row.id)).collect())
}

/// Returns the labels of all tags.
pub async fn labels(db: &impl ConnectionTrait) -> Result<HashMap<TagId, String>> {
    Ok(list(db).await?.into_iter().map(|tag| (tag.id, tag.label())).collect())
}

const PATH: Columns<2> = [("category", TEXT), ("name", TEXT)];

/// Returns the tags with these paths, by path. A name may contain `/`, so each `/` of a path may be the one between
/// category and tag.
pub async fn find_many(db: &impl ConnectionTrait, paths: &BTreeSet<&str>) -> Result<HashMap<String, TagRow>> {
    let splits: Vec<[Value; 2]> = paths
        .iter()
        .flat_map(|path| path.match_indices('/').map(|(at, _)| [path[..at].into(), path[at + 1..].into()]))
        .collect();
    if splits.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Vec::new();
    let named = rows::listed(db.get_database_backend() == DbBackend::Postgres, &PATH, splits, &mut values);
    let sql = format!(
        "SELECT t.id, t.category_id, t.name, t.created_at FROM {named}, tag_category c, tag t \
         WHERE c.name = v.category AND t.category_id = c.id AND t.name = v.name"
    );
    let found = tag::Model::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    let found = found.all(db).await?;
    let mut categories: Vec<_> = found.iter().map(|row| row.category_id).collect();
    categories.sort_unstable();
    categories.dedup();
    let categories = tag_category::Entity::find().filter(tag_category::Column::Id.is_in(group::padded(categories)));
    let categories: HashMap<_, _> =
        categories.all(db).await?.into_iter().map(CategoryRow::from).map(|row| (row.id, row.category)).collect();
    Ok(found.into_iter().filter_map(|row| with_category(row, &categories)).map(|tag| (tag.path(), tag)).collect())
}

fn with_category(row: tag::Model, categories: &HashMap<CategoryId, Category>) -> Option<TagRow> {
    let category_id = CategoryId(row.category_id);
    let category = categories.get(&category_id)?.clone();
    Some(TagRow { id: TagId(row.id), name: row.name, category_id, category })
}

/// Returns the tags of these objects.
pub async fn of_objects(db: &impl ConnectionTrait, ids: &[ObjectId]) -> Result<HashMap<ObjectId, Vec<TagId>>> {
    let mut found: HashMap<ObjectId, Vec<TagId>> = HashMap::new();
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql =
        format!("SELECT object_id, tag_id FROM object_tag WHERE {}", group::id_in("object_id", "$1", is_postgres));
    let values = [group::ids(ids.iter().map(|id| id.0), is_postgres)];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    for row in object_tag::Model::find_by_statement(statement).all(db).await? {
        found.entry(ObjectId(row.object_id)).or_default().push(TagId(row.tag_id));
    }
    for tags in found.values_mut() {
        tags.sort_unstable();
    }
    Ok(found)
}

/// Returns the number of objects that carry each tag, counted up to one more than [`TAGGED`].
pub async fn counts(db: &impl ConnectionTrait) -> Result<HashMap<TagId, u64>> {
    #[derive(FromQueryResult)]
    struct Count {
        id: i64,
        objects: i64,
    }
    // A range of one tag instead of an equality: for an equality PostgreSQL may walk through all objects to find those
    // of a rare tag.
    let sql = "SELECT t.id, (SELECT COUNT(*) FROM (SELECT 1 FROM object_tag o WHERE o.tag_id >= t.id \
               AND o.tag_id <= t.id ORDER BY o.tag_id LIMIT $1) few) AS objects FROM tag t";
    let limit = [to_i64(TAGGED + 1).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, limit);
    let rows = Count::find_by_statement(statement).all(db).await?;
    Ok(rows.into_iter().map(|row| (TagId(row.id), to_u64(row.objects))).collect())
}

/// Returns the number of objects of a type that carry a tag, without those that are gone, counted up to `most`.
pub async fn count_objects(db: &impl ConnectionTrait, id: TagId, type_id: &str, most: u64) -> Result<u64> {
    // The objects are found by the range of one tag, as in `counts`, and each by its id.
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM object_tag t CROSS JOIN object o WHERE o.id = t.object_id \
               AND t.tag_id >= $1 AND t.tag_id <= $1 AND o.type_id = $2 AND o.gone_at IS NULL LIMIT $3) few";
    let values = [id.0.into(), type_id.into(), to_i64(most).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let row = db.query_one_raw(statement).await?;
    Ok(row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.map_or(0, to_u64))
}

const COLUMNS: Columns<2> = [("object_id", INT), ("tag_id", INT)];

/// Sets the tags of each object. The objects' rows stay locked until the transaction ends (PostgreSQL). Otherwise, if
/// two transactions set the tags of one object at once, the tags of both would stay.
///
/// Takes lock 8 of 9.
pub async fn assign(db: &impl ConnectionTrait, tagged: &[(ObjectId, &[TagId])]) -> Result<()> {
    for group in tagged.chunks(1000) {
        object::Entity::find()
            .select_only()
            .column(object::Column::Id)
            .filter(object::Column::Id.is_in(group.iter().map(|(id, _)| id.0)))
            .order_by_asc(object::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .into_tuple::<i64>()
            .all(db)
            .await?;
        object_tag::Entity::delete_many()
            .filter(object_tag::Column::ObjectId.is_in(group.iter().map(|(id, _)| id.0)))
            .exec(db)
            .await?;
    }
    let row = |id: ObjectId, tag: TagId| [id.0.into(), tag.0.into()];
    let tags = tagged.iter().flat_map(|(id, tags)| tags.iter().map(move |tag| row(*id, *tag)));
    rows::insert(db, "object_tag", &COLUMNS, tags.collect(), " ON CONFLICT (object_id, tag_id) DO NOTHING").await?;
    Ok(())
}
