//! The list of objects, with their tags.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::menu::{confirmed, go, menu};
use crate::part::notice::Empty;
use crate::part::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::view::inventory::{ObjectLine, ObjectQuery};
use leptos::prelude::*;
use model::access::Permission;
use model::text::shown;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let query = &asked.query;
    let text = |name: &str| query.value(name).to_owned();
    let wanted = ObjectQuery {
        name: text("name"),
        type_label: text("type"),
        external_id: text("id"),
        tags: text("tags"),
        sort: text("sort"),
        page: query.page(),
    };
    let listed = asked.backend.inventory.list_objects(wanted).await?;
    let may_edit = asked.may(Permission::Edit);
    let table = Table {
        label: "Objects",
        noun: ("object", "objects"),
        path: "/objects",
        query,
        columns: vec![
            Column::text("name", "Name", "w-30", Narrow::Start),
            Column { filter: Filter::words(listed.types), ..Column::text("type", "Type", "w-20", Narrow::End) },
            Column::text("id", "Id", "w-20", Narrow::Label("Id")),
            Column::text("tags", "Tags", "", Narrow::Wide),
        ],
        rows: listed.rows.into_iter().map(row).collect(),
        total: Some(listed.total),
        further: None,
        of: None,
        default_sort: "name",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="object"
                text="An object appears here when an occurrence names it, an inventory contains it, or a person adds it."
                new=may_edit.then_some(("/objects/new", "New Object"))
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![
            go("plus", "New Object", "/objects/new".to_owned()),
            confirmed(
                "bin",
                "Delete…",
                "Delete the checked objects? Their occurrences stay.".to_owned(),
                "Delete objects".to_owned(),
                "/objects/delete".to_owned(),
                true,
            ),
        ])
    });
    Ok(table.page(commands))
}

fn row(line: ObjectLine) -> Row {
    let gone = line.is_gone.then(|| view! { <span class="u-muted">" (gone)"</span> });
    let name = shown(&line.name);
    let tags = line.tags.iter().map(|tag| tag.label.as_str()).collect::<Vec<_>>().join(", ");
    Row {
        id: line.id.to_string(),
        label: name.clone(),
        cells: vec![
            Cell::open(name.clone(), format!("/objects/{}", line.id), view! { {name}{gone} }),
            Cell::text(line.type_label),
            Cell::text(shown(&line.external_id)),
            Cell::text(tags),
        ],
    }
}
