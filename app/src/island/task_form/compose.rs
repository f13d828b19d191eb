//! The texts of a task's message: variables that are inserted at the cursor, the preview with its warnings, and the
//! test.

use super::is_email;
use crate::error::AppError;
use crate::island::form::FormState;
use crate::island::hydrated::when_rested;
use crate::island::send_test::{SendTest, Sending};
use crate::part::field::{FieldOf, TextField, focus};
use crate::part::icon::Icon;
use crate::server_fn::task::{preview_message, test_message};
use crate::view::Choice;
use leptos::prelude::*;
use model::draft::Texts;
use model::number::to_u32;
use std::time::Duration;
use wasm_bindgen::JsCast;
use web_sys::HtmlTextAreaElement;

const MESSAGE: &str = "message";
const BODY: &str = "body";
/// The fields that may have variables.
const TEXTS: [&str; 4] = [MESSAGE, "from_name", "subject", BODY];

/// The variables, with an example or description of each value.
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

/// The cursor in the texts of a form.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    form: FormState,
    /// The text that the cursor was in last.
    last: StoredValue<&'static str>,
}

impl Cursor {
    pub(super) fn new(form: FormState) -> Self {
        Self { form, last: StoredValue::new(MESSAGE) }
    }

    /// Notes the text that the cursor moves into.
    pub(super) fn follow(self, event: &leptos::ev::FocusEvent) {
        let id = event_target::<web_sys::Element>(event).id();
        if let Some(name) = TEXTS.into_iter().find(|name| *name == id) {
            self.last.set_value(name);
        }
    }

    /// Returns the text that a variable is inserted into: the last one with the cursor, if it belongs to the chosen
    /// object type.
    fn text(self) -> &'static str {
        let (last, is_email) = (self.last.get_value(), is_email(self.form));
        if is_email == (last != MESSAGE) {
            last
        } else if is_email {
            BODY
        } else {
            MESSAGE
        }
    }

    /// Replaces the selection by a variable.
    fn insert(self, variable: &str) {
        let name = self.text();
        let Some(control) = control(name) else { return };
        let (start, end) = (control.selection_start().ok().flatten(), control.selection_end().ok().flatten());
        let (Some(start), Some(end)) = (start, end) else { return };
        if control.set_range_text_with_start_and_end_and_mode(variable, start, end, "end").is_ok() {
            focus(name);
            self.form.set_text(name, control.value());
        }
    }

    /// Inserts the variable of a clicked button, or moves the cursor to the position of a warning.
    fn clicked(self, event: &leptos::ev::MouseEvent) {
        let button = event_target::<web_sys::Element>(event);
        if let Some(variable) = button.get_attribute("data-insert") {
            self.insert(&variable);
            return;
        }
        let number = |name: &str| button.get_attribute(name).and_then(|text| text.parse::<u32>().ok());
        let name = button.get_attribute("data-field").unwrap_or_default();
        if let (Some(line), Some(column), Some(control)) = (number("data-line"), number("data-column"), control(&name))
        {
            let offset = utf16_offset(&control.value(), line, column);
            focus(&name);
            // If the cursor cannot be moved, it stays where it is.
            let _ = control.set_selection_range(offset, offset);
        }
    }
}

/// Returns the control of a text. An input for one line has all methods of a text area that are called here.
fn control(name: &str) -> Option<HtmlTextAreaElement> {
    document().get_element_by_id(name).map(JsCast::unchecked_into)
}

/// The variables: buttons that insert them, or a plain list before hydration.
#[component]
pub(super) fn Variables(cursor: Cursor, is_hydrated: RwSignal<bool>) -> impl IntoView {
    move || {
        if is_hydrated.get() {
            let chips = VARIABLES
                .iter()
                .map(|(name, meaning)| {
                    view! { <button class="c-chip" type="button" title=*meaning on:click=move |_| cursor.insert(name)>{*name}</button> }
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

/// The preview with its warnings, and the test.
#[component]
pub(super) fn Beside(cursor: Cursor, past: Vec<Choice>, may_save: bool) -> impl IntoView {
    let form = cursor.form;
    let occurrence = RwSignal::new(String::new());
    let preview = RwSignal::new(None::<Result<String, AppError>>);
    let source = Memo::new(move |_| (form.draft::<Texts>(), occurrence.get()));
    when_rested(source, Duration::from_millis(250), move |request| {
        leptos::task::spawn_local(async move {
            let (draft, occurrence) = request.clone();
            let result = preview_message(draft.into(), occurrence).await;
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
            <div class="l-stack l-stack--fields" inner_html=html on:click=move |event| cursor.clicked(&event)></div>
        }
        .into_any(),
    };
    // The button stands below the preview, so that it does not move.
    let has_preview = Memo::new(move |_| preview.with(Option::is_some));
    let recipient = RwSignal::new(String::new());
    let test = move || {
        (may_save && has_preview.get()).then(|| {
            let to = FieldOf {
                on_change: Callback::new(move |typed| recipient.set(typed)),
                ..FieldOf::fixed("test_to", "Send the test to")
            };
            let send = move || Box::pin(test_message(form.draft_now(), recipient.get_untracked())) as Sending;
            view! {
                <div class="c-for-email">
                    <TextField field=to keys="email" hint="One address. The others get nothing."/>
                </div>
                <SendTest send=send/>
            }
        })
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
            {test}
        </div>
    }
    .into_any()
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
