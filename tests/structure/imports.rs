//! Finds what each file of a crate imports, from the tokens of the sources.
//!
//! A path resolves to the file that defines the item: re-exports are followed. So a `mod.rs` that only declares and
//! re-exports its children imports nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file refers to an item of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) from: PathBuf,
    pub(crate) line: usize,
    pub(crate) to: PathBuf,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: imports {}", self.from.display(), self.line, self.to.display())
    }
}

/// Returns all imports within the library and within the program of a crate. `src` is the path of its sources from
/// `root`.
///
/// # Panics
/// A file cannot be read, or is not Rust.
pub(crate) fn of(root: &Path, src: &Path) -> Vec<Import> {
    let crates = ["lib.rs", "main.rs"].map(|file| src.join(file));
    crates.iter().filter(|file| root.join(file).is_file()).flat_map(|file| Crate::read(root, file).imports()).collect()
}

type Names = Vec<String>;

/// The modules of a crate by their paths. The path of the root is empty.
struct Crate(BTreeMap<Names, Module>);

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The names of the items that it defines.
    items: BTreeSet<String>,
    /// The names that its `use` declarations bind, and their paths.
    bound: BTreeMap<String, Names>,
    /// The paths of its glob imports, without `::*`.
    globs: Vec<Names>,
    /// All paths in it.
    paths: Vec<PathUse>,
    /// The first words of the paths in its code.
    words: BTreeSet<String>,
}

/// A path in the code or in a `use` declaration.
struct PathUse {
    path: Names,
    line: usize,
    /// The name that a `pub use` gives it.
    exported: Option<String>,
}

/// What a path resolves to.
enum Target {
    Module(Names),
    /// An item, with the module that defines it.
    Item(Names),
}

impl Crate {
    fn read(root: &Path, file: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        modules.read_file(root, file, file.parent().unwrap_or(file), &Vec::new());
        modules
    }

    /// Reads the file of the module `path`, whose children are in `folder`.
    fn read_file(&mut self, root: &Path, file: &Path, folder: &Path, path: &Names) {
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let tokens = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_module(root, file, folder, path, tokens);
    }

    fn read_module(&mut self, root: &Path, file: &Path, folder: &Path, path: &Names, tokens: TokenStream) {
        let mut reader = Reader { module: Module { file: file.to_owned(), ..Module::default() }, children: Vec::new() };
        reader.read(tokens, true);
        self.0.insert(path.clone(), reader.module);
        for (name, content) in reader.children {
            let inner = folder.join(&name);
            let path = [path.clone(), vec![name]].concat();
            if let Some(tokens) = content {
                self.read_module(root, file, &inner, &path, tokens);
                continue;
            }
            let [beside, within] = [inner.with_extension("rs"), inner.join("mod.rs")];
            let file = if root.join(&beside).is_file() { beside } else { within };
            self.read_file(root, &file, &inner, &path);
        }
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports: Vec<Import> = Vec::new();
        for (path, module) in &self.0 {
            for named in &module.paths {
                let Some(Target::Item(target)) = self.resolve(path, &named.path, 0) else { continue };
                let unused = named.exported.as_ref().is_some_and(|name| !module.words.contains(name));
                // A re-export of an item of a child.
                if unused && target.starts_with(path) {
                    continue;
                }
                let to = &self.0[&target].file;
                let is_known = |import: &Import| import.from == module.file && import.to == *to;
                if *to != module.file && !imports.iter().any(is_known) {
                    imports.push(Import { from: module.file.clone(), line: named.line, to: to.clone() });
                }
            }
        }
        imports
    }

    /// Resolves a path in the module `at`. Returns `None` for paths of other crates and for local names.
    fn resolve(&self, at: &Names, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => at.clone(),
            "super" => at.split_last()?.1.to_vec(),
            _ => return self.descend(at, path, depth, true),
        };
        if rest.first().is_some_and(|next| next == "super") {
            return self.resolve(&start, rest, depth);
        }
        self.descend(&start, rest, depth, false)
    }

    /// Follows names from the module `at` downwards.
    fn descend(&self, at: &Names, path: &[String], depth: usize, is_relative: bool) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(at.clone())) };
        let module = self.0.get(at)?;
        let child = [at.clone(), vec![name.clone()]].concat();
        let is_last = rest.is_empty();
        // A name may be that of a module and of a function; only the module contains items.
        if self.0.contains_key(&child) && !(is_last && module.bound.contains_key(name)) {
            return self.descend(&child, rest, depth, false);
        }
        // Bindings may resolve to themselves, such as `use tokio;`.
        if depth < 8 {
            if let Some(target) = module.bound.get(name) {
                let whole = [target.as_slice(), rest].concat();
                return if *target == path { None } else { self.resolve(at, &whole, depth + 1) };
            }
            for glob in &module.globs {
                let Some(Target::Module(inner)) = self.resolve(at, glob, depth + 1) else { continue };
                if inner != *at && self.0.get(&inner).is_some_and(|inner| inner.has(name)) {
                    return self.descend(&inner, path, depth + 1, false);
                }
            }
        }
        (!is_relative || module.items.contains(name)).then(|| Target::Item(at.clone()))
    }
}

impl Module {
    fn has(&self, name: &str) -> bool {
        self.items.contains(name) || self.bound.contains_key(name)
    }
}

/// Reads one module's tokens.
struct Reader {
    module: Module,
    /// Its child modules by name, with their content if they are inline.
    children: Vec<(String, Option<TokenStream>)>,
}

impl Reader {
    /// Reads items if `is_top`, and the inside of items otherwise.
    fn read(&mut self, tokens: TokenStream, is_top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.read_at(&tokens, at, is_top);
        }
    }

    /// Reads the construct that begins at a token, and returns the index of the next.
    fn read_at(&mut self, tokens: &[TokenTree], at: usize, is_top: bool) -> usize {
        match &tokens[at] {
            TokenTree::Punct(hash) if hash.as_char() == '#' => match tokens.get(at + 1) {
                Some(TokenTree::Group(attribute)) if is_for_tests(&attribute.stream()) => end_of_item(tokens, at + 2),
                Some(TokenTree::Group(_)) => at + 2,
                _ => at + 1,
            },
            TokenTree::Ident(word) if word == "use" && is_declaration(tokens, at) => self.read_use(tokens, at),
            TokenTree::Ident(word) if word == "mod" && is_top => self.read_child(tokens, at),
            TokenTree::Ident(word) => {
                let next = tokens.get(at + 1);
                if is_top && DEFINITIONS.contains(&word.to_string().as_str()) {
                    self.module.items.extend(next.and_then(ident));
                }
                self.read_path(tokens, at)
            }
            TokenTree::Group(group) => {
                self.read(group.stream(), false);
                at + 1
            }
            _ => at + 1,
        }
    }

    fn read_child(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let Some(name) = tokens.get(at + 1).and_then(ident) else { return at + 1 };
        let content = match tokens.get(at + 2) {
            Some(TokenTree::Group(group)) => Some(group.stream()),
            _ => None,
        };
        self.children.push((name, content));
        at + 3
    }

    fn read_path(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let line = tokens[at].span().start().line;
        let mut path: Names = tokens.get(at).and_then(ident).into_iter().collect();
        let mut end = at + 1;
        while is_colons(tokens, end) {
            let Some(name) = tokens.get(end + 2).and_then(ident) else { break };
            path.push(name);
            end += 3;
        }
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let is_member = before.is_some_and(|token| match token {
            // The end of `Type<T>::name`, or a field.
            TokenTree::Punct(punct) => [':', '.'].contains(&punct.as_char()) && !is_single_colon(tokens, at),
            TokenTree::Ident(word) => DEFINITIONS.contains(&word.to_string().as_str()),
            _ => false,
        });
        if !is_member {
            self.module.words.extend(path.first().cloned());
            if path.len() > 1 {
                self.module.paths.push(PathUse { path, line, exported: None });
            }
        }
        end
    }

    fn read_use(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let length = tokens[at..].iter().position(|token| is_punct(Some(token), ';')).unwrap_or(tokens.len() - at);
        let is_exported = match at.checked_sub(1).map(|before| &tokens[before]) {
            Some(TokenTree::Ident(word)) => word == "pub",
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Parenthesis,
            _ => false,
        };
        self.read_tree(&tokens[at + 1..at + length], &[], is_exported);
        at + length + 1
    }

    /// Reads the tree of a `use` declaration, which continues `before`.
    fn read_tree(&mut self, tokens: &[TokenTree], before: &[String], is_exported: bool) {
        let mut path = before.to_vec();
        let mut alias = None;
        let mut line = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            line = token.span().start().line;
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    alias = tokens.get(at + 1).and_then(ident);
                    at += 1;
                }
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Punct(star) if star.as_char() == '*' => {
                    let all = [path.clone(), vec!["*".to_owned()]].concat();
                    let exported = is_exported.then(|| "*".to_owned());
                    self.module.paths.push(PathUse { path: all, line, exported });
                    return self.module.globs.push(path);
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for tree in inner.split(|token| is_punct(Some(token), ',')).filter(|tree| !tree.is_empty()) {
                        self.read_tree(tree, &path, is_exported);
                    }
                    return;
                }
                _ => {}
            }
            at += 1;
        }
        let Some(name) = alias.or_else(|| path.last().cloned()) else { return };
        self.module.paths.push(PathUse { path: path.clone(), line, exported: is_exported.then(|| name.clone()) });
        self.module.bound.insert(name, path);
    }
}

/// The keywords before the name of an item.
const DEFINITIONS: [&str; 9] = ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"];

fn ident(token: &TokenTree) -> Option<String> {
    if let TokenTree::Ident(ident) = token { Some(ident.to_string()) } else { None }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

/// Returns whether a token follows `:`, as a type does, and not `::`.
fn is_single_colon(tokens: &[TokenTree], at: usize) -> bool {
    at >= 1 && is_punct(tokens.get(at - 1), ':') && !(at >= 2 && is_colons(tokens, at - 2))
}

/// Returns whether `use` begins a declaration, unlike that of `impl Trait + use<'a>`.
fn is_declaration(tokens: &[TokenTree], at: usize) -> bool {
    !is_punct(tokens.get(at + 1), '<')
}

/// Returns whether an attribute is `cfg(test)` or similar.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text.starts_with("cfg(test)") || text.starts_with("cfg(all(test")
}

/// Returns the index after an item, which ends with braces or a semicolon.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let is_end = |token: &TokenTree| {
        is_punct(Some(token), ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[from..].iter().position(is_end).map_or(tokens.len(), |length| from + length + 1)
}
