use super::*;
use proptest::prelude::*;
use serde_json::json;

fn rendered(template: &str, escape: Escape, name: &str, data: Option<&Value>) -> Rendered {
    let variables = Variables {
        date: "Thu, 16 Oct 2025 11:38:07 EDT",
        timestamp: 1_760_629_087,
        name,
        type_id: "vms",
        event_id: "poweron",
        object_id: "vm-101",
        task: "Tell \"ops\"",
        id: "0199-id",
        data,
    };
    let mut next = 0;
    let mut random = || {
        next += 1;
        next
    };
    render(template, escape, &variables, &mut random).expect("small")
}

fn body(template: &str, escape: Escape, name: &str) -> String {
    rendered(template, escape, name, None).body
}

#[test]
fn every_variable_is_filled_in() {
    assert_eq!(
        body(
            "${DATE}|${TIMESTAMP}|${RANDOM}|${RANDOM}|${NAME}|${TYPE}.${EVENT}|${OBJECT_ID}|${ID}",
            Escape::Plain,
            "web"
        ),
        "Thu, 16 Oct 2025 11:38:07 EDT|1760629087|1|2|web|vms.poweron|vm-101|0199-id"
    );
}

#[test]
fn text_that_is_not_a_variable_stays_as_typed() {
    for template in [
        "${name}",
        "${ NAME }",
        "${NAME",
        "$NAME",
        "${}",
        "$",
        "${NAMES}",
        "${data.}",
        "${NAME}".strip_suffix('}').unwrap_or(""),
    ] {
        assert_eq!(body(template, Escape::Json, "x"), template);
    }
    assert_eq!(body("$${NAME} $$${NAME}", Escape::Plain, "x"), "${NAME} $${NAME}");
    assert_eq!(unknown_variables("${name} $${NO} ${NAME} ${data.a.b} ${name} ${X}"), [(0, "name"), (43, "X")]);
    assert_eq!(unknown_variables("${VM NAME}${env:HOME} ${} ${{NAME}}"), [(0, "VM NAME"), (10, "env:HOME"), (22, "")]);
    assert_eq!(unknown_variables("${ \"a\" } ${ a\n} ${a${X}"), [(19, "X")]);
}

#[test]
fn unknown_variable_has_no_line_end_in_its_note() {
    assert_eq!(unknown_variables("${a\r}${b\n}${c}"), [(10, "c")]);
    let note = Note::NoVariable("c".to_owned());
    assert_eq!(rendered("${a\r}${c}", Escape::Plain, "x", None).notes(), [note]);
}

#[test]
fn value_is_never_expanded_again() {
    assert_eq!(body("${NAME}", Escape::Plain, "${DATE}"), "${DATE}");
}

#[test]
fn hostile_names_never_change_the_structure_of_json() {
    for name in
        ["\",\"admin\":true,\"x\":\"", "1,\"admin\":true", "a\"b", "a\nb", "a\r\nX-Evil: 1", "\\", "\u{202e}x", "\0"]
    {
        let inside = body("{\"text\": \"VM ${NAME} is on\", \"q\": \"\\\"${NAME}\"}", Escape::Json, name);
        let value: Value = serde_json::from_str(&inside).expect("valid JSON");
        assert_eq!(value, json!({"text": format!("VM {name} is on"), "q": format!("\"{name}")}));
        let outside = body("{\"name\": ${NAME}, \"at\": ${TIMESTAMP}}", Escape::Json, name);
        let value: Value = serde_json::from_str(&outside).expect("valid JSON");
        assert_eq!(value, json!({"name": name, "at": 1_760_629_087}));
    }
}

#[test]
fn backslash_before_a_variable_stays_and_ends_no_string() {
    for name in ["null,1", "\",\"admin\":true,\"x\":\"", "n", "u0022", "\\"] {
        let text = body(r#"{"t":"\${NAME}","n":[${NAME}],"e":"\\${NAME}"}"#, Escape::Json, name);
        let value: Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(value, json!({"t": format!("\\{name}"), "n": [name], "e": format!("\\{name}")}), "{text}");
    }
}

#[test]
fn apostrophe_ends_no_attribute_and_a_random_number_is_not_negative() {
    assert_eq!(body("<n a='${NAME}'/>", Escape::Xml, "x' b='y"), "<n a='x&apos; b=&apos;y'/>");
    let variables = Variables {
        date: "",
        timestamp: 0,
        name: "",
        type_id: "",
        event_id: "",
        object_id: "",
        task: "",
        id: "",
        data: None,
    };
    let most = render("${RANDOM}", Escape::Plain, &variables, &mut || u32::MAX).expect("small");
    assert_eq!(most.body, "2147483647");
}

#[test]
fn data_is_looked_up_by_path_and_absence_is_noted() {
    let data = json!({"disk": [{"free": 7, "label": "a\"b"}], "on": true, "none": null});
    let out = rendered(
        "{\"free\":${data.disk.0.free},\"all\":${data.disk},\"text\":\"${data.disk.0.label} ${data.on}\",\"no\":${data.disk.1.free},\"n\":\"${data.x}\"}",
        Escape::Json,
        "x",
        Some(&data),
    );
    let value: Value = serde_json::from_str(&out.body).expect("valid JSON");
    assert_eq!(value, json!({"free": 7, "all": data["disk"], "text": "a\"b true", "no": null, "n": ""}));
    let absent: Vec<_> = out.absent.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(absent, ["disk.1.free", "x"]);
}

#[test]
fn key_with_dots_slashes_and_blanks_is_written_in_brackets() {
    let data = serde_json::json!({
        "labels": { "app.kubernetes.io/name": "web", "two words": { "it's": 1 }, "say \"hi\"": 2 },
        "disks": [{ "free": 7 }],
    });
    for (template, expected) in [
        (r#"${data.labels["app.kubernetes.io/name"]}"#, "web"),
        ("${data.labels['app.kubernetes.io/name']}", "web"),
        (r#"${data["labels"]["two words"]["it's"]}"#, "1"),
        (r#"${data.labels['say "hi"']}"#, "2"),
        ("${data.disks[0].free}${data.disks.0.free}", "77"),
        (r#"${data.labels["nothing"]}"#, ""),
        // Not variables.
        ("${data[}", "${data[}"),
        (r#"${data["a}"#, r#"${data["a}"#),
        (r#"${data["a"}"#, r#"${data["a"}"#),
        ("${data[x]}", "${data[x]}"),
        ("${data}", "${data}"),
    ] {
        assert_eq!(rendered(template, Escape::Plain, "", Some(&data)).body, expected, "{template}");
    }
    let in_json = r#"{"app": "${data.labels["app.kubernetes.io/name"]}", "n": ${data.labels["none"]}}"#;
    let out = rendered(in_json, Escape::Json, "", Some(&data));
    assert_eq!(out.body, r#"{"app": "web", "n": null}"#);
    assert_eq!(out.absent[0].1, r#"labels["none"]"#);
}

#[test]
fn content_types_like_json_are_escaped_as_json() {
    for content_type in [
        "application/x-ndjson",
        "application/json-seq",
        "application/jsonl",
        "text/x-json",
        "application/geo+json; charset=utf-8",
        "APPLICATION/JSON5",
    ] {
        assert_eq!(Escape::for_content_type(Some(content_type)), Escape::Json, "{content_type}");
    }
    for (content_type, expected) in [
        ("text/html", Escape::Xml),
        ("application/soap+xml", Escape::Xml),
        ("text/plain", Escape::Plain),
        ("json", Escape::Unknown),
    ] {
        assert_eq!(Escape::for_content_type(Some(content_type)), expected, "{content_type}");
    }
}

#[test]
fn escaping_follows_the_content_type() {
    for (content_type, expected) in [
        (Some("application/json; charset=utf-8"), "\"a<b&\\\"c\""),
        (Some("application/vnd.api+json"), "\"a<b&\\\"c\""),
        (Some("Application/XML"), "a&lt;b&amp;&quot;c"),
        (Some("image/svg+xml"), "a&lt;b&amp;&quot;c"),
        (Some("application/x-www-form-urlencoded"), "a%3Cb%26%22c"),
        (Some("text/plain"), "a<b&\"c"),
        (None, "a<b&\"c"),
    ] {
        assert_eq!(body("${NAME}", Escape::for_content_type(content_type), "a<b&\"c"), expected, "{content_type:?}");
    }
}

#[test]
fn message_over_the_limit_is_refused() {
    let variables = Variables {
        date: "",
        timestamp: 0,
        name: &"x".repeat(600_000),
        type_id: "",
        event_id: "",
        object_id: "",
        task: "",
        id: "",
        data: None,
    };
    assert_eq!(render("${NAME}${NAME}", Escape::Plain, &variables, &mut || 0), Err(TooLarge));
}

proptest! {
    #[test]
    fn any_template_renders_without_a_panic(template in any::<String>(), name in any::<String>()) {
        for escape in [Escape::Json, Escape::Xml, Escape::Form, Escape::Plain] {
            let _ = body(&template, escape, &name);
        }
    }

    #[test]
    fn any_name_survives_a_json_string(name in any::<String>()) {
        let value: Value = serde_json::from_str(&body("{\"n\":\"${NAME}\"}", Escape::Json, &name)).expect("valid JSON");
        prop_assert_eq!(&value["n"], &Value::String(name));
    }
}

#[test]
fn one_message_rendered_by_many_threads_is_the_same_in_each() {
    let data = json!({"disk": [{"free": 7}], "label": "a\"b"});
    let once = || {
        rendered("{\"n\": \"${NAME}\", \"d\": ${data.disk}, \"l\": ${data.label}}", Escape::Json, "web", Some(&data))
            .body
    };
    let expected = once();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(|| (0..100).all(|_| once() == expected))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().is_ok_and(|same| same)));
    });
}
