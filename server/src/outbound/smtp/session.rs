//! A session up to the first message: the connection, its encryption, and the authentication.

use super::dial::{ascii_host, dial};
use super::extensions::{Extensions, Mechanism};
use super::failure::Trouble;
use super::reply::Reply;
use super::tls::Security;
use super::wire::{Content, Wire};
use super::{Letter, Progress, Session, transaction};
use crate::outbound::guard::Guard;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;
use model::delivery::ErrorCode;
use model::email::{Failure, RecipientState};
use model::mailer::Encryption;
use secrecy::ExposeSecret;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use tokio::time::Instant;

/// The bytes that a server may send in a session, beyond those for the recipients.
const ALLOWANCE: usize = 64 * 1024;
/// The bytes that a server may send for each recipient.
const ALLOWANCE_PER_RECIPIENT: usize = 512;
/// The least length of a password that is masked where the server repeats it in clear. Shorter ones are parts of words.
const MASKED_MIN: usize = 4;

/// An open session.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    wire: Wire,
    pub(super) extensions: Extensions,
}

impl Connection {
    /// Sends a command, which includes its line end. Returns the reply, even if it is a refusal.
    ///
    /// # Errors
    /// Fails when there is no whole reply, and when the server ends the session or wants another sign-in.
    pub(super) async fn ask(&mut self, command: impl Display) -> Result<Reply, Trouble> {
        // lettre drops the text of some replies, so the reply is taken from the wire.
        let _ = self.smtp.command(command).await;
        checked(self.wire.reply()?)
    }

    /// Sends a message after the server's 354. Returns the reply.
    pub(super) async fn send_message(&mut self, message: &[u8]) -> Result<Reply, Trouble> {
        self.wire.begin_message(message.len());
        // lettre ends the last line itself, and would otherwise send an additional empty line.
        let _ = self.smtp.message(message.strip_suffix(b"\r\n").unwrap_or(message)).await;
        let reply = self.wire.reply()?;
        self.wire.set_content(Content::Commands);
        checked(reply)
    }
}

/// Fails for replies that end the session after any command: 421, and those about the sign-in (RFC 4954 §6).
fn checked(reply: Reply) -> Result<Reply, Trouble> {
    match reply.code {
        421 => Err(refusal("The mail server ended the session", &reply)),
        530 | 534 | 538 => Err(refusal("The mail server wants a sign-in or encryption", &reply)),
        _ => Ok(reply),
    }
}

/// Returns the failure for a reply that refuses something.
fn refusal(text: &str, reply: &Reply) -> Trouble {
    Trouble::Failed(Failure {
        code: ErrorCode::Status,
        status_code: Some(reply.code),
        sentence: format!("{text}: {}", reply.words()),
    })
}

/// Returns the failure for a reply that makes no sense at this point.
pub(super) fn misplaced(request: &str, reply: &Reply) -> Trouble {
    refusal(&format!("The mail server's reply to {request} makes no sense"), reply)
}

/// Connects, signs in, and sends the message to each pending recipient. Returns the connection, which the caller has to
/// quit.
pub(super) async fn run(
    guard: &Guard,
    session: Session<'_>,
    letter: Letter<'_>,
    deadline: Instant,
    progress: &mut Progress,
) -> Result<Connection, Trouble> {
    let mut connection = connect(guard, session, deadline, progress).await?;
    authenticate(&mut connection, session).await?;
    transaction::send_all(&mut connection, &session.settings.from_address, letter, progress).await?;
    Ok(connection)
}

/// Ends the session with QUIT.
pub(super) async fn quit(mut connection: Connection) {
    let _ = connection.smtp.quit().await;
}

/// Connects, exchanges greetings, and encrypts the session.
async fn connect(
    guard: &Guard,
    session: Session<'_>,
    deadline: Instant,
    progress: &mut Progress,
) -> Result<Connection, Trouble> {
    let settings = session.settings;
    let start = Instant::now();
    let Some(host) = ascii_host(&settings.host) else {
        return Err(Trouble::failed(ErrorCode::Dns, "The mail server's name cannot be that of a host."));
    };
    let security = match settings.encryption {
        Encryption::None => None,
        Encryption::Starttls | Encryption::Tls => Some(Security::new(&host, settings.allows_insecure_tls).await?),
    };
    let tcp = dial(guard, &host, settings.port, deadline).await?;
    let hello = hello(tcp.local_addr().map(|address| address.ip()).ok());
    let pending = progress.recipients.iter().filter(|recipient| recipient.state == RecipientState::Pending).count();
    let wire = Wire::new(tcp, ALLOWANCE + pending * ALLOWANCE_PER_RECIPIENT, secrets(session));
    progress.wire = Some(wire.clone());
    if let Some(security) = security.as_ref().filter(|_| settings.encryption == Encryption::Tls) {
        wire.encrypt(security).await?;
    }
    progress.connect = Some(start.elapsed());
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &hello).await;
    // This is the reply to EHLO, or the greeting if the greeting ended the session.
    let reply = checked(wire.reply()?)?;
    let smtp = match connected {
        Ok(smtp) if reply.is_done() => smtp,
        _ => return Err(refusal("The mail server refuses the session", &reply)),
    };
    let mut connection = Connection { extensions: Extensions::read(&reply), smtp, wire: wire.clone() };
    let Some(security) = security.filter(|_| settings.encryption == Encryption::Starttls) else {
        return Ok(connection);
    };
    if !connection.extensions.has_starttls {
        let text = "The mail server offers no STARTTLS on this port, and nothing is sent without encryption. Is the port \
                    right?";
        return Err(Trouble::failed(ErrorCode::Tls, text));
    }
    let reply = connection.ask(Starttls).await?;
    if reply.code != 220 {
        let sentence = format!("The mail server refuses STARTTLS: {}", reply.words());
        return Err(Trouble::Failed(Failure { code: ErrorCode::Tls, status_code: Some(reply.code), sentence }));
    }
    wire.encrypt(&security).await?;
    // The extensions are asked for again, since text from before the encryption may have come from someone else (RFC
    // 3207 §4.2).
    let reply = connection.ask(Ehlo::new(hello)).await?;
    if !reply.is_done() {
        return Err(refusal("The mail server refuses the session", &reply));
    }
    connection.extensions = Extensions::read(&reply);
    Ok(connection)
}

/// Returns the name of this client for EHLO: its address, since it knows no name that a server could look up (RFC 5321
/// §4.1.4).
fn hello(local: Option<IpAddr>) -> ClientId {
    match local.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Some(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        None => ClientId::Ipv4(Ipv4Addr::LOCALHOST),
    }
}

/// Signs in, if the settings have a user name.
async fn authenticate(connection: &mut Connection, session: Session<'_>) -> Result<(), Trouble> {
    let username = &session.settings.username;
    if username.is_empty() {
        return Ok(());
    }
    let Some(password) = session.password.map(ExposeSecret::expose_secret) else {
        return Err(Trouble::failed(ErrorCode::Internal, "The SMTP password is not stored. Enter it again."));
    };
    let Some(mechanism) = connection.extensions.mechanism else {
        let text = "The mail server offers no authentication by user name and password (PLAIN or LOGIN) on this port. \
                    Is the port right?";
        return Err(Trouble::failed(ErrorCode::Status, text));
    };
    connection.wire.set_content(Content::Secrets);
    let reply = match mechanism {
        Mechanism::Plain => connection.ask(format!("AUTH PLAIN {}\r\n", plain(username, password))).await?,
        Mechanism::Login => {
            // The texts of the two challenges vary, and mean nothing.
            let mut reply = connection.ask("AUTH LOGIN\r\n").await?;
            for answer in [username.as_str(), password] {
                if reply.code == 334 {
                    reply = connection.ask(format!("{}\r\n", STANDARD.encode(answer))).await?;
                }
            }
            reply
        }
    };
    connection.wire.set_content(Content::Commands);
    if reply.is_done() { Ok(()) } else { Err(refusal("The mail server does not accept the sign-in", &reply)) }
}

fn plain(username: &str, password: &str) -> String {
    STANDARD.encode(format!("\0{username}\0{password}"))
}

/// Returns the password in every form in which a server could repeat it.
fn secrets(session: Session<'_>) -> Vec<String> {
    let Some(password) = session.password.map(ExposeSecret::expose_secret).filter(|password| !password.is_empty())
    else {
        return Vec::new();
    };
    let mut forms = vec![plain(&session.settings.username, password), STANDARD.encode(password)];
    if password.len() >= MASKED_MIN {
        forms.push(password.to_owned());
    }
    forms
}
