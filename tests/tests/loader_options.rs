//! `#[dedup]` and `#[batch]` on one function: an option of both is said on one of them, in whichever order they stand.
#![deny(warnings)]

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use piggyback::{batch, dedup};

/// Each of them is used here alone, taken off by the other.
mod imports {
    pub mod batch_below {
        use piggyback::{batch, dedup};

        #[dedup]
        #[batch(size = 10, delay_ms = 1)]
        pub async fn echo(ids: Vec<u64>) -> Vec<u64> {
            ids
        }
    }

    pub mod dedup_below {
        use piggyback::{batch, dedup};

        #[batch(size = 10, delay_ms = 1)]
        #[dedup]
        pub async fn echo(ids: Vec<u64>) -> Vec<u64> {
            ids
        }
    }
}

#[dedup]
#[batch(size = 10, delay_ms = 1, direct = names_of_all, name = "names")]
async fn name(ids: Vec<u64>) -> Vec<String> {
    ids.iter().map(u64::to_string).collect()
}

#[dedup(direct = sizes_of_all, name = "sizes")]
#[batch(size = 10, delay_ms = 1)]
async fn size(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[batch(size = 10, delay_ms = 1)]
#[dedup(direct = ages_of_all, name = "ages")]
async fn age(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[batch(size = 10, delay_ms = 1, direct = ranks_of_all, name = "ranks")]
#[dedup]
async fn rank(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::test]
async fn neither_import_is_called_unused() {
    assert_eq!(imports::batch_below::echo(1).await, 1);
    assert_eq!(imports::dedup_below::echo(1).await, 1);
}

#[tokio::test]
async fn direct_and_name_apply_to_either_attribute() {
    assert_eq!(name(1).await, "1");
    assert_eq!(names_of_all(vec![1, 2]).await, ["1", "2"]);
    assert_eq!((size(1).await, age(1).await, rank(1).await), (1, 1, 1));
    assert_eq!(sizes_of_all(vec![1, 2]).await, [1, 2]);
    assert_eq!(ages_of_all(vec![1, 2]).await, [1, 2]);
    assert_eq!(ranks_of_all(vec![1, 2]).await, [1, 2]);
    let stats = piggyback::Scope::global().stats();
    for name in ["names", "sizes", "ages", "ranks"] {
        assert!(stats.to_string().contains(name), "{stats}");
    }
}

/// As the documentation says of loaders whose calls may start beside an equal one.
#[tokio::test(start_paused = true)]
async fn with_unique_no_list_has_an_item_twice() {
    static LISTS: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());
    #[dedup(forget = forget_name, max_followers = 1)]
    #[batch(size = 100, delay_ms = 5, unique = |id| id)]
    async fn name(ids: &[u64]) -> HashMap<u64, String> {
        LISTS.lock().unwrap().push(ids.to_vec());
        ids.iter().map(|&id| (id, format!("user {id}"))).collect()
    }
    let forgets = async {
        forget_name(1);
        name(1).await
    };
    let calls = (name(1), name(1), name(1), name(2), forgets);
    let names = tokio::join!(calls.0, calls.1, calls.2, calls.3, calls.4);
    let one = Some("user 1".to_owned());
    assert_eq!(
        [names.0, names.1, names.2, names.4],
        [(); 4].map(|()| one.clone())
    );
    assert_eq!(names.3.as_deref(), Some("user 2"));
    let lists = LISTS.lock().unwrap();
    assert_eq!(
        lists.iter().flatten().filter(|&&id| id == 1).count(),
        3,
        "{lists:?}"
    );
    for list in lists.iter() {
        let distinct: HashSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), list.len(), "{lists:?}");
    }
}
