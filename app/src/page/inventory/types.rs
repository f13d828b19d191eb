//! The page of event types: built-in types, added types, and reported types that are not in the catalogue.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::question::bin;
use crate::part::status::Time;
use crate::part::typed_field::{select, switch, text};
use crate::query::encoded;
use crate::view::inventory::UnknownLine;
use leptos::prelude::*;
use model::access::Permission;
use model::catalog::{Catalog, EventKind, ObjectType, is_built_in, is_built_in_event};

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let catalog = asked.backend.catalog.load().await?;
    let unknown = asked.backend.catalog.unknown().await?;
    let may_administer = asked.may(Permission::Administer);
    let main = content(&asked, &catalog, unknown, may_administer);
    Ok(Page::new("Event Types", main).live_if(!may_administer))
}

fn content(asked: &Asked, catalog: &Catalog, unknown: Vec<UnknownLine>, may_administer: bool) -> AnyView {
    let delete =
        |object_type: &ObjectType| (may_administer && !is_built_in(&object_type.id)).then(|| delete_type(object_type));
    let (with_events, without): (Vec<_>, Vec<_>) =
        catalog.0.iter().partition(|object_type| !object_type.events.is_empty());
    let cards = with_events.into_iter().map(|object_type| {
        let events = object_type.events.iter().map(|event| {
            let bin = (may_administer && !is_built_in_event(&object_type.id, &event.id))
                .then(|| delete_event(object_type, event));
            view! {
                <li class="l-row l-row--apart">
                    <span>{event.label.clone()}</span>
                    <span class="l-row"><code class="u-muted">{format!("{}.{}", object_type.id, event.id)}</code>{bin}</span>
                </li>
            }
        });
        let events = events.collect_view();
        view! {
            <section class="c-card" aria-label=object_type.plural.clone()>
                <header class="c-card__head"><h2 class="c-card__title">{object_type.plural.clone()}</h2><span class="l-row">{delete(object_type)}</span></header>
                <ul class="c-lines" role="list">{events}</ul>
            </section>
        }
    });
    let cards = cards.collect_view();
    let rest = (!without.is_empty()).then(|| {
        let types = without.into_iter().map(|object_type| {
            view! {
                <li class="l-row l-row--apart">
                    <span>{object_type.plural.clone()}</span>
                    <span class="l-row"><code class="u-muted">{object_type.id.clone()}</code>{delete(object_type)}</span>
                </li>
            }
        });
        let types = types.collect_view();
        view! {
            <section class="c-card" aria-labelledby="no-events">
                <header class="c-card__head"><h2 class="c-card__title" id="no-events">"Types without events"</h2></header>
                <ul class="c-lines" role="list">{types}</ul>
            </section>
        }
    });
    let unknown = unknown_card(unknown, may_administer);
    let forms = may_administer.then(|| forms(asked, catalog));
    view! { <div class="l-split l-split--form"><div class="l-stack">{unknown}<div class="l-columns">{cards} {rest}</div></div><div class="l-stack">{forms}</div></div> }.into_any()
}

fn delete_type(object_type: &ObjectType) -> AnyView {
    let ObjectType { id, plural, events, .. } = object_type;
    let with = match events.len() {
        0 => String::new(),
        1 => " with its event type".to_owned(),
        count => format!(" with its {count} event types"),
    };
    let question = format!("Delete the object type {plural}{with}? Its objects and past occurrences stay.");
    bin(format!("delete-type-{id}"), plural, question, format!("/types/{}/delete", encoded(id)), None)
}

fn delete_event(object_type: &ObjectType, event: &EventKind) -> AnyView {
    let ObjectType { id, plural, .. } = object_type;
    let question = format!("Delete the event type {} of {plural}? Its past occurrences stay.", event.label);
    let action = format!("/types/{}/{}/delete", encoded(id), encoded(&event.id));
    bin(format!("delete-event-{id}.{}", event.id), &event.label, question, action, None)
}

fn unknown_card(unknown: Vec<UnknownLine>, may_administer: bool) -> Option<AnyView> {
    if unknown.is_empty() {
        return None;
    }
    let lines = unknown.into_iter().map(|line| {
        let add = may_administer.then(|| {
            view! {
                <form method="post" action="/types/adopt">
                    <input type="hidden" name="type_id" value=line.type_id.clone()/>
                    <input type="hidden" name="event_id" value=line.event_id.clone()/>
                    <button class="c-button c-button--s" type="submit">"Add"</button>
                </form>
            }
        });
        let seen = if line.seen == 1 { "seen once, ".to_owned() } else { format!("seen {} times, last ", line.seen) };
        view! {
            <li class="l-row l-row--apart">
                <code>{format!("{}.{}", line.type_id, line.event_id)}</code>
                <span class="l-row u-small u-muted">{seen}<Time when=line.last/>{add}</span>
            </li>
        }
    });
    Some(
        view! {
            <section class="c-card" aria-labelledby="unknown">
                <header class="c-card__head"><h2 class="c-card__title" id="unknown">"Seen, not in the catalogue"</h2></header>
                <ul class="c-lines" role="list">{lines.collect_view()}</ul>
            </section>
        }
        .into_any(),
    )
}

fn forms(asked: &Asked, catalog: &Catalog) -> AnyView {
    let is_event = asked.was_typed("of_type");
    let blank = asked.blank();
    let (of_event, of_type) = if is_event { (asked, &blank) } else { (&blank, asked) };
    let choices = catalog.0.iter().map(|object_type| (object_type.id.clone(), object_type.plural.clone())).collect();
    view! {
        <form class="c-card" method="post" action="/types/events/new" aria-labelledby="new-event" novalidate>
            <header class="c-card__head"><h2 class="c-card__title" id="new-event">"New event of a type"</h2></header>
            <div class="c-card__body l-stack l-stack--fields">
                {select(of_event, "of_type", "Type", "vms", choices)}
                {text(of_event, "event_id", "Id", true, "", "As other systems report it: letters, digits, _ and -.")}
                {text(of_event, "label", "Label", true, "", "")}
                <div><button class="c-button" type="submit">"Add event"</button></div>
            </div>
        </form>
        <form class="c-card" method="post" action="/types/new" aria-labelledby="new-type" novalidate>
            <header class="c-card__head"><h2 class="c-card__title" id="new-type">"New object type"</h2></header>
            <div class="c-card__body l-stack l-stack--fields">
                {text(of_type, "id", "Id", true, "", "As other systems report it: letters, digits, _, - and dots.")}
                {text(of_type, "singular", "Singular", true, "", "")} {text(of_type, "plural", "Plural", true, "", "")}
                {switch(of_type, "has_objects".to_owned(), "Has objects".to_owned(), true)}
                {switch(of_type, "has_tags".to_owned(), "Its objects carry tags".to_owned(), false)}
                <div><button class="c-button" type="submit">"Add type"</button></div>
            </div>
        </form>
    }
    .into_any()
}
