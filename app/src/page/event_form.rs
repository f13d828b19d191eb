//! The event form: new, and edit.

use crate::form::{Refused, use_refused};
use crate::page::task_form::options_of;
use crate::part::data::Data;
use crate::part::field::{SelectField, SwitchField, TextField};
use crate::part::form::{Actions, FormState};
use crate::part::frame::Head;
use crate::server_fn::event::{load_event_form, save_event};
use crate::view::{EventForm as Loaded, ObjectGroup, TagChoice};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use model::catalog::{Catalog, EventKind, LEVELS};
use model::event::{ANY, EventDraft};
use model::id::EventId;

/// The page of a new event.
#[component]
pub(crate) fn NewEvent() -> impl IntoView {
    let refused: Option<Refused<EventDraft>> = use_refused();
    let loaded = Resource::new(|| (), |()| load_event_form(None));
    view! { <Data resource=loaded show=move |loaded| view! { <Form id=None loaded=loaded refused=refused.clone()/> }/> }
}

/// The page of a stored event.
#[component]
pub(crate) fn EditEvent() -> impl IntoView {
    let refused: Option<Refused<EventDraft>> = use_refused();
    let params = use_params_map();
    let id = move || EventId(params.with(|params| params.get("id")?.parse().ok()).unwrap_or_default());
    let loaded = Resource::new(id, |id| load_event_form(Some(id)));
    view! {
        <Data
            resource=loaded
            show=move |loaded| view! { <Form id=Some(id()) loaded=loaded refused=refused.clone()/> }
        />
    }
    .into_any()
}

/// Group label, then value and label of each option.
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

fn object_options(groups: Vec<ObjectGroup>) -> Options {
    let first = (String::new(), vec![(ANY.to_owned(), "Any".to_owned())]);
    let option = |choice: crate::view::Choice| (choice.value, choice.label);
    let groups = groups.into_iter().map(|group| (group.label, group.objects.into_iter().map(option).collect()));
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

#[component]
fn Form(id: Option<EventId>, loaded: Loaded, refused: Option<Refused<EventDraft>>) -> impl IntoView {
    let title = if id.is_some() { format!("Event: {}", loaded.name) } else { "New Event".to_owned() };
    let options = event_options(&loaded.catalog);
    let catalog = loaded.catalog;
    let check = move |draft: &EventDraft| draft.parse(&catalog).err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, Box::new(check));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        form.submit(move |draft| save_event(id, draft), |id: EventId| format!("/events/{id}"));
    };
    let revision = form.draft().with_untracked(|draft| draft.revision.clone());
    view! {
        <form method="post" class="l-form" novalidate on:submit=submit aria-labelledby="event-title">
            <div class="l-main__body">
                <Head parents=vec![("/events", "Events")] title=title/>
                <section class="c-card l-narrow">
                    <header class="c-card__head">
                        <h2 class="c-card__title" id="event-title">"Task Event"</h2>
                        <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                    </header>
                    <div class="c-card__body l-stack l-stack--fields">
                        <input type="hidden" name="revision" value=revision/>
                        <SelectField
                            field=form.field("event", "Event", true, |d| &mut d.event)
                            options=options
                        />
                        <SwitchField field=form.field("use_tag", "Use Tag", false, |d| &mut d.use_tag)/>
                        <SelectField
                            field=form.field("tag", "Tag", false, |d| &mut d.tag)
                            options=tag_options(loaded.tags)
                        />
                        <SelectField
                            field=form.field("object", "Object", false, |d| &mut d.object)
                            options=object_options(loaded.objects)
                            hint="An object appears here once something has been heard of it."
                        />
                        <SelectField
                            field=form.field("level", "Level", false, |d| &mut d.level)
                            options=level_options()
                        />
                        <TextField field=form.field("source", "Source", false, |d| &mut d.source)/>
                        <SelectField
                            field=form.field("task", "Task", true, |d| &mut d.task)
                            options=options_of("Choose a task", loaded.tasks)
                        />
                        <SwitchField field=form.field("enabled", "Enabled", false, |d| &mut d.enabled)/>
                    </div>
                </section>
            </div>
            <Actions form=form cancel="/events"/>
        </form>
    }
    .into_any()
}
