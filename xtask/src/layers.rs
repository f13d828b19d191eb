//! The imports that are allowed, and the files that may use a word: the invariants of `ARCHITECTURE.md` that a search
//! can check.
//!
//! A room is a top-level module with everything below it. Rooms import each other without circles. An exception that
//! nothing needs is reported, so that the lists only shrink.

mod breach;
mod graph;
mod named;
mod source;

use crate::shell::root;
use anyhow::{Result, bail};
use breach::{circles, forbidden_imports, forbidden_words};
use graph::{Graph, module_of};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose files are read.
const CRATES: &[&str] = &["app", "frontend", "migrations", "model", "server", "xtask"];

/// A rule: the modules below `within`, except below `home`, import nothing below `imports`, except below `but`.
struct ImportRule {
    reason: &'static str,
    within: &'static [&'static str],
    home: &'static [&'static str],
    imports: &'static [&'static str],
    but: &'static [&'static str],
}

const IMPORT_RULES: &[ImportRule] = &[
    ImportRule {
        reason: "migrations imports nothing of ours",
        within: &["migrations"],
        home: &[],
        imports: CRATES,
        but: &["migrations"],
    },
    ImportRule {
        reason: "store is below all that knows of requests and deliveries",
        within: &["server::store"],
        home: &[],
        imports: &[
            "server::auth",
            "server::dispatch",
            "server::http",
            "server::intake",
            "server::outbound",
            "server::service",
        ],
        but: &[],
    },
    ImportRule {
        reason: "outbound is below the dispatcher and the services that send through it",
        within: &["server::outbound"],
        home: &[],
        imports: &["server::dispatch", "server::http", "server::intake", "server::service"],
        but: &[],
    },
    ImportRule {
        reason: "the dispatcher and the services know nothing of each other",
        within: &["server::dispatch"],
        home: &[],
        imports: &["server::http", "server::intake", "server::service"],
        but: &[],
    },
    ImportRule {
        reason: "services know nothing of HTTP and the dispatcher",
        within: &["server::service"],
        home: &[],
        imports: &["server::dispatch", "server::http"],
        but: &[],
    },
    ImportRule {
        reason: "vault imports only model and file",
        within: &["server::vault"],
        home: &[],
        imports: CRATES,
        but: &["model", "server::file"],
    },
    ImportRule {
        reason: "clock imports only model and store",
        within: &["server::clock"],
        home: &[],
        imports: CRATES,
        but: &["model", "server::clock", "server::store"],
    },
    ImportRule {
        reason: "auth imports only model, clock and store",
        within: &["server::auth"],
        home: &[],
        imports: CRATES,
        but: &["model", "server::auth", "server::clock", "server::store"],
    },
    ImportRule {
        reason: "only store sees the tables as rows",
        within: &["server"],
        home: &["server::store"],
        imports: &["server::store::entity"],
        but: &[],
    },
    ImportRule {
        reason: "only routes and the crate's root import pages",
        within: &[
            "app::asked",
            "app::backend",
            "app::browser",
            "app::error",
            "app::island",
            "app::part",
            "app::query",
            "app::server_fn",
            "app::session",
            "app::shell",
            "app::view",
        ],
        home: &[],
        imports: &["app::page"],
        but: &[],
    },
    ImportRule {
        reason: "what is in the browser imports nothing that only the server has",
        within: &["app::browser", "app::error", "app::island", "app::part::field", "app::part::icon", "app::view"],
        home: &[],
        imports: &["app"],
        but: &[
            "app::browser",
            "app::error",
            "app::island",
            "app::json",
            "app::part::field",
            "app::part::icon",
            "app::part::versions",
            "app::server_fn",
            "app::session",
            "app::view",
        ],
    },
];

/// A rule: in files below `within`, except below `home`, none of `words` may occur.
struct WordRule {
    reason: &'static str,
    within: &'static str,
    home: &'static [&'static str],
    words: &'static [&'static str],
}

const WORD_RULES: &[WordRule] = &[
    WordRule {
        reason: "model has no I/O, clock, randomness, web framework or database",
        within: "model/src",
        home: &[],
        words: &[
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "SystemTime",
            "Instant::now",
            "rand::",
            "leptos",
            "sea_orm",
            "tokio",
            "reqwest",
        ],
    },
    WordRule {
        reason: "app names no database, HTTP client or runtime",
        within: "app/src",
        home: &[],
        words: &["sea_orm", "sqlx", "reqwest", "tokio::"],
    },
    WordRule {
        reason: "only server::store builds queries",
        within: "server/src",
        home: &["server/src/store"],
        words: &["EntityTrait", "Statement::", "query_all", "execute_raw", "execute_unprepared", "sqlx::"],
    },
    WordRule {
        reason: "only outbound::client builds an HTTP client",
        within: "server/src",
        home: &["server/src/outbound/client.rs"],
        words: &["Client::builder", "Client::new", "Client::default", "ClientBuilder", "reqwest::get"],
    },
    WordRule {
        reason: "only outbound connects to other systems, by its clients and by outbound::smtp::dial",
        within: "server/src",
        home: &["server/src/outbound/smtp/dial.rs"],
        words: &["TcpStream::connect"],
    },
    WordRule {
        reason: "only vault opens a sealed secret",
        within: "server/src",
        home: &["server/src/vault.rs"],
        words: &["XChaCha20Poly1305", "chacha20poly1305"],
    },
    WordRule { reason: "services know nothing of HTTP", within: "server/src/service", home: &[], words: &["axum::"] },
    WordRule {
        reason: "only app::shell emits script tags",
        within: "app/src",
        home: &["app/src/shell.rs"],
        words: &["<script"],
    },
    WordRule {
        reason: "text reaches HTML as text",
        within: "app/src",
        home: &[
            // The server function returns an event's matches as HTML, rendered by `part::fragment`.
            "app/src/island/event_form/matches.rs",
            // The server function returns the preview of a message as HTML, rendered by `part::fragment`.
            "app/src/island/task_form/compose.rs",
            // The server function returns the next runs as HTML, rendered by `part::fragment`.
            "app/src/island/schedule_form.rs",
            // The server function returns the result of a test as HTML, rendered by `part::fragment`.
            "app/src/island/send_test.rs",
            // A text area, escaped by `area_html`; and the result of a test, rendered by `part::fragment`.
            "app/src/page/webhook/test.rs",
            // The result of a test, rendered by `part::fragment`.
            "app/src/page/smtp/test.rs",
            // A text area, escaped by `area_html`.
            "app/src/part/field.rs",
            // The sprite, from a file of the repository.
            "app/src/part/icon.rs",
        ],
        words: &["inner_html"],
    },
];

/// Fails on broken rules and circles. The error names every place.
pub(crate) fn check() -> Result<()> {
    let mut read = Vec::new();
    for crate_name in CRATES {
        for file in sources(&root().join(crate_name).join("src"))? {
            let name = file.strip_prefix(root())?.display().to_string();
            read.push((name, fs::read_to_string(&file)?));
        }
    }
    let modules: Vec<_> = read.iter().map(|(name, text)| (module_of(name), text.as_str())).collect();
    let graph = Graph::read(&modules);
    let mut broken: Vec<_> = WORD_RULES.iter().flat_map(|rule| forbidden_words(rule, &read)).collect();
    broken.extend(IMPORT_RULES.iter().flat_map(|rule| forbidden_imports(rule, &graph)));
    broken.extend(circles(&graph));
    broken.extend(named::missing()?);
    if !broken.is_empty() {
        bail!("layers:\n{}", broken.join("\n"));
    }
    println!(
        "layers: {} rules of words and {} of {} imports hold; no circle of rooms",
        WORD_RULES.len(),
        IMPORT_RULES.len(),
        graph.imports().count()
    );
    Ok(())
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
