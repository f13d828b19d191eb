//! The list of objects: filtered, sorted and paged by the database.

use super::{Row, in_order_of_index, pick, reads_all};
use crate::store::entity::{object, object_tag};
use crate::store::search::{Page, Part, count};
use crate::store::{Result, group};
use app::view::COUNTED;
use model::id::TagId;
use model::number::to_usize;
use model::text::folded;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement, StreamTrait,
    sea_query::{Expr, SimpleExpr},
};

/// A filter of objects. An absent condition permits every object; a text is found in any case.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The types.
    pub type_ids: Option<Vec<String>>,
    /// A text that the name contains.
    pub name: Option<String>,
    /// A text that the external id contains.
    pub external_id: Option<String>,
    /// Tags, one of which the object carries.
    pub tag_ids: Option<Vec<TagId>>,
}

impl Filter {
    /// Returns true when a condition may read every object, or every object with a tag.
    pub fn is_search(&self) -> bool {
        self.name.is_some() || self.external_id.is_some() || self.tag_ids.is_some()
    }

    /// Returns true where the database cannot compare the texts.
    fn reads_all(&self) -> bool {
        [&self.name, &self.external_id].into_iter().flatten().any(|text| reads_all(text))
    }
}

/// A value that the list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sort {
    /// The name.
    Name,
    /// The type, in the order of these ids.
    Type(Vec<String>),
    /// The external id.
    ExternalId,
    /// The tags, in the order of their ids.
    Tags,
}

impl Sort {
    /// Returns the value as SQL.
    fn value(&self, backend: DbBackend) -> SimpleExpr {
        match self {
            Self::Name => Expr::cust("lower(name)"),
            Self::Type(ids) => {
                let function = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
                let first = group::first_parameter(backend);
                // No id of a type contains a comma.
                let ids = format!(",{},", ids.join(","));
                Expr::cust_with_values(format!("{function}({first}, ',' || type_id || ',')"), [ids])
            }
            Self::ExternalId => Expr::cust("lower(COALESCE(external_id, ''))"),
            Self::Tags => Expr::cust(
                "(SELECT COALESCE(string_agg(lower(c.name || ' - ' || t.name), ', ' ORDER BY t.id), '') \
                 FROM object_tag o JOIN tag t ON t.id = o.tag_id JOIN tag_category c ON c.id = t.category_id \
                 WHERE o.object_id = object.id)",
            ),
        }
    }
}

/// Returns a page of objects. Of more than [`COUNTED`] objects only the first by type and name are sorted.
pub async fn list(
    db: &(impl ConnectionTrait + StreamTrait),
    filter: &Filter,
    sort: &Sort,
    is_descending: bool,
    part: Part,
) -> Result<Page<Row>> {
    // An empty list would be a condition that no index serves.
    if filter.type_ids.as_ref().is_some_and(Vec::is_empty) || filter.tag_ids.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Page { rows: Vec::new(), total: 0, further: None });
    }
    let found = in_order_of_index(filtered(db, filter).await?).limit(COUNTED + 1);
    let order = if is_descending { Order::Desc } else { Order::Asc };
    let mut query = object::Entity::find();
    QuerySelect::query(&mut query).from_clear().from_subquery(found.clone().into_query(), object::Entity);
    let query = query
        .order_by(sort.value(ConnectionTrait::get_database_backend(db)), order.clone())
        .order_by(object::Column::TypeId, order.clone())
        .order_by(object::Column::Name, order.clone())
        .order_by(object::Column::Id, order);
    let part = Part { offset: part.offset.min(COUNTED), ..part };
    let rows = query.offset(part.offset).limit(part.limit).all(db).await?;
    let total = count(db, found, object::Column::Id, part, rows.len()).await?;
    Ok(Page { rows: rows.into_iter().map(Row::from).collect(), total, further: None })
}

async fn filtered(db: &(impl ConnectionTrait + StreamTrait), filter: &Filter) -> Result<Select<object::Entity>> {
    use object::Column;
    let backend = ConnectionTrait::get_database_backend(db);
    let tagged = |ids: &Vec<TagId>| {
        let tags = object_tag::Entity::find().select_only().column(object_tag::Column::ObjectId);
        tags.filter(object_tag::Column::TagId.is_in(ids.iter().map(|id| id.0))).into_query()
    };
    let all = Condition::all()
        .add_option(filter.type_ids.as_ref().map(|ids| Column::TypeId.is_in(ids.iter().map(String::as_str))))
        .add_option(filter.tag_ids.as_ref().map(|ids| Column::Id.in_subquery(tagged(ids))));
    let query = object::Entity::find().filter(all);
    let texts = [("name", &filter.name), ("external_id", &filter.external_id)];
    let texts = texts.map(|(column, text)| (column, text.as_deref().map(folded)));
    if !filter.reads_all() {
        let within = |(column, text): (&str, Option<String>)| {
            text.map(|text| group::holds(backend, &format!("lower({column})"), text))
        };
        return Ok(texts.into_iter().filter_map(within).fold(query, QueryFilter::filter));
    }
    let [(_, name), (_, external_id)] = texts;
    let holds = |value: &str, text: &Option<String>| text.as_ref().is_none_or(|text| folded(value).contains(text));
    let is_wanted = |row: &object::Model| {
        holds(&row.name, &name) && holds(row.external_id.as_deref().unwrap_or_default(), &external_id)
    };
    let rows = pick(db, in_order_of_index(query), is_wanted, to_usize(COUNTED + 1)).await?;
    let ids = group::ids(rows.iter().map(|row| row.id), backend == DbBackend::Postgres);
    let among = group::id_in("id", group::first_parameter(backend), backend == DbBackend::Postgres);
    Ok(object::Entity::find().filter(Expr::cust_with_values(among, [ids])))
}

/// Returns the types that have objects, in the order of their ids.
pub async fn list_types(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Type {
        type_id: String,
    }
    // The index of names leads from each type to the next, so that only one object of each type is read.
    let sql = "WITH RECURSIVE types (type_id) AS (SELECT (SELECT MIN(type_id) FROM object) UNION ALL \
               SELECT (SELECT MIN(o.type_id) FROM object o WHERE o.type_id > types.type_id) FROM types \
               WHERE types.type_id IS NOT NULL) SELECT type_id FROM types WHERE type_id IS NOT NULL";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    Ok(Type::find_by_statement(statement).all(db).await?.into_iter().map(|row| row.type_id).collect())
}
