//! Groups: calls are batched together when their other arguments are equal, by value, and groups don't wait for each other.

mod bulk;

use bulk::{Log, begun, since, sleep_ms};
use piggyback::{Scope, batch};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn one_batch_a_tenant() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: &Log<(String, u64)>, tenant: &str, ids: Vec<u64>) {
        log.note(
            &ids.iter()
                .map(|&id| (tenant.to_owned(), id))
                .collect::<Vec<_>>(),
        );
    }
    let log = Log::default();
    let (a, b) = (String::from("a"), String::from("b"));
    tokio::join!(
        save(&log, "a", 1),
        save(&log, &b, 2),
        save(&log, &a, 3),
        save(&log, "b", 4)
    );
    let mut calls = log.calls();
    calls.sort();
    let row = |tenant: &str, id| (tenant.to_owned(), id);
    assert_eq!(
        calls,
        [[row("a", 1), row("a", 3)], [row("b", 2), row("b", 4)]]
    );
}

#[tokio::test(start_paused = true)]
async fn groups_whose_keys_hash_alike_are_never_mixed() {
    #[derive(Clone, PartialEq, Eq)]
    struct Tenant(u64);
    impl std::hash::Hash for Tenant {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            0_u8.hash(state);
        }
    }
    #[batch(size = 10, delay_ms = 10)]
    async fn echo(tenant: Tenant, ids: Vec<u64>) -> Vec<(u64, usize)> {
        let together = ids.len();
        ids.iter().map(|_| (tenant.0, together)).collect()
    }
    let calls: Vec<_> = (0..100)
        .map(|id| tokio::spawn(echo(Tenant(id / 2), id)))
        .collect();
    for (id, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), (id as u64 / 2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_tenant_delays_no_other_tenant() {
    #[batch(size = 5, delay_ms = 10, concurrency = 1)]
    async fn save(tenant: u64, ids: Vec<u64>) {
        let _ = ids;
        sleep_ms(if tenant == 0 { 1_000 } else { 1 }).await;
    }
    let slow: Vec<_> = (0..50).map(|id| tokio::spawn(save(0, id))).collect();
    sleep_ms(100).await;
    for tenant in 1..100 {
        let start = Instant::now();
        save(tenant, 0).await;
        assert_eq!(since(start), 11);
    }
    for call in slow {
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn skipped_arguments_come_from_the_call_that_opened_the_batch() {
    #[batch(size = 10, delay_ms = 10, skip(request))]
    async fn save(request: u64, ids: Vec<u64>) -> Vec<u64> {
        ids.iter().map(|_| request).collect()
    }
    assert_eq!(tokio::join!(save(7, 1), save(8, 2), save(9, 3)), (7, 7, 7));
}

#[tokio::test(start_paused = true)]
async fn a_key_expression_stands_for_its_argument() {
    #[derive(Clone)]
    struct Request {
        tenant: u64,
    }
    #[batch(size = 10, delay_ms = 10, key(request = request.tenant), skip(log))]
    async fn save(log: &Log, request: &Request, ids: Vec<u64>) {
        let _ = request;
        log.note(&ids);
    }
    let (log, one, other) = (Log::default(), Request { tenant: 1 }, Request { tenant: 1 });
    tokio::join!(save(&log, &one, 1), save(&log, &other, 2));
    assert_eq!(log.calls(), [[1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn every_monomorphisation_is_its_own_function() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save<M: Send + 'static>(log: &Log, ids: Vec<u64>) {
        let _ = std::any::type_name::<M>();
        log.note(&ids);
    }
    let log = Log::default();
    tokio::join!(
        save::<u8>(&log, 1),
        save::<u16>(&log, 2),
        save::<u8>(&log, 3)
    );
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(calls, [vec![1, 3], vec![2]]);
}

#[tokio::test(start_paused = true)]
async fn scopes_share_nothing() {
    #[derive(Clone)]
    struct Service {
        scope: Scope,
        log: Log,
    }
    impl Service {
        #[batch(size = 10, delay_ms = 10, scope = self.scope)]
        async fn save(&self, ids: Vec<u64>) {
            self.log.note(&ids);
        }
    }
    let log = Log::default();
    let service = || Service {
        scope: Scope::new(),
        log: log.clone(),
    };
    let (a, b) = (service(), service());
    let a_again = a.clone();
    tokio::join!(a.save(1), b.save(2), a_again.save(3));
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(calls, [vec![1, 3], vec![2]]);
}

#[tokio::test(start_paused = true)]
async fn stats_say_how_batches_were_closed() {
    use piggyback::Kind;
    #[batch(size = 2, delay_ms = 10, scope = scope.clone(), skip(scope))]
    async fn save(scope: &Scope, ids: Vec<u64>) {
        let _ = (scope, ids);
    }
    let scope = Scope::new();
    tokio::join!(save(&scope, 1), save(&scope, 2));
    save(&scope, 3).await;
    let open = begun(save(&scope, 4)).await;
    assert_eq!(scope.stats().rows[0].waiting, 1);
    scope.flush().await;
    open.await;
    drop(begun(save(&scope, 5)).await);

    let row = &scope.stats().rows[0];
    assert!(row.function.ends_with("::save"), "{}", row.function);
    assert_eq!((row.calls, row.executions, row.shared), (5, 3, 1));
    assert_eq!((row.in_flight, row.waiting, row.panics), (0, 0, 0));
    let Kind::Batch {
        items,
        largest,
        closed,
        ..
    } = &row.kind
    else {
        panic!("{row:?}")
    };
    assert_eq!((*items, *largest), (4, 2));
    assert_eq!((closed.size, closed.delay, closed.flush), (1, 1, 1));
}
