use super::*;
use proptest::prelude::*;

mod secret;

fn open(text: &str) -> HeaderEditor {
    HeaderEditor::from_texts(text, "")
}

/// Returns a grid with one header for each letter. Capital letters are checked. The values tell repeats apart.
fn grid(letters: &str) -> HeaderEditor {
    let line = |(place, letter): (usize, char)| format!("{}: {place}", letter.to_ascii_lowercase());
    let mut editor = open(&letters.chars().enumerate().map(line).collect::<Vec<_>>().join("\n"));
    for (place, letter) in letters.chars().enumerate() {
        editor.check(editor.rows[place].id, letter.is_ascii_uppercase());
    }
    editor
}

/// Returns the reverse of [`grid`]: the names in order, the checked ones as capitals, without the waiting row.
fn letters(editor: &HeaderEditor) -> String {
    assert_waiting(editor);
    let letter = |row: &EditorRow| if row.is_checked { row.name.to_ascii_uppercase() } else { row.name.clone() };
    editor.headers().iter().map(letter).collect()
}

fn assert_waiting(editor: &HeaderEditor) {
    let last = editor.rows().last().expect("a row waits");
    assert!(last.is_empty() && !last.is_checked, "{editor:?}");
    assert!(!editor.is_raw() || editor.rows().len() == 1, "{editor:?}");
}

fn id_at(editor: &HeaderEditor, place: usize) -> u32 {
    editor.rows()[place].id
}

#[test]
fn text_that_parses_opens_the_grid_and_is_written_back_in_one_form() {
    let check = |text: &str, written: &str| {
        let editor = open(text);
        assert!(!editor.is_raw());
        assert_eq!(editor.to_text(), written);
        assert_waiting(&editor);
    };
    check("", "");
    check("\n \r\n", "");
    check("Content-Type: application/json", "Content-Type: application/json");
    check("X-B:2\r\n\nx-a: a:b \nX-B: 3\n", "X-B: 2\nx-a: a:b\nX-B: 3");
}

#[test]
fn text_that_does_not_parse_opens_raw_and_stays_the_same_to_the_byte() {
    for text in ["no colon", "X-A: 1\n bad name : x\r\n\n", "Host: a", "X-A:", ": v", "X-A: a\u{7}b", " \nX\t"] {
        let editor = open(text);
        assert!(editor.is_raw());
        assert_eq!(editor.to_text(), text);
        assert_waiting(&editor);
    }
}

#[test]
fn whole_line_in_a_name_cell_is_split_like_the_text() {
    let mut editor = open("X-B: 2");
    let (first, waiting) = (id_at(&editor, 0), id_at(&editor, 1));
    assert!(!editor.set_name(waiting, "X-A"));
    assert!(editor.set_name(waiting, "X-A:"), "typing goes on in the value");
    assert_eq!(editor.to_text(), "X-B: 2\nX-A: ");
    assert!(editor.set_name(first, "X-C: a:b "));
    assert_eq!(editor.to_text(), "X-C: a:b\nX-A: ");
    assert!(editor.set_name(first, "X-D:"));
    assert_eq!(editor.to_text(), "X-D: a:b\nX-A: ", "a colon alone changes no value");
    assert_waiting(&editor);
}

#[test]
fn several_pasted_lines_become_several_rows() {
    let mut editor = open("X-Z: 0\nX-Y: 1");
    let (first, waiting) = (id_at(&editor, 0), id_at(&editor, 2));
    assert!(!editor.paste(first, "X-A: 1\n"), "one line is typing");
    assert!(!editor.paste(9999, "a\nb"));
    assert!(editor.paste(waiting, "X-A: 1\r\n\r\nX-B:2\nno colon\n"));
    assert_eq!(editor.to_text(), "X-Z: 0\nX-Y: 1\nX-A: 1\nX-B: 2\nno colon: ");
    assert!(editor.paste(first, "X-C: 3\nX-D: 4"));
    assert_eq!(editor.to_text(), "X-Z: 0\nX-C: 3\nX-D: 4\nX-Y: 1\nX-A: 1\nX-B: 2\nno colon: ");
    assert_waiting(&editor);
    assert_eq!(editor.toggle_raw(), Ok(()));
    assert!(!editor.paste(first, "a\nb"), "a late event changes no text");
}

#[test]
fn typing_in_the_waiting_row_appends_the_next_one() {
    let mut editor = open("");
    let first = id_at(&editor, 0);
    editor.set_name(first, "X");
    editor.set_name(first, "X-Env");
    assert_eq!(editor.rows().len(), 2);
    let second = id_at(&editor, 1);
    editor.set_value(second, "lonely");
    assert_eq!(editor.rows().len(), 3);
    assert_eq!(editor.to_text(), "X-Env: \n: lonely");
    editor.set_value(9999, "nobody");
    assert_eq!(editor.to_text(), "X-Env: \n: lonely");
    assert_eq!(id_at(&editor, 0), first);
    assert_waiting(&editor);
}

#[test]
fn rows_left_empty_stay_in_the_grid_and_are_not_posted() {
    let mut editor = grid("abc");
    editor.set_name(id_at(&editor, 1), " ");
    editor.set_value(id_at(&editor, 1), "");
    assert_eq!(editor.rows().len(), 4);
    assert_eq!(editor.to_text(), "a: 0\nc: 2");
    let waiting = id_at(&editor, 3);
    editor.set_name(waiting, "  ");
    assert_eq!(editor.rows().len(), 4);
}

#[test]
fn line_break_in_a_cell_does_not_start_another_header() {
    let mut editor = open("X-A: 1");
    editor.set_value(id_at(&editor, 0), "1\r\nX-Evil: 2");
    assert_eq!(editor.to_text(), "X-A: 1X-Evil: 2");
}

#[test]
fn checked_rows_move_up_one_place_and_a_block_at_the_top_stays() {
    let check = |before: &str, after: &str, said: Option<&str>| {
        let mut editor = grid(before);
        assert_eq!(editor.can_move_up(), said.is_some(), "{before}");
        assert_eq!(editor.move_up().as_deref(), said, "{before}");
        assert_eq!(letters(&editor), after, "{before}");
    };
    check("", "", None);
    check("abc", "abc", None);
    check("Abc", "Abc", None);
    check("ABC", "ABC", None);
    check("aBcd", "Bacd", Some("b moved to position 1 of 4"));
    check("abC", "aCb", Some("c moved to position 2 of 3"));
    check("aBC", "BCa", Some("2 headers moved up"));
    check("AbCd", "ACbd", Some("c moved to position 2 of 4"));
    check("aBcD", "BaDc", Some("2 headers moved up"));
    check("ABcDeF", "ABDcFe", Some("2 headers moved up"));
}

#[test]
fn checked_rows_move_down_one_place_and_never_below_the_waiting_row() {
    let check = |before: &str, after: &str, said: Option<&str>| {
        let mut editor = grid(before);
        assert_eq!(editor.can_move_down(), said.is_some(), "{before}");
        assert_eq!(editor.move_down().as_deref(), said, "{before}");
        assert_eq!(letters(&editor), after, "{before}");
    };
    check("", "", None);
    check("abc", "abc", None);
    check("abC", "abC", None);
    check("ABC", "ABC", None);
    check("aBcd", "acBd", Some("b moved to position 3 of 4"));
    check("Abc", "bAc", Some("a moved to position 2 of 3"));
    check("ABc", "cAB", Some("2 headers moved down"));
    check("aBcD", "acBD", Some("b moved to position 3 of 4"));
    check("AbCd", "bAdC", Some("2 headers moved down"));
}

#[test]
fn nameless_row_is_announced_as_such() {
    let mut editor = grid("aB");
    editor.set_name(id_at(&editor, 1), "");
    assert_eq!(editor.move_up().as_deref(), Some("A header without a name moved to position 1 of 2"));
    assert_eq!(editor.delete().as_deref(), Some("A header without a name deleted, 1 left"));
}

#[test]
fn delete_removes_the_checked_rows_and_says_how_many_are_left() {
    let check = |before: &str, after: &str, said: Option<&str>| {
        let mut editor = grid(before);
        assert_eq!(editor.can_delete(), said.is_some(), "{before}");
        assert_eq!(editor.delete().as_deref(), said, "{before}");
        assert_eq!(letters(&editor), after, "{before}");
        assert!(!editor.can_delete());
    };
    check("", "", None);
    check("ab", "ab", None);
    check("aBc", "ac", Some("b deleted, 2 left"));
    check("AbC", "b", Some("2 headers deleted, 1 left"));
    check("AB", "", Some("2 headers deleted, 0 left"));
}

#[test]
fn select_all_box_shows_none_some_or_all_and_never_checks_the_waiting_row() {
    let check = |letters: &str, shown: AllChecked| assert_eq!(grid(letters).all_checked(), shown, "{letters}");
    check("", AllChecked::None);
    check("ab", AllChecked::None);
    check("aB", AllChecked::Some);
    check("AB", AllChecked::All);

    let mut editor = grid("aB");
    editor.check_all(true);
    assert_eq!(letters(&editor), "AB");
    editor.check_all(false);
    assert_eq!(letters(&editor), "ab");
    editor.check(id_at(&editor, 2), true);
    assert_eq!(letters(&editor), "ab");
}

#[test]
fn add_returns_the_waiting_row_and_appends_no_second_one() {
    let mut editor = grid("ab");
    let waiting = id_at(&editor, 2);
    assert_eq!((editor.add(), editor.add()), (waiting, waiting));
    assert_eq!(editor.announce_add(), "Row 3 is ready for a new header");
    assert_eq!(editor.rows().len(), 3);
    editor.set_name(waiting, "c");
    assert_ne!(editor.add(), waiting);
}

#[test]
fn raw_text_returns_to_the_grid_only_when_every_line_parses() {
    let mut editor = open("X-A: 1");
    let id = id_at(&editor, 0);
    assert_eq!(editor.toggle_raw(), Ok(()));
    assert_eq!(editor.to_text(), "X-A: 1");

    let text = "X-A: 1\nno colon\n\nbad name: x\nX-C:\nX-D: a\u{7}b\nHost: x\nX-B:2";
    editor.set_raw(text);
    let errors = editor.toggle_raw().expect_err("five wrong lines");
    let starts: Vec<&str> = errors.0.iter().map(|error| &error.message[..7]).collect();
    assert_eq!(starts, ["Line 2:", "Line 4:", "Line 5:", "Line 6:", "Line 7:"]);
    assert!(errors.0.iter().all(|error| error.field == "headers"));
    assert!(editor.is_raw());
    assert_eq!(editor.to_text(), text);

    editor.set_raw("X-A: 1\nX-B:2");
    assert_eq!(editor.toggle_raw(), Ok(()));
    assert!(!editor.is_raw());
    assert_eq!(editor.to_text(), "X-A: 1\nX-B: 2");
    assert!(editor.rows().iter().all(|row| row.id > id), "no id is given twice");
}

#[test]
fn hidden_grid_or_text_area_takes_no_input() {
    let mut editor = grid("aB");
    editor.set_raw("X: 1");
    assert_eq!(letters(&editor), "aB");
    editor.toggle_raw().expect("to raw");
    let only = id_at(&editor, 0);
    editor.set_name(only, "X");
    editor.check(only, true);
    editor.check_all(true);
    assert!(!editor.can_move_up() && !editor.can_move_down() && !editor.can_delete());
    assert_eq!((editor.move_up(), editor.move_down(), editor.delete()), (None, None, None));
    assert_eq!((editor.add(), editor.all_checked()), (only, AllChecked::None));
    assert_eq!(editor.to_text(), "a: 0\nb: 1");
    assert_waiting(&editor);
}

#[test]
fn repeats_apart_are_named_once_as_first_typed() {
    let check = |text: &str, names: &[&str]| assert_eq!(open(text).repeats_apart(), names, "{text}");
    check("", &[]);
    check("X-A: 1\nX-B: 2", &[]);
    check("X-A: 1\nx-a: 2\nX-B: 3", &[]);
    check("X-A: 1\nX-B: 2\nx-a: 3", &["X-A"]);
    check("X-A: 1\nX-B: 2\nx-a: 3\nX-a: 4\nX-B: 5\nX-A: 6", &["X-A", "X-B"]);
    check("X-A: 1\nX-A: 2\nX-B: 3\nX-B: 4\nX-A: 5", &["X-A"]);
    check("X-A: 1\n\nx-a: 2", &[]);
    check("x-a :1\nno colon\n: v\nX-B: 2\nX-A: 3", &["x-a"]);
}

/// An action of a person. Positions count from the top and wrap, so that each hits a row.
#[derive(Debug, Clone)]
enum Act {
    Name(usize, String),
    Value(usize, String),
    Check(usize, bool),
    CheckAll(bool),
    Up,
    Down,
    Add,
    Delete,
    Toggle,
    Raw(String),
}

fn arb_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "X-[A-Da-d]", 1 => " ?", 1 => "[ -~]{1,8}", 1 => Just("Host".to_owned())]
}

fn arb_value() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[!-~]([ -~]{0,8}[!-~])?", 1 => " ?", 1 => "[ -~]{1,8}"]
}

fn arb_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![6 => "X-[A-D]: ?[a-z:]{1,5}", 1 => "[ -~]{0,8}"];
    proptest::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n"))
}

fn arb_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<usize>(), arb_name()).prop_map(|(place, text)| Act::Name(place, text)),
        4 => (any::<usize>(), arb_value()).prop_map(|(place, text)| Act::Value(place, text)),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(place, is_checked)| Act::Check(place, is_checked)),
        1 => any::<bool>().prop_map(Act::CheckAll),
        3 => Just(Act::Up),
        3 => Just(Act::Down),
        1 => Just(Act::Add),
        1 => Just(Act::Delete),
        2 => Just(Act::Toggle),
        1 => arb_text().prop_map(Act::Raw),
    ]
}

fn apply(editor: &mut HeaderEditor, act: &Act) {
    let id_near = |place: usize| editor.rows[place % editor.rows.len()].id;
    match act {
        Act::Name(place, text) => _ = editor.set_name(id_near(*place), text),
        Act::Value(place, text) => editor.set_value(id_near(*place), text),
        Act::Check(place, is_checked) => editor.check(id_near(*place), *is_checked),
        Act::CheckAll(is_checked) => editor.check_all(*is_checked),
        Act::Up => drop(editor.move_up()),
        Act::Down => drop(editor.move_down()),
        Act::Add => assert_eq!(Some(editor.add()), editor.rows.last().map(|row| row.id)),
        Act::Delete => drop(editor.delete()),
        Act::Toggle => drop(editor.toggle_raw()),
        Act::Raw(text) => editor.set_raw(text),
    }
}

/// Name, value and check of a row.
type Cells = (String, String, bool);

/// A reference implementation: plain cells without ids, and the waiting row apart from them.
#[derive(Debug, Clone, Default)]
struct Reference {
    cells: Vec<Cells>,
    /// Blank at most.
    waiting: Cells,
    raw: Option<String>,
}

impl Reference {
    fn from_text(text: &str) -> Self {
        let mut reference = Self { raw: Some(text.to_owned()), ..Self::default() };
        reference.toggle();
        reference
    }

    fn to_text(&self) -> String {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let lines = self.cells.iter().map(|(name, value, _)| format!("{name}: {value}"));
        lines.filter(|line| !line.replacen(':', "", 1).trim().is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn toggle(&mut self) {
        let raw = match &self.raw {
            None => Some(self.to_text()),
            Some(text) => match HeaderList::parse(text, "headers") {
                Err(_) => return,
                Ok(list) => {
                    self.cells = list.0.into_iter().map(|row| (row.name, row.value, false)).collect();
                    None
                }
            },
        };
        self.raw = raw;
        self.waiting = Cells::default();
    }

    fn apply(&mut self, act: &Act) {
        match (act, &mut self.raw) {
            (Act::Toggle, _) => self.toggle(),
            (Act::Raw(text), Some(raw)) => raw.clone_from(text),
            (Act::Raw(_) | Act::Add, None) | (_, Some(_)) => {}
            (Act::Name(place, text), None) => self.type_at(*place, |cells| match text.find(':') {
                Some(colon) => {
                    text[..colon].trim().clone_into(&mut cells.0);
                    if text[colon + 1..].trim() != "" {
                        text[colon + 1..].trim().clone_into(&mut cells.1);
                    }
                }
                None => cells.0.clone_from(text),
            }),
            (Act::Value(place, text), None) => self.type_at(*place, |cells| cells.1.clone_from(text)),
            (Act::Check(place, is_checked), None) => {
                let place = place % (self.cells.len() + 1);
                self.cells.iter_mut().skip(place).take(1).for_each(|cells| cells.2 = *is_checked);
            }
            (Act::CheckAll(is_checked), None) => self.cells.iter_mut().for_each(|cells| cells.2 = *is_checked),
            (Act::Up, None) => self.cells = one_up(&self.cells),
            (Act::Down, None) => {
                self.cells.reverse();
                self.cells = one_up(&self.cells);
                self.cells.reverse();
            }
            (Act::Delete, None) => self.cells.retain(|cells| !cells.2),
        }
    }

    fn type_at(&mut self, place: usize, change: impl FnOnce(&mut Cells)) {
        let place = place % (self.cells.len() + 1);
        if let Some(cells) = self.cells.get_mut(place) {
            change(cells);
            return;
        }
        change(&mut self.waiting);
        if !(self.waiting.0.trim().is_empty() && self.waiting.1.trim().is_empty()) {
            self.cells.push(std::mem::take(&mut self.waiting));
        }
    }
}

/// Moves each run of checked rows above the unchecked row before it.
fn one_up(cells: &[Cells]) -> Vec<Cells> {
    let mut moved = Vec::new();
    let mut passed = None;
    for cells in cells {
        if cells.2 {
            moved.push(cells.clone());
        } else {
            moved.extend(passed.replace(cells.clone()));
        }
    }
    moved.extend(passed);
    moved
}

fn run(text: &str, acts: &[Act]) -> HeaderEditor {
    let mut editor = open(text);
    for act in acts {
        apply(&mut editor, act);
    }
    editor
}

fn arb_acts() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(arb_act(), 0..40)
}

proptest! {
    #[test]
    fn any_sequence_of_operations_agrees_with_the_reference(text in arb_text(), acts in arb_acts()) {
        let mut editor = open(&text);
        let mut reference = Reference::from_text(&text);
        for act in &acts {
            apply(&mut editor, act);
            reference.apply(act);
            prop_assert_eq!(editor.is_raw(), reference.raw.is_some(), "{:?}", act);
            prop_assert_eq!(editor.to_text(), reference.to_text(), "{:?}", act);
            if !editor.is_raw() {
                let cells = |row: &EditorRow| (row.name.clone(), row.value.clone(), row.is_checked);
                let held: Vec<Cells> = editor.headers().iter().map(cells).collect();
                prop_assert_eq!(&held, &reference.cells, "{:?}", act);
            }
        }
    }

    #[test]
    fn waiting_row_is_last_and_ids_are_unique_after_every_operation(text in arb_text(), acts in arb_acts()) {
        let mut editor = open(&text);
        assert_waiting(&editor);
        for act in &acts {
            apply(&mut editor, act);
            assert_waiting(&editor);
            let ids: std::collections::BTreeSet<u32> = editor.rows().iter().map(|row| row.id).collect();
            prop_assert_eq!(ids.len(), editor.rows().len());
            prop_assert!(ids.iter().all(|id| *id < editor.next_id));
        }
    }

    #[test]
    fn move_keeps_every_row_and_the_order_within_checked_and_unchecked(
        text in arb_text(),
        acts in arb_acts(),
        is_up in any::<bool>(),
    ) {
        let before = run(&text, &acts);
        let mut after = before.clone();
        let can_move = if is_up { after.can_move_up() } else { after.can_move_down() };
        let said = if is_up { after.move_up() } else { after.move_down() };
        prop_assert_eq!(said.is_some(), can_move);
        prop_assert_eq!(before != after, can_move);
        prop_assert_eq!(before.rows().last(), after.rows().last());
        for is_checked in [false, true] {
            let part = |editor: &HeaderEditor| -> Vec<EditorRow> {
                editor.rows().iter().filter(|row| row.is_checked == is_checked).cloned().collect()
            };
            prop_assert_eq!(part(&before), part(&after));
        }
        for (place, row) in before.rows().iter().enumerate().filter(|(_, row)| row.is_checked) {
            let now = after.rows().iter().position(|other| other.id == row.id);
            let goal = if is_up { place.checked_sub(1) } else { Some(place + 1) };
            prop_assert!(now == Some(place) || now == goal);
        }
    }

    #[test]
    fn delete_removes_exactly_the_checked_rows(text in arb_text(), acts in arb_acts()) {
        let before = run(&text, &acts);
        let mut after = before.clone();
        prop_assert_eq!(after.delete().is_some(), before.can_delete());
        let kept: Vec<&EditorRow> = before.rows().iter().filter(|row| !row.is_checked).collect();
        prop_assert_eq!(after.rows().iter().collect::<Vec<_>>(), kept);
    }

    #[test]
    fn raw_and_back_keeps_valid_rows_as_they_are(
        rows in proptest::collection::vec(("X-[A-Da-d]", "[!-~]([ -~]{0,8}[!-~])?"), 0..12),
    ) {
        let mut editor = open("");
        for (name, value) in &rows {
            let id = editor.add();
            editor.set_name(id, name);
            editor.set_value(id, value);
        }
        let text = editor.to_text();
        prop_assert_eq!(editor.toggle_raw(), Ok(()));
        prop_assert_eq!(editor.to_text(), text);
        prop_assert_eq!(editor.toggle_raw(), Ok(()));
        let back: Vec<_> = editor.headers().iter().map(|row| (row.name.clone(), row.value.clone())).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn any_text_is_shown_in_the_grid_or_kept_to_the_byte(text in any::<String>()) {
        let mut editor = open(&text);
        match HeaderList::parse(&text, "headers") {
            Ok(list) => prop_assert_eq!(editor.to_text(), list.to_text()),
            Err(errors) => {
                prop_assert_eq!(editor.toggle_raw(), Err(errors));
                prop_assert_eq!(editor.to_text(), text);
            }
        }
    }

    #[test]
    fn repeats_apart_are_the_names_whose_positions_have_a_gap(names in proptest::collection::vec("[A-Ca-c]", 0..8)) {
        let lines: Vec<String> = names.iter().map(|name| format!("{name}: 1")).collect();
        let apart = open(&lines.join("\n")).repeats_apart();
        for name in ["a", "b", "c"] {
            let is_it = |place: &usize| names[*place].eq_ignore_ascii_case(name);
            let places: Vec<usize> = (0..names.len()).filter(is_it).collect();
            let has_gap = places.windows(2).any(|pair| pair[1] != pair[0] + 1);
            let named: Vec<&String> = apart.iter().filter(|n| n.eq_ignore_ascii_case(name)).collect();
            let expected: Vec<&String> = if has_gap { vec![&names[places[0]]] } else { vec![] };
            prop_assert_eq!(named, expected);
        }
    }
}

#[test]
fn dragged_row_takes_the_place_of_the_one_it_is_dropped_on() {
    let mut editor = HeaderEditor::from_texts("A: 1\nB: 2\nC: 3", "");
    let id = |editor: &HeaderEditor, name: &str| {
        editor.rows().iter().find(|row| row.name == name).map(|row| row.id).expect("a row")
    };
    let (a, b, c) = (id(&editor, "A"), id(&editor, "B"), id(&editor, "C"));
    assert_eq!(editor.drag(a, c).as_deref(), Some("A moved to position 3 of 3"));
    assert_eq!(editor.to_text(), "B: 2\nC: 3\nA: 1");
    editor.drag(a, b);
    assert_eq!(editor.to_text(), "A: 1\nB: 2\nC: 3");
    let waiting = editor.rows().last().map(|row| row.id).expect("the waiting row");
    editor.drag(b, waiting);
    assert_eq!(editor.to_text(), "A: 1\nC: 3\nB: 2", "to the end, and the waiting row stays last");
    assert_eq!(editor.drag(waiting, a), None);
    assert_eq!(editor.drag(99, a), None);
}
