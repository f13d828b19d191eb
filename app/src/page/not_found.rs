//! What stands at an address that leads nowhere.

use crate::part::frame::Head;
use leptos::prelude::*;

/// The page, with its status.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(options) = use_context::<leptos_axum::ResponseOptions>() {
        options.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <div class="l-main__body">
            <Head title="Not found"/>
            <section class="c-card">
                <div class="c-card__body">
                    <p>
                        "There is no page at this address. " <a href="/deliveries">"Go to the deliveries"</a> "."
                    </p>
                </div>
            </section>
        </div>
    }
}
