//! One core: its thread, its runtime, and the tasks that keep it going.
//!
//! The main future is the end of the turn (see [`Hub`]): monoio polls it when the run queue is empty and its waker was
//! called. Beside it run the listener, the doorbell, and the ticker; connections come and go.

use std::future::poll_fn;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::task::Poll;

use monoio::net::TcpListener;
use monoio::time;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::api::health::Health;
use crate::api::metrics::Access;
use crate::clock::{self, Duration};
use crate::config::Timeouts;
use crate::fence::Fence;
use crate::front::{Doors, Front, Watch};
use crate::http::RequestIds;
use crate::hub::Hub;
use crate::journal::{Intake, Row};
use crate::mesh::Mesh;
use crate::metrics::{JournalMetrics, Registry, Workers};
use crate::net::admission::Admission;
use crate::net::clients::Clients;
use crate::net::doorbell::Doorbell;
use crate::net::listener;
use crate::net::runtime::{self, Kind};
use crate::quota::Quota;
use crate::shard::Shard;
use crate::vitals::Vitals;

/// Between two looks for leases that have run out: see the tick of the timing wheel.
const TICK: Duration = Duration::from_millis(25);
/// Between two looks for clients that are late, in ticks.
const LATE_TICKS: u64 = 4;

/// What all workers share.
pub struct Shared {
    /// How they do I/O.
    pub driver: Kind,
    /// The most connections, over all.
    pub max_connections: u32,
    /// Who may connect.
    pub admission: Arc<Admission>,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// The inboxes.
    pub mesh: Arc<Mesh>,
    /// The way to the journal.
    pub intake: Arc<Intake>,
    /// The fencing tokens.
    pub fence: Arc<Fence>,
    /// For so long from its start no worker grants a lock: a backup was restored.
    pub grace_s: u64,
    /// The users' limits.
    pub quota: Arc<Quota>,
    /// What the journal's thread has done.
    pub journal_metrics: Arc<JournalMetrics>,
    /// The workers' counters.
    pub metrics: Arc<Workers>,
    /// Everything that has figures to tell.
    pub registry: Registry,
    /// Who may see them.
    pub metrics_access: Arc<Access>,
    /// The signs of life of all workers and of the journal.
    pub vitals: Arc<Vitals>,
    /// What request ids of this process begin with.
    pub process: u32,
}

/// What one worker begins with.
pub struct Plan {
    /// Who may come in, with a table of users of its own.
    pub doors: Doors,
    /// Its number.
    pub core: usize,
    /// The locks it owns.
    pub rows: Vec<Row>,
    /// A duplicate of the listening socket.
    pub listener: StdTcpListener,
}

/// Starts a worker's thread. It runs until the process ends; a panic in it ends the process. Whether it could
/// start, it tells `started`.
///
/// # Errors
/// The system has no thread for it.
pub fn spawn(shared: Arc<Shared>, plan: Plan, started: Sender<io::Result<()>>) -> io::Result<()> {
    let name = format!("worker-{}", plan.core);
    std::thread::Builder::new().name(name).spawn(move || {
        pin(plan.core, shared.mesh.cores());
        if let Err(error) = run(&shared, plan, &started) {
            let _ = started.send(Err(error));
        }
    })?;
    Ok(())
}

fn run(
    shared: &Arc<Shared>,
    Plan { doors, core, rows, listener }: Plan,
    started: &Sender<io::Result<()>>,
) -> io::Result<()> {
    let share = shared.max_connections.div_ceil(shared.mesh.cores() as u32);
    let mut runtime = runtime::build(shared.driver, share)?;
    // The leases' full TTLs begin here, when their holders can soon be heard.
    let now_ns = clock::now_ns();
    let mut shard = Shard::new(now_ns, rows, shared.fence.clone(), shared.quota.clone());
    shard.grant_nothing_before(now_ns + shared.grace_s * 1_000_000_000);
    let hub = Rc::new(Hub::new(core, shard, shared.mesh.clone(), shared.intake.clone()));
    let about = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        driver: shared.driver.name(),
        workers: shared.mesh.cores(),
        uptime_seconds: 0,
    };
    let ids = RequestIds::new(shared.process, core as u16);
    let watch = Watch {
        metrics: shared.metrics.of(core),
        registry: shared.registry.clone(),
        access: shared.metrics_access.clone(),
        vitals: shared.vitals.clone(),
    };
    let front = Rc::new(Front::new(hub.clone(), doors, shared.timeouts, watch, ids, about));
    let clients = Rc::new(Clients::new(shared.admission.clone(), shared.timeouts.write_timeout_ms));
    let shared = shared.clone();
    runtime.block_on(async move {
        let doorbell = Doorbell::new(shared.mesh.inbox(core).gate().bell())?;
        let listener = TcpListener::from_std(listener)?;
        monoio::spawn(hear(doorbell, hub.clone()));
        monoio::spawn(follow_accounts(hub.clone(), front.clone()));
        monoio::spawn(listener::accept(
            listener,
            shared.admission.clone(),
            clients.clone(),
            front.clone(),
            share as usize,
        ));
        monoio::spawn(tick(core, shared, hub.clone(), front, clients));
        let _ = started.send(Ok(())); // nobody listens any more: another worker could not start
        poll_fn(|cx| {
            hub.end_turn(cx);
            Poll::<io::Result<()>>::Pending
        })
        .await
    })
}

async fn hear(mut doorbell: Doorbell, hub: Rc<Hub>) {
    loop {
        doorbell.heard().await;
        hub.bell_was_heard();
    }
}

/// Takes over what becomes of accounts.
async fn follow_accounts(hub: Rc<Hub>, front: Rc<Front>) {
    loop {
        let news = hub.account_news().await;
        front.hear(&news);
    }
}

async fn tick(core: usize, shared: Arc<Shared>, hub: Rc<Hub>, front: Rc<Front>, clients: Rc<Clients>) {
    for ticks in 1u64.. {
        time::sleep(TICK).await;
        shared.vitals.worker(core).beat();
        front.watch.metrics.publish(&hub.figures());
        front.look_at_the_clocks();
        hub.sweep_soon();
        if ticks.is_multiple_of(LATE_TICKS) {
            clients.cut_the_late(front.recent_ns());
            front.watch.metrics.connections(clients.by_state());
        }
        // At every tick: a connection that was answering a moment ago is idle now.
        if hub.is_draining() {
            clients.dismiss_the_idle();
        }
    }
}

/// Gives the worker a core of its own, if there are enough for all. A hint: where it is refused, the scheduler does well too.
fn pin(core: usize, workers: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    if cpus.len() >= workers {
        let mut own = CpuSet::new();
        own.set(cpus[core]);
        let _ = sched_setaffinity(None, &own);
    }
}
