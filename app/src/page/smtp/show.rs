//! The page of the mailer: its settings, its holds and its newest deliveries. While there is no mailer, the page
//! explains its purpose and has the form.

use super::form::form;
use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::delivery::list::short_table;
use crate::part::hold::{holds, state_word};
use crate::part::menu::{go, menu, post};
use crate::part::notice::Empty;
use crate::part::status::Enabled;
use crate::view::mailer::MailerDetail;
use leptos::prelude::*;
use model::access::Permission;
use model::email::{Mailbox, list_text};

const TITLE: &str = "SMTP";

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let Some(detail) = asked.backend.mailers.detail().await? else {
        return first(&asked).await;
    };
    let commands = commands(&detail, asked.may(Permission::Edit), asked.may(Permission::Administer));
    let page = Page::new(TITLE, content(detail, asked.may(Permission::Edit)));
    Ok(page.with_commands(Some(commands)).live_if(true))
}

/// The page while there is no mailer.
async fn first(asked: &Asked) -> Result<Page, AppError> {
    if !asked.may(Permission::Administer) {
        let text = "Tasks send e-mails through one mail server. None is configured; an administrator does that.";
        return Ok(Page::new(TITLE, view! { <section class="c-card"><Empty icon="mail" text=text/></section> }));
    }
    let form = form(asked, &asked.backend.mailers.load_form().await?);
    let main = view! {
        <div class="l-stack">
            <p class="l-narrow">
                "Tasks send e-mails through one mail server: a relay of your own, or the account of a provider. Enter it here, then send a test."
            </p>
            {form}
        </div>
    };
    Ok(Page::new(TITLE, main))
}

fn commands(detail: &MailerDetail, may_edit: bool, may_administer: bool) -> AnyView {
    let mut items = Vec::new();
    if may_administer {
        items.push(go("pencil", "Edit", "/smtp/edit".to_owned()));
    }
    if may_edit {
        if detail.state.paused.is_none() {
            items.push(post("pause", "Pause", "/smtp/pause".to_owned(), false));
        }
        items.push(go("delivery", "Send test…", "/smtp/test".to_owned()));
    }
    items.push(go("log", "Its deliveries", format!("/deliveries?of_destination={}", detail.id)));
    menu(items)
}

fn content(detail: MailerDetail, may_edit: bool) -> AnyView {
    let holds = holds("/smtp", detail.revision, &detail.state, may_edit);
    let (word, class) = state_word(detail.state.paused.is_some(), detail.state.failing.is_some());
    let tasks = tasks(&detail, may_edit);
    let deliveries = if detail.deliveries.is_empty() {
        view! { <p class="c-card__body u-muted">"No e-mail has been sent yet."</p> }.into_any()
    } else {
        short_table("Newest deliveries", detail.deliveries)
    };
    let settings = detail.settings;
    // An IPv6 address stands in brackets before a port (RFC 3986 §3.2.2).
    let host = if settings.host.contains(':') { format!("[{}]", settings.host) } else { settings.host };
    let authentication = match (settings.username.as_str(), detail.has_password) {
        ("", _) => "None".to_owned(),
        (name, true) => format!("As {name}, password stored"),
        (name, false) => format!("As {name}, without a password"),
    };
    let from = list_text(&[Mailbox { name: settings.from_name, address: settings.from_address }]);
    let fact = |name: &'static str, value: String| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    view! {
        <div class="l-stack">
            {holds}
            <div class="l-split l-split--wide">
                <section class="c-card" aria-labelledby="facts">
                    <header class="c-card__head">
                        <h2 class="c-card__title" id="facts">"Mail server"</h2>
                        <span class=class>{word}</span>
                    </header>
                    <div class="c-card__body">
                        <dl class="c-facts">
                            <div><dt>"Server"</dt><dd class="u-mono">{format!("{host}:{}", settings.port)}</dd></div>
                            {fact("Encryption", settings.encryption.label().to_owned())}
                            {fact("Insecure certificates", if settings.allows_insecure_tls { "On" } else { "Off" }.to_owned())}
                            {fact("Authentication", authentication)}
                            {fact("From", from)}
                            {fact("Timeout", format!("{} s", settings.timeout.as_secs()))}
                            {fact("Retries", settings.retries.to_string())}
                        </dl>
                    </div>
                </section>
                <section class="c-card" aria-labelledby="tasks">
                    <header class="c-card__head"><h2 class="c-card__title" id="tasks">"Tasks"</h2></header>
                    {tasks}
                </section>
            </div>
            <section class="c-card c-card--list" aria-labelledby="deliveries">
                <header class="c-card__head"><h2 class="c-card__title" id="deliveries">"Newest deliveries"</h2></header>
                {deliveries}
            </section>
        </div>
    }
    .into_any()
}

fn tasks(detail: &MailerDetail, may_edit: bool) -> AnyView {
    if detail.tasks.is_empty() {
        let new = may_edit.then(|| view! { " "<a href="/tasks/new">"New Task"</a> });
        return view! { <p class="c-card__body u-muted">"No task sends an e-mail yet."{new}</p> }.into_any();
    }
    let tasks = detail.tasks.iter().map(|task| {
        view! {
            <li class="l-row l-row--apart">
                <a href=format!("/tasks/{}", task.id)>{task.name.clone()}</a>
                <Enabled is_enabled=task.is_enabled/>
            </li>
        }
    });
    view! { <ul class="c-lines" role="list">{tasks.collect_view()}</ul> }.into_any()
}
