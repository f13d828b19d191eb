//! The schedule form: new, and edit. Beside it stand the rule in words and the next runs.
//!
//! CSS alone shows the fields of the chosen unit, with and without WASM (`schedule-form.css`). A hidden field keeps its
//! value, and is not checked.

use crate::error::Refused;
use crate::island::form::{Actions, FormState};
use crate::island::hydrated::when_rested;
use crate::part::field::{AreaField, SelectField, SwitchField, TextField, area_html};
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

fn options(all: &[(&str, &str)]) -> Vec<(String, Vec<(String, String)>)> {
    let option = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
    vec![(String::new(), all.iter().map(option).collect())]
}

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
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        form.submit(move |draft| save_schedule(id, draft), |id: ScheduleId| format!("/schedules/{id}"));
    };
    let revision = form.text_now("revision");
    let weekdays = WEEKDAYS
        .into_iter()
        .map(|(name, label)| view! { <SwitchField field=form.field(name, label, false)/> })
        .collect_view();
    view! {
        <form method="post" class="l-form" novalidate data-unsaved=move || form.unsaved() on:submit=submit aria-labelledby="schedule-title">
            <div class="l-main__body">
                <fieldset class="c-locked" disabled=!may_save>
<div class="l-split l-split--form">
                    <section class="c-card">
                        <header class="c-card__head">
                            <h2 class="c-card__title" id="schedule-title">"Schedule"</h2>
                            <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                        </header>
                        <div class="c-card__body l-stack l-stack--fields c-rule">
                            <input type="hidden" name="revision" value=revision/>
                            <TextField field=form.field("name", "Name", true)/>
                            <AreaField field=form.field("description", "Description", false)/>
                            <SwitchField field=form.field("enabled", "Enabled", false)/>
                            <div class="l-fields">
                                <div class="c-rule__every">
                                    <TextField
                                        field=form.field("every", "Repeat Every", true)
                                        keys="numeric"
                                    />
                                </div>
                                <SelectField
                                    field=form.field("unit", "Unit", true)
                                    options=options(&UNITS)
                                />
                            </div>
                            <fieldset class="c-pills c-rule__days">
                                <legend class="u-hidden">"Weekdays"</legend>
                                {weekdays}
                            </fieldset>
                            <div class="c-rule__months">
                                <SelectField
                                    field=form.field("month_day", "Day of the Month", true)
                                    options=options(&MONTH_DAYS)
                                    hint="A month that lacks this day uses its last day."
                                />
                            </div>
                            <div class="l-fields">
                                <TextField
                                    field=form.field("start_date", "Start Date", true)
                                    kind="date"
                                />
                                <TextField
                                    field=form.field("start_time", "At", true)
                                    kind="time"
                                    hint=loaded.zone
                                />
                            </div>
                            <div class="l-stack l-stack--fields c-rule__window">
                                <SwitchField field=form.field("all_day", "All Day", false)/>
                                <div class="l-fields c-rule__part">
                                    <TextField
                                        field=form.field("window_from", "From", true)
                                        kind="time"
                                    />
                                    <TextField
                                        field=form.field("window_to", "To", true)
                                        kind="time"
                                        hint="A time before From is one of the next day."
                                    />
                                </div>
                            </div>
                            <div class="l-stack l-stack--fields c-rule__end">
                                <SwitchField field=form.field("never_ends", "Never Ends", false)/>
                                <div class="c-rule__date">
                                    <TextField
                                        field=form.field("end_date", "End Date", true)
                                        kind="date"
                                        hint="The last date on which it runs."
                                    />
                                </div>
                            </div>
                        </div>
                    </section>
                    <div class="u-live"><Runs form=form/></div>
                </div>
                </fieldset>
            </div>
            <Actions form=form cancel="/schedules"/>
        </form>
    }
    .into_any()
}

/// The rule in words and the next runs of the unsaved schedule, or the reason why there are none.
#[component]
fn Runs(form: FormState) -> impl IntoView {
    let shown = RwSignal::new(String::new());
    // The name does not matter, and may be missing yet.
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
