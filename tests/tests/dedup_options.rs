//! The options that say where flights live, which of them a call joins, and what else is generated.

use std::task::Poll;
use std::time::Duration;

use piggyback::{Kind, Row, Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};
use tokio::time::{advance, sleep};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn row(scope: &Scope, function: &str) -> Row {
    let mut rows = scope.stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

mod scope {
    use super::*;

    struct Service {
        scope: Scope,
        _connection: std::cell::Cell<u8>,
    }

    impl Service {
        fn new(scope: &Scope) -> Self {
            Self {
                scope: scope.clone(),
                _connection: std::cell::Cell::new(0),
            }
        }

        #[dedup(scope = self.scope, skip(runs))]
        async fn user(&self, runs: &Count, id: u64) -> (u64, usize) {
            let run = runs.next();
            one_turn().await;
            (id, run)
        }
    }

    #[test]
    fn instances_with_scopes_of_their_own_do_not_share() {
        let (a, b) = (Service::new(&Scope::new()), Service::new(&Scope::default()));
        let runs = Count::new();
        let mut in_a = [(); 2].map(|()| ByHand::waiting(a.user(&runs, 1)));
        let mut in_b = [(); 2].map(|()| ByHand::waiting(b.user(&runs, 1)));
        assert_eq!(in_a.each_mut().map(ByHand::poll), [Poll::Ready((1, 1)); 2]);
        assert_eq!(in_b.each_mut().map(ByHand::poll), [Poll::Ready((1, 2)); 2]);
    }

    #[test]
    fn the_clones_of_a_scope_are_the_same_scope_and_stand_for_the_receiver() {
        let scope = Scope::new();
        let (a, b) = (Service::new(&scope), Service::new(&scope.clone()));
        let runs = Count::new();
        let mut calls = [
            ByHand::waiting(a.user(&runs, 1)),
            ByHand::waiting(b.user(&runs, 1)),
        ];
        assert_eq!(calls.each_mut().map(ByHand::poll), [Poll::Ready((1, 1)); 2]);
    }

    #[test]
    fn the_global_scope_is_one_more_scope() {
        let (global, own) = (Service::new(&Scope::global()), Service::new(&Scope::new()));
        let runs = Count::new();
        let _calls = [
            ByHand::waiting(global.user(&runs, 1)),
            ByHand::waiting(own.user(&runs, 1)),
        ];
        assert_eq!(runs.get(), 2);
        let name = "dedup_options::scope::Service::user";
        assert_eq!(row(&Scope::global(), name).in_flight, 1);
        assert_eq!(row(&own.scope, name).in_flight, 1);
    }

    #[test]
    fn a_call_outlives_the_scope_in_which_it_began() {
        #[dedup(scope = scope)]
        async fn user(scope: Scope, id: u64) -> u64 {
            drop(scope);
            one_turn().await;
            one_turn().await;
            id
        }

        let scope = Scope::new();
        let mut leader = ByHand::waiting(user(scope.clone(), 1));
        let mut follower = ByHand::waiting(user(scope.clone(), 1));
        drop(scope);
        assert!(leader.poll().is_pending());
        assert_eq!(leader.poll(), Poll::Ready(1));
        assert_eq!(follower.poll(), Poll::Ready(1));
    }

    #[test]
    fn instances_of_a_generic_do_not_share_a_scopes_table() {
        #[dedup(scope = scope, skip(runs))]
        async fn load<T: 'static>(scope: &Scope, runs: &Count, id: u64) -> (u64, usize) {
            let run = runs.next();
            one_turn().await;
            assert!(size_of::<T>() > 0);
            (id, run)
        }

        let (scope, runs) = (Scope::new(), Count::new());
        let mut a = ByHand::waiting(load::<u8>(&scope, &runs, 1));
        let mut b = ByHand::waiting(load::<u16>(&scope, &runs, 1));
        let mut c = ByHand::waiting(load::<u16>(&scope, &runs, 1));
        assert_eq!(a.poll(), Poll::Ready((1, 1)));
        assert_eq!(b.poll(), Poll::Ready((1, 2)));
        assert_eq!(c.poll(), Poll::Ready((1, 2)));
    }

    #[test]
    fn stats_show_what_happened() {
        #[dedup(scope = scope, name = "users", skip(gate))]
        async fn user(scope: &Scope, gate: &Gate, id: u64) -> u64 {
            gate.passed().await;
            id
        }
        #[dedup(scope = scope, name = "orders")]
        async fn order(scope: &Scope, id: u64) -> u64 {
            id
        }

        let (scope, gate) = (Scope::new(), Gate::new());
        let call = |id| ByHand::waiting(user(&scope, &gate, id));
        let mut calls = [call(1), call(1), call(1), call(2)];
        let left = [call(2), call(2)];
        assert_eq!(block_on(order(&scope, 1)), 1);
        drop(left);
        let before = row(&scope, "users");
        assert_eq!((before.calls, before.executions, before.shared), (6, 2, 0));
        assert_eq!((before.in_flight, before.waiting), (2, 2));
        gate.open();
        for call in &mut calls {
            assert!(call.poll().is_ready());
        }
        let after = row(&scope, "users");
        assert_eq!((after.calls, after.executions, after.shared), (6, 2, 2));
        assert_eq!((after.in_flight, after.waiting), (0, 0));
        assert!(matches!(
            after.kind,
            Kind::Dedup {
                leaders_dropped: 0,
                leaders_stalled: 0,
                reentrant: 0,
                ..
            }
        ));
        let names: Vec<_> = scope
            .stats()
            .rows
            .into_iter()
            .map(|row| row.function)
            .collect();
        assert_eq!(names, ["orders", "users"]);
        let table = scope.stats().to_string();
        assert!(
            table.lines().count() == 3 && table.contains("users"),
            "{table}"
        );
    }
}

mod max_age {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_joins_only_flights_that_are_young_enough() {
        static RUNS: Count = Count::new();
        static GATE: Gate = Gate::new();
        #[dedup(max_age_ms = 100)]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            GATE.passed().await;
            (id, run)
        }

        let mut first = ByHand::waiting(user(1));
        advance(ms(100)).await;
        let mut joins = ByHand::waiting(user(1));
        assert_eq!(RUNS.get(), 1);
        advance(ms(1)).await;
        let mut second = ByHand::waiting(user(1));
        assert_eq!(RUNS.get(), 2);
        // Later calls join the new one, which began a while ago by now.
        advance(ms(99)).await;
        let mut joins_second = ByHand::waiting(user(1));
        assert_eq!(RUNS.get(), 2);
        GATE.open();
        assert_eq!(second.poll(), Poll::Ready((1, 2)));
        assert_eq!(joins_second.poll(), Poll::Ready((1, 2)));
        assert_eq!(first.poll(), Poll::Ready((1, 1)));
        assert_eq!(joins.poll(), Poll::Ready((1, 1)));
    }

    /// A clock that is an hour ahead made the table, another opened the flight, and each call has its own.
    #[test]
    fn another_clock_never_makes_an_old_flight_young() {
        static RUNS: Count = Count::new();
        #[dedup(max_age_ms = 100)]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            std::future::pending::<()>().await;
            (id, run)
        }

        let paused = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().unwrap()
        };
        let (ahead, behind) = (paused(), paused());
        let _first = ahead.block_on(async {
            advance(ms(3_600_000)).await;
            ByHand::waiting(user(0))
        });
        let call = |id, of: &tokio::runtime::Runtime, passes| {
            of.block_on(async {
                advance(ms(passes)).await;
                ByHand::waiting(user(id))
            })
        };
        assert_eq!(RUNS.get(), 1);
        // On the clock that is behind, ages still count.
        let _calls = [call(1, &behind, 0), call(1, &behind, 100)];
        assert_eq!(RUNS.get(), 2);
        let _calls = [call(1, &behind, 1)];
        assert_eq!(RUNS.get(), 3);
        // Neither of two clocks that are far apart takes the other's flight for a young one.
        let _calls = [call(2, &ahead, 0), call(2, &behind, 0)];
        assert_eq!(RUNS.get(), 5);
        let _calls = [call(2, &ahead, 0)];
        assert_eq!(RUNS.get(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_flight_that_ends_does_not_remove_the_new_one() {
        static RUNS: Count = Count::new();
        #[dedup(max_age_ms = 10, name = "old one ends", skip(gate))]
        async fn user(id: u64, gate: &Gate) -> (u64, usize) {
            let run = RUNS.next();
            gate.passed().await;
            (id, run)
        }

        let (old, new) = (Gate::new(), Gate::new());
        let mut first = ByHand::waiting(user(1, &old));
        advance(ms(11)).await;
        let mut second = ByHand::waiting(user(1, &new));
        old.open();
        assert_eq!(first.poll(), Poll::Ready((1, 1)));
        let mut joins = ByHand::waiting(user(1, &new));
        assert_eq!(RUNS.get(), 2);
        new.open();
        assert_eq!(second.poll(), Poll::Ready((1, 2)));
        assert_eq!(joins.poll(), Poll::Ready((1, 2)));
        assert_eq!(row(&Scope::global(), "old one ends").in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_flights_followers_stay_and_take_over() {
        static RUNS: Count = Count::new();
        #[dedup(max_age_ms = 10, name = "old one's followers")]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            one_turn().await;
            (id, run)
        }

        let old = ByHand::waiting(user(1));
        let mut follower = ByHand::waiting(user(1));
        advance(ms(11)).await;
        let mut new = ByHand::waiting(user(1));
        drop(old);
        assert!(follower.takes_over().is_pending());
        assert_eq!(new.poll(), Poll::Ready((1, 2)));
        assert_eq!(follower.poll(), Poll::Ready((1, 3)));
        assert_eq!(row(&Scope::global(), "old one's followers").in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_may_be_zero_or_an_expression() {
        static RUNS: Count = Count::new();
        const AGE: u64 = 5;
        #[dedup(max_age_ms = AGE * 2)]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            sleep(ms(50)).await;
            (id, run)
        }

        let first = tokio::spawn(user(1));
        sleep(ms(10)).await;
        let joins = tokio::spawn(user(1));
        sleep(ms(1)).await;
        let second = tokio::spawn(user(1));
        assert_eq!(first.await.unwrap(), (1, 1));
        assert_eq!(joins.await.unwrap(), (1, 1));
        assert_eq!(second.await.unwrap(), (1, 2));
    }
}

mod max_followers {
    use super::*;

    #[test]
    fn callers_beyond_it_run_by_themselves() {
        static RUNS: Count = Count::new();
        #[dedup(max_followers = 2, name = "at most two")]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            one_turn().await;
            (id, run)
        }

        let mut leader = ByHand::waiting(user(1));
        let mut followers = [(); 2].map(|()| ByHand::waiting(user(1)));
        let mut beyond = [(); 2].map(|()| ByHand::waiting(user(1)));
        assert_eq!(RUNS.get(), 3);
        assert_eq!(beyond[0].poll(), Poll::Ready((1, 2)));
        assert_eq!(beyond[1].poll(), Poll::Ready((1, 3)));
        // A caller that leaves makes room.
        let [stays, leaves] = &mut followers;
        assert!(stays.poll().is_pending());
        assert!(leaves.poll().is_pending());
        let [mut stays, leaves] = followers;
        drop(leaves);
        let mut joins = ByHand::waiting(user(1));
        let mut beyond = ByHand::waiting(user(1));
        assert_eq!(beyond.poll(), Poll::Ready((1, 4)));
        assert_eq!(leader.poll(), Poll::Ready((1, 1)));
        assert_eq!(stays.poll(), Poll::Ready((1, 1)));
        assert_eq!(joins.poll(), Poll::Ready((1, 1)));
        let row = row(&Scope::global(), "at most two");
        assert_eq!((row.calls, row.executions, row.shared), (7, 4, 2));
        assert_eq!((row.in_flight, row.waiting), (0, 0));
    }

    #[test]
    fn a_call_that_runs_by_itself_gets_the_original_and_leaves_no_trace() {
        static RUNS: Count = Count::new();
        #[derive(Debug)]
        struct Failed;
        #[dedup(max_followers = 1, share_err = |_| panic!("the original"), skip(gate))]
        async fn user(id: u64, gate: &Gate) -> Result<u64, Failed> {
            RUNS.next();
            gate.passed().await;
            if RUNS.get() == 2 { Err(Failed) } else { Ok(id) }
        }

        let (gate, beside) = (Gate::new(), Gate::new());
        let mut leader = ByHand::waiting(user(1, &gate));
        let mut follower = ByHand::waiting(user(1, &gate));
        let mut alone = ByHand::waiting(user(1, &beside));
        beside.open();
        assert!(matches!(alone.poll(), Poll::Ready(Err(Failed))));
        drop(ByHand::waiting(user(1, &gate)));
        gate.open();
        assert!(matches!(leader.poll(), Poll::Ready(Ok(1))));
        assert!(matches!(follower.poll(), Poll::Ready(Ok(1))));
    }
}

mod forget {
    use super::*;

    #[test]
    fn calls_that_begin_after_it_do_not_join_older_flights() {
        static RUNS: Count = Count::new();
        #[dedup(forget = forget_user, skip(gate))]
        async fn user(gate: &Gate, id: u64) -> (u64, usize) {
            let run = RUNS.next();
            gate.passed().await;
            (id, run)
        }

        let (old, new) = (Gate::new(), Gate::new());
        let mut leader = ByHand::waiting(user(&old, 1));
        let mut follower = ByHand::waiting(user(&old, 1));
        let mut other = ByHand::waiting(user(&old, 2));
        forget_user(&old, 1);
        let mut fresh = ByHand::waiting(user(&new, 1));
        let mut joins = ByHand::waiting(user(&new, 1));
        let mut joins_other = ByHand::waiting(user(&new, 2));
        assert_eq!(RUNS.get(), 3);
        // The old one's end leaves the new one alone.
        old.open();
        assert_eq!(leader.poll(), Poll::Ready((1, 1)));
        assert_eq!(follower.poll(), Poll::Ready((1, 1)));
        assert_eq!(other.poll(), Poll::Ready((2, 2)));
        assert_eq!(joins_other.poll(), Poll::Ready((2, 2)));
        let mut joins_too = ByHand::waiting(user(&new, 1));
        new.open();
        assert_eq!(fresh.poll(), Poll::Ready((1, 3)));
        assert_eq!(joins.poll(), Poll::Ready((1, 3)));
        assert_eq!(joins_too.poll(), Poll::Ready((1, 3)));
        // Nothing there to forget.
        forget_user(&new, 1);
        forget_user(&new, 99);
    }

    #[test]
    fn followers_of_a_forgotten_flight_can_take_over() {
        static RUNS: Count = Count::new();
        #[dedup(forget = forget_user, name = "forgotten")]
        async fn user(id: u64) -> (u64, usize) {
            let run = RUNS.next();
            one_turn().await;
            (id, run)
        }

        let leader = ByHand::waiting(user(1));
        let mut follower = ByHand::waiting(user(1));
        forget_user(1);
        let mut fresh = ByHand::waiting(user(1));
        drop(leader);
        assert!(follower.takes_over().is_pending());
        assert_eq!(follower.poll(), Poll::Ready((1, 3)));
        assert_eq!(fresh.poll(), Poll::Ready((1, 2)));
        let row = row(&Scope::global(), "forgotten");
        assert_eq!((row.in_flight, row.waiting), (0, 0));
    }

    #[test]
    fn it_forgets_in_its_own_scope_and_instance() {
        struct Users<T>(Scope, std::marker::PhantomData<T>);
        impl<T: 'static> Users<T> {
            #[dedup(scope = self.0, forget = forget_user, skip(runs))]
            async fn user(&self, runs: &Count, id: u64) -> (u64, usize) {
                let run = runs.next();
                one_turn().await;
                (id, run)
            }
        }

        let (scope, runs) = (Scope::new(), Count::new());
        let a = Users::<u8>(scope.clone(), std::marker::PhantomData);
        let b = Users::<u16>(scope, std::marker::PhantomData);
        let c = Users::<u8>(Scope::new(), std::marker::PhantomData);
        let _up = [&a, &c].map(|users| ByHand::waiting(users.user(&runs, 1)));
        let _other = ByHand::waiting(b.user(&runs, 1));
        a.forget_user(&runs, 1);
        let _joins = ByHand::waiting(b.user(&runs, 1));
        let _joins_too = ByHand::waiting(c.user(&runs, 1));
        assert_eq!(runs.get(), 3);
        let _fresh = ByHand::waiting(a.user(&runs, 1));
        assert_eq!(runs.get(), 4);
    }

    #[test]
    fn it_forgets_for_the_parameters_it_is_called_with() {
        #[dedup(forget = forget_page, skip(runs))]
        #[allow(clippy::needless_lifetimes)]
        async fn page<'a, T, const SIZE: usize>(runs: &'a Count, after: T) -> (T, usize)
        where
            T: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
        {
            let run = runs.next();
            one_turn().await;
            (after, run)
        }

        let runs = Count::new();
        let _small = ByHand::waiting(page::<u64, 10>(&runs, 1));
        let _large = ByHand::waiting(page::<u64, 99>(&runs, 1));
        forget_page::<u64, 10>(&runs, 1);
        let _joins = ByHand::waiting(page::<u64, 99>(&runs, 1));
        assert_eq!(runs.get(), 2);
        let _fresh = ByHand::waiting(page::<u64, 10>(&runs, 1));
        assert_eq!(runs.get(), 3);
    }

    #[test]
    fn it_forgets_with_an_argument_behind_impl() {
        trait Executor<'c>: Sized {}
        impl<'c> Executor<'c> for &'c Count {}

        #[dedup(forget = forget_balance, skip(executor, runs))]
        async fn balance(executor: impl Executor<'_>, runs: &Count, account: u64) -> (u64, usize) {
            drop(executor);
            let run = runs.next();
            one_turn().await;
            (account, run)
        }

        let runs = Count::new();
        let _old = ByHand::waiting(balance(&runs, &runs, 1));
        forget_balance(&runs, &runs, 1);
        let _fresh = ByHand::waiting(balance(&runs, &runs, 1));
        assert_eq!(runs.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_reads_its_own_writes() {
        static STORED: Count = Count::new();
        #[dedup(forget = forget_stored)]
        async fn stored() -> usize {
            let stored = STORED.get();
            sleep(ms(10)).await;
            stored
        }

        let slow = tokio::spawn(stored());
        sleep(ms(1)).await;
        STORED.next();
        forget_stored();
        assert_eq!(stored().await, 1);
        assert_eq!(slow.await.unwrap(), 0);
    }
}

mod direct_and_names {
    use super::*;

    struct Users(Count);

    impl Users {
        #[dedup(direct = user_now, skip(self), name = "named")]
        async fn user(&self, id: u64) -> (u64, usize) {
            let run = self.0.next();
            one_turn().await;
            (id, run)
        }
    }

    #[test]
    fn direct_keeps_the_function_as_it_was_written() {
        let users = Users(Count::new());
        let mut calls = [(); 2].map(|()| ByHand::waiting(users.user(1)));
        let mut direct = [(); 2].map(|()| ByHand::waiting(users.user_now(1)));
        assert_eq!(calls.each_mut().map(ByHand::poll), [Poll::Ready((1, 1)); 2]);
        let ended = direct.each_mut().map(ByHand::poll);
        assert_eq!(ended, [Poll::Ready((1, 2)), Poll::Ready((1, 3))]);
        assert_eq!(row(&Scope::global(), "named").calls, 2);
    }

    #[test]
    fn without_a_name_it_is_the_path() {
        #[dedup]
        async fn in_a_module(id: u64) -> u64 {
            id
        }

        assert_eq!(block_on(in_a_module(1)), 1);
        let path = "dedup_options::direct_and_names::in_a_module";
        assert_eq!(row(&Scope::global(), path).calls, 1);
    }

    mod elsewhere {
        pub use ::piggyback as shares;
    }

    #[test]
    fn the_crate_may_be_reexported() {
        #[dedup(crate = elsewhere::shares)]
        async fn user(id: u64) -> u64 {
            id
        }

        assert_eq!(block_on(user(1)), 1);
    }
}
