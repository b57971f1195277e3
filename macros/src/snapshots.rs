//! What the attributes expand to, one snapshot a shape. `UPDATE_EXPECT=1 cargo test -p piggyback-macros` writes them
//! anew; each is to be read then. `P` is the runtime's private module.

use crate::options::Attribute;
use crate::plan::expand;
use expect_test::expect_file;
use quote::quote;

macro_rules! snapshots {
    ($($name:ident, $lines:literal lines: $attribute:ident ($($options:tt)*) { $($item:tt)* })*) => {$(
        #[test]
        fn $name() {
            let expansion = expand(Attribute::$attribute, quote!($($options)*), quote!($($item)*));
            let expansion = expansion.to_string().replace(":: piggyback :: __private", "P");
            let file = syn::parse_str(&expansion).unwrap();
            let path = concat!("snapshots/", stringify!($name), ".rs");
            let text = prettyplease::unparse(&file);
            // The function's own lines are three.
            let beyond = text.lines().count() - 3;
            expect_file![path].assert_eq(&text);
            assert!(beyond <= $lines, "{beyond} lines beyond the body");
        }
    )*};
}

snapshots! {
    dedup_function, 30 lines: Dedup (skip(pool), share_err = AppError::Shared) {
        async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
            body
        }
    }
    dedup_bare, 30 lines: Dedup () {
        pub async fn user(id: u64) -> User {
            body
        }
    }
    dedup_spawn, 33 lines: Dedup (spawn, skip(pool)) {
        async fn user(&self, pool: Pool, id: u64) -> User {
            self.body
        }
    }
    dedup_boxed, 30 lines: Dedup (scope = self.scope) {
        fn user<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = User> + Send + 'a>> {
            Box::pin(async move { body })
        }
    }
    dedup_forget, 46 lines: Dedup (forget = forget_user, max_age_ms = 5) {
        async fn user<T>(id: T) -> User {
            body
        }
    }
    batch_slice, 46 lines: Batch (size = 10, delay_ms = 10, skip(pool), share_err = AppError::Shared) {
        async fn save(pool: &Pool, users: &[User]) -> Result<(), AppError> {
            body
        }
    }
    batch_lists, 65 lines: Batch (size = 10, delay_ms = 10, items(ids, names), by_ref, unique = |row| row.0) {
        async fn save(ids: Vec<u64>, names: &[&str]) -> Vec<u64> {
            body
        }
    }
    batch_split, 46 lines: Batch (size = 10, delay_ms = 10, split_on_err, key(self = self.tenant)) {
        async fn save(&self, users: &[User]) -> Result<(), AppError> {
            self.body
        }
    }
    loader, 71 lines: Batch (size = 10, delay_ms = 10) {
        #[dedup]
        async fn user(ids: Vec<u64>) -> Result<HashMap<u64, User>, AppError> {
            body
        }
    }
}
