//! Request ids: what an answer, its error text and its log line have in common, so that a user's report finds the log.
//!
//! 24 lower-case hexadecimal digits: 8 of a number drawn at random at start, 4 of the worker, 12 of the worker's
//! count. Unique over the cores of a process without sharing anything, and over restarts but for
//! one chance in 2^32; no secret, and no proof of anything.

use std::fmt;

/// The digits of a request id.
const DIGITS: usize = 24;
/// The bits of a worker's count. 2^48 requests are nine years at a million a second.
const COUNT_BITS: u32 = 48;

/// One request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    process: u32,
    /// The worker in the upper 16 bits, its count below.
    count: u64,
}

/// A worker's own source of request ids.
#[derive(Debug)]
pub struct RequestIds {
    last: RequestId,
}

impl RequestIds {
    /// The ids of worker `worker`. `process` is drawn at random once a start, and the same for all workers.
    pub fn new(process: u32, worker: u16) -> RequestIds {
        RequestIds { last: RequestId { process, count: u64::from(worker) << COUNT_BITS } }
    }

    /// An id that this source has not given before.
    pub fn mint(&mut self) -> RequestId {
        let (worker, count) = (self.last.count >> COUNT_BITS, self.last.count.wrapping_add(1));
        self.last.count = worker << COUNT_BITS | count & ((1 << COUNT_BITS) - 1);
        self.last
    }
}

impl RequestId {
    /// The id's text: always 24 ASCII digits.
    pub fn to_hex(self) -> [u8; DIGITS] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = self.process.to_be_bytes().into_iter().chain(self.count.to_be_bytes());
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]];
        }
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:016x}", self.process, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_shows_process_worker_and_count_in_24_digits() {
        let mut ids = RequestIds::new(0x00c0_ffee, 3);
        assert_eq!(ids.mint().to_string(), "00c0ffee0003000000000001");
        assert_eq!(ids.mint().to_string(), "00c0ffee0003000000000002");
    }

    #[test]
    fn the_hex_bytes_are_what_display_shows() {
        for (process, worker) in [(0, 0), (u32::MAX, u16::MAX), (0x1234_5678, 0x9abc)] {
            let id = RequestIds::new(process, worker).mint();
            assert_eq!(str::from_utf8(&id.to_hex()), Ok(id.to_string().as_str()));
        }
    }

    #[test]
    fn a_count_that_overflows_leaves_the_worker_alone() {
        let mut ids = RequestIds::new(7, 5);
        ids.last.count |= (1 << COUNT_BITS) - 1;
        assert_eq!(ids.mint().to_string(), "000000070005000000000000");
    }
}
