//! The page that creates the first administrator. Its one-time link is printed on the terminal.

use super::sign_in::{AloneCard, Problem};
use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::error::Refused;
use crate::part::field::{TextField, plain_field};
use leptos::prelude::*;
use model::account::AccountDraft;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let refused: Option<Refused<AccountDraft>> = asked.refused();
    let (draft, error) = match refused {
        Some(refused) => (refused.draft, Some(refused.error)),
        None => (AccountDraft::default(), None),
    };
    let token = if draft.token.is_empty() { asked.query.value("token").to_owned() } else { draft.token };
    let title = "Create the first administrator";
    let message = |field: &str| error.as_ref().and_then(|error| error.fields.message(field).map(str::to_owned));
    let (name, password, repeat) = (message("name"), message("password"), message("repeat"));
    let general = error.as_ref().filter(|error| error.fields.is_empty()).map(|error| error.message.clone());
    let main = view! {
        <AloneCard title=title>
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
                <button class="c-button c-button--primary" type="submit">"Create it and sign in"</button>
            </form>
        </AloneCard>
    };
    Ok(Page::new(title, main))
}
