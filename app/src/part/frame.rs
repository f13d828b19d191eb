//! The frame of every page: top bar, command menu, content. Signed out, only the content.

use crate::part::icon::Icon;
use crate::part::server_page::PageCommands;
use crate::part::theme::ThemeSwitch;
use crate::session::Viewer;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use model::access::Permission;

/// A module: its first path, its name, and its places: path, icon, label.
type Module = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const MODULES: &[Module] = &[
    (
        "/",
        "System",
        &[
            ("/", "dashboard", "Dashboard"),
            ("/tasks", "task", "Tasks"),
            ("/webhooks", "webhook", "Webhooks"),
            ("/events", "event", "Events"),
            ("/deliveries", "delivery", "Deliveries"),
            ("/runs", "log", "Task Logs"),
        ],
    ),
    (
        "/objects",
        "Inventory",
        &[("/objects", "object", "Objects"), ("/tags", "tag", "Tags"), ("/types", "occurrence", "Event Types")],
    ),
];

/// What can be made from everywhere: path, label.
const COMMANDS: &[(&str, &str)] =
    &[("/tasks/new", "New Task"), ("/events/new", "New Event"), ("/webhooks/new", "New Webhook")];

/// Whether a path lies at or below another.
fn is_below(path: &str, place: &str) -> bool {
    path == place || (place != "/" && path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/')))
}

/// The module that a path lies in.
pub(crate) fn module_of(path: &str) -> usize {
    let is_in = |module: &Module| module.2.iter().any(|(place, ..)| is_below(path, place) && *place != "/");
    MODULES.iter().position(is_in).unwrap_or_default()
}

/// Bar, menu and main.
#[component]
pub(crate) fn Frame(children: Children) -> impl IntoView {
    let Some(viewer) = use_context::<Option<Viewer>>().flatten() else {
        return alone();
    };
    view! {
        <a class="c-skip" href="#main" rel="external">"Skip to content"</a>
        <div class="l-shell">
            <Bar viewer=viewer.clone()/>
            <Menu viewer=viewer/>
            <main class="l-main" id="main" tabindex="-1">{children()}</main>
        </div>
    }
    .into_any()
}

/// The pages of who is not signed in: plain forms, without script.
#[cfg(feature = "ssr")]
fn alone() -> AnyView {
    use crate::page::{setup::Setup, sign_in::SignIn};
    let is_setup = use_location().pathname.with_untracked(|path| path == "/setup");
    let page = if is_setup { view! { <Setup/> }.into_any() } else { view! { <SignIn/> }.into_any() };
    view! { <main class="l-alone" id="main">{page}</main> }.into_any()
}

/// Nothing runs in the browser before somebody has signed in.
#[cfg(not(feature = "ssr"))]
fn alone() -> AnyView {
    ().into_any()
}

#[component]
fn Bar(viewer: Viewer) -> impl IntoView {
    let initials = viewer.name.chars().take(2).collect::<String>().to_uppercase();
    let name = format!("{initials}: {}, {}", viewer.name, viewer.role.as_str());
    let path = use_location().pathname;
    let modules = MODULES
        .iter()
        .enumerate()
        .map(|(place, (href, label, _))| {
            let current = move || (module_of(&path.get()) == place).then_some("true");
            view! { <a class="c-bar__module" href=*href aria-current=current>{*label}</a> }
        })
        .collect_view();
    view! {
        <header class="l-bar c-bar">
            <a class="c-bar__brand" href="/">
                <svg class="c-icon c-bar__mark" aria-hidden="true"><use href="#i-hook"></use></svg>
                <span>"Hookwright"</span>
            </a>
            <nav class="c-bar__modules" aria-label="Modules">{modules}</nav>
            <div class="c-bar__end">
                <ThemeSwitch/>
                <button class="c-bar__user" type="button" popovertarget="user" aria-label=name.clone() title=name>
                    <span aria-hidden="true">{initials}</span>
                </button>
            </div>
            <form class="c-popover" id="user" popover="auto" method="post" action="/sign-out">
                <p class="c-popover__option u-muted">{format!("{} ({})", viewer.name, viewer.role.as_str())}</p>
                <button class="c-popover__option" type="submit">"Sign out"</button>
            </form>
        </header>
    }
    .into_any()
}

#[component]
fn Menu(viewer: Viewer) -> impl IntoView {
    let path = use_location().pathname;
    let module = Memo::new(move |_| module_of(&path.get()));
    let current = move |href: &'static str| {
        let path = path.get();
        // What is being made is marked at its command.
        if path == href || (is_below(&path, href) && !path.ends_with("/new")) { Some("page") } else { None }
    };
    let commands = viewer.role.may(Permission::Edit).then(|| {
        let items = COMMANDS.iter().map(move |(href, label)| {
            view! {
                <li>
                    <a class="c-menu__item" href=*href aria-current=move || (path.get() == *href).then_some("page")>
                        <Icon name="plus"/>
                        {*label}
                    </a>
                </li>
            }
        });
        view! { <div class="c-menu__group"><ul role="list">{items.collect_view()}</ul></div> }
    });
    let groups = MODULES
        .iter()
        .enumerate()
        .map(|(number, (_, _, places))| {
            let places = places.iter().map(move |(href, icon, label)| {
                view! {
                    <li>
                        <a class="c-menu__item" href=*href aria-current=move || current(href)>
                            <Icon name=icon/>
                            {*label}
                        </a>
                    </li>
                }
            });
            let hidden = move || (module.get() != number).then_some("");
            view! { <div class="c-menu__group" hidden=hidden><ul role="list">{places.collect_view()}</ul></div> }
        })
        .collect_view();
    view! {
        <nav class="l-menu c-menu" id="commands" aria-label="Commands" popover="auto">
            <div class="c-menu__inner">
                <PageCommands/>
                {commands}
                {groups}
            </div>
        </nav>
    }
    .into_any()
}

/// The head of a page: crumbs whose last is the title, and the button that opens the commands when narrow.
#[component]
pub(crate) fn Crumbs(
    /// The page's module: see [`module_of`].
    #[prop(optional)]
    module: usize,
    /// Where the page lies: paths and labels under its module.
    #[prop(optional)]
    parents: Vec<(String, String)>,
    /// The page's title.
    title: String,
) -> impl IntoView {
    let (home, module, _) = MODULES[module];
    let crumbs = parents.into_iter().map(|(href, label)| view! { <li><a href=href>{label}</a></li> }).collect_view();
    view! {
        <div class="c-head">
            <nav class="c-crumbs" aria-label="Breadcrumb">
                <ol>
                    <li><a href=home>{module}</a></li>
                    {crumbs}
                    <li aria-current="page"><h1>{title}</h1></li>
                </ol>
            </nav>
            <div class="c-head__end">
                <button class="c-button c-button--outline c-menu-button" type="button" popovertarget="commands">
                    <Icon name="menu"/>
                    "Commands"
                </button>
            </div>
        </div>
    }
    .into_any()
}

/// The same, which also names the document.
#[component]
pub(crate) fn Head(
    /// Where the page lies: paths and labels under *System*.
    #[prop(optional)]
    parents: Vec<(&'static str, &'static str)>,
    /// The page's title.
    #[prop(into)]
    title: String,
) -> impl IntoView {
    let parents = parents.into_iter().map(|(href, label)| (href.to_owned(), label.to_owned())).collect();
    view! {
        <leptos_meta::Title text=title.clone()/>
        <Crumbs parents=parents title=title/>
    }
}
