//! Icons: one sprite in the page, referred to by name. One icon per word of the glossary, the same everywhere.

use leptos::prelude::*;

/// Every symbol, once per page.
#[component]
pub(crate) fn Sprite() -> impl IntoView {
    // The browser finds them in the document, and carries no copy.
    #[cfg(feature = "ssr")]
    let symbols = include_str!("icons.svg");
    #[cfg(feature = "ssr")]
    return view! { <svg width="0" height="0" class="u-hidden" id="icons" aria-hidden="true" inner_html=symbols></svg> };
    #[cfg(not(feature = "ssr"))]
    view! { <svg width="0" height="0" class="u-hidden" aria-hidden="true"></svg> }
}

/// A decorative icon: the words beside it, or the name of its button, say what it means.
#[component]
pub(crate) fn Icon(
    /// The symbol's name without `i-`.
    name: &'static str,
) -> impl IntoView {
    view! {
        <svg class="c-icon" aria-hidden="true">
            <use href=format!("#i-{name}")></use>
        </svg>
    }
}
