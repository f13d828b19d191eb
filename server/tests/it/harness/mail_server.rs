//! A mail server that acts as a test says: at any step it replies, waits, hangs up or sends nonsense. By default it
//! accepts everything, and records what arrives.
//!
//! The server can die and come back on the same port.

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A step of a session at which a script may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A client has connected.
    Connected,
    /// A line has arrived, without its end.
    Command(&'a str),
    /// A whole message has arrived.
    Message,
}

/// The reaction to a step.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends this reply, whose lines end in CRLF, and nothing more about this step.
    Reply(String),
    /// Sends this reply byte by byte.
    Drip(String),
    /// Sends these bytes as often as the client reads them.
    Flood(&'static [u8]),
    /// Sends this reply, and closes the connection.
    Last(String),
    /// Closes the connection.
    HangUp,
    /// Says nothing more.
    Silence,
}

/// Returns a reply of one line.
pub(crate) fn reply(line: &str) -> Act {
    Act::Reply(format!("{line}\r\n"))
}

/// The encryption that a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// None.
    Plain,
    /// By STARTTLS.
    Starttls,
    /// From the beginning.
    Tls,
}

/// The behaviour of a server.
#[derive(Clone)]
pub(crate) struct Script {
    offer: Offer,
    extensions: Vec<String>,
    login: Option<(String, String)>,
    #[expect(clippy::type_complexity, reason = "a closure, once")]
    act: Arc<dyn Fn(&Session, Step<'_>) -> Option<Act> + Send + Sync>,
}

impl Script {
    /// Returns a server that accepts everything.
    pub(crate) fn new(offer: Offer) -> Self {
        let extensions = ["8BITMIME", "SMTPUTF8", "SIZE 10000000"].map(str::to_owned).into();
        Self { offer, extensions, login: None, act: Arc::new(|_, _| None) }
    }

    /// Replaces the extensions, besides STARTTLS and AUTH.
    pub(crate) fn extensions(mut self, extensions: &[&str]) -> Self {
        self.extensions = extensions.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// Demands an authentication. The server offers it once the session has the encryption that the server offers.
    pub(crate) fn login(mut self, username: &str, password: &str) -> Self {
        self.login = Some((username.to_owned(), password.to_owned()));
        self
    }

    /// Acts at steps for which `act` returns something.
    pub(crate) fn on(mut self, act: impl Fn(&Session, Step<'_>) -> Option<Act> + Send + Sync + 'static) -> Self {
        self.act = Arc::new(act);
        self
    }
}

/// A message with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The path of MAIL, without parameters.
    pub(crate) sender: String,
    /// The paths of the accepted RCPT commands.
    pub(crate) recipients: Vec<String>,
    /// The message, without the dots of the transport.
    pub(crate) message: Vec<u8>,
    /// True if it arrived encrypted.
    pub(crate) is_encrypted: bool,
}

/// The state of a session, which scripts may look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// The number of the session since the first start, from 1.
    pub(crate) number: usize,
    pub(crate) is_encrypted: bool,
    pub(crate) is_signed_in: bool,
    /// The path of MAIL, in a transaction.
    pub(crate) sender: Option<String>,
    /// The accepted recipients of the transaction.
    pub(crate) recipients: Vec<String>,
}

#[derive(Default)]
struct Log {
    sessions: usize,
    commands: Vec<String>,
    mails: Vec<Mail>,
}

/// A mail server on a free port of the loopback address.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    script: Script,
    tls: TlsAcceptor,
    log: Arc<Mutex<Log>>,
    running: JoinSet<()>,
}

impl MailServer {
    /// Starts a server that accepts everything, without encryption.
    pub(crate) async fn open() -> Self {
        Self::start(Script::new(Offer::Plain)).await
    }

    /// Starts a server with this behaviour.
    pub(crate) async fn start(script: Script) -> Self {
        // Fails when another test of the process has installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut server = Self {
            address: listener.local_addr().expect("an address"),
            script,
            tls: TlsAcceptor::from(Arc::new(config)),
            log: Arc::default(),
            running: JoinSet::new(),
        };
        server.serve(listener);
        server
    }

    /// Closes the port and every connection.
    pub(crate) async fn die(&mut self) {
        self.running.shutdown().await;
    }

    /// Comes back on the same port.
    pub(crate) async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.serve(listener);
    }

    /// Comes back on the same port, with another behaviour.
    pub(crate) async fn revive_as(&mut self, script: Script) {
        self.script = script;
        self.revive().await;
    }

    /// Returns the accepted messages, in order.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.log.lock().expect("no panic").mails.clone()
    }

    /// Returns the lines of all sessions, in order. Lines of messages are not among them.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.log.lock().expect("no panic").commands.clone()
    }

    /// Returns the number of connections.
    pub(crate) fn sessions(&self) -> usize {
        self.log.lock().expect("no panic").sessions
    }

    fn serve(&mut self, listener: TcpListener) {
        let (script, tls, log) = (self.script.clone(), self.tls.clone(), self.log.clone());
        self.running.spawn(async move {
            // Ends its sessions when it ends.
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut log = log.lock().expect("no panic");
                    log.sessions += 1;
                    log.sessions
                };
                let talk = Talk {
                    session: Session { number, ..Session::default() },
                    script: script.clone(),
                    log: log.clone(),
                };
                sessions.spawn(talk.run(stream, tls.clone()));
            }
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Client = BufReader<Box<dyn Stream>>;

/// One session.
struct Talk {
    session: Session,
    script: Script,
    log: Arc<Mutex<Log>>,
}

/// The session is over.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Talk {
    async fn run(mut self, stream: TcpStream, tls: TlsAcceptor) {
        let mut client: Client = if self.script.offer == Offer::Tls {
            let Ok(encrypted) = tls.accept(stream).await else { return };
            self.session.is_encrypted = true;
            BufReader::new(Box::new(encrypted))
        } else {
            BufReader::new(Box::new(stream))
        };
        if self.react(&mut client, Step::Connected, "220 mail.example.test ESMTP").await.is_err() {
            return;
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            match client.read_until(b'\n', &mut line).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
            let command = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.log().commands.push(command.clone());
            let is_starttls = command == "STARTTLS" && self.offers_starttls();
            match self.obey(&mut client, &command).await {
                Err(Over) => return,
                // Bytes that the client sent before the handshake are dropped with the buffer.
                Ok(has_agreed) if is_starttls && has_agreed => {
                    let Ok(encrypted) = tls.accept(client.into_inner()).await else { return };
                    client = BufReader::new(Box::new(encrypted));
                    self.session = Session { number: self.session.number, is_encrypted: true, ..Session::default() };
                }
                Ok(_) if command == "QUIT" => return,
                Ok(_) => {}
            }
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic")
    }

    fn offers_starttls(&self) -> bool {
        self.script.offer == Offer::Starttls && !self.session.is_encrypted
    }

    /// Executes a command. Returns true if it was accepted.
    async fn obey(&mut self, client: &mut Client, command: &str) -> Result<bool, Over> {
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let step = Step::Command(command);
        let path = || {
            let path = command.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
            path.map(|(path, _)| path.to_owned()).unwrap_or_default()
        };
        let is_out = self.script.login.is_some() && !self.session.is_signed_in;
        match verb.as_str() {
            "EHLO" => {
                let mut lines = vec!["mail.example.test".to_owned()];
                lines.extend(self.script.extensions.clone());
                if self.offers_starttls() {
                    lines.push("STARTTLS".to_owned());
                } else if self.script.login.is_some() {
                    lines.push("AUTH PLAIN LOGIN".to_owned());
                }
                let last = lines.len() - 1;
                let lines = lines.iter().enumerate();
                let text: Vec<_> =
                    lines.map(|(index, line)| format!("250{}{line}", if index == last { ' ' } else { '-' })).collect();
                self.react(client, step, &text.join("\r\n")).await
            }
            "STARTTLS" if self.offers_starttls() => self.react(client, step, "220 go ahead").await,
            "AUTH" => self.authenticate(client, command).await,
            "MAIL" | "RCPT" | "DATA" if is_out => self.react(client, step, "530 5.7.0 authentication required").await,
            "MAIL" => {
                let is_accepted = self.react(client, step, "250 2.1.0 sender ok").await?;
                if is_accepted {
                    (self.session.sender, self.session.recipients) = (Some(path()), Vec::new());
                }
                Ok(is_accepted)
            }
            "RCPT" if self.session.sender.is_some() => {
                let is_accepted = self.react(client, step, "250 2.1.5 recipient ok").await?;
                if is_accepted {
                    self.session.recipients.push(path());
                }
                Ok(is_accepted)
            }
            "DATA" if !self.session.recipients.is_empty() => {
                if self.react(client, step, "354 end with a dot").await? {
                    self.take_message(client).await
                } else {
                    Ok(false)
                }
            }
            "RSET" => {
                (self.session.sender, self.session.recipients) = (None, Vec::new());
                self.react(client, step, "250 2.0.0 reset").await
            }
            "NOOP" => self.react(client, step, "250 2.0.0 ok").await,
            "QUIT" => self.react(client, step, "221 2.0.0 bye").await,
            "RCPT" | "DATA" => self.react(client, step, "503 5.5.1 bad sequence").await,
            _ => self.react(client, step, "500 5.5.2 unknown command").await,
        }
    }

    async fn take_message(&mut self, client: &mut Client) -> Result<bool, Over> {
        let mut message = Vec::new();
        loop {
            let start = message.len();
            if client.read_until(b'\n', &mut message).await? == 0 {
                return Err(Over);
            }
            if message[start..] == *b".\r\n" {
                message.truncate(start);
                break;
            }
            if message[start] == b'.' {
                message.remove(start);
            }
        }
        let mail = Mail {
            sender: self.session.sender.take().unwrap_or_default(),
            recipients: std::mem::take(&mut self.session.recipients),
            message,
            is_encrypted: self.session.is_encrypted,
        };
        // A script may accept a message and hang up: it has arrived.
        let act = (self.script.act)(&self.session, Step::Message);
        let is_refused = matches!(&act, Some(Act::Reply(reply) | Act::Last(reply)) if !reply.starts_with('2'));
        if !is_refused {
            self.log().mails.push(mail);
        }
        perform(client, act.unwrap_or_else(|| Act::Reply("250 2.0.0 queued\r\n".into()))).await
    }

    async fn authenticate(&mut self, client: &mut Client, command: &str) -> Result<bool, Over> {
        let Some((username, password)) = self.script.login.clone() else {
            return self.react(client, Step::Command(command), "503 5.5.1 no authentication here").await;
        };
        let decoded = |text: &str| {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let given = if let Some(initial) = command.strip_prefix("AUTH PLAIN ") {
            decoded(initial)
        } else {
            let mut given = String::new();
            for challenge in ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"] {
                client.write_all(challenge.as_bytes()).await?;
                let mut line = String::new();
                client.read_line(&mut line).await?;
                given += &format!("\0{}", decoded(&line));
            }
            given
        };
        self.session.is_signed_in = given == format!("\0{username}\0{password}");
        let default = if self.session.is_signed_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" };
        self.react(client, Step::Command(command), default).await
    }

    /// Reacts as the script says, or sends the default reply. Returns true for a reply of 2xx or 3xx.
    async fn react(&mut self, client: &mut Client, step: Step<'_>, default: &str) -> Result<bool, Over> {
        let act = (self.script.act)(&self.session, step);
        perform(client, act.unwrap_or_else(|| Act::Reply(format!("{default}\r\n")))).await
    }
}

async fn perform(client: &mut Client, act: Act) -> Result<bool, Over> {
    let is_yes = |reply: &str| reply.starts_with(['2', '3']);
    match act {
        Act::Reply(reply) => {
            client.write_all(reply.as_bytes()).await?;
            client.flush().await?;
            Ok(is_yes(&reply))
        }
        Act::Drip(reply) => {
            for byte in reply.bytes() {
                client.write_all(&[byte]).await?;
                client.flush().await?;
                tokio::task::yield_now().await;
            }
            Ok(is_yes(&reply))
        }
        Act::Flood(bytes) => loop {
            client.write_all(bytes).await?;
        },
        Act::Last(reply) => {
            client.write_all(reply.as_bytes()).await?;
            client.shutdown().await?;
            Err(Over)
        }
        Act::HangUp => Err(Over),
        Act::Silence => {
            let mut ignored = [0; 4096];
            while client.read(&mut ignored).await? > 0 {}
            Err(Over)
        }
    }
}
