//! The stream below lettre's connection, plain or encrypted.
//!
//! The wire reads replies line by line and passes on only lines that lettre can read, one at a time. So lettre never
//! holds text that arrived before the encryption began and would count as encrypted (RFC 3207 §6). A hostile server
//! cannot fill the memory, since lines and sessions have limits. The wire keeps each whole reply, since lettre drops
//! the text of some, and records the dialogue.

use super::dialogue::Dialogue;
use super::failure::Trouble;
use super::reply::{Line, Reply, parse_line};
use super::tls::{self, Security};
use crate::outbound::failure::find;
use lettre::transport::smtp::client::AsyncTokioStream;
use model::delivery::ErrorCode;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// The most bytes of a line of a reply. RFC 5321 §4.5.3.1.5 allows 512.
const LINE_MAX_BYTES: usize = 8 * 1024;
/// The most bytes of a line's text that lettre gets: it refuses lines of more than 1,000.
const PASSED_ON_BYTES: usize = 500;
/// The most lines of one reply.
const REPLY_MAX_LINES: usize = 200;
/// The name of the first reply.
const GREETING: &str = "its greeting";

/// A handle of the stream. lettre has one, and the session has another.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

/// The transport below.
enum Transport {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// No transport, while the handshake runs.
    InHandshake,
}

/// The reason why no more replies can be read.
enum Fault {
    /// The server closed the connection.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// The server's text is no reply, for this reason (a clause).
    Unreadable(&'static str),
}

/// The kind of the bytes that the session sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Commands,
    /// Commands of an authentication, which are masked in the dialogue.
    Secrets,
    /// A message, which is not recorded.
    Message,
}

struct State {
    transport: Transport,
    /// Bytes of the server that are not a whole line yet.
    unread: Vec<u8>,
    /// A line for lettre.
    line: Vec<u8>,
    /// The number of bytes that the server may still send.
    allowance: usize,
    /// The reply that is being read.
    reply: Reply,
    is_complete: bool,
    fault: Option<Fault>,
    /// True once sending has failed. Replies are still read, since the server may have said why.
    is_deaf: bool,
    /// True once QUIT is sent. Replies from then on decide nothing.
    is_leaving: bool,
    content: Content,
    /// The command that is being sent.
    command: Vec<u8>,
    /// The name of the reply that is awaited, such as `its reply to RCPT`.
    awaited: String,
    greeted_at: Option<Instant>,
    dialogue: Dialogue,
}

impl Wire {
    /// Returns a wire over this connection. The server may send `allowance` bytes in all. `secrets` are masked in its
    /// replies.
    pub(super) fn new(tcp: TcpStream, allowance: usize, secrets: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(State {
            transport: Transport::Plain(tcp),
            unread: Vec::new(),
            line: Vec::new(),
            allowance,
            reply: Reply::default(),
            is_complete: false,
            fault: None,
            is_deaf: false,
            is_leaving: false,
            content: Content::Commands,
            command: Vec::new(),
            awaited: GREETING.to_owned(),
            greeted_at: None,
            dialogue: Dialogue::new(secrets),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encrypts the connection.
    ///
    /// # Errors
    /// Fails when the handshake does, and when the server has sent anything beyond its last reply.
    pub(super) async fn encrypt(&self, security: &Security) -> Result<(), Trouble> {
        let taken = {
            let mut state = self.lock();
            let is_early = !state.unread.is_empty() || !state.line.is_empty();
            "its part of the TLS handshake".clone_into(&mut state.awaited);
            match std::mem::replace(&mut state.transport, Transport::InHandshake) {
                Transport::Plain(tcp) if !is_early => Some(tcp),
                _ => None,
            }
        };
        let Some(tcp) = taken else {
            let text = "The mail server, or somebody on the way, sent text between STARTTLS and the encryption. The \
                        session was ended, and nothing was sent.";
            return Err(Trouble::failed(ErrorCode::Tls, text));
        };
        let encrypted = tls::handshake(security, tcp).await?;
        let mut state = self.lock();
        state.transport = Transport::Encrypted(Box::new(encrypted));
        GREETING.clone_into(&mut state.awaited);
        Ok(())
    }

    /// Sets the kind of the bytes that are sent from now on.
    pub(super) fn set_content(&self, content: Content) {
        self.lock().content = content;
    }

    /// Records that a message of this size follows.
    pub(super) fn begin_message(&self, bytes: usize) {
        let mut state = self.lock();
        state.begin_request("its reply to the message");
        state.dialogue.message(bytes);
        state.content = Content::Message;
    }

    /// Returns the reply to the last command or message.
    ///
    /// # Errors
    /// Fails with the reason when there is no whole reply.
    pub(super) fn reply(&self) -> Result<Reply, Trouble> {
        let state = self.lock();
        if state.is_complete { Ok(state.reply.clone()) } else { Err(state.trouble()) }
    }

    /// Returns the name of the reply that is awaited.
    pub(super) fn awaited(&self) -> String {
        self.lock().awaited.clone()
    }

    /// Returns the instant at which the first line of the server arrived.
    pub(super) fn greeted_at(&self) -> Option<Instant> {
        self.lock().greeted_at
    }

    /// Returns the dialogue, and a note if a part of it is missing.
    pub(super) fn dialogue(&self) -> (Vec<u8>, Option<String>) {
        self.lock().dialogue.read()
    }
}

impl State {
    /// Forgets the last reply, since the next one belongs to the next request.
    fn begin_request(&mut self, awaited: &str) {
        self.reply = Reply::default();
        self.is_complete = false;
        awaited.clone_into(&mut self.awaited);
    }

    /// Returns why there is no reply.
    fn trouble(&self) -> Trouble {
        let awaited = &self.awaited;
        match &self.fault {
            Some(Fault::Unreadable(reason)) => {
                // After the message the server has probably acted, so another try would be a repeat.
                let is_about_message = self.content == Content::Message;
                let code = if is_about_message { ErrorCode::Unreadable } else { ErrorCode::Reset };
                Trouble::failed(
                    code,
                    &format!("The mail server's text cannot be read in place of {awaited}: {reason}."),
                )
            }
            Some(Fault::Broken(error)) if find::<rustls::Error>(error).is_some() => tls::trouble(error),
            _ => {
                let hint = if self.content == Content::Message { " The message may have arrived." } else { "" };
                let text = format!("The mail server closed the connection before {awaited}.{hint}");
                Trouble::failed(ErrorCode::Reset, &text)
            }
        }
    }

    /// Fills `line` with the next line of the server. After a fault it stays empty: lettre sees the end of the stream.
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.fault.is_none() {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                self.take_line(&line);
                return Poll::Ready(());
            }
            if self.unread.len() >= LINE_MAX_BYTES {
                self.fault = Some(Fault::Unreadable("one of its lines has no end"));
                break;
            }
            let mut chunk = [0; 4096];
            let mut buffer = ReadBuf::new(&mut chunk);
            let read = match &mut self.transport {
                Transport::Plain(tcp) => ready!(Pin::new(tcp).poll_read(context, &mut buffer)),
                Transport::Encrypted(tls) => ready!(Pin::new(tls.as_mut()).poll_read(context, &mut buffer)),
                Transport::InHandshake => Err(ErrorKind::NotConnected.into()),
            };
            let filled = buffer.filled();
            self.fault = match read {
                Err(error) => Some(Fault::Broken(error)),
                Ok(()) if filled.is_empty() => Some(Fault::Closed),
                Ok(()) if filled.len() > self.allowance => Some(Fault::Unreadable("its replies are too long")),
                Ok(()) => None,
            };
            self.allowance = self.allowance.saturating_sub(filled.len());
            self.unread.extend_from_slice(filled);
        }
        Poll::Ready(())
    }

    /// Adds a line, with its end, to the reply, the dialogue and the buffer for lettre.
    fn take_line(&mut self, line: &[u8]) {
        self.greeted_at.get_or_insert_with(Instant::now);
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        let Some(Line { code, is_last, text }) = parse_line(line) else {
            let line = self.dialogue.masked(line);
            self.dialogue.server(&line);
            self.fault = Some(Fault::Unreadable(if self.awaited == GREETING {
                "it does not begin with a code. Does this port speak SMTP, and is it encrypted as chosen?"
            } else {
                "it does not begin with a code"
            }));
            return;
        };
        let text = self.dialogue.masked(text);
        let separator = if is_last { ' ' } else { '-' };
        self.dialogue.server(format!("{code}{separator}{text}").trim_end());
        // lettre needs a word in the first line.
        let passed = if text.trim().is_empty() { "." } else { &text[..text.floor_char_boundary(PASSED_ON_BYTES)] };
        let passed = format!("{code}{separator}{passed}\r\n").into_bytes();
        if !self.is_leaving {
            let fault = if !self.reply.lines.is_empty() && code != self.reply.code {
                Some("the lines of one reply have different codes")
            } else if self.reply.lines.len() >= REPLY_MAX_LINES {
                Some("one of its replies has no end")
            } else if self.is_deaf && code < 400 {
                Some("it says yes to something that was not sent completely")
            } else {
                None
            };
            if let Some(reason) = fault {
                self.fault = Some(Fault::Unreadable(reason));
                return;
            }
            self.reply.code = code;
            self.reply.lines.push(text);
            self.is_complete = is_last;
        }
        self.line = passed;
    }

    /// Records the commands among the bytes that were sent.
    fn record(&mut self, sent: &[u8]) {
        if self.content == Content::Message {
            return;
        }
        self.command.extend_from_slice(sent);
        if !self.command.ends_with(b"\r\n") {
            return;
        }
        let command = String::from_utf8_lossy(&std::mem::take(&mut self.command)).trim_end().to_owned();
        let is_secret = self.content == Content::Secrets;
        self.dialogue.client(&command, is_secret);
        // lettre sends QUIT by itself after a refused EHLO. The reply to EHLO counts, not the reply to QUIT.
        self.is_leaving |= command == "QUIT";
        if !self.is_leaving {
            let verb = if is_secret { "AUTH" } else { command.split(' ').next().unwrap_or_default() };
            self.begin_request(&format!("its reply to {verb}"));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.line.is_empty() {
            ready!(state.poll_line(context));
        }
        let count = state.line.len().min(buffer.remaining());
        buffer.put_slice(&state.line[..count]);
        state.line.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    /// Never fails. A server that hangs up in the middle of a message has often said why, and lettre would not read
    /// that reply after an error.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.lock();
        let written = match &mut state.transport {
            _ if state.is_deaf => Ok(bytes.len()),
            Transport::Plain(tcp) => ready!(Pin::new(tcp).poll_write(context, bytes)),
            Transport::Encrypted(tls) => ready!(Pin::new(tls.as_mut()).poll_write(context, bytes)),
            Transport::InHandshake => Err(ErrorKind::NotConnected.into()),
        };
        state.is_deaf |= written.is_err();
        let count = written.unwrap_or(bytes.len());
        state.record(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        if let Transport::Encrypted(tls) = &mut state.transport
            && !state.is_deaf
        {
            state.is_deaf = ready!(Pin::new(tls.as_mut()).poll_flush(context)).is_err();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Transport::Encrypted(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
            Transport::InHandshake => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.lock().transport {
            Transport::Plain(tcp) => tcp.peer_addr(),
            Transport::Encrypted(tls) => tls.get_ref().0.peer_addr(),
            Transport::InHandshake => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}
