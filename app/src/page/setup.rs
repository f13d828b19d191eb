//! The first administrator, made through the one-time link on the terminal.

use crate::form::{Refused, use_refused};
use crate::page::sign_in::{AloneCard, Problem, plain_field};
use crate::part::field::TextField;
use leptos::prelude::*;
use model::account::AccountDraft;

/// The page.
#[component]
pub(crate) fn Setup() -> impl IntoView {
    let refused: Option<Refused<AccountDraft>> = use_refused();
    let (draft, error) = match refused {
        Some(refused) => (refused.draft, Some(refused.error)),
        None => (AccountDraft::default(), None),
    };
    let from_query = leptos_router::hooks::use_query_map().with_untracked(|query| query.get("token"));
    let token = if draft.token.is_empty() { from_query.unwrap_or_default() } else { draft.token };
    let message = |field: &str| error.as_ref().and_then(|error| error.fields.message(field).map(str::to_owned));
    let (name, password, repeat) = (message("name"), message("password"), message("repeat"));
    let general = error.as_ref().filter(|error| error.fields.is_empty()).map(|error| error.message.clone());
    view! {
        <AloneCard title="Make the first administrator">
            <form class="l-stack l-stack--fields" method="post" action="/setup" novalidate>
                <Problem message=general/>
                <input type="hidden" name="token" value=token/>
                <TextField field=plain_field("name", "Name", draft.name, name) autocomplete="username"/>
                <TextField
                    field=plain_field("password", "Password", String::new(), password)
                    hint="At least 12 characters."
                    kind="password"
                    autocomplete="new-password"
                />
                <TextField
                    field=plain_field("repeat", "Password again", String::new(), repeat)
                    kind="password"
                    autocomplete="new-password"
                />
                <button class="c-button c-button--primary" type="submit">"Make it and sign in"</button>
            </form>
        </AloneCard>
    }
}
