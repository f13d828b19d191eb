//! A webhook's dashboard: what it is, what holds it, what it sent last.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::delivery::list::short_table;
use crate::part::icon::Icon;
use crate::part::menu::{confirmed, go, menu, post};
use crate::part::status::{Enabled, Time};
use crate::part::table::grouped;
use crate::query::encoded;
use crate::view::webhook::{Failing, WebhookDetail, WebhookState};
use leptos::prelude::*;
use model::access::Permission;
use model::hold::HoldReason;
use model::id::WebhookId;
use model::webhook::Authorization;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let detail = asked.backend.webhooks.detail(asked.id("webhook")?).await?;
    let may_edit = asked.may(Permission::Edit);
    let commands = may_edit.then(|| commands(&detail));
    let title = format!("Webhook: {}", detail.settings.name);
    let page = Page::new(title, content(detail, may_edit)).below("/webhooks", "Webhooks");
    Ok(page.with_commands(commands).live_if(true))
}

fn commands(detail: &WebhookDetail) -> AnyView {
    let path = format!("/webhooks/{}", detail.id);
    let mut items = vec![go("pencil", "Edit", format!("{path}/edit"))];
    if detail.state.paused.is_none() {
        items.push(post("pause", "Pause", format!("{path}/pause"), false));
    }
    items.push(go("delivery", "Send test", format!("{path}/test")));
    items.push(go("log", "Its deliveries", format!("/deliveries?webhook={}", encoded(&detail.settings.name))));
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
    let holds = holds(detail.id, detail.revision, &detail.state, may_edit);
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
        view! { <p class="c-card__body u-muted">"No task sends through it yet. "<a href="/tasks/new">"New Task"</a></p> }.into_any()
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

/// Renders the reasons that hold the webhook, each with the form that ends it.
fn holds(id: WebhookId, revision: i64, state: &WebhookState, may_edit: bool) -> AnyView {
    let note = |class: &'static str, icon: &'static str, words: AnyView, form: Option<AnyView>| {
        view! {
            <div class=class role="status">
                <Icon name=icon/>
                <div class="l-stack l-stack--tight"><p>{words}</p>{form}</div>
            </div>
        }
        .into_any()
    };
    let count = |reason: HoldReason| grouped(state.count(reason));
    let paused = state.paused.clone().map(|since| {
        let held = count(HoldReason::Paused);
        let form = may_edit.then(|| release_form(format!("/webhooks/{id}/resume"), None, "Resume"));
        let words =
            view! { <strong>"Paused"</strong>" since "<Time when=since/>". "{held}" deliveries are held." }.into_any();
        note("c-note c-note--held", "held", words, form)
    });
    let failing = state.failing.clone().map(|Failing { since, probe }| {
        let held = count(HoldReason::Breaker);
        // A paused webhook is not probed.
        let probe = state.paused.is_none().then(|| {
            view! { " "{held}" deliveries are held; the next is tried at "<Time when=probe/>"." }
        });
        let words = view! {
            <strong>"Failing"</strong>" since "<Time when=since/>": ten attempts in a row failed."{probe}
        }
        .into_any();
        note("c-note c-note--danger", "error", words, None)
    });
    let target = (state.count(HoldReason::Target) > 0).then(|| {
        let held = count(HoldReason::Target);
        let form = may_edit.then(|| release_form(format!("/webhooks/{id}/confirm"), Some(revision), "Confirm"));
        let words = view! {
            <strong>"The target has changed. "</strong>{held}" deliveries were meant for the one before. May they go to the new one?"
        }
        .into_any();
        note("c-note c-note--warn", "warn", words, form)
    });
    let releasing = state.releasing_per_second.filter(|_| state.count(HoldReason::Releasing) > 0).map(|rate| {
        let held = count(HoldReason::Releasing);
        let words = view! { {held}" deliveries are released, "{rate}" a second." }.into_any();
        note("c-note", "running", words, None)
    });
    view! { {paused} {failing} {target} {releasing} }.into_any()
}

/// Renders the form that ends a hold. With `revision`, it is refused once the webhook has another one.
fn release_form(action: String, revision: Option<i64>, button: &'static str) -> AnyView {
    let revision = revision.map(|revision| view! { <input type="hidden" name="revision" value=revision/> });
    view! {
        <form class="l-row" method="post" action=action>
            {revision}
            <select class="c-filter c-filter--inline" name="held" aria-label="Which held deliveries go on">
                <option value="all">"Send all of them"</option>
                <option value="newest">"Send the newest of each object"</option>
                <option value="none">"Send none, discard them"</option>
            </select>
            <select class="c-filter c-filter--inline" name="per_second" aria-label="How fast">
                <option value="">"as fast as possible"</option>
                <option value="1">"1 a second"</option>
                <option value="10">"10 a second"</option>
                <option value="100">"100 a second"</option>
            </select>
            <button class="c-button c-button--s c-button--primary" type="submit">{button}</button>
        </form>
    }
    .into_any()
}
