//! All tasks.

use crate::part::data::{Data, Empty};
use crate::part::frame::Head;
use crate::server_fn::task::list_tasks;
use crate::view::TaskRow;
use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn TaskList() -> impl IntoView {
    let tasks = Resource::new(|| (), |()| list_tasks());
    view! {
        <div class="l-main__body">
            <Head title="Tasks"/>
            <section class="c-card c-card--list" aria-label="Tasks">
                <Data resource=tasks show=|rows| view! { <Rows rows=rows/> }/>
            </section>
        </div>
    }
}

/// "Enabled" or "Disabled", with its sign.
#[component]
pub(crate) fn Enabled(is_enabled: bool) -> impl IntoView {
    let (class, icon, word) =
        if is_enabled { ("c-status c-status--ok", "sent", "Enabled") } else { ("c-status", "discarded", "Disabled") };
    view! { <span class=class><crate::part::icon::Icon name=icon/>{word}</span> }
}

#[component]
fn Rows(rows: Vec<TaskRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <Empty
                icon="task"
                text="A task says what to do: which message to send through which webhook."
                new=("/tasks/new", "New Task")
            />
        }
        .into_any();
    }
    let rows = rows.into_iter().map(|row| {
        view! {
            <tr role="row">
                <td role="cell"><a href=format!("/tasks/{}", row.id) title=row.name.clone()>{row.name.clone()}</a></td>
                <td role="cell" data-end=""><Enabled is_enabled=row.is_enabled/></td>
                <td role="cell" data-wide="" title=row.description.clone()>{row.description.clone()}</td>
                <td role="cell" data-label="Webhook">
                    <a href=format!("/webhooks/{}", row.webhook_id) title=row.webhook_name.clone()>
                        {row.webhook_name.clone()}
                    </a>
                </td>
                <td role="cell" data-label="Events" class="u-num">{row.events}</td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards" role="table" aria-label="Tasks, by name">
            <colgroup>
                <col class="w-25"/>
                <col class="w-15"/>
                <col/>
                <col class="w-25"/>
                <col class="w-10"/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Name"</th>
                    <th role="columnheader" scope="col">"State"</th>
                    <th role="columnheader" scope="col">"Description"</th>
                    <th role="columnheader" scope="col">"Webhook"</th>
                    <th role="columnheader" scope="col" class="u-num">"Events"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
