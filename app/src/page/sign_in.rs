//! Signing in: a plain form, with and without WASM.

use crate::form::{Refused, use_refused};
use crate::part::field::{FieldOf, TextField};
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::account::SignInDraft;

/// A field of a form that is only checked by the server.
pub(crate) fn plain_field(name: &'static str, label: &'static str, initial: String, error: Option<String>) -> FieldOf {
    let ignore_text = Callback::new(|_: String| ());
    let ignore = Callback::new(|()| ());
    let error = Signal::stored(error);
    FieldOf {
        name,
        label: label.to_owned(),
        is_required: true,
        initial,
        on_change: ignore_text,
        error,
        on_leave: ignore,
    }
}

/// The card of the pages that stand alone.
#[component]
pub(crate) fn AloneCard(title: &'static str, children: Children) -> impl IntoView {
    view! {
        <leptos_meta::Title text=title/>
        <section class="c-card" aria-labelledby="title">
            <header class="c-card__head">
                <h1 class="c-card__title" id="title">
                    <svg class="c-icon c-bar__mark" aria-hidden="true"><use href="#i-hook"></use></svg>
                    {title}
                </h1>
            </header>
            <div class="c-card__body">{children()}</div>
        </section>
    }
}

/// What is wrong with the whole form.
#[component]
pub(crate) fn Problem(message: Option<String>) -> impl IntoView {
    message.map(|message| {
        view! {
            <div class="c-note c-note--danger" role="alert">
                <Icon name="error"/>
                <p>{message}</p>
            </div>
        }
    })
}

/// The page.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    let refused: Option<Refused<SignInDraft>> = use_refused();
    let message = refused.as_ref().map(|refused| refused.error.message.clone());
    let draft = refused.map(|refused| refused.draft).unwrap_or_default();
    let from_query = leptos_router::hooks::use_query_map().with_untracked(|query| query.get("next"));
    let next = if draft.next.is_empty() { from_query.unwrap_or_default() } else { draft.next };
    view! {
        <AloneCard title="Sign in to Hookwright">
            <form class="l-stack l-stack--fields" method="post" action="/sign-in" novalidate>
                <Problem message=message/>
                <input type="hidden" name="next" value=next/>
                <TextField field=plain_field("name", "Name", draft.name, None) autocomplete="username"/>
                <TextField
                    field=plain_field("password", "Password", String::new(), None)
                    kind="password"
                    autocomplete="current-password"
                />
                <button class="c-button c-button--primary" type="submit">"Sign in"</button>
            </form>
        </AloneCard>
    }
}
