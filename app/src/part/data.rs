//! Data that is read from the server: shown when there, explained when not.

use crate::error::AppError;
use crate::part::icon::Icon;
use leptos::prelude::*;

/// Renders what `resource` holds with `show`, or says what could not be read.
#[component]
pub(crate) fn Data<T, V>(
    /// What is read.
    resource: Resource<Result<T, AppError>>,
    /// How it is shown.
    show: impl Fn(T) -> V + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    view! {
        <Transition>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    match resource.await {
                        Ok(value) => show(value).into_any(),
                        Err(error) => view! { <Failure error=error/> }.into_any(),
                    }
                })
            }}
        </Transition>
    }
}

/// What could not be read, and what to do.
#[component]
pub(crate) fn Failure(error: AppError) -> impl IntoView {
    view! {
        <div class="c-note c-note--danger" role="alert">
            <Icon name="error"/>
            <p>{error.message}</p>
        </div>
    }
}

/// What a list is for, while it is empty.
#[cfg(feature = "ssr")]
#[component]
pub(crate) fn Empty(
    icon: &'static str,
    /// One sentence: what stands here once there is something.
    text: &'static str,
    /// Where to make the first one, and the button's words.
    #[prop(optional)]
    new: Option<(&'static str, &'static str)>,
) -> impl IntoView {
    let button = new.map(|(href, label)| {
        view! { <div class="l-row"><a class="c-button c-button--primary" href=href>{label}</a></div> }
    });
    view! {
        <div class="c-empty">
            <Icon name=icon/>
            <p>{text}</p>
            {button}
        </div>
    }
}
