//! The import graph between the files of the workspace.
//!
//! A file is named by the path of its module: `server/src/store/entity.rs` is `server::store::entity`.

use super::source::imported;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The imports of each module.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    imports: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads sources, each with its module and its text. Test modules are left out.
    pub(crate) fn read(sources: &[(String, &str)]) -> Self {
        let is_test = |module: &str| module.ends_with("::tests");
        let modules = sources.iter().map(|(module, _)| module.as_str()).filter(|module| !is_test(module)).collect();
        let mut graph = Self::default();
        for (module, text) in sources.iter().filter(|(module, _)| !is_test(module)) {
            graph.imports.entry(module.clone()).or_default().extend(imported(module, text, &modules));
        }
        graph
    }

    /// Returns every import: the importing and the imported module.
    pub(crate) fn imports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// Returns the graph of rooms. A room is a top-level module with everything below it.
    pub(crate) fn rooms(&self) -> Self {
        let mut rooms = Self::default();
        for (from, to) in self.imports().map(|(from, to)| (room(from), room(to))).filter(|(from, to)| from != to) {
            rooms.imports.entry(from.to_owned()).or_default().insert(to.to_owned());
        }
        rooms
    }

    /// Returns every module that is imported by `start`, directly or through others.
    pub(crate) fn reached_from<'a>(&'a self, start: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(next) = open.pop() {
            let imported = self.imports.get(next).into_iter().flatten();
            open.extend(imported.map(String::as_str).filter(|name| reached.insert(*name)));
        }
        reached
    }

    /// Returns the shortest circle of each group of modules that reach each other, in the order of its imports.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<_, _> =
            self.imports.keys().map(|name| (name.as_str(), self.reached_from(name))).collect();
        let group = |name: &&str| -> BTreeSet<&str> {
            let is_mutual = |other: &&str| reached.get(other).is_some_and(|back| back.contains(name));
            reached[name].iter().copied().filter(is_mutual).collect()
        };
        let groups: BTreeSet<_> = reached.keys().map(group).collect();
        let mut circles = Vec::new();
        for group in groups {
            circles.extend(group.into_iter().filter_map(|name| self.circle_of(name)).min_by_key(Vec::len));
        }
        circles
    }

    /// Finds the shortest way from a module back to itself.
    fn circle_of<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut seen = BTreeSet::new();
        let mut open = VecDeque::from([vec![start]]);
        while let Some(way) = open.pop_front() {
            for next in self.imports.get(*way.last()?).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    open.push_back([way.as_slice(), &[next]].concat());
                }
            }
        }
        None
    }
}

/// Returns the module of a file, by its path in the repository. `lib.rs` and `main.rs` are the root of their crate.
pub(crate) fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs").replacen("/src/", "/", 1);
    path.trim_end_matches("/lib").trim_end_matches("/main").replace('/', "::")
}

/// Returns true if a module is `outer`, or is within it.
pub(crate) fn is_within(module: &str, outer: &str) -> bool {
    module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the crate and the top-level module of a module.
pub(crate) fn room(module: &str) -> &str {
    module.match_indices("::").nth(1).map_or(module, |(end, _)| &module[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a graph of a crate `c`, from lines like `a > b c`: the file `a` imports `b` and `c`.
    fn graph(lines: &[&str]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in lines.iter().filter_map(|line| line.split_once(" > ")) {
            let to = to.split(' ').map(|name| format!("c::{name}"));
            graph.imports.entry(format!("c::{from}")).or_default().extend(to);
        }
        graph
    }

    #[test]
    fn file_is_named_by_its_module() {
        let names = ["app/src/lib.rs", "xtask/src/main.rs", "server/src/store.rs", "server/src/store/entity.rs"];
        assert_eq!(names.map(module_of), ["app", "xtask", "server::store", "server::store::entity"]);
        assert!(is_within("server::store", "server::store") && is_within("server::store::entity", "server::store"));
        assert!(!is_within("server::stored", "server::store") && !is_within("server", "server::store"));
        assert_eq!(["app", "app::part", "app::part::table::row"].map(room), ["app", "app::part", "app::part"]);
    }

    #[test]
    fn shortest_circle_of_each_group_is_found() {
        let found = graph(&["a > b d", "b > c", "c > a", "d > e", "e > d", "f > a", "g > h"]);
        assert_eq!(found.circles(), [vec!["c::a", "c::b", "c::c"], vec!["c::d", "c::e"]]);
        let nested = graph(&["a > b", "b > c", "c > a d", "d > c"]);
        assert_eq!(nested.circles(), [["c::c", "c::d"]]);
        assert_eq!(graph(&["a > b c", "b > c"]).circles().len(), 0);
    }

    #[test]
    fn rooms_are_top_level_modules_with_all_below_them() {
        let rooms = graph(&["a > a::x b::y", "a::x > a", "b > a::x::z", "b::y > b"]).rooms();
        assert_eq!(rooms.imports().collect::<Vec<_>>(), [("c::a", "c::b"), ("c::b", "c::a")]);
    }

    #[test]
    fn test_modules_are_left_out() {
        let sources = [("c::a", "use crate::b::X;"), ("c::a::tests", "use crate::b::Y;"), ("c::b", "")];
        let read = Graph::read(&sources.map(|(module, text)| (module.to_owned(), text)));
        assert_eq!(read.imports().collect::<Vec<_>>(), [("c::a", "c::b")]);
    }
}
