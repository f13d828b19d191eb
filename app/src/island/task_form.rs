//! The task form: new, and edit.
//!
//! CSS alone shows the fields of the chosen object type, with and without WASM (`task-form.css`). A hidden field keeps
//! its value, and is not checked.

mod compose;

use crate::error::Refused;
use crate::island::form::FormState;
use crate::island::form::fields::{area, line, select, switch};
use crate::island::form::frame::{Frame, frame};
use crate::island::hydrated::use_hydrated;
use crate::island::lookup_field::LookupField;
use crate::part::field::{FieldOf, ungrouped};
use crate::server_fn::task::save_task;
use crate::view::task::TaskForm as Loaded;
use crate::view::{Choice, ChoiceOf, FoundChoices};
use compose::{Beside, Cursor, Variables};
use leptos::prelude::*;
use model::id::TaskId;
use model::task::TaskDraft;

/// Returns true if the chosen object type is Email.
fn is_email(form: FormState) -> bool {
    form.text_now("object_type") == "email"
}

/// The form of a stored task, or of a new one.
#[island]
pub(crate) fn TaskForm(
    id: Option<TaskId>,
    loaded: Loaded,
    refused: Option<Refused<TaskDraft>>,
    may_save: bool,
    /// True if the viewer may set up the mail server.
    may_set_up: bool,
) -> impl IntoView {
    let check = |draft: &TaskDraft| draft.parse().err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, check, may_save);
    let submit = move || {
        form.submit(move |draft| save_task(id, draft), |id: TaskId| format!("/tasks/{id}"));
    };
    let is_hydrated = use_hydrated();
    let cursor = Cursor::new(form);
    let path = id.map_or_else(|| "/tasks/new".to_owned(), |id| format!("/tasks/{id}/edit"));
    let new_mailer = (may_set_up && loaded.mailers.choices.is_empty()).then(|| {
        let leave = leaving(form, path.clone(), "/smtp/edit".to_owned());
        view! { <a class="c-button c-button--outline c-for-email" href="/smtp/edit" on:click=leave>"Set up SMTP…"</a> }
    });
    let new_webhook = may_save.then(|| {
        let address = format!("/webhooks/new?for={path}");
        let leave = leaving(form, path, address.clone());
        view! { <a class="c-button c-button--outline c-for-webhook" href=address on:click=leave>"New Webhook…"</a> }
    });
    let past = loaded.occurrences;
    let object = object(form, is_hydrated, (loaded.webhooks, loaded.mailers, loaded.object));
    let fields = view! {
        {line(form.field("name", "Name", true), "")}
        {area(form.field("description", "Description", false), 3, false, "")}
        {switch(form.field("enabled", "Enabled", false), "")}
        {switch(form.field("delete_after_running", "Delete Task After Running", false), "")}
        {object}
        {new_webhook}
        {new_mailer}
        {select(form.field("action", "Action", true), ungrouped(&[("send", "Send")]), "")}
    }
    .into_any();
    let beside = view! {
        <section class="c-card" aria-labelledby="settings-title">
            <header class="c-card__head">
                <h2 class="c-card__title" id="settings-title">"Settings"</h2>
            </header>
            <div class="c-card__body c-compose">
                <div class="c-compose__parts">
                    <div class="l-stack l-stack--fields" on:focusin=move |event| cursor.follow(&event)>
                        {addresses(form)}
                        <Variables cursor=cursor is_hydrated=is_hydrated/>
                        {texts(form)}
                    </div>
                    {move || is_hydrated.get().then(|| view! { <Beside cursor=cursor past=past.clone() may_save=may_save/> })}
                </div>
            </div>
        </section>
    }
    .into_any();
    frame(
        form,
        Frame { name: "task", title: "Task", split: "l-split l-split--settings" },
        Box::new(submit),
        fields,
        beside,
    )
}

/// Returns the handler of a link that leaves the form. Typed values are stored, and shown again on return.
fn leaving(form: FormState, path: String, address: String) -> impl Fn(leptos::ev::MouseEvent) {
    move |event| {
        event.prevent_default();
        #[cfg(feature = "hydrate")]
        crate::browser::stored_form::store(&path);
        #[cfg(not(feature = "hydrate"))]
        let _ = &path;
        form.leave(address.clone());
    }
}

/// Renders parts one below or beside the other.
fn parts(class: &'static str, parts: Vec<AnyView>) -> AnyView {
    view! { <div class=class>{parts}</div> }.into_any()
}

/// Renders the sender and the recipients of an e-mail.
fn addresses(form: FormState) -> AnyView {
    let sender = "Empty for that of the SMTP settings.";
    let to = "One address a line, or separated by commas: ops@example.com, Ada <ada@example.com>";
    let fields = vec![
        parts(
            "l-fields",
            vec![
                line(form.field("from_address", "From Address", false), sender),
                line(form.field("from_name", "From Name", false), ""),
            ],
        ),
        area(form.field("to", "To List", true), 3, true, to),
        parts(
            "l-fields",
            vec![
                area(form.field("cc", "CC List", false), 2, true, ""),
                area(form.field("bcc", "BCC List", false), 2, true, ""),
            ],
        ),
    ];
    parts("l-stack l-stack--fields c-for-email", fields)
}

/// Renders the message of a webhook, and the texts of an e-mail.
fn texts(form: FormState) -> Vec<AnyView> {
    let email = vec![
        line(form.field("subject", "Subject", true), ""),
        area(form.field("body", "Body", true), 12, false, "Plain text."),
    ];
    vec![
        parts("c-for-webhook", vec![area(form.field("message", "Message", false), 12, true, "")]),
        parts("l-stack l-stack--fields c-for-email", email),
    ]
}

/// Renders the object type and the object. Before hydration, and without WASM, the objects of both types are offered.
/// `lists` are the first webhooks, the mail server if there is one, and the chosen object.
fn object(
    form: FormState,
    is_hydrated: RwSignal<bool>,
    lists: (FoundChoices, FoundChoices, Option<Choice>),
) -> AnyView {
    let was_cleared = RwSignal::new(false);
    let mailer = lists.1.choices.first().map(|mailer| mailer.value.clone());
    let field = form.field("object_type", "Object Type", true);
    let changed = field.on_change;
    let on_change = Callback::new(move |typed| {
        changed.run(typed);
        let object = form.text_now("object");
        if (mailer.as_ref() == Some(&object)) != is_email(form) {
            was_cleared.set(!object.is_empty());
            // With only one mail server there is nothing to choose.
            form.set_text("object", mailer.clone().filter(|_| is_email(form)).unwrap_or_default());
        }
    });
    let of_email = Memo::new(move |_| form.text("object_type") == "email");
    let lists = StoredValue::new(lists);
    let object = move || {
        let field = form.field("object", "Object", true);
        let (webhooks, mailers, chosen) = lists.get_value();
        let chosen = chosen.filter(|chosen| chosen.value == field.initial);
        let is_whole = !is_hydrated.get();
        if is_whole && webhooks.has_more {
            let initial = chosen.map_or(field.initial, |chosen| chosen.label);
            return line(FieldOf { initial, ..field }, "The name or id of a webhook, or SMTP.");
        }
        if !is_whole && !of_email.get() {
            return view! {
                <LookupField
                    field=field
                    what="webhook".to_owned()
                    of=ChoiceOf::Webhooks
                    first=Some(webhooks)
                    chosen=chosen
                    none=("", "Choose a webhook")
                    current=Signal::derive(move || form.text("object"))
                />
            }
            .into_any();
        }
        let options = |found: FoundChoices| found.choices.into_iter().map(|one| (one.value, one.label)).collect();
        // The height is the same before and after hydration, so that the page does not move.
        let none = mailers.choices.is_empty().then_some("There is no mail server yet.");
        let hint = none.filter(|_| of_email.get()).unwrap_or_default();
        let mut groups = ungrouped(&[("", "Choose an object")]);
        if is_whole {
            groups.push(("Webhooks".to_owned(), options(webhooks)));
        }
        groups.push((none.unwrap_or("Mail server").to_owned(), options(mailers)));
        select(field, groups, hint)
    };
    let cleared = move || was_cleared.get().then_some("The object of the other type was cleared.");
    view! {
        {select(FieldOf { on_change, ..field }, ungrouped(&[("webhook", "Webhook"), ("email", "Email")]), "")}
        <label class="c-switch">
            <input type="checkbox" role="switch" disabled aria-describedby="use_tag-hint"/>
            <span>"Use Tag"</span>
        </label>
        <p class="c-hint" id="use_tag-hint">"For types whose objects carry tags: webhooks and the mail server carry none."</p>
        <div>
            {object}
            <p class="c-hint" role="status">{cleared}</p>
        </div>
    }
    .into_any()
}
