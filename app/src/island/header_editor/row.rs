//! A row of the grid: check, name, value and the switch of a secret.

use crate::part::field::focus;
use leptos::prelude::*;
use model::header::MASK;
use model::header_editor::{EditorRow, HeaderEditor as Editor};

/// The row's number from 1, true if it is checked, and true if it is the empty row for a new header.
type State = Memo<(usize, bool, bool)>;

#[component]
pub(super) fn Row(
    editor: RwSignal<Editor>,
    row: EditorRow,
    announcement: RwSignal<String>,
    /// The row that is being dragged.
    dragged: RwSignal<Option<u32>>,
    on_change: Callback<()>,
) -> impl IntoView {
    let id = row.id;
    let state: State = Memo::new(move |_| {
        editor.with(|editor| {
            let rows = editor.rows();
            let index = rows.iter().position(|row| row.id == id).unwrap_or_default();
            let is_checked = rows.get(index).is_some_and(|row| row.is_checked);
            (index + 1, is_checked, index + 1 == rows.len())
        })
    });
    let check = move |event: leptos::ev::Event| {
        let is_checked = event_target_checked(&event);
        editor.update(|editor| editor.check(id, is_checked));
    };
    let drag = move |event: leptos::ev::DragEvent| {
        if let Some(data) = event.data_transfer() {
            // Some browsers drag nothing without data.
            let _ = data.set_data("text/plain", "");
        }
        dragged.set(Some(id));
    };
    let drag_over = move |event: leptos::ev::DragEvent| {
        let Some(other) = dragged.get_untracked() else { return };
        event.prevent_default();
        if other != id {
            let mut announced = None;
            editor.update(|editor| announced = editor.drag(other, id));
            announcement.set(announced.unwrap_or_default());
        }
    };
    let drag_end = move |_| {
        dragged.set(None);
        on_change.run(());
    };
    let checkbox = move || {
        (!state.get().2).then(|| {
            view! {
                <label>
                    <input
                        type="checkbox"
                        aria-label=move || format!("Check header {}", state.get().0)
                        prop:checked=move || state.get().1
                        on:change=check
                    />
                </label>
            }
        })
    };
    view! {
        <tr role="row" on:dragover=drag_over on:drop=move |event| event.prevent_default()>
            <td
                role="cell"
                draggable=move || if state.get().2 { "false" } else { "true" }
                on:dragstart=drag
                on:dragend=drag_end
            >
                {checkbox}
            </td>
            {inputs(editor, row, state, announcement, on_change)}
        </tr>
    }
    .into_any()
}

/// Renders the cells in which a header is typed.
fn inputs(
    editor: RwSignal<Editor>,
    row: EditorRow,
    state: State,
    announcement: RwSignal<String>,
    on_change: Callback<()>,
) -> AnyView {
    let id = row.id;
    let cells = Memo::new(move |_| {
        editor.with(|editor| {
            let row = editor.rows().iter().find(|row| row.id == id);
            row.map(|row| (row.name.clone(), row.value.clone(), row.is_secret, row.has_stored_value()))
                .unwrap_or_default()
        })
    });
    let switch = move |event: leptos::ev::Event| {
        let is_secret = event_target_checked(&event);
        let mut announced = None;
        editor.update(|editor| announced = editor.set_secret(id, is_secret));
        announcement.set(announced.unwrap_or_default());
        on_change.run(());
    };
    // A mask can only be replaced as a whole.
    let select_mask = move |event: leptos::ev::FocusEvent| {
        if cells.with_untracked(|cells| cells.3) {
            event_target::<web_sys::HtmlInputElement>(&event).select();
        }
    };
    // A secret that was emptied, with no other value typed, becomes the stored secret again.
    let restore_mask = move |_| {
        if cells.with_untracked(|(_, value, is_secret, _)| *is_secret && value.is_empty()) {
            editor.update(|editor| editor.set_value(id, MASK));
            on_change.run(());
        }
    };
    let set_name = move |event: leptos::ev::Event| {
        let (text, mut ends) = (event_target_value(&event), false);
        editor.update(|editor| ends = editor.set_name(id, &text));
        on_change.run(());
        if ends {
            focus(&format!("header-value-{id}"));
        }
    };
    let set_value = move |event: leptos::ev::Event| {
        let text = event_target_value(&event);
        editor.update(|editor| editor.set_value(id, &text));
        on_change.run(());
    };
    let paste = move |event: leptos::ev::ClipboardEvent| {
        let text = event.clipboard_data().and_then(|data| data.get_data("text").ok()).unwrap_or_default();
        let mut is_taken = false;
        editor.update(|editor| is_taken = editor.paste(id, &text));
        if is_taken {
            event.prevent_default();
            on_change.run(());
        }
    };
    let label = move |part: &'static str| {
        let (number, _, is_waiting) = state.get();
        if is_waiting { format!("New header {part}") } else { format!("Header {number} {part}") }
    };
    let placeholder = move || state.get().2.then_some("Add a header");
    view! {
        <td role="cell">
            <input
                id=format!("header-name-{id}")
                aria-label=move || label("name")
                list="header-names"
                autocomplete="off"
                spellcheck="false"
                placeholder=placeholder
                value=row.name
                prop:value=move || cells.get().0
                on:input=set_name
                on:paste=paste
            />
        </td>
        <td role="cell">
            <input
                id=format!("header-value-{id}")
                aria-label=move || label("value")
                autocomplete="off"
                spellcheck="false"
                value=row.value
                prop:value=move || cells.get().1
                on:input=set_value
                on:paste=paste
                on:focus=select_mask
                on:blur=restore_mask
            />
        </td>
        <td role="cell">
            <label>
                <input
                    type="checkbox"
                    aria-label=move || label("is secret")
                    prop:checked=move || cells.get().2
                    on:change=switch
                />
            </label>
        </td>
    }
    .into_any()
}
