//! Form fields of islands and of plain forms. The label stands inside the box. Hint and error stand below it and are
//! tied to the control.
//!
//! Controls are uncontrolled: the browser owns the typed value, even before WASM has loaded, and the signal follows. No
//! code here writes into a control, so no typed value is lost.

use crate::part::icon::Icon;
use leptos::ev::Targeted;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// The properties that every field has.
#[derive(Clone)]
pub(crate) struct FieldOf {
    /// The form name, which is also the id.
    pub name: &'static str,
    /// The label in the box.
    pub label: String,
    /// True for a label marked with an asterisk.
    pub is_required: bool,
    /// The value that the control starts with.
    pub initial: String,
    /// Called with each change, and once on hydration if the value was changed before.
    pub on_change: Callback<String>,
    /// The message under the field, if something is wrong.
    pub error: Signal<Option<String>>,
    /// Called when the field is left.
    pub on_leave: Callback<()>,
    /// True for the field that has the cursor once the page is shown.
    #[cfg(feature = "ssr")]
    pub has_cursor: bool,
}

impl FieldOf {
    /// Returns a field without callbacks and error.
    pub(crate) fn fixed(name: &'static str, label: &str) -> Self {
        Self {
            name,
            label: label.to_owned(),
            is_required: false,
            initial: String::new(),
            on_change: Callback::new(|_| ()),
            error: Signal::stored(None),
            on_leave: Callback::new(|()| ()),
            #[cfg(feature = "ssr")]
            has_cursor: false,
        }
    }

    /// Returns the value of `autofocus`. The browser reads it in documents of the server alone.
    #[cfg(feature = "ssr")]
    fn autofocus(&self) -> bool {
        self.has_cursor
    }

    #[cfg(not(feature = "ssr"))]
    #[expect(clippy::unused_self, reason = "the other half needs it")]
    fn autofocus(&self) {}

    fn described_by(&self, has_hint: bool) -> impl Fn() -> Option<String> + Clone + Send + Sync + use<> {
        let (name, error) = (self.name, self.error);
        move || match (error.get().is_some(), has_hint) {
            (true, _) => Some(format!("{name}-error")),
            (false, true) => Some(format!("{name}-hint")),
            (false, false) => None,
        }
    }

    fn invalid(&self) -> impl Fn() -> Option<&'static str> + Clone + Send + Sync + use<> {
        let error = self.error;
        move || error.get().is_some().then_some("true")
    }

    /// Returns the handler of the event that the control has lost the focus. Hydration may have removed the control, and
    /// its callbacks, under the cursor.
    fn leave(&self) -> impl Fn(leptos::ev::FocusEvent) + use<> {
        let on_leave = self.on_leave;
        move |_| {
            on_leave.try_run(());
        }
    }

    /// Reports the value of a control that was filled in before WASM ran.
    fn adopt(&self, typed: String) {
        if typed != self.initial {
            self.on_change.run(typed);
        }
    }
}

#[component]
fn Label(field: FieldOf) -> impl IntoView {
    let star = field.is_required.then(|| view! { <span class="c-field__required" aria-hidden="true">"*"</span> });
    view! { <label class="c-field__label" for=field.name>{field.label}{star}</label> }
}

/// The line under a control: its error, or else its hint.
#[component]
pub(crate) fn Under(
    /// The field's name.
    name: &'static str,
    error: Signal<Option<String>>,
    hint: Option<String>,
) -> impl IntoView {
    move || match (error.get(), hint.clone()) {
        (Some(message), _) => view! {
            <p class="c-hint c-hint--error" id=format!("{name}-error")>
                <Icon name="error"/>
                <span>{message}</span>
            </p>
        }
        .into_any(),
        (None, Some(hint)) => view! { <p class="c-hint" id=format!("{name}-hint")>{hint}</p> }.into_any(),
        (None, None) => ().into_any(),
    }
}

/// A line of text.
#[component]
pub(crate) fn TextField(
    field: FieldOf,
    #[prop(optional, into)] hint: Option<String>,
    /// `text`, `password`, `url` …
    #[prop(default = "text")]
    kind: &'static str,
    /// The value of `autocomplete`. Without one, a secret gets `new-password`, and other fields leave the choice to the
    /// browser.
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    #[prop(optional)] unit: Option<&'static str>,
    /// The keyboard of a phone: `numeric`, `url` …
    #[prop(optional)]
    keys: Option<&'static str>,
    #[prop(optional)] placeholder: Option<&'static str>,
) -> impl IntoView {
    let hint = hint.filter(|hint| !hint.is_empty());
    let node = NodeRef::<leptos::html::Input>::new();
    let this = field.clone();
    node.on_load(move |input| this.adopt(input.value()));
    let (on_change, leave) = (field.on_change, field.leave());
    let is_secret = kind == "password";
    let autocomplete = autocomplete.or(is_secret.then_some("new-password"));
    let shown = RwSignal::new(false);
    let class = if is_secret {
        "c-field c-field--with-button"
    } else if unit.is_some() {
        "c-field c-field--with-unit"
    } else {
        "c-field"
    };
    let eye = is_secret.then(|| {
        view! {
            <button
                class="c-field__button u-live"
                type="button"
                aria-label="Show what is typed"
                title="Show what is typed"
                aria-pressed=move || shown.get().to_string()
                on:click=move |_| shown.update(|shown| *shown = !*shown)
            >
                <Icon name="eye"/>
            </button>
        }
    });
    let (name, error, is_required) = (field.name, field.error, field.is_required);
    let (initial, autofocus) = (field.initial.clone(), field.autofocus());
    let (described, invalid) = (field.described_by(hint.is_some()), field.invalid());
    let label = view! { <Label field=field/> };
    view! {
        <div>
            <div class=class>
                {label}
                <input
                    class="c-field__control"
                    id=name
                    name=name
                    type=move || if shown.get() { "text" } else { kind }
                    required=is_required
                    autocomplete=autocomplete
                    inputmode=keys
                    placeholder=placeholder
                    spellcheck="false"
                    autofocus=autofocus
                    value=initial
                    aria-invalid=invalid
                    aria-describedby=described
                    node_ref=node
                    on:input:target=move |event| on_change.run(event.target().value())
                    on:blur=leave
                />
                {unit.map(|unit| view! { <span class="c-field__unit" aria-hidden="true">{unit}</span> })}
                {eye}
            </div>
            <Under name=name error=error hint=hint/>
        </div>
    }
    .into_any()
}

/// Several lines of text.
#[component]
pub(crate) fn AreaField(
    field: FieldOf,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(default = 3)] rows: u32,
    /// Monospace, for text that a machine reads.
    #[prop(optional)]
    is_code: bool,
) -> impl IntoView {
    let hint = hint.filter(|hint| !hint.is_empty());
    let node = NodeRef::<leptos::html::Textarea>::new();
    let this = field.clone();
    node.on_load(move |area| this.adopt(area.value()));
    let (on_change, leave) = (field.on_change, field.leave());
    let (name, error, is_required) = (field.name, field.error, field.is_required);
    let initial = field.initial.clone();
    let (described, invalid) = (field.described_by(hint.is_some()), field.invalid());
    let label = view! { <Label field=field/> };
    view! {
        <div>
            <div class="c-field c-field--area">
                {label}
                <textarea
                    class=if is_code { "u-mono" } else { "" }
                    id=name
                    name=name
                    rows=rows.to_string()
                    required=is_required
                    spellcheck=if is_code { "false" } else { "true" }
                    aria-invalid=invalid
                    aria-describedby=described
                    node_ref=node
                    on:input:target=move |event| on_change.run(event.target().value())
                    on:blur=leave
                    inner_html=area_html(&initial)
                ></textarea>
            </div>
            <Under name=name error=error hint=hint/>
        </div>
    }
    .into_any()
}

/// The options of a select in groups: the group's label, empty for none, then value and label of each option.
pub(crate) type Options = Vec<(String, Vec<(String, String)>)>;

/// Returns the options of a select without groups: value and label of each.
pub(crate) fn ungrouped(all: &[(&str, &str)]) -> Options {
    vec![(String::new(), all.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect())]
}

/// A select, with options in groups if wanted.
#[component]
pub(crate) fn SelectField(
    field: FieldOf,
    options: Options,
    #[prop(optional, into)] hint: Option<String>,
) -> impl IntoView {
    let hint = hint.filter(|hint| !hint.is_empty());
    let node = NodeRef::<leptos::html::Select>::new();
    let this = field.clone();
    node.on_load(move |select| this.adopt(select.value()));
    let (on_change, leave) = (field.on_change, field.leave());
    let (initial, autofocus) = (field.initial.clone(), field.autofocus());
    let option = move |(value, label): (String, String)| {
        let is_selected = value == initial;
        view! { <option value=value selected=is_selected>{label}</option> }
    };
    let groups = options
        .into_iter()
        .map(|(group, options)| {
            let options = options.into_iter().map(option.clone()).collect_view();
            if group.is_empty() {
                options.into_any()
            } else {
                view! { <optgroup label=group>{options}</optgroup> }.into_any()
            }
        })
        .collect_view();
    let (name, error, is_required) = (field.name, field.error, field.is_required);
    let (described, invalid) = (field.described_by(hint.is_some()), field.invalid());
    let label = view! { <Label field=field/> };
    view! {
        <div>
            <div class="c-field">
                {label}
                <select
                    class="c-field__control"
                    id=name
                    name=name
                    required=is_required
                    autofocus=autofocus
                    aria-invalid=invalid
                    aria-describedby=described
                    node_ref=node
                    on:change:target=move |event| on_change.run(event.target().value())
                    on:blur=leave
                >
                    {groups}
                </select>
                <svg class="c-icon c-field__chevron" aria-hidden="true">
                    <use href="#i-chevron"></use>
                </svg>
            </div>
            <Under name=name error=error hint=hint/>
        </div>
    }
    .into_any()
}

/// A switch. Posts `true` when on and nothing when off.
#[component]
pub(crate) fn SwitchField(field: FieldOf, #[prop(optional, into)] hint: Option<String>) -> impl IntoView {
    let hint = hint.filter(|hint| !hint.is_empty());
    let node = NodeRef::<leptos::html::Input>::new();
    let this = field.clone();
    let posted = |is_on: bool| if is_on { "true".to_owned() } else { String::new() };
    node.on_load(move |input| this.adopt(posted(input.checked())));
    let on_change = field.on_change;
    let changed = move |event: Targeted<leptos::ev::Event, web_sys::HtmlInputElement>| {
        on_change.run(posted(event.target().checked()));
    };
    let (name, error) = (field.name, field.error);
    let is_on = field.initial == "true";
    let described = field.described_by(hint.is_some());
    view! {
        <div>
            <label class="c-switch">
                <input
                    type="checkbox"
                    role="switch"
                    id=name
                    name=name
                    value="true"
                    checked=is_on
                    aria-describedby=described
                    node_ref=node
                    on:change:target=changed
                />
                <span>{field.label}</span>
            </label>
            <Under name=name error=error hint=hint/>
        </div>
    }
    .into_any()
}

/// Returns a required field of a form that only the server checks.
#[cfg(feature = "ssr")]
pub(crate) fn plain_field(name: &'static str, label: &'static str, initial: String, error: Option<String>) -> FieldOf {
    FieldOf { is_required: true, initial, error: Signal::stored(error), ..FieldOf::fixed(name, label) }
}

/// Moves the cursor into the control with this id.
pub(crate) fn focus(id: &str) {
    let control = document().get_element_by_id(id).and_then(|found| found.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(control) = control {
        // An element that cannot be focused changes nothing.
        let _ = control.focus();
    }
}

/// Returns a text as the inner HTML of a `<textarea>`. As a child, leptos does not escape it, and cannot hydrate an
/// empty one.
pub(crate) fn area_html(text: &str) -> String {
    // HTML drops one line feed directly after the tag. The server writes one, so that the first line feed of the text
    // stays.
    let first = if cfg!(feature = "ssr") { "\n" } else { "" };
    format!("{first}{}", text.replace('&', "&amp;").replace('<', "&lt;"))
}
