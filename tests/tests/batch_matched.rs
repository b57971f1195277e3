//! `item_by` finds results by a part of an item, and `split_on_err = closure` splits after some errors only.

use piggyback::{Scope, batch, dedup};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, PartialEq)]
struct New {
    email: String,
    age: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct User {
    id: u64,
    email: String,
}

fn new(email: &str) -> New {
    New {
        email: email.into(),
        age: 1,
    }
}

fn user(id: u64, email: &str) -> User {
    User {
        id,
        email: email.into(),
    }
}

/// As `INSERT … RETURNING` gives them: without `c`, and in another order.
fn rows(new: &[New]) -> Vec<User> {
    let rows = new.iter().rev().filter(|new| new.email != "c");
    rows.map(|new| user(new.age, &new.email)).collect()
}

#[batch(size = 10, delay_ms = 1, one_by = |user| &user.email, item_by = |new| &new.email)]
async fn one(users: Vec<New>) -> Vec<User> {
    rows(&users)
}

#[batch(size = 10, delay_ms = 1, one_by = |user| user.email.as_str(), item_by = |new| new.email.clone(), split_on_err)]
async fn fallible(users: &[New]) -> Result<Vec<User>, String> {
    if users.iter().any(|new| new.email == "bad") {
        return Err("bad".into());
    }
    Ok(rows(users))
}

#[batch(size = 10, delay_ms = 1, many_by = |user| &user.email, item_by = |new| &new.email)]
async fn many(users: Vec<New>) -> Vec<User> {
    rows(&users)
}

#[batch(size = 10, delay_ms = 1, item_by = |new| &new.email)]
async fn hashed(users: Vec<New>) -> Result<HashMap<String, u64>, String> {
    Ok(rows(&users)
        .into_iter()
        .map(|user| (user.email, user.id))
        .collect())
}

#[batch(size = 10, delay_ms = 1, item_by = |new| &new.email)]
async fn sorted(users: Vec<New>) -> BTreeMap<String, u64> {
    rows(&users)
        .into_iter()
        .map(|user| (user.email, user.id))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn results_are_found_by_a_part_of_the_item() {
    let all = tokio::join!(one(new("a")), one(new("b")), one(new("c")), one(new("a")));
    let (a, b) = (Some(user(1, "a")), Some(user(1, "b")));
    assert_eq!(all, (a.clone(), b, None, a));

    let all = tokio::join!(fallible(new("a")), fallible(new("bad")), fallible(new("c")));
    assert_eq!(all, (Ok(Some(user(1, "a"))), Err("bad".into()), Ok(None)));

    let all = tokio::join!(many(new("a")), many(new("c")), many(new("a")));
    let twice = vec![user(1, "a"), user(1, "a")];
    assert_eq!(all, (twice.clone(), vec![], twice));

    assert_eq!(
        tokio::join!(hashed(new("a")), hashed(new("c"))),
        (Ok(Some(1)), Ok(None))
    );
    assert_eq!(
        tokio::join!(sorted(new("a")), sorted(new("c"))),
        (Some(1), None)
    );
}

type Calls = Arc<Mutex<Vec<Vec<u64>>>>;

#[derive(Clone, Debug, PartialEq)]
enum DbError {
    Check(u64),
    Timeout,
}

/// 13 is a bad row, 99 is a timeout.
#[batch(size = 10, delay_ms = 1, skip(calls), split_on_err = |error| matches!(error, DbError::Check(_)))]
async fn save(calls: &Calls, ids: Vec<u64>) -> Result<(), DbError> {
    calls.lock().unwrap().push(ids.clone());
    if ids.contains(&99) {
        return Err(DbError::Timeout);
    }
    match ids.iter().find(|id| **id == 13) {
        Some(id) => Err(DbError::Check(*id)),
        None => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn only_errors_that_the_closure_names_split_a_batch() {
    let calls = Calls::default();
    let all = tokio::join!(save(&calls, 1), save(&calls, 13));
    assert_eq!(all, (Ok(()), Err(DbError::Check(13))));
    assert_eq!(*calls.lock().unwrap(), [vec![1, 13], vec![1], vec![13]]);

    let calls = Calls::default();
    let all = tokio::join!(save(&calls, 1), save(&calls, 99), save(&calls, 13));
    let timeout = || Err(DbError::Timeout);
    assert_eq!(all, (timeout(), timeout(), timeout()));
    assert_eq!(
        *calls.lock().unwrap(),
        [[1, 99, 13]],
        "run once, and shared by all"
    );
}

struct App {
    scope: Scope,
}

#[dedup(scope = app.scope)]
async fn scoped(app: &App, id: u64) -> u64 {
    let _ = app;
    id
}

#[batch(size = 10, delay_ms = 1, scope = &app.scope)]
async fn scoped_batch(app: Arc<App>, ids: Vec<u64>) -> Vec<u64> {
    let _ = app;
    ids
}

#[tokio::test(start_paused = true)]
async fn the_argument_that_holds_the_scope_is_not_in_the_key() {
    let app = Arc::new(App {
        scope: Scope::new(),
    });
    assert_eq!(scoped(&app, 1).await, 1);
    assert_eq!(scoped_batch(app, 2).await, 2);
}
