//! Writes the table of cases as inputs for the fuzz targets, into the directory that is named.

use std::path::PathBuf;
use std::{env, fs, io};

#[allow(dead_code)] // what a case is expected to be is of no interest here
#[path = "../tests/http_cases/mod.rs"]
mod cases;

/// Longer cases are about the bounds, which the unit tests cover.
const LONGEST: usize = 1024;

fn main() -> io::Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).expect("a directory"));
    for (i, case) in cases::cases().iter().filter(|case| case.bytes.len() <= LONGEST).enumerate() {
        fs::write(directory.join(format!("case-{i:03}")), &case.bytes)?;
    }
    Ok(())
}
