//! The command line. Scripts rely on its words.

mod access;

use crate::clock::Clock;
use crate::config::{self, DatabaseOptions, ServeOptions};
use crate::{http, inbox, serve};
use anyhow::Context;
use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use model::access::{Role, Scope};
use std::io::Write;
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
    /// Manage accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the keys of other systems
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a new link that creates the first administrator, valid for an hour
    SetupLink(ServeArguments),
    /// Bring the database's schema up to date
    Migrate(DatabaseOptions),
    /// Print the effective configuration, each value with its source
    CheckConfig(ServeArguments),
    /// Receive requests and show them as they arrive: for demos and tests
    Inbox(InboxArguments),
    /// Print the path of every page: for tests
    #[command(hide = true)]
    Routes,
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
    /// Create an account
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
    /// Show the accounts: name, role, and whether each may sign in
    List(DatabaseOptions),
    /// Disable an account, and end its sessions
    Disable(Named),
    /// Enable a disabled account
    Enable(Named),
    /// Set the password of an account, and end its sessions
    Password {
        #[command(flatten)]
        named: Named,
        /// Read the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// End the sessions of an account: its user has to sign in again
    Sessions(Named),
}

/// The name of an existing account or key.
#[derive(Debug, Args)]
struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    database: DatabaseOptions,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create a key, and print only the key
    Add {
        /// The key's name: the source of what it sends
        name: String,
        /// ingest, inventory, read: one or several, with a comma
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<Scope>,
        #[command(flatten)]
        database: DatabaseOptions,
    },
    /// Show the keys: name, scopes, when each was created, and which are revoked
    List(DatabaseOptions),
    /// Revoke a key. Another key of the same name can be created afterwards
    Revoke(Named),
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

/// Runs the command of the command line.
pub async fn run() -> anyhow::Result<()> {
    // Files that a command creates are readable only by their owner.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let matches = without_empty(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        Command::Serve(arguments) => {
            let (config, _) = config::resolve(&arguments.database, &arguments.serve, innermost(&matches))?;
            Box::pin(serve::run(config)).await
        }
        Command::CheckConfig(arguments) => {
            let (config, lines) = config::resolve(&arguments.database, &arguments.serve, innermost(&matches))?;
            let lines: String = lines
                .into_iter()
                .map(|(name, value, source)| format!("{name} = {value}  # {source}\n"))
                .chain(std::iter::once(config::key_line(&config.database)))
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
        Command::User(command) => Box::pin(access::manage_user(command)).await,
        Command::Key(command) => Box::pin(access::manage_key(command)).await,
        Command::Inbox(arguments) => run_inbox(arguments).await,
        Command::Routes => print(&http::pages().iter().map(|page| format!("{}\n", page.path())).collect::<String>()),
    }
}

/// Returns the command without empty environment variables, which compose files may set.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    let names: Vec<_> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_empty))
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| inner)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the standard output")
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
