//! The matches of the unsaved event, now and in the past.

use crate::island::form::FormState;
use crate::island::hydrated::when_rested;
use crate::server_fn::event::load_matches;
use leptos::prelude::*;
use model::event::EventDraft;
use std::time::Duration;

/// The card of the matches.
#[component]
pub(super) fn Matches(form: FormState) -> impl IntoView {
    let found = RwSignal::new(None::<String>);
    let source = Memo::new(move |_| EventDraft { task: String::new(), ..form.draft() });
    when_rested(source, Duration::from_millis(250), move |draft| {
        if draft.event.is_empty() {
            found.set(None);
            return;
        }
        leptos::task::spawn_local(async move {
            let result = load_matches(draft.clone()).await;
            if source.try_get_untracked().is_some_and(|newest| newest == draft) {
                found.set(result.ok());
            }
        });
    });
    let content = move || match found.get() {
        None => view! { <p class="c-card__body u-muted">"Fill in the form to see what it matches."</p> }.into_any(),
        Some(html) => view! { <div role="status" inner_html=html></div> }.into_any(),
    };
    view! {
        <section class="c-card c-match" aria-labelledby="match">
            <header class="c-card__head"><h2 class="c-card__title" id="match">"What it matches"</h2></header>
            {content}
        </section>
    }
    .into_any()
}
