//! The fields of an event in a hydrated form: each select depends on the one before.

use super::{level_options, tag_options, type_of};
use crate::island::form::FormState;
use crate::island::form::fields::{line, select, switch};
use crate::island::lookup_field::LookupField;
use crate::part::icon::Icon;
use crate::view::event::TagChoice;
use crate::view::{Choice, ChoiceOf, FoundChoices};
use leptos::prelude::*;
use model::catalog::{Catalog, EventKind, ObjectType};
use model::event::{ANY, EventDraft};

/// The type, and the fields that depend on the type.
#[component]
pub(super) fn Chosen(
    form: FormState,
    catalog: Catalog,
    /// A type, the object that is stored, and the first objects of the type.
    objects: (String, Option<Choice>, FoundChoices),
    tags: Vec<TagChoice>,
) -> impl IntoView {
    // The list replaces the text field. A name that was typed there is chosen again, since it may be of no object.
    if !form.text_now("object_named").is_empty() {
        form.set_text("object_named", String::new());
        form.set_text("object", String::new());
    }
    let chosen = RwSignal::new(type_of(&form.text_now("event")));
    let announcement = RwSignal::new(String::new());
    let types = catalog
        .0
        .iter()
        .filter(|object_type| !object_type.events.is_empty())
        .map(|object_type| {
            let is_selected = object_type.id == chosen.get_untracked();
            view! { <option value=object_type.id.clone() selected=is_selected>{object_type.plural.clone()}</option> }
        })
        .collect_view();
    let change = move |event: leptos::ev::Event| {
        let draft: EventDraft = form.draft_now();
        let had_more =
            draft.object != ANY || !draft.tag.is_empty() || !draft.level.is_empty() || !draft.source.is_empty();
        form.replace(EventDraft {
            task: draft.task,
            enabled: draft.enabled,
            revision: draft.revision,
            ..EventDraft::new_form()
        });
        announcement.set(if had_more {
            "The event and the fields that depended on the type were cleared.".to_owned()
        } else {
            String::new()
        });
        chosen.set(event_target_value(&event));
    };
    // While no type is chosen, the error of the event shows at the type.
    let event = form.field("event", "Type", true);
    let (wrong, on_leave) = (event.error, event.on_leave);
    let name = move || if chosen.with(String::is_empty) { "event" } else { "type" };
    let error = Memo::new(move |_| if chosen.with(String::is_empty) { wrong.get() } else { None });
    let lists = StoredValue::new((catalog, objects, tags));
    let dependent = move || {
        let type_id = chosen.get();
        lists.with_value(|(catalog, (first_type, object, first), tags)| {
            let Some(object_type) = catalog.find(&type_id).cloned() else { return ().into_any() };
            let object = object.clone().filter(|object| form.text_now("object") == object.value);
            let tags = tags.iter().filter(|tag| tag.type_ids.contains(&type_id)).cloned().collect::<Vec<_>>();
            let first = (*first_type == type_id).then(|| first.clone());
            view! { <Dependent form=form object_type=object_type object=object first=first tags=tags/> }.into_any()
        })
    };
    view! {
        <div>
            <div class="c-field">
                <label class="c-field__label" for=name>"Type"<span class="c-field__required" aria-hidden="true">"*"</span></label>
                <select
                    class="c-field__control"
                    id=name
                    required
                    aria-invalid=move || error.get().is_some().then_some("true")
                    aria-describedby="type-note"
                    on:change=change
                    on:blur=move |_| on_leave.run(())
                >
                    <option value="">"Choose a type"</option>
                    {types}
                </select>
                <svg class="c-icon c-field__chevron" aria-hidden="true"><use href="#i-chevron"></use></svg>
            </div>
            <p class=move || if error.get().is_some() { "c-hint c-hint--error" } else { "c-hint" } id="type-note" role="status">
                {move || error.get().is_some().then(|| view! { <Icon name="error"/> })}
                <span>{move || error.get().unwrap_or_else(|| announcement.get())}</span>
            </p>
        </div>
        {dependent}
    }
    .into_any()
}

/// The fields that depend on the type.
#[component]
fn Dependent(
    form: FormState,
    object_type: ObjectType,
    object: Option<Choice>,
    /// The first objects of the type, if the page came with them.
    first: Option<FoundChoices>,
    tags: Vec<TagChoice>,
) -> impl IntoView {
    let nothing = std::iter::once((String::new(), "Choose what happens".to_owned()));
    let option = |event: &EventKind| (format!("{}.{}", object_type.id, event.id), event.label.clone());
    let events = vec![(String::new(), nothing.chain(object_type.events.iter().map(option)).collect())];
    let uses_tag = Memo::new(move |_| form.text("use_tag") == "true");
    let of = (object_type.id.clone(), object_type.singular.clone());
    let lists = StoredValue::new((object, first, tags));
    let switch = object_type.has_tags.then(|| switch(form.field("use_tag", "Use Tag", false), ""));
    let has_objects = object_type.has_objects;
    let scope = move || {
        lists.with_value(|(object, first, tags)| {
            if uses_tag.get() {
                let hint =
                    if tags.is_empty() { "No tag is for this type yet. Create one under Inventory, Tags." } else { "" };
                select(form.field("tag", "Tag", true), tag_options(tags.clone()), hint)
            } else if has_objects {
                let (type_id, label) = of.clone();
                view! {
                    <LookupField
                        field=form.field("object", &label, false)
                        what=label
                        of=ChoiceOf::Objects(type_id)
                        first=first.clone()
                        chosen=object.clone()
                        none=(ANY, "Any")
                        current=Signal::derive(move || form.text("object"))
                    />
                }
                .into_any()
            } else {
                ().into_any()
            }
        })
    };
    let level = object_type.has_level.then(|| select(form.field("level", "Level", false), level_options(), ""));
    let source = object_type.has_source.then(|| line(form.field("source", "Source", false), "Empty for every source."));
    view! {
        {select(form.field("event", "Event", true), events, "")}
        {switch}
        {scope}
        {level}
        {source}
    }
    .into_any()
}
