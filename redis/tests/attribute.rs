//! `#[dedup(across = …)]`: over a store in memory, and over a real server.
//!
//! A "process" is a fleet with a connection of its own and a named scope: within this process, scopes share nothing.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use piggyback::fleet::{Fleet, FleetStats, Memory};
use piggyback::{Scope, dedup};
use serde::{Deserialize, Serialize};
use server::{Server, installed, until};
use tokio::sync::Semaphore;
use tokio::time::sleep;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Id {
    tenant: String,
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Report {
    by: usize,
    text: String,
}

#[derive(Debug)]
enum Error {
    Own(usize),
    Shared(#[allow(dead_code)] Arc<Error>),
}

/// What the bodies of a test have in common, in all processes.
#[derive(Default)]
struct World {
    bodies: AtomicU32,
    fails: AtomicU32,
}

struct Process {
    number: usize,
    fleet: Fleet,
    scope: Scope,
    world: Arc<World>,
    /// A body ends when it gets a permit.
    open: Arc<Semaphore>,
}

impl Process {
    #[dedup(across = self.fleet, scope = self.scope, share_err = Error::Shared, forget = forget_report)]
    async fn report(&self, id: &Id) -> Result<Report, Error> {
        self.body(id).await
    }

    #[dedup(across = self.fleet, scope = self.scope, share_err = Error::Shared, spawn)]
    async fn spawned(self: Arc<Self>, id: Id) -> Result<Report, Error> {
        self.body(&id).await
    }

    #[dedup(across = self.fleet, scope = self.scope, max_age_ms = 60)]
    async fn young(&self, n: u64) -> (u64, u32) {
        let count = self.world.bodies.fetch_add(1, SeqCst);
        self.permit().await;
        (n, count)
    }

    #[dedup(across = self.fleet, scope = self.scope)]
    async fn generic<T>(&self, value: T) -> String
    where
        T: std::fmt::Debug + Serialize + std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    {
        self.world.bodies.fetch_add(1, SeqCst);
        self.permit().await;
        format!("{} {value:?}", std::any::type_name::<T>())
    }

    #[dedup(across = self.fleet, scope = self.scope, across_err, spawn)]
    async fn checked(self: Arc<Self>, id: Id) -> Result<Report, String> {
        let result = self.body(&id).await;
        result.map_err(|_| format!("process {} has none", self.number))
    }

    /// The receiver is in no key, and the fleet is made by the call.
    #[dedup(across = self.a_fleet(), skip(self), key(list = list.len()))]
    async fn by_part(&self, list: &[&str], pair: (&str, u8), none: Option<&str>) -> usize {
        self.world.bodies.fetch_add(1, SeqCst);
        list.len() + pair.0.len() + none.map_or(0, str::len)
    }

    #[dedup(across = self.fleet, scope = self.scope)]
    async fn panics(&self) -> u32 {
        let count = self.world.bodies.fetch_add(1, SeqCst);
        self.permit().await;
        assert!(count > 0, "on purpose");
        count
    }

    fn a_fleet(&self) -> Fleet {
        self.fleet.with_patience(Duration::from_secs(20))
    }

    async fn permit(&self) {
        self.open.acquire().await.expect("open").forget();
    }

    async fn body(&self, id: &Id) -> Result<Report, Error> {
        self.world.bodies.fetch_add(1, SeqCst);
        self.permit().await;
        if self.world.fails.load(SeqCst) > 0 {
            return Err(Error::Own(self.number));
        }
        Ok(Report {
            by: self.number,
            text: format!("{}/{}", id.tenant, id.number),
        })
    }

    fn stats(&self) -> FleetStats {
        self.fleet.stats()
    }

    fn bodies(&self) -> u32 {
        self.world.bodies.load(SeqCst)
    }
}

/// Lets one body end in each.
fn open<const N: usize>(processes: [&Process; N]) {
    for process in processes {
        process.open.add_permits(1);
    }
}

fn patient(fleet: &Fleet) -> Fleet {
    fleet
        .with_patience(Duration::from_secs(60))
        .with_slow(Duration::from_secs(20))
        .with_keep(Duration::from_secs(3))
        .with_lease(Duration::from_secs(20))
}

fn processes<const N: usize>(fleets: [Fleet; N]) -> [Arc<Process>; N] {
    let world = Arc::<World>::default();
    let mut number = 0;
    fleets.map(|fleet| {
        number += 1;
        Arc::new(Process {
            number,
            fleet,
            scope: Scope::named("one"),
            world: world.clone(),
            open: Arc::new(Semaphore::new(0)),
        })
    })
}

fn in_memory<const N: usize>() -> [Arc<Process>; N] {
    let store = Memory::new();
    processes(std::array::from_fn(|_| {
        patient(&Fleet::new("test", store.process()).with_build("1"))
    }))
}

fn on_server<const N: usize>(server: &Server) -> [Arc<Process>; N] {
    processes(server.fleets().map(|fleet| patient(&fleet)))
}

fn id() -> Id {
    Id {
        tenant: "t".into(),
        number: 7,
    }
}

macro_rules! call {
    ($process:expr, |$it:ident| $call:expr) => {{
        let $it = $process.clone();
        tokio::spawn(async move { $call.await })
    }};
}

/// Its process has led so many executions, and a body has begun.
async fn leads(process: &Process, led: u64) {
    while process.stats().led < led || process.bodies() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the calls that have begun have asked the store. No count shows that, so it takes long enough for a busy machine.
async fn settles() {
    sleep(Duration::from_millis(500)).await;
}

/// As many calls of its own scope wait for others there.
async fn waits_here(process: &Process, calls: u64) {
    let waiting = || {
        process
            .scope
            .stats()
            .rows
            .iter()
            .map(|row| row.waiting)
            .sum::<u64>()
    };
    while waiting() < calls {
        sleep(Duration::from_millis(1)).await;
    }
}

async fn overlapping_calls([a, b]: [Arc<Process>; 2]) {
    let first = call!(a, |it| it.report(&id()));
    leads(&a, 1).await;
    let others: Vec<_> = (0..3).map(|_| call!(b, |it| it.report(&id()))).collect();
    waits_here(&b, 2).await;
    settles().await;
    a.open.add_permits(1);
    let first = first.await.expect("no panic").expect("an Ok");
    assert_eq!((first.by, &*first.text), (1, "t/7"));
    for other in others {
        assert_eq!(other.await.expect("no panic").expect("an Ok"), first);
    }
    assert_eq!(a.bodies(), 1);
    assert_eq!((b.stats().led, b.stats().followed), (0, 1));
    let row = &b.scope.stats().rows[0];
    let fleet = row.fleet.expect("it has a part in a fleet");
    assert_eq!(
        (row.calls, fleet.followed, fleet.led, fleet.up),
        (3, 1, 0, true)
    );
    assert_eq!(a.scope.stats().rows[0].fleet.expect("the same").led, 1);
    // Nothing is cached.
    b.open.add_permits(1);
    assert_eq!(b.report(&id()).await.expect("an Ok").by, 2);
}

#[tokio::test]
async fn overlapping_calls_of_all_processes_share() {
    overlapping_calls(in_memory()).await;
}

#[tokio::test]
async fn overlapping_calls_share_over_a_server() {
    if installed() {
        let server = Server::start(&[]);
        overlapping_calls(on_server(&server)).await;
        server.is_empty_soon();
    }
}

async fn a_task_outlives([a, b]: [Arc<Process>; 2]) {
    let first = call!(a, |it| it.spawned(id()));
    leads(&a, 1).await;
    let second = call!(a, |it| it.spawned(id()));
    waits_here(&a, 1).await;
    let other = call!(b, |it| it.spawned(id()));
    waits_for(&b).await;
    settles().await;
    first.abort();
    settles().await;
    a.open.add_permits(1);
    assert_eq!(second.await.expect("no panic").expect("an Ok").by, 1);
    assert_eq!(other.await.expect("no panic").expect("an Ok").by, 1);
    assert_eq!(a.bodies(), 1);
}

#[tokio::test]
async fn a_task_outlives_the_call_that_began_it() {
    a_task_outlives(in_memory()).await;
}

#[tokio::test]
async fn a_task_outlives_the_call_over_a_server() {
    if installed() {
        let server = Server::start(&[]);
        a_task_outlives(on_server(&server)).await;
        server.is_empty_soon();
    }
}

async fn dropped_leaders([a, b, c]: [Arc<Process>; 3]) {
    let first = call!(a, |it| it.report(&id()));
    leads(&a, 1).await;
    let others = [&b, &c].map(|it| call!(it, |it| it.report(&id())));
    settles().await;
    first.abort();
    let began = || b.stats().led + c.stats().led;
    while began() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    open([&b, &c]);
    let mut by = Vec::new();
    for other in others {
        by.push(other.await.expect("no panic").expect("an Ok").by);
    }
    assert_eq!(by[0], by[1]);
    assert_eq!(a.bodies(), 2);
    assert_eq!(b.stats().taken_over + c.stats().taken_over, 1);
}

#[tokio::test]
async fn exactly_one_process_goes_on_after_a_dropped_leader() {
    dropped_leaders(in_memory()).await;
}

#[tokio::test]
async fn exactly_one_process_goes_on_over_a_server() {
    if installed() {
        let server = Server::start(&[]);
        dropped_leaders(on_server(&server)).await;
        server.is_empty_soon();
    }
}

async fn forgets([a, b, c]: [Arc<Process>; 3]) {
    let old = call!(a, |it| it.report(&id()));
    leads(&a, 1).await;
    let waits = call!(c, |it| it.report(&id()));
    while c.scope.stats().rows.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    settles().await;
    // B has never called it.
    assert_eq!(b.forget_report(&id()).await, Ok(()));
    // The wake-ups have arrived: neither where it is led, nor where it is waited for, is the old one joined.
    settles().await;
    a.world.bodies.store(0, SeqCst);
    let new = call!(a, |it| it.report(&id()));
    leads(&a, 2).await;
    let newer = [&b, &c].map(|it| call!(it, |it| it.report(&id())));
    settles().await;
    a.open.add_permits(2);
    for call in [old, new, waits].into_iter().chain(newer) {
        assert_eq!(call.await.expect("no panic").expect("an Ok").by, 1);
    }
    assert_eq!(a.bodies(), 1);
    assert_eq!((a.stats().led, a.stats().same_process), (2, 0));
}

#[tokio::test]
async fn forget_reaches_all_processes() {
    forgets(in_memory()).await;
}

#[tokio::test]
async fn forget_reaches_all_processes_over_a_server() {
    if installed() {
        let server = Server::start(&[]);
        forgets(on_server(&server)).await;
        server.is_empty_soon();
    }
}

#[tokio::test]
async fn an_err_stays_in_its_process() {
    let [a, b] = in_memory();
    a.world.fails.store(1, SeqCst);
    let first = call!(a, |it| it.report(&id()));
    leads(&a, 1).await;
    let other = call!(b, |it| it.report(&id()));
    settles().await;
    open([&a, &b]);
    assert!(matches!(first.await.expect("no panic"), Err(Error::Own(1))));
    assert!(matches!(other.await.expect("no panic"), Err(Error::Own(2))));
    assert_eq!(b.stats().no_value, 1);
}

async fn errors_travel([a, b]: [Arc<Process>; 2]) {
    for (fails, expected) in [(1, Err("process 1 has none")), (0, Ok(1))] {
        a.world.fails.store(fails, SeqCst);
        a.world.bodies.store(0, SeqCst);
        let led = a.stats().led;
        let first = call!(a, |it| it.checked(id()));
        leads(&a, led + 1).await;
        let other = call!(b, |it| it.checked(id()));
        waits_for(&b).await;
        settles().await;
        a.open.add_permits(1);
        for call in [first, other] {
            let result = call.await.expect("no panic");
            let result = result.as_ref().map(|report| report.by);
            assert_eq!(result.map_err(|error| &**error), expected);
        }
        assert_eq!(a.bodies(), 1);
    }
    assert_eq!((b.stats().followed, b.stats().no_value), (2, 0));
}

#[tokio::test]
async fn with_across_err_an_err_answers_all_processes() {
    errors_travel(in_memory()).await;
}

#[tokio::test]
async fn with_across_err_an_err_answers_all_processes_over_a_server() {
    if installed() {
        let server = Server::start(&[]);
        errors_travel(on_server(&server)).await;
        server.is_empty_soon();
    }
}

#[tokio::test]
async fn a_panic_stays_in_its_process() {
    let [a, b] = in_memory();
    let first = call!(a, |it| it.panics());
    leads(&a, 1).await;
    let other = call!(b, |it| it.panics());
    settles().await;
    open([&a, &b]);
    assert!(first.await.expect_err("a panic").is_panic());
    assert_eq!(other.await.expect("no panic"), 1);
}

#[tokio::test]
async fn max_age_counts_from_the_begin_of_the_execution() {
    let [a, b] = in_memory();
    let old = call!(a, |it| it.young(1));
    leads(&a, 1).await;
    sleep(Duration::from_millis(40)).await;
    let follows = call!(b, |it| it.young(1));
    waits_for(&b).await;
    sleep(Duration::from_millis(40)).await;
    // The flight here is younger than 60 ms, but what it waits for is not.
    let new = call!(b, |it| it.young(1));
    leads(&b, 1).await;
    open([&a, &b]);
    assert_eq!(old.await.expect("no panic"), (1, 0));
    let follows = follows.await.expect("no panic");
    let new = new.await.expect("no panic");
    assert_eq!(new, (1, 1));
    assert!(follows.1 <= 1);
}

/// It waits for another process, or has begun its body.
async fn waits_for(process: &Process) {
    while process.scope.stats().rows.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn instances_of_a_generic_function_are_told_apart() {
    let [a, b] = in_memory();
    let calls = [call!(a, |it| it.generic(1_u8))];
    leads(&a, 1).await;
    // It serialises to the same bytes.
    let others = [call!(b, |it| it.generic(1_u64))];
    leads(&b, 1).await;
    open([&a, &b]);
    for call in calls {
        assert_eq!(call.await.expect("no panic"), "u8 1");
    }
    for call in others {
        assert_eq!(call.await.expect("no panic"), "u64 1");
    }
}

#[tokio::test]
async fn parts_of_any_kind_are_in_the_key() {
    let [a, b] = in_memory();
    for process in [&a, &b] {
        let sum = process.by_part(&["x", "y"], ("abc", 1), Some("z")).await;
        assert_eq!(sum, 6);
    }
    assert_eq!(a.bodies(), 2);
    assert_eq!((a.stats().led, b.stats().led), (1, 1));
}

#[dedup(across = fleet, scope = scope, skip(fleet, bodies, open))]
async fn scoped(
    scope: &Scope,
    fleet: &Fleet,
    bodies: &AtomicU32,
    open: &Semaphore,
    id: u64,
) -> u64 {
    bodies.fetch_add(1, SeqCst);
    open.acquire().await.expect("open").forget();
    id
}

/// How many bodies run at once if two processes call in these scopes.
async fn bodies_in(scopes: [Scope; 2]) -> u32 {
    let store = Memory::new();
    let fleets = [store.process(), store.process()]
        .map(|it| patient(&Fleet::new("test", it).with_build("1")));
    let (bodies, open) = (AtomicU32::new(0), Semaphore::new(0));
    let [a, b] = &fleets;
    let [one, other] = &scopes;
    tokio::join!(
        scoped(one, a, &bodies, &open, 1),
        scoped(other, b, &bodies, &open, 1),
        async {
            settles().await;
            open.add_permits(2);
        }
    );
    bodies.load(SeqCst)
}

#[tokio::test]
async fn only_scopes_of_one_name_share() {
    assert_eq!(bodies_in(["a", "a"].map(Scope::named)).await, 1);
    assert_eq!(bodies_in(["a", "b"].map(Scope::named)).await, 2);
    assert_eq!(bodies_in([Scope::new(), Scope::new()]).await, 2);
    assert_eq!(bodies_in([Scope::named("a"), Scope::new()]).await, 2);
    assert_eq!(bodies_in([Scope::named(""), Scope::global()]).await, 2);
}

#[tokio::test]
async fn a_local_fleet_changes_nothing() {
    let [a, b] = processes([Fleet::local(), Fleet::local()]);
    open([&a, &b]);
    let id = id();
    let results = tokio::join!(a.report(&id), b.report(&id));
    assert_eq!((results.0.unwrap().by, results.1.unwrap().by), (1, 2));
    assert_eq!(a.forget_report(&id).await, Ok(()));
    assert_eq!(a.scope.stats().rows[0].fleet, None);
}

#[tokio::test]
async fn a_dead_store_fails_no_call() {
    if !installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let [a, b] = processes(server.fleets());
    server.kill();
    until("it is away", || !a.fleet.is_up() && !b.fleet.is_up());
    open([&a, &b]);
    let id = id();
    let results = tokio::join!(a.report(&id), b.report(&id));
    assert_eq!((results.0.unwrap().by, results.1.unwrap().by), (1, 2));
    assert_eq!(a.scope.stats().rows[0].fleet.expect("it was asked").away, 1);
    assert!(a.forget_report(&id).await.is_err());
}
