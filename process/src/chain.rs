//! How errors are shown.

use std::{error::Error, fmt};

/// Displays an error with all its causes: `this: because of this: because of that`. A cause that only repeats the end
/// of the error above it is left out: many libraries display a cause both by itself and as part of the error.
pub fn chain(error: &dyn Error) -> impl fmt::Display + '_ {
    Chain(error)
}

struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = self.0.to_string();
        f.write_str(&above)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !above.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            above = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        let refused = Layer("the store refuses to count", Some(Box::new(Layer("READONLY", None))));
        let error = Layer("the store is unavailable", Some(Box::new(refused)));
        assert_eq!(chain(&error).to_string(), "the store is unavailable: the store refuses to count: READONLY");
    }

    #[test]
    fn a_cause_that_the_error_above_it_repeats_is_displayed_once() {
        let layer = |text, cause| Layer(text, Some(Box::new(cause)));
        // The errors of Redis display their cause and nothing else.
        let same = layer("cannot connect", layer("refused", layer("refused", Layer("refused", None))));
        assert_eq!(chain(&same).to_string(), "cannot connect: refused");
        let part = layer("cannot ask: refused", layer("refused", Layer("by the kernel", None)));
        assert_eq!(chain(&part).to_string(), "cannot ask: refused: by the kernel");
    }
}
