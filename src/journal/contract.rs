//! What every journal must do, as tests that run on each: see [`keeps_the_contract`].

use uuid::Uuid;

use super::*;
use crate::fence::Fence;
use crate::lease::Change;

/// The limits that the tests' journals have: small enough to reach.
pub(super) const LIMITS: Limits = Limits { commits: 8, bytes: 10_000 };

/// A place where a journal lives and comes to life again.
pub(super) trait Site {
    type J: Journal;
    /// A start, after a clean end or a crash. The journal before it has been dropped, perhaps without `close`.
    fn start(&mut self) -> Self::J;
}

/// All the tests, each on a new site.
pub(super) fn keeps_the_contract<S: Site>(new: impl Fn() -> S) {
    nothing_is_recovered_from_an_empty_journal(new());
    what_was_appended_is_there_after_a_crash_and_after_a_close(new());
    commits_are_replayed_in_order_of_number(new());
    a_lock_that_is_gone_is_not_recovered(new());
    folded_rows_and_the_commits_after_them_converge(new());
    a_row_from_a_later_state_is_replayed_over_to_the_same_end(new());
    the_mark_never_falls(new());
    commits_go_round_the_ring_many_times(new());
    a_full_journal_refuses_commits_until_it_is_trimmed(new());
    a_commit_out_of_order_is_refused(new());
    a_trim_beyond_the_last_commit_is_refused(new());
    accounts_are_numbered_once_and_stay(new());
    an_account_that_is_none_is_refused(new());
    tokens_are_added_and_dropped_with_their_account(new());
    a_login_is_noted_and_a_new_account_gets_the_next_number(new());
    before_recovery_there_is_no_room(new());
    a_probe_changes_nothing(new());
    tidying_changes_nothing(new());
}

/// A site, a journal on it, and what the writer would know.
struct Run<S: Site> {
    site: S,
    journal: Option<S::J>,
    number: u64,
    mark: u64,
}

impl<S: Site> Run<S> {
    fn on(mut site: S) -> Run<S> {
        let mut journal = site.start();
        journal.accounts(&[("static", "ada"), ("static", "bob")]).unwrap();
        assert_eq!(journal.recover().unwrap(), Recovered::default());
        Run { site, journal: Some(journal), number: 0, mark: 0 }
    }

    fn journal(&mut self) -> &mut S::J {
        self.journal.as_mut().unwrap()
    }

    fn append(&mut self, changes: &[Change<'_>]) {
        let mut records = Vec::new();
        for change in changes {
            encode(&mut records, change);
            if let Change::Granted(record) | Change::Extended(record) = change {
                self.mark = self.mark.max(record.token.get());
            }
        }
        self.number += 1;
        let commit = Commit { number: self.number, mark: self.mark, records: &records };
        self.journal.as_mut().unwrap().append(&commit).unwrap();
    }

    fn fold(&mut self, rows: &[RowChange], through: u64) {
        let mark = self.mark;
        self.journal().fold(rows, mark, through).unwrap();
    }

    /// What a start finds after a crash; the second one shows that the first changed nothing that counts.
    fn crash(&mut self) -> Recovered {
        self.journal = None;
        let first = self.site.start().recover().unwrap();
        let mut journal = self.site.start();
        let mut found = journal.recover().unwrap();
        let sorted = |mut recovered: Recovered| {
            recovered.locks.sort_by(|a, b| a.name.cmp(&b.name));
            recovered
        };
        assert_eq!(sorted(first), sorted(found.clone()));
        assert_eq!((found.last_commit, found.mark), (self.number, self.mark));
        found.locks.sort_by(|a, b| a.name.cmp(&b.name));
        self.journal = Some(journal);
        found
    }

    /// What a start finds after a clean end.
    fn restart(&mut self) -> Recovered {
        self.journal().close().unwrap();
        self.crash()
    }
}

fn held(name: &str, token: u64) -> Record<'_> {
    Record {
        name,
        user: UserId((token % 2) as u32),
        lease_id: Uuid::from_u128(u128::from(token) << 64 | 7),
        token: Fence::recovered(token).unwrap(),
        ttl: Ttl::from_seconds(token % 3600 + 1).unwrap(),
        metadata: if token.is_multiple_of(3) { Some("für Ada") } else { None },
    }
}

fn granted(name: &str, token: u64) -> Change<'_> {
    Change::Granted(held(name, token))
}

fn put(name: &str, token: u64) -> RowChange {
    RowChange::Put(Row::from(&held(name, token)))
}

fn rows(held_locks: &[(&str, u64)]) -> Vec<Row> {
    held_locks.iter().map(|(name, token)| Row::from(&held(name, *token))).collect()
}

fn nothing_is_recovered_from_an_empty_journal<S: Site>(site: S) {
    let mut run = Run::on(site);
    assert_eq!(run.crash(), Recovered::default());
    assert_eq!(run.restart(), Recovered::default());
    let room = Room { used: 0, capacity: 8, used_bytes: 0, capacity_bytes: 10_000 };
    assert_eq!(run.journal().room(), room);
}

fn what_was_appended_is_there_after_a_crash_and_after_a_close<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1), granted("b", 3)]);
    let found = run.crash();
    assert_eq!(found.locks, rows(&[("a", 1), ("b", 3)]));
    run.append(&[granted("c", 6)]);
    assert_eq!(run.restart().locks, rows(&[("a", 1), ("b", 3), ("c", 6)]));
    let found = run.crash();
    assert_eq!(found.tail.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(decode(&found.tail[1].1).collect::<Vec<_>>(), [Ok(granted("c", 6))]);
    assert_eq!(run.journal().room().used, 2);
    assert_eq!(
        run.journal().room().used_bytes,
        found.tail.iter().map(|(_, records)| records.len() as u64).sum::<u64>()
    );
}

fn commits_are_replayed_in_order_of_number<S: Site>(site: S) {
    let mut run = Run::on(site);
    for token in 1..=8 {
        run.append(&[granted("a", token)]);
    }
    // The low slots are used again: the newest commits lie before the older ones.
    run.fold(&[put("a", 4)], 4);
    run.append(&[granted("a", 9)]);
    run.append(&[Change::Extended(held("a", 10))]);
    let found = run.crash();
    assert_eq!(found.locks, rows(&[("a", 10)]));
    assert_eq!(found.tail.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
}

fn a_lock_that_is_gone_is_not_recovered<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1), granted("b", 2), granted("c", 3)]);
    run.append(&[Change::Gone { name: "b" }, Change::Gone { name: "c" }, granted("c", 4)]);
    assert_eq!(run.crash().locks, rows(&[("a", 1), ("c", 4)]));
    run.fold(&[put("a", 1), put("c", 4)], 2);
    run.append(&[Change::Gone { name: "a" }]);
    assert_eq!(run.crash().locks, rows(&[("c", 4)]));
    run.fold(&[RowChange::Delete(LockName::new("a").unwrap())], 3);
    assert_eq!(run.crash().locks, rows(&[("c", 4)]));
}

fn folded_rows_and_the_commits_after_them_converge<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1), granted("b", 2)]);
    run.append(&[granted("c", 3)]);
    run.append(&[Change::Gone { name: "b" }, granted("d", 4)]);
    let all = rows(&[("a", 1), ("c", 3), ("d", 4)]);
    run.fold(&[put("a", 1), put("b", 2)], 1);
    let found = run.crash();
    assert_eq!((found.locks, found.tail.len()), (all.clone(), 2));
    run.fold(&[put("c", 3), put("d", 4), RowChange::Delete(LockName::new("b").unwrap())], 3);
    let found = run.restart();
    assert_eq!((found.locks, found.tail.len()), (all.clone(), 0));
    // The same fold again, and one that trims less.
    run.fold(&[put("c", 3), RowChange::Delete(LockName::new("b").unwrap())], 2);
    let found = run.crash();
    assert_eq!((found.locks, found.tail.len()), (all, 0));
}

fn a_row_from_a_later_state_is_replayed_over_to_the_same_end<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1), granted("b", 2)]);
    run.append(&[Change::Gone { name: "a" }, granted("c", 3)]);
    run.append(&[granted("a", 4), Change::Gone { name: "c" }]);
    // The rows say the newest state, but only the first commit is trimmed.
    run.fold(&[put("a", 4), put("b", 2), RowChange::Delete(LockName::new("c").unwrap())], 1);
    assert_eq!(run.crash().locks, rows(&[("a", 4), ("b", 2)]));
}

fn the_mark_never_falls<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 500)]);
    run.append(&[Change::Gone { name: "a" }]);
    run.fold(&[], 2);
    let found = run.restart();
    assert_eq!((found.mark, found.locks, found.tail), (500, vec![], vec![]));
    // Neither a commit nor a fold with a lower one lowers it.
    run.number += 1;
    run.journal().append(&Commit { number: 3, mark: 20, records: b"" }).unwrap();
    run.journal().fold(&[], 30, 3).unwrap();
    assert_eq!(run.crash().mark, 500);
    // A fold may raise it, and tokens that were minted for nothing count.
    run.mark = 700;
    run.fold(&[], 3);
    assert_eq!(run.crash().mark, 700);
    run.mark = 800;
    run.append(&[]);
    assert_eq!(run.crash().mark, 800);
}

fn commits_go_round_the_ring_many_times<S: Site>(site: S) {
    let mut run = Run::on(site);
    for token in 1..=40 {
        run.append(&[granted("a", token), granted("b", token)]);
        if token % 3 == 0 {
            run.fold(&[put("a", token), put("b", token)], token - 1);
        }
        if token % 10 == 0 {
            assert_eq!(run.crash().locks, rows(&[("a", token), ("b", token)]));
        }
    }
    assert_eq!(run.restart().locks, rows(&[("a", 40), ("b", 40)]));
}

fn a_full_journal_refuses_commits_until_it_is_trimmed<S: Site>(site: S) {
    let mut run = Run::on(site);
    for token in 1..=8 {
        assert!(run.journal().room().fits(100));
        run.append(&[granted("a", token)]);
    }
    assert!(!run.journal().room().fits(0));
    let refused = run.journal().append(&Commit { number: 9, mark: 9, records: b"" });
    assert!(matches!(refused, Err(JournalError::Failed(why)) if why.contains("must be trimmed")));
    assert_eq!(run.crash().locks, rows(&[("a", 8)]));
    assert_eq!(run.journal().room().fraction(), 1.0);
    run.fold(&[put("a", 8)], 1);
    run.append(&[granted("a", 9)]);
    run.fold(&[put("a", 9)], 9);
    let large = "n".repeat(100);
    let large: Vec<Change<'_>> = (10..70).map(|token| granted(&large, token)).collect();
    run.append(&large);
    let room = run.journal().room();
    assert!(room.fraction() > 0.7 && !room.fits(3_000), "{room:?}");
    assert!(run.journal().append(&Commit { number: 11, mark: 70, records: &[0; 3_000] }).is_err());
    assert_eq!(run.crash().locks.len(), 2);
}

fn a_commit_out_of_order_is_refused<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1)]);
    for number in [0, 1, 3] {
        let refused = run.journal().append(&Commit { number, mark: 1, records: b"" });
        assert!(matches!(refused, Err(JournalError::Failed(why)) if why.contains("out of order")));
    }
    assert_eq!(run.crash().locks, rows(&[("a", 1)]));
}

fn a_trim_beyond_the_last_commit_is_refused<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1)]);
    assert!(run.journal().fold(&[put("a", 1)], 1, 2).is_err());
    assert_eq!(run.crash().tail.len(), 1);
}

fn accounts_are_numbered_once_and_stay<S: Site>(mut site: S) {
    let first = site.start().accounts(&[("static", "ada"), ("static", "bob"), ("local", "ada")]).unwrap();
    let ids: Vec<u32> = first.iter().map(|account| account.id.0).collect();
    assert_eq!(ids, [0, 1, 2]);
    let public: std::collections::HashSet<Uuid> = first.iter().map(|account| account.public_id).collect();
    assert_eq!(public.len(), 3);
    assert_eq!((first[2].kind.as_str(), first[2].external_id.as_str()), ("local", "ada"));
    let mut again = site.start();
    assert_eq!(again.accounts(&[]).unwrap(), first);
    let more = again.accounts(&[("static", "cid"), ("static", "bob"), ("static", "cid")]).unwrap();
    assert_eq!((more.len(), &more[..3], more[3].id), (4, &first[..], UserId(3)));
    drop(again);
    assert_eq!(site.start().accounts(&[("static", "ada")]).unwrap(), more);
}

fn an_account_that_is_none_is_refused<S: Site>(site: S) {
    let mut run = Run::on(site);
    let stranger = Record { user: UserId(2), ..held("a", 1) };
    assert!(run.journal().fold(&[put("b", 1), RowChange::Put(Row::from(&stranger))], 1, 0).is_err());
    // It has left nothing behind, neither on disk nor in what the journal remembers.
    run.append(&[Change::Granted(held("c", 1))]);
    run.journal = None;
    let mut journal = run.site.start();
    let recovered = journal.recover().unwrap();
    assert_eq!(recovered.locks.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["c"]);
    let mut records = Vec::new();
    encode(&mut records, &Change::Granted(stranger));
    journal.append(&Commit { number: 2, mark: 1, records: &records }).unwrap();
    drop(journal);
    let refused = run.site.start().recover();
    assert!(matches!(refused, Err(JournalError::Corrupt(why)) if why.contains("commit 2 gives lock 'a' to account 2")));
}

fn token(n: u8) -> TokenHash {
    TokenHash::from([n; 32])
}

/// Has an errand done, as the writer does.
fn run_errand(journal: &mut impl Journal, whose: Whose, what: AccountOp) -> Result<Account, AccountRefusal> {
    let errand = AccountErrand { whose, what };
    let found = journal.holder(&errand.whose).unwrap();
    decide(&errand, found).map(|change| journal.change_account(&change).unwrap())
}

fn named(kind: &'static str, external_id: &str) -> Whose {
    Whose::Named { kind, external_id: external_id.to_owned() }
}

fn tokens_are_added_and_dropped_with_their_account<S: Site>(mut site: S) {
    let mut journal = site.start();
    let ada = run_errand(&mut journal, named("cli", "ada"), AccountOp::Add { token: token(1) }).unwrap();
    let bob = run_errand(&mut journal, named("cli", "bob"), AccountOp::Add { token: token(2) }).unwrap();
    assert_eq!((ada.id, bob.id), (UserId(0), UserId(1)));
    run_errand(&mut journal, Whose::Opened(token(1)), AccountOp::Rotate { token: token(3) }).unwrap();
    let again = run_errand(&mut journal, Whose::Opened(token(1)), AccountOp::Rotate { token: token(4) });
    assert_eq!(again, Err(AccountRefusal::Unknown), "a token that was rotated away opens nothing");
    drop(journal);
    let mut journal = site.start();
    let mut tokens = journal.tokens().unwrap();
    tokens.sort_by_key(|(_, user)| *user);
    assert_eq!(tokens, [(token(3), UserId(0)), (token(2), UserId(1))]);
    run_errand(&mut journal, named("cli", "bob"), AccountOp::Remove).unwrap();
    assert_eq!(journal.tokens().unwrap(), [(token(3), UserId(0))]);
    let users = |journal: &mut S::J, from, most| {
        let users = journal.users(UserId(from), most).unwrap();
        users.into_iter().map(|(account, tokens)| (account.external_id, tokens)).collect::<Vec<_>>()
    };
    assert_eq!(users(&mut journal, 0, 9), [("ada".to_owned(), 1), ("bob".to_owned(), 0)]);
    assert_eq!(users(&mut journal, 0, 1), [("ada".to_owned(), 1)], "a part of them");
    assert_eq!(users(&mut journal, 1, 1), [("bob".to_owned(), 0)], "the next part");
    assert_eq!(users(&mut journal, 2, 9), []);
    let back = run_errand(&mut journal, named("cli", "bob"), AccountOp::Add { token: token(5) }).unwrap();
    assert_eq!(back, bob, "the same account as before");
}

fn a_login_is_noted_and_a_new_account_gets_the_next_number<S: Site>(mut site: S) {
    let mut journal = site.start();
    journal.accounts(&[("static", "ada")]).unwrap();
    let sign_in = |login: &str, n| AccountOp::SignIn { login: login.to_owned(), token: token(n) };
    let first = run_errand(&mut journal, named("github", "4242"), sign_in("ada", 1)).unwrap();
    assert_eq!((first.id, first.name(), first.external_id.as_str()), (UserId(1), "ada", "4242"));
    for n in 2..=12 {
        let later = run_errand(&mut journal, named("github", "4242"), sign_in("lovelace", n)).unwrap();
        assert_eq!((later.id, later.public_id, later.name()), (first.id, first.public_id, "lovelace"));
    }
    drop(journal);
    let mut journal = site.start();
    let holder = journal.holder(&Whose::Opened(token(12))).unwrap().expect("the newest token");
    assert_eq!(holder.tokens, (3..=12).map(token).collect::<Vec<_>>(), "ten are left, the oldest first");
    assert_eq!(holder.account.name(), "lovelace");
    assert_eq!(journal.holder(&Whose::Opened(token(2))).unwrap(), None);
    assert_eq!(journal.accounts(&[]).unwrap().len(), 2);
}

fn before_recovery_there_is_no_room<S: Site>(mut site: S) {
    let mut journal = site.start();
    assert!(!journal.room().fits(0));
    assert!(journal.append(&Commit { number: 1, mark: 1, records: b"" }).is_err());
}

fn a_probe_changes_nothing<S: Site>(site: S) {
    let mut run = Run::on(site);
    run.append(&[granted("a", 1)]);
    let before = run.crash();
    for _ in 0..3 {
        run.journal().probe().unwrap();
    }
    assert_eq!(run.crash(), before);
}

fn tidying_changes_nothing<S: Site>(site: S) {
    let mut run = Run::on(site);
    for token in 1..=3 {
        run.append(&[granted("a", token)]);
        run.journal().tidy().unwrap();
        run.fold(&[put("a", token)], token);
        run.journal().tidy().unwrap();
    }
    assert_eq!(run.crash().locks, rows(&[("a", 3)]));
}
