//! The event form: new, and edit.

mod chosen;
mod matches;

use crate::error::Refused;
use crate::island::form::FormState;
use crate::island::form::fields::{line, select, switch};
use crate::island::form::frame::{Frame, frame};
use crate::island::hydrated::use_hydrated;
use crate::island::lookup_field::LookupField;
use crate::part::field::{FieldOf, Options};
use crate::server_fn::event::save_event;
use crate::view::event::{EventForm as Loaded, TagChoice};
use crate::view::{Choice, ChoiceOf};
use chosen::Chosen;
use leptos::prelude::*;
use matches::Matches;
use model::catalog::{Catalog, EventKind, LEVELS};
use model::event::{ANY, EventDraft};
use model::id::EventId;

fn event_options(catalog: &Catalog) -> Options {
    let first = (String::new(), vec![(String::new(), "Choose what happens".to_owned())]);
    let groups = catalog.0.iter().filter(|object_type| !object_type.events.is_empty()).map(|object_type| {
        let option = |event: &EventKind| {
            (format!("{}.{}", object_type.id, event.id), format!("{}: {}", object_type.plural, event.label))
        };
        (object_type.plural.clone(), object_type.events.iter().map(option).collect())
    });
    std::iter::once(first).chain(groups).collect()
}

fn tag_options(tags: Vec<TagChoice>) -> Options {
    let first = (String::new(), "Choose a tag".to_owned());
    vec![(String::new(), std::iter::once(first).chain(tags.into_iter().map(|tag| (tag.value, tag.label))).collect())]
}

fn level_options() -> Options {
    let level = |level: &&str| ((*level).to_owned(), (*level).to_owned());
    let first = (String::new(), "Every level".to_owned());
    vec![(String::new(), std::iter::once(first).chain(LEVELS.iter().map(level)).collect())]
}

/// The form of a stored event, or of a new one.
#[island]
pub(crate) fn EventForm(
    id: Option<EventId>,
    loaded: Loaded,
    refused: Option<Refused<EventDraft>>,
    may_save: bool,
    /// The task, when the form was opened from the task's page: it cannot be changed.
    of_task: Option<Choice>,
) -> impl IntoView {
    let catalog = loaded.catalog.clone();
    // The objects are those of the stored event's type. The draft may be of another: refused, or restored by the browser.
    let loaded_type = type_of(&loaded.draft.event);
    let check = move |draft: &EventDraft| draft.parse(&catalog).err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, check, may_save);
    let submit = move || {
        form.submit(move |draft| save_event(id, draft), |id: EventId| format!("/events/{id}"));
    };
    let is_hydrated = use_hydrated();
    let named = form.text_now("object_named");
    let named = if named.is_empty() { loaded.object_named } else { named };
    let height = fields_height(form, &loaded.catalog, loaded.objects.has_more);
    let objects = (loaded_type, loaded.object, loaded.objects);
    let lists = StoredValue::new((loaded.catalog, objects, loaded.tags));
    let task = match of_task {
        Some(task) => view! {
            <input type="hidden" name="task" value=task.value.clone()/>
            <p class="u-small">"Starts the task "<a href=format!("/tasks/{}", task.value)>{task.label}</a>"."</p>
        }
        .into_any(),
        None => view! {
            <LookupField
                field=form.field("task", "Task", true)
                what="task".to_owned()
                of=ChoiceOf::Tasks
                first=Some(loaded.tasks)
                chosen=loaded.task
                none=("", "Choose a task")
                current=Signal::derive(move || form.text("task"))
            />
        }
        .into_any(),
    };
    let fields = view! {
        <div class="c-wait c-wait--fields" data-height=height>
        {move || {
            lists.with_value(|(catalog, objects, tags)| {
                if is_hydrated.get() {
                    view! { <Chosen form=form catalog=catalog.clone() objects=objects.clone() tags=tags.clone()/> }.into_any()
                } else {
                    view! { <Grouped form=form catalog=catalog.clone() named=named.clone() tags=tags.clone()/> }.into_any()
                }
            })
        }}
        </div>
        {task}
        {switch(form.field("enabled", "Enabled", false), "")}
    }
    .into_any();
    let beside = view! {
        <div class="u-live"><Matches form=form/></div>
    }
    .into_any();
    frame(
        form,
        Frame { name: "event", title: "Task Event", split: "l-split l-split--form" },
        Box::new(submit),
        fields,
        beside,
    )
}

/// All fields at once, with options in groups. This version works without WASM.
#[component]
fn Grouped(
    form: FormState,
    catalog: Catalog,
    /// The typed name or id of the object.
    named: String,
    tags: Vec<TagChoice>,
) -> impl IntoView {
    let object = form.field("object_named", "Object", false);
    view! {
        {select(form.field("event", "Event", true), event_options(&catalog), "")}
        {switch(form.field("use_tag", "Use Tag", false), "")}
        {select(form.field("tag", "Tag", false), tag_options(tags), "")}
        <input type="hidden" name="object" value=ANY/>
        {line(FieldOf { initial: named, ..object }, "Its name or id; empty for any.")}
        {select(form.field("level", "Level", false), level_options(), "For alarms and logs.")}
        {line(form.field("source", "Source", false), "For logs.")}
    }
    .into_any()
}

fn type_of(event: &str) -> String {
    event.rsplit_once('.').map(|(type_id, _)| type_id.to_owned()).unwrap_or_default()
}

/// Returns the height of the fields that depend on the type, in pixels. The page reserves it until they are rendered.
fn fields_height(form: FormState, catalog: &Catalog, has_more_objects: bool) -> u32 {
    let [type_field, field, hint, switch, gap] = [57, 52, 22, 28, 12];
    let Some(object_type) = catalog.find(&type_of(&form.text_now("event"))) else { return type_field };
    let uses_tag = form.text_now("use_tag") == "true";
    let has_object = object_type.has_objects && !uses_tag;
    let is_long = has_object && has_more_objects;
    let fields = [
        (true, field),
        (object_type.has_tags, switch),
        (uses_tag, field),
        (is_long, field),
        (has_object, if is_long { field + hint } else { field }),
        (object_type.has_level, field),
        (object_type.has_source, field + hint),
    ];
    let heights = fields.into_iter().filter_map(|(is_there, height)| is_there.then_some(gap + height));
    type_field + heights.sum::<u32>()
}
