//! The comparison of a refused draft with the version that another person has saved.

use crate::error::Versions;
use leptos::prelude::*;

/// Shows the typed values beside those that another person has saved.
pub(crate) fn versions_table(versions: Vec<Versions>) -> AnyView {
    let row =
        |row: Versions| view! { <tr><th scope="row">{row.field}</th><td>{row.yours}</td><td>{row.saved}</td></tr> };
    let rows: Vec<_> = versions.into_iter().filter(|row| row.field != "revision").map(row).collect();
    view! {
        <table class="c-table c-table--versions">
            <thead><tr><th scope="col">"Field"</th><th scope="col">"Yours"</th><th scope="col">"Theirs, saved"</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}
