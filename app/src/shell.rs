//! The document around every page, and the routes.
//!
//! The only place that emits script tags; their names come by context as [`Assets`], because only the server knows
//! the hashed files it carries. Pages stand in [`crate::page`].

use crate::page;
use crate::part;
use crate::part::frame::Frame;
use crate::part::icon::Sprite;
use crate::part::server_page::ServerPage;
use crate::session::Viewer;
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::{SsrMode, path};

/// The files of the browser half, by their hashed paths, with their integrity hashes.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the path, or the `integrity` value, of that file")]
pub struct Assets {
    pub css: String,
    pub css_integrity: String,
    pub js: String,
    pub js_integrity: String,
    pub wasm: String,
}

/// The theme a person chose, from their cookie: `light`, `dark`, or nothing to follow the system.
#[derive(Debug, Clone, Default)]
pub struct Theme(pub Option<&'static str>);

/// The whole document.
pub fn shell() -> impl IntoView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let theme = use_context::<Theme>().unwrap_or_default();
    let nonce = use_nonce();
    #[cfg(feature = "ssr")]
    set_policy(nonce.as_deref());
    let boot = format!(
        "import init, {{ hydrate }} from \"{}\"; await init({{ module_or_path: \"{}\" }}); hydrate();",
        assets.js, assets.wasm
    );
    // Signing in needs no script. Without the browser half (a server built alone) the console is plain HTML, which is a
    // supported way to use it.
    #[cfg(feature = "ssr")]
    let is_signed_in = crate::session::current_viewer().is_some();
    #[cfg(not(feature = "ssr"))]
    let is_signed_in = true;
    let scripts = (is_signed_in && !assets.js.is_empty()).then(|| {
        view! {
            <link rel="modulepreload" href=assets.js.clone() integrity=assets.js_integrity nonce=nonce.clone()/>
            <link rel="preload" href=assets.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
            <script type="module" nonce=nonce>{boot}</script>
        }
    });
    let styles = (!assets.css.is_empty())
        .then(|| view! { <link rel="stylesheet" href=assets.css integrity=assets.css_integrity/> });
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.0>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="data:,"/>
                {styles}
                {scripts}
                <leptos_meta::MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// The content security policy of a page: our own files, and scripts with this page's nonce.
#[cfg(feature = "ssr")]
fn set_policy(nonce: Option<&str>) {
    let Some(options) = use_context::<leptos_axum::ResponseOptions>() else { return };
    let nonce = nonce.unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'strict-dynamic' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(value) = http::HeaderValue::from_str(&policy) {
        options.insert_header(http::header::CONTENT_SECURITY_POLICY, value);
    }
}

/// What of the document is alive in the browser.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    #[cfg(feature = "ssr")]
    let viewer = SharedValue::new(crate::session::current_viewer).into_inner();
    #[cfg(not(feature = "ssr"))]
    let viewer = SharedValue::<Option<Viewer>>::new(|| None).into_inner();
    provide_context::<Option<Viewer>>(viewer);
    part::server_page::provide();
    // Until a page has named itself, the title that came with the document stays.
    #[cfg(not(feature = "ssr"))]
    let title =
        view! { <Title text=part::server_page::first_title() formatter=|title: String| document_title(&title)/> };
    #[cfg(feature = "ssr")]
    let title = view! { <Title formatter=|title: String| document_title(&title)/> };
    view! {
        {title}
        <Sprite/>
        <Router>
            <Frame>
                <Routes fallback=ServerPage>
                    <Route path=path!("/webhooks/new") view=page::webhook_form::NewWebhook ssr=SsrMode::Async/>
                    <Route path=path!("/webhooks/:id/edit") view=page::webhook_form::EditWebhook ssr=SsrMode::Async/>
                    <Route path=path!("/tasks/new") view=page::task_form::NewTask ssr=SsrMode::Async/>
                    <Route path=path!("/tasks/:id/edit") view=page::task_form::EditTask ssr=SsrMode::Async/>
                    <Route path=path!("/events/new") view=page::event_form::NewEvent ssr=SsrMode::Async/>
                    <Route path=path!("/events/:id") view=page::event_form::EditEvent ssr=SsrMode::Async/>
                    // Everything that is not a form is a page of the server's, also what is not there. A route, and not
                    // the fallback alone, which stays as it is when only the query changes.
                    <Route path=path!("/*rest") view=ServerPage ssr=SsrMode::Async/>
                </Routes>
            </Frame>
        </Router>
    }
}

/// The document's title. The server's `Title` writes it between the tags as it is, so names in it are made text here.
fn document_title(title: &str) -> String {
    #[cfg(feature = "ssr")]
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    format!("{title} · Hookwright")
}
