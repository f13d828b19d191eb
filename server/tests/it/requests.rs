//! Requests as senders really give them, byte for byte: each shape, and what it is answered. What is HTTP is answered
//! in the API's words; what is not, or can be read in two ways, is refused by the HTTP library, which then hangs up.

use crate::harness::{TestServer, TestStore, pause};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::access::Scope;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a shape may take. A body that does not come costs 200 ms.
const PATIENCE: Duration = Duration::from_secs(10);

/// In place of a status: the connection is closed.
const CLOSED: u16 = 0;
/// In place of a status: something else than an answer, or a part of one.
const BROKEN: u16 = 1;
/// In place of a status: the first frame of an HTTP/2 server.
const SETTINGS: u16 = 2;

const TAKEN: &[u16] = &[202];
const NO_KEY: &[u16] = &[401];
const NOT_FOUND: &[u16] = &[404];
const NOT_ALLOWED: &[u16] = &[405];
const MEDIA_TYPE: &[u16] = &[415];
const INVALID: &[u16] = &[422];
/// The API cannot read the document, and goes on.
const UNREAD: &[u16] = &[400];
/// The HTTP library refuses the head or a body breaks off: nothing more is read.
const BAD: &[u16] = &[400, CLOSED];

const JSON: &str = "This is not valid JSON";
const KEY: &str = "This needs an API key";
const BROKE: &str = "The request's body broke off.";
const LATE: &str = "The request's body did not arrive in time.";
const OUT: &str = "You are signed out";
const CLOSE: &str = "connection: close";

/// A name; the head and the body, in which each mark stands for what [`marks`] says, `{len}` for the body's length,
/// `{pause}` for the end of a write, and a last `{end}` for a sender that closes its side; the statuses of the answers
/// in their order; and text that is among what comes.
type Shape = (&'static str, &'static str, &'static str, &'static [u16], &'static str);

/// Bytes outside ASCII stand as they are, as Latin-1.
const SHAPES: &[Shape] = &[
    // As common senders write it.
    ("curl", "{post}User-Agent: curl/8.5.0\r\nAccept: */*\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "Python",
        "{line}{host}User-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
         Connection: keep-alive\r\n{auth}{size}{json}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    ("Go", "{post}User-Agent: Go-http-client/1.1\r\n{size}{json}Accept-Encoding: gzip\r\n\r\n", "{vm}", TAKEN, ""),
    (
        "Java, which asks for HTTP/2",
        "{line}Connection: Upgrade, HTTP2-Settings\r\n{size}{host}HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA\r\n\
         Upgrade: h2c\r\nUser-Agent: Java-http-client/21.0.4\r\n{auth}{json}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "Node",
        "{line}host: hooks.example\r\nconnection: keep-alive\r\nauthorization: Bearer {key}\r\naccept: */*\r\n\
         content-type: application/json\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n\
         content-length: {len}\r\n\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "PowerShell",
        "{line}{auth}User-Agent: Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1\r\n\
         Content-Type: application/json; charset=utf-8\r\n{host}{size}Expect: 100-continue\r\n\r\n",
        "{vm}",
        TAKEN,
        "100 Continue",
    ),
    (
        "a page of another site",
        "{post}Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nCookie: theme=dark\r\n{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "through proxies",
        "{post}X-Forwarded-For: 203.0.113.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9\r\n\
         Via: 1.1 proxy\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "what only makes sense elsewhere",
        "{post}If-None-Match: *\r\nRange: bytes=0-1\r\nPrefer: respond-async\r\nDate: today\r\n{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    // Header lines.
    (
        "names in capitals",
        "{line}HOST: x\r\nAUTHORIZATION: Bearer {key}\r\nCONTENT-TYPE: application/json\r\n\
         CONTENT-LENGTH: {len}\r\n\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "no blank after the colon",
        "{line}Host:x\r\nAuthorization:Bearer {key}\r\nContent-Type:application/json\r\nContent-Length:{len}\r\n\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "blanks and tabs round values",
        "{line}{host}Authorization: \t Bearer {key} \t\r\nContent-Type:\tapplication/json\t\r\n\
         Content-Length:  {len}  \r\n\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    ("an empty value", "{post}X-Note:\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("Latin-1 in a value", "{post}X-Note: caf\u{e9}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("a name with underscore and dot", "{post}X_Note.2: 1\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("a blank before the colon", "{post}Content-Type : application/json\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("a line without a colon", "{post}X-Note\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a line without a name", "{post}: 1\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("an @ in a name", "{post}X@Note: 1\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("Latin-1 in a name", "{post}X-\u{e9}: 1\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a folded line", "{post}X-Note: one\r\n two\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a folded line with a tab", "{post}X-Note: one\r\n\ttwo\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("NUL in a value", "{post}X-Note: a\0b\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("NUL in a name", "{post}X\0Note: 1\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a control character in a value", "{post}X-Note: a\u{1}b\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a carriage return in a value", "{post}X-Note: a\rX-Evil: b\r\n{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a long value", "{post}X-Note: {long}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "an enormous value",
        "{post}X-Note: {long}{long}{long}{long}{long}{long}{long}{long}{long}{long}\r\n{json}{size}\r\n",
        "{vm}",
        &[431, CLOSED],
        CLOSE,
    ),
    ("more than a hundred lines", "{post}{lines}{json}{size}\r\n", "{vm}", &[431, CLOSED], CLOSE),
    // Line ends.
    (
        "line feeds alone",
        "POST /api/v1/events HTTP/1.1\nHost: x\nAuthorization: Bearer {key}\nContent-Type: application/json\n\
         Content-Length: {len}\n\n",
        "{vm}",
        TAKEN,
        "",
    ),
    ("some line feeds alone", "{post}Content-Type: application/json\n{size}\n", "{vm}", TAKEN, ""),
    ("carriage returns alone", "POST /api/v1/events HTTP/1.1\rHost: x\r\r{end}", "", &[CLOSED], ""),
    ("empty lines first", "\r\n\r\n{post}{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("a line end after the body", "{post}{json}Content-Length: 32\r\n\r\n", "{vm}\r\n", TAKEN, ""),
    // The first line.
    ("two blanks in it", "POST  /api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a tab in it", "POST\t/api/v1/events\tHTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a blank before it", " {post}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a blank after it", "POST /api/v1/events HTTP/1.1 \r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("a blank in the target", "POST /api/v1/events ?a HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("no version", "POST /api/v1/events\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("HTTP/1.2", "POST /api/v1/events HTTP/1.2\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("HTTP/2.0 in words", "POST /api/v1/events HTTP/2.0\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("http in small letters", "POST /api/v1/events http/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    // Targets.
    ("a query", "POST /api/v1/events?source=a&x HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "a query that is no UTF-8",
        "POST /api/v1/events?%ff%zz HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    ("a fragment", "POST /api/v1/events#top HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "the whole URL",
        "POST http://hooks.example/api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "the whole URL, of another host",
        "POST HTTPS://Other.example:8443/api/v1/events?x HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    ("a URL without a scheme", "POST hooks.example/api/v1/events HTTP/1.1\r\n{host}{auth}{size}\r\n", "", BAD, CLOSE),
    (
        "a slash at the end",
        "POST /api/v1/events/ HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "Did you mean /api/v1/events?",
    ),
    (
        "two slashes first",
        "POST //api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "Did you mean /api/v1/events?",
    ),
    (
        "two slashes further on",
        "POST /api/v1//events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "There are /api/v1/events",
    ),
    (
        "a letter in per cent",
        "POST /api/v1/%65vents HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "There are /api/v1/events",
    ),
    (
        "dots",
        "POST /api/v1/x/../events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "There are /api/v1/events",
    ),
    (
        "capitals",
        "POST /api/v1/Events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "Did you mean /api/v1/events?",
    ),
    (
        "capitals first",
        "POST /API/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "Did you mean /api/v1/events?",
    ),
    (
        "a parameter of the path",
        "POST /api/v1/events;v=1 HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        NOT_FOUND,
        "Did you mean /api/v1/events?",
    ),
    (
        "UTF-8",
        "POST /api/v1/\u{c3}\u{a9} HTTP/1.1\r\n{host}{auth}{size}\r\n",
        "",
        NOT_FOUND,
        "There are /api/v1/events",
    ),
    ("Latin-1", "POST /api/v1/\u{e9} HTTP/1.1\r\n{host}{auth}{size}\r\n", "", BAD, CLOSE),
    ("another version of the API", "POST /api/v2/events HTTP/1.1\r\n{host}{size}\r\n", "", NOT_FOUND, "not_found"),
    ("the API alone", "GET /api/v1 HTTP/1.1\r\n{host}\r\n", "", NOT_FOUND, "There are /api/v1/events"),
    ("nothing of the API", "GET /api/ HTTP/1.1\r\n{host}\r\n", "", NOT_FOUND, "not_found"),
    ("the console", "POST / HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", NO_KEY, OUT),
    ("an object type in per cent", "PATCH /api/v1/inventory/v%6ds HTTP/1.1\r\n{host}{size}\r\n", "", NO_KEY, KEY),
    ("a source that is no UTF-8", "POST /api/v1/sources/%ff HTTP/1.1\r\n{host}{auth}{size}\r\n", "", UNREAD, "UTF-8"),
    ("a long query", "POST /api/v1/events?{long} HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "an enormous query",
        "POST /api/v1/events?{long}{long} HTTP/1.1\r\n{host}{auth}{json}{size}\r\n",
        "{vm}",
        &[414, CLOSED],
        CLOSE,
    ),
    // Hosts: one listener serves them all, and needs none.
    ("no Host", "{line}{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("two Hosts", "{post}Host: other.example\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("an empty Host", "{line}Host:\r\n{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    // Methods.
    ("GET", "GET /api/v1/events HTTP/1.1\r\n{host}{auth}\r\n", "", NOT_ALLOWED, "GET is not for /api/v1/events"),
    ("PUT", "PUT /api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", NOT_ALLOWED, "allow: POST"),
    ("PATCH", "PATCH /api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", NOT_ALLOWED, "PATCH is not for"),
    ("DELETE", "DELETE /api/v1/events HTTP/1.1\r\n{host}{auth}\r\n", "", NOT_ALLOWED, "DELETE is not for"),
    ("HEAD", "HEAD /api/v1/events HTTP/1.1\r\n{host}{auth}\r\n", "", NOT_ALLOWED, "allow: POST"),
    ("TRACE", "TRACE /api/v1/events HTTP/1.1\r\n{host}{auth}\r\n", "", NOT_ALLOWED, "TRACE is not for"),
    ("PURGE", "PURGE /api/v1/events HTTP/1.1\r\n{host}\r\n", "", NOT_ALLOWED, "PURGE is not for"),
    ("post", "post /api/v1/events HTTP/1.1\r\n{host}{auth}{json}{size}\r\n", "{vm}", NOT_ALLOWED, "post is not for"),
    (
        "another method in a header",
        "GET /api/v1/events HTTP/1.1\r\n{host}{auth}X-HTTP-Method-Override: POST\r\n{json}{size}\r\n",
        "{vm}",
        NOT_ALLOWED,
        "GET is not for",
    ),
    ("OPTIONS", "OPTIONS /api/v1/events HTTP/1.1\r\n{host}\r\n", "", &[200], "allow: POST, OPTIONS"),
    (
        "OPTIONS of Event Grid",
        "OPTIONS /api/v1/events HTTP/1.1\r\n{host}WebHook-Request-Origin: eventgrid.azure.net\r\n\r\n",
        "",
        &[200],
        "webhook-allowed-origin: eventgrid.azure.net",
    ),
    ("OPTIONS of all", "OPTIONS * HTTP/1.1\r\n{host}\r\n", "", NO_KEY, OUT),
    ("CONNECT", "CONNECT hooks.example:443 HTTP/1.1\r\n{host}\r\n", "", NO_KEY, OUT),
    // Keys.
    ("no key", "{line}{host}{json}{size}\r\n", "{vm}", NO_KEY, "www-authenticate: Bearer"),
    ("a key that is none", "{line}{host}Authorization: Bearer hwk_x\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("bearer", "{line}{host}Authorization: bearer {key}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("BEARER", "{line}{host}Authorization: BEARER {key}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("blanks before the key", "{line}{host}Authorization: Bearer   {key}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("a tab before the key", "{line}{host}Authorization: Bearer\t{key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("words after the key", "{line}{host}Authorization: Bearer {key} x\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("the key in quotes", "{line}{host}Authorization: Bearer \"{key}\"\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Bearer and a colon", "{line}{host}Authorization: Bearer: {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Bearer alone", "{line}{host}Authorization: Bearer\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("the key alone", "{line}{host}Authorization: {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Token", "{line}{host}Authorization: Token {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("a key as the password", "{line}{host}Authorization: Basic {basic}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("basic", "{line}{host}Authorization: basic  {basic}\r\n{json}{size}\r\n", "{vm}", TAKEN, ""),
    ("a key as the name", "{line}{host}Authorization: Basic {name}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Basic and no colon", "{line}{host}Authorization: Basic eHl6\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Basic", "{line}{host}Authorization: Basic eDp5\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("Basic and the key", "{line}{host}Authorization: Basic {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("a key that is no text", "{line}{host}Authorization: Bearer \u{e9}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("X-API-Key", "{line}{host}X-API-Key: {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("the key in a cookie", "{line}{host}Cookie: key={key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("the key in the query", "POST /api/v1/events?key={key} HTTP/1.1\r\n{host}{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    ("access_token", "POST /api/v1/events?access_token={key} HTTP/1.1\r\n{host}{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    (
        "the key in the URL",
        "POST http://x:{key}@hooks.example/api/v1/events HTTP/1.1\r\n{host}{json}{size}\r\n",
        "{vm}",
        NO_KEY,
        KEY,
    ),
    (
        "the key in a trailer",
        "{line}{host}{json}{chunked}Trailer: Authorization\r\n\r\n",
        "20\r\n{vm}\r\n0\r\n{auth}\r\n",
        NO_KEY,
        KEY,
    ),
    ("the key twice", "{post}{auth}{json}{size}\r\n", "{vm}", TAKEN, ""),
    (
        "another key after it",
        "{post}Authorization: Bearer hwk_x\r\n{json}{size}\r\n",
        "{vm}",
        UNREAD,
        "two headers Authorization",
    ),
    (
        "another key before it",
        "{line}Authorization: Basic eDp5\r\n{auth}{json}{size}\r\n",
        "{vm}",
        UNREAD,
        "two headers Authorization",
    ),
    ("two keys in a line", "{line}Authorization: Bearer {key}, Bearer {key}\r\n{json}{size}\r\n", "{vm}", NO_KEY, KEY),
    (
        "a key for something else",
        "{line}{host}Authorization: Bearer {other}\r\n{json}{size}\r\n",
        "{vm}",
        &[403],
        "This key does not have the scope ingest.",
    ),
    (
        "something else with this key",
        "GET /api/v1/occurrences/7/why HTTP/1.1\r\n{host}{auth}\r\n",
        "",
        &[403],
        "This key does not have the scope read.",
    ),
    // Types of content.
    ("of capitals", "{post}Content-Type: Application/JSON\r\n{size}\r\n", "{vm}", TAKEN, ""),
    ("with a charset", "{post}Content-Type: application/json;charset=utf-8\r\n{size}\r\n", "{vm}", TAKEN, ""),
    ("quoted", "{post}Content-Type: application/json; charset=\"UTF-8\"\r\n{size}\r\n", "{vm}", TAKEN, ""),
    ("with an end of none", "{post}Content-Type: application/json ;\r\n{size}\r\n", "{vm}", TAKEN, ""),
    (
        "another charset",
        "{post}Content-Type: application/json; charset=iso-8859-1\r\n{size}\r\n",
        "{vm}",
        MEDIA_TYPE,
        "charset=utf-8",
    ),
    (
        "another charset, used",
        "{post}Content-Type: application/json; charset=iso-8859-1\r\n{size}\r\n",
        "{\"type\":\"vms\",\"event\":\"poweron\",\"source\":\"caf\u{e9}\"}",
        MEDIA_TYPE,
        "charset=utf-8",
    ),
    (
        "utf-16",
        "{post}Content-Type: application/json; charset=utf-16\r\n{size}\r\n",
        "\u{ff}\u{fe}{\0}\0",
        MEDIA_TYPE,
        "charset=utf-8",
    ),
    ("none", "{post}{size}\r\n", "{vm}", MEDIA_TYPE, "application/json"),
    ("an empty one", "{post}Content-Type:\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "malformed"),
    ("one that is no text", "{post}Content-Type: \u{e9}\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "malformed"),
    ("text/json", "{post}Content-Type: text/json\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "application/json"),
    ("SNS", "{post}Content-Type: text/plain; charset=UTF-8\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "application/json"),
    (
        "a form",
        "{post}Content-Type: application/x-www-form-urlencoded\r\n{size}\r\n",
        "payload=%7B%7D",
        MEDIA_TYPE,
        "application/json",
    ),
    ("a form of parts", "{post}Content-Type: multipart/form-data; boundary=x\r\n{size}\r\n", "--x--", MEDIA_TYPE, ""),
    ("XML", "{post}Content-Type: application/xml\r\n{size}\r\n", "<vm/>", MEDIA_TYPE, "application/json"),
    ("bytes", "{post}Content-Type: application/octet-stream\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "application/json"),
    ("some JSON", "{post}Content-Type: application/vnd.dc+json\r\n{size}\r\n", "{vm}", MEDIA_TYPE, "application/json"),
    ("lines of JSON", "{post}Content-Type: application/x-ndjson\r\n{size}\r\n", "{vm}\n{vm}", MEDIA_TYPE, ""),
    ("two in a line", "{post}Content-Type: application/json, text/plain\r\n{size}\r\n", "{vm}", MEDIA_TYPE, ""),
    ("two lines", "{post}{json}Content-Type: text/plain\r\n{size}\r\n", "{vm}", TAKEN, ""),
    ("two lines, the other first", "{post}Content-Type: text/plain\r\n{json}{size}\r\n", "{vm}", MEDIA_TYPE, ""),
    // Encodings of content: none is undone.
    ("identity", "{post}{json}Content-Encoding: identity\r\n{size}\r\n", "{vm}", TAKEN, ""),
    (
        "gzip, and is not",
        "{post}{json}Content-Encoding: gzip\r\n{size}\r\n",
        "{vm}",
        MEDIA_TYPE,
        "without Content-Encoding",
    ),
    (
        "gzip",
        "{post}{json}Content-Encoding: gzip\r\n{size}\r\n",
        "\u{1f}\u{8b}\u{8}\0\0\0\0\0\0\u{3}\u{ab}\u{ae}\u{5}\0\u{43}\u{bf}\u{a6}\u{a3}\u{2}\0\0\0",
        MEDIA_TYPE,
        "without Content-Encoding",
    ),
    // CloudEvents.
    (
        "a structured one",
        "{post}Content-Type: application/cloudevents+json; charset=utf-8\r\n{size}\r\n",
        r#"{"specversion":"1.0","id":"structured","source":"/dc","type":"vms.poweron","data":{"a":1}}"#,
        TAKEN,
        "",
    ),
    ("none of these", "{post}Content-Type: application/cloudevents+json\r\n{size}\r\n", "{vm}", INVALID, "specversion"),
    (
        "a structured array",
        "{post}Content-Type: application/cloudevents+json\r\n{size}\r\n",
        "[]",
        INVALID,
        "This is not a JSON object.",
    ),
    (
        "a batch",
        "{post}Content-Type: application/cloudevents-batch+json\r\n{size}\r\n",
        r#"[{"specversion":"1.0","id":"batch","source":"/dc","type":"vms.poweron"}]"#,
        TAKEN,
        "",
    ),
    (
        "an empty batch",
        "{post}Content-Type: application/cloudevents-batch+json\r\n{size}\r\n",
        "[]",
        TAKEN,
        "\"occurrences\":[]",
    ),
    (
        "a batch that is none",
        "{post}Content-Type: application/cloudevents-batch+json\r\n{size}\r\n",
        "{vm}",
        INVALID,
        "A batch is a JSON array of events.",
    ),
    (
        "in headers",
        "{post}{json}CE-SpecVersion: 1.0\r\nCE-Id: headers\r\nCE-Source: /dc\r\nCE-Type: vms.poweron\r\n{size}\r\n",
        "[1, 2]",
        TAKEN,
        "",
    ),
    (
        "in headers, with text",
        "{post}ce-specversion: 1.0\r\nce-id: text\r\nce-source: /dc\r\nce-type: vms.poweron\r\n\
         Content-Type: text/plain\r\n{size}\r\n",
        "no JSON",
        TAKEN,
        "",
    ),
    (
        "in headers, with nothing",
        "{post}ce-specversion: 1.0\r\nce-id: nothing\r\nce-source: /dc\r\nce-type: vms.poweron\r\n{size}\r\n",
        "",
        TAKEN,
        "",
    ),
    (
        "in headers, with bytes",
        "{post}ce-specversion: 1.0\r\nce-id: bytes\r\nce-source: /dc\r\nce-type: vms.poweron\r\n\
         Content-Type: application/octet-stream\r\n{size}\r\n",
        "\0\u{ff}",
        TAKEN,
        "",
    ),
    (
        "in headers, not all of it",
        "{post}{json}ce-specversion: 1.0\r\nce-id: some\r\nce-source: /dc\r\n{size}\r\n",
        "1",
        INVALID,
        "This attribute is required.",
    ),
    (
        "in headers, of an old version",
        "{post}{json}ce-specversion: 0.3\r\nce-id: old\r\nce-source: /dc\r\nce-type: vms.poweron\r\n{size}\r\n",
        "1",
        INVALID,
        "This has to be",
    ),
    // Documents.
    ("nothing", "{post}{json}{size}\r\n", "", UNREAD, "line 1, column 0"),
    ("nothing, and no length", "{post}{json}\r\n", "", UNREAD, "line 1, column 0"),
    ("blanks", "{post}{json}{size}\r\n", " \r\n\t", UNREAD, JSON),
    ("blanks round it", "{post}{json}{size}\r\n", "\r\n\t {vm} \r\n", TAKEN, ""),
    ("two", "{post}{json}{size}\r\n", "{vm}{vm}", UNREAD, "line 1, column 33"),
    ("two lines of them", "{post}{json}{size}\r\n", "{vm}\n{vm}", UNREAD, "line 2, column 1"),
    ("a byte order mark", "{post}{json}{size}\r\n", "\u{ef}\u{bb}\u{bf}{vm}", TAKEN, ""),
    ("NaN", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":NaN}"#, UNREAD, JSON),
    ("Infinity", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":[-Infinity]}"#, UNREAD, JSON),
    ("a comma too many", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron",}"#, UNREAD, JSON),
    ("a comment", "{post}{json}{size}\r\n", "/* a VM */{vm}", UNREAD, JSON),
    ("single quotes", "{post}{json}{size}\r\n", "{'type':'vms','event':'poweron'}", UNREAD, JSON),
    ("a line end in a text", "{post}{json}{size}\r\n", "{\"type\":\"vms\",\"event\":\"power\non\"}", UNREAD, JSON),
    ("NUL in a text", "{post}{json}{size}\r\n", "{\"type\":\"vms\",\"event\":\"poweron\",\"id\":\"\0\"}", UNREAD, JSON),
    ("NUL at the end", "{post}{json}{size}\r\n", "{vm}\0", UNREAD, JSON),
    (
        "NUL as a code",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"x","id":"\u0000"}"#,
        INVALID,
        "\"field\":\"id\"",
    ),
    ("NUL as data", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":"\u0000"}"#, TAKEN, ""),
    (
        "no UTF-8",
        "{post}{json}{size}\r\n",
        "{\"type\":\"vms\",\"event\":\"poweron\",\"data\":\"\u{c0}\u{80}\"}",
        UNREAD,
        JSON,
    ),
    (
        "half a pair",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"poweron","data":"\ud83d"}"#,
        UNREAD,
        "line 1, column",
    ),
    ("the other half", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":"\ude00"}"#, UNREAD, JSON),
    ("a pair", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":"\ud83d\ude00"}"#, TAKEN, ""),
    ("a member twice", "{post}{json}{size}\r\n", r#"{"type":"none","type":"vms","event":"poweron"}"#, TAKEN, ""),
    (
        "a member nobody knows",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"x","Data":1}"#,
        INVALID,
        "Unknown member.",
    ),
    ("a kind nobody knows", "{post}{json}{size}\r\n", r#"{"type":"com.example","event":"x"}"#, TAKEN, ""),
    ("a number as an id", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"x","id":7}"#, TAKEN, ""),
    (
        "an endless number as an id",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"x","id":{digits}}"#,
        INVALID,
        "\"field\":\"id\"",
    ),
    (
        "a number as an object",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"poweron","object":{"id":7}}"#,
        TAKEN,
        "",
    ),
    (
        "a number as a time",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"poweron","time":1760629087}"#,
        INVALID,
        "\"field\":\"time\"",
    ),
    (
        "a text as an object",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"poweron","object":"web"}"#,
        INVALID,
        "\"field\":\"object\"",
    ),
    ("a long id", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"x","id":"{long}"}"#, INVALID, "60000 characters"),
    (
        "big and exact numbers",
        "{post}{json}{size}\r\n",
        r#"{"type":"vms","event":"poweron","data":[1e400,-0,1E+2,123456789012345678901234567890,0.10000000000000001]}"#,
        TAKEN,
        "",
    ),
    ("a zero first", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":01}"#, UNREAD, JSON),
    ("deep data", "{post}{json}{size}\r\n", r#"{"type":"vms","event":"poweron","data":{nested}}"#, TAKEN, ""),
    ("too deep", "{post}{json}{size}\r\n", "{deep}", UNREAD, JSON),
    ("null", "{post}{json}{size}\r\n", "null", INVALID, "This is not a JSON object."),
    (
        "a text in which it is",
        "{post}{json}{size}\r\n",
        r#""{\"type\":\"vms\"}""#,
        INVALID,
        "This is not a JSON object.",
    ),
    ("an array", "{post}{json}{size}\r\n", "[{vm}, {vm}]", TAKEN, ""),
    ("an array of one", "{post}{json}{size}\r\n", "[{vm}]", TAKEN, ""),
    ("an empty array", "{post}{json}{size}\r\n", "[]", INVALID, "The array is empty."),
    ("an array in an array", "{post}{json}{size}\r\n", "[[{vm}]]", INVALID, "\"field\":\"[0]\""),
    ("an array with an end of none", "{post}{json}{size}\r\n", "[{vm},]", UNREAD, JSON),
    ("1001 of them", "{post}{json}{size}\r\n", "{many}", &[413], "1000 are the most"),
    (
        "more than a megabyte",
        "{post}{json}{size}\r\n",
        "\"{long}{long}{long}{long}{long}{long}{long}{long}{long}\
         {long}{long}{long}{long}{long}{long}{long}{long}{long}\"",
        &[413],
        "1 MiB is the most",
    ),
    // Lengths.
    ("zeros first", "{post}{json}Content-Length: 00032\r\n\r\n", "{vm}", TAKEN, ""),
    ("twice the same", "{post}{json}{size}{size}\r\n", "{vm}", TAKEN, ""),
    ("two of them", "{post}{json}Content-Length: 5\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("the same in a line", "{post}{json}Content-Length: 32, 32\r\n\r\n", "{vm}", BAD, CLOSE),
    ("a plus", "{post}{json}Content-Length: +32\r\n\r\n", "{vm}", BAD, CLOSE),
    ("a minus", "{post}{json}Content-Length: -1\r\n\r\n", "{vm}", BAD, CLOSE),
    ("hexadecimal", "{post}{json}Content-Length: 0x20\r\n\r\n", "{vm}", BAD, CLOSE),
    ("a unit", "{post}{json}Content-Length: 32b\r\n\r\n", "{vm}", BAD, CLOSE),
    ("no number", "{post}{json}Content-Length:\r\n\r\n", "{vm}", BAD, CLOSE),
    ("more than fits", "{post}{json}Content-Length: 99999999999999999999\r\n\r\n", "{vm}", BAD, CLOSE),
    ("all that fits", "{post}{json}Content-Length: 18446744073709551615\r\n\r\n", "{vm}", &[431, CLOSED], CLOSE),
    ("too short", "{post}{json}Content-Length: 31\r\n\r\n", "{vm}", &[400, 400, CLOSED], JSON),
    ("too long", "{post}{json}Content-Length: 33\r\n\r\n", "{vm}", &[408, CLOSED], LATE),
    ("too long, and the end", "{post}{json}Content-Length: 33\r\n\r\n", "{vm}{end}", BAD, BROKE),
    // Chunks.
    ("one", "{post}{json}{chunked}\r\n", "20\r\n{vm}\r\n0\r\n\r\n", TAKEN, ""),
    ("Chunked", "{post}{json}Transfer-Encoding: \tChunked\t\r\n\r\n", "20\r\n{vm}\r\n0\r\n\r\n", TAKEN, ""),
    ("zeros", "{post}{json}{chunked}\r\n", "00000020\r\n{vm}\r\n000\r\n\r\n", TAKEN, ""),
    (
        "odd ones",
        "{post}{json}{chunked}\r\n",
        "1\r\n{\r\n1E\r\n\"type\":\"vms\",\"event\":\"poweron\"\r\n1\r\n}\r\n0\r\n\r\n",
        TAKEN,
        "",
    ),
    ("an extension", "{post}{json}{chunked}\r\n", "20;name=\"a;b\";c\r\n{vm}\r\n0;last\r\n\r\n", TAKEN, ""),
    ("blanks after a size", "{post}{json}{chunked}\r\n", "20 \t\r\n{vm}\r\n0 \r\n\r\n", TAKEN, ""),
    ("trailers", "{post}{json}Trailer: X-A\r\n{chunked}\r\n", "20\r\n{vm}\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", TAKEN, ""),
    ("a trailer that is none", "{post}{json}{chunked}\r\n", "20\r\n{vm}\r\n0\r\nno trailer\r\n\r\n", BAD, BROKE),
    ("none but the last", "{post}{json}{chunked}\r\n", "0\r\n\r\n", UNREAD, "line 1, column 0"),
    ("no last", "{post}{json}{chunked}\r\n", "20\r\n{vm}\r\n", &[408, CLOSED], LATE),
    ("no last, and the end", "{post}{json}{chunked}\r\n", "20\r\n{vm}\r\n{end}", BAD, BROKE),
    ("line feeds", "{post}{json}{chunked}\r\n", "20\n{vm}\n0\n\n", BAD, BROKE),
    ("a size that is none", "{post}{json}{chunked}\r\n", "zz\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("an empty size", "{post}{json}{chunked}\r\n", "\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("a blank before a size", "{post}{json}{chunked}\r\n", " 20\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("a size with 0x", "{post}{json}{chunked}\r\n", "0x20\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("a size with a minus", "{post}{json}{chunked}\r\n", "-20\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("a size that is too large", "{post}{json}{chunked}\r\n", "10000000000000020\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("a size in an extension", "{post}{json}{chunked}\r\n", "20;\n0\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("longer than its size", "{post}{json}{chunked}\r\n", "5\r\n{vm}\r\n0\r\n\r\n", BAD, BROKE),
    ("none, though it says so", "{post}{json}{chunked}\r\n", "{vm}", BAD, BROKE),
    // Two ways to read it: refused, or read in chunks and nothing after them.
    (
        "chunks and a length",
        "{post}{json}{chunked}Content-Length: 6\r\n\r\n",
        "20\r\n{vm}\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n{host}\r\n",
        &[202, CLOSED],
        CLOSE,
    ),
    (
        "a length and chunks",
        "{post}{json}Content-Length: 32\r\n{chunked}\r\n",
        "20\r\n{vm}\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n{host}\r\n",
        &[202, CLOSED],
        CLOSE,
    ),
    ("a wrong length and chunks", "{post}{json}Content-Length: x\r\n{chunked}\r\n", "0\r\n\r\n", BAD, CLOSE),
    ("identity and a length", "{post}{json}Transfer-Encoding: identity\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("xchunked", "{post}{json}Transfer-Encoding: xchunked\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("chunked in quotes", "{post}{json}Transfer-Encoding: \"chunked\"\r\n\r\n", "0\r\n\r\n", BAD, CLOSE),
    ("chunked and no more", "{post}{json}Transfer-Encoding: chunked, identity\r\n\r\n", "0\r\n\r\n", BAD, CLOSE),
    ("chunked, then another line", "{post}{json}{chunked}Transfer-Encoding: gzip\r\n\r\n", "0\r\n\r\n", BAD, CLOSE),
    ("an empty coding", "{post}{json}Transfer-Encoding:\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("a blank before its colon", "{post}{json}Transfer-Encoding : chunked\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("a folded coding", "{post}{json}Transfer-Encoding:\r\n chunked\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("a coding with a control", "{post}{json}Transfer-Encoding: \u{b}chunked\r\n{size}\r\n", "{vm}", BAD, CLOSE),
    ("chunked twice", "{post}{json}{chunked}{chunked}\r\n", "20\r\n{vm}\r\n0\r\n\r\n", TAKEN, ""),
    (
        "chunked twice in a line",
        "{post}{json}Transfer-Encoding: chunked, chunked\r\n\r\n",
        "20\r\n{vm}\r\n0\r\n\r\n",
        TAKEN,
        "",
    ),
    (
        "gzip in chunks, and is not",
        "{post}{json}Transfer-Encoding: gzip, chunked\r\n\r\n",
        "20\r\n{vm}\r\n0\r\n\r\n",
        TAKEN,
        "",
    ),
    // Connections.
    ("close", "{post}{json}Connection: close\r\n{size}\r\n", "{vm}", &[202, CLOSED], CLOSE),
    (
        "Close among others",
        "{post}{json}Connection: TE, Close\r\nTE: trailers\r\n{size}\r\n",
        "{vm}",
        &[202, CLOSED],
        CLOSE,
    ),
    ("keep-alive", "{post}{json}Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n{size}\r\n", "{vm}", TAKEN, ""),
    (
        "HTTP/1.0",
        "POST /api/v1/events HTTP/1.0\r\n{auth}{json}{size}\r\n",
        "{vm}",
        &[202, CLOSED],
        "HTTP/1.0 202 Accepted",
    ),
    (
        "HTTP/1.0 that stays",
        "POST /api/v1/events HTTP/1.0\r\n{auth}{json}Connection: Keep-Alive\r\n{size}\r\n",
        "{vm}",
        TAKEN,
        "connection: keep-alive",
    ),
    ("HTTP/1.0 without a length", "POST /api/v1/events HTTP/1.0\r\n{auth}{json}\r\n", "{vm}", BAD, JSON),
    (
        "HTTP/1.0 in chunks",
        "POST /api/v1/events HTTP/1.0\r\n{auth}{json}{chunked}\r\n",
        "20\r\n{vm}\r\n0\r\n\r\n",
        BAD,
        CLOSE,
    ),
    (
        "HTTP/1.0 that expects to be told",
        "POST /api/v1/events HTTP/1.0\r\n{auth}{json}Expect: 100-continue\r\n{size}\r\n",
        "{vm}",
        &[202, CLOSED],
        "",
    ),
    ("expects to be told", "{post}{json}Expect: 100-Continue\r\n{size}\r\n", "{pause}{vm}", TAKEN, "100 Continue"),
    ("expects something else", "{post}{json}Expect: a miracle\r\n{size}\r\n", "{vm}", TAKEN, ""),
    (
        "expects to be told, and is refused",
        "{line}{host}{json}Expect: 100-continue\r\nContent-Length: 32\r\n\r\n",
        "",
        &[401, CLOSED],
        KEY,
    ),
    ("the body later", "{post}{json}{size}\r\n{pause}", "{vm}", TAKEN, ""),
    (
        "the head in pieces",
        "P{pause}OST /api/v1/events HTTP/1.1\r\nHo{pause}st: x\r{pause}\n{auth}{json}{size}\r\n",
        "{vm}",
        TAKEN,
        "",
    ),
    (
        "the body in pieces",
        "{post}{json}{size}\r\n",
        "{\"type\":{pause}\"vms\",\"event\":\"po{pause}weron\"{pause}}",
        TAKEN,
        "",
    ),
    ("a chunk in pieces", "{post}{json}{chunked}\r\n", "2{pause}0\r{pause}\n{vm}\r\n{pause}0\r\n\r\n", TAKEN, ""),
    ("two at once", "{post}{json}{size}\r\n{vm}{post}{json}{size}\r\n", "{vm}", &[202, 202], ""),
    (
        "two at once, an empty line between them",
        "{post}{json}{size}\r\n{vm}\r\n{post}{json}{size}\r\n",
        "{vm}",
        &[202, 202],
        "",
    ),
    ("a refused one and another", "{line}{json}{size}\r\n{vm}{post}{json}{size}\r\n", "{vm}", &[401, 202], KEY),
    ("another first", "GET /health/live HTTP/1.1\r\n{host}\r\n{post}{json}{size}\r\n", "{vm}", &[200, 202], ""),
    (
        "chunks and another",
        "{post}{json}{chunked}\r\n20\r\n{vm}\r\n0\r\n\r\n{post}{json}{size}\r\n",
        "{vm}",
        &[202, 202],
        "",
    ),
    (
        "the last, and another",
        "{post}{json}Connection: close\r\n{size}\r\n{vm}{post}{json}{size}\r\n",
        "{vm}",
        &[202, CLOSED],
        CLOSE,
    ),
    // Something else than HTTP/1.
    ("nothing at all", "{end}", "", &[CLOSED], ""),
    ("empty lines alone", "\r\n\r\n{end}", "", &[CLOSED], ""),
    ("half a head", "{post}{json}{end}", "", &[CLOSED], ""),
    ("HTTP/2 in clear text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", &[SETTINGS], ""),
    (
        "TLS",
        "\u{16}\u{3}\u{1}\0\u{47}\u{1}\0\0\u{43}\u{3}\u{3}",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0\0\u{2}\u{13}\u{1}\u{1}\0\0\u{18}\0\0\0\u{14}\0\u{12}\0\0\u{f}\
         hooks.example00",
        BAD,
        CLOSE,
    ),
    ("SSH", "SSH-2.0-OpenSSH_9.6\r\n", "", BAD, CLOSE),
    ("SMTP", "EHLO hooks.example\r\n", "", BAD, CLOSE),
    ("Redis", "*1\r\n$4\r\nPING\r\n", "", BAD, CLOSE),
    ("syslog", "<34>1 2025-10-16T15:38:07Z dc su - - - failed\n", "", BAD, CLOSE),
    ("a remote desktop", "\u{3}\0\0\u{13}\u{e}\u{e0}\0\0\0\0\0\u{1}\0\u{8}\0\u{3}\0\0\0", "", BAD, CLOSE),
    ("a proxy's first line", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n{post}{json}{size}\r\n", "{vm}", BAD, CLOSE),
    ("the document alone", "{vm}\n", "", BAD, CLOSE),
    ("HTTP/0.9", "GET /api/v1/events\r\n\r\n", "", BAD, CLOSE),
];

/// What the marks stand for. Those that hold others come before them.
fn marks(key: &str, other: &str) -> Vec<(&'static str, String)> {
    vec![
        ("{post}", "{line}{host}{auth}".into()),
        ("{line}", "POST /api/v1/events HTTP/1.1\r\n".into()),
        ("{host}", "Host: hooks.example\r\n".into()),
        ("{auth}", "Authorization: Bearer {key}\r\n".into()),
        ("{json}", "Content-Type: application/json\r\n".into()),
        ("{size}", "Content-Length: {len}\r\n".into()),
        ("{chunked}", "Transfer-Encoding: chunked\r\n".into()),
        ("{lines}", "X-Line: 1\r\n".repeat(101)),
        ("{digits}", "7".repeat(300)),
        ("{long}", "x".repeat(60_000)),
        ("{nested}", "[".repeat(100) + &"]".repeat(100)),
        ("{deep}", "[".repeat(200) + &"]".repeat(200)),
        ("{many}", "[".to_owned() + &"{vm},".repeat(1000) + "{vm}]"),
        ("{vm}", r#"{"type":"vms","event":"poweron"}"#.into()),
        ("{basic}", STANDARD.encode(format!("x:{key}"))),
        ("{name}", STANDARD.encode(format!("{key}:"))),
        ("{key}", key.into()),
        ("{other}", other.into()),
    ]
}

/// A shape's text, but for `{pause}` and `{end}`.
fn fill(head: &str, body: &str, marks: &[(&str, String)]) -> String {
    let fill = |text: &str| marks.iter().fold(text.to_owned(), |text, (mark, meaning)| text.replace(mark, meaning));
    let body = fill(body);
    let length = body.replace("{pause}", "").replace("{end}", "").chars().count();
    fill(head).replace("{len}", &length.to_string()) + &body
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// The status of the answer that begins `at` this place of what came, or what is there in its stead. Those before the
/// final one are passed over.
async fn next(from: &mut (impl AsyncRead + Unpin), came: &mut Vec<u8>, at: &mut usize, has_body: bool) -> u16 {
    loop {
        let rest = &came[*at..];
        if rest.get(3..9).is_some_and(|frame| frame == [4, 0, 0, 0, 0, 0]) {
            return SETTINGS;
        }
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(BROKEN);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.filter(|_| has_body).unwrap_or_default();
            if rest.len() >= end + 4 + length {
                *at += end + 4 + length;
                if (100..200).contains(&status) {
                    continue;
                }
                return status;
            }
        }
        // A server that hangs up without having read everything may do so with a reset.
        if !from.read_buf(came).await.is_ok_and(|read| read > 0) {
            return if came.len() == *at { CLOSED } else { BROKEN };
        }
    }
}

/// Writes a request in its parts and reads so many answers: their statuses, and all that came.
async fn ask(server: &TestServer, text: &str, count: usize) -> (Vec<u16>, String) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    let (mut from, mut to) = stream.split();
    let write = async {
        let whole = text.trim_end_matches("{end}");
        for (place, part) in whole.split("{pause}").enumerate() {
            if place > 0 {
                pause().await;
            }
            // A server that has seen enough reads no more.
            if to.write_all(&bytes(part)).await.is_err() {
                return;
            }
        }
        if whole.len() < text.len() {
            let _ = to.shutdown().await;
        }
    };
    let read = async {
        let (mut statuses, mut came, mut at) = (Vec::new(), Vec::new(), 0);
        while statuses.len() < count && statuses.last() != Some(&CLOSED) {
            statuses.push(next(&mut from, &mut came, &mut at, !text.starts_with("HEAD ")).await);
        }
        (statuses, String::from_utf8_lossy(&came).into_owned())
    };
    let ((), answered) = tokio::join!(write, read);
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shape_of_a_request_is_answered_as_what_it_is() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let other = server.key("inventory", &[Scope::Inventory]).await;
    let marks = marks(&key, &other);
    let mut wrong = String::new();
    for (name, head, body, expected, words) in SHAPES {
        let text = fill(head, body, &marks);
        match timeout(PATIENCE, ask(&server, &text, expected.len())).await {
            Err(_) => wrong += &format!("{name} ({head:?}): {expected:?}, and is not answered in time\n"),
            Ok((statuses, came)) if statuses != *expected || !came.contains(words) => {
                wrong += &format!("{name} ({head:?}): {expected:?} {words:?}, and is {statuses:?}\n{came}\n");
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_request_holds_it_is_answered_or_ended_and_the_next_is_taken_in() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let method =
        prop_oneof![Just("POST".to_owned()), Just("GET".to_owned()), "[A-Za-z]{1,12}", "[ -~\u{80}-\u{ff}]{0,6}"];
    let target = prop_oneof![Just("/api/v1/events".to_owned()), Just("*".to_owned()), "/[!-~]{0,30}", "[ -~]{0,12}"];
    let version = prop_oneof![Just("HTTP/1.1"), Just("HTTP/1.0"), Just("HTTP/1.9"), Just("")];
    let line = prop_oneof![
        ("[A-Za-z-]{0,12}", "[ -~\u{80}-\u{ff}]{0,24}"),
        ("Content-Length", "[0-9]{0,2}"),
        ("Transfer-Encoding", "(gzip, )?chunked|identity|[a-z]{0,8}"),
        ("(Connection|Expect|Upgrade)", "close|keep-alive|100-continue|h2c|[a-z]{0,8}"),
        ("Content-Type", "application/(json|cloudevents\\+json)|[a-z/]{0,20}"),
        ("Authorization", "(Bearer|bearer|Basic) \\{key\\}"),
    ];
    let request = (
        method,
        target,
        version,
        prop::collection::vec(line, 0..6),
        prop_oneof![Just("\r\n"), Just("\n")],
        "[\\x00-\\xff]{0,60}",
    );
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..100 {
        let (method, target, version, lines, end, body) = request.new_tree(&mut runner).expect("a request").current();
        let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}{end}")).collect();
        let text = format!("{method} {target} {version}{end}{lines}{end}{body}").replace("{key}", &key);
        let answered = timeout(PATIENCE, ask(&server, &text, 1)).await;
        let (statuses, came) = answered.unwrap_or_else(|_| panic!("{text:?} is not answered in time"));
        let status = statuses[0];
        assert!(status == CLOSED || (200..=505).contains(&status), "{text:?}: {status}\n{came}");
        assert_eq!(server.post(&key, &json!({"type": "vms", "event": "poweron"})).await.0, 202, "after {text:?}");
    }
}
