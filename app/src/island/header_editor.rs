//! The header editor: a grid of rows with a toolbar, or the same headers as text.
//!
//! The rules of the editor are in `model::header_editor`. Without WASM, and until it runs, only the text area exists;
//! it posts under the same name.

mod row;

use crate::island::hydrated::use_hydrated;
use crate::part::field::{AreaField, FieldOf, focus};
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::field_error::FieldErrors;
use model::header_editor::{AllChecked, HeaderEditor as Editor};
use row::Row;

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
    // In raw mode the text area is the editor. Otherwise its text was typed before WASM ran, and the grid adopts it.
    let adopt = Callback::new(move |text: String| {
        if editor.with_untracked(Editor::is_raw) {
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
    // While the text area is shown, its field shows the messages.
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
