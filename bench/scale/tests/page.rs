//! docs/scale.md shows what the simulation prints.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[test]
fn the_page_shows_the_printed_tables() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scale.md");
    let text = std::fs::read_to_string(page).expect("docs/scale.md");
    let made = scale::page::with_tables(&text).unwrap_or_else(|problem| panic!("docs/scale.md: {problem}"));
    for (number, (shown, printed)) in text.lines().zip(made.lines()).enumerate() {
        assert_eq!(
            shown,
            printed,
            "docs/scale.md, line {}; update it with: bench/run scale --write docs/scale.md",
            number + 1
        );
    }
    assert_eq!(text.len(), made.len(), "docs/scale.md; update it with: bench/run scale --write docs/scale.md");
}
