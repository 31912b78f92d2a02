//! A core's shares of lists. A user may hold a million locks, and a page needs a look at each of them (see `lease/scan.rs`):
//! what is not found at once is looked for a part at a time, in the turns that come, so that nobody else has to wait.
//! The lists stand in line, and the first is served. Whoever asked hears of it when its share is whole.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::pending::Parcel;
use crate::lease::{Scan, UserId};
use crate::mesh::Query;
use crate::shard::{Page, Shard};
use crate::tickets::Ticket;

/// Locks looked at for a list before it is known to be long, and then in one turn.
const SCAN_AT_ONCE: usize = 512;
pub(super) const SCAN_PER_TURN: usize = 512;

/// The lists under way.
#[derive(Default)]
pub(super) struct Lists(RefCell<VecDeque<(Scan, Asker)>>);

/// Who is to hear of a list.
pub(super) enum Asker {
    /// A connection of this core.
    Here(Rc<Parcel>),
    /// Another core.
    Away { ticket: Ticket, origin: u16 },
}

impl Lists {
    /// This core's share of a list: one row more than the page shows, which tells whether there is a next one. None if
    /// the user has many locks: then [`Lists::go_on`] has it, some turns later.
    pub fn begin(&self, shard: &Shard, user: UserId, query: &Query, asker: Asker) -> Option<Page> {
        let mut scan = Scan::new(user, &query.prefix, query.after.as_deref(), query.limit + 1);
        let page = shard.scan(&mut scan, SCAN_AT_ONCE);
        if page.is_none() {
            self.0.borrow_mut().push_back((scan, asker));
        }
        page
    }

    /// Goes on with the first list; gives it if it is whole now.
    pub fn go_on(&self, shard: &Shard) -> Option<(Asker, Page)> {
        let mut lists = self.0.borrow_mut();
        let (scan, asker) = lists.front_mut()?;
        let page = if asker.has_gone() { None } else { Some(shard.scan(scan, SCAN_PER_TURN)?) };
        let (_, asker) = lists.pop_front()?;
        page.map(|page| (asker, page))
    }

    /// Whether none is under way.
    pub fn are_done(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Asker {
    /// Whether nobody wants the list any more. Another core always takes its answer, since that gives the ticket back.
    fn has_gone(&self) -> bool {
        matches!(self, Asker::Here(parcel) if Rc::strong_count(parcel) == 1)
    }
}
