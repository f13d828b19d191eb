//! Shapes of requests, as data: the bytes that a sender writes, and the responses that the server must give.

mod connection;
mod content;
mod document;
mod framing;
mod head;
mod key;
mod target;

/// Stands for a status: the connection is closed.
pub(super) const CLOSED: u16 = 0;
/// Stands for a status: neither a whole response nor the end of the connection.
pub(super) const BROKEN: u16 = 1;
/// Stands for a status: the first frame of an HTTP/2 server.
pub(super) const SETTINGS: u16 = 2;

const TAKEN: &[u16] = &[202];
const NO_KEY: &[u16] = &[401];
const NOT_FOUND: &[u16] = &[404];
const NOT_ALLOWED: &[u16] = &[405];
const MEDIA_TYPE: &[u16] = &[415];
const INVALID: &[u16] = &[422];
/// The API cannot read the document. The connection stays open.
const UNREAD: &[u16] = &[400];
/// The HTTP library refuses the head, or the body breaks off. The connection is closed.
const BAD: &[u16] = &[400, CLOSED];

const JSON: &str = "This is not valid JSON";
const KEY: &str = "This needs an API key";
const BROKE: &str = "The request's body broke off.";
const LATE: &str = "The request's body did not arrive in time.";
const OUT: &str = "You are signed out";
const CLOSE: &str = "connection: close";

/// A request and the expected responses: a name; the head; the body; the statuses of the responses in their order; and
/// a text that is among the received bytes. In head and body the marks of [`super::marks`] are replaced, and `{len}` by
/// the length of the body. `{pause}` ends a write, and a final `{end}` closes the sender's side.
pub(super) type Shape = (&'static str, &'static str, &'static str, &'static [u16], &'static str);

/// All shapes. Bytes outside ASCII are written as Latin-1 characters.
pub(super) const SHAPES: &[&[Shape]] = &[
    head::SHAPES,
    target::SHAPES,
    key::SHAPES,
    content::SHAPES,
    document::SHAPES,
    framing::SHAPES,
    connection::SHAPES,
];
