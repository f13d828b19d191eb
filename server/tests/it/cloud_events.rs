//! The rules of CloudEvents 1.0.2 for receivers. Each row has a rule, a message on the wire, and the expected result.
//! "core", "json", "http" and "webhook" are the four specifications. "binds senders" marks a rule for senders alone,
//! and its row shows how a message that breaks it is treated.

use crate::harness::{TestServer, TestStore};
use model::access::Scope;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The expected result of a message.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// 202. The stored occurrence has at least these members, as [`stored`] names them.
    Taken(&'static str),
    /// This status. The text is the first invalid field; empty if any field may be the first.
    Refused(u16, &'static str),
}
use Is::{Refused, Taken};

const EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
/// Accepted with any stored content.
const YES: Is = Taken("{}");

/// Events in JSON, given by the members that differ from those of a plain event.
const STRUCTURED: &[(&str, &str, Is)] = &[
    // Required attributes.
    ("core id: required, and null is unset (json 2.2)", r#"{"id": null}"#, Refused(422, "id")),
    ("core id: not empty", r#"{"id": ""}"#, Refused(422, "id")),
    ("core id: a string, as json 2.2 writes strings", r#"{"id": 7}"#, Refused(422, "id")),
    ("core source: required", r#"{"source": null}"#, Refused(422, "source")),
    ("core source: not empty", r#"{"source": ""}"#, Refused(422, "source")),
    ("core source: a URI", r#"{"source": "https://a.example/b?c"}"#, Taken(r#"{"source": "https://a.example/b?c"}"#)),
    ("core source: a relative reference", r#"{"source": "1-555-1234"}"#, Taken(r#"{"source": "1-555-1234"}"#)),
    ("core specversion: required", r#"{"specversion": null}"#, Refused(422, "specversion")),
    ("core specversion: not empty", r#"{"specversion": ""}"#, Refused(422, "specversion")),
    ("core specversion: this one", r#"{"specversion": "0.3"}"#, Refused(422, "specversion")),
    ("core specversion: a string", r#"{"specversion": 1.0}"#, Refused(422, "specversion")),
    ("core type: required", r#"{"type": null}"#, Refused(422, "type")),
    ("core type: not empty", r#"{"type": ""}"#, Refused(422, "type")),
    // Any other text is a type. It is split at its last dot; without a dot it is both object type and event.
    ("core type: dots", r#"{"type": "com.git.pull.opened"}"#, Taken(r#"{"kind": ["com.git.pull", "opened"]}"#)),
    ("core type: capitals", r#"{"type": "Vendor.BlobCreated"}"#, Taken(r#"{"kind": ["Vendor", "BlobCreated"]}"#)),
    ("core type: a colon", r#"{"type": "com.s3.Object:Put"}"#, Taken(r#"{"kind": ["com.s3", "Object:Put"]}"#)),
    ("core type: a slash", r#"{"type": "com.x/order.made"}"#, Taken(r#"{"kind": ["com.x/order", "made"]}"#)),
    ("core type: a URL", r#"{"type": "https://x.org/a/made"}"#, Taken(r#"{"kind": ["https://x", "org/a/made"]}"#)),
    ("core type: a URN", r#"{"type": "urn:order:made"}"#, Taken(r#"{"kind": ["urn:order:made", "urn:order:made"]}"#)),
    ("core type: a path", r#"{"type": "/order/made"}"#, Taken(r#"{"kind": ["/order/made", "/order/made"]}"#)),
    ("core type: a word", r#"{"type": "ua-keyframe"}"#, Taken(r#"{"kind": ["ua-keyframe", "ua-keyframe"]}"#)),
    ("core type: blanks", r#"{"type": "com.x.order made"}"#, Refused(422, "type")),
    ("core type: not ASCII", r#"{"type": "com.käse.geändert"}"#, Refused(422, "type")),
    ("core types: no control characters in strings", r#"{"type": "vms.power\u0007on"}"#, Refused(422, "type")),
    // Optional attributes.
    ("core subject: not empty", r#"{"subject": ""}"#, Refused(422, "subject")),
    ("json 2.2: null is unset", r#"{"subject": null, "time": null}"#, Taken(r#"{"object": null, "time": null}"#)),
    ("json 2.2: so it is in any other", r#"{"datacontenttype": null, "dataschema": null, "myextension": null}"#, YES),
    ("core datacontenttype: binds senders", r#"{"datacontenttype": "nonsense"}"#, YES),
    ("core dataschema: binds senders", r#"{"dataschema": ""}"#, YES),
    ("core extensions: any number", r#"{"myextension": "x", "other5": 5, "flag": true}"#, YES),
    ("core naming, types: bind senders", r#"{"my-Extension": {"a": []}}"#, YES),
    // RFC 3339.
    ("core time", r#"{"time": "2018-04-05T17:31:00Z"}"#, Taken(r#"{"time": "2018-04-05T17:31:00.000Z"}"#)),
    ("core time: offset", r#"{"time": "2018-04-05T17:31:00-07:30"}"#, Taken(r#"{"time": "2018-04-06T01:01:00.000Z"}"#)),
    ("core time: -00:00", r#"{"time": "2018-04-05T17:31:00-00:00"}"#, Taken(r#"{"time": "2018-04-05T17:31:00.000Z"}"#)),
    ("core time: small t, z", r#"{"time": "2018-04-05t17:31:00z"}"#, Taken(r#"{"time": "2018-04-05T17:31:00.000Z"}"#)),
    ("core time: a fraction has any number of digits", r#"{"time": "2018-04-05T17:31:00.500000000001Z"}"#, YES),
    ("core time: a leap second", r#"{"time": "2016-12-31T23:59:60Z"}"#, YES),
    ("core time: the last there is", r#"{"time": "9999-12-31T23:59:59Z"}"#, YES),
    ("core time: with its offset", r#"{"time": "2018-04-05T17:31:00"}"#, Refused(422, "time")),
    ("core time: with its seconds", r#"{"time": "2018-04-05T17:31Z"}"#, Refused(422, "time")),
    ("core time: with its hyphens and colons", r#"{"time": "20180405T173100Z"}"#, Refused(422, "time")),
    ("core time: an offset with its minutes", r#"{"time": "2018-04-05T17:31:00+02"}"#, Refused(422, "time")),
    ("core time: nothing behind", r#"{"time": "2018-04-05T17:31:00Z[UTC]"}"#, Refused(422, "time")),
    ("core time: no day that is none", r#"{"time": "2018-02-30T17:31:00Z"}"#, Refused(422, "time")),
    ("json 2.2: a time is a string", r#"{"time": 1522949460}"#, Refused(422, "time")),
    // Data.
    ("core data: optional", "{}", Taken(r#"{"has_data": false}"#)),
    ("core datacontenttype: without data", r#"{"datacontenttype": "text/xml"}"#, Taken(r#"{"has_data": false}"#)),
    ("json 3.1: null is data, too", r#"{"data": null}"#, Taken(r#"{"data": null, "has_data": true}"#)),
    ("json 3.1: any JSON is", r#"{"data": [{"a": 1.5}, false]}"#, Taken(r#"{"data": [{"a": 1.5}, false]}"#)),
    ("json 3.1: JSON is implied; a string of JSON is a string", r#"{"data": "[1]"}"#, Taken(r#"{"data": "[1]"}"#)),
    ("json 3.1: so it is", r#"{"datacontenttype": "a/b+json", "data": "[1]"}"#, Taken(r#"{"data": "[1]"}"#)),
    ("json 3.1: other text", r#"{"datacontenttype": "application/xml", "data": "<a/>"}"#, Taken(r#"{"data": "<a/>"}"#)),
    ("json 3.1: bytes", r#"{"datacontenttype": "image/png", "data_base64": "/wA="}"#, Taken(r#"{"data": "/wA="}"#)),
    ("json 3.1: text", r#"{"datacontenttype": "text/plain", "data_base64": "WzFd"}"#, Taken(r#"{"data": "[1]"}"#)),
    ("json 3.1: JSON", r#"{"datacontenttype": "a/b+json", "data_base64": "WzFd"}"#, Taken(r#"{"data": [1]}"#)),
    ("core datacontenttype: case", r#"{"datacontenttype": "A/JSON", "data_base64": "MQ=="}"#, Taken(r#"{"data": 1}"#)),
    ("json 3.1: lines", r#"{"datacontenttype": "a/x-ndjson", "data_base64": "WzFd"}"#, Taken(r#"{"data": "[1]"}"#)),
    ("json 3.1: base64", r#"{"data_base64": "no base64!"}"#, Refused(422, "data_base64")),
    ("json 3.1: of RFC 4648 §4, not §5", r#"{"data_base64": "_wA="}"#, Refused(422, "data_base64")),
    ("json 3.1: in a string", r#"{"data_base64": 7}"#, Refused(422, "data_base64")),
    ("json 3.1: one of the two", r#"{"data": 1, "data_base64": "WzFd"}"#, Refused(422, "data_base64")),
];

/// Whole bodies with their content type. `$EVENT` is a plain event, `$MEMBERS` its members, and `$OTHER` an event that
/// shares only the id with it.
const WHOLE: &[(&str, &str, &str, Is)] = &[
    ("http 3.2.1: parameters", "application/cloudevents+json; charset=UTF-8", "$EVENT", Taken(r#"{"count": 1}"#)),
    ("http 3: case", "Application/CloudEvents+JSON;charset=\"utf-8\"", "$EVENT", Taken(r#"{"count": 1}"#)),
    ("webhook 2.2: a format that is not understood", "application/cloudevents+avro", "$EVENT", Refused(415, "")),
    ("webhook 2.2: nor as a batch", "application/cloudevents-batch+avro", "[$EVENT]", Refused(415, "")),
    ("webhook 2.2: no CloudEvent at all", "text/plain", "$EVENT", Refused(415, "")),
    ("json 3: one object", EVENT, "[$EVENT]", Refused(422, "")),
    ("json 3: and nothing else", EVENT, "$EVENT,", Refused(400, "")),
    ("core types: half a character", EVENT, r#"[$EVENT, "\ud83d"]"#, Refused(400, "")),
    ("core types: two halves", EVENT, r#"{"subject": "\ud83d\ude00", $MEMBERS}"#, Taken(r#"{"object": "😀"}"#)),
    ("json 4: a batch may be empty", BATCH, "[]", Taken(r#"{"count": 0}"#)),
    ("http 3.3.2: attributes may differ", BATCH, "[$EVENT, $OTHER]", Taken(r#"{"count": 2, "distinct": 2}"#)),
    ("core id: one with its source is one event", BATCH, "[$EVENT, $EVENT]", Taken(r#"{"count": 2, "distinct": 1}"#)),
    ("http 3.3.2: but the version", BATCH, r#"[$EVENT, {"specversion": "0.3"}]"#, Refused(422, "[1].specversion")),
    ("json 4: an array", BATCH, "$EVENT", Refused(422, "")),
    ("json 4: of objects", BATCH, "[$EVENT, [$OTHER]]", Refused(422, "[1]")),
    ("http 3.3.1: parameters, case", "Application/CloudEvents-Batch+JSON; a=b", "[$EVENT]", Taken(r#"{"count": 1}"#)),
];

type Binary = (&'static str, &'static [(&'static str, &'static str)], &'static [u8], Is);

/// Events in headers: the headers that differ from those of a plain event, where an empty value removes one; and the
/// body.
const BINARY: &[Binary] = &[
    ("http 3.1.3.1: names in any case", &[("CE-Subject", "a"), ("Ce-ID", "any")], b"", Taken(r#"{"object": "a"}"#)),
    ("core id: required", &[("ce-id", "")], b"", Refused(422, "id")),
    ("core source: required", &[("ce-source", "")], b"", Refused(422, "source")),
    ("core type: required", &[("ce-type", "")], b"", Refused(422, "type")),
    ("core specversion: this one", &[("ce-specversion", "0.3")], b"", Refused(422, "specversion")),
    ("http 3: no version, no event", &[("ce-specversion", ""), ("content-type", "text/plain")], b"a", Refused(415, "")),
    ("core time", &[("ce-time", "2018-04-05T17:31:00Z")], b"", Taken(r#"{"time": "2018-04-05T17:31:00.000Z"}"#)),
    ("core extensions: strings here", &[("ce-other5", "5"), ("ce-flag", "true")], b"", YES),
    ("http 3.1.3: each once", &[("ce-subject", "a"), ("ce-subject", "b")], b"", Refused(422, "subject")),
    ("http 3.1.3.2: a type", &[("ce-type", "com.x/y.a:b")], b"", Taken(r#"{"kind": ["com.x/y", "a:b"]}"#)),
    ("http 3.1.3.2: blanks", &[("ce-type", "com.x.a%20b")], b"", Refused(422, "type")),
    // Encoding of header values.
    ("http 3.1.3.2: encoded", &[("ce-subject", "%22%20%E2%82%AC%25")], b"", Taken(r#"{"object": "\" €%"}"#)),
    ("http 3.1.3.2: small letters", &[("ce-subject", "%e2%82%ac")], b"", Taken(r#"{"object": "€"}"#)),
    ("http 3.1.3.2: without need", &[("ce-subject", "%76%6D-1")], b"", Taken(r#"{"object": "vm-1"}"#)),
    ("http 3.1.3.2: decoded once", &[("ce-subject", "100%2525+a")], b"", Taken(r#"{"object": "100%25+a"}"#)),
    ("http 3.1.3.2: too long a form", &[("ce-subject", "%C0%A0")], b"", Refused(422, "subject")),
    ("http 3.1.3.2: half a character", &[("ce-subject", "%E2%82")], b"", Refused(422, "subject")),
    ("http 3.1.3.2: a surrogate", &[("ce-subject", "%ED%A0%80")], b"", Refused(422, "subject")),
    ("http 3.1.3.2: in any attribute", &[("ce-myextension", "%FF")], b"", Refused(422, "myextension")),
    ("http 3.1.3.2: blanks around", &[("ce-subject", " \t a b \t")], b"", Taken(r#"{"object": "a b"}"#)),
    ("http 3.1.3.2: quoted", &[("ce-subject", r#""a b""#)], b"", Taken(r#"{"object": "a b"}"#)),
    ("http 3.1.3.2: with escapes", &[("ce-subject", r#""a \"b\" \\c""#)], b"", Taken(r#"{"object": "a \"b\" \\c"}"#)),
    ("http 3.1.3.2: then decoded", &[("ce-subject", r#""a %E2%82%AC""#)], b"", Taken(r#"{"object": "a €"}"#)),
    ("http 3.1.3.2: not the other way", &[("ce-subject", "%22a%22")], b"", Taken(r#"{"object": "\"a\""}"#)),
    // Data.
    ("http 3.1.1: JSON", &[], b"{\"a\": 1}", Taken(r#"{"data": {"a": 1}}"#)),
    ("http 3.1.1: a string of it", &[], b"\"[1]\"", Taken(r#"{"data": "[1]"}"#)),
    ("json 3.1: null is data, too", &[], b"null", Taken(r#"{"data": null, "has_data": true}"#)),
    ("http 3.1.1: broken", &[], b"{", Refused(400, "")),
    ("http 3.1.1: case", &[("Content-Type", "Application/JSON; Charset=UTF-8")], b"[1]", Taken(r#"{"data": [1]}"#)),
    ("http 3.1.1: like JSON", &[("content-type", "application/vnd.a+json")], b"[1]", Taken(r#"{"data": [1]}"#)),
    ("json 3.1: any subtype json", &[("content-type", "text/json")], b"[1]", Taken(r#"{"data": [1]}"#)),
    ("http 3.1: any other", &[("content-type", "application/xml")], b"<a/>", Taken(r#"{"data": "<a/>"}"#)),
    ("http 3.1: bytes", &[("content-type", "application/octet-stream")], b"\xff\0", Taken(r#"{"data": "/wA="}"#)),
    ("http 3.1.1: nothing said, and JSON", &[("content-type", "")], b"[1]", Taken(r#"{"data": [1]}"#)),
    ("http 3.1.1: binds senders", &[("ce-datacontenttype", "text/plain")], b"[1]", Taken(r#"{"data": [1]}"#)),
    // A structured event together with headers.
    ("http 3: an unknown format", &[("content-type", "application/cloudevents+avro")], b"", Refused(415, "")),
    (
        "http 3.2.3: what stands in the body counts",
        &[("content-type", EVENT), ("ce-type", "logs.created"), ("ce-subject", "b")],
        br#"{"specversion": "1.0", "id": "body", "source": "/a", "type": "vms.poweron", "subject": "a"}"#,
        Taken(r#"{"kind": ["vms", "poweron"], "source": "/a", "object": "a"}"#),
    ),
];

/// Returns a plain event with these members added or replaced.
fn event(id: &str, members: &str) -> String {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/dc", "type": "vms.poweron"});
    let members: Map<String, Value> = serde_json::from_str(members).expect("members");
    event.as_object_mut().expect("an object").extend(members);
    event.to_string()
}

fn line(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

/// Returns the headers of an event in binary mode.
fn headers(id: &str, given: &[(&str, &str)]) -> String {
    let plain = [("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", "/dc"), ("ce-type", "vms.poweron")];
    let is_given = |name: &str| given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let kept = plain.iter().chain(&[("content-type", "application/json")]).filter(|(name, _)| !is_given(name));
    let kept: String = kept.map(|(name, value)| line(name, value)).collect();
    let given = given.iter().filter(|(_, value)| !value.is_empty());
    kept + &given.map(|(name, value)| line(name, value)).collect::<String>()
}

/// Sends a request on a connection of its own. Returns the status, the head in small letters, and the body as JSON.
async fn send(server: &TestServer, start: &str, headers: &str, body: &[u8]) -> (u16, String, Value) {
    let address = server.url.trim_start_matches("http://");
    let length = body.len();
    let head = format!(
        "{start} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

/// Returns the number of occurrences in a response, and the stored members of the first.
async fn stored(server: &TestServer, key: &str, response: &Value) -> Value {
    let occurrences = response["occurrences"].as_array().cloned().unwrap_or_default();
    let ids: Vec<_> = occurrences.iter().filter_map(|one| one["id"].as_str()).collect();
    let Some(id) = ids.first() else { return json!({"count": 0}) };
    let (_, why) = server.call("GET", &format!("/api/v1/occurrences/{id}/why"), key, None).await;
    let data = why["data"].as_str();
    json!({
        "count": ids.len(),
        "distinct": ids.iter().collect::<BTreeSet<_>>().len(),
        "kind": [&why["type_id"], &why["event_id"]],
        "object": &why["object"],
        "source": &why["source"],
        "time": &why["occurred"]["machine"],
        "data": data.map(|data| serde_json::from_str::<Value>(data).expect("JSON")),
        "has_data": data.is_some(),
    })
}

/// Posts a message. Returns a line that describes a wrong result, or an empty text.
async fn judge(server: &TestServer, key: &str, says: &str, headers: &str, body: &[u8], is: Is) -> String {
    let headers = line("authorization", &format!("Bearer {key}")) + headers;
    let (status, _, response) = send(server, "POST /api/v1/events", &headers, body).await;
    let found = stored(server, key, &response).await;
    let is_so = match is {
        Taken(members) => {
            let members: Map<String, Value> = serde_json::from_str(members).expect("members");
            status == 202 && members.iter().all(|(name, value)| found[name] == *value)
        }
        Refused(expected, field) => {
            let wrong = response["error"]["fields"][0]["field"].as_str().unwrap_or_default();
            status == expected && (field.is_empty() || field == wrong)
        }
    };
    if is_so { String::new() } else { format!("{says}: {is:?}, and is {status} {found} {}\n", response["error"]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_rules_of_the_specification_are_kept() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Read]).await;
    let mut wrong = String::new();
    for (number, (says, members, is)) in STRUCTURED.iter().enumerate() {
        let body = event(&format!("s{number}"), members);
        wrong += &judge(&server, &key, says, &line("content-type", EVENT), body.as_bytes(), *is).await;
    }
    for (number, (says, content_type, body, is)) in WHOLE.iter().enumerate() {
        let other = r#"{"source": "urn:b", "type": "logs.created", "datacontenttype": "a/b", "data_base64": "/wA="}"#;
        let (plain, other) = (event(&format!("w{number}"), "{}"), event(&format!("w{number}"), other));
        let body = body.replace("$OTHER", &other).replace("$EVENT", &plain);
        let body = body.replace("$MEMBERS", &plain[1..plain.len() - 1]);
        wrong += &judge(&server, &key, says, &line("content-type", content_type), body.as_bytes(), *is).await;
    }
    for (number, (says, given, body, is)) in BINARY.iter().enumerate() {
        wrong += &judge(&server, &key, says, &headers(&format!("b{number}"), given), body, *is).await;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Webhook 4: a sender that asks for permission gets the origin and the rate. Without a question there is no
/// permission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_that_asks_for_permission_gets_origin_and_rate() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let origin = line("WebHook-Request-Origin", "a.example");
    for (asked, is_asking) in [
        (origin.clone(), true),
        (origin.clone() + &line("WebHook-Request-Rate", "120"), true),
        (origin + &line("WebHook-Request-Callback", "https://a.example/confirm?id=1"), true),
        (String::new(), false),
    ] {
        let (_, head, _) = send(&server, "OPTIONS /api/v1/events", &asked, b"").await;
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is_allowed = value("webhook-allowed-origin:").is_some_and(|origin| ["a.example", "*"].contains(&origin));
        let is_rate = |rate: &str| rate == "*" || rate.parse().is_ok_and(|rate: u32| rate > 0);
        let has_rate = value("webhook-allowed-rate:").is_some_and(is_rate);
        assert_eq!((is_allowed, has_rate), (is_asking, is_asking), "{asked}{head}");
        assert!(value("allow:").is_some_and(|methods| methods.contains("post")), "{head}");
    }
}

/// Webhook 3 allows a token in the query, and advises against it: logs of URLs would contain the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_in_the_query_is_refused_and_the_header_is_named() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let start = format!("POST /api/v1/events?access_token={key}");
    let body = event("e1", "{}");
    let (status, _, response) = send(&server, &start, &line("content-type", EVENT), body.as_bytes()).await;
    assert_eq!(status, 401, "{response}");
    let response = response.to_string();
    assert!(response.contains("Authorization: Bearer KEY") && !response.contains(&key), "{response}");
}
