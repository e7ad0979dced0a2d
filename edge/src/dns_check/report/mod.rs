//! What is told about a name, to people and to programs.

mod convert;
mod model;
#[cfg(test)]
mod tests;
mod text;

pub use self::model::{
    AddressReport, AliasReport, AnswerReport, CertificateReport, ContactReport, RecordReport, Report, ResolverReport,
};

impl Report {
    /// Whether a script may go on.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.well
    }

    /// The report as text, or as JSON.
    #[must_use]
    pub fn render(&self, json: bool) -> String {
        let mut text = String::new();
        // Neither can fail: a string takes what is written to it, and every field can be JSON.
        if json {
            text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        } else {
            self.write(&mut text).unwrap_or_default();
        }
        text
    }
}
