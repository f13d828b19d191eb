//! The parts that all forms share: the card around the fields, a place for another card beside it, and the foot.

use super::FormState;
use crate::error::Code;
use crate::part::icon::Icon;
use crate::part::versions::versions_table;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

/// The fixed parts of a form.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// The noun of the resource, "webhook". Its list is at `/webhooks`.
    pub name: &'static str,
    /// The title of the card.
    pub title: &'static str,
    /// The class that divides the width between the card and the part beside it.
    pub split: &'static str,
}

/// Renders a form. `submit` is called instead of the browser's submit.
pub(crate) fn frame(form: FormState, of: Frame, submit: Box<dyn Fn()>, fields: AnyView, beside: AnyView) -> AnyView {
    let Frame { name, title, split } = of;
    let id = format!("{name}-title");
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        submit();
    };
    let (revision, label) = (form.text_now("revision"), id.clone());
    view! {
        <form method="post" class="l-form" novalidate data-unsaved=move || form.unsaved() on:submit=submit aria-labelledby=label>
            <div class="l-main__body">
                <fieldset class="c-locked" disabled=!form.may_save>
                    <div class=split>
                        <section class="c-card">
                            <header class="c-card__head">
                                <h2 class="c-card__title" id=id>{title}</h2>
                                <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                            </header>
                            <div class="c-card__body l-stack l-stack--fields">
                                <input type="hidden" name="revision" value=revision/>
                                {fields}
                            </div>
                        </section>
                        {beside}
                    </div>
                </fieldset>
            </div>
            {actions(form, format!("/{name}s"))}
        </form>
    }
    .into_any()
}

/// The reason for the missing Submit button.
pub(crate) const READ_ONLY: &str =
    "Your role, viewer, reads everything and changes nothing. An operator or an administrator can.";

/// Renders the foot of a form: the errors, Cancel and Submit.
fn actions(form: FormState, cancel: String) -> AnyView {
    let general = move || {
        form.server.get().filter(|error| error.code != Code::Invalid || error.fields.is_empty()).map(|error| {
            view! {
                <div class="c-note c-note--danger" role="alert">
                    <Icon name="error"/>
                    <div class="l-stack l-stack--tight">
                        <p>{error.message}</p>
                        {(!error.versions.is_empty()).then(|| versions_table(error.versions))}
                    </div>
                </div>
            }
        })
    };
    let note = move || {
        let problems = form.problems();
        let first = problems.0.first()?.field.clone();
        let count = problems.count_fields();
        let fields = if count == 1 { "1 field".to_owned() } else { format!("{count} fields") };
        let verb = if count == 1 { " needs attention" } else { " need attention" };
        Some(view! { "Not saved: " <a href=format!("#{first}")>{fields}</a> {verb} })
    };
    if !form.may_save {
        return view! {
            <div class="c-actions">
                <p class="c-actions__note">{READ_ONLY}</p>
                <a class="c-button" href=cancel>"Back"</a>
            </div>
        }
        .into_any();
    }
    view! {
        {general}
        <div class="c-actions">
            <p class="c-actions__note" role="status">{note}</p>
            <a class="c-button" href=cancel>"Cancel"</a>
            <button
                class="c-button c-button--primary"
                type="submit"
                aria-busy=move || form.is_busy.get().then_some("true")
            >
                "Submit"
            </button>
        </div>
    }
    .into_any()
}
