//! What `octostore status` shows, as text: 80 columns, whatever the figures.

use std::fmt::Write;

use crate::metrics::{Operation, Reading};

/// The widest line.
pub const COLUMNS: usize = 80;

/// What there is to show.
pub struct View {
    /// The figures now.
    pub now: Reading,
    /// What was counted in the span, gauges as they are.
    pub change: Reading,
    /// How long the span is.
    pub seconds: f64,
    /// How long the server has been up.
    pub up_s: f64,
    /// The span is the server's whole life.
    pub is_whole_life: bool,
}

impl View {
    /// How a series is marked as one of this operation.
    pub fn label(&self, operation: &str) -> String {
        format!("operation=\"{operation}\"")
    }

    /// The rate of a family's counters over the span.
    pub fn per_second(&self, family: &str, label: &str) -> f64 {
        self.change.sum(family, label) / self.seconds
    }

    /// A quantile of the times of an operation, in seconds.
    pub fn time(&self, operation: &str, share: f64) -> Option<f64> {
        self.change.quantile("octostore_operation_duration_seconds", &self.label(operation), share)
    }

    /// A quantile of its waits for commits.
    pub fn commit_wait(&self, operation: &str, share: f64) -> Option<f64> {
        self.change.quantile("octostore_operation_commit_wait_seconds", &self.label(operation), share)
    }
}

/// The whole screen.
pub fn text(view: &View) -> String {
    let mut text = String::new();
    head(&mut text, view);
    operations(&mut text, view);
    journal(&mut text, view);
    workers(&mut text, view);
    text
}

/// A text that is too long for one line, in several.
pub fn folded(text: &str) -> String {
    let mut folded = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            folded.push('\n');
            column = 0;
        } else if column > 0 {
            folded.push(' ');
            column += 1;
        }
        folded.push_str(word);
        column += width;
    }
    folded
}

fn line(text: &mut String, line: &str) {
    text.extend(line.chars().take(COLUMNS));
    text.push('\n');
}

fn head(text: &mut String, view: &View) {
    let View { now, up_s, .. } = view;
    let about = |label| now.label("octostore_build_info", label).unwrap_or("?");
    let (version, driver, workers) = (about("version"), about("driver"), now.get("octostore_workers"));
    let many = if workers == 1.0 { "" } else { "s" };
    line(text, &format!("OctoStore {version}, up {}, {driver}, {workers} worker{many}", duration(*up_s)));
    let (stalled, hung) =
        (now.get("octostore_stalled{part=\"worker\"}"), now.get("octostore_stalled{part=\"journal\"}"));
    if stalled + hung > 0.0 {
        let journal = if hung > 0.0 { ", THE JOURNAL" } else { "" };
        line(text, &format!("NO SIGN OF LIFE: {stalled} of the workers{journal}"));
    }
    let span = if view.is_whole_life { "since its start".to_owned() } else { format!("in {:.1} s", view.seconds) };
    text.push('\n');
    let expired = number(view.change.sum("octostore_operations_total", "expire"));
    line(text, &format!("Locks        {} held; {expired} ran out {span}", number(now.get("octostore_locks_held"))));
}

fn operations(text: &mut String, view: &View) {
    text.push('\n');
    line(text, "Operations   per second         p50         p99    of which commit wait, p99");
    for operation in Operation::ALL.iter().map(|operation| operation.label()) {
        let rate = view.per_second("octostore_operations_total", &view.label(operation));
        let shown = |time: Option<f64>| time.map_or("-".to_owned(), milliseconds);
        let (p50, p99) = (shown(view.time(operation, 0.5)), shown(view.time(operation, 0.99)));
        let wait = shown(view.commit_wait(operation, 0.99));
        line(text, &format!("  {operation:<9}  {:>10}  {p50:>10}  {p99:>10}  {wait:>27}", number(rate)));
    }
    let refused = view.change.sum("octostore_refusals_total", "");
    let overloaded = view.change.get("octostore_refusals_total{reason=\"overloaded\"}");
    let (refused, overloaded) = (number(refused / view.seconds), number(overloaded / view.seconds));
    line(text, &format!("  errors     {refused:>10}  a second, of them {overloaded} with 503"));
}

fn journal(text: &mut String, view: &View) {
    let View { now, change, seconds, .. } = view;
    const COMMIT: &str = "octostore_journal_commit_duration_seconds";
    let commits = change.get(&format!("{COMMIT}_count"));
    let each = change.get("octostore_journal_batch_changes_sum") / commits.max(1.0);
    let time = |share| change.quantile(COMMIT, "", share).map_or("-".to_owned(), milliseconds);
    text.push('\n');
    let rate = number(commits / seconds);
    line(
        text,
        &format!("Journal      {rate} commits a second, {each:.1} changes each; {} p50, {} p99", time(0.5), time(0.99)),
    );
    let share = |used: &str, most: &str| now.get(used) / now.get(most).max(1.0);
    let full = share("octostore_journal_commits", "octostore_journal_commits_limit")
        .max(share("octostore_journal_records_bytes", "octostore_journal_records_limit_bytes"));
    let bytes = |name| bytes(now.get(name));
    let (wal, database, free) =
        (bytes("octostore_wal_bytes"), bytes("octostore_database_bytes"), bytes("octostore_disk_free_bytes"));
    line(text, &format!("             {:.0} % full; log {wal}, database {database}, disk {free} free", full * 100.0));
}

fn workers(text: &mut String, view: &View) {
    let View { now, change, seconds, .. } = view;
    let rate = |family: &str| number(change.sum(family, "") / seconds);
    let full = change.sum("octostore_overloads_total", "") + change.get("octostore_inbox_full_total");
    let (handoffs, rings) = (rate("octostore_handoffs_total"), rate("octostore_doorbell_rings_total"));
    line(
        text,
        &format!("Workers      {handoffs} handoffs, {rings} doorbells a second; {} refused as full", number(full)),
    );
    let state = |state: &str| number(now.get(&format!("octostore_connections{{state=\"{state}\"}}")));
    let (open, most) = (now.sum("octostore_connections", ""), now.get("octostore_connections_limit"));
    line(
        text,
        &format!(
            "Connections  {} of {}: {} working, {} waiting, {} writing",
            number(open),
            number(most),
            state("working"),
            state("reading"),
            state("writing")
        ),
    );
    let turned_away = number(change.sum("octostore_connections_refused_total", ""));
    let cut = number(change.sum("octostore_connections_cut_total", ""));
    line(
        text,
        &format!(
            "             {} new a second; {turned_away} refused, {cut} cut for being late",
            rate("octostore_connections_accepted_total")
        ),
    );
    let cpu = change.get("process_cpu_seconds_total") / seconds * 100.0;
    let mut process = String::new();
    let memory = bytes(now.get("process_resident_memory_bytes"));
    let (open, most) = (number(now.get("process_open_fds")), number(now.get("process_max_fds")));
    let _ = write!(process, "Process      {cpu:.0} % CPU, {memory} of memory, {open} of {most} descriptors");
    line(text, &process);
}

/// A number that people can read: 1,234,567; small ones with a digit after the point.
fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    match ms {
        ..1.0 => format!("{ms:.3} ms"),
        ..100.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn duration(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Outcome, Route, Source, WorkerFigures, Workers};

    fn view(held: u64, acquires: u64, took_ns: u64) -> View {
        let workers = Workers::new(1);
        for _ in 0..acquires {
            workers.of(0).operated(Operation::Acquire, Outcome::Acquired, took_ns, Some(took_ns));
            workers.of(0).answered(Route::Acquire, 200);
        }
        workers.of(0).publish(&WorkerFigures { held, ..WorkerFigures::default() });
        let mut page = crate::metrics::Page::new();
        workers.collect(&mut page);
        let now = Reading::of(&page.into_text()).unwrap();
        View { change: now.clone(), now, seconds: 2.0, up_s: 90_061.0, is_whole_life: true }
    }

    #[test]
    fn rates_and_times_are_those_of_the_span() {
        let text = text(&view(1_234_567, 200, 400_000));
        assert!(text.contains("1,234,567 held"), "{text}");
        assert!(text.contains("up 1 d 1 h"), "{text}");
        let acquire = text.lines().find(|line| line.trim_start().starts_with("acquire")).unwrap();
        let words: Vec<&str> = acquire.split_whitespace().collect();
        assert_eq!(words[..2], ["acquire", "100"]);
        let p50: f64 = words[2].parse().unwrap();
        assert!((0.3..=0.5).contains(&p50), "{acquire}");
        let renew = text.lines().find(|line| line.trim_start().starts_with("renew")).unwrap();
        assert_eq!(renew.split_whitespace().collect::<Vec<_>>(), ["renew", "0", "-", "-", "-"]);
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        for text in [text(&view(u64::MAX, 3, u64::MAX / 8)), text(&view(0, 0, 0))] {
            assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
            assert!(text.lines().count() <= 23, "{text}");
        }
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([number(0.0), number(0.25), number(999.0), number(1000.0)], ["0", "0.2", "999", "1,000"]);
        assert_eq!(
            [milliseconds(0.0000123), milliseconds(0.0123), milliseconds(1.5)],
            ["0.012 ms", "12.3 ms", "1500 ms"]
        );
        assert_eq!([bytes(1023.0), bytes(4096.0), bytes(3e9)], ["1023 B", "4.0 KiB", "2.8 GiB"]);
        assert_eq!([duration(59.0), duration(61.0), duration(7260.0)], ["59 s", "1 min 1 s", "2 h 1 min"]);
    }

    #[test]
    fn a_long_text_is_folded_between_words() {
        let folded = folded(&"word ".repeat(40));
        assert!(folded.lines().count() > 1 && folded.lines().all(|line| line.len() <= COLUMNS), "{folded}");
    }
}
