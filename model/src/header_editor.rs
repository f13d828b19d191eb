//! The header editor of the webhook form as plain data: a grid of rows, or the raw text in their place.
//!
//! The page renders [`HeaderEditor::rows`] keyed by [`EditorRow::id`] and calls one operation for each thing a person
//! does; what is posted is always [`HeaderEditor::posted`]. This module must not touch the browser and must not have
//! a grammar of its own: text is read with [`HeaderList::parse`], as the server and the API do.
//!
//! A row whose switch is on is secret: every text has the mask for it, and its value is posted apart.
//!
//! Two invariants hold after every operation. Nothing typed is lost: text that does not parse stays raw text. And the
//! last row is the waiting row: empty, unchecked, never moved and never deleted. In raw mode it is the only row, so
//! the operations of the grid find nothing to work on.

use crate::field_error::FieldErrors;
use crate::header::HeaderList;

mod row;
mod secret;
pub use row::EditorRow;

/// The form field that the text is posted as, and that errors are reported for.
const FIELD: &str = "headers";

/// What the *select all* box of the grid shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllChecked {
    /// No row is checked, or there is none to check.
    None,
    /// At least one row is checked and at least one is not: the indeterminate box.
    Some,
    /// Every row but the waiting one is checked.
    All,
}

/// The state of the editor. Each operation that screen readers should hear about returns the sentence to announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderEditor {
    rows: Vec<EditorRow>,
    next_id: u32,
    /// The text area's content while it stands in place of the grid.
    raw: Option<String>,
    /// The rows as they were when the text area took their place. Its masks stand for their values.
    beside: Vec<EditorRow>,
}

impl HeaderEditor {
    /// The rows of the grid in order, the waiting row last; in raw mode only the waiting row.
    pub fn rows(&self) -> &[EditorRow] {
        &self.rows
    }

    /// The text area stands in place of the grid.
    pub fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Takes what was typed into the text area; does nothing while the grid is shown.
    pub fn set_raw(&mut self, text: &str) {
        if let Some(raw) = &mut self.raw {
            text.clone_into(raw);
        }
    }

    /// Changes between the grid and the text area. Checks do not survive, and rows come back with new ids. Values of secret
    /// rows come back to their masks, by name and order of repeats.
    ///
    /// # Errors
    /// On the way back to the grid, every line that [`HeaderList::parse`] refuses. The editor then stays as it was.
    pub fn toggle_raw(&mut self) -> Result<(), FieldErrors> {
        match &self.raw {
            Some(text) => {
                let list = HeaderList::parse(text, FIELD)?;
                let rows = secret::rows_of_raw(list, std::mem::take(&mut self.beside));
                self.show(rows, None);
            }
            None => {
                let text = self.to_text();
                let beside = self.rows.iter().filter(|row| !row.is_empty()).cloned().collect();
                self.show(Vec::new(), Some(text));
                self.beside = beside;
            }
        }
        Ok(())
    }

    /// Takes what was typed into the name cell of a row; a row no longer there is ignored. A colon ends the name, as it does
    /// in the text: what follows it is the value, and the value as it was stays where nothing follows. Answers whether there
    /// was one, so that typing goes on in the value.
    pub fn set_name(&mut self, id: u32, text: &str) -> bool {
        let text = one_line(text);
        let split = text.split_once(':');
        self.type_into(id, |row| match split {
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

    /// Takes several pasted lines: the first into this row if it is empty, each other one into a row of its own after it.
    /// Returns `false`, and changes nothing, where the text is a single line: that is typing.
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
        self.wait_for_row();
        true
    }

    /// Takes what was typed into the value cell of a row; a row no longer there is ignored. The exact mask keeps the stored
    /// value, or keeps it again; any other text is a new value.
    pub fn set_value(&mut self, id: u32, text: &str) {
        self.type_into(id, |row| row.set_value(&one_line(text)));
    }

    /// Checks or unchecks a row; the waiting row has no check.
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

    /// What the *select all* box shows.
    pub fn all_checked(&self) -> AllChecked {
        let headers = self.headers();
        match headers.iter().filter(|row| row.is_checked).count() {
            0 => AllChecked::None,
            checked if checked == headers.len() => AllChecked::All,
            _ => AllChecked::Some,
        }
    }

    /// Some checked row has an unchecked one above it.
    pub fn can_move_up(&self) -> bool {
        !self.headers().is_sorted_by_key(|row| !row.is_checked)
    }

    /// Some checked row has an unchecked one below it, the waiting row apart.
    pub fn can_move_down(&self) -> bool {
        !self.headers().is_sorted_by_key(|row| row.is_checked)
    }

    /// Some row is checked.
    pub fn can_delete(&self) -> bool {
        self.headers().iter().any(|row| row.is_checked)
    }

    /// Moves all checked rows one place up, in their order; a block at the top stays.
    pub fn move_up(&mut self) -> Option<String> {
        let headers = self.headers_mut();
        let mut moved = Vec::new();
        for place in 1..headers.len() {
            if headers[place].is_checked && !headers[place - 1].is_checked {
                headers.swap(place - 1, place);
                moved.push(place - 1);
            }
        }
        self.announce_move(&moved, "up")
    }

    /// Moves all checked rows one place down, in their order; a block at the bottom stays.
    pub fn move_down(&mut self) -> Option<String> {
        let headers = self.headers_mut();
        let mut moved = Vec::new();
        for place in (1..headers.len()).rev() {
            if headers[place - 1].is_checked && !headers[place].is_checked {
                headers.swap(place - 1, place);
                moved.push(place);
            }
        }
        self.announce_move(&moved, "down")
    }

    /// Moves a row to the place of another, which makes room; over the waiting row it goes to the end. Rows that are not
    /// there change nothing.
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

    /// The id of the row whose name should get the focus: the waiting row, as there always is one.
    ///
    /// Focus speaks for itself; [`Self::announce_add`] says where the row stands.
    pub fn add(&mut self) -> u32 {
        self.wait_for_row()
    }

    /// The sentence to announce after [`Self::add`].
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

    /// The names, as first typed, that repeat with another header in between: they are sent together, at the place of
    /// the first. Names are compared without case, and in raw mode they are read from whatever lines have a colon.
    pub fn repeats_apart(&self) -> Vec<String> {
        let text = self.to_text();
        let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        let mut apart: Vec<String> = Vec::new();
        for (place, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let first = names[..place].iter().find(|earlier| earlier.eq_ignore_ascii_case(name));
            let follows_its_like = place > 0 && names[place - 1].eq_ignore_ascii_case(name);
            if let Some(first) = first
                && !follows_its_like
                && !apart.iter().any(|known| known.eq_ignore_ascii_case(name))
            {
                apart.push((*first).to_owned());
            }
        }
        apart
    }

    /// Every row but the waiting one.
    fn headers(&self) -> &[EditorRow] {
        self.rows.split_last().map_or(&[], |(_, headers)| headers)
    }

    fn headers_mut(&mut self) -> &mut [EditorRow] {
        self.rows.split_last_mut().map_or(&mut [], |(_, headers)| headers)
    }

    fn show(&mut self, rows: Vec<EditorRow>, raw: Option<String>) {
        self.raw = raw;
        self.rows.clear();
        self.beside.clear();
        for row in rows {
            self.push(row);
        }
        self.wait_for_row();
    }

    fn push(&mut self, row: EditorRow) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.rows.push(EditorRow { id, ..row });
        id
    }

    /// Appends the waiting row unless it is there, and answers with its id.
    fn wait_for_row(&mut self) -> u32 {
        match self.rows.last() {
            Some(row) if row.is_empty() && !row.is_checked => row.id,
            _ => self.push(EditorRow::default()),
        }
    }

    /// A late event of a grid already replaced by the text area must not put a row behind it.
    fn type_into(&mut self, id: u32, change: impl FnOnce(&mut EditorRow)) {
        if self.raw.is_none()
            && let Some(row) = self.rows.iter_mut().find(|row| row.id == id)
        {
            change(row);
            self.wait_for_row();
        }
    }

    fn announce_move(&self, moved: &[usize], direction: &str) -> Option<String> {
        match moved {
            [] => None,
            [place] => {
                let headers = self.headers();
                Some(format!("{} moved to position {} of {}", headers[*place].title(), place + 1, headers.len()))
            }
            _ => Some(format!("{} headers moved {direction}", moved.len())),
        }
    }
}

/// Drops line breaks, as an `<input>` does (HTML, value sanitization): one left in a cell would start another header.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], "")
}

#[cfg(test)]
mod tests;
