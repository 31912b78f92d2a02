//! The registrar: the one way in which accounts and tokens change while the server runs.
//!
//! A change takes three steps, one change at a time: the journal's thread decides it and makes it durable
//! ([`Errand::Account`]); every core takes it over ([`Control::Account`]), each telling when; and only then is it answered.
//! So a token that was replaced works on no core and no connection by the time anybody reads of the new one.
//!
//! [`Registrar`] blocks, so it is for threads that may wait. Workers go through the [`Desk`]: two bounded queues with
//! threads behind them, one queue for what only needs the registrar, one for what needs GitHub first. However slow
//! GitHub is, it holds up nothing but sign-ins. The answer goes to the [`ReturnAddress`], which is
//! the worker's own inbox; a full queue drops the address, and the answer is 503.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::{io, thread};

use crate::auth::{self, Arrival, GITHUB, GithubError, GithubUser, SignIn};
use crate::clock::{self, Duration};
use crate::journal::{
    Account, AccountChange, AccountErrand, AccountOp, AccountRefusal, Errand, Intake, TokenHash, Whose,
};
use crate::mesh::{AccountNews, Control, Issued, Mesh, NotIssued, ReturnAddress};
use crate::sync::Arc;

/// Account changes that workers may have waiting.
const ROTATIONS: usize = 256;
/// Sign-ins that may wait for a thread, and the threads.
const SIGN_INS: usize = 32;
const SIGN_IN_THREADS: usize = 4;
/// A sign-in that has waited so long for a thread is dropped: its browser has given up.
const STALE_NS: u64 = 30_000_000_000;
/// How long a core may take to hear of a change. Beyond it something is wrong, and the watchdog sees to it.
const HEARING: Duration = Duration::from_secs(10);
/// Accounts that may be made in one run of the server: the table of limits has so many places to spare.
pub const NEW_ACCOUNTS: usize = 1 << 18;

/// Changes accounts. Each call blocks until its change is durable and known to every core.
pub struct Registrar {
    intake: Arc<Intake>,
    mesh: Arc<Mesh>,
    /// Accounts that there is a place for.
    places: usize,
    /// Held over a change, so that there is one at a time: how many accounts there are.
    accounts: Mutex<usize>,
}

/// Why an account was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// Its state forbids it.
    #[error("{}", match .0 { AccountRefusal::Unknown => "there is no such user", AccountRefusal::Exists => "there is such a user already" })]
    Refused(AccountRefusal),
    /// Too many changes wait, too many accounts were made since the start, or the server is about to end.
    #[error("the server cannot do it now; it may have taken effect all the same")]
    Unavailable,
}

/// Where workers leave what may take its time.
#[derive(Clone)]
pub struct Desk {
    rotations: SyncSender<(TokenHash, ReturnAddress)>,
    sign_ins: SyncSender<((u64, Arrival), ReturnAddress)>,
}

impl Registrar {
    /// A registrar for a server with so many accounts, whose table of limits has so many places.
    pub fn new(intake: Arc<Intake>, mesh: Arc<Mesh>, accounts: usize, places: usize) -> Registrar {
        Registrar { intake, mesh, places, accounts: Mutex::new(accounts) }
    }

    /// Has an errand done, durably and on every core.
    ///
    /// # Errors
    /// It is refused, or cannot be done now.
    pub fn change(&self, errand: AccountErrand) -> Result<(Account, AccountChange), NotChanged> {
        // A panic ends the process, so nobody sees a lock that is poisoned.
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if *accounts >= self.places && matches!(errand.what, AccountOp::SignIn { .. } | AccountOp::Add { .. }) {
            tracing::error!("{NEW_ACCOUNTS} accounts were made since the start, no more fit; start the server again");
            return Err(NotChanged::Unavailable);
        }
        let (reply, answer) = sync_channel(1);
        self.intake.send(Errand::Account { errand, reply }).map_err(|_| NotChanged::Unavailable)?;
        let (account, change) = answer.recv().map_err(|_| NotChanged::Unavailable)?.map_err(NotChanged::Refused)?;
        *accounts = (*accounts).max(account.id.0 as usize + 1);
        self.tell_every_core(account.clone(), change.clone())?;
        Ok((account, change))
    }

    fn issue(&self, whose: Whose, what: impl FnOnce(TokenHash) -> AccountOp) -> Result<Issued, NotChanged> {
        let token = auth::random_token().map_err(|_| NotChanged::Unavailable)?;
        let what = what(auth::hash_of(token.as_bytes()));
        let (account, _) = self.change(AccountErrand { whose, what })?;
        Ok(Issued { token, public_id: account.public_id, login: account.login })
    }

    fn tell_every_core(&self, account: Account, change: AccountChange) -> Result<(), NotChanged> {
        let (heard, hearing) = channel();
        let news = Arc::new(AccountNews { account, change, heard });
        self.mesh.inboxes().iter().for_each(|inbox| inbox.send_control(Control::Account(news.clone())));
        for _ in 0..self.mesh.cores() {
            hearing.recv_timeout(HEARING).map_err(|_| NotChanged::Unavailable)?;
        }
        Ok(())
    }

    fn rotate(&self, presented: TokenHash) -> Result<Issued, NotIssued> {
        self.issue(Whose::Opened(presented), |token| AccountOp::Rotate { token }).map_err(NotIssued::from)
    }

    fn sign_in(&self, sign_in: &SignIn, arrival: Arrival) -> Result<Issued, NotIssued> {
        let GithubUser { id, login } = sign_in.user(arrival).map_err(|error| match error {
            GithubError::Refused(why) => NotIssued::Refused(why),
            GithubError::Failed(why) => NotIssued::Upstream(why),
        })?;
        let whose = Whose::Named { kind: GITHUB, external_id: id.to_string() };
        Ok(self.issue(whose, |token| AccountOp::SignIn { login, token })?)
    }
}

impl Desk {
    /// A desk with its threads, which live as long as the process. Without `sign_in` nobody can sign in.
    ///
    /// # Errors
    /// The system has no threads for it.
    pub fn open(registrar: Arc<Registrar>, sign_in: Option<Arc<SignIn>>) -> io::Result<Desk> {
        let (rotations, queue) = sync_channel(ROTATIONS);
        let clerk = registrar.clone();
        thread::Builder::new().name("registrar".into()).spawn(move || {
            serve(&Mutex::new(queue), |presented, back: ReturnAddress| back.answer(clerk.rotate(presented)));
        })?;
        let (sign_ins, queue) = sync_channel(SIGN_INS);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..sign_in.as_ref().map_or(0, |_| SIGN_IN_THREADS) {
            let (queue, registrar, sign_in) = (queue.clone(), registrar.clone(), sign_in.clone());
            thread::Builder::new().name(format!("sign-in-{n}")).spawn(move || {
                let sign_in = sign_in.expect("there are threads for it");
                serve(&queue, |(since_ns, arrival), back: ReturnAddress| {
                    if clock::now_ns().saturating_sub(since_ns) < STALE_NS {
                        back.answer(registrar.sign_in(&sign_in, arrival));
                    } // else it is dropped, and says that there was no time
                });
            })?;
        }
        Ok(Desk { rotations, sign_ins })
    }

    /// A new token instead of the one that was presented.
    pub fn rotate(&self, presented: TokenHash, back: ReturnAddress) {
        // What does not fit is dropped, and the address then answers.
        let _ = self.rotations.try_send((presented, back));
    }

    /// A token for whom GitHub vouches.
    pub fn sign_in(&self, arrival: Arrival, back: ReturnAddress) {
        let _ = self.sign_ins.try_send(((clock::now_ns(), arrival), back)); // as above
    }
}

/// One of the threads behind a queue.
fn serve<T>(queue: &Mutex<Receiver<(T, ReturnAddress)>>, work: impl Fn(T, ReturnAddress)) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, back)) = next else { return };
        work(job, back);
    }
}

impl From<NotChanged> for NotIssued {
    fn from(error: NotChanged) -> NotIssued {
        match error {
            NotChanged::Refused(_) => NotIssued::NotStored,
            NotChanged::Unavailable => NotIssued::Unavailable,
        }
    }
}
