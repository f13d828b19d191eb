//! Request lines and headers: as common senders write them, and damaged.

use super::{BAD, CLOSE, CLOSED, Shape, TAKEN};

pub(super) const SHAPES: &[Shape] = &[
    // Requests of common senders.
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
];
