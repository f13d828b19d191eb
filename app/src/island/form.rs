//! A form that is checked while typing and saved by a server function. Without WASM it works as a plain post.
//!
//! [`FormState`] holds the texts of the draft, the fields that were left, and the server's error. Messages of the browser's own
//! check appear once a field was left or the form was submitted. Messages of the server stay until the field changes.
//! With WASM the submit is intercepted; without it the form posts to its own page.

pub(crate) mod fields;
pub(crate) mod frame;

use crate::error::{AppError, Refused};
use crate::part::field::{FieldOf, focus};
use leptos::prelude::*;
use leptos::task::spawn_local;
use model::draft::Texts;
use model::field_error::FieldErrors;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

type Check = dyn Fn(&Texts) -> FieldErrors + Send + Sync;

/// A running save. It returns the path to open afterwards.
type Saving = Pin<Box<dyn Future<Output = Result<String, AppError>>>>;

/// The state of a form. Copies share it.
///
/// It has the fields by name instead of the draft itself, so that one compiled version serves all forms.
#[derive(Clone, Copy)]
pub(crate) struct FormState {
    texts: RwSignal<Texts>,
    local: Memo<FieldErrors>,
    server: RwSignal<Option<AppError>>,
    left: RwSignal<BTreeSet<&'static str>>,
    was_submitted: RwSignal<bool>,
    is_busy: RwSignal<bool>,
    /// True while leaving the page would lose typed values.
    is_unsaved: Memo<bool>,
    is_leaving: RwSignal<bool>,
    may_save: bool,
}

impl FormState {
    /// Returns the state of a form that starts with `loaded`, or with the refused draft. With `may_save` false the form
    /// is read-only.
    pub(crate) fn new<D: From<Texts> + Into<Texts>>(
        loaded: D,
        refused: Option<Refused<D>>,
        check: impl Fn(&D) -> FieldErrors + Send + Sync + 'static,
        may_save: bool,
    ) -> Self {
        let refused = refused.map(|refused| (refused.draft.into(), refused.error));
        Self::of_texts(loaded.into(), refused, Box::new(move |texts| check(&D::from(texts.clone()))), may_save)
    }

    fn of_texts(loaded: Texts, refused: Option<(Texts, AppError)>, check: Box<Check>, may_save: bool) -> Self {
        let was_submitted = refused.is_some();
        let (texts, error) = match refused {
            Some((mut texts, error)) => {
                error.adopt_revision(&mut texts);
                (texts, Some(error))
            }
            None => (loaded, None),
        };
        let first = texts.clone();
        let texts = RwSignal::new(texts);
        let is_leaving = RwSignal::new(false);
        let is_unsaved =
            Memo::new(move |_| !is_leaving.get() && (was_submitted || texts.with(|texts| *texts != first)));
        Self {
            texts,
            local: Memo::new(move |_| texts.with(|texts| check(texts))),
            server: RwSignal::new(error),
            left: RwSignal::new(BTreeSet::new()),
            was_submitted: RwSignal::new(was_submitted),
            is_busy: RwSignal::new(false),
            is_unsaved,
            is_leaving,
            may_save,
        }
    }

    /// Returns the draft as typed, and follows it.
    pub(crate) fn draft<D: From<Texts>>(self) -> D {
        self.texts.get().into()
    }

    /// Returns the draft as typed at this moment.
    pub(crate) fn draft_now<D: From<Texts>>(self) -> D {
        self.texts.get_untracked().into()
    }

    /// Replaces every field by those of another draft.
    pub(crate) fn replace(self, draft: impl Into<Texts>) {
        self.texts.set(draft.into());
    }

    /// Returns the text of a field, and follows it.
    pub(crate) fn text(self, name: &'static str) -> String {
        self.texts.with(|texts| text_of(texts, name))
    }

    /// Returns the text of a field at this moment.
    pub(crate) fn text_now(self, name: &'static str) -> String {
        self.texts.with_untracked(|texts| text_of(texts, name))
    }

    /// Changes the text of a field.
    pub(crate) fn set_text(self, name: &'static str, text: String) {
        self.texts.update(|texts| {
            texts.insert(name.to_owned(), text);
        });
    }

    /// Returns a field of the draft, to pass to a component. `name` is a field of the draft.
    pub(crate) fn field(self, name: &'static str, label: &str, is_required: bool) -> FieldOf {
        let on_change = Callback::new(move |typed| {
            self.set_text(name, typed);
            self.clear_server_error(name);
        });
        FieldOf {
            is_required,
            initial: self.text_now(name),
            on_change,
            error: Signal::derive(move || self.message(name)),
            // The message is delayed: at once, it would move the page under a pressed pointer, and the click would be
            // lost.
            on_leave: Callback::new(move |()| {
                let leave = move || {
                    self.left.try_update(|left| left.insert(name));
                };
                set_timeout(leave, Duration::from_millis(200));
            }),
            ..FieldOf::fixed(name, label)
        }
    }

    /// Saves with `save`, then opens `path_of` the result. On failure shows the errors and focuses the first wrong
    /// field.
    pub(crate) fn submit<D, T, F>(
        self,
        save: impl FnOnce(D) -> F + 'static,
        path_of: impl FnOnce(T) -> String + 'static,
    ) where
        D: From<Texts>,
        F: Future<Output = Result<T, AppError>> + 'static,
        T: 'static,
    {
        if self.may_submit() {
            let saving = save(self.draft_now());
            self.save(Box::pin(async move { saving.await.map(path_of) }));
        }
    }

    /// Returns the errors that the browser's check finds.
    pub(crate) fn local_errors(self) -> Memo<FieldErrors> {
        self.local
    }

    /// Shows every message, as after a submit.
    pub(crate) fn show_all(self) {
        self.was_submitted.set(true);
    }

    /// Returns the value of `data-unsaved`: present while leaving must be confirmed.
    pub(crate) fn unsaved(self) -> Option<&'static str> {
        self.is_unsaved.get().then_some("")
    }

    /// Opens another page without a question. The typed values are saved or stored.
    pub(crate) fn leave(self, path: String) {
        self.is_leaving.set(true);
        spawn_local(async move {
            // The attribute `data-unsaved` must be removed first.
            leptos::task::tick().await;
            // If the browser refuses to load the page, this page stays.
            let _ = window().location().assign(&path);
        });
    }

    /// Removes the server's message for a field that changes.
    fn clear_server_error(self, name: &str) {
        let is_named =
            self.server.with_untracked(|error| error.as_ref().is_some_and(|e| e.fields.message(name).is_some()));
        if is_named {
            self.server.update(|error| {
                if let Some(error) = error {
                    error.fields.0.retain(|field| field.field != name);
                }
            });
        }
    }

    fn message(self, name: &'static str) -> Option<String> {
        let from_server = self.server.with(|error| error.as_ref()?.fields.messages(name));
        let is_shown = self.was_submitted.get() || self.left.with(|left| left.contains(name));
        from_server.or_else(|| is_shown.then(|| self.local.with(|errors| errors.messages(name)))?)
    }

    /// Returns every message that shows after a submit, with its field.
    fn problems(self) -> FieldErrors {
        if !self.was_submitted.get() {
            return FieldErrors::default();
        }
        let mut all = self.local.get();
        if let Some(error) = self.server.get() {
            all.0.extend(
                error.fields.0.into_iter().filter(|field| all.message(&field.field).is_none()).collect::<Vec<_>>(),
            );
        }
        all
    }

    /// Returns true if the draft can be sent. Otherwise focuses the first wrong field.
    fn may_submit(self) -> bool {
        if self.is_busy.get_untracked() {
            return false;
        }
        self.was_submitted.set(true);
        self.server.set(None);
        let first = self.local.with_untracked(|errors| errors.0.first().map(|field| field.field.clone()));
        if let Some(first) = &first {
            focus(first);
        }
        first.is_none()
    }

    /// Saves and leaves, or shows the error and adopts the revision of the version that another person has saved.
    fn save(self, saving: Saving) {
        self.is_busy.set(true);
        spawn_local(async move {
            match saving.await {
                Ok(path) => self.leave(path),
                Err(error) => {
                    self.is_busy.set(false);
                    let first = error.fields.0.first().map(|field| field.field.clone());
                    self.texts.update(|texts| error.adopt_revision(texts));
                    self.server.set(Some(error));
                    if let Some(first) = first {
                        focus(&first);
                    }
                }
            }
        });
    }
}

fn text_of(texts: &Texts, name: &str) -> String {
    let text = texts.get(name);
    debug_assert!(text.is_some(), "no field of the draft is named {name}");
    text.cloned().unwrap_or_default()
}
