//! The place of the pages that the server renders alone, and what makes them lively in the browser.
//!
//! The first one comes with the document and is left as it is. Afterwards a link fetches the next page and puts it in
//! place. What its parts do is found by `data-` attributes on the document, once for all pages: checking all rows,
//! counting the checked, opening a row, sending a filter, fetching again when something has changed.

mod behaviour;
mod live;

use crate::error::Code;
use crate::server_fn::page::load_page;
use crate::server_page::Page;
use leptos::prelude::*;
use leptos::task::spawn_local;
#[cfg(not(feature = "ssr"))]
use leptos_router::hooks::use_location;

/// What has been fetched, for whoever shows it.
#[derive(Clone, Copy)]
pub(crate) struct Fetched {
    page: RwSignal<Option<Page>>,
    /// The address it was fetched for.
    shown: RwSignal<String>,
    /// Whether the server's page is the one on screen, and not one of ours.
    is_open: RwSignal<bool>,
    /// Whether it is being fetched again since something has changed, and whether something has changed since.
    again: StoredValue<Again>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    UnderWay,
    UnderWayAndChanged,
}

/// Sets up what server pages need. Called once, by the document.
pub(crate) fn provide() {
    let fetched = Fetched {
        page: RwSignal::new(None),
        shown: RwSignal::new(String::new()),
        is_open: RwSignal::new(false),
        again: StoredValue::new(Again::No),
    };
    provide_context(fetched);
    // Only in the browser: effects do not run on the server.
    Effect::new(move || {
        behaviour::listen();
        live::listen(fetched);
    });
}

impl Fetched {
    /// Fetches a page and puts it in place, if it is still `wanted` when it has come.
    async fn fetch(self, address: String, wanted: fn(&Page) -> bool) {
        let result = load_page(address.clone()).await;
        // Somebody may have gone on meanwhile.
        if self.shown.get_untracked() != address || !self.is_open.get_untracked() {
            return;
        }
        match result {
            Ok(page) if wanted(&page) => {
                self.page.set(Some(page));
            }
            Ok(_) => {}
            // Too much to do just now: what is on screen stays until the next word of the stream.
            Err(error) if error.code == Code::Unavailable && self.again.get_value() != Again::No => {}
            // Signed out, or the server is away: the whole page says so.
            Err(_) => {
                let _ = window().location().reload();
            }
        }
    }

    /// Fetches the page on screen again, once at a time: what changes meanwhile is fetched after that.
    fn fetch_again(self, wanted: fn(&Page) -> bool) {
        if self.again.get_value() != Again::No {
            self.again.set_value(Again::UnderWayAndChanged);
            return;
        }
        spawn_local(async move {
            loop {
                self.again.set_value(Again::UnderWay);
                self.fetch(self.shown.get_untracked(), wanted).await;
                if self.again.get_value() == Again::UnderWay || !self.is_open.get_untracked() {
                    self.again.set_value(Again::No);
                    return;
                }
            }
        });
    }
}

/// The title of the page that came with the document, without the product's name.
#[cfg(not(feature = "ssr"))]
pub(crate) fn first_title() -> String {
    // Read once: what the browser half makes of it must not be taken for it.
    std::thread_local! {
        static FIRST: String = document().title().trim_end_matches(" · Hookwright").to_owned();
    }
    FIRST.with(Clone::clone)
}

/// The page, as HTML from the server.
#[component]
pub(crate) fn ServerPage() -> impl IntoView {
    #[cfg(feature = "ssr")]
    {
        let page = use_context::<Page>().unwrap_or_default();
        if let Some(options) = use_context::<leptos_axum::ResponseOptions>()
            && let Ok(status) = http::StatusCode::from_u16(page.status)
        {
            options.set_status(status);
        }
        view! {
            <leptos_meta::Title text=page.title/>
            <div class="l-server" data-live=page.is_live.then_some("") inner_html=page.main></div>
        }
        .into_any()
    }
    #[cfg(not(feature = "ssr"))]
    {
        let Some(fetched) = use_context::<Fetched>() else { return ().into_any() };
        let place = NodeRef::<leptos::html::Div>::new();
        let location = use_location();
        fetched.is_open.set(true);
        on_cleanup(move || {
            fetched.is_open.set(false);
            fetched.shown.set(String::new());
            fetched.page.set(None);
        });
        Effect::new(move || {
            let (path, query) = (location.pathname.get(), location.search.get());
            let address = if query.is_empty() { path } else { format!("{path}?{}", query.trim_start_matches('?')) };
            let Some(place) = place.get() else { return };
            let before = fetched.shown.get_untracked();
            fetched.shown.set(address.clone());
            // The one that came with the document is there already.
            let is_there = before.is_empty() && place.first_element_child().is_some();
            if before != address && !is_there {
                spawn_local(fetched.fetch(address, |_| true));
            }
        });
        Effect::new(move || {
            let Some(place) = place.get() else { return };
            fetched.page.with(|page| {
                if let Some(page) = page {
                    place.set_inner_html(&page.main);
                    let _ = if page.is_live {
                        place.set_attribute("data-live", "")
                    } else {
                        place.remove_attribute("data-live")
                    };
                    behaviour::arrived();
                }
            });
        });
        let first = first_title();
        let title =
            move || fetched.page.with(|page| page.as_ref().map_or_else(|| first.clone(), |page| page.title.clone()));
        view! {
            <leptos_meta::Title text=title/>
            <div class="l-server" node_ref=place></div>
        }
        .into_any()
    }
}

/// The page's own commands, at the top of the menu.
#[component]
pub(crate) fn PageCommands() -> impl IntoView {
    #[cfg(feature = "ssr")]
    {
        let menu = use_context::<Page>().map(|page| page.menu).unwrap_or_default();
        view! { <div class="c-menu__group c-menu__group--page" inner_html=menu></div> }.into_any()
    }
    #[cfg(not(feature = "ssr"))]
    {
        let Some(fetched) = use_context::<Fetched>() else { return ().into_any() };
        let place = NodeRef::<leptos::html::Div>::new();
        let path = use_location().pathname;
        let written = StoredValue::new(String::new());
        Effect::new(move |before: Option<String>| {
            let here = path.get();
            let is_open = fetched.is_open.get();
            if let Some(place) = place.get() {
                let menu = fetched.page.with(|page| page.as_ref().map(|page| page.menu.clone()));
                match menu {
                    // Written only when it differs: a question that is open stays open.
                    Some(menu) if is_open && written.get_value() != menu => {
                        place.set_inner_html(&menu);
                        written.set_value(menu);
                    }
                    // What came with the document stays until somebody goes elsewhere.
                    _ if !is_open && before.is_some() => {
                        place.set_inner_html("");
                        written.set_value(String::new());
                    }
                    _ => {}
                }
            }
            here
        });
        view! { <div class="c-menu__group c-menu__group--page" node_ref=place></div> }.into_any()
    }
}
