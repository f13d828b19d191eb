//! A page's own commands, at the top of the menu.

use crate::part::icon::Icon;
use crate::part::question::dialog;
use leptos::prelude::*;

/// Renders a command that is a link.
pub(crate) fn go(icon: &'static str, label: &'static str, href: String) -> AnyView {
    view! { <li><a class="c-menu__item" href=href><Icon name=icon/>{label}</a></li> }.into_any()
}

/// Renders a command that posts to `action`. With `of_selection` the checked rows are posted too.
pub(crate) fn post(icon: &'static str, label: &'static str, action: String, of_selection: bool) -> AnyView {
    if of_selection {
        return view! {
            <li>
                <button class="c-menu__item" type="submit" form="selection" formaction=action data-selection="">
                    <Icon name=icon/>
                    {label}
                </button>
            </li>
        }
        .into_any();
    }
    view! {
        <li>
            <form method="post" action=action>
                <button class="c-menu__item" type="submit"><Icon name=icon/>{label}</button>
            </form>
        </li>
    }
    .into_any()
}

/// Renders a command that asks for confirmation in a popover, which names the things affected. It works without script.
pub(crate) fn confirmed(
    icon: &'static str,
    label: &'static str,
    question: String,
    button: String,
    action: String,
    of_selection: bool,
) -> AnyView {
    let confirm = if of_selection {
        view! {
            <button class="c-button c-button--danger" type="submit" form="selection" formaction=action>{button}</button>
        }
        .into_any()
    } else {
        view! {
            <form method="post" action=action>
                <button class="c-button c-button--danger" type="submit">{button}</button>
            </form>
        }
        .into_any()
    };
    let selection = of_selection.then_some("");
    view! {
        <li>
            <button class="c-menu__item" type="button" popovertarget="confirm" data-selection=selection>
                <Icon name=icon/>
                {label}
            </button>
            {dialog("confirm".to_owned(), question, confirm)}
        </li>
    }
    .into_any()
}

/// Renders the menu's group of these commands.
pub(crate) fn menu(items: Vec<AnyView>) -> AnyView {
    view! { <ul role="list">{items.into_iter().collect_view()}</ul> }.into_any()
}
