//! The event form: new, and edit.

use crate::error::Refused;
use crate::island::form::{Actions, FormState};
use crate::island::hydrated::{use_hydrated, when_rested};
use crate::island::lookup_field::LookupField;
use crate::part::field::{FieldOf, SelectField, SwitchField, TextField};
use crate::part::icon::Icon;
use crate::server_fn::event::{load_matches, save_event};
use crate::view::event::{EventForm as Loaded, TagChoice};
use crate::view::{Choice, ChoiceOf, FoundChoices};
use leptos::prelude::*;
use model::catalog::{Catalog, EventKind, LEVELS, ObjectType};
use model::event::{ANY, EventDraft};
use model::id::EventId;
use std::time::Duration;

/// Groups of options: the group's label, then value and label of each option.
type Options = Vec<(String, Vec<(String, String)>)>;

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
    let check = move |draft: &EventDraft| draft.parse(&catalog).err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, check, may_save);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        form.submit(move |draft| save_event(id, draft), |id: EventId| format!("/events/{id}"));
    };
    let revision = form.text_now("revision");
    let is_hydrated = use_hydrated();
    let named = form.text_now("object_named");
    let named = if named.is_empty() { loaded.object_named } else { named };
    // With a list to choose from, the typed object is not used.
    Effect::new(move |_| {
        if is_hydrated.get() {
            form.set_text("object_named", String::new());
        }
    });
    let height = fields_height(form, &loaded.catalog, loaded.objects.has_more);
    let lists = StoredValue::new((loaded.catalog, (loaded.object, loaded.objects), loaded.tags));
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
    view! {
        <form method="post" class="l-form" novalidate data-unsaved=move || form.unsaved() on:submit=submit aria-labelledby="event-title">
            <div class="l-main__body">
                <fieldset class="c-locked" disabled=!may_save>
<div class="l-split l-split--form">
                    <section class="c-card">
                        <header class="c-card__head">
                            <h2 class="c-card__title" id="event-title">"Task Event"</h2>
                            <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                        </header>
                        <div class="c-card__body l-stack l-stack--fields">
                            <input type="hidden" name="revision" value=revision/>
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
                            <SwitchField field=form.field("enabled", "Enabled", false)/>
                        </div>
                    </section>
                    <div class="u-live"><Matches form=form/></div>
                </div>
                </fieldset>
            </div>
            <Actions form=form cancel="/events"/>
        </form>
    }
    .into_any()
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
        <SelectField field=form.field("event", "Event", true) options=event_options(&catalog)/>
        <SwitchField field=form.field("use_tag", "Use Tag", false)/>
        <SelectField field=form.field("tag", "Tag", false) options=tag_options(tags)/>
        <input type="hidden" name="object" value=ANY/>
        <TextField field=FieldOf { initial: named, ..object } hint="Its name or id; empty for any."/>
        <SelectField
            field=form.field("level", "Level", false)
            options=level_options()
            hint="For alarms and logs."
        />
        <TextField field=form.field("source", "Source", false) hint="For logs."/>
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

/// The same fields, in which each select depends on the one before.
#[component]
fn Chosen(
    form: FormState,
    catalog: Catalog,
    /// The chosen object, and the first objects of its type.
    objects: (Option<Choice>, FoundChoices),
    tags: Vec<TagChoice>,
) -> impl IntoView {
    let first_type = type_of(&form.text_now("event"));
    let chosen = RwSignal::new(first_type.clone());
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
        lists.with_value(|(catalog, (object, first), tags)| {
            let Some(object_type) = catalog.find(&type_id).cloned() else { return ().into_any() };
            let object = object.clone().filter(|object| form.text_now("object") == object.value);
            let tags = tags.iter().filter(|tag| tag.type_ids.contains(&type_id)).cloned().collect::<Vec<_>>();
            let first = (first_type == type_id).then(|| first.clone());
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
    let switch = object_type.has_tags.then(|| {
        view! { <SwitchField field=form.field("use_tag", "Use Tag", false)/> }
    });
    let has_objects = object_type.has_objects;
    let scope = move || {
        lists.with_value(|(object, first, tags)| {
            if uses_tag.get() {
                let hint = if tags.is_empty() { "No tag is for this type yet. Create one under Inventory, Tags." } else { "" };
                view! { <SelectField field=form.field("tag", "Tag", true) options=tag_options(tags.clone()) hint=hint/> }
                    .into_any()
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
    let level = object_type.has_level.then(|| {
        view! { <SelectField field=form.field("level", "Level", false) options=level_options()/> }
    });
    let source = object_type.has_source.then(|| {
        view! {
            <TextField
                field=form.field("source", "Source", false)
                hint="Empty for every source."
            />
        }
    });
    view! {
        <SelectField field=form.field("event", "Event", true) options=events/>
        {switch}
        {scope}
        {level}
        {source}
    }
    .into_any()
}

/// The matches of the unsaved event, now and in the past.
#[component]
fn Matches(form: FormState) -> impl IntoView {
    let found = RwSignal::new(None::<String>);
    let source = Memo::new(move |_| EventDraft { task: String::new(), ..form.draft() });
    when_rested(source, Duration::from_millis(250), move |draft| {
        if draft.event.is_empty() {
            found.set(None);
            return;
        }
        leptos::task::spawn_local(async move {
            let result = load_matches(draft.clone()).await;
            if source.try_get_untracked().is_some_and(|newest| newest == draft) {
                found.set(result.ok());
            }
        });
    });
    let content = move || match found.get() {
        None => view! { <p class="c-card__body u-muted">"Choose a type and an event to see what they match."</p> }
            .into_any(),
        Some(html) => view! { <div role="status" inner_html=html></div> }.into_any(),
    };
    view! {
        <section class="c-card c-match" aria-labelledby="match">
            <header class="c-card__head"><h2 class="c-card__title" id="match">"What it matches"</h2></header>
            {content}
        </section>
    }
    .into_any()
}
