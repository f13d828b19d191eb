//! The frame of every page: top bar, command menu, content. Signed out, only the content.

use crate::part::icon::Icon;
use crate::part::theme::ThemeSwitch;
use crate::session::Viewer;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use model::access::Permission;

/// The places of the menu: path, icon, label.
const PLACES: &[(&str, &str, &str)] = &[
    ("/tasks", "task", "Tasks"),
    ("/webhooks", "webhook", "Webhooks"),
    ("/events", "event", "Events"),
    ("/deliveries", "delivery", "Deliveries"),
];

/// What can be made: path, label.
const COMMANDS: &[(&str, &str)] =
    &[("/tasks/new", "New Task"), ("/events/new", "New Event"), ("/webhooks/new", "New Webhook")];

/// Bar, menu and main.
#[component]
pub(crate) fn Frame(children: Children) -> impl IntoView {
    let Some(viewer) = use_context::<Option<Viewer>>().flatten() else {
        return view! { <main class="l-alone" id="main">{children()}</main> }.into_any();
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

#[component]
fn Bar(viewer: Viewer) -> impl IntoView {
    let initials = viewer.name.chars().take(2).collect::<String>().to_uppercase();
    let name = format!("{initials}: {}, {}", viewer.name, viewer.role.as_str());
    view! {
        <header class="l-bar c-bar">
            <a class="c-bar__brand" href="/deliveries">
                <svg class="c-icon c-bar__mark" aria-hidden="true"><use href="#i-hook"></use></svg>
                <span>"Hookwright"</span>
            </a>
            <nav class="c-bar__modules" aria-label="Modules">
                <a class="c-bar__module" href="/deliveries" aria-current="true">"System"</a>
            </nav>
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
    let current = move |href: &'static str, nested: bool| {
        let path = path.get();
        let is_below = || nested && path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
        let is_new = path.ends_with("/new");
        if path == href || (is_below() && !is_new) { Some("page") } else { None }
    };
    let commands = viewer.role.may(Permission::Edit).then(|| {
        let items = COMMANDS.iter().map(move |(href, label)| {
            view! {
                <li>
                    <a class="c-menu__item" href=*href aria-current=move || current(href, false)>
                        <Icon name="plus"/>
                        {*label}
                    </a>
                </li>
            }
        });
        view! { <div class="c-menu__group"><ul role="list">{items.collect_view()}</ul></div> }
    });
    let places = PLACES.iter().map(move |(href, icon, label)| {
        view! {
            <li>
                <a class="c-menu__item" href=*href aria-current=move || current(href, true)>
                    <Icon name=icon/>
                    {*label}
                </a>
            </li>
        }
    });
    view! {
        <nav class="l-menu c-menu" id="commands" aria-label="Commands" popover="auto">
            <div class="c-menu__inner">
                {commands}
                <div class="c-menu__group"><ul role="list">{places.collect_view()}</ul></div>
            </div>
        </nav>
    }
    .into_any()
}

/// The head of a page: crumbs whose last is the title, and the button that opens the commands when narrow.
#[component]
pub(crate) fn Head(
    /// Where the page lies: paths and labels under *System*.
    #[prop(optional)]
    parents: Vec<(&'static str, &'static str)>,
    /// The page's title.
    #[prop(into)]
    title: String,
) -> impl IntoView {
    let crumbs = parents.into_iter().map(|(href, label)| view! { <li><a href=href>{label}</a></li> }).collect_view();
    view! {
        <leptos_meta::Title text=title.clone()/>
        <div class="c-head">
            <nav class="c-crumbs" aria-label="Breadcrumb">
                <ol>
                    <li><a href="/deliveries">"System"</a></li>
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
