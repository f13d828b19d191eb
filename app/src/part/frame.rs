//! The frame of every page: top bar, command menu, head and content. Signed out, a page is only its content.

use crate::asked::{Asked, Page};
use crate::part::icon::Icon;
use crate::part::notice::notices;
use crate::session::Viewer;
use leptos::prelude::*;
use model::access::Permission;

/// A module: its first path, its name, and its menu entries (path, icon, label).
type Module = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const MODULES: &[Module] = &[
    (
        "/",
        "System",
        &[
            ("/", "dashboard", "Dashboard"),
            ("/tasks", "task", "Tasks"),
            ("/schedules", "schedule", "Schedules"),
            ("/webhooks", "webhook", "Webhooks"),
            ("/events", "event", "Events"),
            ("/deliveries", "delivery", "Deliveries"),
            ("/runs", "log", "Task Logs"),
            ("/smtp", "mail", "SMTP"),
            ("/time-zone", "zone", "Time Zone"),
        ],
    ),
    (
        "/objects",
        "Inventory",
        &[("/objects", "object", "Objects"), ("/tags", "tag", "Tags"), ("/types", "occurrence", "Event Types")],
    ),
];

/// The commands that every page offers: path and label.
const COMMANDS: &[(&str, &str)] = &[
    ("/tasks/new", "New Task"),
    ("/events/new", "New Event"),
    ("/webhooks/new", "New Webhook"),
    ("/schedules/new", "New Schedule"),
];

/// Returns true if a path equals another or lies below it. Nothing lies below `/`.
fn is_below(path: &str, base: &str) -> bool {
    path == base || (base != "/" && path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')))
}

/// Returns the index of the module that a path lies in.
fn module_of(path: &str) -> usize {
    let is_in = |module: &Module| module.2.iter().any(|(base, ..)| is_below(path, base) && *base != "/");
    MODULES.iter().position(is_in).unwrap_or_default()
}

/// Renders a page with its frame.
pub(crate) fn framed(asked: &Asked, page: Page) -> AnyView {
    let Some(viewer) = asked.viewer.clone() else {
        return view! { <main class="l-alone" id="main">{page.main}</main> }.into_any();
    };
    let module = module_of(&asked.path);
    let head = head(module, page.parents, page.title);
    // A form shows its errors itself, at its fields and below them.
    let notices = (!page.is_form).then(|| notices(asked));
    // A refusal stays on the page until the person continues.
    let live = (page.is_live && asked.posted.problem.is_none()).then_some("");
    let content = view! { {head} {notices} {page.main} };
    let content =
        if page.is_form { content.into_any() } else { view! { <div class="l-main__body">{content}</div> }.into_any() };
    view! {
        <a class="c-skip" href="#main">"Skip to content"</a>
        // Enter in a row's checkbox presses the first submit button of the selection. This button comes first, and does
        // nothing outside a dialog.
        <button type="submit" form="selection" formmethod="dialog" hidden></button>
        <div class="l-shell">
            {bar(&viewer, module)}
            {menu(&viewer, &asked.path, module, page.commands)}
            <main class="l-main" id="main" tabindex="-1" data-live=live>{content}</main>
        </div>
    }
    .into_any()
}

fn bar(viewer: &Viewer, module: usize) -> AnyView {
    let initials = viewer.name.chars().take(2).collect::<String>().to_uppercase();
    let name = format!("{initials}: {}, {}", viewer.name, viewer.role.as_str());
    let modules = MODULES
        .iter()
        .enumerate()
        .map(|(number, (href, label, _))| {
            let current = (number == module).then_some("true");
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
                {theme_switch()}
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

/// The theme's button with its popover, a plain form that sets a cookie. With script the page changes at once.
fn theme_switch() -> AnyView {
    let option = |value: &'static str, icon: &'static str, label: &'static str| {
        view! {
            <button class="c-popover__option" type="submit" name="theme" value=value>
                <Icon name=icon/>
                {label}
            </button>
        }
    };
    view! {
        <button
            class="c-button c-button--plain c-button--icon"
            type="button"
            popovertarget="theme"
            aria-label="Theme"
            title="Theme"
        >
            <Icon name="theme"/>
        </button>
        <form class="c-popover" id="theme" popover="auto" method="post" action="/theme">
            {option("system", "theme", "Follow the system")}
            {option("light", "sun", "Light")}
            {option("dark", "moon", "Dark")}
        </form>
    }
    .into_any()
}

fn menu(viewer: &Viewer, path: &str, module: usize, page_commands: Option<AnyView>) -> AnyView {
    let item = |href: &'static str, icon: &'static str, label: &'static str, is_current: bool| {
        let current = is_current.then_some("page");
        view! { <li><a class="c-menu__item" href=href aria-current=current><Icon name=icon/>{label}</a></li> }
    };
    let commands = viewer.role.may(Permission::Edit).then(|| {
        let items = COMMANDS.iter().map(|(href, label)| item(href, "plus", label, path == *href));
        view! { <div class="c-menu__group"><ul role="list">{items.collect_view()}</ul></div> }
    });
    let entries = MODULES[module].2.iter().map(|(href, icon, label)| {
        // The page of a new thing is marked at its command instead.
        let is_current = path == *href || (is_below(path, href) && !path.ends_with("/new"));
        item(href, icon, label, is_current)
    });
    view! {
        <nav class="l-menu c-menu" id="commands" aria-label="Commands" popover="auto">
            <div class="c-menu__inner">
                <div class="c-menu__group c-menu__group--page" id="page-commands">{page_commands}</div>
                {commands}
                <div class="c-menu__group"><ul role="list">{entries.collect_view()}</ul></div>
            </div>
        </nav>
    }
    .into_any()
}

/// The head of a page: breadcrumbs whose last is the title, and on narrow screens the button that opens the commands.
fn head(module: usize, parents: Vec<(String, String)>, title: String) -> AnyView {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_menu_entry_leads_to_a_page() {
        let pages = leptos_axum::generate_route_list(crate::App);
        let entries = MODULES.iter().flat_map(|module| module.2).map(|entry| entry.0);
        for href in entries.chain(COMMANDS.iter().map(|command| command.0)) {
            assert!(pages.iter().any(|page| page.path() == href), "{href} leads nowhere");
        }
    }
}
