//! Icons: one sprite in the page, whose symbols are referenced by name. Each term of the glossary has one icon
//! everywhere.

use leptos::prelude::*;

/// The sprite with every symbol, once per page.
#[component]
pub(crate) fn Sprite() -> impl IntoView {
    // The browser half finds the symbols in the document and contains no copy.
    #[cfg(feature = "ssr")]
    let symbols = include_str!("icons.svg");
    #[cfg(feature = "ssr")]
    return view! { <svg width="0" height="0" class="u-hidden" id="icons" aria-hidden="true" inner_html=symbols></svg> };
    #[cfg(not(feature = "ssr"))]
    view! { <svg width="0" height="0" class="u-hidden" aria-hidden="true"></svg> }
}

/// A decorative icon. The text beside it, or its button's name, carries the meaning.
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
