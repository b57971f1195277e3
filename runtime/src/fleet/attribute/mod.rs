//! What `#[dedup(across = …)]` expands to: the fleet around the body of a flight.
//!
//! An expansion asks the fleet for the call, beside which it gets a [`Trip`]: all that the body needs to run for the whole fleet,
//! should this call ever run it. It is asked by methods, so that a fleet that is wrong already is the only error.

mod forget;
mod function;
mod name;
mod travels;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

pub use self::forget::forget;
pub(crate) use self::function::{Local, OfFunction};
use self::name::Name;
use self::travels::{Both, Written, WrittenErr};
pub use self::travels::{ErrTravels, ReadErrOf, ReadOf, Travels, WriteErrOf, WriteOf};
use super::call::{Across, Start};
use super::payload::Whole;
use super::{Fleet, codec};
use crate::bounds::Output;
use crate::dedup::{self, Call, Forgets, Joining, Table, TableRef};
use crate::fixed::Fixed;
use crate::key::{About, Key, SerializeOf};
use crate::scope::Scope;
use crate::sharing::Share;
use crate::sharing::kind::Kind;
use crate::site::Site;

/// The fleet of a call.
pub struct OfCall<'a>(&'a Fleet);

/// The fleet that `across` gives.
pub fn fleet(fleet: &Fleet) -> OfCall<'_> {
    OfCall(fleet)
}

type In<T, K, S> = Call<T, <K as Key>::Owned, <S as Share>::Stored, S>;
type Global<K, S> = In<Fixed<TableOf<K, S>>, K, S>;
type Scoped<K, S> = In<Arc<TableOf<K, S>>, K, S>;
type TableOf<K, S> = Table<<K as Key>::Owned, <S as Share>::Stored>;

// An expansion has one call, with all that it knows.
#[allow(clippy::too_many_arguments)]
impl OfCall<'_> {
    /// A part of the key.
    pub fn __piggyback_part<K, M>(&self, part: K) -> <K as SerializeOf<K::Argument, M>>::Part
    where
        K: About + SerializeOf<K::Argument, M>,
    {
        part.part()
    }

    /// Begins a call in the global scope.
    pub fn __piggyback_enter<M, K, S, P>(
        &self,
        site: &'static Site,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
        payload: P,
    ) -> (Global<K, S>, Trip<P>)
    where
        M: Fn() + 'static,
        K: Key + Serialize,
        S: Share,
    {
        let key_bytes = self.bytes(&key);
        let call = dedup::enter(site, marker, key, share, joining);
        let name = Name::of::<M, K, S, P>(site, String::new(), key_bytes);
        let start = self.start(Some(name), &call, joining);
        (call, Trip(start, payload))
    }

    /// The same in a scope.
    pub fn __piggyback_enter_in<M, K, S, P>(
        &self,
        site: &'static Site,
        scope: &Scope,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
        payload: P,
    ) -> (Scoped<K, S>, Trip<P>)
    where
        M: Fn() + 'static,
        K: Key + Serialize,
        S: Share,
    {
        let name = scope
            .name_in_fleet()
            .map(|scope| Name::of::<M, K, S, P>(site, scope, self.bytes(&key)));
        let call = dedup::enter_in(site, scope, marker, key, share, joining);
        let start = self.start(name, &call, joining);
        (call, Trip(start, payload))
    }

    /// Begins a call in the global scope, or forgets.
    pub fn __piggyback_forgets<M, K, S, P>(
        &self,
        forgets: Forgets,
        site: &'static Site,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
        payload: P,
    ) -> Option<(Global<K, S>, Trip<P>)>
    where
        M: Fn() + 'static,
        K: Key + Serialize,
        S: Share,
    {
        if forgets.only() {
            dedup::forget::now::<M, K, S>(site, &key);
            self.forget(Name::of::<M, K, S, P>(
                site,
                String::new(),
                self.bytes(&key),
            ));
            return None;
        }
        Some(self.__piggyback_enter(site, marker, key, share, joining, payload))
    }

    /// The same in a scope.
    pub fn __piggyback_forgets_in<M, K, S, P>(
        &self,
        forgets: Forgets,
        site: &'static Site,
        scope: &Scope,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
        payload: P,
    ) -> Option<(Scoped<K, S>, Trip<P>)>
    where
        M: Fn() + 'static,
        K: Key + Serialize,
        S: Share,
    {
        if forgets.only() {
            dedup::forget::now_in::<M, K, S>(site, scope, &key);
            if let Some(scope) = scope.name_in_fleet() {
                self.forget(Name::of::<M, K, S, P>(site, scope, self.bytes(&key)));
            }
            return None;
        }
        Some(self.__piggyback_enter_in(site, scope, marker, key, share, joining, payload))
    }

    /// How a result travels.
    pub fn __piggyback_payload<K, M, N>(
        &self,
        _: K,
    ) -> <Written<K, M> as ReadOf<K::Named, N>>::If<K::Payload>
    where
        K: Travels,
        Output<K::First>: WriteOf<K::Named, M>,
        Written<K, M>: ReadOf<K::Named, N>,
    {
        Written::<K, M>::then(K::payload())
    }

    /// How a result travels of which the error travels, too.
    pub fn __piggyback_payload_err<K, L, M, N, O, P>(&self, _: K) -> Both<K, L, M, N, O, P>
    where
        K: Kind,
        Output<K::Whole>: ErrTravels<K::Whole, L>,
        Output<K::First>: WriteOf<K::Named, M>,
        Written<K, M>: ReadOf<K::Named, N>,
        Output<K::Err>: WriteErrOf<K::Err, O>,
        WrittenErr<K, O>: ReadErrOf<K::Err, P>,
    {
        let whole = Output::<K::Whole>::then(Whole::new());
        Written::<K, M>::then(WrittenErr::<K, O>::then(whole))
    }

    fn bytes(&self, key: &impl Serialize) -> Option<Vec<u8>> {
        // A fleet of this process alone compares nothing.
        self.0.0.as_ref().and_then(|_| codec::encode_key(key))
    }

    fn start<T: TableRef<K, V> + Sync, K, V, S: Share<Stored = V>>(
        &self,
        name: Option<Name>,
        call: &Call<T, K, V, S>,
        joining: Joining,
    ) -> Option<Start> {
        self.0.0.as_ref().zip(name).map(|(inner, name)| {
            inner.hub.start();
            let mut settings = inner.settings;
            if let Some(age) = joining.max_age() {
                settings.max_age = settings.max_age.min(age);
            }
            let inner = inner.clone();
            Start {
                hub: inner.hub.clone(),
                settings,
                around: Some(call.around()),
                flight: Box::new(move || inner.flight(&name.text(), name.key)),
            }
        })
    }

    fn forget(&self, name: Name) {
        let forgotten = self.0.0.as_ref().and_then(|inner| {
            let flight = inner.flight(&name.text(), name.key).ok()?;
            Some(inner.forget(&flight))
        });
        forget::begun(forgotten);
    }
}

/// What a body needs to run for the whole fleet.
pub struct Trip<P>(Option<Start>, P);

impl<P> Trip<P> {
    /// The body, around which the fleet is.
    pub fn __piggyback_across<F: Future>(self, body: F) -> Across<F, P> {
        let Self(start, payload) = self;
        Across::new(body, payload, start)
    }
}

impl fmt::Debug for OfCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<P> fmt::Debug for Trip<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trip")
    }
}
