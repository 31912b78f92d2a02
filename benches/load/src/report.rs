//! Seconds added up: the lines of progress, the summary, the picture.

use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::pace::Open;
use crate::script::KINDS;
use crate::svg::{self, Chart, Scale};
use crate::worker::{Second, histogram};

/// The percentiles of the summary.
const SHOWN: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// What one second came to, over all threads.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The second of the run.
    pub number: u64,
    /// Answers: done, or held by somebody else.
    pub answers: u64,
    /// Median, 99th percentile and longest latency, in µs.
    pub latency_us: [f64; 3],
    /// What was not answered with success.
    pub errors: u64,
}

/// All that was measured.
pub struct Report {
    threads: usize,
    warmup: u64,
    open_loop: bool,
    /// Seconds of which not every thread has spoken yet.
    open: BTreeMap<u64, (usize, Second)>,
    all: Histogram<u64>,
    kinds: [Option<Histogram<u64>>; KINDS.len()],
    held: u64,
    errors: BTreeMap<String, u64>,
    /// What was open at the end.
    left: Open,
    lines: Vec<Line>,
}

impl Report {
    /// Of a run by so many threads, whose first `warmup` seconds do not count.
    pub fn new(threads: usize, warmup: u64, open_loop: bool) -> Report {
        Report {
            threads,
            warmup,
            open_loop,
            open: BTreeMap::new(),
            all: histogram(),
            kinds: Default::default(),
            held: 0,
            errors: BTreeMap::new(),
            left: Open::default(),
            lines: Vec::new(),
        }
    }

    /// Takes what a thread counted in a second; gives the second once all threads have spoken of it.
    pub fn take(&mut self, second: Second) -> Option<Line> {
        let number = second.number;
        match self.open.get_mut(&number) {
            None => {
                self.open.insert(number, (1, second));
            }
            Some((spoken, sum)) => {
                *spoken += 1;
                add(sum, second);
            }
        }
        if self.open[&number].0 < self.threads {
            return None;
        }
        let (_, second) = self.open.remove(&number).expect("it was just there");
        let us = |q| second.all.value_at_quantile(q) as f64 / 1000.0;
        let line = Line {
            number,
            answers: second.all.len(),
            latency_us: [us(0.5), us(0.99), second.all.max().max(second.open.longest_ns) as f64 / 1000.0],
            errors: second.errors.values().sum(),
        };
        if number >= self.warmup {
            self.all.add(&second.all).expect("histograms that grow");
            for (sum, kind) in self.kinds.iter_mut().zip(&second.kinds) {
                if let Some(kind) = kind {
                    sum.get_or_insert_with(histogram).add(kind).expect("histograms that grow");
                }
            }
            self.held += second.held;
            self.left.add(second.open);
            for (what, count) in second.errors {
                *self.errors.entry(what).or_default() += count;
            }
            self.lines.push(line);
        }
        Some(line)
    }

    /// Answers in all.
    pub fn answers(&self) -> u64 {
        self.all.len()
    }

    /// The longest latency in µs, that of requests without an answer at the end included.
    pub fn longest_us(&self) -> f64 {
        self.all.max().max(self.left.longest_ns) as f64 / 1000.0
    }

    /// Requests of an open loop that were due and not answered at the end.
    fn behind(&self) -> u64 {
        if self.open_loop { self.left.unsent + self.left.unanswered } else { 0 }
    }

    /// A percentile of all latencies, in µs.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        self.all.value_at_percentile(percent) as f64 / 1000.0
    }

    /// One line for scripts.
    pub fn terse(&self, cpu_seconds: Option<f64>, memory_bytes: Option<u64>) -> String {
        let mut out = format!(
            "ops_per_s={:.0} p50_us={:.1} p99_us={:.1} p99_9_us={:.1} max_us={:.1} answers={} held={} errors={} behind={}",
            self.answers() as f64 / self.lines.len().max(1) as f64,
            self.percentile_us(50.0),
            self.percentile_us(99.0),
            self.percentile_us(99.9),
            self.longest_us(),
            self.answers(),
            self.held,
            self.errors.values().sum::<u64>(),
            self.behind(),
        );
        if let Some(cpu) = cpu_seconds {
            let _ = write!(out, " cpu_us_per_op={:.3}", cpu * 1e6 / self.answers().max(1) as f64);
        }
        if let Some(bytes) = memory_bytes {
            let _ = write!(out, " memory_bytes={bytes}");
        }
        out
    }

    /// The summary for people.
    pub fn summary(&self, cpu_seconds: Option<f64>, memory_bytes: Option<u64>) -> String {
        let seconds = self.lines.len().max(1) as f64;
        let mut out = format!("\n{:<10} {:>10} {:>10}", "", "answers", "per s");
        for percent in SHOWN {
            let _ = write!(out, " {:>9}", format!("p{percent} µs"));
        }
        let _ = writeln!(out, " {:>9}", "max µs");
        let row = |name: &str, latency: &Histogram<u64>, longest_us: f64, out: &mut String| {
            let _ = write!(out, "{name:<10} {:>10} {:>10.0}", latency.len(), latency.len() as f64 / seconds);
            for percent in SHOWN {
                let _ = write!(out, " {:>9.0}", latency.value_at_percentile(percent) as f64 / 1000.0);
            }
            let _ = writeln!(out, " {longest_us:>9.0}");
        };
        for (name, kind) in KINDS.iter().zip(&self.kinds) {
            if let Some(kind) = kind {
                row(name, kind, kind.max() as f64 / 1000.0, &mut out);
            }
        }
        row("all", &self.all, self.longest_us(), &mut out);
        let _ = writeln!(out, "\nheld by another lease: {}", self.held);
        let Open { unsent, unanswered, longest_ns } = self.left;
        let _ = writeln!(
            out,
            "without an answer at the end: {unanswered}; the oldest request had waited for {:.0} µs",
            longest_ns as f64 / 1000.0
        );
        if self.open_loop {
            let _ = writeln!(out, "behind by {} at the end, {unsent} of them not even sent", self.behind());
        }
        if self.errors.is_empty() {
            out.push_str("errors: none\n");
        }
        for (what, count) in &self.errors {
            let _ = writeln!(out, "errors: {what}: {count}");
        }
        match cpu_seconds {
            Some(cpu) => {
                let each = cpu * 1e6 / self.answers().max(1) as f64;
                let _ =
                    write!(out, "server: {each:.2} µs of processor time an operation, {:.2} cores busy", cpu / seconds);
                if let Some(bytes) = memory_bytes {
                    let _ = write!(out, ", {} MiB of memory", bytes >> 20);
                }
                out.push('\n');
            }
            None => out.push_str("server: processor time unknown; run this in the server's directory, or give --pid\n"),
        }
        out
    }

    /// Latency by percentile, latency over time, answers over time.
    pub fn picture(&self, title: &str) -> String {
        let marks =
            [(1.0, "0 %"), (2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1000.0, "99.9 %"), (10_000.0, "99.99 %")];
        let by_percentile = |histogram: &Histogram<u64>| {
            // 1 / (1 - quantile), so that each nine has the same room.
            let last = (histogram.len() as f64).clamp(10.0, 100_000.0);
            let steps = (0..=120).map(|step| last.powf(f64::from(step) / 120.0));
            steps.map(|x| (x, histogram.value_at_quantile(1.0 - 1.0 / x) as f64 / 1000.0)).collect::<Vec<_>>()
        };
        let kinds = KINDS.iter().zip(&self.kinds).filter_map(|(name, kind)| Some((*name, kind.as_ref()?)));
        let percentiles = Chart {
            title: format!("{title}: latency by percentile"),
            axes: ["percentile".into(), "µs".into()],
            scales: [Scale::Log, Scale::Log],
            marks: marks.map(|(at, text)| (at, text.to_owned())).into(),
            lines: kinds.map(|(name, kind)| (name.to_owned(), by_percentile(kind))).collect(),
        };
        let over_time = |value: &dyn Fn(&Line) -> f64| -> Vec<(f64, f64)> {
            self.lines.iter().map(|line| ((line.number - self.warmup) as f64, value(line))).collect()
        };
        let latency = Chart {
            title: "latency over time".into(),
            axes: ["seconds".into(), "µs".into()],
            scales: [Scale::Linear, Scale::Log],
            marks: Vec::new(),
            lines: ["p50", "p99", "longest"]
                .iter()
                .enumerate()
                .map(|(n, name)| ((*name).to_owned(), over_time(&|line: &Line| line.latency_us[n])))
                .collect(),
        };
        let throughput = Chart {
            title: "answers over time".into(),
            axes: ["seconds".into(), "a second".into()],
            scales: [Scale::Linear, Scale::Linear],
            marks: Vec::new(),
            lines: vec![
                ("answers".into(), over_time(&|line| line.answers as f64)),
                ("errors".into(), over_time(&|line| line.errors as f64)),
            ],
        };
        svg::picture(&[percentiles, latency, throughput])
    }
}

fn add(sum: &mut Second, second: Second) {
    sum.all.add(&second.all).expect("histograms that grow");
    for (sum, kind) in sum.kinds.iter_mut().zip(second.kinds) {
        if let Some(kind) = kind {
            sum.get_or_insert_with(histogram).add(&kind).expect("histograms that grow");
        }
    }
    sum.held += second.held;
    sum.open.add(second.open);
    for (what, count) in second.errors {
        *sum.errors.entry(what).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64, latencies_us: &[u64]) -> Second {
        let mut second = Second::new(number);
        for us in latencies_us {
            second.all.record(us * 1000).expect("a latency");
            second.kinds[0].get_or_insert_with(histogram).record(us * 1000).expect("a latency");
        }
        second
    }

    #[test]
    fn a_second_is_over_when_every_thread_has_spoken_of_it() {
        let mut report = Report::new(2, 1, false);
        assert!(report.take(second(0, &[1])).is_none());
        assert!(report.take(second(1, &[10])).is_none());
        assert_eq!(report.take(second(0, &[1])).expect("all of it").answers, 2);
        assert_eq!(report.take(second(1, &[20, 30])).expect("all of it").answers, 3);
        assert_eq!(report.answers(), 3, "the warm-up does not count");
        assert!((report.percentile_us(100.0) - 30.0).abs() < 0.1);
    }

    #[test]
    fn errors_are_told_by_what_they_were() {
        let mut report = Report::new(1, 0, false);
        let mut one = second(0, &[5]);
        one.errors.insert("503".into(), 7);
        report.take(one);
        let text = report.summary(Some(0.5), None);
        assert!(text.contains("errors: 503: 7"), "{text}");
        assert!(text.contains("500000.00 µs of processor time"), "{text}");
        assert!(report.terse(None, None).contains("answers=1 held=0 errors=7 behind=0"));
        assert!(report.picture("a run").contains("latency by percentile"));
    }
    #[test]
    fn what_is_open_at_the_end_counts_into_the_longest_latency() {
        for (open_loop, behind) in [(false, "behind=0"), (true, "behind=11")] {
            let mut report = Report::new(2, 0, open_loop);
            let mut one = second(0, &[5]);
            one.open = Open { unsent: 4, unanswered: 1, longest_ns: 9_000_000 };
            report.take(one);
            let mut other = second(0, &[6]);
            other.open = Open { unsent: 5, unanswered: 1, longest_ns: 3_000_000 };
            let line = report.take(other).expect("all of it");
            assert!((line.latency_us[2] - 9000.0).abs() < 0.1, "{line:?}");
            let terse = report.terse(None, None);
            assert!(terse.contains("max_us=9000.0 ") && terse.contains(behind), "{terse}");
            let summary = report.summary(None, None);
            assert_eq!(summary.contains("behind by 11 at the end, 9 of them not even sent"), open_loop, "{summary}");
        }
    }
}
