//! *Send test*: a button, and the exact request and the whole response of the test.

use crate::error::AppError;
use crate::part::icon::Icon;
use leptos::prelude::*;
use std::future::Future;
use std::pin::Pin;

/// A running test. It returns HTML.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<String, AppError>>>>;

/// The button and its result.
#[component]
pub(crate) fn SendTest(
    /// Sends the unsaved values of the form.
    send: impl Fn() -> Sending + Clone + Send + Sync + 'static,
) -> impl IntoView {
    let result = RwSignal::new(None::<Result<String, AppError>>);
    let is_busy = RwSignal::new(false);
    let click = move |_| {
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        let sending = send();
        leptos::task::spawn_local(async move {
            let done = sending.await;
            is_busy.set(false);
            result.set(Some(done));
        });
    };
    let shown = move || match result.get() {
        None => ().into_any(),
        Some(Ok(html)) => view! { <div class="l-stack l-stack--fields" inner_html=html></div> }.into_any(),
        Some(Err(error)) => {
            let fields = error.fields.0.into_iter().map(|field| view! { <li>{field.message}</li> }).collect_view();
            view! {
                <div class="c-note c-note--danger">
                    <Icon name="error"/>
                    <div><p>{error.message}</p><ul>{fields}</ul></div>
                </div>
            }
            .into_any()
        }
    };
    view! {
        <div>
            <button class="c-button" type="button" aria-busy=move || is_busy.get().then_some("true") on:click=click>
                <Icon name="delivery"/>
                "Send test"
            </button>
        </div>
        <div role="status" class="l-stack l-stack--fields">{shown}</div>
    }
    .into_any()
}
