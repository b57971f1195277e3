//! The parts of a key, how keys are compared, and when they are copied.

use std::borrow::{Borrow, Cow};
use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;

use piggyback::{Row, Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate};

/// The number of a function's executions that are in flight. Each test's function has its own `name`, since tests run side by side.
fn up(function: &str) -> u64 {
    row(function).in_flight
}

fn row(function: &str) -> Row {
    let mut rows = Scope::global().stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

thread_local! {
    static OWNED: Cell<usize> = const { Cell::new(0) };
}

/// Copies made on this thread by `call`.
fn copies<R>(call: impl FnOnce() -> R) -> (R, usize) {
    let before = OWNED.get();
    let result = call();
    (result, OWNED.get() - before)
}

/// Lent as `&Name`, kept as [`OwnedName`]; counts its copies.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Name(u64);
#[derive(Debug)]
struct OwnedName(Name);

impl ToOwned for Name {
    type Owned = OwnedName;
    fn to_owned(&self) -> OwnedName {
        OWNED.set(OWNED.get() + 1);
        OwnedName(Name(self.0))
    }
}

impl Borrow<Name> for OwnedName {
    fn borrow(&self) -> &Name {
        &self.0
    }
}

/// Given by value; counts its copies.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Given(u64);

impl Clone for Given {
    fn clone(&self) -> Self {
        OWNED.set(OWNED.get() + 1);
        Self(self.0)
    }
}

#[test]
fn a_flight_copies_its_key_once_and_a_follower_never() {
    #[dedup(name = "copies")]
    async fn user(name: &Name, maybe: Option<&Name>, names: &[&Name], given: Given) -> u64 {
        let _ = (name, maybe, names, given);
        pending().await
    }

    let (one, two) = (Name(1), Name(2));
    let (names, other) = ([&one, &two], [Name(1), Name(2)]);
    let call = |id| user(&one, Some(&two), &names, Given(id));
    let (leader, made) = copies(|| ByHand::waiting(call(1)));
    // One each for name, maybe and given, two for names.
    assert_eq!(made, 5);
    let (followers, made) = copies(|| {
        let mut followers: Vec<_> = (0..10).map(|_| ByHand::waiting(call(1))).collect();
        for follower in &mut followers {
            assert!(follower.poll().is_pending());
        }
        followers
    });
    assert_eq!((made, up("copies")), (0, 1));
    // Equal by value, from elsewhere.
    let names = [&other[0], &other[1]];
    let equal = user(&other[0], Some(&other[1]), &names, Given(1));
    let (_equal, made) = copies(|| ByHand::waiting(equal));
    assert_eq!((made, up("copies")), (0, 1));
    // Nor does the one that takes over, nor is anything copied at the end.
    let mut followers = followers;
    let (_, made) = copies(|| {
        drop(leader);
        assert!(followers[0].poll().is_pending());
    });
    assert_eq!((made, up("copies")), (0, 1));
}

/// While it is cloned for the first time, it waits for the test.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slow(Box<u64>);

mod slow {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;
    use std::time::{Duration, Instant};

    static CLONING: AtomicBool = AtomicBool::new(false);
    static GO_ON: Mutex<Option<Receiver<()>>> = Mutex::new(None);

    impl Clone for Slow {
        fn clone(&self) -> Self {
            if *self.0 == 1 && !CLONING.swap(true, SeqCst) {
                let go_on = GO_ON.lock().unwrap().take().unwrap();
                let _ = go_on.recv_timeout(Duration::from_secs(20));
            }
            Self(self.0.clone())
        }
    }

    #[test]
    fn a_key_that_is_slow_to_copy_blocks_no_other_call() {
        // A scope's functions have a single lock each.
        #[dedup(name = "slow copy", scope = scope)]
        async fn user(scope: &piggyback::Scope, key: Slow) -> u64 {
            let id = *key.0;
            if id == 1 { pending().await } else { id }
        }

        let scope = piggyback::Scope::new();
        let (go_on, waits) = channel();
        *GO_ON.lock().unwrap() = Some(waits);
        let began = Instant::now();
        thread::scope(|threads| {
            let copies = threads.spawn(|| ByHand::new(user(&scope, Slow(Box::new(1)))).poll());
            while !CLONING.load(SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            let mut other = ByHand::new(user(&scope, Slow(Box::new(2))));
            assert_eq!(other.poll(), std::task::Poll::Ready(2));
            // Nor one with the same key: it leads, and the one that has copied follows.
            let _leads = ByHand::waiting(user(&scope, Slow(Box::new(1))));
            assert!(began.elapsed() < Duration::from_secs(20));
            go_on.send(()).unwrap();
            assert!(copies.join().unwrap().is_pending());
            let row = &scope.stats().rows[0];
            assert_eq!((row.executions, row.in_flight), (2, 1));
        });
    }
}

#[test]
fn skipped_or_replaced_arguments_are_not_copied() {
    struct Pool;
    struct Request {
        path: Name,
    }
    #[dedup(name = "replaced", skip(pool), key(request = &request.path))]
    async fn user(pool: &Pool, request: &Request) -> u64 {
        let (_, _) = (pool, request);
        pending().await
    }

    let requests = [1, 1, 2].map(|path| Request { path: Name(path) });
    let (_leader, made) = copies(|| ByHand::waiting(user(&Pool, &requests[0])));
    assert_eq!(made, 1);
    let (_follower, made) = copies(|| ByHand::waiting(user(&Pool, &requests[1])));
    assert_eq!((made, up("replaced")), (0, 1));
    let (_leader, made) = copies(|| ByHand::waiting(user(&Pool, &requests[2])));
    assert_eq!((made, up("replaced")), (1, 2));
}

#[test]
fn an_argument_that_is_the_scope_is_not_in_the_key() {
    #[dedup(scope = &scope)]
    async fn user(scope: Scope, id: u64) -> u64 {
        drop(scope);
        pending::<()>().await;
        id
    }

    let (one, two) = (Scope::new(), Scope::new());
    let _calls = [&one, &one, &two].map(|scope| ByHand::waiting(user(scope.clone(), 1)));
    let in_flight = |scope: &Scope| scope.stats().rows[0].in_flight;
    assert_eq!((in_flight(&one), in_flight(&two)), (1, 1));
}

#[test]
fn nothing_is_left_out_without_being_said() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Service(u64);
    impl Service {
        #[dedup(name = "whole key")]
        async fn find(&self, id: u64, name: &str, page: Option<u32>, all: bool) -> u64 {
            // Not even what the body does not use.
            let _ = (id, name, page, all);
            pending().await
        }
    }

    let (a, b) = (Service(1), Service(2));
    let _calls = [
        ByHand::waiting(a.find(1, "a", None, true)),
        ByHand::waiting(b.find(1, "a", None, true)),
        ByHand::waiting(a.find(2, "a", None, true)),
        ByHand::waiting(a.find(1, "b", None, true)),
        ByHand::waiting(a.find(1, "a", Some(0), true)),
        ByHand::waiting(a.find(1, "a", None, false)),
    ];
    assert_eq!(up("whole key"), 6);
    let _equal = ByHand::waiting(Service(1).clone_into_find());
    assert_eq!(up("whole key"), 6);

    impl Service {
        async fn clone_into_find(self) -> u64 {
            self.find(1, "a", None, true).await
        }
    }
}

#[test]
fn parts_do_not_run_into_each_other() {
    #[dedup(name = "parts")]
    async fn pair(a: &str, b: &str, c: &[&str], d: &[u8]) -> u64 {
        let _ = (a, b, c, d);
        pending().await
    }

    let _calls = [
        ByHand::waiting(pair("a", "bc", &[], b"")),
        ByHand::waiting(pair("ab", "c", &[], b"")),
        ByHand::waiting(pair("a", "b", &["c"], b"")),
        ByHand::waiting(pair("", "", &["a", "bc"], b"")),
        ByHand::waiting(pair("", "", &["ab", "c"], b"")),
        ByHand::waiting(pair("", "", &["a", "b"], b"c")),
        ByHand::waiting(pair("", "", &[], b"abc")),
    ];
    assert_eq!(up("parts"), 7);
}

#[test]
fn borrowed_and_owned_forms_are_looked_up_by_value() {
    #[dedup(name = "forms")]
    async fn forms(
        text: &str,
        maybe: Option<&str>,
        cow: Cow<'_, str>,
        shared: Arc<str>,
        list: &Vec<String>,
        nested: Option<Option<u8>>,
        tuple: (u8, &'static str),
    ) -> u64 {
        let _ = (text, maybe, cow, shared, list, nested, tuple);
        pending().await
    }

    let lists = [vec![String::from("x")], vec![String::from("x")]];
    let texts = [String::from("t"), String::from("t")];
    let mut calls = Vec::new();
    for n in [0, 1] {
        let text = &texts[n];
        let cow = if n == 0 {
            Cow::Borrowed("c")
        } else {
            Cow::Owned("c".to_owned())
        };
        calls.push(ByHand::waiting(forms(
            text,
            Some(text),
            cow,
            "s".into(),
            &lists[n],
            Some(None),
            (1, "y"),
        )));
    }
    assert_eq!(up("forms"), 1);
}

#[test]
fn an_argument_written_as_underscore_is_not_in_the_key() {
    #[dedup(name = "underscore")]
    async fn user(_: &str, id: u64, _hint: &str) -> u64 {
        let _ = id;
        pending().await
    }

    let _calls = [
        ByHand::waiting(user("a", 1, "h")),
        ByHand::waiting(user("b", 1, "h")),
    ];
    assert_eq!(up("underscore"), 1);
    // A name that begins with one is a name.
    let _other = ByHand::waiting(user("a", 1, "i"));
    assert_eq!(up("underscore"), 2);
}

#[test]
fn a_patterns_bindings_are_the_arguments() {
    struct Path<T>(T);
    struct Query {
        page: u32,
        size: u32,
    }
    #[dedup(name = "pattern")]
    async fn handler(Path((a, b)): Path<(u64, u64)>, Query { page, size: n }: Query) -> u64 {
        let _ = (a, b, page, n);
        pending().await
    }

    let query = |page| Query { page, size: 9 };
    let _calls = [
        ByHand::waiting(handler(Path((1, 2)), query(1))),
        ByHand::waiting(handler(Path((1, 2)), query(1))),
        ByHand::waiting(handler(Path((2, 1)), query(1))),
        ByHand::waiting(handler(Path((1, 2)), query(2))),
    ];
    assert_eq!(up("pattern"), 3);
}

#[test]
fn key_expressions_stand_for_their_argument_and_the_others_stay() {
    struct Uri(String);
    impl Uri {
        fn path(&self) -> &str {
            self.0.split('?').next().unwrap()
        }
    }
    struct Request {
        uri: Uri,
    }
    impl Request {
        fn uri(&self) -> &Uri {
            &self.uri
        }
    }
    struct Service {
        tenant: u64,
        _connection: Cell<u8>,
    }
    impl Service {
        #[dedup(name = "expressions", key(req = req.uri().path(), self = self.tenant))]
        async fn page(&self, req: &Request, size: u32) -> u64 {
            let _ = (req, size);
            pending().await
        }
    }

    let service = |tenant| Service {
        tenant,
        _connection: Cell::new(0),
    };
    let request = |uri: &str| Request {
        uri: Uri(uri.into()),
    };
    let services = [service(1), service(1), service(2)];
    let requests = [request("/a?x"), request("/a?y"), request("/b?x")];
    let _same = [
        ByHand::waiting(services[0].page(&requests[0], 1)),
        ByHand::waiting(services[1].page(&requests[1], 1)),
    ];
    assert_eq!(up("expressions"), 1);
    let _others = [
        ByHand::waiting(services[2].page(&requests[0], 1)),
        ByHand::waiting(services[0].page(&requests[2], 1)),
        ByHand::waiting(services[0].page(&requests[0], 2)),
    ];
    assert_eq!(up("expressions"), 4);
}

#[test]
fn the_members_of_a_tuple_in_key_may_be_borrowed_and_are_copied_once() {
    struct User {
        name: Name,
        email: Option<String>,
        id: u64,
    }

    #[dedup(name = "tuple", key(user = (&user.name, (user.email.as_deref(), user.id))))]
    async fn posts(user: &User) -> u64 {
        let _ = user;
        pending().await
    }

    let user = |name, email: Option<&str>, id| User {
        name: Name(name),
        email: email.map(str::to_owned),
        id,
    };
    let same = [user(1, Some("a"), 1), user(1, Some("a"), 1)];
    let (leader, made) = copies(|| ByHand::waiting(posts(&same[0])));
    assert_eq!(made, 1);
    let (follower, made) = copies(|| ByHand::waiting(posts(&same[1])));
    assert_eq!(made, 0);
    assert_eq!(up("tuple"), 1);
    let others = [
        user(2, Some("a"), 1),
        user(1, Some("b"), 1),
        user(1, None, 1),
        user(1, Some("a"), 2),
    ];
    let calls = others.each_ref().map(|user| ByHand::waiting(posts(user)));
    assert_eq!(up("tuple"), 5);
    drop((leader, follower, calls));
    assert_eq!(up("tuple"), 0);
}

#[test]
fn instances_of_a_generic_never_share_even_if_all_types_agree() {
    trait Store {
        fn runs() -> &'static Count;
    }
    macro_rules! stores {
        ($($store:ident)*) => {$(
            struct $store;
            impl Store for $store {
                fn runs() -> &'static Count {
                    static RUNS: Count = Count::new();
                    &RUNS
                }
            }
        )*};
    }
    stores!(Users Orders);
    static GATE: Gate = Gate::new();

    #[dedup]
    async fn load<S: Store, const N: usize>(id: u64) -> (u64, usize) {
        S::runs().next();
        GATE.passed().await;
        (id, N)
    }
    struct Repo<'a, S>(&'a str, std::marker::PhantomData<S>);
    impl<'a, S: Store> Repo<'a, S> {
        #[dedup(key(self = self.0))]
        async fn load(&self, id: u64) -> usize
        where
            S: 'static,
        {
            S::runs().next();
            GATE.passed().await;
            id as usize
        }
    }
    trait Loads: Send + Sync {
        async fn get(&self, id: u64) -> u64;
    }
    macro_rules! loads {
        ($($store:ident)*) => {$(
            impl Loads for $store {
                #[dedup(skip(self))]
                async fn get(&self, id: u64) -> u64 {
                    $store::runs().next();
                    GATE.passed().await;
                    id
                }
            }
        )*};
    }
    loads!(Users Orders);

    let mut loads = [
        ByHand::waiting(load::<Users, 1>(1)),
        ByHand::waiting(load::<Users, 1>(1)),
    ];
    let mut others = [
        ByHand::waiting(load::<Orders, 1>(1)),
        ByHand::waiting(load::<Orders, 1>(1)),
    ];
    let mut sized = ByHand::waiting(load::<Users, 2>(1));
    assert_eq!((Users::runs().get(), Orders::runs().get()), (2, 1));

    let name = String::from("main");
    let (users, orders) = (
        Repo::<Users>(&name, std::marker::PhantomData),
        Repo::<Orders>("main", std::marker::PhantomData),
    );
    let _repos = [
        ByHand::waiting(users.load(1)),
        ByHand::waiting(users.load(1)),
    ];
    let _repos = [
        ByHand::waiting(orders.load(1)),
        ByHand::waiting(orders.load(1)),
    ];
    assert_eq!((Users::runs().get(), Orders::runs().get()), (3, 2));

    let _users = [ByHand::waiting(Users.get(1)), ByHand::waiting(Users.get(1))];
    let _orders = [
        ByHand::waiting(Orders.get(1)),
        ByHand::waiting(Orders.get(1)),
    ];
    assert_eq!((Users::runs().get(), Orders::runs().get()), (4, 3));

    GATE.open();
    for call in &mut loads {
        assert_eq!(call.poll(), std::task::Poll::Ready((1, 1)));
    }
    for call in &mut others {
        assert_eq!(call.poll(), std::task::Poll::Ready((1, 1)));
    }
    assert_eq!(sized.poll(), std::task::Poll::Ready((1, 2)));
}

#[test]
fn instances_for_unequal_argument_types_never_share() {
    #[dedup]
    async fn debug<T>(value: T) -> String
    where
        T: std::fmt::Debug + Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        piggyback_tests::by_hand::one_turn().await;
        format!("{value:?}")
    }

    let mut number = ByHand::waiting(debug(1u8));
    let mut wide = ByHand::waiting(debug(1u64));
    let mut text = ByHand::waiting(debug("1"));
    assert_eq!(number.poll(), std::task::Poll::Ready("1".into()));
    assert_eq!(wide.poll(), std::task::Poll::Ready("1".into()));
    assert_eq!(text.poll(), std::task::Poll::Ready("\"1\"".into()));
}
