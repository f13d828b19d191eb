//! The page of an occurrence: its effects, and the reasons of the events that did not fire.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::icon::Icon;
use crate::part::status::{StatusWord, Time};
use crate::view::occurrence::{Considered, Why};
use leptos::prelude::*;
use model::text::plural;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let why = asked.backend.occurrences.why(asked.id("occurrence")?).await?;
    let title = match &why.object {
        Some(object) => format!("{}: {object}", why.event_label),
        None => why.event_label.clone(),
    };
    Ok(Page::new(title, content(why)).below("/deliveries", "Deliveries").live_if(true))
}

fn content(why: Why) -> AnyView {
    let fired = why.considered.iter().filter(|one| one.reason.is_none()).count();
    let all = why.considered.len();
    let heading = match all {
        0 => "No event is about this".to_owned(),
        _ => format!("{fired} of {all} {} fired", plural(all as u64, "event", "events")),
    };
    let nothing = (all == 0).then(|| {
        let text = if why.is_known {
            "No event with this object type and event type existed when it happened."
        } else {
            "Its object type and event type are not in the catalogue. Add them under Event Types, then create an event."
        };
        view! { <p class="u-small u-muted">{text}</p> }
    });
    let deliveries: Vec<_> = why.considered.iter().flat_map(|one| one.deliveries.clone()).collect();
    let sent = deliveries.iter().filter(|one| one.status == Some(model::delivery::Status::Sent)).count();
    let mut seen = std::collections::BTreeSet::new();
    let last = (!deliveries.is_empty()).then(|| {
        let lines = deliveries.into_iter().filter(|one| seen.insert(one.id.clone())).map(|one| {
            view! { <li class="l-row"><a href=format!("/deliveries/{}", one.id)><StatusWord status=one.status/></a>"through "{one.destination}</li> }
        });
        let lines = lines.collect_view();
        view! {
            <li>
                <span class="c-sign">"3"</span>
                <h3>{format!("{sent} sent")}</h3>
                <ul class="l-stack l-stack--tight" role="list">{lines}</ul>
            </li>
        }
    });
    let rules = why.considered.into_iter().map(rule).collect_view();
    let rules = (all > 0).then(|| view! { <ul class="c-lines c-lines--box" role="list">{rules}</ul> });
    let sign = if fired > 0 { "c-sign c-sign--ok" } else { "c-sign" };
    let repeats = (why.repeats > 0).then(|| {
        let times = match why.repeats {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        view! { <p class="u-small u-muted">{format!("Repeated {times} since; repeats get the first response and start nothing.")}</p> }
    });
    let fact = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
    };
    let tags = (!why.tags.is_empty()).then(|| why.tags.join(", "));
    let data = why.data.map(|data| {
        view! { <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Data">{data}</pre> }
    });
    let occurred = why.occurred.map(|when| view! { <div><dt>"Happened"</dt><dd><Time when=when/></dd></div> });
    view! {
        <div class="l-split l-split--form">
            <section class="c-card" aria-labelledby="trace">
                <header class="c-card__head"><h2 class="c-card__title" id="trace">"What happened"</h2></header>
                <div class="c-card__body">
                    <ol class="c-lines c-trace" role="list">
                        <li>
                            <span class="c-sign c-sign--ok">"1"</span>
                            <div class="l-row l-row--apart">
                                <h3>"Received and stored"</h3>
                                <span class="u-xs u-muted u-num"><Time when=why.received.clone()/></span>
                            </div>
                            <p class="u-small u-muted">"From "<code>{why.source.clone()}</code>"."</p>
                            {repeats}
                        </li>
                        <li>
                            <span class=sign>"2"</span>
                            <h3>{heading}</h3>
                            <div class="l-stack l-stack--tight">{nothing} {rules}</div>
                        </li>
                        {last}
                    </ol>
                </div>
            </section>
            <section class="c-card" aria-labelledby="facts">
                <header class="c-card__head"><h2 class="c-card__title" id="facts">"Occurrence"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    <dl class="c-facts">
                        {fact("Type", Some(why.type_label))} {fact("Event", Some(format!("{} ({}.{})", why.event_label, why.type_id, why.event_id)))}
                        {fact("Object", why.object)} {fact("Its id", why.object_id)} {fact("Its tags", tags)}
                        {fact("Source", Some(why.source))} {occurred}
                        <div><dt>"Received"</dt><dd><Time when=why.received/></dd></div>
                        {fact("Id", Some(why.id))}
                    </dl>
                    {data}
                </div>
            </section>
        </div>
    }
    .into_any()
}

fn rule(one: Considered) -> AnyView {
    let (class, word) = match one.reason {
        None => ("c-status c-status--ok", "Fired"),
        Some(_) => ("c-status c-status--no", "Did not fire"),
    };
    let reason = one.reason.map(|_| {
        view! { <ul class="c-inline" role="list"><li class="no"><Icon name="cross"/>{one.words}</li></ul> }
    });
    view! {
        <li>
            <div class="l-row l-row--apart">
                <span>
                    <a class="u-strong" href=format!("/events/{}", one.event_id)>{one.scope}</a>
                    " starts "
                    <a href=format!("/tasks/{}", one.task_id)>{one.task}</a>
                </span>
                <span class=class>{word}</span>
            </div>
            {reason}
        </li>
    }
    .into_any()
}
