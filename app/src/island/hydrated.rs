//! Whether an island is hydrated: controls that need the browser half are rendered only then.

use leptos::prelude::*;
use std::time::Duration;

/// False on the server and while the island is hydrated; true afterwards.
pub(crate) fn use_hydrated() -> RwSignal<bool> {
    let is_hydrated = RwSignal::new(false);
    // Effects run in the browser only, after the island was hydrated as it came.
    Effect::new(move || is_hydrated.set(true));
    is_hydrated
}

/// Calls `act` with the newest value of `source` once it has rested for `rest`, and once at the beginning.
pub(crate) fn when_rested<T: PartialEq + Clone + Send + Sync + 'static>(
    source: Memo<T>,
    rest: Duration,
    act: impl Fn(T) + Clone + 'static,
) {
    Effect::new(move |_| {
        let value = source.get();
        let act = act.clone();
        if let Ok(waiting) = set_timeout_with_handle(move || act(value.clone()), rest) {
            // Before the next value, and when what shows it is gone.
            on_cleanup(move || waiting.clear());
        }
    });
}
