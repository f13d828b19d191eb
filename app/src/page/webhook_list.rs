//! All webhooks.

use crate::part::data::{Data, Empty};
use crate::part::frame::Head;
use crate::server_fn::webhook::list_webhooks;
use crate::view::WebhookRow;
use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn WebhookList() -> impl IntoView {
    let webhooks = Resource::new(|| (), |()| list_webhooks());
    view! {
        <div class="l-main__body">
            <Head title="Webhooks"/>
            <section class="c-card c-card--list" aria-label="Webhooks">
                <Data resource=webhooks show=|rows| view! { <Rows rows=rows/> }/>
            </section>
        </div>
    }
}

#[component]
fn Rows(rows: Vec<WebhookRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <Empty
                icon="webhook"
                text="A webhook says where a message goes and how: URL, authorization, headers, timeout and retries."
                new=("/webhooks/new", "New Webhook")
            />
        }
        .into_any();
    }
    let rows = rows.into_iter().map(|row| {
        view! {
            <tr role="row">
                <td role="cell"><a href=format!("/webhooks/{}", row.id) title=row.name.clone()>{row.name.clone()}</a></td>
                <td role="cell" data-end="">{row.method}</td>
                <td role="cell" data-wide="" class="u-mono" title=row.url.clone()>{row.url.clone()}</td>
                <td role="cell" data-label="Authorization">{row.authorization}</td>
                <td role="cell" data-label="Tasks" class="u-num">{row.tasks}</td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards" role="table" aria-label="Webhooks, by name">
            <colgroup>
                <col class="w-30"/>
                <col class="w-10"/>
                <col/>
                <col class="w-15"/>
                <col class="w-10"/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Name"</th>
                    <th role="columnheader" scope="col">"Method"</th>
                    <th role="columnheader" scope="col">"URL"</th>
                    <th role="columnheader" scope="col">"Authorization"</th>
                    <th role="columnheader" scope="col" class="u-num">"Tasks"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
