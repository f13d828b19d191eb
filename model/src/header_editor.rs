//! The header editor of the webhook form as plain data: a grid of rows, or raw text instead of the grid.
//!
//! The page renders [`HeaderEditor::rows`], keyed by [`EditorRow::id`], and calls one operation for each action of a
//! person. It posts [`HeaderEditor::posted`]. This module must not touch the browser, and must not have a grammar of
//! its own: text is read with [`HeaderList::parse`], as the server and the API do.
//!
//! A row whose switch is on is secret: every text has the mask instead of its value, which is posted separately.
//!
//! Two invariants hold after every operation. Nothing typed is lost: text that does not parse stays raw text. The last
//! row is the waiting row: empty, unchecked, never moved and never deleted. In raw mode it is the only row, so that
//! operations of the grid do nothing.

use crate::field_error::FieldErrors;
use crate::header::HeaderList;

mod row;
mod secret;
pub use row::EditorRow;

/// The form field that the text is posted as, and that errors are reported for.
const FIELD: &str = "headers";

/// The state of the *select all* box of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllChecked {
    /// No row is checked, or there is none to check.
    None,
    /// At least one row is checked and at least one is not: the indeterminate box.
    Some,
    /// Every row but the waiting one is checked.
    All,
}

/// The state of the editor. Operations that screen readers announce return the sentence to announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderEditor {
    rows: Vec<EditorRow>,
    next_id: u32,
    /// The content of the text area, in raw mode.
    raw: Option<String>,
    /// The rows of the grid before raw mode. The masks in the text stand for their values.
    replaced: Vec<EditorRow>,
}

impl HeaderEditor {
    /// Returns the rows of the grid in order, the waiting row last. In raw mode there is only the waiting row.
    pub fn rows(&self) -> &[EditorRow] {
        &self.rows
    }

    /// Returns true in raw mode: a text area is shown instead of the grid.
    pub fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Takes the text typed into the text area. Does nothing while the grid is shown.
    pub fn set_raw(&mut self, text: &str) {
        if let Some(raw) = &mut self.raw {
            text.clone_into(raw);
        }
    }

    /// Switches between the grid and the text area. Checks are lost, and rows get new ids. Back in the grid, each mask
    /// gets the value of its secret row, by name and order of repeats.
    ///
    /// # Errors
    /// On the way back to the grid, every line that [`HeaderList::parse`] refuses. The editor is then unchanged.
    pub fn toggle_raw(&mut self) -> Result<(), FieldErrors> {
        match &self.raw {
            Some(text) => {
                let list = HeaderList::parse(text, FIELD)?;
                let rows = secret::rows_of_raw(list, std::mem::take(&mut self.replaced));
                self.show(rows, None);
            }
            None => {
                let text = self.to_text();
                let replaced = self.rows.iter().filter(|row| !row.is_empty()).cloned().collect();
                self.show(Vec::new(), Some(text));
                self.replaced = replaced;
            }
        }
        Ok(())
    }

    /// Takes the text typed into the name cell of a row. An id without a row is ignored. A colon ends the name, as in
    /// the text form: the rest becomes the value, unless it is blank. Returns true if there was a colon, so that typing
    /// continues in the value cell.
    pub fn set_name(&mut self, id: u32, text: &str) -> bool {
        let text = one_line(text);
        let split = text.split_once(':');
        self.edit_row(id, |row| match split {
            None => row.set_name(text.clone()),
            Some((name, value)) => {
                row.set_name(name.trim().to_owned());
                if !value.trim().is_empty() {
                    row.set_value(value.trim());
                }
            }
        });
        split.is_some()
    }

    /// Takes several pasted lines, each as a row. The first line goes into this row if the row is empty, and the others
    /// follow. Returns false and changes nothing if the text is a single line, which the browser pastes itself.
    pub fn paste(&mut self, id: u32, text: &str) -> bool {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let Some(mut at) = self.rows.iter().position(|row| row.id == id) else { return false };
        if lines.len() < 2 || self.raw.is_some() {
            return false;
        }
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if !self.rows[at].is_empty() {
                at += 1;
                self.rows.insert(at, EditorRow { id: self.next_id, ..EditorRow::default() });
                self.next_id += 1;
            }
            self.rows[at].set_name(one_line(name.trim()));
            self.rows[at].set_value(&one_line(value.trim()));
        }
        self.ensure_waiting_row();
        true
    }

    /// Takes the text typed into the value cell of a row. An id without a row is ignored. The exact mask keeps the
    /// stored value; any other text is a new value.
    pub fn set_value(&mut self, id: u32, text: &str) {
        self.edit_row(id, |row| row.set_value(&one_line(text)));
    }

    /// Checks or unchecks a row. The waiting row has no check.
    pub fn check(&mut self, id: u32, is_checked: bool) {
        if let Some(row) = self.headers_mut().iter_mut().find(|row| row.id == id) {
            row.is_checked = is_checked;
        }
    }

    /// Checks or unchecks every row but the waiting one.
    pub fn check_all(&mut self, is_checked: bool) {
        for row in self.headers_mut() {
            row.is_checked = is_checked;
        }
    }

    /// Returns the state of the *select all* box.
    pub fn all_checked(&self) -> AllChecked {
        let headers = self.headers();
        match headers.iter().filter(|row| row.is_checked).count() {
            0 => AllChecked::None,
            checked if checked == headers.len() => AllChecked::All,
            _ => AllChecked::Some,
        }
    }

    /// Returns true if a checked row has an unchecked one above it.
    pub fn can_move_up(&self) -> bool {
        !self.headers().is_sorted_by_key(|row| !row.is_checked)
    }

    /// Returns true if a checked row has an unchecked one below it, not counting the waiting row.
    pub fn can_move_down(&self) -> bool {
        !self.headers().is_sorted_by_key(|row| row.is_checked)
    }

    /// Returns true if a row is checked.
    pub fn can_delete(&self) -> bool {
        self.headers().iter().any(|row| row.is_checked)
    }

    /// Moves all checked rows up by one, in their order. A block at the top stays.
    pub fn move_up(&mut self) -> Option<String> {
        let headers = self.headers_mut();
        let mut moved = Vec::new();
        for index in 1..headers.len() {
            if headers[index].is_checked && !headers[index - 1].is_checked {
                headers.swap(index - 1, index);
                moved.push(index - 1);
            }
        }
        self.announce_move(&moved, "up")
    }

    /// Moves all checked rows down by one, in their order. A block at the bottom stays.
    pub fn move_down(&mut self) -> Option<String> {
        let headers = self.headers_mut();
        let mut moved = Vec::new();
        for index in (1..headers.len()).rev() {
            if headers[index - 1].is_checked && !headers[index].is_checked {
                headers.swap(index - 1, index);
                moved.push(index);
            }
        }
        self.announce_move(&moved, "down")
    }

    /// Moves a row to the position of another one. Over the waiting row it goes to the end. An `id` without a row
    /// changes nothing.
    pub fn drag(&mut self, id: u32, over: u32) -> Option<String> {
        let headers = self.headers_mut();
        let from = headers.iter().position(|row| row.id == id)?;
        let to = headers.iter().position(|row| row.id == over).unwrap_or(headers.len() - 1);
        if from < to {
            headers[from..=to].rotate_left(1);
        } else {
            headers[to..=from].rotate_right(1);
        }
        self.announce_move(&[to], "")
    }

    /// Returns the id of the row whose name cell should get the focus: the waiting row.
    ///
    /// Screen readers announce the focus by themselves. [`Self::announce_add`] adds the position of the row.
    pub fn add(&mut self) -> u32 {
        self.ensure_waiting_row()
    }

    /// Returns the sentence to announce after [`Self::add`].
    pub fn announce_add(&self) -> String {
        format!("Row {} is ready for a new header", self.rows.len())
    }

    /// Deletes the checked rows.
    pub fn delete(&mut self) -> Option<String> {
        let before = self.rows.len();
        let title = self.rows.iter().find(|row| row.is_checked)?.title().to_owned();
        self.rows.retain(|row| !row.is_checked);
        let left = self.headers().len();
        Some(match before - self.rows.len() {
            1 => format!("{title} deleted, {left} left"),
            count => format!("{count} headers deleted, {left} left"),
        })
    }

    /// Returns the names, as first typed, that repeat with another header in between. They are sent together, at the
    /// position of the first. Names are compared without case. In raw mode they are read from every line with a colon.
    pub fn repeats_apart(&self) -> Vec<String> {
        let text = self.to_text();
        let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        let mut apart: Vec<String> = Vec::new();
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let first = names[..index].iter().find(|earlier| earlier.eq_ignore_ascii_case(name));
            let follows_its_like = index > 0 && names[index - 1].eq_ignore_ascii_case(name);
            if let Some(first) = first
                && !follows_its_like
                && !apart.iter().any(|found| found.eq_ignore_ascii_case(name))
            {
                apart.push((*first).to_owned());
            }
        }
        apart
    }

    /// Returns every row but the waiting one.
    fn headers(&self) -> &[EditorRow] {
        self.rows.split_last().map_or(&[], |(_, headers)| headers)
    }

    fn headers_mut(&mut self) -> &mut [EditorRow] {
        self.rows.split_last_mut().map_or(&mut [], |(_, headers)| headers)
    }

    fn show(&mut self, rows: Vec<EditorRow>, raw: Option<String>) {
        self.raw = raw;
        self.rows.clear();
        self.replaced.clear();
        for row in rows {
            self.push(row);
        }
        self.ensure_waiting_row();
    }

    fn push(&mut self, row: EditorRow) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.rows.push(EditorRow { id, ..row });
        id
    }

    /// Appends the waiting row unless it is there. Returns its id.
    fn ensure_waiting_row(&mut self) -> u32 {
        match self.rows.last() {
            Some(row) if row.is_empty() && !row.is_checked => row.id,
            _ => self.push(EditorRow::default()),
        }
    }

    /// Changes a row. Does nothing in raw mode: a late event of the grid must not add a row behind the text area.
    fn edit_row(&mut self, id: u32, change: impl FnOnce(&mut EditorRow)) {
        if self.raw.is_none()
            && let Some(row) = self.rows.iter_mut().find(|row| row.id == id)
        {
            change(row);
            self.ensure_waiting_row();
        }
    }

    fn announce_move(&self, moved: &[usize], direction: &str) -> Option<String> {
        match moved {
            [] => None,
            [index] => {
                let headers = self.headers();
                Some(format!("{} moved to position {} of {}", headers[*index].title(), index + 1, headers.len()))
            }
            _ => Some(format!("{} headers moved {direction}", moved.len())),
        }
    }
}

/// Removes line breaks, as an `<input>` does (HTML, value sanitization). A line break in a cell would start another
/// header.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], "")
}

#[cfg(test)]
mod tests;
