//! The schedule form: new, and edit. Beside the form are the rule in words and the next runs.
//!
//! CSS alone shows the fields of the chosen unit, with and without WASM (`schedule-form.css`). A hidden field keeps its
//! value, and is not checked.

use crate::error::Refused;
use crate::island::form::FormState;
use crate::island::form::fields::{area, input, line, number, select, switch};
use crate::island::form::frame::{Frame, frame};
use crate::island::hydrated::when_rested;
use crate::part::field::{area_html, ungrouped};
use crate::server_fn::schedule::{preview_schedule, save_schedule};
use crate::view::schedule::ScheduleForm as Loaded;
use leptos::prelude::*;
use model::id::ScheduleId;
use model::schedule::{MONTH_DAYS, ScheduleDraft, UNITS};
use std::time::Duration;

/// The weekdays: the name of the field, and its label.
const WEEKDAYS: [(&str, &str); 7] = [
    ("monday", "Mon"),
    ("tuesday", "Tue"),
    ("wednesday", "Wed"),
    ("thursday", "Thu"),
    ("friday", "Fri"),
    ("saturday", "Sat"),
    ("sunday", "Sun"),
];

/// The form of a stored schedule, or of a new one.
#[island]
pub(crate) fn ScheduleForm(
    id: Option<ScheduleId>,
    loaded: Loaded,
    refused: Option<Refused<ScheduleDraft>>,
    may_save: bool,
) -> impl IntoView {
    let check = |draft: &ScheduleDraft| draft.parse().err().unwrap_or_default();
    let form = FormState::new(loaded.draft, refused, check, may_save);
    let submit = move || {
        form.submit(move |draft| save_schedule(id, draft), |id: ScheduleId| format!("/schedules/{id}"));
    };
    let weekdays = WEEKDAYS.into_iter().map(|(name, label)| switch(form.field(name, label, false), "")).collect_view();
    let fields = view! {
        <div class="l-stack l-stack--fields c-rule">
            {line(form.field("name", "Name", true), "")}
            {area(form.field("description", "Description", false), 3, false, "")}
            {switch(form.field("enabled", "Enabled", false), "")}
            <div class="l-fields">
                <div class="c-rule__every">
                    {number(form.field("every", "Repeat Every", true))}
                </div>
                {select(form.field("unit", "Unit", true), ungrouped(&UNITS), "")}
            </div>
            <fieldset class="c-pills c-rule__days">
                <legend class="u-hidden">"Weekdays"</legend>
                {weekdays}
            </fieldset>
            <div class="c-rule__months">
                {select(form.field("month_day", "Day of the Month", true), ungrouped(&MONTH_DAYS), "A month that lacks this day uses its last day.")}
            </div>
            <div class="l-fields">
                {input(form.field("start_date", "Start Date", true), "date", String::new())}
                {input(form.field("start_time", "At", true), "time", loaded.zone)}
            </div>
            <div class="l-stack l-stack--fields c-rule__window">
                {switch(form.field("all_day", "All Day", false), "")}
                <div class="l-fields c-rule__part">
                    {input(form.field("window_from", "From", true), "time", String::new())}
                    {input(form.field("window_to", "To", true), "time", "A time before From is one of the next day.".to_owned())}
                </div>
            </div>
            <div class="l-stack l-stack--fields c-rule__end">
                {switch(form.field("never_ends", "Never Ends", false), "")}
                <div class="c-rule__date">
                    {input(form.field("end_date", "End Date", true), "date", "The last date on which it runs.".to_owned())}
                </div>
            </div>
        </div>
    }
    .into_any();
    let beside = view! {
        <div class="u-live"><Runs form=form/></div>
    }
    .into_any();
    frame(
        form,
        Frame { name: "schedule", title: "Schedule", split: "l-split l-split--form" },
        Box::new(submit),
        fields,
        beside,
    )
}

/// The rule in words and the next runs of the unsaved schedule, or the reason why there are none.
#[component]
fn Runs(form: FormState) -> impl IntoView {
    let shown = RwSignal::new(String::new());
    // The name does not matter for the runs, and may still be missing.
    let source = Memo::new(move |_| {
        let (name, description) = ("-".to_owned(), String::new());
        ScheduleDraft { name, description, ..form.draft() }
    });
    when_rested(source, Duration::from_millis(250), move |draft| {
        leptos::task::spawn_local(async move {
            let result = preview_schedule(draft.clone()).await;
            // Something newer may have been typed meanwhile.
            if source.try_get_untracked().is_some_and(|newest| newest == draft) {
                shown.set(result.unwrap_or_else(|error| area_html(&error.message)));
            }
        });
    });
    view! {
        <section class="c-card c-runs" aria-labelledby="runs">
            <header class="c-card__head"><h2 class="c-card__title" id="runs">"When it runs"</h2></header>
            <div role="status" inner_html=move || shown.get()></div>
        </section>
    }
    .into_any()
}
