//! The document around every page: style, scripts, policy.
//!
//! The only module that emits script tags. The server provides the paths of the browser half's files by context as
//! [`Assets`], since only the server knows their hashed names.

use crate::part::icon::Sprite;
use leptos::prelude::*;

/// The files of the browser half: their hashed paths, and their integrity hashes.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the path, or the `integrity` value, of that file")]
pub struct Assets {
    pub css: String,
    pub css_integrity: String,
    pub js: String,
    pub js_integrity: String,
    pub wasm: String,
    /// The library that changes the page into a newer version of itself.
    pub morph: String,
}

/// The theme in the person's cookie: `light`, `dark`, or `None` to follow the system.
#[derive(Debug, Clone, Default)]
pub struct Theme(pub Option<&'static str>);

/// Returns the whole document of a page. With `is_form` the browser half loads at once; on other pages it loads when
/// the browser is idle.
pub(crate) fn document(title: &str, is_form: bool, is_signed_in: bool, body: AnyView) -> AnyView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let theme = use_context::<Theme>().unwrap_or_default();
    let nonce = use_nonce();
    set_policy(nonce.as_deref());
    let title = format!("{title} · Hookwright");
    let styles = (!assets.css.is_empty())
        .then(|| view! { <link rel="stylesheet" href=assets.css.clone() integrity=assets.css_integrity.clone()/> });
    // Signing in needs no script. Without the browser half (a server built alone) the console is plain HTML, which is
    // supported.
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

/// Loads the browser half, starts it, and hydrates each island by the function that its element names. At the end it
/// sets `data-hydrated` on the document, for which tests wait before they click.
fn scripts(assets: &Assets, is_form: bool) -> AnyView {
    let nonce = use_nonce();
    let (js, wasm, morph) = (&assets.js, &assets.wasm, &assets.morph);
    // Browsers reject these promises when they skip a transition between pages. That is no error.
    let calm = "for(const name of[\"pagereveal\",\"pageswap\"])addEventListener(name,event=>{const change=event.viewTransition;\
                if(change){change.ready.catch(()=>0);change.finished.catch(()=>0)}})";
    let calm = view! { <script nonce=nonce.clone()>{calm}</script> };
    let run = "const run=async app=>{app.start();for(const island of document.querySelectorAll(\"leptos-island\"))\
               await app[island.dataset.component](island);document.documentElement.dataset.hydrated=\"\"};";
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

/// Sets the content security policy of a page: only local files, and scripts with the nonce of this page.
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
