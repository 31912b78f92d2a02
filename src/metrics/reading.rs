//! A page read back: what `octostore status` and the tests know of a server.
//!
//! It reads what [`Page`](super::Page) writes, not all that the format allows.

use std::collections::BTreeMap;

/// The samples of one page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// By name and labels, as they stand on the page.
    samples: BTreeMap<String, f64>,
}

impl Reading {
    /// Reads a page. None if a line is no sample.
    pub fn of(page: &str) -> Option<Reading> {
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Some(Reading { samples: lines.map(sample).collect::<Option<_>>()? })
    }

    /// Each series and its value, by name.
    pub fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        self.samples.iter().map(|(series, value)| (series.as_str(), *value))
    }

    /// The value of a series, named with its labels as on the page; 0 if it is not there.
    pub fn get(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or_default()
    }

    /// The sum of all series of a family whose labels contain `label`.
    pub fn sum(&self, family: &str, label: &str) -> f64 {
        self.of_family(family).filter(|(labels, _)| labels.contains(label)).map(|(_, value)| value).sum()
    }

    /// The value of a label of a family's first series.
    pub fn label(&self, family: &str, label: &str) -> Option<&str> {
        let (labels, _) = self.of_family(family).next()?;
        labels.split_once(&format!("{label}=\""))?.1.split_once('"').map(|(value, _)| value)
    }

    /// What has been counted since an earlier reading; gauges as they are now. After a restart in between: since then.
    pub fn since(&self, earlier: &Reading) -> Reading {
        let change = |(series, now): (&String, &f64)| {
            let name = series.split('{').next().unwrap_or(series);
            let counts = ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
            let before = if counts { earlier.get(series) } else { 0.0 };
            (series.clone(), if *now < before { *now } else { *now - before })
        };
        Reading { samples: self.samples.iter().map(change).collect() }
    }

    /// The value that a share of a histogram's sizes (0.5 for the median) does not pass, over all series whose labels
    /// contain `label`: its bucket is known, and within it the sizes are taken to be spread evenly. None if there are none.
    pub fn quantile(&self, histogram: &str, label: &str, share: f64) -> Option<f64> {
        let mut below: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (labels, count) in self.of_family(&format!("{histogram}_bucket")).filter(|(l, _)| l.contains(label)) {
            let end: f64 = labels.split_once("le=\"")?.1.split_once('"')?.0.replace("+Inf", "inf").parse().ok()?;
            below.entry(end.to_bits()).or_insert((end, 0.0)).1 += count; // positive floats are ordered as their bits
        }
        let all = below.values().last()?.1;
        let wanted = all * share;
        let (mut begin, mut before) = (0.0, 0.0);
        for &(end, count) in below.values() {
            if count >= wanted && count > before {
                // What is beyond the last bound is shown as that bound.
                return Some(if end.is_finite() {
                    begin + (end - begin) * (wanted - before) / (count - before)
                } else {
                    begin
                });
            }
            (begin, before) = (end, count);
        }
        None
    }

    fn of_family(&self, family: &str) -> impl Iterator<Item = (&str, f64)> {
        let split = |(series, value): (&'_ String, &f64)| -> (usize, f64) {
            (series.find('{').unwrap_or(series.len()), *value)
        };
        self.samples
            .range(family.to_owned()..)
            .take_while(move |(series, _)| series.starts_with(family))
            .map(move |(series, value)| {
                let (name, value) = split((series, value));
                (series.split_at(name), value)
            })
            .filter(move |((name, _), _)| *name == family)
            .map(|((_, labels), value)| (labels, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Distribution, Histogram, Kind, Page};

    fn page_of(sizes_us: &[u64]) -> Reading {
        let histogram = Histogram::of_seconds();
        sizes_us.iter().for_each(|us| histogram.observe(us * 1_000));
        let mut page = Page::new();
        page.family(Kind::Histogram, "octostore_time_seconds", "Time.")
            .distribution(&[("operation", "acquire")], &Distribution::of([&histogram]));
        page.family(Kind::Counter, "octostore_things_total", "Things.").sample(&[("of", "a")], sizes_us.len());
        page.gauge("octostore_things", "Things now.", 7);
        page.family(Kind::Gauge, "octostore_build_info", "About.").sample(&[("version", "1"), ("driver", "epoll")], 1);
        Reading::of(&page.into_text()).unwrap()
    }

    #[test]
    fn a_page_is_read_back() {
        let reading = page_of(&[1, 2, 3]);
        assert_eq!(reading.get("octostore_things_total{of=\"a\"}"), 3.0);
        assert_eq!(reading.sum("octostore_things_total", ""), 3.0);
        assert_eq!(reading.sum("octostore_things", ""), 7.0, "a name is not the beginning of another");
        assert_eq!(reading.label("octostore_build_info", "driver"), Some("epoll"));
        assert_eq!(Reading::of("octostore_things many"), None);
    }

    #[test]
    fn quantiles_lie_in_the_bucket_of_their_rank() {
        let sizes: Vec<u64> = [vec![80; 98], vec![4_000; 2]].concat();
        let reading = page_of(&sizes);
        let quantile = |share| reading.quantile("octostore_time_seconds", "acquire", share).unwrap();
        assert!((0.00005..=0.0001).contains(&quantile(0.5)), "{}", quantile(0.5));
        assert!((0.003..=0.005).contains(&quantile(0.99)), "{}", quantile(0.99));
        assert_eq!(page_of(&[]).quantile("octostore_time_seconds", "", 0.5), None);
        assert_eq!(page_of(&[60_000_000]).quantile("octostore_time_seconds", "", 0.5), Some(10.0));
    }

    #[test]
    fn counters_are_compared_and_gauges_are_taken_as_they_are() {
        let (before, after) = (page_of(&[1, 2]), page_of(&[1, 2, 3]));
        let since = after.since(&before);
        assert_eq!(since.sum("octostore_things_total", ""), 1.0);
        assert_eq!(since.get("octostore_things"), 7.0);
        let restarted = before.since(&after);
        assert_eq!(restarted.sum("octostore_things_total", ""), 2.0, "the server was started again");
    }
}
