//! The sign-in page: a plain form without script.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::error::Refused;
use crate::part::field::{TextField, plain_field};
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::account::SignInDraft;

/// The card of the pages without a frame.
#[component]
pub(crate) fn AloneCard(title: &'static str, children: Children) -> impl IntoView {
    view! {
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

/// The error of the whole form.
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

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let refused: Option<Refused<SignInDraft>> = asked.refused();
    let message = refused.as_ref().map(|refused| refused.error.message.clone());
    let draft = refused.map(|refused| refused.draft).unwrap_or_default();
    let next = if draft.next.is_empty() { asked.query.value("next").to_owned() } else { draft.next };
    let title = "Sign in to Hookwright";
    let main = view! {
        <AloneCard title=title>
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
    };
    Ok(Page::new("Sign in", main))
}
