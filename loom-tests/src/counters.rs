//! Models of the counters that all cores share: `fence.rs` and `quota.rs`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::fence::{Fence, HIGHEST_TOKEN};
use super::quota::Quota;
use super::sync::ArrayQueue;
use crate::explore::{Bound, Part, explore, together};

/// Three cores mint: no token comes twice, none is left out, each core's rise.
///
/// Two tokens each on two cores, one on the third. Bound: none.
pub fn tokens_are_unique_and_rise() {
    explore("tokens are unique and rise", Bound { usual: None, deep: None }, || {
        let fence = Rc::new(Fence::above(7));
        let minted = Rc::new(RefCell::new(Vec::new()));
        let core = |tokens: usize| {
            let (fence, minted) = (fence.clone(), minted.clone());
            Box::new(move || {
                let mut highest = 7;
                for _ in 0..tokens {
                    let token = fence.mint().expect("far from the last").get();
                    assert!(token > highest, "a token did not rise");
                    highest = token;
                    minted.borrow_mut().push(token);
                }
            })
        };
        together([core(2), core(2), core(1)]);
        minted.borrow_mut().sort_unstable();
        assert_eq!(*minted.borrow(), [8, 9, 10, 11, 12], "a token came twice or never");
    });
}

/// A token minted after another was seen, on whichever core, is higher: a third core that mints meanwhile sets nothing back.
///
/// Bound: none.
pub fn a_token_is_higher_than_any_seen_before() {
    explore("a token is higher than any seen before", Bound { usual: None, deep: None }, || {
        let fence = Rc::new(Fence::above(0));
        let seen = Rc::new(ArrayQueue::new(1));
        let (theirs, shows) = (fence.clone(), seen.clone());
        let first = Box::new(move || {
            theirs.mint().expect("far from the last");
            let token = theirs.mint().expect("far from the last");
            assert!(shows.push(token).is_ok(), "there was room");
        });
        let other = fence.clone();
        let third = Box::new(move || assert!(other.mint().is_some()));
        let second = Box::new(move || {
            if let Some(before) = seen.pop() {
                assert!(fence.mint().expect("far from the last") > before, "a token did not rise");
            }
        });
        // In this order: loom prunes by what each thread did last, and with `first` in front it passed over the runs that
        // matter. The guard's twin shows that it now finds them.
        together([third, second, first]);
    });
}

/// However many cores reach for it, the last token is given once, and then none.
///
/// Bound: none.
pub fn the_last_token_is_given_once() {
    explore("the last token is given once", Bound { usual: None, deep: None }, || {
        let fence = Rc::new(Fence::above(HIGHEST_TOKEN - 1));
        let given = Rc::new(Cell::new(0));
        let core = || {
            let (fence, given) = (fence.clone(), given.clone());
            Box::new(move || {
                for _ in 0..2 {
                    if let Some(token) = fence.mint() {
                        assert_eq!(token.get(), HIGHEST_TOKEN, "a token beyond the last");
                        given.set(given.get() + 1);
                    }
                }
            })
        };
        together([core(), core(), core()]);
        assert_eq!(given.get(), 1, "the last token was given more than once, or never");
    });
}

/// Three cores grant locks to one user, who may have two, and one of them gives its own back at once:
/// there are never more than two at a time.
///
/// Two tries each. Bound: 3 preemptions, deep 5.
pub fn the_limit_is_never_passed() {
    explore("the limit is never passed", Bound { usual: Some(3), deep: Some(5) }, || {
        grant(2, [false, true, false]);
    });
}

/// The same with nothing given back: exactly two are granted, whoever gets them, and nobody has to try again.
///
/// One try each. Bound: none.
pub fn as_many_as_the_limit_are_granted() {
    explore("as many as the limit are granted", Bound { usual: None, deep: None }, || {
        assert_eq!(grant(1, [false; 3]), 2, "a free place was not found");
    });
}

/// So many tries on each core, which may give back what it gets. Returns how many locks are live in the end.
fn grant(tries: usize, gives_back: [bool; 3]) -> u32 {
    let quota = Rc::new(Quota::new(1, 2));
    let live = Rc::new(Cell::new(0));
    together(gives_back.map(|gives_back| -> Part {
        let (quota, live) = (quota.clone(), live.clone());
        Box::new(move || {
            for _ in 0..tries {
                if !quota.reserve(0) {
                    continue;
                }
                live.set(live.get() + 1);
                assert!(live.get() <= 2, "the limit was passed");
                if gives_back {
                    live.set(live.get() - 1);
                    quota.give_back(0);
                }
            }
        })
    }));
    assert_eq!(quota.count(0), live.get(), "the count is not what is live");
    live.get()
}
