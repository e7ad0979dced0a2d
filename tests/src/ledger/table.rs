//! Pure: the table of docs/resilience.md, and the cells in which the edge is not the best.

use std::fmt::Write as _;

use super::proxy::Kind;
use super::results::{Results, Row};
use super::scenario;
use super::totals::Totals;

const BEGIN: &str = "<!-- ledger -->\n";
const END: &str = "<!-- /ledger -->\n";

/// A group of columns.
struct Measure {
    title: &'static str,
    value: fn(&Totals) -> u64,
    text: fn(&Totals) -> String,
}

const MEASURES: [Measure; 4] = [
    Measure {
        title: "failed GET",
        value: |totals| count(totals.failed_gets),
        text: |totals| totals.failed_gets.to_string(),
    },
    Measure { title: "failed POST", value: |totals| count(totals.failed_posts), text: posts },
    Measure {
        title: "sent twice",
        value: |totals| count(totals.posts_twice),
        text: |totals| totals.posts_twice.to_string(),
    },
    Measure {
        title: "slowest, s",
        value: |totals| totals.slowest,
        text: |totals| {
            let tenths = totals.slowest.div_ceil(10);
            format!("{}.{:02}", tenths / 100, tenths % 100)
        },
    },
];

/// The failed POSTs, and how many were under way if that excuses some.
fn posts(totals: &Totals) -> String {
    match totals {
        Totals { failed_posts: 0, .. } => "0".to_owned(),
        Totals { failed_posts, posts_under_way: 0, .. } => failed_posts.to_string(),
        Totals { failed_posts, posts_under_way, .. } => format!("{failed_posts} of {posts_under_way}"),
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Puts the table between the markers of the page. `None` without markers.
#[must_use]
pub fn insert(page: &str, results: &Results) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_old, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", render(results)))
}

/// The table, in the order of the scenarios. The edge's cell is bold where another proxy does better.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut text = "| what happens | pool |".to_owned();
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    for Measure { title, .. } in &MEASURES {
        write!(text, " {title}: {} |", names.join(" | ")).expect("text");
    }
    writeln!(text, "\n| --- | ---: |{}", " ---: |".repeat(MEASURES.len() * names.len())).expect("text");
    for row in rows(results) {
        write!(text, "| {} | {} |", row.scenario, row.pool).expect("text");
        for measure in &MEASURES {
            for kind in Kind::ALL {
                let cell = row.cells.get(&kind).map_or("-".to_owned(), measure.text);
                let is_bold = kind == Kind::Edge && is_worse(measure, row);
                write!(text, " {} |", if is_bold { format!("**{cell}**") } else { cell }).expect("text");
            }
        }
        text.push('\n');
    }
    let versions: Vec<String> =
        results.versions.iter().map(|(kind, version)| format!("{} {version}", kind.name())).collect();
    let all: usize = results.rows.iter().flat_map(|row| row.cells.values()).map(|totals| totals.requests).sum();
    writeln!(text, "\nMeasured: {}; {all} requests in all.", versions.join(", ")).expect("text");
    text
}

/// The cells in which the edge does worse than the better of the others, with what its clients got.
#[must_use]
pub fn worse(results: &Results) -> Vec<String> {
    let mut cells = Vec::new();
    for row in rows(results) {
        for measure in MEASURES.iter().filter(|measure| is_worse(measure, row)) {
            let all: Vec<String> =
                row.cells.iter().map(|(kind, totals)| format!("{} {}", kind.name(), (measure.text)(totals))).collect();
            let got = row.cells.get(&Kind::Edge).map(|totals| format!("{:?}", totals.failures)).unwrap_or_default();
            cells.push(format!("{}, {}: {}: {}; {got}", row.scenario, row.pool, measure.title, all.join(", ")));
        }
    }
    cells
}

fn rows(results: &Results) -> impl Iterator<Item = &Row> {
    let all = scenario::ALL.iter().flat_map(|scenario| scenario.pools.iter().map(move |pool| (scenario.name, *pool)));
    all.filter_map(|(name, pool)| results.row(name, pool))
}

/// Whether the edge does worse than the better of the others. Half as long again, and a tenth of a second, is no
/// difference in a time that is measured once; and a proxy that fails more requests is not faster.
fn is_worse(measure: &Measure, row: &Row) -> bool {
    let Some(edge) = row.cells.get(&Kind::Edge) else { return false };
    let others = [Kind::Haproxy, Kind::Nginx].into_iter().filter_map(|kind| row.cells.get(&kind));
    let value = (measure.value)(edge);
    if !measure.title.starts_with("slowest") {
        return others.map(measure.value).min().is_some_and(|best| value > best);
    }
    let failed = |totals: &Totals| totals.failed_gets + totals.failed_posts;
    let best = others.filter(|other| failed(other) <= failed(edge)).map(measure.value).min();
    best.is_some_and(|best| value > best + best / 2 + 100)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn results(edge: Totals, haproxy: Totals) -> Results {
        let cells = BTreeMap::from([(Kind::Edge, edge), (Kind::Haproxy, haproxy)]);
        let row = Row { scenario: "an endpoint is killed".to_owned(), pool: 3, rate: 1000, cells };
        Results { versions: BTreeMap::from([(Kind::Haproxy, "2.6".to_owned())]), rows: vec![row] }
    }

    #[test]
    fn the_edges_cell_is_bold_where_another_does_better_and_a_missing_one_is_a_dash() {
        let edge = Totals { failed_posts: 2, posts_under_way: 5, slowest: 101, ..Totals::default() };
        let results = results(edge, Totals { failed_gets: 2, slowest: 12, ..Totals::default() });
        let table = render(&results);
        let row = "| an endpoint is killed | 3 | 0 | 2 | - | **2 of 5** | 0 | - | 0 | 0 | - | 0.11 | 0.02 | - |";
        assert!(table.contains(row), "{table}");
        assert_eq!(worse(&results), ["an endpoint is killed, 3: failed POST: edge 2 of 5, HAProxy 0; {}"]);
    }

    #[test]
    fn who_fails_more_is_not_faster() {
        let edge = Totals { slowest: 900, ..Totals::default() };
        let fast = Totals { slowest: 10, ..Totals::default() };
        assert_eq!(worse(&results(edge.clone(), fast.clone())).len(), 1);
        assert!(worse(&results(edge, Totals { failed_gets: 1, ..fast })).is_empty());
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let page = format!("a\n{BEGIN}old\n{END}z\n");
        let new = insert(&page, &Results::default()).unwrap();
        assert!(new.starts_with("a\n<!-- ledger -->\n| what") && new.ends_with("<!-- /ledger -->\nz\n"), "{new}");
        assert!(!new.contains("old"));
        assert_eq!(insert(&new, &Results::default()).unwrap(), new);
        assert_eq!(insert("a", &Results::default()), None);
    }
}
