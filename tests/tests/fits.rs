//! Every form of function on which the attributes work compiles, and shares or batches as it should.
//!
//! Also compiled as edition 2021, by the package in `edition-2021`.

#![allow(clippy::iter_count, clippy::manual_async_fn, clippy::non_minimal_cfg)]

use piggyback::{batch, dedup};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts executions.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
    /// One more, after a while in which others can come.
    async fn more(&self) -> usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Asserts that two simultaneous calls `$call` give `$value` twice and make `$count` executions.
macro_rules! twice {
    ($call:expr, $value:expr, $count:expr => $executions:expr) => {{
        let before = $count.get();
        let both = tokio::join!($call, $call);
        assert_eq!(both, ($value, $value));
        assert_eq!($count.get() - before, $executions);
    }};
}

mod receivers {
    use super::*;

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Tenant(u8);

    static COUNT: Count = Count::new();
    static BATCHES: Count = Count::new();

    impl Tenant {
        #[dedup]
        async fn by_ref(&self, id: u64) -> u64 {
            COUNT.more().await;
            id + u64::from(self.0)
        }
        #[dedup]
        async fn by_value(self, id: u64) -> u64 {
            COUNT.more().await;
            id + u64::from(self.0)
        }
        #[dedup]
        async fn by_arc(self: Arc<Self>, id: u64) -> u64 {
            COUNT.more().await;
            id + u64::from(self.0)
        }
        #[dedup]
        async fn by_arc_ref(self: &Arc<Self>, id: u64) -> u64 {
            COUNT.more().await;
            id + u64::from(self.0)
        }
        #[dedup(key(self = self.0))]
        async fn by_mut(&mut self, id: u64) -> u64 {
            COUNT.more().await;
            self.0 += 1;
            id
        }
        #[dedup]
        async fn associated(id: u64) -> u64 {
            COUNT.more().await;
            id
        }
        #[batch(size = 10, delay_ms = 5)]
        async fn batch_by_ref(&self, ids: Vec<u64>) -> Vec<u64> {
            BATCHES.more().await;
            ids.into_iter().map(|id| id + u64::from(self.0)).collect()
        }
        #[batch(size = 10, delay_ms = 5, skip(self))]
        async fn batch_by_arc(self: Arc<Self>, ids: &[u64]) -> Vec<u64> {
            BATCHES.more().await;
            let this = &self;
            ids.iter().map(|id| id + u64::from(this.0)).collect()
        }
        #[batch(size = 10, delay_ms = 5, key(self = self.0))]
        async fn batch_by_arc_ref(self: &Arc<Self>, ids: &[u64]) -> Vec<u64> {
            BATCHES.more().await;
            ids.iter().map(|id| id + u64::from(self.0)).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_are_part_of_the_key() {
        let (one, two) = (Tenant(1), Tenant(2));
        twice!(one.by_ref(1), 2, COUNT => 1);
        assert_eq!(tokio::join!(one.by_ref(1), two.by_ref(1)), (2, 3));
        twice!(one.clone().by_value(1), 2, COUNT => 1);
        let arc = Arc::new(one.clone());
        twice!(arc.clone().by_arc(1), 2, COUNT => 1);
        twice!(arc.by_arc_ref(1), 2, COUNT => 1);
        let (mut left, mut right) = (Tenant(1), Tenant(1));
        let before = COUNT.get();
        assert_eq!(tokio::join!(left.by_mut(1), right.by_mut(1)), (1, 1));
        assert_eq!(COUNT.get() - before, 1);
        twice!(Tenant::associated(1), 1, COUNT => 1);
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_of_batches_are_lent_to_the_body() {
        let arc = Arc::new(Tenant(1));
        let before = BATCHES.get();
        assert_eq!(
            tokio::join!(arc.batch_by_ref(1), arc.batch_by_ref(2)),
            (2, 3)
        );
        assert_eq!(BATCHES.get() - before, 1);
        assert_eq!(
            tokio::join!(arc.clone().batch_by_arc(1), arc.clone().batch_by_arc(2)),
            (2, 3)
        );
        assert_eq!(
            tokio::join!(arc.batch_by_arc_ref(1), arc.batch_by_arc_ref(2)),
            (2, 3)
        );
        assert_eq!(BATCHES.get() - before, 3);
    }
}

mod generics {
    use super::*;
    use std::fmt::Display;

    static COUNT: Count = Count::new();

    struct Repo<'a, T> {
        tenant: &'a str,
        value: T,
    }

    impl<'a, T: Display> Repo<'a, T> {
        #[dedup(key(self = self.tenant))]
        async fn name<const N: usize>(&self, id: u64) -> String
        where
            T: Clone,
        {
            COUNT.more().await;
            format!("{}{}{id}{N}", self.tenant, self.value)
        }
    }

    #[dedup(skip(value))]
    async fn show<T: Display>(value: T) -> String {
        COUNT.more().await;
        value.to_string()
    }

    #[dedup(skip(value))]
    async fn show_impl(value: impl Display, words: &[&str]) -> String {
        COUNT.more().await;
        format!("{value}{}", words.join(""))
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn texts<T>(values: Vec<T>) -> Vec<String>
    where
        T: Display + Send + 'static,
    {
        COUNT.more().await;
        values.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn instances_of_a_type_parameter_never_share() {
        let (a, b) = (
            Repo {
                tenant: "t",
                value: 1_u8,
            },
            Repo {
                tenant: "t",
                value: "x",
            },
        );
        let before = COUNT.get();
        let all = tokio::join!(
            a.name::<1>(1),
            a.name::<1>(1),
            b.name::<1>(1),
            a.name::<2>(1)
        );
        assert_eq!(
            all,
            ("t111".into(), "t111".into(), "tx11".into(), "t112".into())
        );
        assert_eq!(COUNT.get() - before, 3);
        assert_eq!(
            tokio::join!(show(1_u8), show("x"), show(2_u8)),
            ("1".into(), "x".into(), "1".into())
        );
        twice!(show_impl(1, &["a", "b"]), "1ab".to_owned(), COUNT => 1);
        assert_eq!(
            tokio::join!(texts(1_u8), texts("x")),
            ("1".into(), "x".into())
        );
    }
}

mod arguments {
    use super::*;
    use std::borrow::Cow;

    static COUNT: Count = Count::new();

    struct Path<T>(T);
    struct State<T>(T);

    #[dedup(skip(pool))]
    async fn handler(
        State(pool): State<Vec<u8>>,
        Path((id, mut name)): Path<(u64, String)>,
        _: f64,
        r#type: u8,
    ) -> String {
        COUNT.more().await;
        name.push_str(&pool.len().to_string());
        format!("{id}{name}{}", r#type)
    }

    #[allow(clippy::ptr_arg)]
    #[dedup]
    async fn borrowed(
        a: &str,
        b: Option<&str>,
        c: &[&str],
        d: &[u8],
        e: Option<&u64>,
        f: Cow<'_, str>,
        g: &String,
    ) -> usize {
        COUNT.more().await;
        a.len() + b.map_or(0, str::len) + c.len() + d.len() + e.map_or(0, |_| 1) + f.len() + g.len()
    }

    #[dedup]
    async fn applied(function: fn(&str) -> usize, text: &str) -> usize {
        COUNT.more().await;
        function(text)
    }

    struct Request {
        path: String,
        body: f64,
    }

    #[dedup(key(request = request.path.as_str(), other = other.to_string()))]
    async fn keyed(request: &Request, other: f64) -> usize {
        COUNT.more().await;
        request.path.len() + (request.body + other) as usize
    }

    #[dedup]
    async fn configured(#[cfg(any())] gone: f64, #[cfg(all())] here: u8, last: u8) -> u8 {
        COUNT.more().await;
        here + last
    }

    #[batch(size = 10, delay_ms = 5, skip(names))]
    async fn configured_batch(
        #[cfg(any())] gone: Missing,
        #[cfg(all())] here: u8,
        names: Option<&str>,
        mut items: Vec<u8>,
    ) -> Vec<u8> {
        COUNT.more().await;
        items
            .iter_mut()
            .for_each(|item| *item += here + names.map_or(0, |name| name.len() as u8));
        items
    }

    #[tokio::test(start_paused = true)]
    async fn arguments_are_part_of_the_key_by_value() {
        let call = |rate| handler(State(vec![1]), Path((1, "a".into())), rate, 2);
        twice!(call(0.5), "1a12".to_owned(), COUNT => 1);
        let string = String::from("g");
        let call = |c| {
            borrowed(
                "a",
                Some("bb"),
                c,
                &[1],
                Some(&2),
                Cow::Borrowed("f"),
                &string,
            )
        };
        twice!(call(&["x", "y"]), 9, COUNT => 1);
        assert_eq!(tokio::join!(call(&["x", "y"]), call(&["x"])), (9, 8));
        twice!(applied(str::len, "abc"), 3, COUNT => 1);
        let request = Request {
            path: "p".into(),
            body: 1.0,
        };
        twice!(keyed(&request, 1.0), 3, COUNT => 1);
        twice!(configured(1, 2), 3, COUNT => 1);
        let before = COUNT.get();
        assert_eq!(
            tokio::join!(
                configured_batch(1, Some("ab"), 1),
                configured_batch(1, None, 2)
            ),
            (4, 5)
        );
        assert_eq!(COUNT.get() - before, 1);
    }
}

mod patterns {
    //! Whatever a pattern binds is an argument.
    #![deny(unused_mut)]
    use super::*;

    static COUNT: Count = Count::new();
    static CHANGES: Count = Count::new();

    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    struct Point {
        x: u64,
        y: u64,
    }

    #[dedup]
    async fn torn(
        [first, .., last]: [u64; 3],
        &by: &u64,
        (Ok(n) | Err(n)): Result<u64, u64>,
        whole @ Point { x, .. }: Point,
    ) -> u64 {
        COUNT.more().await;
        first + last + by + n + whole.y + x
    }

    #[dedup(spawn)]
    async fn torn_and_changed(
        [mut first, .., last]: [u64; 3],
        &(mut by, _): &(u64, u64),
        (Ok(mut n) | Err(mut n)): Result<u64, u64>,
        Point { mut x, mut y }: Point,
        mut whole @ (left, _): (u64, u64),
    ) -> u64 {
        CHANGES.more().await;
        first += last;
        by += first;
        n += by;
        x += n;
        y += x;
        whole.0 += left + y;
        whole.0
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn count([group, _]: [u64; 2], _: Vec<u64>) {
        CHANGES.more().await;
        assert_eq!(group, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_a_pattern_binds_is_in_the_key() {
        let point = Point { x: 1, y: 2 };
        let call = |first, last, by, n, whole| torn([first, 9, last], by, n, whole);
        twice!(call(1, 2, &3, Ok(4), point), 13, COUNT => 1);
        let before = COUNT.get();
        let all = tokio::join!(
            call(1, 2, &3, Ok(4), point),
            // Arguments that are not bound, or bound either way, make no difference.
            torn([1, 7, 2], &3, Err(4), point),
            call(2, 2, &3, Ok(4), point),
            call(1, 3, &3, Ok(4), point),
            call(1, 2, &4, Ok(4), point),
            call(1, 2, &3, Ok(5), point),
            call(1, 2, &3, Ok(4), Point { x: 2, y: 2 }),
            call(1, 2, &3, Ok(4), Point { x: 1, y: 3 }),
        );
        assert_eq!(all, (13, 13, 14, 14, 14, 14, 14, 14));
        assert_eq!(COUNT.get() - before, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_change_its_arguments() {
        let call = || torn_and_changed([1, 9, 2], &(3, 9), Ok(4), Point { x: 5, y: 6 }, (7, 9));
        twice!(call(), 35, CHANGES => 1);
        let before = CHANGES.get();
        tokio::join!(count([1, 2], 3), count([1, 4], 5));
        assert_eq!(CHANGES.get() - before, 1);
    }
}

mod traits {
    use super::*;
    use std::future::Future;
    use std::pin::Pin;

    static COUNT: Count = Count::new();

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Users(u64);

    trait Native {
        async fn user(&self, id: u64) -> u64;
        #[dedup(skip(self))]
        async fn twice(&self, id: u64) -> u64 {
            COUNT.more().await;
            id * 2
        }
    }

    impl Native for Users {
        #[dedup]
        async fn user(&self, id: u64) -> u64 {
            COUNT.more().await;
            id + self.0
        }
    }

    #[async_trait::async_trait]
    trait Boxed {
        async fn user(&self, name: &str, id: u64) -> Result<u64, String>;
        #[dedup(skip(self))]
        async fn default(&self, id: u64) -> u64
        where
            Self: Sync,
        {
            COUNT.more().await;
            id * 3
        }
    }

    #[async_trait::async_trait]
    impl Boxed for Users {
        #[dedup]
        async fn user(&self, name: &str, id: u64) -> Result<u64, String> {
            COUNT.more().await;
            if name.is_empty() {
                return Err("no name".into());
            }
            Ok(id + self.0 + name.len() as u64)
        }
    }

    #[async_trait::async_trait]
    trait Bulk {
        async fn save(&self, id: u64) -> Result<u64, String>;
    }

    #[async_trait::async_trait]
    impl Bulk for Users {
        #[batch(size = 10, delay_ms = 5)]
        async fn save(&self, ids: Vec<u64>) -> Result<Vec<u64>, String> {
            COUNT.more().await;
            Ok(ids.into_iter().map(|id| id + self.0).collect())
        }
    }

    #[dedup]
    fn returned(id: u64, name: &str) -> impl Future<Output = u64> + Send + '_ {
        let length = name.len() as u64;
        async move {
            COUNT.more().await;
            id + length
        }
    }

    #[dedup]
    fn returned_block(id: u64) -> impl Future<Output = Result<u64, String>> {
        async move {
            COUNT.more().await;
            if id == 0 {
                return Err("zero".to_owned());
            }
            Ok(id)
        }
    }

    #[dedup]
    fn pinned<'a>(id: u64, name: &'a str) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(async move {
            COUNT.more().await;
            id + name.len() as u64
        })
    }

    #[batch(size = 10, delay_ms = 5)]
    fn returned_batch(ids: Vec<u64>) -> impl Future<Output = Vec<u64>> {
        async move {
            COUNT.more().await;
            ids
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trait_methods_and_returned_futures_share() {
        let users = Users(1);
        twice!(Native::user(&users, 1), 2, COUNT => 1);
        twice!(users.twice(1), 2, COUNT => 1);
        twice!(Boxed::user(&users, "ab", 1), Ok(4), COUNT => 1);
        twice!(users.default(1), 3, COUNT => 1);
        let before = COUNT.get();
        assert_eq!(tokio::join!(users.save(1), users.save(2)), (Ok(2), Ok(3)));
        assert_eq!(COUNT.get() - before, 1);
        twice!(returned(1, "a"), 2, COUNT => 1);
        twice!(returned_block(0), Err("zero".to_owned()), COUNT => 1);
        twice!(pinned(1, "a"), 2, COUNT => 1);
        assert_eq!(tokio::join!(returned_batch(1), returned_batch(2)), (1, 2));
    }
}

mod moved_patterns {
    use super::*;

    static COUNT: Count = Count::new();

    struct Path<T>(T);
    struct Handlers;

    #[async_trait::async_trait]
    trait Handle {
        async fn handle(&self, path: Path<(u64, String)>, rate: f64) -> Result<String, String>;
    }

    #[async_trait::async_trait]
    impl Handle for Handlers {
        #[dedup(skip(self, name))]
        async fn handle(
            &self,
            Path((id, mut name)): Path<(u64, String)>,
            _: f64,
        ) -> Result<String, String> {
            COUNT.more().await;
            name.push('!');
            Ok(format!("{id}{name}"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patterns_under_async_trait_are_arguments() {
        let call = |id, rate| Handlers.handle(Path((id, "a".into())), rate);
        twice!(call(1, 0.5), Ok("1a!".to_owned()), COUNT => 1);
        let both = tokio::join!(call(1, 0.5), call(2, 0.5));
        assert_eq!(both, (Ok("1a!".into()), Ok("2a!".into())));
    }
}

mod beside {
    use super::*;
    use std::future::Future;
    use tracing::instrument;

    static COUNT: Count = Count::new();

    #[dedup]
    #[instrument]
    async fn outside(id: u64) -> Result<u64, String> {
        COUNT.more().await;
        if id == 0 { Err("zero".into()) } else { Ok(id) }
    }

    #[instrument(skip(name), err)]
    #[dedup]
    async fn inside(id: u64, name: &str) -> Result<u64, String> {
        COUNT.more().await;
        Ok(id + name.len() as u64)
    }

    #[instrument]
    #[batch(size = 10, delay_ms = 5)]
    async fn batch_inside(ids: Vec<u64>) -> Vec<u64> {
        COUNT.more().await;
        ids
    }

    macro_rules! functions {
        ($vis:vis $name:ident, $ty:ty, $pat:pat => $body:block) => {
            #[dedup]
            $vis async fn $name($pat: $ty) -> $ty $body
        };
    }

    functions!(pub(super) generated, u64, id => {
        COUNT.more().await;
        id + 1
    });

    macro_rules! returned {
        ($name:ident, $ids:ident: $list:ty => $output:ty, $body:block) => {
            #[batch(size = 10, delay_ms = 5)]
            fn $name($ids: $list) -> $output $body
        };
    }

    returned!(returned, ids: Vec<u64> => impl Send + Future<Output = Vec<u64>>, {
        async move {
            COUNT.more().await;
            ids
        }
    });

    mod reexport {
        pub use ::piggyback as inner;
    }

    #[dedup(crate = reexport::inner)]
    async fn renamed(id: u64) -> u64 {
        COUNT.more().await;
        id
    }

    #[tokio::test(start_paused = true)]
    async fn other_macros_stand_beside() {
        twice!(outside(1), Ok(1), COUNT => 1);
        twice!(inside(1, "a"), Ok(2), COUNT => 1);
        assert_eq!(tokio::join!(batch_inside(1), batch_inside(2)), (1, 2));
        twice!(generated(1), 2, COUNT => 1);
        assert_eq!(tokio::join!(returned(1), returned(2)), (1, 2));
        twice!(renamed(1), 1, COUNT => 1);
    }
}

mod named {
    //! The crate under other names, and modules that are named like it.
    use super::*;

    static COUNT: Count = Count::new();

    mod facade {
        pub use ::piggyback;
        pub use ::piggyback::{batch as in_bulk, dedup as once};
    }

    /// Attributes by another name, and the crate where somebody re-exports it.
    #[facade::once(crate = facade::piggyback)]
    async fn once(id: u64) -> u64 {
        COUNT.more().await;
        id
    }

    #[facade::in_bulk(size = 10, delay_ms = 5, crate = facade::piggyback)]
    async fn in_bulk(ids: Vec<u64>) -> Vec<u64> {
        COUNT.more().await;
        ids
    }

    mod nested {
        /// Shadows the crate for paths that don't begin with `::`.
        #[allow(dead_code)]
        pub mod piggyback {
            pub mod __private {}
        }

        #[::piggyback::dedup]
        pub async fn beside(id: u64) -> u64 {
            super::COUNT.more().await;
            id
        }
    }

    macro_rules! with_crate {
        ($name:ident) => {
            #[$crate::named::facade::once(crate = $crate::named::facade::piggyback, skip(by))]
            async fn $name(by: &$crate::Count, id: u64) -> u64 {
                by.more().await;
                id
            }

            impl $crate::Count {
                #[$crate::named::facade::in_bulk(size = 10, delay_ms = 5, skip(self), crate = $crate::named::facade::piggyback)]
                async fn add(self: Arc<Self>, ids: &[u64]) -> Vec<u64> {
                    self.more().await;
                    ids.to_vec()
                }
            }
        };
    }
    with_crate!(by_macro);

    #[tokio::test(start_paused = true)]
    async fn the_crate_is_found_under_any_name() {
        twice!(once(1), 1, COUNT => 1);
        assert_eq!(tokio::join!(in_bulk(1), in_bulk(2)), (1, 2));
        twice!(nested::beside(1), 1, COUNT => 1);
        let count = Arc::new(Count::new());
        twice!(by_macro(&count, 1), 1, count => 1);
        assert_eq!(
            tokio::join!(count.clone().add(1), count.clone().add(2)),
            (1, 2)
        );
        assert_eq!(count.get(), 2);
    }
}

mod shadowed {
    #![allow(dead_code, non_camel_case_types)]
    use super::{COUNTED, Count};
    use ::piggyback::{batch, dedup};

    pub struct Option;
    pub struct Result;
    pub struct Vec;
    pub struct Box;
    pub struct String;
    pub struct Some;
    pub trait Clone {}
    pub trait Send {}
    pub trait IntoIterator {}
    pub mod std {}
    pub mod core {}
    pub mod tokio {}
    pub mod piggyback {}

    #[dedup]
    pub async fn shared(id: u64) -> u64 {
        COUNTED.more().await;
        id
    }

    #[batch(size = 10, delay_ms = 5)]
    pub async fn batched(ids: &[u64]) -> ::std::vec::Vec<u64> {
        COUNTED.more().await;
        ids.to_vec()
    }

    const _: fn() -> Count = Count::new;
}

static COUNTED: Count = Count::new();

#[tokio::test(start_paused = true)]
async fn prelude_names_may_be_shadowed() {
    twice!(shadowed::shared(1), 1, COUNTED => 1);
    assert_eq!(
        tokio::join!(shadowed::batched(1), shadowed::batched(2)),
        (1, 2)
    );
}

mod shapes {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq)]
    struct User {
        id: u64,
        name: String,
    }

    #[derive(Debug, PartialEq)]
    enum AppError {
        NotFound,
        Shared(Arc<AppError>),
    }

    type AppResult<T> = Result<T, AppError>;
    type Rows = Result<Vec<User>, Arc<AppError>>;

    #[derive(Clone)]
    struct Pool;

    static COUNT: Count = Count::new();

    fn user(id: u64) -> User {
        User {
            id,
            name: id.to_string(),
        }
    }

    #[batch(size = 10, delay_ms = 5, skip(pool), share_err = AppError::Shared)]
    async fn save(pool: &Pool, users: &[User]) -> AppResult<()> {
        let _pool = pool;
        COUNT.more().await;
        if users.iter().any(|user| user.id == 0) {
            Err(AppError::NotFound)
        } else {
            Ok(())
        }
    }

    #[batch(size = 10, delay_ms = 5, split_on_err, skip(pool))]
    async fn save_split(pool: &Pool, users: &[User]) -> AppResult<()> {
        let _pool = pool;
        COUNT.more().await;
        if users.iter().any(|user| user.id == 0) {
            Err(AppError::NotFound)
        } else {
            Ok(())
        }
    }

    #[batch(size = 10, delay_ms = 5, by_ref, items(ids, names))]
    async fn unnest(ids: &[u64], names: Vec<String>) -> Vec<String> {
        COUNT.more().await;
        ids.iter()
            .zip(names)
            .map(|(id, name)| format!("{id}{name}"))
            .collect()
    }

    #[batch(size = 10, delay_ms = 5, one_by = |user: &User| user.id)]
    async fn find(ids: Vec<u64>) -> Result<Vec<User>, String> {
        COUNT.more().await;
        Ok(ids
            .into_iter()
            .rev()
            .filter(|id| *id != 0)
            .map(user)
            .collect())
    }

    #[batch(size = 10, delay_ms = 5, many_by = |user| user.id / 10)]
    async fn find_many(tens: Vec<u64>) -> Vec<User> {
        COUNT.more().await;
        tens.into_iter()
            .flat_map(|ten| [user(ten * 10), user(ten * 10 + 1)])
            .collect()
    }

    #[batch(size = 10, delay_ms = 5, shared)]
    async fn count(ids: impl IntoIterator<Item = u64>) -> Result<usize, String> {
        COUNT.more().await;
        Ok(ids.into_iter().count())
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn in_order(ids: impl Send + Iterator<Item = u64>) -> Vec<u64> {
        COUNT.more().await;
        ids.map(|id| id * 2).collect()
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn lengths(payloads: &[&[u8]]) -> Vec<usize> {
        COUNT.more().await;
        payloads.iter().map(|payload| payload.len()).collect()
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn statics(names: &[std::borrow::Cow<'static, str>]) -> Vec<String> {
        COUNT.more().await;
        names.iter().map(ToString::to_string).collect()
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn own_results(ids: Vec<u64>) -> Result<Vec<Result<u64, String>>, String> {
        COUNT.more().await;
        Ok(ids
            .into_iter()
            .map(|id| if id == 0 { Err("zero".into()) } else { Ok(id) })
            .collect())
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn aliased(ids: Vec<u64>) -> Rows {
        COUNT.more().await;
        Ok(ids.into_iter().map(user).collect())
    }

    type Id = u64;

    #[batch(size = 10, delay_ms = 5)]
    async fn by_alias(ids: Vec<Id>) -> Result<HashMap<u64, User>, String> {
        COUNT.more().await;
        Ok(ids.into_iter().map(|id| (id, user(id))).collect())
    }

    macro_rules! list {
        ($of:ty) => { Vec<$of> };
    }

    #[batch(size = 10, delay_ms = 5)]
    async fn by_macro(ids: Vec<u64>) -> list!(u64) {
        COUNT.more().await;
        ids
    }

    #[batch(size = 10, delay_ms = 5, unique = |user| &user.name, weight = |user: &User| user.name.len(), max_weight = 100)]
    async fn upsert(users: Vec<User>) {
        COUNT.more().await;
        drop(users);
    }

    #[batch(size = 10, delay_ms = 5, eager, concurrency = 1)]
    async fn words(words: &[&str]) -> BTreeMap<String, usize> {
        COUNT.more().await;
        words
            .iter()
            .map(|word| ((*word).to_owned(), word.len()))
            .collect()
    }

    static LOADS: Count = Count::new();

    #[dedup]
    #[batch(size = 10, delay_ms = 5)]
    async fn loader(ids: Vec<u64>) -> Result<HashMap<u64, User>, Arc<AppError>> {
        LOADS.more().await;
        Ok(ids.into_iter().map(|id| (id, user(id))).collect())
    }

    #[batch(size = 10, delay_ms = 5, one_by = |user| user.id, skip(pool), share_err = AppError::Shared)]
    #[dedup]
    async fn loader_by(pool: &Pool, ids: &[u64]) -> AppResult<Vec<User>> {
        let _pool = pool;
        LOADS.more().await;
        Ok(ids.iter().copied().map(user).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_gets_its_own() {
        let before = COUNT.get();
        assert_eq!(
            tokio::join!(save(&Pool, user(1)), save(&Pool, user(2))),
            (Ok(()), Ok(()))
        );
        let shared = || Err(AppError::Shared(Arc::new(AppError::NotFound)));
        assert_eq!(
            tokio::join!(save(&Pool, user(1)), save(&Pool, user(0))),
            (shared(), shared())
        );
        assert_eq!(save(&Pool, user(0)).await, Err(AppError::NotFound));
        assert_eq!(COUNT.get() - before, 3);
        let split = tokio::join!(save_split(&Pool, user(1)), save_split(&Pool, user(0)));
        assert_eq!(split, (Ok(()), Err(AppError::NotFound)));
        assert_eq!(
            tokio::join!(unnest(&1, "a"), unnest(&2, "b")),
            ("1a".into(), "2b".into())
        );
        assert_eq!(
            tokio::join!(find(1), find(0), find(2)),
            (Ok(Some(user(1))), Ok(None), Ok(Some(user(2))))
        );
        assert_eq!(find_many(1).await, [user(10), user(11)]);
        assert_eq!(tokio::join!(count(1), count(2)), (Ok(2), Ok(2)));
        assert_eq!(tokio::join!(in_order(1), in_order(2)), (2, 4));
        assert_eq!(tokio::join!(lengths(vec![1, 2]), lengths(vec![])), (2, 0));
        assert_eq!(statics("a".into()).await, "a");
        assert_eq!(
            tokio::join!(own_results(1), own_results(0)),
            (Ok(1), Err("zero".into()))
        );
        assert_eq!(aliased(1).await, Ok(user(1)));
        assert_eq!(by_alias(1).await, Ok(Some(user(1))));
        assert_eq!(tokio::join!(by_macro(1), by_macro(2)), (1, 2));
        tokio::join!(upsert(user(1)), upsert(user(1)));
        assert_eq!(words("four".into()).await, Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_data_loader_asks_once_for_equal_items() {
        let before = LOADS.get();
        let all = tokio::join!(loader(1), loader(1), loader(2));
        assert_eq!(
            all,
            (Ok(Some(user(1))), Ok(Some(user(1))), Ok(Some(user(2))))
        );
        assert_eq!(LOADS.get() - before, 1);
        let all = tokio::join!(
            loader_by(&Pool, 1),
            loader_by(&Pool, 1),
            loader_by(&Pool, 2)
        );
        assert_eq!(
            all,
            (Ok(Some(user(1))), Ok(Some(user(1))), Ok(Some(user(2))))
        );
        assert_eq!(LOADS.get() - before, 2);
    }
}

mod spawned {
    use super::*;

    static COUNT: Count = Count::new();

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Users(String);

    /// Not `Clone`: it is moved.
    struct Connection(u64);

    impl Users {
        #[dedup(spawn, skip(connection))]
        async fn user(
            &self,
            names: &[&str],
            maybe: Option<&str>,
            mut id: u64,
            connection: Connection,
        ) -> String {
            COUNT.more().await;
            id += connection.0;
            format!(
                "{}{}{}{id}",
                self.0,
                names.join(""),
                maybe.unwrap_or_default()
            )
        }
    }

    const SIGN: &str = "!";

    impl Users {
        /// Its body has items of its own, with a `self` of their own, and a path that begins with `self`.
        #[dedup(spawn)]
        async fn signed(&self, id: u64) -> String {
            #![allow(clippy::items_after_statements, clippy::needless_pub_self)]
            COUNT.more().await;
            struct Signed(String);
            impl Signed {
                fn text(self) -> String {
                    format!("{}{}", self.0, self::SIGN)
                }
            }
            pub(super) trait Ends {
                fn ends(&self) -> bool;
            }
            impl Ends for str {
                fn ends(&self) -> bool {
                    self.ends_with(self::SIGN)
                }
            }
            let text = Signed(format!("{}{id}{}", self.0, self::SIGN)).text();
            assert!(text.ends());
            text + &self.0
        }
    }

    #[async_trait::async_trait]
    trait Find {
        async fn find(&self, id: u64) -> Result<String, String>;
    }

    #[async_trait::async_trait]
    impl Find for Users {
        #[dedup(spawn)]
        async fn find(&self, id: u64) -> Result<String, String> {
            COUNT.more().await;
            if id == 0 {
                return Err(self.0.clone());
            }
            Ok(format!("{}{id}", self.0))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_spawned_body_sees_its_arguments() {
        let users = Users("u".into());
        let call = || users.user(&["a", "b"], Some("c"), 1, Connection(1));
        twice!(call(), "uabc2".to_owned(), COUNT => 1);
        twice!(users.signed(1), "u1!!u".to_owned(), COUNT => 1);
        twice!(users.find(1), Ok("u1".to_owned()), COUNT => 1);
        twice!(users.find(0), Err("u".to_owned()), COUNT => 1);
    }
}

mod sizes {
    use super::*;

    async fn body(id: u64, name: &str, big: [u64; 32]) -> u64 {
        tokio::task::yield_now().await;
        id + name.len() as u64 + big[3]
    }

    #[dedup(skip(big))]
    async fn shared(id: u64, name: &str, big: [u64; 32]) -> u64 {
        tokio::task::yield_now().await;
        id + name.len() as u64 + big[3]
    }

    #[test]
    fn futures_grow_by_little_more_than_their_arguments() {
        let arguments = size_of::<(u64, &str, [u64; 32])>();
        let plain = size_of_val(&body(1, "", [0; 32]));
        let annotated = size_of_val(&shared(1, "", [0; 32]));
        assert!(
            annotated <= plain + arguments + 48,
            "{annotated} > {plain} + {arguments} + 48"
        );
    }
}

mod borrowed_in_other_shapes {
    use super::*;

    static COUNT: Count = Count::new();

    #[dedup]
    async fn twice_borrowed(name: &&str) -> usize {
        COUNT.more().await;
        name.len()
    }

    #[dedup(spawn)]
    async fn twice_borrowed_in_a_task(name: &&str) -> String {
        COUNT.more().await;
        let name: &&str = name;
        (*name).to_owned()
    }

    #[dedup]
    async fn pair(pair: (&str, u64)) -> String {
        COUNT.more().await;
        format!("{}{}", pair.0, pair.1)
    }

    #[dedup(spawn)]
    async fn pair_in_a_task(mut pair: (&str, u64, Option<&str>, String)) -> String {
        COUNT.more().await;
        pair.1 += 1;
        pair.3.push('!');
        format!("{}{}{:?}{}", pair.0, pair.1, pair.2, pair.3)
    }

    #[dedup]
    async fn taken_apart((name, id): (&str, u64)) -> String {
        COUNT.more().await;
        format!("{name}{id}")
    }

    #[batch(size = 10, delay_ms = 1, split_on_err)]
    async fn grouped(of: (&str, u64), ids: Vec<u64>) -> Result<Vec<String>, String> {
        COUNT.more().await;
        Ok(ids
            .iter()
            .map(|id| format!("{}{}{id}", of.0, of.1))
            .collect())
    }

    #[tokio::test(start_paused = true)]
    async fn references_to_references_and_tuples_of_references_are_keys() {
        twice!(twice_borrowed(&"a"), 1, COUNT => 1);
        twice!(twice_borrowed_in_a_task(&"a"), "a".to_owned(), COUNT => 1);
        twice!(pair(("a", 1)), "a1".to_owned(), COUNT => 1);
        let call = || pair_in_a_task(("a", 1, Some("b"), "c".into()));
        twice!(call(), "a2Some(\"b\")c!".to_owned(), COUNT => 1);
        twice!(taken_apart(("a", 1)), "a1".to_owned(), COUNT => 1);
        let before = COUNT.get();
        let three = tokio::join!(pair(("a", 1)), pair(("a", 2)), pair(("b", 1)));
        assert_eq!(three, ("a1".into(), "a2".into(), "b1".into()));
        assert_eq!(COUNT.get() - before, 3);
        let before = COUNT.get();
        let three = tokio::join!(
            grouped(("a", 1), 1),
            grouped(("a", 1), 2),
            grouped(("b", 1), 3)
        );
        assert_eq!(three.1.unwrap(), "a12");
        assert_eq!(three.2.unwrap(), "b13");
        assert_eq!(COUNT.get() - before, 2);
    }

    static LISTS: Count = Count::new();

    type Ids = Vec<u64>;

    #[batch(size = 10, delay_ms = 1, items(ids))]
    async fn by_another_name(ids: Ids) -> Ids {
        LISTS.more().await;
        ids
    }

    mod own {
        #[derive(Clone)]
        pub struct String(pub u8);
    }

    #[batch(size = 10, delay_ms = 1, by_ref)]
    async fn called_string(ids: Vec<own::String>) -> Vec<u8> {
        LISTS.more().await;
        ids.iter().map(|id| id.0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lists_behind_an_alias_and_strings_of_ones_own_are_items() {
        twice!(by_another_name(1), 1, LISTS => 1);
        twice!(called_string(&own::String(2)), 2, LISTS => 1);
    }

    static PARTS: Count = Count::new();

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Parts {
        one: u64,
        #[cfg(test)]
        two: u64,
        #[cfg(not(test))]
        other: Missing,
    }

    #[dedup(direct = configured_now)]
    async fn configured(
        Parts {
            one,
            #[cfg(test)]
            two,
            #[cfg(not(test))]
            other,
        }: Parts,
    ) -> u64 {
        PARTS.more().await;
        one + two
    }

    #[dedup(spawn)]
    async fn configured_in_a_task(
        Parts {
            one,
            #[cfg(test)]
            mut two,
            #[cfg(not(test))]
            mut other,
        }: Parts,
    ) -> u64 {
        PARTS.more().await;
        two += 1;
        one + two
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_a_pattern_may_be_configured_out() {
        twice!(configured(Parts { one: 1, two: 2 }), 3, PARTS => 1);
        twice!(configured_in_a_task(Parts { one: 1, two: 2 }), 4, PARTS => 1);
        assert_eq!(configured_now(Parts { one: 1, two: 2 }).await, 3);
    }
}

mod lints_of_arguments {
    #![deny(warnings)]

    use super::*;

    #[batch(size = 10, delay_ms = 1, skip(pool))]
    async fn bulk(
        #[expect(unused_variables)] pool: &Arc<u8>,
        #[allow(unused_variables)] id: u64,
        #[expect(unused_variables)] name: &str,
        #[allow(unused_mut)] mut size: u64,
        #[expect(unused_variables)] ids: Vec<u64>,
    ) {
        assert!(size > 0);
    }

    #[dedup(spawn)]
    async fn task(
        #[allow(unused_variables)] id: u64,
        #[expect(unused_variables)] name: &str,
        #[expect(unused_mut)] mut text: String,
    ) -> usize {
        text.len()
    }

    #[dedup]
    async fn here(#[expect(unused_variables)] id: u64, #[allow(unused_mut)] mut size: u64) -> u64 {
        size
    }

    #[dedup]
    #[expect(unused_variables)]
    async fn all(id: u64, size: u64) -> u64 {
        size
    }

    /// The braces of a block that a macro was given are not for nothing.
    macro_rules! with_body {
        ($name:ident, $body:block) => {
            #[batch(size = 10, delay_ms = 1)]
            async fn $name(ids: Vec<u64>) -> Vec<usize> {
                let _ids = ids;
                $body
            }
        };
    }
    with_body!(of_a_block, { vec![1] });

    #[tokio::test]
    async fn options_that_name_an_argument_apply_to_its_binding() {
        assert_eq!(of_a_block(1).await, 1);
        bulk(&Arc::new(1), 1, "", 1, 1).await;
        assert_eq!(task(1, "", "a".into()).await, 1);
        assert_eq!(here(1, 2).await + all(1, 2).await, 4);
    }
}

mod closures_of_rows {
    use super::*;

    static COUNT: Count = Count::new();

    #[derive(Clone, Debug, PartialEq)]
    struct Row {
        of: (u32, String),
    }

    impl Row {
        fn name(&self) -> String {
            self.of.1.clone()
        }
    }

    async fn rows() -> Vec<Row> {
        COUNT.more().await;
        let row = |id: u32| Row {
            of: (id, id.to_string()),
        };
        vec![row(1), row(2)]
    }

    #[batch(size = 10, delay_ms = 1, one_by = |row| row.of.1.clone())]
    async fn of_a_field(names: Vec<String>) -> Vec<Row> {
        assert!(!names.is_empty());
        rows().await
    }

    #[batch(size = 10, delay_ms = 1, one_by = |row| row.of.0.into())]
    async fn converted(ids: Vec<u64>) -> Result<Vec<Row>, String> {
        assert!(!ids.is_empty());
        Ok(rows().await)
    }

    #[batch(size = 10, delay_ms = 1, one_by = Row::name)]
    async fn of_a_function(names: Vec<String>) -> Vec<Row> {
        assert!(!names.is_empty());
        rows().await
    }

    #[batch(size = 10, delay_ms = 1, many_by = |row| {
        let name: &str = &row.of.1;
        name.parse().unwrap()
    })]
    async fn parsed(ids: Vec<u64>) -> Vec<Row> {
        assert!(!ids.is_empty());
        rows().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_tells_its_item_in_any_way() {
        let row = rows().await.remove(0);
        twice!(of_a_field("1".into()), Some(row.clone()), COUNT => 1);
        twice!(converted(1), Ok(Some(row.clone())), COUNT => 1);
        twice!(of_a_function("1".into()), Some(row.clone()), COUNT => 1);
        twice!(parsed(1), vec![row.clone()], COUNT => 1);
    }
}
