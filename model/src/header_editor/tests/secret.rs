use super::{Act, apply, arb_acts, assert_waiting, id_at};
use crate::header::MASK;
use crate::header_editor::{EditorRow, HeaderEditor};
use crate::webhook::{Authorization, SecretHeader, StoredWebhook, WebhookDraft};
use proptest::prelude::*;

/// Returns an editor on two texts that have `*` for the mask.
fn open(headers: &str, secrets: &str) -> HeaderEditor {
    HeaderEditor::from_texts(&headers.replace('*', MASK), &secrets.replace('*', MASK))
}

/// Returns the posted texts, with `*` for the mask.
fn posted(editor: &HeaderEditor) -> (String, String) {
    let (headers, secrets) = editor.posted();
    (headers.replace(MASK, "*"), secrets.replace(MASK, "*"))
}

fn assert_posted(editor: &HeaderEditor, headers: &str, secrets: &str) {
    assert_eq!(posted(editor), (headers.to_owned(), secrets.to_owned()));
}

/// Returns name, value and switch of each row but the waiting one: `*` for the mask, `S` for the switch.
fn rows(editor: &HeaderEditor) -> String {
    assert_waiting(editor);
    let row = |row: &EditorRow| {
        let switch = if row.is_secret { " S" } else { "" };
        format!("{}={}{switch}", row.name, row.value.replace(MASK, "*"))
    };
    editor.headers().iter().map(row).collect::<Vec<_>>().join(", ")
}

fn type_row(editor: &mut HeaderEditor, name: &str, value: &str) -> u32 {
    let id = editor.add();
    editor.set_name(id, name);
    editor.set_value(id, value);
    id
}

#[test]
fn two_texts_open_as_one_grid_and_are_written_back() {
    let check = |headers: &str, secrets: &str, shown: &str, written: (&str, &str)| {
        let editor = open(headers, secrets);
        assert_eq!(rows(&editor), shown, "{headers:?} {secrets:?}");
        assert_eq!(posted(&editor), (written.0.to_owned(), written.1.to_owned()), "{headers:?} {secrets:?}");
    };
    check("A: *\nB: 1", "", "A=* S, B=1", ("A: *\nB: 1", ""));
    check("A: *\nB: 1", "a: *", "A=* S, B=1", ("A: *\nB: 1", ""));
    check("A: *", "A: x:y", "A=x:y S", ("A: *", "A: x:y"));
    check("A: *\nA: *", "A: *\nA: x", "A=* S, A=x S", ("A: *\nA: *", "A: *\nA: x"));
    check("B: 1", "A: x", "B=1, A=x S", ("B: 1\nA: *", "A: x"));
    check("B: 1", "A: *", "B=1", ("B: 1", ""));
    check("A: *", "A: * 2", "A=* S", ("A: *", "A: * 2"));
    check("A: *\nA: *", "A: * 2\nA: * 1", "A=* S, A=* S", ("A: *\nA: *", "A: * 2\nA: * 1"));
    // A value that was lost with a refused form is an empty cell.
    check("A: *", "A:", "A= S", ("A: *", "A: "));
    // A wrong value stays in its cell.
    check("", "no colon\nA: \u{7}", "no colon= S, A=\u{7} S", ("no colon: *\nA: *", "no colon: \nA: \u{7}"));
}

#[test]
fn stored_plain_row_whose_name_looks_secret_stays_plain() {
    let mut editor = open("X-Key: 1", "");
    assert_eq!(rows(&editor), "X-Key=1");
    editor.set_name(id_at(&editor, 0), "X-API-Key");
    assert_eq!(rows(&editor), "X-API-Key=1");
    editor.toggle_raw().expect("to raw");
    editor.toggle_raw().expect("and back");
    assert_eq!(rows(&editor), "X-API-Key=1");
}

#[test]
fn name_that_looks_secret_turns_the_switch_on_until_a_person_turns_it_off() {
    let mut editor = open("", "");
    let id = editor.add();
    let name = |editor: &mut HeaderEditor, name: &str| {
        editor.set_name(id, name);
        editor.rows()[0].is_secret
    };
    assert!(!name(&mut editor, "X-Au"));
    assert!(name(&mut editor, "X-Auth"));
    assert!(!name(&mut editor, "X-Author"), "nothing to protect yet");
    assert!(name(&mut editor, "X-Key"));
    editor.set_value(id, "k");
    assert!(name(&mut editor, "X-Keys"), "a typed value is never laid open by a name");
    assert_eq!(editor.set_secret(id, false), None);
    assert!(!name(&mut editor, "X-Token"));
    assert_posted(&editor, "X-Token: k", "");
    assert_eq!(editor.set_secret(id, true), None);
    assert!(name(&mut editor, "X-Route"));
    assert_posted(&editor, "X-Route: *", "X-Route: k");
}

#[test]
fn whole_line_in_a_name_cell_and_pasted_lines_turn_the_switch_on() {
    let mut editor = open("", "");
    let id = editor.add();
    assert!(editor.set_name(id, "X-Key: k"));
    assert_eq!(rows(&editor), "X-Key=k S");
    assert!(editor.paste(id, &format!("A: 1\nX-Token: t\nB: {MASK}")));
    assert_eq!(rows(&editor), "X-Key=k S, A=1, X-Token=t S, B=* S");
    assert_posted(&editor, "X-Key: *\nA: 1\nX-Token: *\nB: *", "X-Key: k\nX-Token: t\nB: *");
}

#[test]
fn turning_the_switch_off_clears_a_stored_value_and_turning_it_on_brings_it_back() {
    let mut editor = open("A: *\nB: *", "B: x");
    let (a, b) = (id_at(&editor, 0), id_at(&editor, 1));
    let said = editor.set_secret(a, false);
    assert_eq!(said.as_deref(), Some("A: the stored value cannot be shown, enter it again"));
    assert_eq!(editor.set_secret(b, false), None);
    assert_eq!(rows(&editor), "A=, B=x");
    editor.set_secret(a, true);
    editor.set_secret(b, true);
    assert_eq!(rows(&editor), "A=* S, B=x S");
    assert_eq!(editor.set_secret(9999, true), None);
}

#[test]
fn typing_into_a_masked_row_replaces_the_whole_mask() {
    let check = |typed: &str, value: &str, secrets: &str| {
        let mut editor = open("A: *", "");
        editor.set_value(id_at(&editor, 0), &typed.replace('*', MASK));
        assert_eq!(rows(&editor), format!("A={value} S"), "{typed:?}");
        assert_posted(&editor, "A: *", secrets);
    };
    check("*", "*", "");
    check(" * ", "*", "");
    check("new", "new", "A: new");
    check("*n", "n", "A: n");
    check("n*", "n", "A: n");
    check("•••n••••", "n", "A: n");
    check("•••••••", "", "A: ");
    check("", "", "A: ");
    let mut editor = open("A: *", "");
    let id = id_at(&editor, 0);
    editor.set_value(id, "new");
    editor.set_value(id, MASK);
    assert_posted(&editor, "A: *", "");
}

#[test]
fn mask_typed_into_a_plain_row_makes_it_secret() {
    let mut editor = open("A: 1", "");
    editor.set_value(id_at(&editor, 0), MASK);
    assert_eq!(rows(&editor), "A=* S");
    let mut plain = open("A: 1", "");
    plain.set_value(id_at(&plain, 0), "a • b");
    assert_posted(&plain, "A: a • b", "");
}

#[test]
fn deleting_the_first_of_two_alike_keeps_the_value_of_the_second() {
    let mut editor = open("A: *\nB: 1\nA: *", "");
    editor.check(id_at(&editor, 0), true);
    editor.delete();
    assert_posted(&editor, "B: 1\nA: *", "A: * 2");
}

#[test]
fn new_row_above_one_of_the_same_name_does_not_take_the_stored_value() {
    let mut editor = open("A: *", "");
    let id = type_row(&mut editor, "A", "new");
    editor.set_secret(id, true);
    editor.check(id, true);
    editor.move_up();
    assert_posted(&editor, "A: *\nA: *", "A: new\nA: * 1");
}

#[test]
fn renamed_row_does_not_take_the_value_of_its_new_name() {
    let mut editor = open("A: *\nB: *", "");
    editor.set_name(id_at(&editor, 0), "B");
    assert_posted(&editor, "B: *\nB: *", "B: *\nB: * 1");
    let (headers, secret_headers) = editor.posted();
    let draft = WebhookDraft { headers, secret_headers, ..base() };
    let errors = draft.parse(Some(&stored("A B"))).expect_err("one value for two headers");
    assert_eq!(errors.count_fields(), 1);
    editor.set_name(id_at(&editor, 0), "A");
    assert_posted(&editor, "A: *\nB: *", "");
}

#[test]
fn raw_mode_shows_masks_and_loses_no_value() {
    let check = |raw: &str, shown: &str, secrets: &str| {
        let mut editor = open("A: *\nB: 1\nC: *\nC: *\nX-Key: plain", "C: x");
        editor.toggle_raw().expect("to raw");
        assert_eq!(editor.to_text().replace(MASK, "*"), "A: *\nB: 1\nC: *\nC: *\nX-Key: plain");
        editor.set_raw(&raw.replace('*', MASK));
        let was_posted = posted(&editor);
        editor.toggle_raw().expect("every line parses");
        assert_eq!(rows(&editor), shown, "{raw:?}");
        assert_eq!(posted(&editor), was_posted, "the same is posted from the text area, {raw:?}");
        assert_eq!(was_posted.1, secrets, "{raw:?}");
    };
    check("A: *\nC: *\nC: *", "A=* S, C=x S, C=* S", "A: *\nC: x\nC: *");
    check("c: *\nA: *\nC: *", "c=x S, A=* S, C=* S", "c: x\nA: *\nC: *");
    check("C: *", "C=x S", "C: x");
    check("C: x2\nA: *", "C=x2 S, A=* S", "C: x2\nA: *");
    // One mask of two was typed over: the remaining mask is the first.
    check("C: y\nC: *", "C=y S, C=x S", "C: y\nC: x");
    check("A: new", "A=new S", "A: new");
    // Plain rows stay plain. New rows are secret by their names.
    check("B: 2\nX-Key: other", "B=2, X-Key=other", "");
    check("B: 1\nB: 2\nX-Token: t\nD: *", "B=1, B=2, X-Token=t S, D=* S", "X-Token: t\nD: *");
    check("X-Key: plain\nX-Key: more", "X-Key=plain, X-Key=more S", "X-Key: more");
    check("", "", "");
}

#[test]
fn plain_row_beside_a_secret_one_of_the_same_name_stays_plain() {
    let mut editor = open("A: 1\nA: *", "");
    editor.toggle_raw().expect("to raw");
    editor.toggle_raw().expect("and back");
    assert_eq!(rows(&editor), "A=1, A=* S");
}

#[test]
fn secret_lines_without_a_mask_are_not_lost_where_the_headers_open_raw() {
    let mut editor = open("no colon\nA: *", "A: x\nB: y\nC: *");
    assert!(editor.is_raw());
    assert_eq!(editor.to_text().replace(MASK, "*"), "no colon\nA: *\nB: *");
    assert_posted(&editor, "no colon\nA: *\nB: *", "A: x\nB: y\nC: *");
    editor.set_raw(&format!("B: {MASK}\nA: {MASK}"));
    editor.toggle_raw().expect("every line parses");
    assert_eq!(rows(&editor), "B=y S, A=x S");
}

fn base() -> WebhookDraft {
    WebhookDraft { name: "n".into(), url: "https://chat.example".into(), ..WebhookDraft::default() }
}

fn stored(names: &str) -> StoredWebhook {
    StoredWebhook {
        origin: "https://chat.example:443".into(),
        allows_insecure_tls: false,
        authorization: Authorization::None,
        is_signing: false,
        secret_headers: names.split_whitespace().map(str::to_owned).collect(),
    }
}

fn arb_moves() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (any::<usize>(), any::<bool>()).prop_map(|(place, is_checked)| Act::Check(place, is_checked)),
        2 => Just(Act::Up),
        2 => Just(Act::Down),
        1 => Just(Act::Delete),
        1 => Just(Act::Toggle),
    ];
    proptest::collection::vec(act, 0..30)
}

proptest! {
    /// The same moves of plain rows, numbered by their values, show the right position of each stored value.
    #[test]
    fn each_stored_value_goes_with_its_row(names in proptest::collection::vec("[A-Ca]", 0..8), acts in arb_moves()) {
        let line = |(place, name): (usize, &String)| format!("{name}: {place}");
        let plain: Vec<String> = names.iter().enumerate().map(line).collect();
        let masked: Vec<String> = names.iter().map(|name| format!("{name}: {MASK}")).collect();
        let (mut plain, mut secret) = (open(&plain.join("\n"), ""), open(&masked.join("\n"), ""));
        for act in &acts {
            apply(&mut plain, act);
            apply(&mut secret, act);
        }
        let (headers, secret_headers) = secret.posted();
        let webhook = WebhookDraft { headers, secret_headers, ..base() }.parse(Some(&stored(&names.join(" "))));
        let kept = |value: &SecretHeader| match value {
            SecretHeader::Keep(place) => place.to_string(),
            SecretHeader::Set(_) => "new".to_owned(),
        };
        let kept: Vec<String> = webhook.expect("valid").secret_values.iter().map(kept).collect();
        let text = plain.to_text();
        let expected: Vec<&str> = text.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn posted_texts_open_as_the_same_rows(text in "(X-(A|B|Key): (x|••••••••)\n){0,6}", acts in arb_acts()) {
        let mut editor = HeaderEditor::from_texts(&text, "X-A: y\nX-Key: z");
        for act in &acts {
            apply(&mut editor, act);
        }
        let (headers, secrets) = editor.posted();
        let again = HeaderEditor::from_texts(&headers, &secrets);
        if !editor.is_raw() && !again.is_raw() {
            let shown = |editor: &HeaderEditor| -> Vec<_> {
                let filled = editor.rows().iter().filter(|row| !row.is_empty());
                filled.map(|row| (row.name.trim().to_owned(), row.value.trim().to_owned(), row.is_secret)).collect()
            };
            prop_assert_eq!(shown(&again), shown(&editor));
        }
    }

    #[test]
    fn no_text_of_the_headers_has_a_secret_value(acts in arb_acts()) {
        let mut editor = open("A: *\nB: *", "A: canary-7f3a");
        for act in acts.iter().filter(|act| !matches!(act, Act::Value(..) | Act::Raw(_))) {
            apply(&mut editor, act);
            prop_assert!(!editor.to_text().contains("canary-7f3a") && !editor.posted().0.contains("canary-7f3a"));
        }
    }

    #[test]
    fn any_two_texts_open_without_a_panic(headers in any::<String>(), secrets in any::<String>()) {
        let editor = HeaderEditor::from_texts(&headers, &secrets);
        let _ = (editor.posted(), WebhookDraft { headers, secret_headers: secrets, ..base() }.without_secrets());
    }
}
