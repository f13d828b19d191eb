//! The words of the command line, which scripts rely on.

use crate::clock::Clock;
use crate::config::{self, DatabaseOptions, ServeOptions};
use crate::service::account;
use crate::{inbox, serve};
use anyhow::{Context, bail};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use model::access::{Role, Scope};
use model::{account as rules, text};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Event-driven automation: webhooks, tasks and events, delivered durably.
#[derive(Debug, Parser)]
#[command(name = "hookwright", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the console and the dispatcher
    Serve(ServeArguments),
    /// Manage people
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the keys of other systems
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a new link with which the first administrator is made, valid for an hour
    SetupLink(ServeArguments),
    /// Bring the database's schema up to date
    Migrate(DatabaseOptions),
    /// Print the effective configuration, each value with its source
    CheckConfig(ServeArguments),
    /// Receive requests and show them as they arrive: for demos and tests
    Inbox(InboxArguments),
}

#[derive(Debug, Args)]
struct ServeArguments {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make an account
    Add {
        /// The account's name
        name: String,
        /// viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// Read the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
        #[command(flatten)]
        database: DatabaseOptions,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key, and print it alone
    Add {
        /// The key's name: the source of what it sends
        name: String,
        /// ingest, inventory or both with a comma
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<Scope>,
        #[command(flatten)]
        database: DatabaseOptions,
    },
}

#[derive(Debug, Args)]
struct InboxArguments {
    /// Where to listen; port 0 picks a free one, which is printed
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Append each request as a JSON line instead of printing it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Does what the command line says.
pub async fn run() -> anyhow::Result<()> {
    // Whatever a command makes, only its owner can read.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        Command::Serve(arguments) => {
            let (config, _) = config::resolve(&arguments.database, &arguments.serve, innermost(&matches))?;
            Box::pin(serve::run(config)).await
        }
        Command::CheckConfig(arguments) => {
            let (_, lines) = config::resolve(&arguments.database, &arguments.serve, innermost(&matches))?;
            let key = std::env::var_os(config::KEY_VARIABLE).map(|_| "(set, hidden)").unwrap_or_default();
            let lines: String = lines
                .into_iter()
                .map(|(name, value, source)| format!("{name} = {value}  # {source}\n"))
                .chain(std::iter::once(format!("{} = {key}\n", config::KEY_VARIABLE)))
                .collect();
            print(&lines)
        }
        Command::SetupLink(arguments) => {
            let (config, _) = config::resolve(&arguments.database, &arguments.serve, innermost(&matches))?;
            print(&serve::setup_link(&config).await?)
        }
        Command::Migrate(options) => {
            serve::open_beside(&config::resolve_database(&options)?).await?.close().await;
            Ok(())
        }
        Command::User(UserCommand::Add { name, role, database, .. }) => add_user(&name, role, &database).await,
        Command::Key(KeyCommand::Add { name, scope, database }) => add_key(&name, &scope, &database).await,
        Command::Inbox(arguments) => run_inbox(arguments).await,
    }
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| inner)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

async fn add_user(name: &str, role: Role, options: &DatabaseOptions) -> anyhow::Result<()> {
    let name = rules::parse_account_name(name).map_err(anyhow::Error::msg)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    rules::check_password(&password).map_err(anyhow::Error::msg)?;
    let store = serve::open_beside(&config::resolve_database(options)?).await?;
    let made = account::add(&store, &Clock::system(), &name, role, password.into()).await;
    store.close().await;
    made.with_context(|| format!("cannot make the account {name}"))
}

async fn add_key(name: &str, scopes: &[Scope], options: &DatabaseOptions) -> anyhow::Result<()> {
    let name = text::parse_name(name, 64).map_err(anyhow::Error::msg)?;
    if scopes.is_empty() {
        bail!("a key needs at least one scope");
    }
    let store = serve::open_beside(&config::resolve_database(options)?).await?;
    let key = account::add_key(&store, &Clock::system(), &name, scopes).await;
    store.close().await;
    let key = key.with_context(|| format!("cannot make the key {name}"))?;
    print(&format!("{key}\n"))
}

async fn run_inbox(arguments: InboxArguments) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr()?;
    let mut err = std::io::stderr().lock();
    writeln!(err, "inbox on http://{address}")?;
    drop(err);
    let sink = inbox::printer(arguments.record).await.context("cannot open the file to record to")?;
    Ok(inbox::serve(listener, Clock::system(), sink).await?)
}
