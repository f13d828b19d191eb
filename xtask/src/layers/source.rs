//! The imports of a source, read from its text.
//!
//! An import is a `use`, or a path in the code whose first word is `crate`, `self`, `super`, an imported name, a child
//! of the file or a crate of the workspace. Macros are not expanded. A name that is imported within a function counts
//! from there to the end of the file.

use std::collections::{BTreeMap, BTreeSet};

/// The tokens that begin the test module at the end of a file.
const TESTS: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]", "mod", "tests"];

/// Returns the modules that the source of `module` imports, each by the longest path that is one of `modules`.
pub(super) fn imported(module: &str, text: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut reader = Reader { module, modules, names: BTreeMap::new(), found: BTreeSet::new() };
    reader.read(&tokens(text));
    reader.found
}

/// Reads one file.
struct Reader<'a> {
    module: &'a str,
    modules: &'a BTreeSet<&'a str>,
    /// The whole path of each name that the file imports.
    names: BTreeMap<&'a str, String>,
    found: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, tokens: &[&'a str]) {
        let end = tokens.windows(TESTS.len()).position(|window| window == TESTS).unwrap_or(tokens.len());
        let mut rest = &tokens[..end];
        let mut before = "";
        while let [token, after @ ..] = rest {
            let mut taken = 1;
            // `impl Trait + use<'a>` is not an import.
            if *token == "use" && after.first() != Some(&"<") {
                taken = rest.iter().position(|token| *token == ";").unwrap_or(rest.len());
                self.read_use(&rest[1..taken]);
            } else if is_word(token) && !matches!(before, "::" | "." | "$") {
                let path = path_at(rest);
                taken = path.len() * 2 - 1;
                if path.len() > 1 {
                    self.import(&path);
                }
            }
            before = rest[taken - 1];
            rest = &rest[taken..];
        }
    }

    /// Reads the tree between `use` and `;`.
    fn read_use(&mut self, tokens: &[&'a str]) {
        let mut outer: Vec<Vec<&str>> = Vec::new();
        let mut path: Vec<&str> = Vec::new();
        let mut name = None;
        let mut tokens = tokens.iter().copied().chain([","]);
        while let Some(token) = tokens.next() {
            match token {
                "::" => {}
                "{" => outer.push(std::mem::take(&mut path)),
                "as" => name = tokens.next(),
                "," | "}" => {
                    if !path.is_empty() {
                        self.read_leaf(&[outer.concat(), std::mem::take(&mut path)].concat(), name.take());
                    }
                    if token == "}" {
                        outer.pop();
                    }
                }
                word => path.push(word),
            }
        }
    }

    /// Adds an imported path, and its name in this file.
    fn read_leaf(&mut self, path: &[&'a str], name: Option<&'a str>) {
        let path = match path {
            [outer @ .., _, "self" | "*"] => &path[..=outer.len()],
            _ => path,
        };
        let whole = self.import(path);
        if let (Some(whole), Some(name)) = (whole, name.or(path.last().copied())) {
            self.names.insert(name, whole);
        }
    }

    /// Adds the module that a path names. Returns the path from its crate on, or `None` for a path outside of the
    /// workspace.
    fn import(&mut self, path: &[&str]) -> Option<String> {
        let whole = self.resolve(path)?;
        let mut file = whole.as_str();
        while !self.modules.contains(file) {
            file = file.rsplit_once("::")?.0;
        }
        if file != self.module {
            self.found.insert(file.to_owned());
        }
        Some(whole)
    }

    /// Returns the path from its crate on, or `None` for a path outside of the workspace.
    fn resolve(&self, path: &[&str]) -> Option<String> {
        let (first, mut rest) = path.split_first()?;
        let child = format!("{}::{first}", self.module);
        let mut whole = match *first {
            "crate" => self.module.split("::").next()?.to_owned(),
            "self" => self.module.to_owned(),
            "super" => self.module.rsplit_once("::")?.0.to_owned(),
            name if self.names.contains_key(name) => self.names[name].clone(),
            _ if self.modules.contains(child.as_str()) => child,
            name if self.modules.contains(name) => name.to_owned(),
            _ => return None,
        };
        while let ["super", after @ ..] = rest {
            whole.truncate(whole.rfind("::")?);
            rest = after;
        }
        Some(rest.iter().fold(whole, |whole, word| whole + "::" + word))
    }
}

/// Returns the path at the start of the tokens.
fn path_at<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut path = vec![tokens[0]];
    let mut rest = &tokens[1..];
    while let ["::", word, after @ ..] = rest
        && is_word(word)
    {
        path.push(word);
        rest = after;
    }
    path
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Returns the words and signs of a source, without comments and literals.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let length = match skipped {
            Some(length) => length,
            None if is_word(rest) => {
                rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
            }
            None if rest.starts_with("::") => 2,
            None => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if skipped.is_none() {
            found.push(token);
        }
        rest = after;
    }
    found
}

/// Returns the length of the blank, comment or literal at the start of a text. `None` before code.
fn skipped(text: &str) -> Option<usize> {
    let until = |start: usize, end: &str| text[start..].find(end).map_or(text.len(), |at| start + at + end.len());
    let mut chars = text.chars();
    match (chars.next()?, chars.next()) {
        (first, _) if first.is_whitespace() => Some(first.len_utf8()),
        ('/', Some('/')) => Some(until(2, "\n")),
        ('/', Some('*')) => Some(until(2, "*/")),
        ('"', _) => {
            let mut is_escaped = false;
            let end = text[1..].find(|next| {
                let is_end = next == '"' && !is_escaped;
                is_escaped = next == '\\' && !is_escaped;
                is_end
            });
            Some(end.map_or(text.len(), |end| end + 2))
        }
        ('\'', Some('\\')) => Some(until(3, "'")),
        // Without a second quote it is a lifetime.
        ('\'', Some(inner)) if chars.next() == Some('\'') => Some(inner.len_utf8() + 2),
        ('r', Some('"' | '#')) | ('b', Some('r')) => {
            let start = text.find(|next| next != 'b' && next != 'r')?;
            let quoted = text[start..].trim_start_matches('#');
            let hashes = text.len() - start - quoted.len();
            let end = format!("\"{}", "#".repeat(hashes));
            quoted.starts_with('"').then(|| until(start + hashes + 1, &end))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the imports of `c::a`, in a workspace of the crates `c` and `d`.
    fn read(text: &str) -> Vec<String> {
        let modules = ["c", "c::a", "c::a::child", "c::a::child::deep", "c::b", "c::b::one", "c::b::two", "d", "d::e"];
        imported("c::a", text, &BTreeSet::from(modules)).into_iter().collect()
    }

    #[test]
    fn path_names_the_longest_module_in_it() {
        assert_eq!(read("use crate::b::one::C;"), ["c::b::one"]);
        assert_eq!(read("use crate::b::C;"), ["c::b"]);
        assert_eq!(read("pub use crate::C;"), ["c"]);
        assert_eq!(read("pub(crate) use super::b::one as other;"), ["c::b::one"]);
        assert_eq!(read("use super::*;"), ["c"]);
        assert_eq!(read("use d::e::X;\nuse std::fs;"), ["d::e"]);
    }

    #[test]
    fn each_path_of_a_group_is_an_import() {
        assert_eq!(read("use crate::{b::{self, one::{X, Y}, two}, C};"), ["c", "c::b", "c::b::one", "c::b::two"]);
        assert_eq!(read("use crate::b::{\n    one,\n    two,\n};"), ["c::b::one", "c::b::two"]);
        assert_eq!(read("use {crate::b::one, std::fs};"), ["c::b::one"]);
    }

    #[test]
    fn child_is_imported_by_its_name_and_not_by_its_declaration() {
        assert_eq!(read("mod child;"), [""; 0]);
        assert_eq!(read("mod child;\nuse child::X;"), ["c::a::child"]);
        assert_eq!(read("mod child;\nfn f() { child::deep::g() }"), ["c::a::child::deep"]);
        assert_eq!(read("use self::child::X;"), ["c::a::child"]);
    }

    #[test]
    fn child_imports_its_parent() {
        let modules = BTreeSet::from(["c", "c::a", "c::a::child", "c::b"]);
        let found = imported("c::a::child", "use super::X;\nuse super::super::b;", &modules);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["c::a", "c::b"]);
    }

    #[test]
    fn paths_in_the_code_are_imports() {
        assert_eq!(read("fn f() -> crate::b::one::X { super::b::two::g::<u8>(1) }"), ["c::b::one", "c::b::two"]);
        assert_eq!(read("use crate::b;\nfn f(x: b::one::X) {}"), ["c::b", "c::b::one"]);
        assert_eq!(read("use crate::b as other;\nfn f(x: other::two::X) {}"), ["c::b", "c::b::two"]);
        assert_eq!(read("fn f() -> impl Sized + use<> { x.crate_::<u8>(); std::child::g() }"), [""; 0]);
    }

    #[test]
    fn comments_literals_and_tests_have_no_imports() {
        assert_eq!(read("//! `crate::b`\n/* use crate::b; */ fn f() {} // crate::b::X"), [""; 0]);
        assert_eq!(read(r##"const A: &str = "\"crate::b::X"; const B: &str = r#""crate::b::X"#;"##), [""; 0]);
        assert_eq!(read("fn f<'a>(x: &'a u8) { g('\"', '\\'', b'x'); crate::b::one() }"), ["c::b::one"]);
        assert_eq!(read("#[cfg(test)]\nmod tests {\n    use crate::b::X;\n}"), [""; 0]);
    }
}
