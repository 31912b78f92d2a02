//! Whether commits succeed: what `/health` asks. A probe is a change of nothing that takes part in the next commit; one a
//! second answers for all who ask.

use std::task::{Context, Poll, Waker};

use super::{Hub, Unavailable};
use crate::clock;
use crate::lease::Seq;

/// A probe of the journal answers for this long.
const PROBE_NS: u64 = 1_000_000_000;

/// A question whether commits succeed.
pub struct Probe {
    pub(super) rests_on: Seq,
}

impl Hub {
    /// Asks the journal whether a commit succeeds: settles once one has. One commit a second answers for all who ask.
    pub fn send_probe(&self) -> Probe {
        self.begin_turn();
        let now_ns = clock::now_ns();
        let rests_on = match self.probed.get() {
            Some((at_ns, seq)) if now_ns.saturating_sub(at_ns) < PROBE_NS => seq,
            _ => {
                let seq = self.shard.borrow_mut().probe();
                self.probed.set(Some((now_ns, seq)));
                seq
            }
        };
        Probe { rests_on }
    }

    /// Ready once a commit has succeeded since the probe was sent.
    pub fn poll_probe(&self, probe: &Probe, cx: &mut Context<'_>) -> Poll<Result<(), Unavailable>> {
        self.begin_turn();
        if self.intake.has_failed() {
            return Poll::Ready(Err(Unavailable::JournalFailed));
        }
        if self.intake.watermark(self.core).durable() >= probe.rests_on {
            return Poll::Ready(Ok(()));
        }
        self.waiters.add(self.core, probe.rests_on, cx.waker());
        Poll::Pending
    }

    /// The task of `waker` waits for a probe no longer, and must not be woken for it.
    pub fn give_up_probe(&self, waker: &Waker) {
        self.waiters.forget(self.core, waker);
    }
}
