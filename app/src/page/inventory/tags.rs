//! The page of tags and their categories.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::icon::Icon;
use crate::part::question::bin;
use crate::part::table::counted_to;
use crate::part::typed_field::{group_message, select, switch, text};
use crate::view::inventory::{CategoryLine, TAGGED, TagLine};
use leptos::prelude::*;
use model::access::Permission;
use model::catalog::Catalog;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let categories = asked.backend.inventory.list_categories().await?;
    let catalog = asked.backend.catalog.load().await?;
    let may_edit = asked.may(Permission::Edit);
    let main = content(&asked, &categories, &catalog, may_edit);
    Ok(Page::new("Tags", main))
}

fn content(asked: &Asked, categories: &[CategoryLine], catalog: &Catalog, may_edit: bool) -> AnyView {
    let cards = categories.iter().map(|category| card(category, catalog, may_edit)).collect_view();
    let none = categories.is_empty().then(|| {
        view! {
            <section class="c-card">
                <div class="c-empty">
                    <Icon name="tag"/>
                    <p>"Tags label objects, so that an event can be about all objects with a tag. A category says which types may carry its tags."</p>
                </div>
            </section>
        }
    });
    let forms = may_edit.then(|| forms(asked, categories, catalog));
    view! { <div class="l-split l-split--form"><div class="l-stack">{none} {cards}</div><div class="l-stack">{forms}</div></div> }.into_any()
}

fn card(category: &CategoryLine, catalog: &Catalog, may_edit: bool) -> AnyView {
    let types: Vec<_> = category.type_ids.iter().map(|id| catalog.type_label(id)).collect();
    let about = format!("{}{}", types.join(", "), if category.is_single { "; only one on an object" } else { "" });
    let tags = category.tags.iter().map(|tag| {
        let objects = match tag.objects {
            1 => "1 object".to_owned(),
            count => format!("{} objects", counted_to(TAGGED, count)),
        };
        let bin = may_edit.then(|| delete_tag(category, tag));
        view! {
            <li class="l-row l-row--apart">
                <span class="l-row"><Icon name="tag"/>{tag.name.clone()}</span>
                <span class="l-row u-small u-muted">{objects}{bin}</span>
            </li>
        }
    });
    let tags = tags.collect_view();
    let bin = may_edit.then(|| delete_category(category));
    let description = (!category.description.is_empty())
        .then(|| view! { <p class="c-card__body u-small">{category.description.clone()}</p> });
    view! {
        <section class="c-card" aria-label=category.name.clone()>
            <header class="c-card__head">
                <h2 class="c-card__title">{category.name.clone()}</h2>
                <span class="l-row u-xs u-muted">{about}{bin}</span>
            </header>
            {description}
            <ul class="c-lines" role="list">{tags}</ul>
        </section>
    }
    .into_any()
}

fn delete_tag(category: &CategoryLine, tag: &TagLine) -> AnyView {
    let label = format!("{} - {}", category.name, tag.name);
    let objects = match tag.objects {
        0 => "No object carries it.".to_owned(),
        1 => "It is removed from the object that carries it.".to_owned(),
        count => format!("It is removed from the {} objects that carry it.", counted_to(TAGGED, count)),
    };
    let question = format!("Delete the tag {label}? {objects}");
    bin(format!("delete-tag-{}", tag.id), &label, question, format!("/tags/{}/delete", tag.id), None)
}

fn delete_category(category: &CategoryLine) -> AnyView {
    let what = format!("the category {}", category.name);
    let question = match category.tags.len() {
        0 => format!("Delete {what}? It has no tags."),
        1 => format!("Delete {what} with its tag? The tag is removed from all objects that carry it."),
        count => format!("Delete {what} with its {count} tags? They are removed from all objects that carry them."),
    };
    let (id, action) = (format!("delete-category-{}", category.id), format!("/tags/categories/{}/delete", category.id));
    bin(id, &what, question, action, None)
}

fn forms(asked: &Asked, categories: &[CategoryLine], catalog: &Catalog) -> AnyView {
    // The page has two forms. The field `category` tells which of them was posted.
    let is_tag = asked.was_typed("category");
    let blank = asked.blank();
    let (of_tag, of_category) = if is_tag { (asked, &blank) } else { (&blank, asked) };
    let choices: Vec<_> = categories.iter().map(|category| (category.id.to_string(), category.name.clone())).collect();
    let first = choices.first().map(|(id, _)| id.clone()).unwrap_or_default();
    let tag_form = (!choices.is_empty()).then(|| {
        view! {
            <form class="c-card" method="post" action="/tags/new" aria-labelledby="new-tag" novalidate>
                <header class="c-card__head"><h2 class="c-card__title" id="new-tag">"New Tag"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    {select(of_tag, "category", "Category", &first, choices)} {text(of_tag, "name", "Name", true, "", "")}
                    <div><button class="c-button" type="submit">"Add tag"</button></div>
                </div>
            </form>
        }
    });
    let types = catalog
        .0
        .iter()
        .filter(|object_type| object_type.has_tags)
        .map(|object_type| switch(of_category, format!("type.{}", object_type.id), object_type.plural.clone(), false))
        .collect_view();
    // Ids must be unique on a page, so a field that both forms have carries another name in this one.
    view! {
        {tag_form}
        <form class="c-card" method="post" action="/tags/categories/new" aria-labelledby="new-category" novalidate>
            <header class="c-card__head"><h2 class="c-card__title" id="new-category">"New Tag Category"</h2></header>
            <div class="c-card__body l-stack l-stack--fields">
                {text(of_category, "category_name", "Name", true, "", "")}
                {text(of_category, "description", "Description", false, "", "")}
                {switch(of_category, "single".to_owned(), "Only one on an object".to_owned(), false)}
                <fieldset class="l-stack l-stack--tight"><legend class="u-small u-strong">"Types that may carry its tags"</legend><div class="l-fields">{types}</div></fieldset>
                {group_message(of_category, "types")}
                <div><button class="c-button" type="submit">"Add category"</button></div>
            </div>
        </form>
    }
    .into_any()
}
