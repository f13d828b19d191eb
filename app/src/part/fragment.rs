//! Parts of forms that only show a result: of a test, of the matches of an event, of a preview. The server renders
//! them, so that the browser half contains no code for them.

use crate::part::icon::Icon;
use crate::part::status::next_times;
use crate::view::Choice;
use crate::view::event::{EventMatches, MatchedOccurrence};
use crate::view::schedule::SchedulePreview;
use crate::view::webhook::TestResult;
use leptos::prelude::*;
use model::field_error::{FieldError, FieldErrors};
use model::preview::Preview;
use model::text::visible;

/// Renders a view as HTML.
fn html(view: impl FnOnce() -> AnyView) -> String {
    // Components need an owner. Nothing here outlives the call.
    Owner::new().with(|| view().to_html())
}

/// Renders the exact request of a test, and the whole response.
pub(crate) fn tested(result: TestResult) -> String {
    html(move || {
        let is_good = result.error.is_none();
        let class = if is_good { "c-note c-note--ok" } else { "c-note c-note--danger" };
        let message = match (&result.error, result.status_code) {
            (Some(error), _) => error.clone(),
            (None, status) => format!("Received: HTTP {}.", status.unwrap_or_default()),
        };
        let took = match result.connect_ms {
            Some(connect) => format!("{} ms, of which {connect} ms to connect", result.duration_ms),
            None => format!("{} ms", result.duration_ms),
        };
        let headers = result
            .headers
            .into_iter()
            .map(|header| {
                let class = if header.is_masked { "m" } else { "" };
                view! { <span class="k">{header.name}</span>": "<span class=class>{header.value}</span>"\n" }
            })
            .collect_view();
        let status = result.status_code.map_or_else(|| "No response".to_owned(), |status| status.to_string());
        view! {
            <div class=class>
                <Icon name=if is_good { "sent" } else { "error" }/>
                <p>{message}" "<span class="u-muted">{took}</span></p>
            </div>
            <h3 class="c-card__subtitle">"Request"</h3>
            <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Test request"><b>{result.target}</b>"\n\n"{headers}"\n"{result.body}</pre>
            <h3 class="c-card__subtitle">"Response"</h3>
            <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Test response"><b>{status}</b>"\n"{result.response_headers}"\n\n"{result.response_body}</pre>
        }
        .into_any()
    })
}

/// Renders the matches of an unsaved event.
pub(crate) fn matches(found: EventMatches) -> String {
    html(move || {
        let plural = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        let objects = found.objects.map(|count| view! { "Matches "<strong>{plural(count, "object")}</strong>" now; " });
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
                {objects}<strong>{plural(found.occurrences.into(), "occurrence")}</strong>
                " in the last 7 days would have fired this."
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
            let label = schedule_label(&field);
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

/// Returns the label of a field of the schedule form.
fn schedule_label(field: &str) -> &'static str {
    match field {
        "every" => "Repeat Every",
        "unit" => "Unit",
        "month_day" => "Day of the Month",
        "start_date" => "Start Date",
        "start_time" => "At",
        "window_from" => "From",
        "window_to" => "To",
        "end_date" => "End Date",
        "monday" => "Weekdays",
        _ => "Schedule",
    }
}

/// Renders the preview of a message, with its warnings. The position of each warning is a button with `data-line` and
/// `data-column`. The variables that the occurrence's data offers are buttons with `data-insert`.
pub(crate) fn previewed(preview: Preview, has_webhook: bool, variables: Vec<Choice>) -> String {
    html(move || {
        let offered = (!variables.is_empty()).then(|| {
            let chip = |Choice { value, label }: Choice| {
                let name = value.clone();
                view! { <button class="c-chip" type="button" title=label data-insert=value>{name}</button> }
            };
            let chips = variables.into_iter().map(chip).collect_view();
            view! { <div class="l-row" role="group" aria-label="Insert from its data">{chips}</div> }
        });
        let bytes = preview.body.len();
        let count = preview.filled.len();
        let mut parts = Vec::new();
        let mut end = 0;
        for range in &preview.filled {
            parts.push(visible(preview.body.get(end..range.start).unwrap_or_default()).into_any());
            let value = visible(preview.body.get(range.clone()).unwrap_or_default());
            parts.push(view! { <mark>{value}</mark> }.into_any());
            end = range.end;
        }
        parts.push(visible(preview.body.get(end..).unwrap_or_default()).into_any());
        let problems = preview
            .problems
            .into_iter()
            .map(|problem| {
                let position = format!("line {}, column {}", problem.line, problem.column);
                view! {
                    <li>
                        <Icon name="warn"/>
                        <button type="button" data-line=problem.line data-column=problem.column>{position}</button>
                        <span>{problem.message}</span>
                    </li>
                }
            })
            .collect_view();
        let reason = if has_webhook { "because the webhook sends JSON" } else { "which most webhooks send" };
        let checked = preview.is_json.then(|| format!(" Checked as JSON, {reason}. Warnings do not stop Submit."));
        view! {
            <pre class="c-code" tabindex="0" role="region" aria-labelledby="preview">{parts.into_iter().collect_view()}</pre>
            <p class="u-xs u-muted u-num">{format!("{bytes} bytes, {count} values filled in.")}{checked}</p>
            <ul class="c-problems" role="list">{problems}</ul>
            {offered}
        }
        .into_any()
    })
}
