//! Tables, sections and folded parts of the page.

use std::fmt::{self, Display, Write};

use super::format::{Escaped, count};

/// More rows than this are too many to show all of them at once.
pub(super) const MANY: usize = 20;

/// Writes a section with a title.
pub(super) fn section(out: &mut String, title: &str, content: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    writeln!(out, "<section><h2>{title}</h2>")?;
    content(out)?;
    writeln!(out, "</section>")
}

/// Writes content that the reader unfolds, without JavaScript, or nothing if there `is_any` not. The script keeps what
/// is unfolded by its `id`.
pub(super) fn folded(
    out: &mut String,
    id: &str,
    summary: &str,
    is_any: bool,
    content: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    if !is_any {
        return Ok(());
    }
    writeln!(out, "<details id=\"{}\"><summary>{}</summary>", Escaped(id), Escaped(summary))?;
    content(out)?;
    writeln!(out, "</details>")
}

/// Writes a table, or nothing if it would be empty. Columns are `(title, class)`. Cells carry their title as well,
/// because each row becomes a list on a narrow screen.
pub(super) fn table<T, const N: usize, C: Display>(
    out: &mut String,
    columns: &[(&str, &str); N],
    rows: impl IntoIterator<Item = T>,
    cells: impl Fn(T) -> [C; N],
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    out.write_str("<div class=\"scroll\"><table><thead><tr>")?;
    for (title, class) in columns {
        write!(out, "<th scope=\"col\" class=\"{class}\">{title}</th>")?;
    }
    out.write_str("</tr></thead><tbody>\n")?;
    for row in rows {
        out.write_str("<tr>")?;
        for ((title, class), cell) in columns.iter().zip(cells(row)) {
            write!(out, "<td class=\"{class}\" data-title=\"{title}\"><span>{cell}</span></td>")?;
        }
        out.write_str("</tr>\n")?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// Formats a number that should be zero.
pub(super) fn alarming(number: u64) -> String {
    if number == 0 { count(number) } else { format!("<b class=\"alarming\">{}</b>", count(number)) }
}
