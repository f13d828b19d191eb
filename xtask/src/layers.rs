//! Who may import whom: the invariants of `ARCHITECTURE.md` that a search can check.

use crate::shell::root;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A rule: in files below `within`, except below `home`, none of `words` may stand.
struct Rule {
    reason: &'static str,
    within: &'static str,
    home: &'static [&'static str],
    words: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
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
    Rule {
        reason: "app names no database, HTTP client or runtime",
        within: "app/src",
        home: &[],
        words: &["sea_orm", "sqlx", "reqwest", "tokio::"],
    },
    Rule {
        reason: "only server::store builds queries",
        within: "server/src",
        home: &["server/src/store", "server/src/store.rs"],
        words: &["EntityTrait", "Statement::", "query_all", "execute_raw", "execute_unprepared", "sqlx::"],
    },
    Rule {
        reason: "only dispatch::client builds an HTTP client",
        within: "server/src",
        home: &["server/src/dispatch/client.rs"],
        words: &[
            "Client::builder",
            "Client::new",
            "Client::default",
            "ClientBuilder",
            "reqwest::get",
            "TcpStream::connect",
        ],
    },
    Rule {
        reason: "only vault opens a sealed secret",
        within: "server/src",
        home: &["server/src/vault.rs"],
        words: &["XChaCha20Poly1305", "chacha20poly1305"],
    },
    Rule {
        reason: "only app::shell emits script tags",
        within: "app/src",
        home: &["app/src/shell.rs"],
        words: &["<script"],
    },
    Rule {
        reason: "migrations imports nothing of ours",
        within: "migrations/src",
        home: &[],
        words: &["model::", "server::", "app::"],
    },
    Rule {
        reason: "store, auth, vault and clock are below the rest",
        within: "server/src/store",
        home: &[],
        words: &["crate::http", "crate::dispatch", "crate::service", "crate::intake", "crate::auth"],
    },
    Rule {
        reason: "services know nothing of HTTP",
        within: "server/src/service",
        home: &[],
        words: &["crate::http", "axum::"],
    },
];

/// Fails on the first broken rules, with every place.
pub(crate) fn check() -> Result<()> {
    let mut broken = Vec::new();
    for rule in RULES {
        for file in sources(&root().join(rule.within))? {
            let name = file.strip_prefix(root())?.display().to_string();
            if rule.home.iter().any(|home| name.starts_with(home)) {
                continue;
            }
            for (place, line) in fs::read_to_string(&file)?.lines().enumerate() {
                let is_comment = line.trim_start().starts_with("//");
                if let Some(word) = rule.words.iter().find(|word| !is_comment && line.contains(**word)) {
                    broken.push(format!("{name}:{}: {word} ({})", place + 1, rule.reason));
                }
            }
        }
    }
    if !broken.is_empty() {
        bail!("layers:\n{}", broken.join("\n"));
    }
    println!("layers: {} rules hold", RULES.len());
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
