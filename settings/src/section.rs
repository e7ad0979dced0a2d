//! Reads one table of the file, key by key.
//!
//! The keys that the caller reads are the keys that the section may have; every other key is reported when the section
//! ends. A value that cannot be converted is reported and then treated as missing, so the caller uses the default.

use std::{borrow::Cow, ops::Range, slice};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    kind::{BOOLEAN, Kind},
    report::{Report, join},
};

/// A key with its value.
type Entry<'r> = (&'r Spanned<Cow<'r, str>>, &'r Spanned<DeValue<'r>>);

/// A table of the file, or its absence, which reads like an empty one.
#[derive(Debug)]
pub struct Section<'r> {
    report: &'r Report<'r>,
    /// Its name with its parents, such as `pool.web.health`; empty for the top of the file.
    path: String,
    /// Where it is written.
    span: Range<usize>,
    table: Option<&'r DeTable<'r>>,
    /// The keys that were read.
    keys: Vec<&'static str>,
}

impl<'r> Section<'r> {
    /// Creates the section at the top of the file.
    pub(crate) fn root(report: &'r Report<'r>, table: &'r DeTable<'r>) -> Self {
        Self { report, path: String::new(), span: 0..0, table: Some(table), keys: Vec::new() }
    }

    /// Reads the section and reports the keys that `read` did not read.
    pub(crate) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            if !self.keys.contains(&key.get_ref().as_ref()) {
                self.report.unknown(&key.span(), &self.path, key.get_ref());
            }
        }
        value
    }

    /// Returns the value of a key; `None` if the key is missing or its value cannot be converted.
    pub fn get<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        let value = self.look_up(key, kind.name)?;
        self.convert(key, value, kind)
    }

    /// Returns the values of a key that has one value or a list, with their places. An empty list counts as a missing
    /// key.
    pub fn list<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<Vec<Spanned<T>>> {
        let value = self.look_up(key, &format!("{} or list", kind.name))?;
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let convert = |item: &Spanned<DeValue<'_>>| Some(Spanned::new(item.span(), self.convert(key, item, kind)?));
        let items: Vec<_> = items.into_iter().map(convert).collect();
        if items.is_empty() { None } else { Some(items.into_iter().flatten().collect()) }
    }

    /// Like [`required_list`](Self::required_list), but an item may also be a table, which `read` reads.
    pub fn required_items<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        mut read: impl FnMut(&mut Section<'r>) -> Option<T>,
    ) -> Vec<Spanned<T>> {
        self.report_missing(key, kind);
        let Some(value) = self.look_up(key, &format!("{} or list", kind.name)) else { return Vec::new() };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let convert = |item: &'r Spanned<DeValue<'r>>| {
            let value = match item.get_ref() {
                DeValue::Table(_) => self.sub(key, Some(item)).read(&mut read),
                _ => self.convert(key, item, kind),
            };
            Some(Spanned::new(item.span(), value?))
        };
        items.into_iter().filter_map(convert).collect()
    }

    /// Like [`get`](Self::get) for a key without a default: reports it if it is missing.
    pub fn required<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        self.report_missing(key, kind);
        self.get(key, kind)
    }

    /// Like [`list`](Self::list) for a key without a default; empty if it is missing.
    pub fn required_list<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Vec<Spanned<T>> {
        self.report_missing(key, kind);
        self.list(key, kind).unwrap_or_default()
    }

    /// Returns whether the section has the key, with a valid value or not.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some_and(|(_, value)| value.get_ref().as_array().is_none_or(|items| !items.is_empty()))
    }

    /// Reads the table under a key, or an empty one if the key is missing.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'r>) -> T) -> T {
        let value = self.look_up(key, "section");
        self.sub(key, value).read(read)
    }

    /// Reads the table under a key, if the key is present.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'r>) -> T) -> Option<T> {
        let value = self.look_up(key, "section")?;
        Some(self.sub(key, Some(value)).read(read))
    }

    /// Reads the table under a key; `false` instead of a table means `None`, and `true` an empty table.
    pub fn switch<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'r>) -> T) -> Option<T> {
        let value = self.look_up(key, "section or boolean");
        match value.and_then(|value| (BOOLEAN.read)(value.get_ref())) {
            Some(Ok(false)) => None,
            Some(_) => Some(self.sub(key, None).read(read)),
            None => Some(self.sub(key, value).read(read)),
        }
    }

    /// Reads every table of a list of tables; a single table is a list of one.
    pub fn tables<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'r>) -> T) -> Vec<T> {
        let values = match self.look_up(key, "list of sections") {
            None => &[],
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => items,
                _ => slice::from_ref(value),
            },
        };
        values.iter().map(|value| self.sub(key, Some(value)).read(&mut read)).collect()
    }

    /// Reads every table under a key, each with its name, in the order of the file. `read` may reject a name.
    pub fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Section<'r>) -> Result<T, String>,
    ) -> Vec<T> {
        let value = self.look_up(key, "sections by name");
        let section = self.sub(key, value);
        let read_sub = |(name, value): Entry<'r>| {
            let key = quoted(name.get_ref());
            let mut sub = section.sub(&key, Some(value));
            match read(name.get_ref(), &mut sub) {
                Ok(value) => Some(sub.read(|_| value)),
                Err(message) => {
                    section.problem_at(&name.span(), &key, message);
                    None
                }
            }
        };
        section.entries().into_iter().filter_map(read_sub).collect()
    }

    /// Returns the texts under a key with their names, in the order of the file.
    pub fn texts(&mut self, key: &'static str) -> Vec<(&'r Spanned<Cow<'r, str>>, Spanned<String>)> {
        let Some(value) = self.look_up(key, "texts by name") else { return Vec::new() };
        let section = self.sub(key, Some(value));
        let text = |(name, value): Entry<'r>| {
            if let Some(text) = value.get_ref().as_str() {
                return Some((name, Spanned::new(value.span(), text.to_owned())));
            }
            let found = value.get_ref().type_str();
            let message = format!("expected text, found {found}: write it in quotes");
            section.problem_at(&value.span(), name.get_ref(), message);
            None
        };
        section.entries().into_iter().filter_map(text).collect()
    }

    /// Reports a problem with a key; if the key is missing, at the section.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.problem_at(&self.span_of(key), key, message);
    }

    /// Reports a problem at a place in a key's value.
    pub fn problem_at(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.report.problem(span, &join(&self.path, key), message);
    }

    /// Reports a warning about a key.
    pub fn warning(&self, key: &str, message: impl Into<String>) {
        self.warning_at(&self.span_of(key), key, message);
    }

    /// Reports a warning at a place in a key's value.
    pub fn warning_at(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.report.warning(span, &join(&self.path, key), message);
    }

    /// Returns the place of a key's value; if the key is missing, that of the section.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.find(key).map_or_else(|| self.span.clone(), |(_, value)| value.span())
    }

    /// Returns the place of the section.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns the line of a place, from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.report.line(span.start)
    }

    fn report_missing<T>(&self, key: &str, kind: &Kind<T>) {
        if !self.has(key) {
            self.problem(key, format!("is missing: add {key} = {}", kind.example));
        }
    }

    fn look_up(&mut self, key: &'static str, kind: &str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.keys.push(key);
        self.report.known(&self.path, key, kind);
        self.find(key).map(|(_, value)| value)
    }

    fn find(&self, key: &str) -> Option<Entry<'r>> {
        self.table?.get_key_value(key)
    }

    /// Returns the entries of the section in the order of the file.
    fn entries(&self) -> Vec<Entry<'r>> {
        let mut entries: Vec<_> = self.table.into_iter().flat_map(DeTable::iter).collect();
        // The parser sorts them by name.
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
    }

    fn convert<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, kind: &Kind<T>) -> Option<T> {
        let read = (kind.read)(value.get_ref()).unwrap_or_else(|| {
            let found = value.get_ref().type_str();
            Err(format!("expected {}, found {found}: write it like {}", kind.name, kind.example))
        });
        read.map_err(|message| self.problem_at(&value.span(), key, message)).ok()
    }

    /// Returns the section under `key`. A value that is not a table is reported and read as an empty one.
    fn sub(&self, key: &str, value: Option<&'r Spanned<DeValue<'r>>>) -> Section<'r> {
        let path = join(&self.path, key);
        let span = value.map_or_else(|| self.span.clone(), Spanned::span);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            let found = value.get_ref().type_str();
            self.report.problem(&span, &path, format!("expected a section, found {found}: write [{path}]"));
        }
        Section { report: self.report, path, span, table, keys: Vec::new() }
    }
}

/// Returns the values without their places.
#[must_use]
pub fn into_values<T>(items: Vec<Spanned<T>>) -> Vec<T> {
    items.into_iter().map(Spanned::into_inner).collect()
}

/// Formats a name as a key in TOML: in quotes unless it is a bare key.
fn quoted(name: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) { name.into() } else { format!("{name:?}").into() }
}
