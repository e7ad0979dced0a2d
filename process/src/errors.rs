//! Errors that are reported together, so that one start is enough to find them all.

use std::{error::Error, fmt};

use crate::chain;

/// Collects the errors of a configuration. Displays each with its causes, on a line of its own.
#[derive(Debug)]
pub struct Errors<E>(Vec<E>);

impl<E> Errors<E> {
    /// Whether no error was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an error.
    pub fn push(&mut self, error: E) {
        self.0.push(error);
    }

    /// Returns the value of `result`, or keeps its error.
    pub fn keep<T>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns the value of `result`, or keeps its errors.
    pub fn keep_all<T, I>(&mut self, result: Result<T, I>) -> Option<T>
    where
        I: IntoIterator,
        I::Item: Into<E>,
    {
        result.map_err(|errors| self.0.extend(errors.into_iter().map(Into::into))).ok()
    }
}

impl<E> Default for Errors<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> From<E> for Errors<E> {
    fn from(error: E) -> Self {
        Self(vec![error])
    }
}

impl<E> IntoIterator for Errors<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<E: Error> fmt::Display for Errors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", chain(error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_is_kept_and_displayed_on_its_own_line() {
        let mut errors = Errors::<io::Error>::default();
        assert_eq!(errors.keep(Ok(1)), Some(1));
        assert_eq!(errors.keep::<()>(Err(io::Error::other("one"))), None);
        assert_eq!(errors.keep_all::<(), _>(Err(Errors::from(io::Error::other("two")))), None);
        assert_eq!(errors.to_string(), "one\ntwo");
    }
}
