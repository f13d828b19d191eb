//! Responses of receivers, byte for byte, and the outcome of each. A head that can be read counts by its status. Any
//! other head is `unreadable`. Only a connection that ends without a response is a `reset`.

use crate::harness::{TestServer, TestStore};
use app::view::webhook::TestRequest;
use model::access::Scope;
use model::webhook::WebhookDraft;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The outcome of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// The status was read.
    Status(u16),
    /// The head could not be read. The error contains this text.
    Unreadable(&'static str),
    /// The connection ended without a response.
    Reset,
}
use Is::{Reset, Status, Unreadable};

const NOT_HTTP: Is = Unreadable("does not begin as HTTP does");
const LENGTH: Is = Unreadable("two different ones");
const CHUNKS: Is = Unreadable("comes in chunks");

/// Responses of a receiver that reads a request, writes these bytes and closes, each with its outcome.
const SHAPES: &[(&str, Is)] = &[
    // Statuses.
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", Status(201)),
    ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", Status(202)),
    ("HTTP/1.1 204 No Content\r\n\r\n", Status(204)),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", Status(204)),
    ("HTTP/1.1 205 Reset Content\r\n\r\n", Status(205)),
    ("HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", Status(206)),
    ("HTTP/1.1 207 Multi-Status\r\nContent-Length: 1\r\n\r\nx", Status(207)),
    ("HTTP/1.1 226 IM Used\r\nContent-Length: 0\r\n\r\n", Status(226)),
    ("HTTP/1.1 299 Whatever\r\nContent-Length: 0\r\n\r\n", Status(299)),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 Tout va bien \u{e9}\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 300 Multiple Choices\r\nContent-Length: 0\r\n\r\n", Status(300)),
    ("HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", Status(301)),
    ("HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n", Status(302)),
    ("HTTP/1.1 304 Not Modified\r\n\r\n", Status(304)),
    ("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n\r\n", Status(307)),
    ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Status(400)),
    ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", Status(401)),
    ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Status(404)),
    ("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", Status(410)),
    ("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n", Status(418)),
    ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", Status(429)),
    ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", Status(500)),
    ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", Status(503)),
    ("HTTP/1.1 599 Custom\r\nContent-Length: 0\r\n\r\n", Status(599)),
    ("HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n", Status(999)),
    ("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 -20 OK\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 203 Non-Authoritative Information\r\nContent-Length: 0\r\n\r\n", Status(203)),
    ("HTTP/1.1 208\r\nContent-Length: 0\r\n\r\n", Status(208)),
    ("HTTP/1.1 218 This is fine\r\nContent-Length: 0\r\n\r\n", Status(218)),
    ("HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", Status(205)),
    ("HTTP/1.1 204 No Content\r\nContent-Length: two\r\n\r\n", Status(204)),
    ("HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Status(204)),
    ("HTTP/1.1 303 See Other\r\nLocation: elsewhere?x=1\r\nContent-Length: 0\r\n\r\n", Status(303)),
    ("HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n", Status(302)),
    ("HTTP/1.1 301 Moved Permanently\r\nLocation:\r\nContent-Length: 0\r\n\r\n", Status(301)),
    ("HTTP/1.1 302\r\nLocation: //evil.example\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", Status(302)),
    ("HTTP/1.1 305 Use Proxy\r\nLocation: http://proxy.example:3128/\r\nContent-Length: 0\r\n\r\n", Status(305)),
    ("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n", Status(308)),
    ("HTTP/1.1 403\r\n\r\nno", Status(403)),
    ("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n", Status(405)),
    ("HTTP/1.1 407 Proxy credentials\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", Status(407)),
    ("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Status(408)),
    ("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n\r\n", Status(413)),
    ("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", Status(417)),
    ("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n", Status(421)),
    ("HTTP/1.1 426 Upgrade\r\nUpgrade: HTTP/2.0\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n", Status(426)),
    ("HTTP/1.1 499 Client Closed Request\r\nContent-Length: 0\r\n\r\n", Status(499)),
    ("HTTP/1.1 502\r\n\r\n", Status(502)),
    ("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", Status(503)),
    ("HTTP/1.1 429 Slow down\r\nRetry-After: -1\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", Status(429)),
    ("HTTP/1.1 503 Busy\r\nRetry-After: Thu, 32 Nonsense 2025 99:99:99\r\nContent-Length: 0\r\n\r\n", Status(503)),
    ("HTTP/1.1 530 Site frozen\r\nContent-Length: 0\r\n\r\n", Status(530)),
    ("HTTP/1.1 600 Not there\r\nContent-Length: 0\r\n\r\n", Status(600)),
    ("HTTP/1.1 200 O\tK \r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200  OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200\tOK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200: OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 0x200 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 \u{b2}00 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200 \u{1b}[32mOK\r\nContent-Length: 0\r\n\r\n", Unreadable("a status of three digits")),
    // Interim responses before the final head.
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Status(503)),
    ("HTTP/1.1 100 Continue\r\n\r\n", Reset),
    ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\n\r\nHTTP/1.1 102\r\n\r\nHTTP/1.1 204 None\r\n\r\n", Status(204)),
    ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 100 Continue\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 100 Continue\n\nHTTP/1.1 201 Created\n\n", Status(201)),
    ("HTTP/1.0 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nok", Status(200)),
    ("HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Status(500)),
    ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200", Reset),
    ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", Reset),
    ("HTTP/1.1 100 Continue\r\n\r\nnonsense", NOT_HTTP),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 abc\r\n\r\n", Unreadable("a status of three digits")),
    ("\n\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("\r\n\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", Status(202)),
    (" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("\u{ef}\u{bb}\u{bf}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("ok\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("\rHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Unreadable("one of its lines is no header")),
    // Versions.
    ("HTTP/1.0 200 OK\r\n\r\nok", Status(200)),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", CHUNKS),
    ("HTTP/1.0 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", CHUNKS),
    ("HTTP/0.9 200 OK\r\n\r\n", NOT_HTTP),
    ("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/2 200\r\n\r\n", NOT_HTTP),
    ("HTTP/2.0 200 OK\r\n\r\n", NOT_HTTP),
    ("http/1.1 200 OK\r\n\r\n", NOT_HTTP),
    ("HTTPS/1.1 200 OK\r\n\r\n", NOT_HTTP),
    ("ICY 200 OK\r\n\r\n", NOT_HTTP),
    ("RTSP/1.0 200 OK\r\n\r\n", NOT_HTTP),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", CHUNKS),
    ("HTTP/1.0 200 OK\r\nContent-Length: two\r\n\r\nok", LENGTH),
    ("HTTP/01.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/3 200\r\n\r\n", NOT_HTTP),
    ("Http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP /1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1.1\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("HTTP/1.1: 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    ("Status: 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    // Other protocols.
    ("SSH-2.0-OpenSSH_9.6\r\n", NOT_HTTP),
    ("220 mail.example ESMTP\r\n", NOT_HTTP),
    ("+OK ready\r\n", NOT_HTTP),
    ("* OK IMAP4rev1\r\n", NOT_HTTP),
    ("\u{15}\u{3}\u{1}\0\u{2}\u{2}P", NOT_HTTP),
    ("<html>no head</html>", NOT_HTTP),
    ("{\"ok\":true}", NOT_HTTP),
    ("OK\r\n", NOT_HTTP),
    ("\0\0\0\0\0\0\0\0\0\0\0\0", NOT_HTTP),
    ("\0\0\u{12}\u{4}\0\0\0\0\0\0\u{3}\0\0\0d\0\u{4}\0\u{10}\0\0\0\u{6}\0\0@\0", NOT_HTTP),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NOT_HTTP),
    ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", NOT_HTTP),
    ("2\r\nok\r\n0\r\n\r\n", NOT_HTTP),
    ("RFB 003.008\n", NOT_HTTP),
    ("ERROR\r\n", NOT_HTTP),
    ("-ERR unknown command 'POST'\r\n", NOT_HTTP),
    ("AMQP\0\0\u{9}\u{1}", NOT_HTTP),
    ("J\0\0\0\n8.0.36\0", NOT_HTTP),
    ("\u{5}\u{ff}", NOT_HTTP),
    ("HTX", NOT_HTTP),
    // No head, or a part of one.
    ("", Reset),
    ("H", Reset),
    ("HTTP/1.1", Reset),
    ("HTTP/1.1 200 OK", Reset),
    ("HTTP/1.1 200 OK\r\n", Reset),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", Reset),
    ("\r\n\r\n", Reset),
    ("HTTP/1.", Reset),
    ("HTTP/1.1 2", Reset),
    ("HTTP/1.1 200 OK\n", Reset),
    ("HTTP/1.1 200 OK\r\n\r", Reset),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n folded", Reset),
    ("\r", Reset),
    // Line ends.
    ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\n\n", Status(200)),
    ("HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n\nuntil the end", Status(200)),
    ("HTTP/1.1 200 OK\rContent-Length: 0\r\r", Unreadable("a status of three digits")),
    ("HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\r\n\r\r\n", Unreadable("a status of three digits")),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\rX", Unreadable("one of its lines is no header")),
    // Framing of the body.
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", Status(200)),
    ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlonger than said", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", LENGTH),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Status(304)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002\r\nok\r\n000\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;name=\"quo;ted\";b\r\nok\r\n0;last\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \t\r\nok\r\n0 \r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nno trailer\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding:  \tchunked \t\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Status(200)),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        Status(200),
    ),
    ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", Status(304)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: \t 2 \t\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2 , 02\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\u{1}\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nok", Unreadable("it is too long")),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2, 3, 2\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n 2\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: \u{b2}\r\n\r\nok", LENGTH),
    ("HTTP/1.1 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\nuntil the end", Status(200)),
    (
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=0\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
        Status(200),
    ),
    ("HTTP/1.1 200 OK\r\nConnection:\r\nProxy-Connection: keep-alive\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nConnection: \u{e9}\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\n\r\n", Status(200)),
    ("HTTP/1.1 101\r\n\r\n", Status(101)),
    // Header lines.
    ("HTTP/1.1 200 OK\r\nX: \u{fc}ber\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX :1\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: a\u{1}b\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX-\u{e9}: 1\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Status(101)),
    ("HTTP/1.1 200 OK\r\nX:\t1\t\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX\t: 1\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n\tfolded\r\n\t\tagain\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX:\r\n folded\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n \r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\n folded first\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\n \t \r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX=1\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\n<b>Warning</b>: header\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nStatus: 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: a\u{7f}b\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", Unreadable("one of its lines is no header")),
    ("HTTP/1.1 200 OK\r\nX\0: 1\r\nContent-Length: 0\r\n\r\n", Unreadable("one of its lines is no header")),
    ("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", Unreadable("one of its lines is no header")),
    ("HTTP/1.1 200 OK\r\nX\rY: 1\r\nContent-Length: 0\r\n\r\n", Unreadable("one of its lines is no header")),
    ("HTTP/1.1 200 OK\r\nSet-Cookie: a=\u{2}; Path=/\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nSet-Cookie: =; ;,\"\\\r\nSet-Cookie2: x\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nDate: yesterday\r\nExpires: -1\r\nLast-Modified: 0\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", Status(200)),
    ("HTTP/1.0 200 OK\r\nServer: RomPager/4.07 UPnP/1.0\r\nEXT:\r\nContent-Type: text/html\r\n\r\n<html>", Status(200)),
    ("HTTP/1.1 200 OK\r\nServer: GoAhead-Webs\r\nPragma: no-cache\r\nCache-control: no-cache\r\n\r\n", Status(200)),
    ("HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.12.3\r\nDate: Thu, 16 Oct 2025 15:38:07\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nX-Powered-By: ASP.NET\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"; ma=86400\r\nNEL: {}\r\nContent-Length: 0\r\n\r\n", Status(200)),
    (
        "HTTP/1.1 200 OK\r\n\
         A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\
         A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\
         Content-Length: 0\r\n\r\n",
        Status(200),
    ),
    (
        "HTTP/1.1 200 OK\r\n\
         a: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\nf: 1\r\ng: 1\r\nh: 1\r\ni: 1\r\nj: 1\r\nk: 1\r\n\
         l: 1\r\nm: 1\r\nn: 1\r\no: 1\r\np: 1\r\nq: 1\r\nr: 1\r\ns: 1\r\nt: 1\r\nu: 1\r\nv: 1\r\n\
         Content-Length: 0\r\n\r\n",
        Status(200),
    ),
    // Charsets and encodings. The body is recorded and not decoded.
    ("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Length: 1\r\n\r\n\u{7f}", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"broken\"", Status(200)),
    (
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Length: 4\r\n\r\n\u{ff}\u{fe}k\0",
        Status(200),
    ),
    ("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=shift_jis\r\nContent-Length: 2\r\n\r\n\u{83}e", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=\"no\r\nContent-Length: 2\r\n\r\n\u{ff}\u{fe}", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Type: ;;=\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Type:\r\nContent-Length: 3\r\n\r\n\0\u{ff}\0", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n\r\nx\u{9c}", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 4\r\n\r\n(\u{b5}/\u{fd}", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\u{1f}\u{8b}\u{8}\0\0\0", Status(200)),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, ,br,\r\nContent-Length: 0\r\n\r\n", Status(200)),
    (
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\u{1f}\u{8b}\r\n0\r\n\r\n",
        Status(200),
    ),
];

/// Starts a receiver that responds to each request with these bytes. Returns its URL and the number of requests.
pub(crate) async fn receiver(response: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            if stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&response).await;
                let _ = stream.shutdown().await;
                // Reads the rest of the request: closing with unread bytes would send a reset.
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
            }
        }
    });
    (url, asked)
}

/// Returns the status, the error and the number of requests that a response led to.
async fn ask(server: &TestServer, response: Vec<u8>) -> (Option<u16>, String, usize) {
    let (url, asked) = receiver(response).await;
    let draft = WebhookDraft { name: "w".into(), url, ..WebhookDraft::default() };
    let request = TestRequest { draft, message: "{}".into() };
    let tested = server.services.backend().webhooks.send_test(None, request).await.expect("tested");
    (tested.status_code, tested.error.unwrap_or_default(), asked.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_shapes_lead_to_the_expected_outcome() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mut wrong = String::new();
    for (shape, expected) in SHAPES {
        // Characters stand for the bytes of Latin-1.
        let bytes = shape.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect();
        let (status, error, asked) = ask(&server, bytes).await;
        let found = match status {
            Some(status) => Status(status),
            None if error.contains("closed before a response arrived") => Reset,
            None => match expected {
                Unreadable(text) if error.contains(text) => *expected,
                _ => Unreadable("another error"),
            },
        };
        if found != *expected || asked != 1 {
            wrong += &format!("{shape:?}: {expected:?}, and is {found:?} ({error}), asked {asked} times\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_response_is_retried_once_and_does_not_open_the_breaker() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let head = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (url, asked) = receiver(head.to_vec()).await;
    let webhook = server.webhook("w", &url, |draft| draft.retries = "20".into()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    for count in 1..=6 {
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        server.deliveries_until(|rows| rows.len() == count && rows[0].attempts == 1).await;
        server.advance(Duration::from_mins(1));
        server.deliveries_until(|rows| rows.iter().all(|row| row.status == Some(model::delivery::Status::Error))).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 12, "ten failures in a row would have opened the breaker");
    let rows = server.deliveries_until(|_| true).await;
    assert!(rows.iter().all(|row| row.attempts == 2), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_response_heads_cause_one_request_and_never_count_as_a_reset() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let head = (
        prop_oneof![
            Just("HTTP/1.1 200 OK"),
            Just("HTTP/1.0 204 x"),
            Just("HTTP/1.1 500"),
            Just("HTTP/1.1 2"),
            Just("x")
        ],
        prop::collection::vec(("[A-Za-z-]{0,12}", "[ -~\u{80}-\u{ff}]{0,24}"), 0..6),
        prop_oneof![Just("\r\n"), Just("\n")],
        "[ -~]{0,40}",
    );
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..150 {
        let (start, lines, end, body) = head.new_tree(&mut runner).expect("a head").current();
        let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}{end}")).collect();
        let text = format!("{start}{end}{lines}{end}{body}");
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect();
        let (status, error, asked) = ask(&server, bytes).await;
        assert_eq!(asked, 1, "{text:?}");
        assert!(!error.contains("closed before a response"), "{text:?}: {error}");
        if let Some(status) = status {
            assert_eq!(error.is_empty(), (200..300).contains(&status), "{text:?}: {error}");
        }
    }
}
