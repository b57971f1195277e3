//! What `#[dedup(across = …)]` expands to: the fleet around the body of a flight.
//!
//! An expansion asks the fleet for the call, beside which it gets a [`Trip`]: all that the body needs to run for the whole fleet,
//! should this call ever run it. It is asked by methods, so that a fleet that is wrong already is the only error.

use std::any::type_name;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Across, Around, Start};
use super::payload::{Success, Whole};
use super::stats::{Counters, FleetStats, Outcome};
use super::{Fleet, Forgotten, codec};
use crate::bounds::{self, Always, Never, Nothing, Nowhere, Output};
use crate::dedup::{self, Call, Forgets, Joining, Table};
use crate::fixed::Fixed;
use crate::key::{About, Key, SerializeOf};
use crate::scope::Scope;
use crate::sharing::Share;
use crate::sharing::kind::{Halves, Kind, Whole as NotResult};
use crate::sharing::steps::Next;
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

    fn start<T, K, V, S>(
        &self,
        name: Option<Name>,
        call: &Call<T, K, V, S>,
        joining: Joining,
    ) -> Option<Start>
    where
        T: Deref<Target = Table<K, V>> + Clone + Send + Sync + 'static,
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Share<Stored = V>,
    {
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
        FORGOTTEN.set(forgotten);
    }
}

/// What a flight is called in the fleet, but for the fleet and the build.
struct Name {
    path: Cow<'static, str>,
    scope: String,
    types: [fn() -> &'static str; 4],
    key: Option<Vec<u8>>,
}

impl Name {
    fn of<M, K: Key, S: Share, P>(site: &Site, scope: String, key: Option<Vec<u8>>) -> Self {
        Self {
            path: site.path::<M>(),
            scope,
            types: [
                type_name::<M>,
                type_name::<K::Owned>,
                type_name::<S::Output>,
                // With and without `across_err`, results are written differently.
                type_name::<P>,
            ],
            key,
        }
    }

    /// The function, the scope, and a hash of the types.
    fn text(&self) -> String {
        let Self { path, scope, .. } = self;
        let [a, b] = [1, 2].map(|seed| {
            let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
            for name in self.types {
                hasher.write(name().as_bytes());
                hasher.write_u8(0);
            }
            hasher.finish()
        });
        format!("{path}:{}:{scope}:{a:016x}{b:016x}", scope.len())
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

thread_local! {
    /// What the call that only forgets has begun.
    static FORGOTTEN: Cell<Option<Forgotten>> = const { Cell::new(None) };
}

/// Has a call forget the flight with its key, in all processes, instead of running.
pub fn forget<F: Future>(call: F) -> Forgotten {
    FORGOTTEN.set(None);
    dedup::forget(call);
    FORGOTTEN.take().unwrap_or_else(Forgotten::done)
}

/// What the executions of one function did, in one scope.
#[derive(Debug, Default)]
pub(crate) struct OfFunction {
    counters: Counters,
    up: AtomicBool,
}

impl OfFunction {
    pub(crate) fn count(&self, outcome: Outcome) {
        self.counters.count(outcome);
    }

    pub(crate) fn sees(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    pub(crate) fn stats(&self) -> FleetStats {
        self.counters.stats(self.up.load(Relaxed))
    }
}

/// The flight of a call, and what is counted of its function.
pub(crate) struct Local<T> {
    pub(crate) table: T,
    /// Its hash and its number, if the call has one.
    pub(crate) flight: Option<(u64, u64)>,
}

impl<T, K, V> Around for Local<T>
where
    T: Deref<Target = Table<K, V>> + Send + Sync,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn close(&self) {
        if let Some((hash, id)) = self.flight {
            self.table.close(hash, id);
        }
    }

    fn began_before(&self, age: Duration) {
        if let Some((hash, id)) = self.flight {
            self.table.began_before(hash, id, age);
        }
    }

    fn count(&self, outcome: Outcome) {
        self.table.counts_in_fleet(outcome);
    }

    fn sees(&self, up: bool) {
        self.table.of_function().sees(up);
    }
}

/// A result, or the success of one, that can be written down. The module `bounds` explains `M`.
#[diagnostic::on_unimplemented(
    message = "with `across`, `{R}` must be `serde::Serialize`, since it is sent to other processes",
    label = "`{R}` is not `Serialize`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{R}`; for a type parameter, add the bounds `serde::Serialize + serde::de::DeserializeOwned`",
    note = "for a type from another crate, look for its feature `serde`"
)]
pub trait WriteOf<R, M> {
    /// What the next step is asked of.
    type Next;
}

/// The same, that can be read.
#[diagnostic::on_unimplemented(
    message = "with `across`, `{R}` must be `serde::de::DeserializeOwned`, since it is received from other processes",
    label = "`{R}` is not `Deserialize`, or borrows",
    note = "derive `serde::Deserialize` for `{R}`, and let it own what it holds: `String` instead of `&str`; for a type parameter, add the bound `serde::de::DeserializeOwned`",
    note = "for `Arc` and `Rc`, add serde's feature `rc`"
)]
pub trait ReadOf<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

/// The error of a result, that can be written down.
#[diagnostic::on_unimplemented(
    message = "with `across_err`, `{R}`, the error type of this `Result`, must be `serde::Serialize`, since it is sent to other processes",
    label = "`{R}` is not `Serialize`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{R}`; for a type parameter, add the bounds `serde::Serialize + serde::de::DeserializeOwned`",
    note = "without `across_err`, an error stays in its process and needs no serde: all processes that wait then run the function themselves"
)]
pub trait WriteErrOf<R, M> {
    /// What the next step is asked of.
    type Next;
}

/// The same, that can be read.
#[diagnostic::on_unimplemented(
    message = "with `across_err`, `{R}`, the error type of this `Result`, must be `serde::de::DeserializeOwned`, since it is received from other processes",
    label = "`{R}` is not `Deserialize`, or borrows",
    note = "derive `serde::Deserialize` for `{R}`, and let it own what it holds: `String` instead of `&str`; for a type parameter, add the bound `serde::de::DeserializeOwned`",
    note = "without `across_err`, an error stays in its process and needs no serde: all processes that wait then run the function themselves"
)]
pub trait ReadErrOf<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

macro_rules! steps {
    ($($write:ident $read:ident;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Serialize, Named> $write<Named, Always> for Output<R> {
            type Next = Next<R>;
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing, Named> $write<Named, Never> for Output<R> {
            type Next = Next<R>;
        }

        #[diagnostic::do_not_recommend]
        impl<R: DeserializeOwned, Named> $read<Named, Always> for Next<R> {
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing, Named> $read<Named, Never> for Next<R> {
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }
    )*};
}
steps! {
    WriteOf ReadOf;
    WriteErrOf ReadErrOf;
}

type Written<K, M> = <Output<<K as Kind>::First> as WriteOf<<K as Kind>::Named, M>>::Next;
type WrittenErr<K, M> = <Output<<K as Kind>::Err> as WriteErrOf<<K as Kind>::Err, M>>::Next;
type Both<K, L, M, N, O, P> = <Written<K, M> as ReadOf<<K as Kind>::Named, N>>::If<
    <WrittenErr<K, O> as ReadErrOf<<K as Kind>::Err, P>>::If<
        <Output<<K as Kind>::Whole> as ErrTravels<<K as Kind>::Whole, L>>::If<
            Whole<<K as Kind>::Output>,
        >,
    >,
>;

/// Which part of a result travels.
pub trait Travels: Kind {
    /// How.
    type Payload;
    /// How.
    fn payload() -> Self::Payload;
}

impl<R, L: bounds::Name<R>> Travels for NotResult<R, L> {
    type Payload = Whole<R>;
    fn payload() -> Whole<R> {
        Whole::new()
    }
}

impl<T, E, L: bounds::Name<T>> Travels for Halves<T, E, L> {
    type Payload = Success<T, E>;
    fn payload() -> Success<T, E> {
        Success::new()
    }
}

/// What is no `Result` but `()`, as which the module `bounds` knows a `Result`.
#[diagnostic::on_unimplemented(
    message = "`across_err` needs a `Result`, but each caller gets a `{R}`",
    label = "not a `Result`",
    note = "without `across_err`, the whole result is sent to other processes"
)]
pub trait ErrTravels<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

#[diagnostic::do_not_recommend]
impl ErrTravels<(), Always> for Output<()> {
    type If<X> = X;
    fn then<X>(x: X) -> X {
        x
    }
}

macro_rules! never {
    // Two, since the real implementation does not apply to what is not a `Result`.
    ($($m:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Nothing> ErrTravels<R, $m> for Output<R> {
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }
    )*};
}
never!(Never Nowhere);

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
