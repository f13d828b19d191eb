//! Questions before something is deleted or discarded: popovers that work without script.

use crate::part::icon::Icon;
use leptos::prelude::*;

/// Renders a button that deletes one of several things on a page, once a question about it is confirmed. `id` is that of
/// the question, unique on the page; `hidden` are fields that are posted along.
pub(crate) fn bin(id: String, what: &str, question: String, action: String, hidden: Option<AnyView>) -> AnyView {
    let label = format!("Delete {what}");
    let confirm = view! {
        <form method="post" action=action>
            {hidden}
            <button class="c-button c-button--danger" type="submit">"Delete"</button>
        </form>
    };
    view! {
        <button
            class="c-button c-button--plain c-button--icon c-button--s"
            type="button"
            popovertarget=id.clone()
            aria-label=label.clone()
            title=label
        >
            <Icon name="bin"/>
        </button>
        {dialog(id, question, confirm.into_any())}
    }
    .into_any()
}

/// Renders a question as a popover with this id. `confirm` is the button that says yes.
pub(crate) fn dialog(id: String, question: String, confirm: AnyView) -> AnyView {
    let title = format!("{id}-title");
    let (labelled_by, target) = (title.clone(), id.clone());
    view! {
        <div class="c-dialog" id=id popover="auto" role="dialog" aria-labelledby=labelled_by>
            <div class="c-dialog__body"><h2 id=title>{question}</h2></div>
            <div class="c-dialog__foot">
                <button class="c-button" type="button" popovertarget=target popovertargetaction="hide">"Cancel"</button>
                {confirm}
            </div>
        </div>
    }
    .into_any()
}
