//! `octostore status`: a running server's figures in a terminal.
//!
//! The figures come from the admin socket, so neither a token nor a port is needed. On a terminal they are refreshed in
//! place, and show what has happened since the last refresh; else, and with `--once`, they are printed once, for the time
//! since the server's start.

mod screen;
mod terminal;

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::files::{must_exist, print};
use crate::admin::{Client, Reply, Request};
use crate::clock;
use crate::config::StatusArgs;
use crate::metrics::{Operation, Reading};
use screen::View;
use terminal::{Screen, Typed};

/// What a server told, and when.
struct Told {
    at_ns: u64,
    reading: Reading,
}

/// Does what was typed after `status`.
///
/// # Errors
/// No server runs, or it cannot be asked.
pub fn run(args: &StatusArgs, database: &Path) -> Result<(), Failure> {
    must_exist(database)?;
    let interval_ms = args.interval_ms()?;
    let first = ask(database)?;
    if args.once || (!stdout().is_terminal() && !args.json) {
        let view = since_its_start(&first.reading);
        return if args.json { print_json(&view) } else { print(|out| write!(out, "{}", screen::text(&view))) };
    }
    if args.json {
        return follow_as_json(database, first, interval_ms);
    }
    follow(database, first, interval_ms)
}

/// Refreshes the screen until somebody has seen enough. A server that goes away meanwhile may come back.
fn follow(database: &Path, first: Told, interval_ms: u64) -> Result<(), Failure> {
    let screen = Screen::open().map_err(|error| format!("this terminal cannot be used: {error}; try --once"))?;
    let mut last = first;
    let mut text = screen::text(&since_its_start(&last.reading));
    loop {
        screen.show(&text).map_err(|error| format!("writing to the terminal failed: {error}"))?;
        if screen.wait(interval_ms) == Typed::Enough {
            return Ok(());
        }
        match ask(database) {
            Ok(told) => {
                text = screen::text(&since(&last, &told));
                last = told;
            }
            Err(failure) => text = format!("{}\n", screen::folded(&failure.to_string())),
        }
    }
}

/// One JSON object a line, until whoever reads it goes away.
fn follow_as_json(database: &Path, first: Told, interval_ms: u64) -> Result<(), Failure> {
    print_json(&since_its_start(&first.reading))?;
    let mut last = first;
    while stdout().flush().is_ok() {
        std::thread::sleep(clock::Duration::from_millis(interval_ms));
        let told = ask(database)?;
        let line = as_json(&since(&last, &told)).to_string() + "\n";
        if stdout().write_all(line.as_bytes()).is_err() {
            break;
        }
        last = told;
    }
    Ok(())
}

fn ask(database: &Path) -> Result<Told, Failure> {
    let real = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let no_server = |error| {
        let path = database.display();
        Failure::from(format!("no server answers at the admin socket of {path}: {error}; start it, or give --database"))
    };
    let reply = Client::connect(&real).map_err(no_server)?.ask(&Request::Figures, &mut |_| ())?;
    let Reply::Figures { page } = reply else {
        return Err("the server has answered something else than figures".to_owned().into());
    };
    let reading = Reading::of(&page).ok_or_else(|| "the server's figures cannot be read".to_owned())?;
    Ok(Told { at_ns: clock::now_ns(), reading })
}

fn since_its_start(reading: &Reading) -> View {
    let up_s = uptime_s(reading);
    View { now: reading.clone(), change: reading.clone(), seconds: up_s.max(0.001), up_s, is_whole_life: true }
}

fn since(last: &Told, told: &Told) -> View {
    let seconds = told.at_ns.saturating_sub(last.at_ns) as f64 / 1e9;
    View {
        now: told.reading.clone(),
        change: told.reading.since(&last.reading),
        seconds: seconds.max(0.001),
        up_s: uptime_s(&told.reading),
        is_whole_life: false,
    }
}

fn uptime_s(reading: &Reading) -> f64 {
    (clock::wall_ns() as f64 / 1e9 - reading.get("process_start_time_seconds")).max(0.0)
}

fn print_json(view: &View) -> Result<(), Failure> {
    print(|out| writeln!(out, "{}", as_json(view)))
}

/// For programs: rates and times of the same span as on the screen, totals since the start.
fn as_json(view: &View) -> Value {
    let View { now, seconds, up_s, .. } = view;
    let operations = Operation::ALL.iter().map(|operation| {
        let name = operation.label();
        let figures = json!({
            "total": now.sum("octostore_operations_total", &view.label(name)),
            "per_second": view.per_second("octostore_operations_total", &view.label(name)),
            "p50_seconds": view.time(name, 0.5),
            "p99_seconds": view.time(name, 0.99),
            "commit_wait_p99_seconds": view.commit_wait(name, 0.99),
        });
        (name.to_owned(), figures)
    });
    let all: serde_json::Map<String, Value> = now
        .samples()
        .filter(|(series, _)| !series.contains("_bucket{"))
        .map(|(s, v)| (s.to_owned(), json!(v)))
        .collect();
    json!({
        "version": now.label("octostore_build_info", "version"),
        "driver": now.label("octostore_build_info", "driver"),
        "uptime_seconds": up_s,
        "span_seconds": seconds,
        "locks_held": now.get("octostore_locks_held"),
        "operations": operations.collect::<serde_json::Map<_, _>>(),
        "figures": all,
    })
}
