//! Parts of forms that only show a result: of a test, of the matches of an event, of a preview. The server renders
//! them, so that the browser half contains no code for them.

mod preview;
mod tested;

pub(crate) use preview::previewed;
pub(crate) use tested::tested;

use crate::part::icon::Icon;
use crate::part::status::next_times;
use crate::part::table::{counted, grouped};
use crate::view::event::{EventMatches, MatchedOccurrence};
use crate::view::label::label;
use crate::view::schedule::SchedulePreview;
use leptos::prelude::*;
use model::field_error::{FieldError, FieldErrors};
use model::text::plural;

/// Renders a view as HTML.
fn html(view: impl FnOnce() -> AnyView) -> String {
    // Components need an owner. Nothing here outlives the call.
    Owner::new().with(|| view().to_html())
}

/// Renders the matches of an unsaved event.
pub(crate) fn matches(found: EventMatches) -> String {
    html(move || {
        let objects = found.objects.map(|count| {
            let objects = format!("{} {}", counted(count), plural(count, "object", "objects"));
            view! { "Matches "<strong>{objects}</strong>" now; " }
        });
        let occurrences = plural(found.occurrences.into(), "occurrence", "occurrences");
        let among = match found.among {
            None => " in the last 7 days would have fired this.".to_owned(),
            Some(most) => format!(" among the newest {} of all kinds would have fired this.", grouped(most)),
        };
        let newest = found
            .newest
            .into_iter()
            .map(|MatchedOccurrence { id, received, object }| {
                let label = if object.is_empty() { "Occurrence".to_owned() } else { object };
                view! {
                    <li class="l-row l-row--apart">
                        <a href=format!("/occurrences/{id}")>{label}</a>
                        <time class="u-small u-muted" datetime=received.machine title=received.full>{received.short}</time>
                    </li>
                }
            })
            .collect_view();
        view! {
            <p class="c-card__body">
                {objects}<strong>{grouped(found.occurrences.into())}" "{occurrences}</strong>
                {among}
            </p>
            <ul class="c-lines" role="list">{newest}</ul>
        }
        .into_any()
    })
}

/// Renders an unsaved schedule in words, with its next runs.
pub(crate) fn runs(preview: SchedulePreview) -> String {
    html(move || {
        view! {
            <p class="c-card__body">{preview.summary}</p>
            {next_times(preview.runs)}
            <p class="c-card__foot">"Time zone: "{preview.zone}</p>
        }
        .into_any()
    })
}

/// Renders the reasons for which an unsaved schedule has no runs.
pub(crate) fn no_runs(errors: FieldErrors) -> String {
    html(move || {
        let line = |FieldError { field, message }| {
            // The weekdays have one message, at the first of them.
            let label = if field == "monday" { "Weekdays".to_owned() } else { label(&field) };
            view! { <li><a href=format!("#{field}")>{label}</a>": "{message}</li> }
        };
        let lines = errors.0.into_iter().map(line).collect_view();
        view! {
            <div class="c-card__body">
                <div class="c-note c-note--warn">
                    <Icon name="warn"/>
                    <ul class="l-stack l-stack--tight" role="list">{lines}</ul>
                </div>
            </div>
        }
        .into_any()
    })
}
