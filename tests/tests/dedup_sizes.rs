//! The size of an annotated future: at most 48 bytes more than the body's, and each argument once.

/// `$name` is written twice, bare and annotated; `$call` makes either future.
macro_rules! weighs {
    ($test:ident, [$($options:tt)*], $arguments:ty,
     async fn $name:ident($($signature:tt)*) -> $output:ty $body:block, $($call:tt)*) => {
        #[test]
        fn $test() {
            mod bare {
                pub async fn $name($($signature)*) -> $output $body
            }
            mod annotated {
                #[piggyback::dedup($($options)*)]
                pub async fn $name($($signature)*) -> $output $body
            }
            let bare = size_of_val(&bare::$name $($call)*);
            let annotated = size_of_val(&annotated::$name $($call)*);
            let arguments = size_of::<$arguments>();
            assert!(
                annotated <= bare + arguments + 48,
                "{annotated} > {bare} + {arguments} + 48"
            );
        }
    };
}

weighs!(
    a_call_without_arguments,
    [],
    (),
    async fn nothing() -> u64 {
        tokio::task::yield_now().await;
        1
    },
    ()
);

weighs!(
    a_call_that_never_waits,
    [],
    u64,
    async fn ready(id: u64) -> u64 {
        id
    },
    (1)
);

weighs!(
    a_call_with_a_small_argument,
    [],
    u64,
    async fn small(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    },
    (1)
);

weighs!(
    a_call_with_a_large_argument,
    [],
    [u64; 64],
    async fn large(ids: [u64; 64]) -> u64 {
        tokio::task::yield_now().await;
        ids[3]
    },
    ([0; 64])
);

weighs!(
    a_call_with_a_large_skipped_argument,
    [skip(ids)],
    ([u64; 64], u64),
    async fn skipped(ids: [u64; 64], id: u64) -> u64 {
        tokio::task::yield_now().await;
        ids[3] + id
    },
    ([0; 64], 1)
);

weighs!(
    a_call_with_borrowed_arguments,
    [],
    (&str, Option<&str>, &[&str]),
    async fn borrowed(name: &str, maybe: Option<&str>, names: &[&str]) -> usize {
        tokio::task::yield_now().await;
        name.len() + maybe.map_or(0, str::len) + names.len()
    },
    ("", None, &[])
);

weighs!(
    a_call_with_a_large_result,
    [],
    u64,
    async fn result(id: u64) -> [u64; 64] {
        tokio::task::yield_now().await;
        [id; 64]
    },
    (1)
);

weighs!(
    a_call_with_a_large_body,
    [],
    u64,
    async fn body(id: u64) -> u64 {
        let buffer = [id; 128];
        tokio::task::yield_now().await;
        buffer.iter().sum()
    },
    (1)
);

weighs!(
    a_call_with_share_err,
    [share_err = |error: std::sync::Arc<std::io::Error>| error.kind().into()],
    u64,
    async fn fails(id: u64) -> std::io::Result<u64> {
        tokio::task::yield_now().await;
        Ok(id)
    },
    (1)
);

weighs!(
    a_call_with_the_options_of_joining,
    [max_age_ms = 10, max_followers = 3],
    u64,
    async fn joins(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    },
    (1)
);

weighs!(
    a_call_in_a_scope,
    [scope = scope],
    (&piggyback::Scope, u64),
    async fn scoped(scope: &piggyback::Scope, id: u64) -> u64 {
        let _ = scope;
        tokio::task::yield_now().await;
        id
    },
    (&piggyback::Scope::new(), 1)
);
