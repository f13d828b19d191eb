//! The header editor: a grid of rows with a toolbar, or the same headers as text.
//!
//! The rules of the editor are in `model::header_editor`. Without WASM, and until it runs, only the text area exists;
//! it posts under the same name.

use crate::island::hydrated::use_hydrated;
use crate::part::field::{AreaField, FieldOf, focus};
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::field_error::FieldErrors;
use model::header::MASK;
use model::header_editor::{AllChecked, EditorRow, HeaderEditor as Editor};

/// Names suggested while typing.
const NAMES: &[&str] = &[
    "Accept",
    "Cache-Control",
    "Content-Language",
    "Content-Type",
    "Idempotency-Key",
    "Origin",
    "Prefer",
    "Priority",
    "User-Agent",
    "X-Correlation-Id",
    "X-Environment",
    "X-Request-Id",
    "X-Route",
];

/// The action of a toolbar button. It may return a text to announce to screen readers.
type Act = fn(&mut Editor) -> Option<String>;

/// The editor of the fields `headers` and `secret_headers`.
#[component]
pub(crate) fn HeaderEditor(
    field: FieldOf,
    /// The values of the secret headers.
    secrets: FieldOf,
) -> impl IntoView {
    let is_hydrated = use_hydrated();
    let editor = RwSignal::new(Editor::from_texts(&field.initial, &secrets.initial));
    // The page reserves the height of the grid until it is rendered.
    let rows = editor.with_untracked(|editor| editor.rows().len());
    // The contents of the two text areas before hydration.
    let typed_texts = StoredValue::new((field.initial.clone(), secrets.initial.clone()));
    let announcement = RwSignal::new(String::new());
    let refused = RwSignal::new(FieldErrors::default());
    let is_grid = Memo::new(move |_| is_hydrated.get() && !editor.with(Editor::is_raw));
    let (tell, tell_secrets) = (field.on_change, secrets.on_change);
    let changed = move || {
        let (text, values) = editor.with_untracked(Editor::posted);
        tell.run(text);
        tell_secrets.run(values);
    };
    // Text that was typed into the text areas before WASM ran is adopted by the grid.
    let adopt = Callback::new(move |text: String| {
        if is_hydrated.get_untracked() {
            editor.update(|editor| editor.set_raw(&text));
        } else {
            typed_texts.update_value(|texts| texts.0 = text);
            editor.set(typed_texts.with_value(|(text, values)| Editor::from_texts(text, values)));
        }
        refused.set(FieldErrors::default());
        changed();
    });
    let adopt_secrets = Callback::new(move |values: String| {
        typed_texts.update_value(|texts| texts.1 = values);
        editor.set(typed_texts.with_value(|(text, values)| Editor::from_texts(text, values)));
        changed();
    });
    let (error, secret_error) = (field.error, secrets.error);
    let shown = Signal::derive(move || {
        let local = refused.with(|errors| errors.messages("headers"));
        local.or_else(|| error.get()).or_else(|| is_hydrated.get().then(|| secret_error.get())?)
    });
    let plain_secrets = move || {
        let field = FieldOf { on_change: adopt_secrets, ..secrets.clone() };
        (!is_hydrated.get()).then(|| {
            view! {
                <AreaField field=field rows=2 is_code=true hint="One per line, as Name: Value. Sealed, and never shown. Each stands above as Name: ••••••••; without a line here its stored value is unchanged."/>
            }
        })
    };
    let area = move || {
        let text = editor.with_untracked(Editor::to_text);
        let field = FieldOf {
            initial: text,
            on_change: adopt,
            label: "Headers as text".to_owned(),
            error: shown,
            ..field.clone()
        };
        view! {
            <AreaField field=field rows=4 is_code=true hint="One per line, as Name: Value. They are sent in this order, headers of one name together."/>
        }
    };
    let toggle = move || {
        let mut result = Ok(());
        editor.update(|editor| result = editor.toggle_raw());
        refused.set(result.err().unwrap_or_default());
        changed();
    };
    // Below the text area its field shows the messages.
    let messages = move || {
        is_grid.get().then(|| shown.get())?.map(|message| {
            view! { <p class="c-hint c-hint--error" id="headers-error"><Icon name="error"/><span>{message}</span></p> }
        })
    };
    let apart = move || {
        let names = editor.with(Editor::repeats_apart);
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            view! { <p class="c-hint">{format!("{names} repeats apart: its lines are sent together, at the position of the first.")}</p> }
        })
    };
    view! {
        <fieldset class="c-headers" aria-labelledby="headers-title">
            <div class="c-headers__bar l-row l-row--apart">
                <div>
                    <h3 class="u-strong" id="headers-title">"Headers"</h3>
                    <span class="u-xs u-muted u-num" role="status">{announcement}</span>
                </div>
                {move || is_hydrated.get().then(|| view! { <Toolbar editor=editor announcement=announcement on_change=Callback::new(move |()| changed()) on_toggle=Callback::new(move |()| toggle())/> })}
            </div>
            <div class="c-wait c-wait--grid" data-rows=rows>
            {move || if is_grid.get() { view! { <Grid editor=editor announcement=announcement on_change=Callback::new(move |()| changed())/> }.into_any() } else { area().into_any() }}
            {plain_secrets}
            </div>
            {messages}
            {apart}
        </fieldset>
    }
    .into_any()
}

#[component]
fn Toolbar(
    editor: RwSignal<Editor>,
    announcement: RwSignal<String>,
    on_change: Callback<()>,
    on_toggle: Callback<()>,
) -> impl IntoView {
    let button = move |icon: &'static str, label: &'static str, can: fn(&Editor) -> bool, act: Act| {
        let is_off = move || (!editor.with(|editor| !editor.is_raw() && can(editor))).then_some("true");
        let click = move |_| {
            // A disabled button keeps the focus and does nothing.
            if is_off().is_none() {
                let mut announced = None;
                editor.update(|editor| announced = act(editor));
                announcement.set(announced.unwrap_or_default());
                on_change.run(());
            }
        };
        view! {
            <button type="button" title=label aria-label=label aria-disabled=is_off on:click=click><Icon name=icon/></button>
        }
    };
    let add = move |_| {
        if editor.with_untracked(Editor::is_raw) {
            return;
        }
        let mut id = 0;
        editor.update(|editor| id = editor.add());
        announcement.set(editor.with_untracked(Editor::announce_add));
        request_animation_frame(move || focus(&format!("header-name-{id}")));
    };
    let is_raw = move || editor.with(Editor::is_raw);
    view! {
        <div class="c-toolbar" role="toolbar" aria-label="Headers">
            {button("up", "Up", Editor::can_move_up, Editor::move_up)}
            {button("down", "Down", Editor::can_move_down, Editor::move_down)}
            <button type="button" title="Add" aria-label="Add" aria-disabled=move || is_raw().then_some("true") on:click=add>
                <Icon name="plus"/>
            </button>
            {button("bin", "Delete", Editor::can_delete, Editor::delete)}
            <button
                type="button"
                title="Raw"
                aria-label="Raw"
                aria-pressed=move || is_raw().to_string()
                on:click=move |_| on_toggle.run(())
            >
                <Icon name="pencil"/>
            </button>
        </div>
    }
    .into_any()
}

#[component]
fn Grid(editor: RwSignal<Editor>, announcement: RwSignal<String>, on_change: Callback<()>) -> impl IntoView {
    let all = move || editor.with(Editor::all_checked);
    let check_all = move |event: leptos::ev::Event| {
        let is_checked = event_target_checked(&event);
        editor.update(|editor| editor.check_all(is_checked));
    };
    let rows = move || editor.with(|editor| editor.rows().to_vec());
    let dragged = RwSignal::new(None::<u32>);
    let names = NAMES.iter().map(|name| view! { <option value=*name></option> }).collect_view();
    view! {
        <datalist id="header-names">{names}</datalist>
        <table class="c-headers__grid" role="table" aria-labelledby="headers-title">
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">
                        <label>
                            <input
                                type="checkbox"
                                aria-label="Check all headers"
                                prop:checked=move || all() == AllChecked::All
                                prop:indeterminate=move || all() == AllChecked::Some
                                on:change=check_all
                            />
                        </label>
                    </th>
                    <th role="columnheader" scope="col">"Header"<span class="c-field__required" aria-hidden="true">"*"</span></th>
                    <th role="columnheader" scope="col">"Value"<span class="c-field__required" aria-hidden="true">"*"</span></th>
                    <th role="columnheader" scope="col">"Secret"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">
                <For each=rows key=|row| row.id children=move |row| view! { <Row editor=editor row=row announcement=announcement dragged=dragged on_change=on_change/> }/>
            </tbody>
        </table>
    }
    .into_any()
}

#[component]
fn Row(
    editor: RwSignal<Editor>,
    row: EditorRow,
    announcement: RwSignal<String>,
    /// The row that is being dragged.
    dragged: RwSignal<Option<u32>>,
    on_change: Callback<()>,
) -> impl IntoView {
    let id = row.id;
    // The row's number from 1, true if it is checked, and true if it is the empty row for a new header.
    let state = Memo::new(move |_| {
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
    let label = move |part: &'static str| {
        let (number, _, is_waiting) = state.get();
        if is_waiting { format!("New header {part}") } else { format!("Header {number} {part}") }
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
    let placeholder = move || state.get().2.then_some("Add a header");
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
        </tr>
    }
    .into_any()
}
