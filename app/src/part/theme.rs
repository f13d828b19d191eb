//! The theme switch. A plain form that sets a cookie; with WASM the page changes at once and keeps what was typed.

use crate::part::icon::Icon;
use leptos::prelude::*;

/// The button and its popover.
#[component]
pub(crate) fn ThemeSwitch() -> impl IntoView {
    let choose = |event: leptos::ev::SubmitEvent| {
        if let Some(theme) = submitter_value(&event) {
            event.prevent_default();
            apply(&theme);
        }
    };
    let option = |value: &'static str, icon: &'static str, label: &'static str| {
        view! {
            <button class="c-popover__option" type="submit" name="theme" value=value>
                <Icon name=icon/>
                {label}
            </button>
        }
    };
    view! {
        <button
            class="c-button c-button--plain c-button--icon"
            type="button"
            popovertarget="theme"
            aria-label="Theme"
            title="Theme"
        >
            <Icon name="theme"/>
        </button>
        <form class="c-popover" id="theme" popover="auto" method="post" action="/theme" on:submit=choose>
            {option("system", "theme", "Follow the system")}
            {option("light", "sun", "Light")}
            {option("dark", "moon", "Dark")}
        </form>
    }
    .into_any()
}

fn submitter_value(event: &leptos::ev::SubmitEvent) -> Option<String> {
    use wasm_bindgen::JsCast;
    Some(event.submitter()?.dyn_into::<web_sys::HtmlButtonElement>().ok()?.value())
}

/// Sets the attribute the style sheet reads, and the cookie the server reads at the next load.
fn apply(theme: &str) {
    use wasm_bindgen::JsCast;
    let document = document();
    if let Some(root) = document.document_element() {
        // Failing to set an attribute of the root element leaves the theme as it was; the cookie still holds.
        let _ = if theme == "system" {
            root.remove_attribute("data-theme")
        } else {
            root.set_attribute("data-theme", theme)
        };
    }
    if let Ok(html) = document.clone().dyn_into::<web_sys::HtmlDocument>() {
        let _ = html.set_cookie(&format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax"));
    }
    if let Some(popover) =
        document.get_element_by_id("theme").and_then(|found| found.dyn_into::<web_sys::HtmlElement>().ok())
    {
        let _ = popover.hide_popover();
    }
}
