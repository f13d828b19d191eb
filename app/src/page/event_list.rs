//! All events.

use crate::page::task_list::Enabled;
use crate::part::data::{Data, Empty};
use crate::part::frame::Head;
use crate::server_fn::event::list_events;
use crate::view::EventRow;
use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn EventList() -> impl IntoView {
    let events = Resource::new(|| (), |()| list_events());
    view! {
        <div class="l-main__body">
            <Head title="Events"/>
            <section class="c-card c-card--list" aria-label="Events">
                <Data resource=events show=|rows| view! { <Rows rows=rows/> }/>
            </section>
        </div>
    }
}

#[component]
fn Rows(rows: Vec<EventRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <Empty
                icon="event"
                text="An event says when to start a task: what happened, and to which object."
                new=("/events/new", "New Event")
            />
        }
        .into_any();
    }
    let rows = rows.into_iter().map(|row| {
        view! {
            <tr role="row">
                <td role="cell"><a href=format!("/events/{}", row.id)>{row.event_label}</a></td>
                <td role="cell" data-end=""><Enabled is_enabled=row.is_enabled/></td>
                <td role="cell">{row.type_label}</td>
                <td role="cell" title=row.scope.clone() data-end="">{row.scope.clone()}</td>
                <td role="cell" data-wide="" data-label="Starts">
                    <a href=format!("/tasks/{}", row.task_id) title=row.task_name.clone()>{row.task_name.clone()}</a>
                </td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards" role="table" aria-label="Events, by type">
            <colgroup>
                <col class="w-20"/>
                <col class="w-15"/>
                <col class="w-20"/>
                <col/>
                <col class="w-25"/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Event"</th>
                    <th role="columnheader" scope="col">"State"</th>
                    <th role="columnheader" scope="col">"Type"</th>
                    <th role="columnheader" scope="col">"Object"</th>
                    <th role="columnheader" scope="col">"Task"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
