//! The reasons that hold a destination's deliveries, as notes with the forms that end them.

use crate::part::icon::Icon;
use crate::part::status::Time;
use crate::part::table::grouped;
use crate::view::destination::{DestinationState, Failing};
use leptos::prelude::*;
use model::hold::HoldReason;
use model::text::plural;

/// Returns the state of a destination as a word, and the class of the word.
pub(crate) fn state_word(is_paused: bool, is_failing: bool) -> (&'static str, &'static str) {
    if is_paused {
        ("Paused", "c-status c-status--held")
    } else if is_failing {
        ("Failing", "c-status c-status--error")
    } else {
        ("Active", "c-status c-status--ok")
    }
}

/// Renders the reasons that hold a destination, each with the form that ends it. `path` is that of the destination's page;
/// the commands are below it.
pub(crate) fn holds(path: &str, revision: i64, state: &DestinationState, may_edit: bool) -> AnyView {
    let note = |class: &'static str, icon: &'static str, words: AnyView, form: Option<AnyView>| {
        view! {
            <div class=class role="status">
                <Icon name=icon/>
                <div class="l-stack l-stack--tight"><p>{words}</p>{form}</div>
            </div>
        }
        .into_any()
    };
    let held = |reason: HoldReason, one: &'static str, many: &'static str| {
        let count = state.count(reason);
        format!("{} {}", grouped(count), plural(count, one, many))
    };
    let paused = state.paused.clone().map(|since| {
        let held = held(HoldReason::Paused, "delivery is held", "deliveries are held");
        let form = may_edit.then(|| release_form(format!("{path}/resume"), None, "Resume"));
        let words = view! { <strong>"Paused"</strong>" since "<Time when=since/>". "{held}"." }.into_any();
        note("c-note c-note--held", "held", words, form)
    });
    let failing = state.failing.clone().map(|Failing { since, probe }| {
        let held = held(HoldReason::Breaker, "delivery is held", "deliveries are held");
        // A paused destination is not probed.
        let probe = state.paused.is_none().then(|| {
            view! { " "{held}"; the next is tried at "<Time when=probe/>"." }
        });
        let words = view! {
            <strong>"Failing"</strong>" since "<Time when=since/>": ten attempts in a row failed."{probe}
        }
        .into_any();
        note("c-note c-note--danger", "error", words, None)
    });
    let target = (state.count(HoldReason::Target) > 0).then(|| {
        let held = held(HoldReason::Target, "delivery was meant", "deliveries were meant");
        let them = plural(state.count(HoldReason::Target), "it", "they");
        let form = may_edit.then(|| release_form(format!("{path}/confirm"), Some(revision), "Confirm"));
        let words = view! {
            <strong>"The target has changed. "</strong>{held}" for the one before. May "{them}" go to the new one?"
        }
        .into_any();
        note("c-note c-note--warn", "warn", words, form)
    });
    let releasing = state.releasing_per_second.filter(|_| state.count(HoldReason::Releasing) > 0).map(|rate| {
        let held = held(HoldReason::Releasing, "delivery is released", "deliveries are released");
        let words = view! { {held}", "{rate}" a second." }.into_any();
        note("c-note", "running", words, None)
    });
    view! { {paused} {failing} {target} {releasing} }.into_any()
}

/// Renders the form that ends a hold. With `revision`, the post is refused once the destination has another revision.
fn release_form(action: String, revision: Option<i64>, button: &'static str) -> AnyView {
    let revision = revision.map(|revision| view! { <input type="hidden" name="revision" value=revision/> });
    view! {
        <form class="l-row" method="post" action=action>
            {revision}
            <select class="c-filter c-filter--inline" name="held" aria-label="Which held deliveries go on">
                <option value="all">"Send all of them"</option>
                <option value="newest">"Send the newest of each object"</option>
                <option value="none">"Send none, discard them"</option>
            </select>
            <select class="c-filter c-filter--inline" name="per_second" aria-label="How fast">
                <option value="">"as fast as possible"</option>
                <option value="1">"1 a second"</option>
                <option value="10">"10 a second"</option>
                <option value="100">"100 a second"</option>
            </select>
            <button class="c-button c-button--s c-button--primary" type="submit">{button}</button>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::When;
    use crate::view::destination::HeldCount;

    fn text(count: u64) -> String {
        let reasons = [HoldReason::Paused, HoldReason::Breaker, HoldReason::Target, HoldReason::Releasing];
        let state = DestinationState {
            paused: Some(When::default()),
            failing: None,
            releasing_per_second: Some(10),
            held: reasons.map(|reason| HeldCount { reason, count }).into(),
        };
        let html = Owner::new().with(|| holds("/smtp", 1, &state, false).to_html());
        html.replace("<!>", "")
    }

    #[test]
    fn one_held_delivery_is_not_several() {
        for (count, shown) in [
            (
                1,
                [
                    "1 delivery is held.",
                    "1 delivery was meant for the one before. May it go",
                    "1 delivery is released, 10 a second.",
                ],
            ),
            (
                1200,
                [
                    "1,200 deliveries are held.",
                    "1,200 deliveries were meant for the one before. May they go",
                    "1,200 deliveries are released, 10 a second.",
                ],
            ),
        ] {
            let text = text(count);
            assert!(shown.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
