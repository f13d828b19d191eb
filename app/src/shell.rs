//! The document around every page: style, scripts, policy.
//!
//! The only place that emits script tags. The names of the browser half's files come by context as [`Assets`], because
//! only the server knows the hashed files it carries.

use crate::part::icon::Sprite;
use leptos::prelude::*;

/// The files of the browser half, by their hashed paths, with their integrity hashes.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the path, or the `integrity` value, of that file")]
pub struct Assets {
    pub css: String,
    pub css_integrity: String,
    pub js: String,
    pub js_integrity: String,
    pub wasm: String,
    /// The library that puts a newer page in place.
    pub morph: String,
}

/// The theme a person chose, from their cookie: `light`, `dark`, or nothing to follow the system.
#[derive(Debug, Clone, Default)]
pub struct Theme(pub Option<&'static str>);

/// The whole document of a page. `is_form`: it waits for the browser half; other pages load it when the browser is idle.
pub(crate) fn document(title: &str, is_form: bool, is_signed_in: bool, body: AnyView) -> AnyView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let theme = use_context::<Theme>().unwrap_or_default();
    let nonce = use_nonce();
    set_policy(nonce.as_deref());
    let title = format!("{title} · Hookwright");
    let styles = (!assets.css.is_empty())
        .then(|| view! { <link rel="stylesheet" href=assets.css.clone() integrity=assets.css_integrity.clone()/> });
    // Signing in needs no script. Without the browser half (a server built alone) the console is plain HTML, which is a
    // supported way to use it.
    let scripts = (is_signed_in && !assets.js.is_empty()).then(|| scripts(&assets, is_form));
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.0>
            <head>
                <meta charset="utf-8"/>
                <title>{title}</title>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="data:,"/>
                {styles}
                {scripts}
            </head>
            <body>
                <Sprite/>
                {body}
            </body>
        </html>
    }
    .into_any()
}

/// Loads the browser half, starts it, and hydrates each island by the function that its element names. The mark on the
/// document is for tests: they know when to click.
fn scripts(assets: &Assets, is_form: bool) -> AnyView {
    let nonce = use_nonce();
    let (js, wasm, morph) = (&assets.js, &assets.wasm, &assets.morph);
    // A transition between pages that the browser skips is no fault.
    let calm = "for(const name of[\"pagereveal\",\"pageswap\"])addEventListener(name,event=>{const change=event.viewTransition;\
                if(change){change.ready.catch(()=>0);change.finished.catch(()=>0)}})";
    let calm = view! { <script nonce=nonce.clone()>{calm}</script> };
    let run = "const run=async app=>{app.start();for(const place of document.querySelectorAll(\"leptos-island\"))\
               await app[place.dataset.component](place);document.documentElement.dataset.hydrated=\"\"};";
    if is_form {
        let boot =
            format!("import init,*as app from\"{js}\";{run}await init({{module_or_path:\"{wasm}\"}});await run(app);");
        return view! {
            {calm}
            <link rel="modulepreload" href=js.clone() integrity=assets.js_integrity.clone() nonce=nonce.clone()/>
            <link rel="preload" href=wasm.clone() r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
            <script type="module" nonce=nonce>{boot}</script>
        }
        .into_any();
    }
    let boot = format!(
        "{run}const load=async()=>{{const[app,morph]=await Promise.all([import(\"{js}\"),import(\"{morph}\")]);\
         globalThis.Idiomorph=morph.Idiomorph;await app.default({{module_or_path:\"{wasm}\"}});await run(app)}};\
         \"requestIdleCallback\"in window?requestIdleCallback(load,{{timeout:2000}}):setTimeout(load);"
    );
    view! { {calm} <script type="module" nonce=nonce>{boot}</script> }.into_any()
}

/// The content security policy of a page: our own files, and scripts with this page's nonce.
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
