use super::*;
use secrecy::ExposeSecret;

fn draft() -> WebhookDraft {
    WebhookDraft { name: "Chat".into(), url: "https://chat.example/hook".into(), ..WebhookDraft::default() }
}

fn stored() -> StoredWebhook {
    StoredWebhook {
        is_signing: false,
        secret_headers: Vec::new(),
        origin: "https://chat.example:443".into(),
        allows_insecure_tls: false,
        authorization: Authorization::Bearer,
    }
}

fn wrong_fields(draft: &WebhookDraft, stored: Option<&StoredWebhook>) -> Vec<String> {
    match draft.parse(stored) {
        Ok(webhook) => panic!("accepted {webhook:?}"),
        Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
    }
}

#[test]
fn new_draft_needs_only_a_name_and_a_url() {
    assert_eq!(wrong_fields(&WebhookDraft::default(), None), ["name", "url"]);
    let webhook = draft().parse(None).expect("valid");
    assert_eq!(webhook.settings.headers.to_text(), "Content-Type: application/json");
    let Settings { timeout, retries, method, .. } = webhook.settings;
    assert_eq!((timeout.as_secs(), retries, method), (5, 3, Method::Post));
}

#[test]
fn edit_without_a_change_saves_the_stored_settings() {
    let basic = Authorization::Basic { username: "u".into() };
    let key = Authorization::ApiKey { header: "X-Key".into(), prefix: "Key".into() };
    for authorization in [Authorization::None, basic, Authorization::Bearer, key] {
        let settings = Settings {
            name: "Chat".into(),
            url: TargetUrl::parse("https://chat.example/other").expect("a URL"),
            method: Method::Put,
            authorization,
            headers: crate::header::HeaderList::parse("X-A: 1\nX-B: 2", "").expect("headers"),
            allows_insecure_tls: true,
            is_direct: true,
            timeout: std::time::Duration::from_secs(7),
            retries: 4,
            note: "What for\nand whom to ask".into(),
        };
        let (allows_insecure_tls, authorization) = (true, settings.authorization.clone());
        let stored = StoredWebhook { allows_insecure_tls, authorization, is_signing: true, ..stored() };
        let checked = WebhookDraft::of(&settings, true, 1).parse(Some(&stored)).expect("valid");
        assert_eq!(checked.settings, settings);
    }
}

#[test]
fn wrong_field_is_refused_by_its_own_rule() {
    let check = |field: &str, change: fn(&mut WebhookDraft)| {
        let mut draft = draft();
        change(&mut draft);
        assert_eq!(wrong_fields(&draft, None), [field]);
    };
    check("name", |d| d.name = "  ".into());
    check("name", |d| d.name = "x".repeat(129));
    check("name", |d| d.name = "pay\u{202e}gnp".into());
    check("kind", |d| d.kind = "email".into());
    check("url", |d| d.url = "chat.example".into());
    check("auth_type", |d| d.auth_type = "digest".into());
    check("token", |d| d.auth_type = "bearer".into());
    check("token", |d| (d.auth_type, d.token) = ("bearer".into(), "Bearer xyz".into()));
    check("token", |d| (d.auth_type, d.token) = ("bearer".into(), "a b".into()));
    check("token", |d| (d.auth_type, d.token) = ("bearer".into(), "x".repeat(4097)));
    check("api_key", |d| d.auth_type = "api_key".into());
    check("api_key_header", |d| {
        (d.auth_type, d.api_key, d.api_key_header) = ("api_key".into(), "k".into(), "X Key".into());
    });
    check("api_key_prefix", |d| {
        (d.auth_type, d.api_key, d.api_key_prefix) = ("api_key".into(), "k".into(), "é".into());
    });
    check("username", |d| (d.auth_type, d.username, d.password) = ("basic".into(), "a:b".into(), "p".into()));
    check("password", |d| d.auth_type = "basic".into());
    check("headers", |d| d.headers = "nothing".into());
    check("headers", |d| {
        (d.auth_type, d.token, d.headers) = ("bearer".into(), "t".into(), "authorization: x".into());
    });
    check("timeout", |d| d.timeout = "2".into());
    check("timeout", |d| d.timeout = "121".into());
    check("timeout", |d| d.timeout = "5.5".into());
    check("retries", |d| d.retries = "-1".into());
    check("retries", |d| d.retries = "101".into());
    check("method", |d| d.method = "HEAD".into());
    check("note", |d| d.note = "x".repeat(501));
}

#[test]
fn pasted_bearer_word_is_explained() {
    let draft = WebhookDraft { auth_type: "bearer".into(), token: "bearer xyz".into(), ..draft() };
    let errors = draft.parse(None).expect_err("refused");
    assert!(errors.message("token").is_some_and(|message| message.contains("without the word Bearer")));
}

#[test]
fn empty_secret_keeps_the_stored_one_while_the_target_stays() {
    let draft = WebhookDraft { auth_type: "bearer".into(), url: "https://CHAT.example/other".into(), ..draft() };
    assert!(matches!(draft.parse(Some(&stored())).expect("valid").secret, SecretChange::Keep));
}

#[test]
fn changed_target_demands_the_secret_again() {
    let base = WebhookDraft { auth_type: "bearer".into(), ..draft() };
    for changed in [
        WebhookDraft { url: "http://chat.example/hook".into(), ..base.clone() },
        WebhookDraft { url: "https://evil.example/hook".into(), ..base.clone() },
        WebhookDraft { url: "https://chat.example:8443/hook".into(), ..base.clone() },
        WebhookDraft { allow_insecure: "true".into(), ..base.clone() },
    ] {
        assert_eq!(wrong_fields(&changed, Some(&stored())), ["token"]);
    }
    let key = StoredWebhook {
        authorization: Authorization::ApiKey { header: "X-API-Key".into(), prefix: String::new() },
        ..stored()
    };
    let moved = WebhookDraft { auth_type: "api_key".into(), api_key_header: "X-Other".into(), ..draft() };
    assert_eq!(wrong_fields(&moved, Some(&key)), ["api_key"]);
    assert_eq!(wrong_fields(&WebhookDraft { auth_type: "api_key".into(), ..draft() }, Some(&stored())), ["api_key"]);
}

#[test]
fn checked_webhook_never_prints_its_secret() {
    let draft = WebhookDraft { auth_type: "bearer".into(), token: "canary-7f3a".into(), ..draft() };
    assert!(!format!("{:?}", draft.parse(None)).contains("canary"));
}

#[test]
fn wrong_url_does_not_hide_the_errors_of_the_secret() {
    let both = WebhookDraft { url: "ftp://x".into(), auth_type: "bearer".into(), token: "Bearer x".into(), ..draft() };
    assert_eq!(wrong_fields(&both, None), ["url", "token"]);
}

#[test]
fn basic_takes_an_empty_half() {
    let basic = |username: &str, password: &str| {
        let (username, password) = (username.to_owned(), password.to_owned());
        WebhookDraft { auth_type: "basic".into(), username, password, ..draft() }
    };
    for (username, password) in [("token", ""), ("", "token")] {
        let checked = basic(username, password).parse(None).expect("valid");
        assert!(matches!(&checked.secret, SecretChange::Set(secret) if secret.expose_secret() == password));
        assert_eq!(checked.settings.authorization, Authorization::Basic { username: username.into() });
    }
    let errors = basic("", "").parse(None).expect_err("nothing to send");
    assert_eq!(errors.message("password"), Some("Enter a user name, a password, or both."));
    // A webhook with a stored password keeps the password.
    let stored = StoredWebhook { authorization: Authorization::Basic { username: "u".into() }, ..stored() };
    assert!(matches!(basic("u", "").parse(Some(&stored)).expect("valid").secret, SecretChange::Keep));
}
