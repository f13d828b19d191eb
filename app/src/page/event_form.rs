//! The event form: new, and edit.

use crate::form::{Refused, use_refused};
use crate::page::task_form::options_of;
use crate::part::data::Data;
use crate::part::field::{SelectField, SwitchField};
use crate::part::form::{Actions, FormState};
use crate::part::frame::Head;
use crate::server_fn::event::{load_event_form, save_event};
use crate::view::{EventForm as Loaded, ObjectGroup};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use model::catalog;
use model::event::EventDraft;
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

fn event_options() -> Vec<(String, Vec<(String, String)>)> {
    let first = (String::new(), vec![(String::new(), "Choose what happens".to_owned())]);
    let groups = catalog::OBJECT_TYPES.iter().map(|object_type| {
        let option = |event: &catalog::EventKind| {
            (format!("{}.{}", object_type.id, event.id), format!("{}: {}", object_type.plural, event.label))
        };
        (object_type.plural.to_owned(), object_type.events.iter().map(option).collect())
    });
    std::iter::once(first).chain(groups).collect()
}

fn object_options(groups: Vec<ObjectGroup>) -> Vec<(String, Vec<(String, String)>)> {
    let first = (String::new(), vec![(String::new(), "Any".to_owned())]);
    let option = |choice: crate::view::Choice| (choice.value, choice.label);
    let groups = groups.into_iter().map(|group| (group.label, group.objects.into_iter().map(option).collect()));
    std::iter::once(first).chain(groups).collect()
}

#[component]
fn Form(id: Option<EventId>, loaded: Loaded, refused: Option<Refused<EventDraft>>) -> impl IntoView {
    let title = if id.is_some() { format!("Event: {}", loaded.name) } else { "New Event".to_owned() };
    let check = |draft: &EventDraft| draft.parse().err().unwrap_or_default();
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
                            options=event_options()
                        />
                        <SelectField
                            field=form.field("object", "Object", false, |d| &mut d.object)
                            options=object_options(loaded.objects)
                            hint="An object appears here once something has been heard of it."
                        />
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
