//! The test that migrations stay as they were shipped.
//!
//! A database that has a migration never runs it again. A change of its text would therefore reach new databases only,
//! and the schemas of two installations would differ.

use crate::Migrator;
use sea_orm_migration::MigratorTrait;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The SHA-256 of each migration, and before them that of the modules that all migrations use.
const FROZEN: [(&str, &str); 3] = [
    ("column", "3e35644103974eca8f9f67537a84d8474c9156ff558321f3e860fdb83593cb07"),
    ("table", "992a7e6e137bc7b5c72537655c0d3d4b10bba8d57bbc3cf232081809285f5fe4"),
    ("m0001_start", "f4cb89d7fbc1f7f6e32f63a00c45c0c726baa6b840f4bfd7c8c456774764d6a4"),
];

const ADVICE: &str = "\
    A migration that was shipped never changes, nor do the helpers that it uses. Undo the change, and add a new \
    migration, with helpers of its own, that changes what the earlier ones have made. Only if this version of the text \
    was never shipped, or is that new migration, put these lines into FROZEN:";

/// Returns the SHA-256, in hex, of the file of a module and of the files in its folder, byte for byte.
fn checksum(module: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{module}.rs"))];
    if let Ok(folder) = fs::read_dir(source.join(module)) {
        files.extend(folder.map(|entry| entry.expect("an entry").path()));
        files.sort();
    }
    let mut hash = Sha256::new();
    for file in files {
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn migrations_have_the_text_that_was_shipped() {
    let migrations = Migrator::migrations();
    let modules = ["column", "table"].into_iter().chain(migrations.iter().map(|migration| migration.name()));
    let now: Vec<_> = modules.map(|module| (module, checksum(module))).collect();
    let changed: Vec<_> = now.iter().filter(|(name, sum)| !FROZEN.contains(&(*name, sum))).collect();
    let lines: String = changed.iter().map(|(name, sum)| format!("    (\"{name}\", \"{sum}\"),\n")).collect();
    assert!(changed.is_empty(), "{ADVICE}\n\n{lines}");
    assert_eq!(now.len(), FROZEN.len(), "a migration was removed, or FROZEN has a line too many");
}
