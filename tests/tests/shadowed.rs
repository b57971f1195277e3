//! A trait of the user's that is implemented for every type has methods of the same names as ours. Expansions go on
//! calling ours.
//!
//! Also compiled as edition 2021, by the package in `edition-2021`.

// Whatever the names promise elsewhere.
#![allow(clippy::wrong_self_convention, clippy::new_ret_no_self)]
use piggyback::{Scope, batch, dedup};
use std::collections::HashMap;
use std::sync::Arc;

/// As extension traits are: for everything, by value, by reference, and in the way of what an expansion calls.
macro_rules! shadow {
    ($($name:ident)*) => {
        /// By value, which resolution tries first.
        #[allow(dead_code)]
        trait ByValue: Sized {
            $(fn $name(self) -> Hijacked { panic!("`{}` was called", stringify!($name)) })*
        }
        impl<T> ByValue for T {}
    };
}

struct Hijacked;

shadow! {
    enter enter_in forget forget_in join join_in run spawn key part key_part self_part own own_self lend unique weight
    item by share share_by_key share_split bulk split max_weight max_age_ms max_followers concurrency eager
    new free method named hash is to_owned borrow unzip into_iter poll into_future take call go handing hand_out keep
    hand sole store clone as_ref deref unwrap
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Error;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Tenant(u8);

#[derive(Clone)]
struct Service {
    scope: Scope,
    tenant: Tenant,
}

#[dedup]
async fn plain(id: u64, name: &str, part: Option<&str>, list: &[&str], tenant: Tenant) -> u64 {
    let _ = (name, part, list, tenant);
    id
}

#[dedup(max_age_ms = 1000, max_followers = 5, forget = forget_aged)]
async fn aged(id: &u64) -> u64 {
    *id
}

#[dedup(spawn)]
async fn spawned(id: u64, name: &str, part: Option<&str>, list: &[&str], tenant: Tenant) -> u64 {
    let _ = (name, part, list, tenant);
    id
}

#[dedup(share_err = |_| Error)]
async fn fallible(id: u64) -> Result<u64, Error> {
    Ok(id)
}

#[dedup(clone_with = |id| *id)]
async fn copied(id: u64) -> u64 {
    id
}

#[batch(size = 10, delay_ms = 1)]
async fn list(ids: Vec<u64>, name: &str, tenant: Tenant) -> Vec<u64> {
    let _ = (name, tenant);
    ids
}

#[batch(size = 10, delay_ms = 1)]
async fn slice(ids: &[u64], part: Option<&str>) -> Result<(), Error> {
    let _ = (ids, part);
    Ok(())
}

#[batch(size = 10, delay_ms = 1, by_ref, items(names))]
async fn refs(names: &[&str], list: &[&str]) -> usize_list::Usizes {
    let _ = list;
    vec![1; names.len()]
}

mod usize_list {
    pub type Usizes = Vec<usize>;
}

#[batch(size = 10, delay_ms = 1)]
async fn iterated(ids: impl IntoIterator<Item = u64>) -> HashMap<u64, u64> {
    let mut found = HashMap::new();
    for id in ids {
        found.insert(id, id);
    }
    found
}

#[batch(size = 10, delay_ms = 1, items(ids, names), weight = |_| 1_u64, max_weight = 5, concurrency = 1, eager, unique = |row| row.0)]
async fn lists(ids: Vec<u64>, names: &[String]) -> Vec<u64> {
    let _ = names;
    ids
}

#[batch(size = 10, delay_ms = 1, one_by = |row| *row, split_on_err)]
async fn rows(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
    Ok(ids)
}

#[batch(size = 10, delay_ms = 1, many_by = |row| *row, share_err = |_| Error)]
async fn many(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
    Ok(ids)
}

#[batch(size = 10, delay_ms = 1, shared, clone_with = |n| *n)]
async fn whole(ids: Vec<u64>) -> usize {
    ids.len()
}

#[dedup]
#[batch(size = 10, delay_ms = 1)]
async fn loader(ids: Vec<u64>) -> Vec<u64> {
    ids
}

impl Service {
    #[dedup(scope = self.scope, forget = forget_scoped)]
    async fn scoped(&self, id: u64) -> u64 {
        id
    }
    #[dedup(spawn, key(self = self.tenant))]
    async fn keyed(&self, id: u64) -> u64 {
        id + u64::from(self.tenant.0)
    }
    #[batch(size = 10, delay_ms = 1, scope = self.scope)]
    async fn saved(&self, ids: &[u64]) -> Vec<u64> {
        <[u64]>::to_vec(ids)
    }
    #[batch(size = 10, delay_ms = 1, skip(self))]
    async fn counted(self: Arc<Self>, ids: &[u64]) -> Vec<u64> {
        <[u64]>::to_vec(ids)
    }
}

#[tokio::test]
async fn a_trait_for_every_type_does_not_get_in_the_way() {
    let (tenant, words) = (Tenant(1), ["a", "b"]);
    assert_eq!(plain(1, "a", None, &words, Clone::clone(&tenant)).await, 1);
    assert_eq!(aged(&2).await, 2);
    forget_aged(&2);
    assert_eq!(
        spawned(3, "a", Some("b"), &words, Clone::clone(&tenant)).await,
        3
    );
    assert_eq!(fallible(4).await, Ok(4));
    assert_eq!(copied(5).await, 5);
    assert_eq!(list(6, "a", Clone::clone(&tenant)).await, 6);
    assert_eq!(slice(7, None).await, Ok(()));
    assert_eq!(refs("a", &words).await, 1);
    assert_eq!(iterated(8).await, Some(8));
    assert_eq!(lists(9, String::new()).await, 9);
    assert_eq!(rows(10).await, Ok(Some(10)));
    assert_eq!(many(11).await, Ok(vec![11]));
    assert_eq!(whole(12).await, 1);
    assert_eq!(loader(13).await, 13);

    let service = Service {
        scope: Scope::new(),
        tenant,
    };
    assert_eq!(service.scoped(14).await, 14);
    service.forget_scoped(14);
    assert_eq!(service.keyed(15).await, 16);
    assert_eq!(service.saved(17).await, 17);
    assert_eq!(Arc::new(service).counted(18).await, 18);
}
