//! A stand-in for crossbeam-queue 0.3's `ArrayQueue`: the same steps on the same atomics, in the same orderings.
//!
//! Only what the server uses is here. Differences: values sit in a `RefCell<Option<T>>` beside a loom cell that
//! reports every access not ordered by the stamps, which keeps this file safe code; and `Backoff`,
//! where it waits for another thread to finish, lets that thread finish.
//!
//! A slot's stamp says what it is ready for: `tail` (a push), `tail + 1` (a pop), one lap later a push again.

use std::cell::RefCell;

use loom::cell::UnsafeCell;
use loom::sync::atomic::fence;

use super::sync::{AtomicU64, Ordering};
use crate::explore::pause;

/// A bounded queue for many producers and many consumers.
pub struct ArrayQueue<T> {
    head: AtomicU64,
    tail: AtomicU64,
    buffer: Box<[Slot<T>]>,
    capacity: u64,
    one_lap: u64,
}

struct Slot<T> {
    stamp: AtomicU64,
    /// Finds the races.
    access: UnsafeCell<()>,
    /// Keeps the value.
    value: RefCell<Option<T>>,
}

impl<T> ArrayQueue<T> {
    /// An empty queue of so many places.
    pub fn new(capacity: usize) -> ArrayQueue<T> {
        assert!(capacity > 0, "capacity must be non-zero");
        let slot = |i| Slot { stamp: AtomicU64::new(i), access: UnsafeCell::new(()), value: RefCell::new(None) };
        let capacity = capacity as u64;
        ArrayQueue {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            buffer: (0..capacity).map(slot).collect(),
            capacity,
            one_lap: (capacity + 1).next_power_of_two(),
        }
    }

    /// Appends a value, or gives it back if the queue is full.
    pub fn push(&self, value: T) -> Result<(), T> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(tail);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if tail == stamp {
                match self.tail.compare_exchange_weak(tail, self.after(tail), Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        slot.access.with_mut(|_| *slot.value.borrow_mut() = Some(value));
                        slot.stamp.store(tail + 1, Ordering::Release);
                        return Ok(());
                    }
                    Err(newer) => tail = newer,
                }
            } else if stamp.wrapping_add(self.one_lap) == tail + 1 {
                fence(Ordering::SeqCst);
                let head = self.head.load(Ordering::Relaxed);
                if head.wrapping_add(self.one_lap) == tail {
                    return Err(value);
                }
                pause();
                tail = self.tail.load(Ordering::Relaxed);
            } else {
                pause();
                tail = self.tail.load(Ordering::Relaxed);
            }
        }
    }

    /// Takes the oldest value.
    pub fn pop(&self) -> Option<T> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(head);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if head + 1 == stamp {
                match self.head.compare_exchange_weak(head, self.after(head), Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        let value = slot.access.with_mut(|_| slot.value.borrow_mut().take());
                        slot.stamp.store(head.wrapping_add(self.one_lap), Ordering::Release);
                        return Some(value.expect("a stamped slot holds a value"));
                    }
                    Err(newer) => head = newer,
                }
            } else if stamp == head {
                fence(Ordering::SeqCst);
                let tail = self.tail.load(Ordering::Relaxed);
                if tail == head {
                    return None;
                }
                pause();
                head = self.head.load(Ordering::Relaxed);
            } else {
                pause();
                head = self.head.load(Ordering::Relaxed);
            }
        }
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        let head = self.head.load(Ordering::SeqCst);
        let tail = self.tail.load(Ordering::SeqCst);
        tail == head
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        let tail = self.tail.load(Ordering::SeqCst);
        let head = self.head.load(Ordering::SeqCst);
        head.wrapping_add(self.one_lap) == tail
    }

    fn slot(&self, position: u64) -> &Slot<T> {
        &self.buffer[(position & (self.one_lap - 1)) as usize]
    }

    /// The position after this one: the next slot, or the first one, a lap later.
    fn after(&self, position: u64) -> u64 {
        let index = position & (self.one_lap - 1);
        let lap = position & !(self.one_lap - 1);
        if index + 1 < self.capacity { position + 1 } else { lap.wrapping_add(self.one_lap) }
    }
}
