//! Empties functions of a WebAssembly module that are never called, but that the linker cannot drop.
//!
//! Leptos keeps a pointer to each view's `hydrate_async` beside the one to its `hydrate`. Only views that wait for data
//! in the browser use it, and the console has none: the server waits, and an island is hydrated at once. The pointers
//! keep every view in the module twice, the second time as a state machine.
//!
//! The compiler merges equal functions under one of their names. So code that drops values stays, and so do functions
//! that others call.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use wasm_encoder::{CodeSection, Function, Module, RawSection};
use wasmparser::{KnownCustom, Name, Operator, Parser, Payload, TypeRef};

/// A part of the names of the functions to empty.
const UNUSED: &str = "hydrate_async";
/// Smaller bodies stay, since emptying them gains nothing.
const SMALLEST: usize = 64;

/// Returns the module in which every function named like [`UNUSED`] traps. Its names must still be in it.
pub(crate) fn empty_unused(module: &[u8]) -> Result<Vec<u8>> {
    let unused = find_unused(module)?;
    if unused.is_empty() {
        bail!("no function of the module is named like {UNUSED}: this step, or the module's names, went away");
    }
    let mut out = Module::new();
    let mut code = CodeSection::new();
    let mut left = 0;
    let mut function = imported_functions(module)?;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::CodeSectionStart { count, .. } => left = count,
            Payload::CodeSectionEntry(body) => {
                let bytes = body.as_bytes();
                if unused.contains(&function) && bytes.len() >= SMALLEST {
                    let mut trap = Function::new([]);
                    trap.instructions().unreachable().end();
                    code.function(&trap);
                } else {
                    code.raw(bytes);
                }
                function += 1;
                left -= 1;
                if left == 0 {
                    out.section(&code);
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    out.section(&RawSection { id, data: module.get(range).context("a section has bytes")? });
                }
            }
        }
    }
    Ok(out.finish())
}

/// Returns the indices of the functions named like [`UNUSED`].
fn find_unused(module: &[u8]) -> Result<BTreeSet<u32>> {
    let mut unused = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(section) = payload? else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for name in names {
            if let Name::Function(functions) = name? {
                for function in functions {
                    let function = function?;
                    if function.name.contains(UNUSED) && !function.name.contains("drop_in_place") {
                        unused.insert(function.index);
                    }
                }
            }
        }
    }
    drop_called(module, &mut unused)?;
    Ok(unused)
}

/// Removes from `unused` the functions that others call: the compiler has merged such a function with one that is in
/// use.
fn drop_called(module: &[u8], unused: &mut BTreeSet<u32>) -> Result<()> {
    let mut calls: Vec<(u32, u32)> = Vec::new();
    let mut function = imported_functions(module)?;
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } = operator?
                && unused.contains(&function_index)
            {
                calls.push((function, function_index));
            }
        }
        function += 1;
    }
    loop {
        let called: Vec<_> = calls.iter().filter(|(by, of)| !unused.contains(by) && unused.contains(of)).collect();
        if called.is_empty() {
            return Ok(());
        }
        for (_, of) in called {
            unused.remove(of);
        }
    }
}

/// Returns the number of imported functions. They have the first indices.
fn imported_functions(module: &[u8]) -> Result<u32> {
    let mut count = 0;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                if matches!(import?.ty, TypeRef::Func(_)) {
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{FunctionSection, NameMap, NameSection, TypeSection};

    /// Returns a module of two functions of `size` no-ops each: `hydrate` and `hydrate_async`.
    fn module(size: usize) -> Vec<u8> {
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        let (mut names, mut map) = (NameSection::new(), NameMap::new());
        types.ty().function([], []);
        for (index, name) in (0..).zip(["view::hydrate", "view::hydrate_async::{{closure}}"]) {
            let mut body = Function::new([]);
            for _ in 0..size {
                body.instructions().nop();
            }
            body.instructions().end();
            functions.function(0);
            code.function(&body);
            map.append(index, name);
        }
        names.functions(&map);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&code).section(&names);
        module.finish()
    }

    fn body_sizes(module: &[u8]) -> Vec<usize> {
        let size = |payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(body.as_bytes().len()),
            _ => None,
        };
        Parser::new(0).parse_all(module).filter_map(size).collect()
    }

    #[test]
    fn only_large_functions_of_the_unused_name_are_emptied() {
        assert_eq!(body_sizes(&empty_unused(&module(100)).expect("a module")), [102, 3]);
        assert_eq!(body_sizes(&empty_unused(&module(10)).expect("a module")), [12, 12]);
    }

    #[test]
    fn module_without_the_unused_name_is_refused() {
        assert!(empty_unused(&Module::new().finish()).is_err());
    }
}
