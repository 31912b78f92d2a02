//! `curves CSV SVG`: draws the tables of `scripts/bench/scale`.
//!
//! Lines of the CSV are `curve,x,y`; the first line names the axes, and whether they are logarithmic, for each chart:
//! `# chart TITLE|X AXIS|Y AXIS|log or linear|log or linear`, followed by its lines.

#![forbid(unsafe_code)]

use load::svg::{Chart, Scale, picture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [csv, svg] = &arguments[..] else { return Err("curves CSV SVG".into()) };
    let mut charts: Vec<Chart> = Vec::new();
    for line in std::fs::read_to_string(csv)?.lines() {
        if let Some(head) = line.strip_prefix("# chart ") {
            charts.push(chart(head).ok_or_else(|| format!("not a chart: {line}"))?);
        } else if !line.is_empty() {
            let chart = charts.last_mut().ok_or("a line before the first chart")?;
            let (name, x, y) = point(line).ok_or_else(|| format!("not a point: {line}"))?;
            match chart.lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, points)) => points.push((x, y)),
                None => chart.lines.push((name, vec![(x, y)])),
            }
        }
    }
    std::fs::write(svg, picture(&charts))?;
    Ok(())
}

fn chart(head: &str) -> Option<Chart> {
    let [title, x, y, x_scale, y_scale] = head.split('|').collect::<Vec<_>>().try_into().ok()?;
    let scale = |name: &str| match name {
        "log" => Some(Scale::Log),
        "linear" => Some(Scale::Linear),
        _ => None,
    };
    Some(Chart {
        title: title.to_owned(),
        axes: [x.to_owned(), y.to_owned()],
        scales: [scale(x_scale)?, scale(y_scale)?],
        marks: Vec::new(),
        lines: Vec::new(),
    })
}

fn point(line: &str) -> Option<(String, f64, f64)> {
    let [name, x, y] = line.split(',').collect::<Vec<_>>().try_into().ok()?;
    Some((name.to_owned(), x.parse().ok()?, y.parse().ok()?))
}
