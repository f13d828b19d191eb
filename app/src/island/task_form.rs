//! The task form: new, and edit. Beside the message stand its variables, a live preview and warnings.

use crate::error::AppError;
use crate::error::Refused;
use crate::island::form::{Actions, FormState};
use crate::island::hydrated::{use_hydrated, when_rested};
use crate::island::lookup_field::LookupField;
use crate::island::send_test::{SendTest, Sending};
use crate::part::field::{AreaField, SelectField, SwitchField, TextField, focus};
use crate::part::icon::Icon;
use crate::server_fn::task::{preview_message, save_task, test_message};
use crate::view::task::TaskForm as Loaded;
use crate::view::{Choice, ChoiceOf};
use leptos::prelude::*;
use model::id::TaskId;
use model::number::to_u32;
use model::task::TaskDraft;
use std::time::Duration;
use wasm_bindgen::JsCast;

/// The variables that a message may use, with an example or description of each value.
const VARIABLES: &[(&str, &str)] = &[
    ("${DATE}", "Thu, 16 Oct 2025 11:38:07 EDT"),
    ("${TIMESTAMP}", "1760629087"),
    ("${RANDOM}", "a random integer"),
    ("${NAME}", "the object's name, or the task's"),
    ("${TYPE}", "the object type's id"),
    ("${EVENT}", "the event's id"),
    ("${OBJECT_ID}", "the object's id where it comes from"),
    ("${TASK}", "this task's name"),
    ("${ID}", "the delivery's id"),
];
fn single(value: &str, label: &str) -> Vec<(String, Vec<(String, String)>)> {
    vec![(String::new(), vec![(value.to_owned(), label.to_owned())])]
}

/// The form of a stored task, or of a new one.
#[island]
pub(crate) fn TaskForm(
    id: Option<TaskId>,
    loaded: Loaded,
    refused: Option<Refused<TaskDraft>>,
    may_save: bool,
) -> impl IntoView {
    let check = |draft: &TaskDraft| draft.parse().err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, check, may_save);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        form.submit(move |draft| save_task(id, draft), |id: TaskId| format!("/tasks/{id}"));
    };
    let revision = form.text_now("revision");
    let is_hydrated = use_hydrated();
    let path = id.map_or_else(|| "/tasks/new".to_owned(), |id| format!("/tasks/{id}/edit"));
    let address = format!("/webhooks/new?for={path}");
    let make_webhook = {
        let address = address.clone();
        move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            #[cfg(feature = "hydrate")]
            crate::browser::stored_form::store(&path);
            form.leave(address.clone());
        }
    };
    let past = loaded.occurrences;
    view! {
        <form method="post" class="l-form" novalidate data-unsaved=move || form.unsaved() on:submit=submit aria-labelledby="task-title">
            <div class="l-main__body">
                <fieldset class="c-locked" disabled=!may_save>
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
                            <TextField field=form.field("name", "Name", true)/>
                            <AreaField field=form.field("description", "Description", false)/>
                            <SwitchField field=form.field("enabled", "Enabled", false)/>
                            <SwitchField field=form.field("delete_after_running", "Delete Task After Running", false)/>
                            <SelectField
                                field=form.field("object_type", "Object Type", true)
                                options=single("webhook", "Webhook")
                            />
                            <label class="c-switch">
                                <input type="checkbox" role="switch" disabled aria-describedby="use_tag-hint"/>
                                <span>"Use Tag"</span>
                            </label>
                            <p class="c-hint" id="use_tag-hint">"For types whose objects carry tags: a webhook is chosen by its name."</p>
                            <LookupField
                                field=form.field("object", "Object", true)
                                what="webhook".to_owned()
                                of=ChoiceOf::Webhooks
                                first=Some(loaded.webhooks)
                                chosen=loaded.webhook
                                none=("", "Choose a webhook")
                                current=Signal::derive(move || form.text("object"))
                                hint="The webhook that the message is sent through."
                            />
                            <a class="c-button c-button--outline" href=address on:click=make_webhook>"New Webhook…"</a>
                            <SelectField
                                field=form.field("action", "Action", true)
                                options=single("send", "Send")
                            />
                        </div>
                    </section>
                    <section class="c-card" aria-labelledby="settings-title">
                        <header class="c-card__head">
                            <h2 class="c-card__title" id="settings-title">"Settings"</h2>
                        </header>
                        <div class="c-card__body c-compose">
                            <div class="c-compose__parts">
                                <div class="l-stack l-stack--fields">
                                    <Variables form=form is_hydrated=is_hydrated/>
                                    <AreaField
                                        field=form.field("message", "Message", false)
                                        rows=12
                                        is_code=true
                                    />
                                </div>
                                {move || is_hydrated.get().then(|| view! { <Beside form=form past=past.clone() may_save=may_save/> })}
                            </div>
                        </div>
                    </section>
                </div>
                </fieldset>
            </div>
            <Actions form=form cancel="/tasks"/>
        </form>
    }
    .into_any()
}

/// Replaces the selection of the message by a variable.
fn insert(form: FormState, variable: &str) {
    let area = document().get_element_by_id("message");
    let Some(area) = area.and_then(|found| found.dyn_into::<web_sys::HtmlTextAreaElement>().ok()) else { return };
    let (start, end) = (area.selection_start().ok().flatten(), area.selection_end().ok().flatten());
    let (Some(start), Some(end)) = (start, end) else { return };
    if area.set_range_text_with_start_and_end_and_mode(variable, start, end, "end").is_ok() {
        // If the message cannot be focused, the variable is inserted all the same.
        let _ = area.focus();
        form.set_text("message", area.value());
    }
}

/// The variables: buttons that insert them, or a plain list before hydration.
#[component]
fn Variables(form: FormState, is_hydrated: RwSignal<bool>) -> impl IntoView {
    move || {
        if is_hydrated.get() {
            let chips = VARIABLES
                .iter()
                .map(|(name, meaning)| {
                    view! { <button class="c-chip" type="button" title=*meaning on:click=move |_| insert(form, name)>{*name}</button> }
                })
                .collect_view();
            view! { <div class="l-row" role="group" aria-label="Insert at the cursor">{chips}</div> }.into_any()
        } else {
            let list = VARIABLES
                .iter()
                .map(|(name, meaning)| view! { <span class="c-chip" title=*meaning>{*name}</span> })
                .collect_view();
            view! { <div class="l-row">{list}</div> }.into_any()
        }
    }
}

/// The preview with its warnings.
#[component]
fn Beside(form: FormState, past: Vec<Choice>, may_save: bool) -> impl IntoView {
    let occurrence = RwSignal::new(String::new());
    let preview = RwSignal::new(None::<Result<String, AppError>>);
    let source = Memo::new(move |_| (form.text("name"), form.text("object"), form.text("message"), occurrence.get()));
    when_rested(source, Duration::from_millis(250), move |request| {
        leptos::task::spawn_local(async move {
            let (task, webhook, message, occurrence) = request.clone();
            let result = preview_message(task, webhook, message, occurrence).await;
            // A newer message may have been typed meanwhile.
            if source.try_get_untracked().is_some_and(|newest| newest == request) {
                preview.set(Some(result));
            }
        });
    });
    let options =
        past.into_iter().map(|choice| view! { <option value=choice.value>{choice.label}</option> }).collect_view();
    let shown = move || match preview.get() {
        None => ().into_any(),
        Some(Err(error)) => {
            view! { <p class="c-hint c-hint--error"><Icon name="error"/><span>{error.message}</span></p> }.into_any()
        }
        Some(Ok(html)) => view! {
            <div class="l-stack l-stack--fields" inner_html=html on:click=move |event| clicked(form, &event)></div>
        }
        .into_any(),
    };
    view! {
        <div class="l-stack l-stack--fields">
            <div class="l-row l-row--apart">
                <h3 class="u-small u-strong" id="preview">"Preview"</h3>
                <select
                    class="c-filter c-filter--inline"
                    aria-label="Preview with"
                    on:change=move |event| occurrence.set(event_target_value(&event))
                >
                    <option value="">"A sample: Power On, web-01"</option>
                    {options}
                </select>
            </div>
            {shown}
            // The button stands below the preview, so that it does not move.
            {move || (may_save && preview.with(Option::is_some)).then(|| {
                let send = move || {
                    Box::pin(test_message(form.text_now("object"), form.text_now("message"))) as Sending
                };
                view! { <SendTest send=send/> }
            })}
        </div>
    }
    .into_any()
}

/// Inserts the variable of a clicked button, or moves the cursor to the position of a warning.
fn clicked(form: FormState, event: &leptos::ev::MouseEvent) {
    let button = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let Some(button) = button else { return };
    if let Some(variable) = button.get_attribute("data-insert") {
        insert(form, &variable);
        return;
    }
    let number = |name: &str| button.get_attribute(name).and_then(|text| text.parse::<u32>().ok());
    let area =
        document().get_element_by_id("message").and_then(|found| found.dyn_into::<web_sys::HtmlTextAreaElement>().ok());
    if let (Some(line), Some(column), Some(area)) = (number("data-line"), number("data-column"), area) {
        let offset = utf16_offset(&area.value(), line, column);
        focus("message");
        // If the cursor cannot be moved, it stays where it is.
        let _ = area.set_selection_range(offset, offset);
    }
}

/// Returns the offset of a position in a text, in UTF-16 code units as browsers count.
fn utf16_offset(text: &str, line: u32, column: u32) -> u32 {
    let mut offset = 0;
    for (number, content) in (1..).zip(text.split('\n')) {
        if number == line {
            let before = content.chars().take(column.saturating_sub(1) as usize);
            offset += before.map(char::len_utf16).sum::<usize>();
            break;
        }
        offset += content.encode_utf16().count() + 1;
    }
    to_u32(offset)
}
