//! The contenders for `#[batch]`.

pub(crate) mod bounds;
pub(crate) mod by_hand;
pub(crate) mod contender;
pub(crate) mod crates;
#[cfg(feature = "nightly-peers")]
pub(crate) mod nightly;

use crate::{
    measure::{Contender, Field},
    ours,
    record::{Kind, Who},
    report::versioned,
};
pub(crate) use contender::*;

/// All contenders.
pub(crate) fn each(visitor: &mut impl Visitor) {
    let peer = |name: String| Who {
        name,
        kind: Kind::Peer,
    };
    let bound = |name: &str| Who {
        name: name.into(),
        kind: Kind::Bound,
    };
    visitor.visit::<ours::Piggyback>(Who {
        name: "piggyback #[batch]".into(),
        kind: Kind::Ours,
    });
    #[cfg(feature = "nightly-peers")]
    visitor.visit::<nightly::Batched>(peer(versioned("batched")));
    #[cfg(not(feature = "nightly-peers"))]
    visitor.absent(
        versioned("batched"),
        "needs unstable features of the language: measured when this program is built by a nightly \
         compiler with `--features nightly-peers`",
    );
    visitor.visit::<crates::BatchAintOne>(peer(versioned("batch-aint-one")));
    visitor.visit::<crates::UltraBatch>(peer(versioned("ultra-batch")));
    visitor.visit::<crates::DataLoader>(peer(format!("{} DataLoader", versioned("async-graphql"))));
    visitor.visit::<crates::TowerBatch>(peer(versioned("tower-batch-control")));
    visitor.visit::<by_hand::Channel>(peer(format!(
        "{} mpsc + oneshot + spawn, by hand",
        versioned("tokio")
    )));
    visitor.visit::<by_hand::Carpool>(peer(format!(
        "{}'s queue + a worker by hand",
        versioned("carpool")
    )));
    visitor.visit::<bounds::Yield>(bound("one yield an item"));
    visitor.visit::<bounds::SharedVector>(bound("shared vector, the filler maps"));
}

/// The field of a workload: a lap for each contender that can do it.
pub(crate) fn field<R: Runner>() -> Field {
    struct Collect<R>(Field, std::marker::PhantomData<R>);
    impl<R: Runner> Visitor for Collect<R> {
        fn visit<B: Batcher>(&mut self, who: Who) {
            if who.kind == Kind::Bound && !R::BOUNDS {
                return;
            }
            let _inside = R::SETUP.flavour.runtime().enter();
            match B::new(R::SETUP) {
                Err(reason) => self.0.cannot.push((who.name, reason.into())),
                // Made anew where it is run: a worker that nobody uses should not exist.
                Ok(_) => self.0.contenders.push(Contender {
                    who,
                    set_up: Box::new(|| {
                        let _inside = R::SETUP.flavour.runtime().enter();
                        R::lap(B::new(R::SETUP).expect("could be made before"))
                    }),
                }),
            }
        }

        fn absent(&mut self, name: String, reason: &'static str) {
            self.0.cannot.push((name, reason.into()));
        }
    }
    let mut collect = Collect::<R>(Field::default(), std::marker::PhantomData);
    each(&mut collect);
    collect.0
}

/// Whether the contender of this name runs its bulk calls detached.
pub(crate) fn is_detached(name: &str) -> bool {
    struct Find<'a>(&'a str, bool);
    impl Visitor for Find<'_> {
        fn visit<B: Batcher>(&mut self, who: Who) {
            self.1 |= who.name == self.0 && B::DETACHED;
        }

        fn absent(&mut self, _: String, _: &'static str) {}
    }
    let mut find = Find(name, false);
    each(&mut find);
    find.1
}
