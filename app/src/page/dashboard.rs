//! The Tasks Dashboard: the current flow, the failures with their reasons, and links to the setup.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::delivery::list::short_table;
use crate::part::icon::Icon;
use crate::part::menu::{menu, post};
use crate::part::status::Time;
use crate::part::table::grouped;
use crate::view::dashboard::{Counts, Dashboard, Hour};
use crate::view::delivery::DeliveryLine;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let board = asked.backend.deliveries.dashboard().await?;
    let demo = board.is_demo && asked.may(Permission::Edit);
    let commands = demo.then(|| menu(vec![post("occurrence", "Make something happen", "/demo".to_owned(), false)]));
    Ok(Page::new("Tasks Dashboard", content(&board, asked.may(Permission::Edit))).with_commands(commands).live_if(true))
}

fn content(board: &Dashboard, may_edit: bool) -> AnyView {
    let (tasks, events, schedules) = (board.tasks, board.events, board.schedules);
    let on_off =
        |Counts { all, enabled }: Counts| vec![format!("{enabled} enabled"), format!("{} disabled", all - enabled)];
    let failing = |count: usize, href: &'static str| {
        (count > 0).then(|| view! { <li><a class="u-danger u-strong" href=href>{format!("{count} failing")}</a></li> })
    };
    let counts = view! {
        <section class="l-counts" aria-label="Counts">
            {count("Tasks", "/tasks", "task", tasks.all, on_off(tasks), failing(board.failed_tasks, "/runs?status=failed").into_any())}
            {count("Events", "/events", "event", events.all, on_off(events), ().into_any())}
            {count("Schedules", "/schedules", "schedule", schedules.all, on_off(schedules), ().into_any())}
            {count(
                "Webhooks",
                "/webhooks",
                "webhook",
                board.webhooks,
                vec![format!("{} paused", board.paused)],
                failing(board.failing, "/webhooks?state=Failing").into_any(),
            )}
        </section>
    };
    let failures = failures(board.failures.clone());
    let recent = if board.recent.is_empty() {
        let first = may_edit.then(|| {
            view! {
                " Create a "<a href="/webhooks/new">"webhook"</a>", a "<a href="/tasks/new">"task"</a>" and an "
                <a href="/events/new">"event"</a>"; then post occurrences to "<code>"/api/v1/events"</code>"."
            }
        });
        view! { <p class="c-card__body u-muted">"Nothing has been sent yet."{first}</p> }.into_any()
    } else {
        short_table("Recent deliveries", board.recent.clone())
    };
    view! {
        <div class="l-stack">
            {counts}
            <div class="l-split l-split--wide">{chart(&board.hours)} {flow(board)}</div>
            {failures}
            <section class="c-card c-card--list" aria-labelledby="recent">
                <header class="c-card__head">
                    <h2 class="c-card__title" id="recent">"Recent deliveries"</h2>
                    <a class="u-small" href="/deliveries">"All deliveries"</a>
                </header>
                {recent}
            </section>
        </div>
    }
    .into_any()
}

fn count(
    name: &'static str,
    href: &'static str,
    icon: &'static str,
    number: usize,
    lines: Vec<String>,
    more: AnyView,
) -> AnyView {
    let lines = lines.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
    view! {
        <article class="c-card c-count">
            <h2 class="l-row l-row--apart"><a href=href>{name}</a><Icon name=icon/></h2>
            <p class="c-count__number">{number}</p>
            <ul class="c-inline" role="list">{lines} {more}</ul>
        </article>
    }
    .into_any()
}

/// Rounds the top of an axis up to 2, 4 or 10 times a power of ten: its half is a whole number, too.
fn axis(most: u64) -> u64 {
    let mut step = 1;
    loop {
        if let Some(top) = [2, 4, 10].map(|factor| factor * step).into_iter().find(|&top| top >= most) {
            return top;
        }
        step *= 10;
    }
}

#[expect(clippy::cast_precision_loss, reason = "per cent of a chart's height")]
fn chart(hours: &[Hour]) -> AnyView {
    let total = |pick: fn(&Hour) -> u64| hours.iter().map(pick).sum::<u64>();
    let (sent, failed, waiting) = (total(|hour| hour.sent), total(|hour| hour.failed), total(|hour| hour.waiting));
    let top = axis(hours.iter().map(|hour| hour.sent + hour.failed + hour.waiting).max().unwrap_or_default());
    let slot = 100.0 / hours.len().max(1) as f64;
    let height = |count: u64| count as f64 * 100.0 / top as f64;
    let bars = hours.iter().enumerate().map(|(index, Hour { label, sent, failed, waiting })| {
        let x = index as f64 * slot;
        let mut ground = 100.0;
        let mut part = |count: u64, class: &'static str, fill: Option<&'static str>| {
            let tall = height(count);
            ground -= tall;
            (count > 0).then(|| {
                view! {
                    <rect
                        class=class
                        fill=fill
                        x=format!("{:.2}%", x + slot * 0.14)
                        width=format!("{:.2}%", slot * 0.72)
                        y=format!("{ground:.2}%")
                        height=format!("{tall:.2}%")
                    />
                }
            })
        };
        let parts = [
            part(*sent, "c-chart__sent", None),
            part(*failed, "", Some("url(#fill-error)")),
            part(*waiting, "", Some("url(#fill-held)")),
        ];
        let title = format!("{label}: {sent} sent, {failed} failed, {waiting} waiting");
        view! {
            <g class="c-chart__bar">
                <title>{title}</title>
                <rect class="c-chart__hit" x=format!("{x:.2}%") width=format!("{slot:.2}%") height="100%"/>
                {parts.into_iter().collect_view()}
            </g>
        }
    });
    let at = |index: usize| hours.get(index).map(|hour| hour.label.clone()).unwrap_or_default();
    let label = format!(
        "Deliveries per hour by outcome: {} sent, {} failed, {} waiting. The table below has every hour.",
        grouped(sent),
        grouped(failed),
        grouped(waiting)
    );
    let key = |class: &'static str, fill: Option<&'static str>, word: &'static str, count: u64| {
        view! {
            <li>
                <svg class="c-legend__key" aria-hidden="true"><rect class=class fill=fill width="100%" height="100%"/></svg>
                {word}" "<b>{grouped(count)}</b>
            </li>
        }
    };
    let grid = ["0%", "50%", "100%"].map(|y| view! { <line class="c-chart__grid" x2="100%" y1=y y2=y/> });
    view! {
        <section class="c-card" aria-labelledby="chart">
            <header class="c-card__head">
                <h2 class="c-card__title" id="chart">"Deliveries, last 24 hours"</h2>
                <ul class="c-inline" role="list">
                    {key("c-chart__sent", None, "Sent", sent)} {key("", Some("url(#fill-error)"), "Error", failed)}
                    {key("", Some("url(#fill-held)"), "Waiting", waiting)}
                </ul>
            </header>
            <div class="c-card__body">
                <div class="c-chart">
                    <div class="c-chart__y" aria-hidden="true"><span>{grouped(top)}</span><span>{grouped(top / 2)}</span><span>"0"</span></div>
                    <svg class="c-chart__plot" role="img" aria-label=label>
                        <defs>
                            <pattern id="fill-error" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                                <rect class="c-chart__error" width="5" height="5"/>
                                <rect class="c-chart__cut" width="1.5" height="5"/>
                            </pattern>
                            <pattern id="fill-held" width="4" height="4" patternUnits="userSpaceOnUse">
                                <rect class="c-chart__held" width="4" height="4"/>
                                <circle class="c-chart__cut" cx="2" cy="2" r="0.9"/>
                            </pattern>
                        </defs>
                        {grid.into_iter().collect_view()}
                        {bars.collect_view()}
                    </svg>
                    <div class="c-chart__x" aria-hidden="true">
                        <span>{at(0)}</span><span>{at(6)}</span><span>{at(12)}</span><span>{at(18)}</span><span>"now"</span>
                    </div>
                </div>
                {table(hours)}
            </div>
        </section>
    }
    .into_any()
}

/// Renders the chart's numbers for people who cannot see it.
fn table(hours: &[Hour]) -> AnyView {
    let rows = hours.iter().map(|Hour { label, sent, failed, waiting }| {
        view! {
            <tr>
                <th scope="row">{label.clone()}</th>
                <td class="u-num">{grouped(*sent)}</td>
                <td class="u-num">{grouped(*failed)}</td>
                <td class="u-num">{grouped(*waiting)}</td>
            </tr>
        }
    });
    view! {
        <details class="c-details">
                    <summary><Icon name="chevron"/>"Show as table"</summary>
                    <div class="c-scroll" role="region" aria-label="Deliveries per hour" tabindex="0">
                        <table class="c-table">
                            <thead>
                                <tr>
                                    <th scope="col">"Hour"</th>
                                    <th scope="col" class="u-num">"Sent"</th>
                                    <th scope="col" class="u-num">"Failed"</th>
                                    <th scope="col" class="u-num">"Waiting"</th>
                                </tr>
                            </thead>
                            <tbody>{rows.collect_view()}</tbody>
                        </table>
                    </div>
                </details>
    }
    .into_any()
}

fn flow(board: &Dashboard) -> AnyView {
    let number = |count: i64| grouped(count.unsigned_abs());
    let ms = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), |ms| format!("{} ms", number(ms)));
    let oldest = board.oldest.clone().unwrap_or_else(|| "none".to_owned());
    view! {
        <section class="c-card" aria-labelledby="flow">
            <header class="c-card__head"><h2 class="c-card__title" id="flow">"Flow"</h2><span class="u-xs u-muted">"last hour"</span></header>
            <div class="c-card__body">
                <dl class="c-facts c-facts--figures">
                    <div><dt>"Event to receipt, p50"</dt><dd>{ms(board.p50_ms)}</dd></div>
                    <div><dt>"Event to receipt, p95"</dt><dd>{ms(board.p95_ms)}</dd></div>
                    <div><dt>"Queue"</dt><dd>{format!("{} waiting, {} in flight", number(board.queued), number(board.running))}</dd></div>
                    <div><dt>"Held"</dt><dd><a href="/deliveries?status=held">{number(board.held)}</a></dd></div>
                    <div><dt>"Oldest undelivered"</dt><dd>{oldest}</dd></div>
                </dl>
            </div>
        </section>
    }
    .into_any()
}

fn failures(lines: Vec<DeliveryLine>) -> Option<AnyView> {
    if lines.is_empty() {
        return None;
    }
    let lines = lines.into_iter().map(|line| {
        view! {
            <li>
                <span class="c-sign c-sign--danger"><Icon name="error"/></span>
                <div class="l-row l-row--apart">
                    <a class="u-strong" href=format!("/deliveries/{}", line.uuid)>{line.destination.name}", "{line.task}</a>
                    <span class="u-xs u-muted"><Time when=line.created/></span>
                </div>
                <p class="u-small u-muted">{line.error.unwrap_or_default()}</p>
            </li>
        }
    });
    Some(
        view! {
            <section class="c-card" aria-labelledby="failures">
                <header class="c-card__head">
                    <h2 class="c-card__title" id="failures">"Recent failures"</h2>
                    <a class="u-small" href="/deliveries?status=error">"All failures"</a>
                </header>
                <ul class="c-lines" role="list">{lines.collect_view()}</ul>
            </section>
        }
        .into_any(),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn axis_has_round_numbers_at_its_top_and_middle() {
        assert_eq!([0, 1, 3, 5, 19, 51, 1001].map(super::axis), [2, 2, 4, 10, 20, 100, 2000]);
    }
}
