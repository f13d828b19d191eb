//! The pages shown instead of a page that does not exist, cannot be read, or is not allowed.

use crate::asked::Page;
use crate::error::AppError;
use leptos::prelude::*;

/// Returns the page that replaces a failed one.
pub(crate) fn page(error: &AppError) -> Page {
    let status = error.code.http_status();
    let title = match status {
        404 => "Not found",
        403 => "Not allowed",
        _ => "Not available",
    };
    let main = view! { <p>{error.message.clone()}" "<a href="/">"Go to the Tasks Dashboard"</a>"."</p> };
    card(title, main).with_status(status)
}

/// Returns the page that replaces the form of a new thing for a viewer who may not create one.
pub(crate) fn read_only(title: &str) -> Page {
    card(title, view! { <p>{crate::island::form::frame::READ_ONLY}</p> }).with_status(403)
}

fn card(title: &str, content: impl IntoView + 'static) -> Page {
    Page::new(title, view! { <section class="c-card"><div class="c-card__body">{content}</div></section> })
}
