//! The ready-made functions for `share_err`: message, chain and downcast are kept, and a lone caller gets the original.

use std::io;
use std::task::Poll;

use piggyback::dedup;
use piggyback_tests::by_hand::{ByHand, block_on, one_turn};

macro_rules! kept {
    ($test:ident, $crate_:ident, $Error:ty, $Context:ident, $context:ident) => {
        #[test]
        fn $test() {
            use $crate_::$Context;

            #[dedup(share_err = piggyback::$crate_::shared)]
            async fn load(id: u64) -> $crate_::Result<u64> {
                one_turn().await;
                let failed: io::Result<u64> = Err(io::Error::other("disk on fire"));
                failed
                    .map_err(<$Error>::new)
                    .$context(|| format!("can't load {id}"))
            }

            /// The use that callers make of it.
            async fn handler(id: u64) -> $crate_::Result<u64> {
                Ok(load(id).await? + 1)
            }

            let mut calls = [(); 3].map(|()| ByHand::waiting(handler(1)));
            for call in &mut calls {
                let Poll::Ready(Err(error)) = call.poll() else {
                    panic!("it fails")
                };
                assert_eq!(error.to_string(), "can't load 1");
                let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
                assert_eq!(chain, ["can't load 1", "disk on fire"]);
                assert_eq!(error.root_cause().to_string(), "disk on fire");
                assert!(error.root_cause().is::<io::Error>());
                let shared = error
                    .downcast_ref::<piggyback::$crate_::Shared>()
                    .expect("it is shared");
                assert!(shared.downcast_ref::<io::Error>().is_some());
            }

            let error = block_on(handler(2)).unwrap_err();
            assert_eq!(error.to_string(), "can't load 2");
            assert!(error.downcast_ref::<io::Error>().is_some());
        }
    };
}

kept!(
    anyhows_errors_are_kept,
    anyhow,
    anyhow::Error,
    Context,
    with_context
);
kept!(
    eyres_errors_are_kept,
    eyre,
    eyre::Report,
    WrapErr,
    wrap_err_with
);
