//! Turns the errors of an attempt without a response into a code and a sentence for the operator. No text of a library
//! is shown.

use super::guard::Refused;
use super::guard::names::Unresolved;
use super::tls;
use model::delivery::ErrorCode;
use model::text::capitalised;
use std::error::Error as StdError;
use std::net::UdpSocket;

/// A code, and a sentence for the operator.
pub(super) type Failure = (ErrorCode, String);

/// Returns the text of an error, a clause for the operator, as a sentence: capitalised, with a full stop.
pub(super) fn sentence(error: &dyn StdError) -> String {
    format!("{}.", capitalised(&error.to_string()))
}

/// Turns the client's error into a code and a sentence. The sentence contains neither the URL nor any part of the
/// message. `is_proxied` is true when the client connected to the egress proxy.
pub(super) fn classify(error: &reqwest::Error, is_https: bool, is_proxied: bool) -> Failure {
    if let Some(refused) = find::<Refused>(error) {
        return (ErrorCode::RefusedAddress, sentence(refused));
    }
    if let Some(unresolved) = find::<Unresolved>(error) {
        return (ErrorCode::Dns, sentence(unresolved));
    }
    if let Some(handshake) = find::<rustls::Error>(error) {
        return (ErrorCode::Tls, tls::sentence(handshake));
    }
    let io = io_kind(error);
    let tunnel = if is_proxied { tunnel(error) } else { Tunnel::Open };
    if let Tunnel::Refused(reason) = tunnel {
        return (ErrorCode::Connect, format!("The egress proxy made no connection: {reason}."));
    }
    // Once the tunnel is open, the error is the receiver's and not the proxy's.
    let is_proxied = is_proxied && !(is_https && matches!(tunnel, Tunnel::Open));
    if error.is_connect() {
        let reason = match io {
            // A receiver that does not speak TLS closes or resets the connection in the handshake.
            Some(
                std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe,
            ) if is_https && !is_proxied => {
                let text =
                    "No encrypted connection: the receiver hung up in the handshake. Does it speak https on this port?";
                return (ErrorCode::Tls, text.to_owned());
            }
            _ => unconnected(io),
        };
        let target = if is_proxied { " to the egress proxy" } else { "" };
        return (ErrorCode::Connect, format!("Cannot connect{target}: {reason}."));
    }
    if error.is_builder() {
        return (ErrorCode::Header, "The request could not be built. Edit the webhook.".to_owned());
    }
    if let Some(parse_error) = find::<hyper::Error>(error).filter(|error| error.is_parse()) {
        return (ErrorCode::Unreadable, unreadable(&parse_error.to_string()));
    }
    (ErrorCode::Reset, "The connection was closed before a response arrived.".to_owned())
}

/// Returns why there is no connection, as a clause.
pub(super) fn unconnected(kind: Option<std::io::ErrorKind>) -> &'static str {
    match kind {
        Some(std::io::ErrorKind::ConnectionRefused) => "nothing accepts connections on this port",
        Some(std::io::ErrorKind::HostUnreachable) => "the host is unreachable",
        Some(std::io::ErrorKind::NetworkUnreachable) => "the network is unreachable",
        _ => "the connection failed",
    }
}

/// The state of the tunnel through the proxy when an attempt failed.
enum Tunnel {
    /// The tunnel was open, or none was needed.
    Open,
    /// The proxy could not be reached.
    Unreached,
    /// The proxy did not open the tunnel, for this reason (a clause).
    Refused(&'static str),
}

/// Reads the state of the tunnel from the texts of an error: the library's type for it is private.
fn tunnel(error: &(dyn StdError + 'static)) -> Tunnel {
    let mut current = Some(error);
    while let Some(error) = current {
        match error.to_string().strip_prefix("tunnel error: ") {
            Some("proxy authorization required") => {
                return Tunnel::Refused("it wants a user name and password, which belong in --egress-proxy");
            }
            Some("unsuccessful") => return Tunnel::Refused("it refused, or could not reach the receiver; see its log"),
            Some("failed to create underlying connection") => return Tunnel::Unreached,
            Some(_) => return Tunnel::Refused("it broke off, or did not respond as a proxy does"),
            None => current = error.source(),
        }
    }
    Tunnel::Open
}

/// Explains why the HTTP library refused the head of a response. `library` is the library's text.
fn unreadable(library: &str) -> String {
    let reason = match library {
        "unexpected transfer-encoding parsed" => {
            "it is HTTP/1.0, or has a length, and yet says that it comes in chunks or another coding"
        }
        "invalid content-length parsed" => "its length is no number, or two different ones",
        "message head is too large" => "it is too long, or says that the body is",
        "invalid HTTP status-code parsed" => "its first line is not a version, a status of three digits and plain text",
        "invalid HTTP header parsed" => "one of its lines is no header",
        _ => return "The response does not begin as HTTP does. Does the receiver speak http on this port?".to_owned(),
    };
    format!("The response's head could not be read: {reason}. The receiver has probably acted.")
}

/// Returns the resource that this machine lacks, if nothing was sent for that reason. The receiver is not to blame.
pub(super) fn shortage(error: &reqwest::Error) -> Option<&'static str> {
    let number = find::<Unresolved>(error).and_then(|unresolved| unresolved.os_error).or_else(|| os_error(error));
    used_up(number?)
}

/// Returns the resource that the machine lacks, by the operating system's number of an error.
pub(super) fn used_up(number: i32) -> Option<&'static str> {
    // Linux: ENFILE, EMFILE; ENOMEM, ENOBUFS.
    match number {
        23 | 24 => Some("open files"),
        12 | 105 => Some("memory"),
        _ => None,
    }
}

/// Opens a socket, and returns the operating system's number of the error if that fails. Some libraries do not pass on
/// the number of their own error, which is then most likely the same.
pub(super) fn socket_error() -> Option<i32> {
    UdpSocket::bind("0.0.0.0:0").err().and_then(|error| error.raw_os_error())
}

/// Returns the operating system's number of the innermost I/O error in the chain that has one.
fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    let here = error.downcast_ref::<std::io::Error>();
    let inner = here.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn StdError + 'static));
    let below = inner.and_then(os_error).or_else(|| error.source().and_then(os_error));
    below.or_else(|| here.and_then(std::io::Error::raw_os_error))
}

/// Returns the kind of the innermost I/O error in the chain. The outer ones wrap it as `Other`.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<std::io::ErrorKind> {
    let here = error.downcast_ref::<std::io::Error>();
    let inner = here.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn StdError + 'static));
    let below = inner.and_then(io_kind).or_else(|| error.source().and_then(io_kind));
    below.or_else(|| here.map(std::io::Error::kind))
}

/// Returns the first error of this type in the chain, also one that an I/O error wraps.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<E>(inner)
        {
            return Some(found);
        }
        current = error.source();
    }
    None
}
