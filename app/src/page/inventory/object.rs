//! The form of an object: its name, id and tags, entered by hand.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::nowhere;
use crate::part::typed_field::{foot, group_message, revision, select, switch, text};
use crate::view::inventory::{CategoryLine, ObjectLine};
use leptos::prelude::*;
use model::access::Permission;
use model::catalog::is_internal;
use model::id::TagId;
use model::object;
use model::text::shown;

/// A new object.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only("New Object").below("/objects", "Objects"));
    }
    form_page(&asked, None).await
}

/// A stored object.
pub(crate) async fn edit(asked: Asked) -> Result<Page, AppError> {
    let stored = asked.backend.inventory.load_object(asked.id("object")?).await?;
    if !asked.may(Permission::Edit) {
        return Ok(Page::new(shown(&stored.name), facts(stored)).below("/objects", "Objects"));
    }
    form_page(&asked, Some(stored)).await
}

async fn form_page(asked: &Asked, stored: Option<ObjectLine>) -> Result<Page, AppError> {
    let catalog = asked.backend.catalog.load().await?;
    let types: Vec<_> = catalog
        .0
        .iter()
        .filter(|object_type| object_type.has_objects && !is_internal(&object_type.id))
        .map(|object_type| (object_type.id.clone(), object_type.plural.clone()))
        .collect();
    let categories = asked.backend.inventory.list_categories().await?;
    let title = stored.as_ref().map_or_else(|| "New Object".to_owned(), |object| shown(&object.name));
    Ok(Page::new(title, form(asked, stored.as_ref(), types, &categories)).below("/objects", "Objects"))
}

/// Renders an object for people who may not change it.
fn facts(object: ObjectLine) -> AnyView {
    let tags = object.tags.into_iter().map(|tag| tag.label).collect::<Vec<_>>().join(", ");
    let fact = |name: &'static str, value: String| {
        (!value.is_empty()).then(|| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
    };
    view! {
        <section class="c-card l-narrow" aria-labelledby="object">
            <header class="c-card__head"><h2 class="c-card__title" id="object">"Object"</h2></header>
            <div class="c-card__body">
                <dl class="c-facts">
                    {fact("Type", object.type_label)} {fact("Name", shown(&object.name))}
                    {fact("Id", shown(&object.external_id))} {fact("Tags", tags)}
                </dl>
            </div>
        </section>
    }
    .into_any()
}

fn form(
    asked: &Asked,
    stored: Option<&ObjectLine>,
    types: Vec<(String, String)>,
    categories: &[CategoryLine],
) -> AnyView {
    let of_type = match stored {
        Some(object) => view! { <p class="u-small u-muted">{object.type_label.clone()}</p> }.into_any(),
        None => select(asked, "type_id", "Type", "vms", types),
    };
    let is_ours = stored.is_some_and(|object| is_internal(&object.type_id));
    let fields = if is_ours {
        let object = stored.map(|object| object.name.clone()).unwrap_or_default();
        view! {
            <input type="hidden" name="name" value=object/>
            <p class="u-small u-muted">"This object belongs to the console; only its tags can be chosen."</p>
        }
        .into_any()
    } else {
        let (name, id) = stored.map(|object| (object.name.clone(), object.external_id.clone())).unwrap_or_default();
        let name = text(asked, "name", "Name", true, &name, "");
        let id = text(
            asked,
            "external_id",
            "Id",
            false,
            &id,
            "Its id in the system it comes from, by which reports find it.",
        );
        view! { {name} {id} }.into_any()
    };
    let chosen: Vec<TagId> = stored.map(|object| object.tags.iter().map(|tag| tag.id).collect()).unwrap_or_default();
    let wanted = |category: &&CategoryLine| {
        stored.is_none_or(|object| category.type_ids.contains(&object.type_id)) && !category.tags.is_empty()
    };
    let groups = categories
        .iter()
        .filter(wanted)
        .map(|category| {
            let tags = category
                .tags
                .iter()
                .map(|tag| switch(asked, format!("tag.{}", tag.id), tag.name.clone(), chosen.contains(&tag.id)))
                .collect_view();
            let one = category.is_single.then_some(" (only one)");
            view! { <fieldset class="l-stack l-stack--tight"><legend class="u-small u-strong">{category.name.clone()}{one}</legend>{tags}</fieldset> }
        })
        .collect_view();
    let opened_on = stored.map(|object| {
        revision(asked, &object::revision(&object.name, Some(&object.external_id), object.is_gone, &chosen))
    });
    let action = stored.map_or_else(|| "/objects/new".to_owned(), |object| format!("/objects/{}", object.id));
    view! {
        <form method="post" class="l-form" action=action novalidate>
            {opened_on}
            <section class="c-card l-narrow" aria-labelledby="object">
                <header class="c-card__head"><h2 class="c-card__title" id="object">"Object"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    {of_type} {fields}
                    <div class="l-stack">{groups}</div>
                    {group_message(asked, "tags")}
                </div>
                {foot(asked, "/objects")}
            </section>
        </form>
    }
    .into_any()
}
