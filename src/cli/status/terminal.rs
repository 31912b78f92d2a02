//! A terminal that is drawn on in place, and left as it was found.
//!
//! It is drawn on its other screen, so that what was there before is there again afterwards. Keys come one by one and
//! unseen; Ctrl-C stays a signal, and every signal that asks for an end leads through the same door.

use std::io::{self, IsTerminal, Write, stdin, stdout};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::sync::{Arc, AtomicBool, Ordering};

/// The other screen, without a cursor; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// What somebody has typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Nothing, in time; or any other key.
    Nothing,
    /// q, Ctrl-C, or the end of the input.
    Enough,
}

/// A screen of our own, until it is dropped.
pub struct Screen {
    /// How the keyboard was; None if the input is none.
    before: Option<Termios>,
    enough: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn open() -> io::Result<Screen> {
        let enough = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, enough.clone())?;
        }
        let before = if stdin().is_terminal() { Some(tcgetattr(stdin())?) } else { None };
        let screen = Screen { before, enough };
        if let Some(before) = &screen.before {
            let mut unseen = before.clone();
            unseen.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(stdin(), OptionalActions::Now, &unseen)?;
        }
        stdout().write_all(ENTER)?;
        Ok(screen)
    }

    /// Draws a text in place of what was there.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn show(&self, text: &str) -> io::Result<()> {
        // Line by line, each cleared to its end, then what is below: no flicker, as a cleared screen would have.
        let lines = text.replace('\n', "\x1b[K\r\n");
        let mut out = stdout().lock();
        write!(out, "\x1b[H{lines}\x1b[K\r\n\x1b[2mq to quit\x1b[0m\x1b[K\x1b[J")?;
        out.flush()
    }

    /// Waits for a key, at most so long.
    pub fn wait(&self, interval_ms: u64) -> Typed {
        let timeout =
            Timespec { tv_sec: (interval_ms / 1000) as i64, tv_nsec: (interval_ms % 1000) as i64 * 1_000_000 };
        let keyboard = stdin();
        let mut polled = [PollFd::new(&keyboard, PollFlags::IN)];
        let polled = if self.before.is_some() { &mut polled[..] } else { &mut [] };
        let heard = poll(polled, Some(&timeout));
        if self.enough.load(Ordering::Relaxed) {
            return Typed::Enough; // a signal came: it may have interrupted the wait
        }
        let mut keys = [0; 64];
        match heard {
            Ok(1..) => match rustix::io::read(&keyboard, &mut keys) {
                Ok(n @ 1..) if !keys[..n].iter().any(|key| matches!(key, b'q' | b'Q' | 3)) => Typed::Nothing,
                Err(rustix::io::Errno::INTR) => Typed::Nothing,
                _ => Typed::Enough,
            },
            _ => Typed::Nothing,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = stdout();
        let _ = out.write_all(LEAVE).and_then(|()| out.flush());
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
