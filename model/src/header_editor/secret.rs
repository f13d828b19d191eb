//! The secret rows of the editor: read from two texts, written as two texts, and kept while the text area shows their
//! masks.

use super::{EditorRow, FIELD, HeaderEditor, one_line};
use crate::header::secret::{Kept, MASK, pair, repeat_at};
use crate::header::{HeaderList, HeaderRow, looks_secret, numbered_lines, split_line};

impl HeaderEditor {
    /// Opens the grid on the headers and the values of the secret ones, or the raw text area if a line of `headers`
    /// does not parse. `secrets` is read as the server reads it, but nothing in it is refused: a wrong value stays in
    /// its cell.
    pub fn from_texts(headers: &str, secrets: &str) -> Self {
        let mut editor = Self { rows: Vec::new(), next_id: 1, raw: None, replaced: Vec::new() };
        let lines = secret_rows(secrets);
        match HeaderList::parse(headers, FIELD) {
            Ok(list) => editor.show(with_lines(list, &lines), None),
            Err(_) => {
                let text = with_masks(headers, &lines);
                editor.show(Vec::new(), Some(text));
                editor.replaced = lines;
                number(&mut editor.replaced);
            }
        }
        editor
    }

    /// Returns the headers as text: the raw text exactly, or a `Name: Value` line for each row that is not empty, with
    /// the mask for the value of a secret row. Posted if it does not parse.
    ///
    /// A row without a name or a value has a line too, so that the parser reports it. No name has a colon, which would
    /// split the line elsewhere: see [`Self::set_name`].
    pub fn to_text(&self) -> String {
        match &self.raw {
            Some(text) => text.clone(),
            None => {
                let filled = self.rows.iter().filter(|row| !row.is_empty());
                filled.map(EditorRow::line).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Returns the values of the secret rows as `Name: Value` lines, in order. A mask keeps a stored value. Empty if
    /// every line would be a mask, which means the same.
    pub fn secret_text(&self) -> String {
        let rows = if self.is_raw() { &self.replaced } else { &self.rows };
        let rows: Vec<&EditorRow> = rows.iter().filter(|row| row.is_secret && !row.is_empty()).collect();
        let names: Vec<&str> = rows.iter().map(|row| row.name.trim()).collect();
        let value = |(index, row): (usize, &&EditorRow)| row.secret_value(repeat_at(&names, index));
        let values: Vec<String> = rows.iter().enumerate().map(value).collect();
        if values.iter().all(|value| value == MASK) {
            return String::new();
        }
        names.iter().zip(values).map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    }

    /// Returns the texts to post as `headers` and `secret_headers`.
    ///
    /// Raw text that parses is posted as the grid would write it. So a secret typed over its mask is posted as a
    /// secret.
    pub fn posted(&self) -> (String, String) {
        let mut grid = self.clone();
        if self.is_raw() && grid.toggle_raw().is_err() {
            return (self.to_text(), self.secret_text());
        }
        (grid.to_text(), grid.secret_text())
    }

    /// Sets the switch of a row. An id without a row is ignored. Turning the switch off clears a stored value, which
    /// cannot be shown; the sentence to announce says so. A typed value stays.
    pub fn set_secret(&mut self, id: u32, is_secret: bool) -> Option<String> {
        let mut sentence = None;
        self.edit_row(id, |row| sentence = row.set_secret(is_secret));
        sentence
    }
}

/// Returns the rows for raw text. A line takes up the replaced row of its name and repeat, if there is one. A mask
/// takes a secret row. A plain line takes a plain row, or else a secret row whose mask was typed over.
pub(super) fn rows_of_raw(list: HeaderList, mut replaced: Vec<EditorRow>) -> Vec<EditorRow> {
    let mut take = |name: &str, is_secret: bool| {
        let is_same = |row: &EditorRow| row.is_secret == is_secret && row.name.trim().eq_ignore_ascii_case(name);
        Some(replaced.remove(replaced.iter().position(is_same)?))
    };
    let mut found: Vec<Option<EditorRow>> =
        list.0.iter().map(|header| take(&header.name, header.is_secret())).collect();
    for (header, found) in list.0.iter().zip(&mut found) {
        if found.is_none() && !header.is_secret() {
            *found = take(&header.name, true);
        }
    }
    let row = |(header, found): (HeaderRow, Option<EditorRow>)| match found {
        None => new_row(&header.name, &header.value),
        Some(mut row) => {
            if !header.is_secret() {
                row.set_value(&header.value);
            }
            EditorRow { name: header.name, is_checked: false, ..row }
        }
    };
    list.0.into_iter().zip(found).map(row).collect()
}

/// Returns a row as if a person typed the name and then the value.
fn new_row(name: &str, value: &str) -> EditorRow {
    let mut row = EditorRow::default();
    row.set_name(one_line(name));
    row.set_value(&one_line(value));
    row
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Returns a row for each line of the secret headers, right or wrong.
fn secret_rows(text: &str) -> Vec<EditorRow> {
    let row = |(_, line): (usize, &str)| {
        let (name, value) = split_line(line).unwrap_or((line.trim(), ""));
        let (value, repeat) = match Kept::parse(value) {
            Some(Kept::InPlace) => (MASK.to_owned(), None),
            Some(Kept::Repeat(repeat)) => (MASK.to_owned(), Some(repeat)),
            None => (one_line(value), None),
        };
        let stored = repeat.map(|repeat| (name.to_owned(), repeat));
        EditorRow { name: one_line(name), value, is_secret: true, is_switch_set: true, stored, ..EditorRow::default() }
    };
    numbered_lines(text).map(row).collect()
}

/// Returns the rows with the values of the secret lines in place of their masks. Lines without a mask come last.
fn with_lines(list: HeaderList, lines: &[EditorRow]) -> Vec<EditorRow> {
    let names: Vec<&str> = lines.iter().map(|row| row.name.as_str()).collect();
    let (found, left) = pair(&list.secret_names(), &names);
    let mut found = found.into_iter();
    let mut rows: Vec<EditorRow> = Vec::new();
    for HeaderRow { name, value } in list.0 {
        let mut row = EditorRow { is_secret: value == MASK, is_switch_set: true, name, value, ..EditorRow::default() };
        if !row.is_secret {
            // A stored row whose name looks secret is plain because a person turned its switch off.
            row.is_switch_set = looks_secret(&row.name);
        } else if let Some(index) = found.next().flatten() {
            row.value.clone_from(&lines[index].value);
            row.stored.clone_from(&lines[index].stored);
        }
        rows.push(row);
    }
    rows.extend(left.into_iter().map(|index| lines[index].clone()).filter(|row| !row.has_stored_value()));
    number(&mut rows);
    rows
}

/// Adds a mask to the text for each secret line without one, so that every value has a row.
fn with_masks(text: &str, lines: &[EditorRow]) -> String {
    let masked = |(_, line): (usize, &str)| {
        split_line(line).ok().filter(|(_, value)| *value == MASK).map(|(name, _)| name.to_owned())
    };
    let masked: Vec<String> = numbered_lines(text).filter_map(masked).collect();
    let names: Vec<&str> = lines.iter().map(|row| row.name.as_str()).collect();
    let (_, left) = pair(&texts(&masked), &names);
    let mut text = text.to_owned();
    for row in left.into_iter().map(|index| &lines[index]).filter(|row| !row.has_stored_value()) {
        text.push('\n');
        text.push_str(&row.line());
    }
    text
}

/// Sets the stored value of each secret row: that of its own repeat, unless the text named another.
fn number(rows: &mut [EditorRow]) {
    let names: Vec<String> = rows.iter().filter(|row| row.is_secret).map(|row| row.name.clone()).collect();
    let names = texts(&names);
    for (index, row) in rows.iter_mut().filter(|row| row.is_secret).enumerate() {
        row.stored.get_or_insert_with(|| (row.name.clone(), repeat_at(&names, index)));
    }
}
