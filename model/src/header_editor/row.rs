//! One row of the grid, and when it becomes secret.

use crate::header::secret::{Kept, MASK_CHAR};
use crate::header::{MASK, looks_secret};

/// One row of the grid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditorRow {
    /// Identifies the row for as long as it lives, wherever it moves; never given to another row of the same editor.
    pub id: u32,
    /// The name as typed, right or wrong.
    pub name: String,
    /// The value as typed, right or wrong; the [`MASK`] where a stored value is kept.
    pub value: String,
    /// The switch of the row: its value is sealed, and shown to nobody once it is saved.
    pub is_secret: bool,
    /// Up, Down and Delete work on the checked rows.
    pub is_checked: bool,
    /// The switch was set by a person or by what is stored; the name no longer sets it.
    pub(super) is_decided: bool,
    /// Name and repeat, from 0, of the stored value that the mask stands for, wherever the row moves.
    pub(super) stored: Option<(String, usize)>,
}

impl EditorRow {
    /// Both cells hold at most blanks; such a row is not posted.
    pub fn is_empty(&self) -> bool {
        self.name.trim().is_empty() && self.value.trim().is_empty()
    }

    /// The row keeps a stored value, which cannot be shown.
    pub fn is_kept(&self) -> bool {
        self.value == MASK
    }

    /// Returns what announcements call the row.
    pub(super) fn title(&self) -> &str {
        match self.name.trim() {
            "" => "A header without a name",
            name => name,
        }
    }

    /// Takes a name. One that looks secret turns the switch on, and while there is no value to protect, another that does
    /// not turns it off: on the way to `X-Author` stands `X-Auth`.
    pub(super) fn set_name(&mut self, name: String) {
        self.name = name;
        if !self.is_decided && (looks_secret(&self.name) || self.value.trim().is_empty()) {
            self.is_secret = looks_secret(&self.name);
        }
    }

    /// Takes a value. The mask as a whole keeps what is stored. In a secret row, whatever else is a new value, and what is
    /// left in it of the mask is dropped.
    pub(super) fn set_value(&mut self, value: &str) {
        if value.trim() == MASK {
            MASK.clone_into(&mut self.value);
            (self.is_secret, self.is_decided) = (true, true);
        } else if self.is_secret {
            self.value = value.replace(MASK_CHAR, "");
        } else {
            value.clone_into(&mut self.value);
        }
    }

    /// Sets the switch, and answers with what to announce. A stored value that was cleared by turning it off is kept again
    /// when it is turned on.
    pub(super) fn set_secret(&mut self, is_secret: bool) -> Option<String> {
        (self.is_secret, self.is_decided) = (is_secret, true);
        if is_secret && self.value.trim().is_empty() && self.kept_repeat().is_some() {
            MASK.clone_into(&mut self.value);
        }
        if is_secret || !self.is_kept() {
            return None;
        }
        self.value.clear();
        Some(format!("{}: the stored value cannot be shown, enter it again", self.title()))
    }

    /// Returns the repeat of the name that has the stored value, unless the row has another name now.
    fn kept_repeat(&self) -> Option<usize> {
        let (name, repeat) = self.stored.as_ref()?;
        name.eq_ignore_ascii_case(self.name.trim()).then_some(*repeat)
    }

    /// Returns the line of the row in the text of the headers.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.name, if self.is_secret { MASK } else { &self.value })
    }

    /// Returns the value of the row in the text of the secret headers. `repeat` is the row's own among those of its name.
    pub(super) fn secret_value(&self, repeat: usize) -> String {
        if !self.is_kept() {
            return self.value.clone();
        }
        match self.kept_repeat() {
            Some(stored) if stored != repeat => Kept::Repeat(stored).to_text(),
            _ => MASK.to_owned(),
        }
    }
}
