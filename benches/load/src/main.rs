//! `load`: see `--help`, and the library's header for what open and closed loop mean.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use clap::Parser;
use load::options::Options;
use load::protocol::Encoder;
use load::report::Report;
use load::server::Server;
use load::worker::{self, Job, Second};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mix = options.check()?;
    let (address, host) = options.address()?;
    let encoder = Encoder::new(options.protocol, &host, &options.token()?, options.ttl, options.hold_ttl);
    let server = Server::find(options.pid, address)?;
    raise_descriptors(options.connections)?;
    let start = Barrier::new(options.threads + 1);
    let (sender, seconds) = mpsc::channel();
    thread::scope(|scope| {
        let (start, encoder) = (&start, &encoder);
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                let sender = sender.clone();
                scope.spawn(move || worker::run(&Job { options, mix, address, encoder, thread, start }, &sender))
            })
            .collect();
        drop(sender);
        start.wait();
        let measured = watch(options, server.as_ref(), &seconds);
        for thread in threads {
            thread.join().map_err(|_| "a thread of the generator panicked".to_owned())??;
        }
        conclude(options, server.as_ref(), &measured)
    })
}

/// What the whole run came to, and the server's processor time meanwhile.
struct Measured {
    report: Report,
    cpu_seconds: Option<f64>,
}

/// Prints each second as it comes. The server's time is read at the first and the last boundary that counts.
fn watch(options: &Options, server: Option<&Server>, seconds: &Receiver<Second>) -> Measured {
    let mut report = Report::new(options.threads, options.warmup, options.rate.is_some());
    let cpu = || server.and_then(Server::cpu_seconds);
    let (mut before, mut after) = (cpu(), None);
    let last = options.warmup + options.seconds;
    while let Ok(second) = seconds.recv() {
        let Some(line) = report.take(second) else { continue };
        if line.number + 1 == options.warmup {
            before = cpu();
        }
        if line.number + 1 == last {
            after = cpu();
        }
        if !options.terse {
            let [p50, p99, longest] = line.latency_us;
            let warming = if line.number < options.warmup { "  (warm-up)" } else { "" };
            println!(
                "{:>4} s  {:>9}/s   p50 {p50:>7.0} µs   p99 {p99:>7.0} µs   longest {longest:>8.0} µs   errors {}{warming}",
                line.number + 1,
                line.answers,
                line.errors
            );
        }
    }
    Measured { report, cpu_seconds: before.zip(after).map(|(before, after)| after - before) }
}

fn conclude(options: &Options, server: Option<&Server>, measured: &Measured) -> Result<(), String> {
    let memory = server.and_then(Server::memory_bytes);
    let Measured { report, cpu_seconds } = measured;
    if options.terse {
        println!("{}", report.terse(*cpu_seconds, memory));
        return Ok(());
    }
    if options.seconds == 0 {
        println!("{} locks are held, for {} s", options.hold, options.hold_ttl);
        return Ok(());
    }
    print!("{}", report.summary(*cpu_seconds, memory));
    let loop_ = options.rate.map_or("closed loop".to_owned(), |rate| format!("open loop at {rate}/s"));
    let title = format!("{}, {} connections, {} deep, {loop_}", options.mix, options.connections, options.depth);
    let file = options.svg.display();
    std::fs::write(&options.svg, report.picture(&title)).map_err(|e| format!("{file}: {e}"))?;
    println!("picture: {file}");
    Ok(())
}

/// Each connection is a descriptor.
fn raise_descriptors(connections: usize) -> Result<(), String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    match limit.maximum {
        Some(most) if most < connections as u64 + 32 => {
            Err(format!("--connections {connections}: this shell allows {most} descriptors (ulimit -Hn)"))
        }
        _ => Ok(()),
    }
}
