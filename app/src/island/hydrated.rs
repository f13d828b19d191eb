//! The hydration state of an island. Controls that need the browser half are rendered only once it is hydrated.

use leptos::prelude::*;
use std::time::Duration;

/// Returns a signal that is false on the server and during hydration, and true afterwards.
pub(crate) fn use_hydrated() -> RwSignal<bool> {
    let is_hydrated = RwSignal::new(false);
    // Effects run only in the browser, after hydration.
    Effect::new(move || is_hydrated.set(true));
    is_hydrated
}

/// Calls `act` with the newest value of `source` once it has not changed for `rest`, and once at the beginning.
pub(crate) fn when_rested<T: PartialEq + Clone + Send + Sync + 'static>(
    source: Memo<T>,
    rest: Duration,
    act: impl Fn(T) + Clone + 'static,
) {
    Effect::new(move |_| {
        let value = source.get();
        let act = act.clone();
        if let Ok(waiting) = set_timeout_with_handle(move || act(value.clone()), rest) {
            // This runs before the next value, and when the effect's owner is disposed.
            on_cleanup(move || waiting.clear());
        }
    });
}
