//! `syncs DIRECTORY SECONDS [PAUSE_US]`: what a bare `fdatasync` of 4 KiB takes on a disk, one after another or paced.
//!
//! The file is written through once before, so that no block has to be found for it. Prints `syncs=N p50_us= p99_us=
//! max_us=`: the floor under every durable answer, and, run beside a server, the longest stall that is the disk's.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seconds, rest @ ..] = &arguments[..] else {
        return Err("syncs DIRECTORY SECONDS [PAUSE_US]".into());
    };
    let pause = Duration::from_micros(rest.first().map_or(Ok(0), |text| text.parse())?);
    let path = PathBuf::from(directory).join(format!("syncs.{}", std::process::id()));
    let file = OpenOptions::new().create_new(true).write(true).open(&path)?;
    let measured = measure(&file, Duration::from_secs_f64(seconds.parse()?), pause);
    std::fs::remove_file(&path)?;
    let histogram = measured?;
    let us = |q| histogram.value_at_quantile(q) as f64 / 1000.0;
    println!(
        "syncs={} p50_us={:.1} p99_us={:.1} max_us={:.1}",
        histogram.len(),
        us(0.5),
        us(0.99),
        histogram.max() as f64 / 1000.0
    );
    Ok(())
}

fn measure(file: &File, time: Duration, pause: Duration) -> std::io::Result<Histogram<u64>> {
    let block = [0x5A; BLOCK];
    for number in 0..BLOCKS {
        file.write_all_at(&block, number * BLOCK as u64)?;
    }
    file.sync_all()?;
    let mut histogram = Histogram::new(3).expect("a histogram of 3 digits");
    let begin = Instant::now();
    for number in 0.. {
        let before = Instant::now();
        file.write_all_at(&block, number % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        let _ = histogram.record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if begin.elapsed() >= time {
            break;
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    Ok(histogram)
}
