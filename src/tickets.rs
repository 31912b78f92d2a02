//! Tickets: whom an answer from another core is for.
//!
//! A worker that sends an ask away opens a ticket for whoever waits for the answer; the ticket travels
//! with the ask and comes back with the answer. A client may leave before that, and need not say so: its
//! place stays taken until the answer has come, and whoever settles it finds that nobody looks any more.
//! So the number of tickets is the number of answers that can be under way, and the queue of answers, which
//! has as many places, cannot overflow. And no place is given to a second client while an answer for the
//! first may still come.
//!
//! One thread owns the table; nothing here is shared.

/// Names one ask that was sent away. Small enough to travel in every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    index: u32,
    /// How often the place had been taken before. A place is free only once its answer has come, so a
    /// number that does not fit is never a late answer, always a fault of ours.
    generation: u32,
}

/// The asks that one worker has outstanding, each with a `T` that tells whom its answer is for.
#[derive(Debug)]
pub struct Tickets<T> {
    places: Box<[Place<T>]>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    /// None while the place is free.
    waiter: Option<T>,
}

impl<T> Tickets<T> {
    /// A table for at most `capacity` outstanding asks.
    ///
    /// # Panics
    /// If `capacity` does not fit in 32 bits.
    pub fn new(capacity: usize) -> Tickets<T> {
        let count = u32::try_from(capacity).expect("fewer than 2^32 outstanding asks");
        Tickets {
            places: (0..count).map(|_| Place { generation: 0, waiter: None }).collect(),
            free: (0..count).rev().collect(),
        }
    }

    /// A ticket for one more ask.
    ///
    /// # Errors
    /// Gives `waiter` back if all tickets are out.
    pub fn open(&mut self, waiter: T) -> Result<Ticket, T> {
        let Some(index) = self.free.pop() else { return Err(waiter) };
        let place = &mut self.places[index as usize];
        place.waiter = Some(waiter);
        Ok(Ticket { index, generation: place.generation })
    }

    /// The answer has come, or the ask was refused: the ticket is free again. Gives back what it was opened with.
    ///
    /// # Panics
    /// If the ticket is not out: an answer came twice, or nobody had asked.
    pub fn settle(&mut self, ticket: Ticket) -> T {
        let place = &mut self.places[ticket.index as usize];
        assert_eq!(place.generation, ticket.generation, "a ticket was settled twice");
        let waiter = place.waiter.take().expect("a ticket that is out has its waiter");
        place.generation = place.generation.wrapping_add(1); // 2^32 reuses while one answer is under way: never
        self.free.push(ticket.index);
        waiter
    }

    /// What all the tickets that are out were opened with. It looks at every place.
    pub fn waiters(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.waiter.as_ref())
    }

    /// How many tickets are out.
    pub fn outstanding(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// How many tickets can be out at once: the places that the queue of answers needs.
    pub fn capacity(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn an_answer_finds_the_one_who_waits() {
        let mut tickets = Tickets::new(2);
        let (a, b) = (tickets.open("a").unwrap(), tickets.open("b").unwrap());
        assert!(tickets.waiters().eq(&["a", "b"]));
        assert_eq!(tickets.settle(b), "b");
        assert!(tickets.waiters().eq(&["a"]));
        assert_eq!(tickets.settle(a), "a");
        assert_eq!(tickets.outstanding(), 0);
    }

    #[test]
    fn no_more_tickets_are_out_than_the_table_has() {
        let mut tickets = Tickets::new(1);
        let ticket = tickets.open("a").unwrap();
        assert_eq!(tickets.open("b"), Err("b"));
        tickets.settle(ticket);
        assert!(tickets.open("b").is_ok());
        assert_eq!((tickets.outstanding(), tickets.capacity()), (1, 1));
    }

    #[test]
    fn a_waiter_that_has_gone_keeps_its_place_until_the_answer_comes() {
        let mut tickets = Tickets::new(1);
        let (gone, next) = (Rc::new("gone"), Rc::new("next"));
        let ticket = tickets.open(Rc::clone(&gone)).unwrap();
        drop(gone);
        let next = tickets.open(next).unwrap_err();
        assert_eq!(Rc::into_inner(tickets.settle(ticket)), Some("gone"), "somebody else had it");
        assert!(tickets.open(next).is_ok());
    }

    #[test]
    fn a_place_that_is_used_again_has_another_ticket() {
        let mut tickets = Tickets::new(1);
        let first = tickets.open("a").unwrap();
        tickets.settle(first);
        assert_ne!(tickets.open("b").unwrap(), first);
    }

    #[test]
    #[should_panic(expected = "settled twice")]
    fn an_answer_that_comes_twice_is_a_fault() {
        let mut tickets = Tickets::new(1);
        let ticket = tickets.open("a").unwrap();
        tickets.settle(ticket);
        let _ = tickets.open("b");
        tickets.settle(ticket);
    }
}
