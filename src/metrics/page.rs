//! The text that Prometheus reads (the exposition format, version 0.0.4), written family by family.
//!
//! Names and labels are the program's own and are asserted to be what the format allows, so nothing needs escaping.

use std::fmt::{Display, Write};

use super::cell::Distribution;

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at the start of the process. Its name ends with `_total`.
    Counter,
    /// Is what it is.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

/// A page being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// A family on it: one name, one meaning, a sample for each set of labels.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    kind: Kind,
}

impl Page {
    /// What the text is, for a Content-Type header.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// An empty page.
    pub fn new() -> Page {
        Page::default()
    }

    /// Begins a family. `help` is one line.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        assert!(is_name(name) && !help.contains(['\n', '\\']), "no name or no help of a metric: {name}, {help}");
        assert!(
            (kind == Kind::Counter) == name.ends_with("_total"),
            "{name}: counters, and they alone, end with _total"
        );
        let kind_name = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind_name}").expect("a String takes everything");
        Family { text: &mut self.text, name, kind }
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(Kind::Counter, name, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(Kind::Gauge, name, help).sample(&[], value);
    }

    /// A histogram without labels.
    pub fn histogram(&mut self, name: &'static str, help: &str, distribution: &Distribution) {
        self.family(Kind::Histogram, name, help).distribution(&[], distribution);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A sample under these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        assert!(self.kind != Kind::Histogram, "{} is a histogram", self.name);
        self.line("", labels, None, value);
    }

    /// A histogram's samples under these labels.
    pub fn distribution(&mut self, labels: &[(&str, &str)], distribution: &Distribution) {
        assert!(self.kind == Kind::Histogram, "{} is no histogram", self.name);
        for (end, below) in distribution.cumulative() {
            self.line("_bucket", labels, Some(end), below);
        }
        self.line("_bucket", labels, Some(f64::INFINITY), distribution.count());
        self.line("_sum", labels, None, distribution.sum());
        self.line("_count", labels, None, distribution.count());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<f64>, value: impl Display) {
        let text = &mut *self.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let mut open = '{';
        for (name, shown) in labels {
            assert!(is_name(name) && !shown.contains(['"', '\\', '\n']), "no label: {name}={shown:?}");
            write!(text, "{open}{name}=\"{shown}\"").expect("a String takes everything");
            open = ',';
        }
        match le {
            Some(f64::INFINITY) => write!(text, "{open}le=\"+Inf\""),
            Some(end) => write!(text, "{open}le=\"{end}\""),
            None => Ok(()),
        }
        .expect("a String takes everything");
        let close = if le.is_some() || !labels.is_empty() { "}" } else { "" };
        writeln!(text, "{close} {value}").expect("a String takes everything");
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Histogram, Scale};

    #[test]
    fn a_page_reads_as_the_format_says() {
        let mut page = Page::new();
        page.counter("octostore_things_total", "Things.", 3);
        page.family(Kind::Gauge, "octostore_info", "About.").sample(&[("a", "x"), ("b", "y")], 1.5);
        let histogram = Histogram::new(&Scale::COUNT);
        histogram.observe(2);
        page.family(Kind::Histogram, "octostore_sizes", "Sizes.")
            .distribution(&[("of", "it")], &Distribution::of([&histogram]));
        let text = page.into_text();
        let begin = "# HELP octostore_things_total Things.\n# TYPE octostore_things_total counter\n\
             octostore_things_total 3\n# HELP octostore_info About.\n# TYPE octostore_info gauge\n\
             octostore_info{a=\"x\",b=\"y\"} 1.5\n# HELP octostore_sizes Sizes.\n# TYPE octostore_sizes histogram\n\
             octostore_sizes_bucket{of=\"it\",le=\"1\"} 0\noctostore_sizes_bucket{of=\"it\",le=\"2\"} 1\n";
        let end = "octostore_sizes_bucket{of=\"it\",le=\"+Inf\"} 1\noctostore_sizes_sum{of=\"it\"} 2\n\
             octostore_sizes_count{of=\"it\"} 1\n";
        assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
    }

    #[test]
    #[should_panic(expected = "no label")]
    fn a_label_that_would_need_escaping_is_none() {
        Page::new().family(Kind::Gauge, "octostore_info", "About.").sample(&[("a", "\"")], 1);
    }
}
