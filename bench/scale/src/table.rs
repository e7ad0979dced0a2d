//! Markdown tables.

/// A table under construction. All columns but the first are right-aligned.
#[derive(Debug)]
pub struct Table {
    text: String,
}

impl Table {
    /// Creates a table with a header row.
    #[must_use]
    pub fn new<S: AsRef<str>>(head: &[S]) -> Self {
        let mut this = Self { text: String::new() };
        this.row(head);
        let rules: Vec<_> = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
        this.row(&rules);
        this
    }

    /// Adds a row.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(cell.as_ref());
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    /// Returns the table's text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// Formats a number with three significant digits and commas between thousands.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    if digits > 0 {
        let text = format!("{value:.*}", digits.unsigned_abs() as usize);
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let scale = 10_f64.powi(-digits);
    let digits = ((value / scale).round() * scale).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a share as a percentage.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (1.0, "1"),
            (1.5, "1.5"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1234.0, "1,230"),
            (90_000.0, "90,000"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }
}
