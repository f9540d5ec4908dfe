//! The files of `src` and what each of them imports from the others.
//!
//! Sources are tokenised: `use` trees and paths that start with `crate`, `super` or `self`, including in macros. A name
//! is followed through re-exports to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module path: `["run", "case"]` is `crate::run::case`.
pub(super) type Module = Vec<String>;

/// Which code is analysed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Code {
    /// What ships: nothing under `#[cfg(test)]`.
    Shipped,
    All,
}

/// One file of `src`.
pub(super) struct File {
    /// Its path below `src`.
    pub path: String,
    pub source: String,
    /// The paths that it mentions, relative to the crate root.
    pub names: BTreeSet<Module>,
    /// `use` declarations: the local name, and what it refers to.
    aliases: BTreeMap<String, Module>,
    globs: Vec<Module>,
    /// The items defined here.
    items: BTreeSet<String>,
}

impl File {
    /// The first part of its path; `None` for files directly in `src`.
    pub(super) fn room(&self) -> Option<&str> {
        self.path.split_once('/').map(|(room, _)| room)
    }
}

/// All files of a crate by module.
pub(super) struct Graph {
    pub files: BTreeMap<Module, File>,
}

impl Graph {
    /// Reads the files in a folder.
    pub(super) fn of_folder(src: &Path, code: Code) -> Self {
        let mut paths = Vec::new();
        rust_files(src, &mut paths);
        let texts = paths.into_iter().map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file");
            (path.strip_prefix(src).expect("under src").to_string_lossy().into_owned(), text)
        });
        Self::of_sources(texts.filter(|(path, _)| path != "main.rs"), code)
    }

    /// Reads sources with their paths below `src`.
    pub(super) fn of_sources(sources: impl IntoIterator<Item = (String, String)>, code: Code) -> Self {
        let mut files = BTreeMap::new();
        let mut tests_only: Vec<Module> = Vec::new();
        for (path, source) in sources {
            let module = module_of(&path);
            let (tokens, found) = (tokens(&source), Found::default());
            let mut reader = Reader { tokens, at: 0, module: module.clone(), code, found };
            reader.read();
            let Found { names, aliases, globs, items, tests } = reader.found;
            tests_only.extend(tests.into_iter().map(|name| join(&module, &[name])));
            files.insert(module, File { path, source, names, aliases, globs, items });
        }
        files.retain(|module, _| !tests_only.iter().any(|tests| module.starts_with(tests)));
        Self { files }
    }

    /// The file that defines what a path refers to; `None` for paths of other crates.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&Module> {
        let mut module: Module = Vec::new();
        for (n, name) in path.iter().enumerate() {
            let child = join(&module, std::slice::from_ref(name));
            if self.files.contains_key(&child) {
                module = child;
                continue;
            }
            let file = self.files.get(&module)?;
            if file.items.contains(name) || depth > 16 {
                break;
            }
            if let Some(target) = file.aliases.get(name) {
                return self.file_of(&join(target, &path[n + 1..]), depth + 1);
            }
            let through = file.globs.iter().map(|glob| join(glob, &path[n..]));
            let mut through = through.filter_map(|path| self.defining(&path, depth + 1));
            if let Some(found) = through.next() {
                return Some(found);
            }
            break;
        }
        self.files.get_key_value(&module).map(|(module, _)| module)
    }

    /// Like `file_of`, but only if the path's last name is defined there.
    fn defining(&self, path: &[String], depth: usize) -> Option<&Module> {
        let found = self.file_of(path, depth)?;
        let name = path.last()?;
        (found.last() == Some(name) || self.files[found].items.contains(name)).then_some(found)
    }

    /// Edges from files to the files they mention. A folder's own file may mention the folder's content: those edges
    /// are omitted.
    pub(super) fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let edge = |(module, file): (&Module, &File)| {
            let targets = file.names.iter().filter_map(|name| self.file_of(name, 0));
            let foreign = targets.filter(|target| !target.starts_with(module) && !target.is_empty());
            foreign.map(|target| self.files[target].path.clone()).collect::<BTreeSet<_>>()
        };
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, file) in &self.files {
            let paths = edge((module, file));
            let known = self.files.values().map(|file| file.path.as_str()).filter(|path| paths.contains(*path));
            edges.insert(&file.path, known.collect());
        }
        edges
    }
}

/// The strongly connected components, each in order.
pub(super) fn cycles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges
        .keys()
        .map(|start| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&str> = edges[start].iter().copied().collect();
            while let Some(node) = open.pop() {
                if seen.insert(node) {
                    open.extend(edges.get(node).into_iter().flatten());
                }
            }
            (*start, seen)
        })
        .collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for node in edges.keys().copied().filter(|node| reached[node].contains(node)) {
        if !found.iter().any(|cycle| cycle.contains(&node)) {
            found.push(
                edges.keys().copied().filter(|n| reached[node].contains(n) && reached[n].contains(node)).collect(),
            );
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(ToOwned::to_owned).collect() }
}

fn join(module: &[String], rest: &[String]) -> Module {
    module.iter().chain(rest).cloned().collect()
}

/// Words, `::` and single characters, without comments, strings and character literals.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i += 2;
            while i < chars.len() && !(chars[i] == '*' && at(i + 1) == '/') {
                i += 1;
            }
            i += 2;
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' {
            // A lifetime.
            i += 1;
            while word(at(i)) {
                i += 1;
            }
        } else if word(c) {
            let start = i;
            while i < chars.len() && word(chars[i]) {
                i += 1;
            }
            let text: String = chars[start..i].iter().collect();
            // A raw string: r"…", r#"…"#, br#"…"#.
            let hashes = (i..chars.len()).take_while(|j| chars[*j] == '#').count();
            if matches!(text.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                i += hashes + 1;
                while i < chars.len() && !(chars[i] == '"' && (0..hashes).all(|h| at(i + 1 + h) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
            } else {
                found.push(text);
            }
        } else if c == ':' && at(i + 1) == ':' {
            found.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            i += 1;
        }
    }
    found
}

#[derive(Default)]
struct Found {
    names: BTreeSet<Module>,
    aliases: BTreeMap<String, Module>,
    globs: Vec<Module>,
    items: BTreeSet<String>,
    /// Modules in their own files that are only built for tests.
    tests: Vec<String>,
}

struct Reader {
    tokens: Vec<String>,
    at: usize,
    module: Module,
    code: Code,
    found: Found,
}

impl Reader {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" if self.code == Code::Shipped && self.is_for_tests() => self.skip_item(),
                "use" => {
                    self.at += 1;
                    self.tree(&[]);
                }
                "crate" | "super" | "self" if self.peek(1) == "::" => {
                    let path = self.path();
                    self.name(&path);
                }
                "fn" | "struct" | "enum" | "trait" | "const" | "static" | "type" | "union" | "macro_rules" => {
                    let name = self.peek(1).to_owned();
                    self.found.items.insert(name);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Whether this is an attribute that restricts its item to tests: `#[cfg(test)]`, `#[cfg(all(test, …))]`,
    /// `#[test]`.
    fn is_for_tests(&self) -> bool {
        let attribute: Vec<&str> = (1..7).map(|n| self.peek(n)).collect();
        attribute[..3] == ["[", "test", "]"]
            || attribute[..4] == ["[", "cfg", "(", "test"]
            || attribute[..6] == ["[", "cfg", "(", "all", "(", "test"]
    }

    /// Skips an item with its attributes, up to its `;` or its closing brace.
    fn skip_item(&mut self) {
        let (mut depth, mut braces) = (0, 0);
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "mod" if braces == 0 && self.peek(2) == ";" => self.found.tests.push(self.peek(1).to_owned()),
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                "{" => braces += 1,
                "}" => braces -= 1,
                _ => {}
            }
            let ends = matches!(self.peek(0), "}" | ";") && braces == 0 && depth == 0;
            self.at += 1;
            if ends {
                return;
            }
        }
    }

    /// Reads words joined by `::`.
    fn path(&mut self) -> Module {
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && self.peek(1).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        path
    }

    /// Reads a `use` tree below a path, and what it imports.
    fn tree(&mut self, above: &[String]) {
        if self.peek(0) == "::" {
            self.at += 1;
        }
        match self.peek(0) {
            "{" => {
                self.at += 1;
                while !matches!(self.peek(0), "}" | "") {
                    self.tree(above);
                    if self.peek(0) == "," {
                        self.at += 1;
                    }
                }
                self.at += 1;
            }
            "*" => {
                self.at += 1;
                let path = self.absolute(above);
                self.found.globs.push(path);
            }
            "self" if !above.is_empty() => {
                self.at += 1;
                self.bring_in(above);
            }
            _ => {
                let own = self.path();
                let path = join(above, &own);
                if self.peek(0) == "::" {
                    self.tree(&path);
                } else {
                    self.bring_in(&path);
                }
            }
        }
    }

    fn bring_in(&mut self, path: &[String]) {
        let mut name = path.last().cloned().unwrap_or_default();
        if self.peek(0) == "as" {
            name = self.peek(1).to_owned();
            self.at += 2;
        }
        self.name(path);
        let path = self.absolute(path);
        self.found.aliases.insert(name, path);
    }

    fn name(&mut self, path: &[String]) {
        let path = self.absolute(path);
        self.found.names.insert(path);
    }

    /// The path relative to the crate root. One that starts with a plain word is taken for a child module.
    fn absolute(&self, path: &[String]) -> Module {
        let mut module = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => (module, rest) = (Vec::new(), &path[1..]),
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            _ => {}
        }
        join(&module, rest)
    }
}
