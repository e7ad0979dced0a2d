//! The report on a name, as text or as JSON.

mod convert;
mod model;
#[cfg(test)]
mod tests;
mod text;

pub use self::model::{
    AddressReport, AliasReport, AnswerReport, CertificateReport, ProbeReport, RecordReport, Report, ResolverReport,
};

impl Report {
    /// Whether no finding is a problem.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.well
    }

    /// Returns the report as text, or as JSON.
    #[must_use]
    pub fn render(&self, json: bool) -> String {
        let mut text = String::new();
        // Neither fails: a string accepts every write, and JSON can represent every field.
        if json {
            text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        } else {
            self.write(&mut text).unwrap_or_default();
        }
        text
    }
}
