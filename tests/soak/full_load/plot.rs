//! The figures over time as one SVG: a small chart for each, one below the other.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 120.0;
const LEFT: f64 = 90.0;

/// A line: what it shows, and its values.
pub type Series = (&'static str, Vec<f64>);

/// A picture of `series`, whose values were taken at `seconds`.
pub fn svg(title: &str, seconds: &[f64], series: &[Series]) -> String {
    let last = seconds.last().copied().unwrap_or(0.0).max(1e-9);
    let row = HEIGHT + 40.0;
    let height = 40.0 + row * series.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n",
        LEFT + WIDTH + 30.0
    );
    for (at, (name, values)) in series.iter().enumerate() {
        let top = 60.0 + row * at as f64;
        let highest = values.iter().copied().fold(1e-9, f64::max);
        let x = |seconds: f64| LEFT + WIDTH * seconds / last;
        let y = |value: f64| top + HEIGHT * (1.0 - value / highest);
        let points: String = seconds
            .iter()
            .zip(values)
            .fold(String::new(), |points, (s, v)| points + &format!("{:.1},{:.1} ", x(*s), y(*v)));
        let bottom = top + HEIGHT;
        let labels = [(top + 4.0, format!("{highest:.1}")), (bottom, "0".to_owned())];
        for (y, label) in labels {
            let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0);
        }
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.0}\">{name}</text>\
             <path d=\"M{LEFT} {top}V{bottom}H{}\" fill=\"none\" stroke=\"#999\"/>\
             <polyline points=\"{points}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"1.5\"/>",
            top - 6.0,
            LEFT + WIDTH
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{last:.0} s</text></svg>",
        LEFT + WIDTH,
        height - 4.0
    );
    svg
}
