use super::*;
use crate::webhook::Authorization;

/// A draft whose texts have `*` for the mask.
fn draft(headers: &str, secrets: &str) -> WebhookDraft {
    WebhookDraft {
        name: "Chat".into(),
        url: "https://chat.example/hook".into(),
        headers: headers.replace('*', MASK),
        secret_headers: secrets.replace('*', MASK),
        ..WebhookDraft::default()
    }
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

/// The names of all headers and the new values; `=0` for the stored value at that index.
fn saved(draft: &WebhookDraft, stored: &str) -> (String, String) {
    let webhook = draft.parse(Some(&self::stored(stored))).expect("valid");
    let change = |value: &SecretHeader| match value {
        SecretHeader::Keep(index) => format!("={index}"),
        SecretHeader::Set(secret) => secret.expose_secret().to_owned(),
    };
    let values: Vec<String> = webhook.secret_values.iter().map(change).collect();
    (webhook.settings.headers.to_text().replace(MASK, "*").replace('\n', ", "), values.join(" "))
}

fn refusals(draft: &WebhookDraft, stored: Option<&StoredWebhook>) -> Vec<String> {
    let errors = draft.parse(stored).expect_err("refused");
    assert!(errors.0.iter().all(|error| error.field == FIELD), "{errors}");
    errors.0.into_iter().map(|error| error.message).collect()
}

#[test]
fn each_mask_keeps_its_stored_value_or_takes_its_line() {
    let check = |stored: &str, headers: &str, secrets: &str, all: &str, values: &str| {
        let got = saved(&draft(headers, secrets), stored);
        assert_eq!(got, (all.to_owned(), values.to_owned()), "{stored} | {headers:?} | {secrets:?}");
    };
    check("", "X: 1", "", "X: 1", "");
    check("A", "A: *", "", "A: *", "=0");
    check("A", "a: *", "A: *", "a: *", "=0");
    check("A", "A: *", "A: new", "A: *", "new");
    check("A", "A: *", "a : a:b ", "A: *", "a:b");
    check("A", "X: 1", "", "X: 1", "");
    check("A", "A: plain", "", "A: plain", "");
    // Moved rows.
    check("A B", "B: *\nX: 1\nA: *", "", "B: *, X: 1, A: *", "=1 =0");
    // Repeats.
    check("A B A", "A: *\nA: *\nB: *", "", "A: *, A: *, B: *", "=0 =2 =1");
    check("A A", "A: *\nA: *", "A: *\nA: new", "A: *, A: *", "=0 new");
    check("A A", "A: *\nA: *", "A: new", "A: *, A: *", "new =1");
    check("A A", "A: plain\nA: *", "", "A: plain, A: *", "=0");
    // Repeats that the grid has moved, and the first of them deleted.
    check("A A", "A: *\nA: *", "A: * 2\nA: * 1", "A: *, A: *", "=1 =0");
    check("A A", "A: *", "A: * 2", "A: *", "=1");
    check("A", "A: *\nA: *", "A: new\nA: * 1", "A: *, A: *", "new =0");
    // Lines too many are new headers at the end, masks too many nothing.
    check("", "X: 1", "A: new", "X: 1, A: *", "new");
    check("A", "A: *\nX: 1", "A: *\nA: new\nB: other", "A: *, X: 1, A: *, B: *", "=0 new other");
    check("A", "X: 1", "A: *", "X: 1", "");
    check("A A", "A: *", "A: *\nA: *", "A: *", "=0");
    check("", "A: plain", "A: new", "A: plain, A: *", "new");
}

#[test]
fn wrong_secret_line_is_named_and_its_value_is_not_repeated() {
    let check = |headers: &str, secrets: &str, message: &str| {
        let got = refusals(&draft(headers, secrets), Some(&stored("A")));
        assert_eq!(got, [message.replace('*', MASK)], "{headers:?} {secrets:?}");
    };
    check("", "A: x\ncanary", "Line 2: there is no colon. Write it as Name: Value.");
    check("", "\n: canary", "Line 2: the name before the colon is missing.");
    check("", "A:", "Line 1: A has no value.");
    check("", "A: canary\u{7}", "Line 1: the value contains a control character.");
    check("", &format!("A: {}", "c".repeat(4097)), "Line 1: the value is too long; 4096 bytes are the most.");
    check("", "Host: canary", "Line 1: Host cannot be set here: the host comes from the URL.");
    let part = "Line 1: the value of A has a part of the mask in it. Enter all of the value, without •.";
    for broken in ["A: *canary", "A: canary•", "A: * 0", "A: ••"] {
        check("A: *", broken, part);
    }
}

#[test]
fn mask_without_a_stored_value_demands_one() {
    let check = |stored: &str, headers: &str, secrets: &str, message: &str| {
        let got = refusals(&draft(headers, secrets), Some(&self::stored(stored)));
        assert_eq!(got, [message], "{headers:?} {secrets:?}");
    };
    check("", "A: *", "", "Enter the value of A: none is stored for it.");
    check("A", "B: *", "", "Enter the value of B: none is stored for it.");
    check("A", "A: *\nA: *", "", "Enter the value of A (number 2): none is stored for it.");
    check("A", "A: *", "A: * 2", "Enter the value of A: none is stored for it.");
    let twice = "Enter the value of A (number 2): the stored one stays with another A.";
    check("A", "A: *\nA: *", "A: * 1\nA: * 1", twice);
    let of_new = refusals(&draft("A: *", ""), None);
    assert_eq!(of_new, ["Enter the value of A: none is stored for it."]);
}

#[test]
fn changed_target_demands_all_secret_headers_again() {
    let base = draft("A: *\nX: 1\nB: *\nB: *", "");
    let refused = ["A", "B (number 1)", "B (number 2)"];
    for changed in [
        WebhookDraft { url: "http://chat.example/hook".into(), ..base.clone() },
        WebhookDraft { url: "https://evil.example/hook".into(), ..base.clone() },
        WebhookDraft { url: "https://chat.example:8443/hook".into(), ..base.clone() },
        WebhookDraft { allow_insecure: "true".into(), ..base.clone() },
    ] {
        let got = refusals(&changed, Some(&stored("A B B")));
        assert_eq!(got.len(), 3);
        for (message, title) in got.iter().zip(refused) {
            assert!(message.starts_with(&format!("Enter the value of {title} again: ")), "{message}");
        }
        let entered = WebhookDraft { secret_headers: "A: 1\nB: 2\nB: 3".into(), ..changed };
        assert_eq!(saved(&entered, "A B B").1, "1 2 3");
    }
    let path = WebhookDraft { url: "https://CHAT.example/other".into(), ..base };
    assert_eq!(saved(&path, "A B B").1, "=0 =1 =2");
}

#[test]
fn another_header_for_the_key_demands_no_secret_header_again() {
    let authorization = Authorization::ApiKey { header: "X-Was".into(), prefix: String::new() };
    let stored = StoredWebhook { authorization, ..stored("A") };
    let (auth_type, api_key, api_key_header) = ("api_key".into(), "k".into(), "X-Is".into());
    let draft = WebhookDraft { auth_type, api_key, api_key_header, ..draft("A: *", "") };
    assert!(draft.parse(Some(&stored)).is_ok());
}

#[test]
fn all_headers_count_together() {
    let plain = vec!["X: 1"; MAX_ROWS].join("\n");
    assert!(draft(&plain, "").parse(None).is_ok());
    assert_eq!(refusals(&draft(&plain, "A: 1"), None), ["There are 65 headers; 64 are the most."]);
}

#[test]
fn secret_header_is_not_also_set_by_the_authorization() {
    let draft =
        WebhookDraft { auth_type: "bearer".into(), token: "t".into(), ..draft("X: 1", "authorization: canary") };
    let got = refusals(&draft, None);
    assert!(got.len() == 1 && got[0].starts_with("Authorization is already set"), "{got:?}");
}

#[test]
fn refused_form_carries_no_secret_value_back() {
    let check = |typed: &str, blanked: &str, has_new: bool| {
        let got = without_values(&typed.replace('*', MASK));
        assert_eq!(got, (blanked.replace('*', MASK), has_new), "{typed:?}");
    };
    check("", "", false);
    check("A: *\nA: * 2", "A: *\nA: * 2", false);
    check("A: canary\r\n\nB: *", "A:\nB: *", true);
    check("canary", ":", true);
    check("can ary: x", ":", true);
    check(": canary", ":", true);
    check("A: *canary", "A:", true);
    check("A:", "A:", false);
}

#[test]
fn value_lost_with_a_refused_form_is_demanded_again_and_not_silently_kept() {
    let refused = draft("A: *\nB: *", "A: canary\nC: canary").without_secrets();
    assert_eq!((refused.retype.as_str(), refused.secret_headers.as_str()), ("secret_headers", "A:\nC:"));
    let stored = stored("A B");
    let got = refusals(&refused, Some(&stored));
    let again = "again: the form was refused, and a page never carries a secret back.";
    assert_eq!(
        got,
        ["A", "C"]
            .map(|name| { format!("Line {}: Enter the new value of {name} {again}", if name == "A" { 1 } else { 2 }) })
    );
    // Refused once more, nothing is forgotten.
    let refused = refused.without_secrets();
    assert_eq!((refused.retype.as_str(), refused.secret_headers.as_str()), ("secret_headers", "A:\nC:"));
    // The values are entered again, or the stored headers stay. In the second case the new header is absent.
    let entered = WebhookDraft { secret_headers: "A: 1\nC: 2".into(), ..refused.clone() };
    assert_eq!(saved(&entered, "A B"), ("A: *, B: *, C: *".into(), "1 =1 2".into()));
    let left = WebhookDraft { keep_secrets: "true".into(), ..refused };
    assert_eq!(saved(&left, "A B"), ("A: *, B: *".into(), "=0 =1".into()));
    // The choice to leave it does not hold for what is typed after it.
    let typed = WebhookDraft { secret_headers: "A: canary".into(), ..left }.without_secrets();
    assert_eq!((typed.keep_secrets.as_str(), typed.secret_headers.as_str()), ("", "A:"));
}

#[test]
fn sealed_headers_have_the_new_and_the_retained_values() {
    let row = |name: &str, value: &str| HeaderRow { name: name.into(), value: value.into() };
    let stored_rows = HeaderList(vec![row("A", "1"), row("B", "2")]);
    let webhook = draft("B: *\nA: *", "A: new\nC: more").parse(Some(&stored("A B"))).expect("valid");
    let sealed = webhook.secret_rows(&stored_rows).expect("stored");
    assert_eq!(sealed, HeaderList(vec![row("B", "2"), row("A", "new"), row("C", "more")]));
    assert_eq!(webhook.secret_rows(&HeaderList::default()), Err(MissingSecret("B".into())));
    let sent = webhook.settings.headers.with_secrets(&sealed).expect("all there");
    assert_eq!(sent, sealed);
}

#[test]
fn checked_webhook_never_prints_a_secret_header() {
    assert!(!format!("{:?}", draft("X: 1", "A: canary-7f3a").parse(None)).contains("canary"));
}

#[test]
fn draft_without_the_field_has_no_secret_headers() {
    let read: WebhookDraft = serde_json::from_str(r#"{"name":"n"}"#).expect("a draft");
    assert_eq!(read.secret_headers, "");
    let read: WebhookDraft = serde_json::from_str(r#"{"secret_headers":"A: 1"}"#).expect("a draft");
    assert_eq!(read.secret_headers, "A: 1");
}
