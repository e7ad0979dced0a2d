//! Draws the ratios as a chart: how many times better or worse than each peer, on a logarithmic scale.
//!
//! Bars to the right are better, also for figures where less is better. Readable on light and dark backgrounds.

use std::fmt::Write as _;

use super::line::Line;
use crate::rows::Aim;

const LEFT: f64 = 330.0;
const WIDTH: f64 = 900.0;
const STEP: f64 = 18.0;
const TOP: f64 = 46.0;
/// The ratios at the left and right ends of the chart.
const WORST: f64 = 0.25;
const BEST: f64 = 16.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}\
.v{font-size:11px}.g{stroke:#8c959f;stroke-opacity:.35}.o{stroke:#57606a;stroke-width:1.5}.y{fill:#2da44e}\
.n{fill:#d1662b}.s{stroke:#57606a}.a{stroke:#0969da;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.o,.s{stroke:#b1bac4}.a{stroke:#58a6ff}}";

/// Draws the lines that have an aim.
pub(super) fn draw(lines: &[Line]) -> String {
    let drawn: Vec<(&Line, Aim)> = lines.iter().filter_map(|line| Some((line, line.bound?))).collect();
    let bottom = TOP + STEP * drawn.len() as f64;
    let height = bottom + 26.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Ratios to the peers\"><style>{STYLE}</style>\n\
         <text class=\"t\" x=\"8\" y=\"18\">How many times better than the peer (median of the rounds; \
         thin line: all rounds; blue: aim)</text>\n"
    );
    for tick in [0.25_f64, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0] {
        let (at, class) = (x(tick), if (tick - 1.0).abs() < f64::EPSILON { "o" } else { "g" });
        line(&mut svg, class, (at, TOP - 6.0), (at, bottom));
        text(&mut svg, "v", at - 6.0, TOP - 10.0, &tick.to_string());
    }
    for (row, (line, aim)) in drawn.iter().enumerate() {
        bar(&mut svg, TOP + STEP * row as f64, line, *aim);
    }
    text(&mut svg, "v", 8.0, height - 8.0, "Right of 1: better than the peer. Left of 1: worse.");
    svg + "</svg>\n"
}

fn bar(svg: &mut String, top: f64, of: &Line, aim: Aim) {
    let better = |ratio: f64| match aim {
        Aim::AtMost(_) => 1.0 / ratio,
        Aim::AtLeast(_) => ratio,
    };
    let bound = match aim {
        Aim::AtMost(bound) | Aim::AtLeast(bound) => better(bound),
    };
    let (one, end, middle) = (x(1.0), x(better(of.ratio.median)), top + STEP / 2.0);
    let class = if of.met == Some(true) { "y" } else { "n" };
    let label = format!("{}, {}, {}", of.row, of.metric, of.peer);
    text(svg, "", 8.0, middle + 4.0, &label);
    let (left, width, top, height) = (one.min(end), (end - one).abs().max(1.0), top + 3.0, STEP - 6.0);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
    );
    let (low, high) = (x(better(of.ratio.low)), x(better(of.ratio.high)));
    line(svg, "s", (low, middle), (high, middle));
    line(svg, "a", (x(bound), top - 1.0), (x(bound), top + height + 1.0));
    let value = format!("{:.2}", better(of.ratio.median));
    text(svg, "v", end.max(one).max(low).max(high).max(x(bound)) + 5.0, middle + 4.0, &value);
}

/// Returns the horizontal position of a ratio, clamped to the ends of the chart.
fn x(ratio: f64) -> f64 {
    let part = (ratio.clamp(WORST, BEST) / WORST).ln() / (BEST / WORST).ln();
    LEFT + part * (WIDTH - LEFT - 50.0)
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{what}</text>");
}
