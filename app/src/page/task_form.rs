//! The task form: new, and edit.

use crate::form::{Refused, use_refused};
use crate::part::data::Data;
use crate::part::field::{AreaField, SelectField, SwitchField, TextField};
use crate::part::form::{Actions, FormState};
use crate::part::frame::Head;
use crate::server_fn::task::{load_task_form, save_task};
use crate::view::{Choice, TaskForm as Loaded};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use model::id::TaskId;
use model::task::TaskDraft;

/// The variables a message may use, and what each becomes.
const VARIABLES: &[(&str, &str)] = &[
    ("${DATE}", "Thu, 16 Oct 2025 11:38:07 EDT"),
    ("${TIMESTAMP}", "1760629087"),
    ("${RANDOM}", "a random integer"),
    ("${NAME}", "the object's name"),
];

/// The page of a new task.
#[component]
pub(crate) fn NewTask() -> impl IntoView {
    let refused: Option<Refused<TaskDraft>> = use_refused();
    let loaded = Resource::new(|| (), |()| load_task_form(None));
    view! { <Data resource=loaded show=move |loaded| view! { <Form id=None loaded=loaded refused=refused.clone()/> }/> }
}

/// The page of a stored task.
#[component]
pub(crate) fn EditTask() -> impl IntoView {
    let refused: Option<Refused<TaskDraft>> = use_refused();
    let params = use_params_map();
    let id = move || TaskId(params.with(|params| params.get("id")?.parse().ok()).unwrap_or_default());
    let loaded = Resource::new(id, |id| load_task_form(Some(id)));
    view! {
        <Data
            resource=loaded
            show=move |loaded| view! { <Form id=Some(id()) loaded=loaded refused=refused.clone()/> }
        />
    }
    .into_any()
}

/// The options of a select that starts with nothing chosen.
pub(crate) fn options_of(first: &str, choices: Vec<Choice>) -> Vec<(String, Vec<(String, String)>)> {
    let first = std::iter::once((String::new(), first.to_owned()));
    vec![(String::new(), first.chain(choices.into_iter().map(|choice| (choice.value, choice.label))).collect())]
}

#[component]
fn Form(id: Option<TaskId>, loaded: Loaded, refused: Option<Refused<TaskDraft>>) -> impl IntoView {
    let title = if id.is_some() { format!("Task: {}", loaded.name) } else { "New Task".to_owned() };
    let check = |draft: &TaskDraft| draft.parse().err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, Box::new(check));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        form.submit(move |draft| save_task(id, draft), |id: TaskId| format!("/tasks/{id}"));
    };
    let revision = form.draft().with_untracked(|draft| draft.revision.clone());
    let variables = VARIABLES
        .iter()
        .map(|(name, meaning)| view! { <div><dt class="u-mono">{*name}</dt><dd>{*meaning}</dd></div> })
        .collect_view();
    view! {
        <form method="post" class="l-form" novalidate on:submit=submit aria-labelledby="task-title">
            <div class="l-main__body">
                <Head parents=vec![("/tasks", "Tasks")] title=title/>
                <div class="l-split l-split--settings">
                    <section class="c-card">
                        <header class="c-card__head">
                            <h2 class="c-card__title" id="task-title">"Task"</h2>
                            <span class="u-xs u-muted">
                                <span class="u-danger" aria-hidden="true">"*"</span>
                                " required"
                            </span>
                        </header>
                        <div class="c-card__body l-stack l-stack--fields">
                            <input type="hidden" name="revision" value=revision/>
                            <TextField field=form.field("name", "Name", true, |d| &mut d.name)/>
                            <AreaField field=form.field("description", "Description", false, |d| &mut d.description)/>
                            <SwitchField field=form.field("enabled", "Enabled", false, |d| &mut d.enabled)/>
                            <SwitchField field=form.field("delete_after_running", "Delete Task After Running", false, |d| {
                                &mut d.delete_after_running
                            })/>
                            <SelectField
                                field=form.field("webhook", "Webhook", true, |d| &mut d.webhook)
                                options=options_of("Choose a webhook", loaded.webhooks)
                            />
                        </div>
                    </section>
                    <section class="c-card" aria-labelledby="settings-title">
                        <header class="c-card__head">
                            <h2 class="c-card__title" id="settings-title">"Settings"</h2>
                        </header>
                        <div class="c-card__body l-stack">
                            <AreaField
                                field=form.field("message", "Message", false, |d| &mut d.message)
                                rows=10
                                is_code=true
                                hint="Sent as it stands, with the variables filled in."
                            />
                            <dl class="c-variables">{variables}</dl>
                        </div>
                    </section>
                </div>
            </div>
            <Actions form=form cancel="/tasks"/>
        </form>
    }
    .into_any()
}
