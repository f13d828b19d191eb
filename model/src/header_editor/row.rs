//! A row of the grid, and the rules by which it becomes secret.

use crate::header::secret::{Kept, MASK_CHAR};
use crate::header::{MASK, looks_secret};

/// A row of the grid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditorRow {
    /// Identifies the row wherever it moves. The id is never given to another row of the same editor.
    pub id: u32,
    /// The name as typed, right or wrong.
    pub name: String,
    /// The value as typed, right or wrong, or the [`MASK`] for a stored value.
    pub value: String,
    /// The switch of the row. The value of a secret row is sealed, and not shown once it is saved.
    pub is_secret: bool,
    /// *Up*, *Down* and *Delete* apply to checked rows.
    pub is_checked: bool,
    /// The switch was set by a person or by the stored headers. The name no longer sets it.
    pub(super) is_switch_set: bool,
    /// Name and repeat, from 0, of the stored value that the mask stands for.
    pub(super) stored: Option<(String, usize)>,
}

impl EditorRow {
    /// Returns true if both cells are blank. Such a row is not posted.
    pub fn is_empty(&self) -> bool {
        self.name.trim().is_empty() && self.value.trim().is_empty()
    }

    /// Returns true if the row keeps a stored value, which cannot be shown.
    pub fn has_stored_value(&self) -> bool {
        self.value == MASK
    }

    /// Returns the name of the row in announcements.
    pub(super) fn title(&self) -> &str {
        match self.name.trim() {
            "" => "A header without a name",
            name => name,
        }
    }

    /// Takes a name. A name that looks secret turns the switch on. Another name turns it off as long as there is no
    /// value to protect: a person who types `X-Author` first types `X-Auth`.
    pub(super) fn set_name(&mut self, name: String) {
        self.name = name;
        if !self.is_switch_set && (looks_secret(&self.name) || self.value.trim().is_empty()) {
            self.is_secret = looks_secret(&self.name);
        }
    }

    /// Takes a value. The exact mask keeps the stored value. In a secret row any other text is a new value, without the
    /// characters that are left of the mask.
    pub(super) fn set_value(&mut self, value: &str) {
        if value.trim() == MASK {
            MASK.clone_into(&mut self.value);
            (self.is_secret, self.is_switch_set) = (true, true);
        } else if self.is_secret {
            self.value = value.replace(MASK_CHAR, "");
        } else {
            value.clone_into(&mut self.value);
        }
    }

    /// Sets the switch. Returns the sentence to announce. Turning the switch off clears a stored value, and turning it
    /// on again keeps it.
    pub(super) fn set_secret(&mut self, is_secret: bool) -> Option<String> {
        (self.is_secret, self.is_switch_set) = (is_secret, true);
        if is_secret && self.value.trim().is_empty() && self.stored_repeat().is_some() {
            MASK.clone_into(&mut self.value);
        }
        if is_secret || !self.has_stored_value() {
            return None;
        }
        self.value.clear();
        Some(format!("{}: the stored value cannot be shown, enter it again", self.title()))
    }

    /// Returns the repeat of the name that has the stored value, unless the row was renamed.
    fn stored_repeat(&self) -> Option<usize> {
        let (name, repeat) = self.stored.as_ref()?;
        name.eq_ignore_ascii_case(self.name.trim()).then_some(*repeat)
    }

    /// Returns the row's line in the text of the headers.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.name, if self.is_secret { MASK } else { &self.value })
    }

    /// Returns the row's value in the text of the secret headers. `repeat` is the row's number among those of its name.
    pub(super) fn secret_value(&self, repeat: usize) -> String {
        if !self.has_stored_value() {
            return self.value.clone();
        }
        match self.stored_repeat() {
            Some(stored) if stored != repeat => Kept::Repeat(stored).to_text(),
            _ => MASK.to_owned(),
        }
    }
}
