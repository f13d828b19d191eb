//! The page of the time zone in which schedules run and the console shows times.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::typed_field::suggested;
use crate::view::schedule::ZoneForm;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let loaded = asked.backend.schedules.zone_form().await?;
    Ok(Page::new("Time Zone", content(&asked, loaded)))
}

fn content(asked: &Asked, loaded: ZoneForm) -> AnyView {
    let ZoneForm { zone, now, zones, revision } = loaded;
    let facts = view! {
        <dl class="c-facts">
            <div><dt>"Time zone"</dt><dd>{zone.clone()}</dd></div>
            <div><dt>"Time now"</dt><dd><time datetime=now.machine>{now.full}</time></dd></div>
        </dl>
        <p class="u-small u-muted">
            "Schedules run by the clock of this zone, and the console shows times in it. After a change, a schedule at 07:00 runs at 07:00 of the new zone."
        </p>
    };
    if !asked.may(Permission::Administer) {
        return card(
            view! { {facts} <p class="u-small u-muted">"An administrator can change it."</p> }.into_any(),
            None,
        );
    }
    let hint = "Region and city, such as Europe/Berlin; or UTC.";
    let field = suggested(asked, "time_zone", "Time Zone", &zone, hint, zones);
    let foot = view! {
        <div class="c-card__foot c-card__foot--end">
            <button class="c-button c-button--primary" type="submit">"Submit"</button>
        </div>
    };
    view! {
        <form method="post" action="/time-zone" class="l-form" novalidate>
            // This is always the newest revision: a refusal shows the zone that another person has chosen, and the next
            // submit replaces it.
            <input type="hidden" name="revision" value=revision/>
            {card(view! { {facts} {field} }.into_any(), Some(foot.into_any()))}
        </form>
    }
    .into_any()
}

fn card(body: AnyView, foot: Option<AnyView>) -> AnyView {
    view! {
        <section class="c-card l-narrow" aria-labelledby="zone">
            <header class="c-card__head"><h2 class="c-card__title" id="zone">"Clock of All Nodes"</h2></header>
            <div class="c-card__body l-stack l-stack--fields">{body}</div>
            {foot}
        </section>
    }
    .into_any()
}
