//! Finds breaches of the rules, as sentences: forbidden words and imports, circles, and exceptions that nothing needs.

use super::graph::{Graph, is_within, room};
use super::{ImportRule, WordRule};
use std::collections::BTreeSet;

/// Finds a rule's words outside of its homes, and homes without any of them. `files` has the name and the text of each
/// file.
pub(super) fn forbidden_words(rule: &WordRule, files: &[(String, String)]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut needed = BTreeSet::new();
    for (name, text) in files.iter().filter(|(name, _)| name.starts_with(rule.within)) {
        let home = rule.home.iter().find(|home| name.starts_with(**home));
        for (index, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let Some(word) = rule.words.iter().find(|word| !is_comment && line.contains(**word)) else { continue };
            if let Some(home) = home {
                needed.insert(*home);
            } else {
                broken.push(format!("{name}:{}: {word} ({})", index + 1, rule.reason));
            }
        }
    }
    broken.extend(idle(rule.home, &needed, rule.reason));
    broken
}

/// Finds the imports that a rule forbids outside of its homes, and homes without any of them.
pub(super) fn forbidden_imports(rule: &ImportRule, graph: &Graph) -> Vec<String> {
    let is_in = |module: &str, outer: &[&str]| outer.iter().any(|outer| is_within(module, outer));
    let is_meant = |(from, to): &(&str, &str)| is_in(from, rule.within) && is_in(to, rule.imports);
    let mut broken = Vec::new();
    let mut needed = BTreeSet::new();
    for (from, to) in graph.imports().filter(is_meant).filter(|(_, to)| !is_in(to, rule.but)) {
        if let Some(home) = rule.home.iter().find(|home| is_within(from, home)) {
            needed.insert(*home);
        } else {
            broken.push(format!("{from} imports {to} ({})", rule.reason));
        }
    }
    broken.extend(idle(rule.home, &needed, rule.reason));
    broken
}

/// Finds circles of rooms, each with an example of its imports.
pub(super) fn circles(graph: &Graph) -> Vec<String> {
    let mut broken = Vec::new();
    for circle in graph.rooms().circles() {
        broken.push(format!("a circle of {}:", circle.join(", ")));
        for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
            let mut imports = graph.imports().filter(|import| room(import.0) == *from && room(import.1) == *to);
            let Some((file, imported)) = imports.next() else { continue };
            broken.push(format!("    {file} imports {imported}, and {} more like it", imports.count()));
        }
    }
    broken
}

/// Returns a sentence for each home that nothing needs.
fn idle(homes: &[&str], needed: &BTreeSet<&str>, reason: &str) -> Vec<String> {
    let idle = homes.iter().filter(|home| !needed.contains(**home));
    idle.map(|home| format!("{home} needs no exception any more: remove it ({reason})")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(sources: &[(&str, &'static str)]) -> Graph {
        let sources: Vec<_> = sources.iter().map(|(module, text)| ((*module).to_owned(), *text)).collect();
        Graph::read(&sources)
    }

    const RULE: ImportRule = ImportRule {
        reason: "why",
        within: &["c::a"],
        home: &["c::a::home"],
        imports: &["c"],
        but: &["c::a", "c::good"],
    };

    #[test]
    fn forbidden_import_is_reported_outside_of_its_home() {
        let bad = "use crate::bad::X;\nuse crate::good::X;";
        let found = graph(&[("c::a", bad), ("c::a::home", bad), ("c::b", bad), ("c::bad", ""), ("c::good", "")]);
        assert_eq!(forbidden_imports(&RULE, &found), ["c::a imports c::bad (why)"]);
    }

    #[test]
    fn exception_that_nothing_needs_is_reported() {
        let found = graph(&[("c::a", ""), ("c::a::home", "use crate::good::X;"), ("c::good", "")]);
        assert_eq!(forbidden_imports(&RULE, &found), ["c::a::home needs no exception any more: remove it (why)"]);
        let rule = WordRule { reason: "why", within: "c/src", home: &["c/src/home.rs"], words: &["bad"] };
        let files = [("c/src/home.rs", "good"), ("c/src/a.rs", "// bad\nbad()"), ("d/src/a.rs", "bad")];
        assert_eq!(
            forbidden_words(&rule, &files.map(|(name, text)| (name.to_owned(), text.to_owned()))),
            ["c/src/a.rs:2: bad (why)", "c/src/home.rs needs no exception any more: remove it (why)"]
        );
    }

    #[test]
    fn circle_of_rooms_is_reported_with_its_imports() {
        let (to_a, to_b) = ("use crate::a::X;", "use crate::b::X;");
        let reported = [
            "a circle of c::a, c::b:",
            "    c::a::x imports c::b, and 0 more like it",
            "    c::b imports c::a, and 0 more like it",
        ];
        assert_eq!(circles(&graph(&[("c::a", ""), ("c::a::x", to_b), ("c::b", to_a)])), reported);
        assert_eq!(circles(&graph(&[("c::a", to_b), ("c::b", "")])), [""; 0]);
    }
}
