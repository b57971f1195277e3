//! The functions that `direct` and `forget` add: in every place where the annotated function may stand, and without a lint.
#![deny(warnings, missing_docs, unreachable_pub, unused_lifetimes)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]
#![allow(
    clippy::unused_async,
    clippy::future_not_send,
    clippy::redundant_pub_crate
)]

use piggyback::{batch, dedup};
use piggyback_tests::by_hand::ByHand;
use std::sync::Arc;
use std::task::Poll;

/// An extractor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path<T>(pub T);

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// How many.
    pub size: usize,
    /// After which.
    pub after: u64,
}

/// Patterns are put together again.
#[dedup(direct = listed_now, forget = forget_listed)]
pub async fn listed(Path(id): Path<u64>, Page { size, after }: Page, mut name: String) -> String {
    tokio::task::yield_now().await;
    name.push('!');
    format!("{id} {size} {after} {name}")
}

/// Parts that a pattern leaves out can't be in the key.
#[dedup(direct = sized_now, forget = forget_sized)]
pub async fn sized(Page { size, .. }: Page, _: u8, (first, ref second): (u8, String)) -> usize {
    tokio::task::yield_now().await;
    size + usize::from(first) + second.len()
}

/// A lifetime with a name, and a hidden type.
#[dedup(direct = shown_now, forget = forget_shown, skip(by))]
#[allow(clippy::needless_lifetimes)]
pub async fn shown<'a>(by: impl std::fmt::Display + Send, name: &'a str) -> String {
    tokio::task::yield_now().await;
    format!("{by} {name}")
}

/// With arguments that may not be there.
#[dedup(forget = forget_configured)]
pub async fn configured(
    #[cfg(not(all(test, not(test))))] here: u64,
    #[cfg(all(test, not(test)))] gone: Missing,
    last: u64,
) -> u64 {
    tokio::task::yield_now().await;
    here + last
}

/// A body that lints: once, so that the expectation is fulfilled, and there is nothing beyond it.
#[dedup(direct = linted_now)]
#[expect(unused_variables)]
pub async fn linted(id: u64, unused: u64) -> Option<u64> {
    let forgotten = 1;
    Some(id)
}

/// The same of a bulk function.
#[batch(size = 10, eager, direct = bulk_linted)]
#[expect(unused_variables, unused_mut)]
pub async fn bulk_lint(mut ids: Vec<u64>, reason: String) -> Vec<u64> {
    ids
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    tenant: u64,
}

impl Service {
    /// Finds.
    #[dedup(direct = find_now, forget = forget_find, key(self = self.tenant))]
    pub async fn find(&self, id: u64) -> u64 {
        tokio::task::yield_now().await;
        self.tenant + id
    }

    /// Nothing shows that it belongs to a `Self`.
    #[dedup(direct = Self::made_now, forget = Self::forget_made)]
    pub async fn made(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }

    /// In a task.
    #[dedup(spawn, direct = owned_now, forget = forget_owned, skip(self))]
    pub async fn owned(self: Arc<Self>, Path(id): Path<u64>) -> u64 {
        tokio::task::yield_now().await;
        self.tenant + id
    }

    /// In bulk.
    #[batch(size = 10, eager, direct = put_all, skip(self))]
    pub async fn put(&self, ids: &[u64]) -> Vec<u64> {
        ids.iter().map(|id| self.tenant + id).collect()
    }

    #[dedup(direct = private_now, forget = forget_private, skip(self))]
    async fn private(&self, id: u64) -> u64 {
        tokio::task::yield_now().await;
        self.tenant + id
    }
}

/// A trait that is used as an object.
#[async_trait::async_trait]
pub trait Users: Send + Sync {
    /// The tenant.
    fn tenant(&self) -> u64;

    /// Finds a user.
    #[dedup(direct = user_now, forget = forget_user, key(self = self.tenant()))]
    async fn user(&self, name: &str) -> String {
        tokio::task::yield_now().await;
        format!("{name} {}", self.tenant())
    }
}

impl Users for Service {
    fn tenant(&self) -> u64 {
        self.tenant
    }
}

/// One that isn't.
#[allow(async_fn_in_trait)]
pub trait Orders {
    /// The tenant.
    fn tenant(&self) -> u64;

    /// Finds an order.
    #[dedup(direct = order_now, forget = forget_order, key(self = self.tenant()))]
    async fn order(&self, id: u64) -> u64 {
        tokio::task::yield_now().await;
        self.tenant() + id
    }
}

impl Orders for Service {
    fn tenant(&self) -> u64 {
        self.tenant
    }
}

/// Asserts that calls of `$call` join each other until `$forget`.
macro_rules! forgets {
    ($call:expr, $forget:expr) => {{
        let mut first = ByHand::waiting($call);
        $forget;
        let mut second = ByHand::new($call);
        // As a follower it would be waiting.
        assert!(second.poll().is_pending());
        assert!(second.poll().is_ready());
        assert!(first.poll().is_ready());
    }};
}

#[test]
fn each_is_a_function_of_its_own() {
    let page = || Page { size: 1, after: 2 };
    forgets!(
        listed(Path(1), page(), String::new()),
        forget_listed(Path(1), page(), String::new())
    );
    let now = listed_now(Path(1), page(), "a".into());
    assert_eq!(ByHand::waiting(now).poll(), Poll::Ready("1 1 2 a!".into()));
    forgets!(
        sized(page(), 1, (2, String::new())),
        forget_sized(page(), 2, (2, String::new()))
    );
    let now = sized_now(page(), 1, (2, "ab".into()));
    assert_eq!(ByHand::waiting(now).poll(), Poll::Ready(5));
    forgets!(shown(1, "a"), forget_shown(2, "a"));
    assert_eq!(
        ByHand::waiting(shown_now(1, "a")).poll(),
        Poll::Ready("1 a".into())
    );
    forgets!(configured(1, 2), forget_configured(1, 2));
}

#[test]
fn methods_have_them_as_well() {
    let service = Service { tenant: 1 };
    forgets!(service.find(1), service.forget_find(1));
    forgets!(Service::made(1), Service::forget_made(1));
    forgets!(service.private(1), service.forget_private(1));
    forgets!(service.user("a"), service.forget_user("a"));
    forgets!(service.order(1), service.forget_order(1));
    assert_eq!(ByHand::waiting(service.find_now(1)).poll(), Poll::Ready(2));
    assert_eq!(ByHand::waiting(Service::made_now(1)).poll(), Poll::Ready(1));
    let private = service.private_now(1);
    assert_eq!(ByHand::waiting(private).poll(), Poll::Ready(2));
    assert_eq!(ByHand::waiting(service.order_now(1)).poll(), Poll::Ready(2));
    let object: &dyn Users = &service;
    forgets!(object.user("b"), object.forget_user("b"));
    let now = object.user_now("b");
    assert_eq!(ByHand::waiting(now).poll(), Poll::Ready("b 1".into()));
}

#[tokio::test]
async fn tasks_and_batches_run_the_direct_function() {
    let service = Arc::new(Service { tenant: 1 });
    let call = || Arc::clone(&service).owned(Path(1));
    assert_eq!(tokio::join!(call(), call()), (2, 2));
    Arc::clone(&service).forget_owned(Path(1));
    assert_eq!(Arc::clone(&service).owned_now(Path(1)).await, 2);
    assert_eq!(service.put(1).await, 2);
    assert_eq!(service.put_all(&[1, 2]).await, [2, 3]);
    assert_eq!(linted(1, 2).await, linted_now(1, 2).await);
    assert_eq!(bulk_lint(1, String::new()).await, 1);
    assert_eq!(bulk_linted(vec![1], String::new()).await, [1]);
}

/// An attribute below ours, which does something for each call.
mod wrapped {
    use super::{ByHand, Poll, dedup};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Finds a user.
    #[dedup(direct = user_now, forget = forget_user)]
    #[tracing::instrument]
    pub(super) async fn user(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }

    static SPANS: AtomicUsize = AtomicUsize::new(0);

    /// Counts spans.
    struct Spans;

    impl Subscriber for Spans {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1 + SPANS.fetch_add(1, Ordering::Relaxed) as u64)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn an_attribute_around_the_function_wraps_each_call_once_and_no_forget() {
        let _guard = tracing::subscriber::set_default(Spans);
        let spans = || SPANS.swap(0, Ordering::Relaxed);
        let _before = spans();
        let mut calls = [(); 2].map(|()| ByHand::waiting(user(1)));
        assert_eq!(calls.each_mut().map(ByHand::poll), [Poll::Ready(1); 2]);
        assert_eq!(spans(), 2);
        forget_user(1);
        assert_eq!(spans(), 0);
        assert_eq!(ByHand::waiting(user_now(1)).poll(), Poll::Ready(1));
        assert_eq!(spans(), 1);
    }
}
