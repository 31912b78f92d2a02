//! Rule 12: a worker that panics stops the process, whatever the build does with panics by itself.
//!
//! This program is its own test harness: it starts itself as a child, in which a thread panics after
//! [`octostore::cli::serve::stop_on_panic`] was called while the main thread goes on.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

const NAME: &str = "rule_12_a_thread_that_panics_stops_the_process";
const SIGABRT: i32 = 6;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("child") {
        octostore::cli::serve::stop_on_panic();
        let _ = thread::spawn(|| panic!("a worker found its state impossible")).join();
        // Reached only if the panic was survived: then the parent must see it.
        thread::sleep(Duration::from_secs(1));
        exit(0);
    }
    println!("\nrunning 1 test");
    let child =
        std::env::current_exe().and_then(|this| Command::new(this).arg("child").output()).expect("starts itself");
    let said = String::from_utf8_lossy(&child.stderr);
    let stopped = child.status.signal() == Some(SIGABRT) && said.contains("a worker found its state impossible");
    println!("test {NAME} ... {}", if stopped { "ok" } else { "FAILED" });
    if !stopped {
        println!("{:?}\n{said}", child.status);
    }
    let (passed, failed) = (u8::from(stopped), u8::from(!stopped));
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n",
        if stopped { "ok" } else { "FAILED" }
    );
    exit(i32::from(!stopped));
}
