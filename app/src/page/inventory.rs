//! Pages about the inventory: objects, tags, and event types.

pub(crate) mod object;
pub(crate) mod objects;
pub(crate) mod tags;
pub(crate) mod types;

use crate::part::icon::Icon;
use leptos::prelude::*;

/// Renders a button that deletes at once. The server refuses to delete a thing in use.
fn delete(action: String, what: &str) -> AnyView {
    let label = format!("Delete {what}");
    view! {
        <form method="post" action=action>
            <button class="c-button c-button--plain c-button--icon c-button--s" type="submit" aria-label=label.clone() title=label>
                <Icon name="bin"/>
            </button>
        </form>
    }
    .into_any()
}
