//! The newest deliveries.

use crate::part::data::{Data, Empty};
use crate::part::frame::Head;
use crate::part::icon::Icon;
use crate::server_fn::delivery::list_deliveries;
use crate::view::{DeliveryRow, When};
use leptos::prelude::*;
use model::delivery::Status;

/// The page.
#[component]
pub(crate) fn DeliveryList() -> impl IntoView {
    let deliveries = Resource::new(|| (), |()| list_deliveries());
    view! {
        <div class="l-main__body">
            <Head title="Deliveries"/>
            <section class="c-card c-card--list" aria-label="Deliveries">
                <header class="c-card__head">
                    <h2 class="c-card__title">"Newest deliveries"</h2>
                    <a class="c-button c-button--plain c-button--s" href="/deliveries" rel="external">"Refresh"</a>
                </header>
                <Data resource=deliveries show=|rows| view! { <Rows rows=rows/> }/>
            </section>
        </div>
    }
}

#[component]
fn StatusWord(status: Status) -> impl IntoView {
    let (icon, word) = match status {
        Status::Queued => ("queued", "Queued"),
        Status::Running => ("running", "Running"),
        Status::Sent => ("sent", "Sent"),
        Status::Error => ("error", "Error"),
        Status::Held => ("held", "Held"),
        Status::Discarded => ("discarded", "Discarded"),
    };
    view! { <span class=format!("c-status c-status--{}", status.as_str())><Icon name=icon/>{word}</span> }
}

#[component]
fn Time(when: When) -> impl IntoView {
    view! { <time datetime=when.machine title=when.full>{when.short}</time> }
}

#[component]
fn Rows(rows: Vec<DeliveryRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <Empty
                icon="delivery"
                text="Every message that a task sends appears here, with each attempt and its outcome."
            />
        }
        .into_any();
    }
    let dash = || "–".to_owned();
    let rows = rows.into_iter().map(|row| {
        let result = match (&row.error, row.http_status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => format!("HTTP {status}"),
            (None, None) => dash(),
        };
        let next = match row.next {
            Some(when) => view! { <Time when=when/> }.into_any(),
            None => dash().into_any(),
        };
        view! {
            <tr role="row" id=format!("delivery-{}", row.uuid)>
                <td role="cell"><StatusWord status=row.status/></td>
                <td role="cell" data-end=""><Time when=row.created/></td>
                <td role="cell">
                    <a href=format!("/webhooks/{}", row.webhook_id) title=row.webhook.clone()>{row.webhook.clone()}</a>
                </td>
                <td role="cell" data-minor="" data-gone="" title=row.task.clone()>{row.task.clone()}</td>
                <td role="cell" data-end="">{row.event}</td>
                <td role="cell" title=row.object.clone()>{row.object.clone()}</td>
                <td role="cell" class="u-num" data-end="" data-label="Tries">{row.attempts}</td>
                <td role="cell" data-wide="" title=result.clone()>{result.clone()}</td>
                <td role="cell" class="u-num" data-label="Took">
                    {row.duration_ms.map_or_else(dash, |ms| format!("{ms} ms"))}
                </td>
                <td role="cell" data-end="" data-label="Next">{next}</td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards c-table--quiet" role="table" aria-label="Deliveries, newest first">
            <colgroup>
                <col class="w-status"/>
                <col class="w-time"/>
                <col class="w-13"/>
                <col class="w-11" data-minor=""/>
                <col class="w-8"/>
                <col class="w-10"/>
                <col class="w-short"/>
                <col/>
                <col class="w-time"/>
                <col class="w-time"/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Status"</th>
                    <th role="columnheader" scope="col">"Time"</th>
                    <th role="columnheader" scope="col">"Webhook"</th>
                    <th role="columnheader" scope="col" data-minor="">"Task"</th>
                    <th role="columnheader" scope="col">"Event"</th>
                    <th role="columnheader" scope="col">"Object"</th>
                    <th role="columnheader" scope="col" class="u-num">"Tries"</th>
                    <th role="columnheader" scope="col">"Result"</th>
                    <th role="columnheader" scope="col" class="u-num">"Duration"</th>
                    <th role="columnheader" scope="col">"Next"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
