//! The code that the messages of the cases suggest.

use piggyback::dedup;
use piggyback::fleet::Fleet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::hash::Hash;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Tenant(u64);

#[derive(Clone, Serialize, Deserialize)]
pub struct Report(u64);

#[derive(Clone, Serialize, Deserialize)]
pub enum Error {
    NotFound,
}

/// Has no serde.
#[derive(Clone)]
pub struct Own;

#[dedup(across = FLEET)]
async fn by_key(tenant: Tenant, name: &str) -> Result<Report, Own> {
    let _ = name;
    Ok(Report(tenant.0))
}

#[dedup(across = FLEET, across_err, spawn, forget = forget_report)]
async fn with_error(id: u64) -> Result<Report, Error> {
    if id == 0 {
        return Err(Error::NotFound);
    }
    Ok(Report(id))
}

/// The error stays, and may borrow.
#[dedup(across = FLEET)]
async fn static_error(id: u64) -> Result<String, &'static str> {
    if id == 0 { Err("none") } else { Ok(id.to_string()) }
}

type Answer<T> = Result<T, Error>;

#[dedup(across = FLEET, across_err)]
async fn by_alias(id: u64) -> Answer<Report> {
    with_error(id).await
}

#[dedup(across = FLEET, across_err)]
async fn generic<T, R, E>(of: T) -> Result<R, E>
where
    T: Clone + Hash + Eq + Serialize + Send + Sync + 'static,
    R: From<T> + Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    E: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Ok(R::from(of))
}

#[tokio::main]
async fn main() {
    let _ = by_key(Tenant(1), "a").await;
    let _ = by_alias(1).await;
    let _ = generic::<u8, u64, Error>(1).await;
    let _ = static_error(1).await;
    drop(forget_report(1));
}
