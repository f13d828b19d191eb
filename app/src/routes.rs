//! The paths of all pages. The paths of posts and server functions are in the server's `http` module.

use crate::page::{
    dashboard, delivery, event, inventory, occurrence, run, schedule, serve, serve_nowhere, setup, sign_in, smtp, task,
    time_zone, trigger, webhook,
};
use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::{SsrMode, path};

/// The console. Each page renders its whole document, with its own title, status and scripts.
#[component]
pub fn App() -> impl IntoView {
    // Only islands are hydrated.
    if let Some(shared) = Owner::current_shared_context() {
        shared.set_is_hydrating(false);
    }
    view! {
        <Router>
            <Routes fallback=serve_nowhere>
                <Route path=path!("/sign-in") view=|| serve(sign_in::page) ssr=SsrMode::Async/>
                <Route path=path!("/setup") view=|| serve(setup::page) ssr=SsrMode::Async/>
                <Route path=path!("/") view=|| serve(dashboard::page) ssr=SsrMode::Async/>
                <Route path=path!("/webhooks") view=|| serve(webhook::list::page) ssr=SsrMode::Async/>
                <Route path=path!("/webhooks/new") view=|| serve(webhook::form::new) ssr=SsrMode::Async/>
                <Route path=path!("/webhooks/:id") view=|| serve(webhook::show::page) ssr=SsrMode::Async/>
                <Route path=path!("/webhooks/:id/edit") view=|| serve(webhook::form::edit) ssr=SsrMode::Async/>
                <Route path=path!("/webhooks/:id/test") view=|| serve(webhook::test::page) ssr=SsrMode::Async/>
                <Route path=path!("/smtp") view=|| serve(smtp::show::page) ssr=SsrMode::Async/>
                <Route path=path!("/smtp/edit") view=|| serve(smtp::form::page) ssr=SsrMode::Async/>
                <Route path=path!("/smtp/test") view=|| serve(smtp::test::page) ssr=SsrMode::Async/>
                <Route path=path!("/tasks") view=|| serve(task::list::page) ssr=SsrMode::Async/>
                <Route path=path!("/tasks/new") view=|| serve(task::form::new) ssr=SsrMode::Async/>
                <Route path=path!("/tasks/:id") view=|| serve(task::show::page) ssr=SsrMode::Async/>
                <Route path=path!("/tasks/:id/edit") view=|| serve(task::form::edit) ssr=SsrMode::Async/>
                <Route path=path!("/events") view=|| serve(event::list::page) ssr=SsrMode::Async/>
                <Route path=path!("/events/new") view=|| serve(event::form::new) ssr=SsrMode::Async/>
                <Route path=path!("/events/:id") view=|| serve(event::form::edit) ssr=SsrMode::Async/>
                <Route path=path!("/schedules") view=|| serve(schedule::list::page) ssr=SsrMode::Async/>
                <Route path=path!("/schedules/new") view=|| serve(schedule::form::new) ssr=SsrMode::Async/>
                <Route path=path!("/schedules/:id") view=|| serve(schedule::show::page) ssr=SsrMode::Async/>
                <Route path=path!("/schedules/:id/edit") view=|| serve(schedule::form::edit) ssr=SsrMode::Async/>
                <Route path=path!("/triggers/new") view=|| serve(trigger::new) ssr=SsrMode::Async/>
                <Route path=path!("/time-zone") view=|| serve(time_zone::page) ssr=SsrMode::Async/>
                <Route path=path!("/deliveries") view=|| serve(delivery::list::page) ssr=SsrMode::Async/>
                <Route path=path!("/deliveries/:id") view=|| serve(delivery::show::page) ssr=SsrMode::Async/>
                <Route path=path!("/occurrences/:id") view=|| serve(occurrence::page) ssr=SsrMode::Async/>
                <Route path=path!("/runs") view=|| serve(run::page) ssr=SsrMode::Async/>
                <Route path=path!("/objects") view=|| serve(inventory::objects::page) ssr=SsrMode::Async/>
                <Route path=path!("/objects/new") view=|| serve(inventory::object::new) ssr=SsrMode::Async/>
                <Route path=path!("/objects/:id") view=|| serve(inventory::object::edit) ssr=SsrMode::Async/>
                <Route path=path!("/tags") view=|| serve(inventory::tags::page) ssr=SsrMode::Async/>
                <Route path=path!("/types") view=|| serve(inventory::types::page) ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}
