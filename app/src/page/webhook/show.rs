//! A webhook's dashboard: its settings, its holds and its newest deliveries.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::delivery::list::short_table;
use crate::part::hold::holds;
use crate::part::icon::Icon;
use crate::part::menu::{confirmed, go, menu, post};
use crate::part::status::Enabled;
use crate::view::webhook::WebhookDetail;
use leptos::prelude::*;
use model::access::Permission;
use model::webhook::Authorization;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let detail = asked.backend.webhooks.detail(asked.id("webhook")?).await?;
    let may_edit = asked.may(Permission::Edit);
    let commands = commands(&detail, may_edit);
    let title = format!("Webhook: {}", detail.settings.name);
    let page = Page::new(title, content(detail, may_edit)).below("/webhooks", "Webhooks");
    Ok(page.with_commands(Some(commands)).live_if(true))
}

fn commands(detail: &WebhookDetail, may_edit: bool) -> AnyView {
    let path = format!("/webhooks/{}", detail.id);
    let its_deliveries = go("log", "Its deliveries", format!("/deliveries?of_destination={}", detail.id));
    if !may_edit {
        return menu(vec![its_deliveries]);
    }
    let mut items = vec![go("pencil", "Edit", format!("{path}/edit"))];
    if detail.state.paused.is_none() {
        items.push(post("pause", "Pause", format!("{path}/pause"), false));
    }
    items.push(go("delivery", "Send test…", format!("{path}/test")));
    items.push(its_deliveries);
    items.push(confirmed(
        "bin",
        "Delete…",
        format!(
            "Delete the webhook {}? Its waiting deliveries are discarded; their records stay.",
            detail.settings.name
        ),
        "Delete webhook".to_owned(),
        format!("{path}/delete"),
        false,
    ));
    menu(items)
}

fn content(detail: WebhookDetail, may_edit: bool) -> AnyView {
    let holds = holds(&format!("/webhooks/{}", detail.id), detail.revision, &detail.state, may_edit);
    let in_clear = in_clear(&detail, may_edit);
    let settings = detail.settings;
    let target = format!("{} {}", settings.method.as_str(), settings.url.as_str());
    let authorization = match &settings.authorization {
        Authorization::None => "None".to_owned(),
        Authorization::Basic { username } => format!("Basic, as {username}"),
        Authorization::Bearer => "Bearer token, stored".to_owned(),
        Authorization::ApiKey { header, prefix } if prefix.is_empty() => format!("API key in {header}, stored"),
        Authorization::ApiKey { header, prefix } => format!("API key in {header} after {prefix}, stored"),
    };
    let headers = settings
        .headers
        .0
        .into_iter()
        .map(|header| view! { <span class="k">{header.name}</span>": "{header.value}"\n" })
        .collect_view();
    let tasks = detail.tasks.into_iter().map(|task| {
        view! {
            <li class="l-row l-row--apart">
                <a href=format!("/tasks/{}", task.id)>{task.name}</a>
                <Enabled is_enabled=task.is_enabled/>
            </li>
        }
    });
    let tasks = tasks.collect::<Vec<_>>();
    let tasks = if tasks.is_empty() {
        let new = may_edit.then(|| view! { " "<a href="/tasks/new">"New Task"</a> });
        view! { <p class="c-card__body u-muted">"No task sends through it yet."{new}</p> }.into_any()
    } else {
        view! { <ul class="c-lines" role="list">{tasks.into_iter().collect_view()}</ul> }.into_any()
    };
    let deliveries = if detail.deliveries.is_empty() {
        view! { <p class="c-card__body u-muted">"Nothing has been sent through it yet."</p> }.into_any()
    } else {
        short_table("Newest deliveries", detail.deliveries)
    };
    let fact = |name: &'static str, value: String| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    let word = |is_on: bool| if is_on { "On" } else { "Off" }.to_owned();
    view! {
        <div class="l-stack">
            {holds}
            {in_clear}
            <div class="l-split l-split--wide">
                <section class="c-card" aria-labelledby="facts">
                    <header class="c-card__head"><h2 class="c-card__title" id="facts">"Webhook"</h2></header>
                    <div class="c-card__body">
                        <dl class="c-facts">
                            <div><dt>"URL"</dt><dd class="u-mono">{target}</dd></div>
                            {fact("Authorization", authorization)}
                            {fact("Signature", if detail.is_signing { "Standard Webhooks, secret stored".to_owned() } else { "None".to_owned() })}
                            {fact("Insecure certificates", word(settings.allows_insecure_tls))}
                            {fact("Timeout", format!("{} s", settings.timeout.as_secs()))}
                            {fact("Retries", settings.retries.to_string())}
                            <div><dt>"Headers"</dt><dd><pre class="c-code" tabindex="0" role="region" aria-label="Headers">{headers}</pre></dd></div>
                            {(!settings.note.is_empty()).then(|| fact("Note", settings.note))}
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

/// Renders the headers that are stored in clear and look like secrets.
fn in_clear(detail: &WebhookDetail, may_edit: bool) -> Option<AnyView> {
    if detail.in_clear.is_empty() || !may_edit {
        return None;
    }
    let words = format!("{}: stored in clear, and looks like a secret.", detail.in_clear.join(", "));
    let (action, revision) = (format!("/webhooks/{}/seal", detail.id), detail.revision);
    Some(
        view! {
            <div class="c-note c-note--warn">
                <Icon name="warn"/>
                <div class="l-stack l-stack--tight">
                    <p>{words}</p>
                    <form method="post" action=action>
                        <input type="hidden" name="revision" value=revision/>
                        <button class="c-button c-button--s" type="submit">"Seal"</button>
                    </form>
                </div>
            </div>
        }
        .into_any(),
    )
}
