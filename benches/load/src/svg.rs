//! Line charts as SVG: just enough for latencies and curves. Pure.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"];

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In proportion, from 0.
    Linear,
    /// By their powers of ten.
    Log,
}

/// A chart of some lines.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below, and at the left.
    pub axes: [String; 2],
    /// Horizontal, vertical.
    pub scales: [Scale; 2],
    /// Where and what to write on the horizontal axis; none: by the values.
    pub marks: Vec<(f64, String)>,
    /// A name and its points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Charts below one another, as one picture.
pub fn picture(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, chart) in charts.iter().enumerate() {
        let _ = writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * number as f64);
        draw(chart, &mut out);
        out.push_str("</g>\n");
    }
    out + "</svg>\n"
}

/// A part of an axis, in values and on paper.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    paper: (f64, f64),
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64>, paper: (f64, f64)) -> Axis {
        let usable = values.filter(|v| v.is_finite() && (scale == Scale::Linear || *v > 0.0));
        let (mut from, mut to) = usable.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if from > to {
            (from, to) = (1.0, 10.0);
        }
        if scale == Scale::Linear {
            from = from.min(0.0);
        }
        if to <= from {
            to = if from > 0.0 { from * 2.0 } else { 1.0 };
        }
        Axis { scale, from, to, paper }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
        };
        self.paper.0 + share * (self.paper.1 - self.paper.0)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let raw = (self.to - self.from) / 5.0;
                let power = 10f64.powf(raw.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].iter().map(|s| s * power).find(|s| *s >= raw).unwrap_or(raw);
                (0..=(self.to / step) as u32).map(|n| f64::from(n) * step).collect()
            }
            Scale::Log => {
                let (low, high) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
                let digits: &[f64] = if high - low > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let all = (low..=high).flat_map(|e| digits.iter().map(move |d| d * 10f64.powi(e)));
                all.filter(|v| (self.from * 0.999..=self.to * 1.001).contains(v)).collect()
            }
        }
    }
}

fn draw(chart: &Chart, out: &mut String) {
    let points = || chart.lines.iter().flat_map(|(_, points)| points);
    let x = Axis::over(chart.scales[0], points().map(|p| p.0), (LEFT, WIDTH - RIGHT));
    let y = Axis::over(chart.scales[1], points().map(|p| p.1), (HEIGHT - BOTTOM, TOP));
    let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
    let middle = (top + bottom) / 2.0;
    let _ = writeln!(out, "<text x=\"{left}\" y=\"22\" font-size=\"14\">{}</text>", escaped(&chart.title));
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        (left + right) / 2.0,
        HEIGHT - 12.0,
        escaped(&chart.axes[0])
    );
    let _ = writeln!(
        out,
        "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escaped(&chart.axes[1])
    );
    for value in y.ticks() {
        let at = y.place(value);
        let _ = writeln!(out, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            at + 4.0,
            short(value)
        );
    }
    let marks = match &chart.marks[..] {
        [] => x.ticks().into_iter().map(|value| (value, short(value))).collect(),
        marks => marks.to_vec(),
    };
    for (value, text) in marks.iter().filter(|(value, _)| (x.from..=x.to).contains(value)) {
        let at = x.place(*value);
        let _ = writeln!(out, "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#eee\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            escaped(text)
        );
    }
    for (number, (name, points)) in chart.lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let place = |p: &(f64, f64)| format!("{:.1},{:.1}", x.place(p.0), y.place(p.1));
        let path: Vec<String> = points.iter().filter(|p| p.0.is_finite() && p.1.is_finite()).map(place).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            path.join(" ")
        );
        if points.len() <= 20 {
            for p in &path {
                let (cx, cy) = p.split_once(',').unwrap_or(("0", "0"));
                let _ = writeln!(out, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
        let at = TOP + 14.0 + 18.0 * number as f64;
        let _ = writeln!(out, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{}</text>", right + 10.0, escaped(name));
    }
}

/// A number as short as it can be: 1500000 is 1.5M.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = if scaled.abs() >= 100.0 { format!("{scaled:.0}") } else { format!("{scaled:.2}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<(String, Vec<(f64, f64)>)>) -> Chart {
        Chart {
            title: "a < b".into(),
            axes: ["x".into(), "y".into()],
            scales: [Scale::Log, Scale::Linear],
            marks: Vec::new(),
            lines,
        }
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.25, 7.0, 999.0, 1500.0, 2e6, 123_456.0, 3e9].map(short);
        assert_eq!(all, ["0", "0.25", "7", "999", "1.5k", "2M", "123k", "3G"]);
    }

    #[test]
    fn every_point_is_within_the_picture() {
        let line = (0..7).map(|n| (10f64.powi(n), f64::from(n * n))).collect();
        let svg = picture(&[chart(vec![("one".into(), line)])]);
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
        assert_eq!(points.split(' ').count(), 7);
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').expect("a pair");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
        assert!(svg.contains("a &lt; b"));
    }

    #[test]
    fn nothing_to_draw_is_a_picture_too() {
        let one = chart(vec![("one".into(), vec![(3.0, 0.0)])]);
        for svg in [picture(&[chart(Vec::new())]), picture(&[one])] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
