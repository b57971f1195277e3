//! Bulk writes: INSERT, UNNEST, upserts, queues.

use super::stand_ins::aws_sdk_sqs::{Client, SdkError, SendMessageBatchRequestEntry};
use super::stand_ins::model::{AppError, AppResult, User, UserId, user};
use super::stand_ins::sqlx::{self, PgPool};
use piggyback::batch;
use std::sync::Arc;
use uuid::Uuid;

#[batch(size = 100, delay_ms = 5, skip(pool), share_err = AppError::Shared)]
async fn insert(pool: &PgPool, users: &[User]) -> Result<(), AppError> {
    pool.fetch_one(users[0].id).await?;
    Ok(())
}

#[batch(size = 100, delay_ms = 5, skip(pool), split_on_err)]
async fn insert_all_or_nothing(pool: &PgPool, users: &[User]) -> AppResult<()> {
    pool.execute().await;
    match users.iter().all(|user| user.id > 0) {
        true => Ok(()),
        false => Err(AppError::NotFound),
    }
}

#[batch(size = 100, delay_ms = 5, skip(pool), share_err = |_| sqlx::Error::RowNotFound)]
async fn insert_returning(pool: &PgPool, names: &[String]) -> sqlx::Result<Vec<u64>> {
    pool.execute().await;
    Ok((1..=names.len() as u64).collect())
}

#[batch(size = 100, delay_ms = 5, skip(pool), items(ids, names))]
async fn unnest(pool: &PgPool, ids: &[u64], names: &[String]) -> Vec<String> {
    pool.execute().await;
    ids.iter()
        .zip(names)
        .map(|(id, name)| format!("{id}{name}"))
        .collect()
}

#[batch(
    size = 100,
    delay_ms = 5,
    skip(pool),
    by_ref,
    items(ids, names, emails)
)]
async fn unnest_three(pool: &PgPool, ids: Vec<Uuid>, names: &[&str], emails: Vec<Option<String>>) {
    pool.execute().await;
    assert_eq!((ids.len(), names.len()), (emails.len(), emails.len()));
}

#[batch(size = 100, delay_ms = 5, skip(pool), unique = |user| user.id)]
async fn upsert(pool: &PgPool, users: Vec<User>) {
    pool.execute().await;
    drop(users);
}

#[batch(size = 100, delay_ms = 5, skip(pool), shared)]
async fn delete(pool: &PgPool, ids: &[UserId]) -> Result<u64, Arc<AppError>> {
    pool.execute().await;
    Ok(ids.len() as u64)
}

#[batch(size = 100, delay_ms = 5, skip(pool), shared, share_err = |_| sqlx::Error::RowNotFound)]
async fn rows_affected(pool: &PgPool, ids: Vec<i64>) -> sqlx::Result<u64> {
    pool.execute().await;
    Ok(ids.len() as u64)
}

#[batch(size = 10, delay_ms = 5, skip(client))]
async fn send(
    client: &Client,
    entries: Vec<SendMessageBatchRequestEntry>,
) -> Result<Vec<Result<String, SdkError>>, SdkError> {
    client.0.execute().await;
    Ok(entries
        .into_iter()
        .map(|entry| {
            if entry.message_body.is_empty() {
                Err(SdkError)
            } else {
                Ok(entry.id)
            }
        })
        .collect())
}

#[batch(size = 10, delay_ms = 5, skip(client), weight = |entry| entry.message_body.len(), max_weight = 10)]
async fn send_weighed(
    client: &Client,
    queue: &str,
    entries: &[SendMessageBatchRequestEntry],
) -> Result<(), SdkError> {
    client.0.execute().await;
    assert!(!queue.is_empty() && !entries.is_empty());
    Ok(())
}

#[batch(size = 500, delay_ms = 5, skip(pool))]
async fn append(pool: PgPool, stream: Uuid, events: Vec<String>) -> Vec<u64> {
    pool.execute().await;
    assert!(!stream.is_nil());
    (0..events.len() as u64).collect()
}

#[batch(size = 500, delay_ms = 5, eager, concurrency = 1, skip(pool))]
async fn commit(pool: &PgPool, records: Vec<Vec<u8>>) {
    pool.execute().await;
    drop(records);
}

#[batch(size = 100, delay_ms = 5, skip(pool), share_err = piggyback::anyhow::shared)]
async fn save(pool: Arc<PgPool>, rows: Vec<(Uuid, String)>) -> anyhow::Result<()> {
    pool.execute().await;
    anyhow::ensure!(rows.iter().all(|(id, _)| !id.is_nil()), "nil");
    Ok(())
}

#[batch(size = 100, delay_ms = 5, skip(pool), direct = touch_all)]
async fn touch(pool: &PgPool, ids: &[u64]) -> Vec<u64> {
    pool.execute().await;
    ids.to_vec()
}

#[batch(size = 100, delay_ms = 5, skip(pool), clone_with = |result: &Result<(), sqlx::Error>| match result {
    Ok(()) => Ok(()),
    Err(_) => Err(sqlx::Error::RowNotFound),
})]
async fn index(pool: &PgPool, words: &[&str]) -> Result<(), sqlx::Error> {
    pool.fetch_one(words.len() as u64 - 1).await?;
    Ok(())
}

#[batch(size = MAX, delay_ms = DELAY.as_millis() as u64, skip(pool))]
async fn with_constants<T: Send + 'static>(pool: &PgPool, items: Vec<T>) -> Vec<T> {
    pool.execute().await;
    items
}

const MAX: usize = 25;
const DELAY: std::time::Duration = std::time::Duration::from_millis(5);

fn entry(body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry {
        id: "1".into(),
        message_body: body.into(),
    }
}

#[tokio::test(start_paused = true)]
async fn rows_go_into_one_statement() {
    let pool = &PgPool::default();
    together!(pool, insert(pool, user(1)), insert(pool, user(2)))
        .1
        .unwrap();
    let (a, b) = together!(pool, insert(pool, user(0)), insert(pool, user(2)));
    assert!(matches!(a, Err(AppError::Shared(_))) && matches!(b, Err(AppError::Shared(_))));
    let call = |id| insert_all_or_nothing(pool, user(id));
    together!(pool, call(1), call(2)).1.unwrap();
    let (good, bad) = tokio::join!(call(1), call(0));
    assert!(good.is_ok() && matches!(bad, Err(AppError::NotFound)));
    let (a, b) = together!(
        pool,
        insert_returning(pool, "a".into()),
        insert_returning(pool, "b".into())
    );
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    let call = |id| unnest(pool, id, "x".into());
    assert_eq!(together!(pool, call(1), call(2)).1, "2x");
    let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let (none, some) = (None, Some("mail".to_owned()));
    together!(
        pool,
        unnest_three(pool, &ids[0], "a", &none),
        unnest_three(pool, &ids[1], "b", &some)
    );
    together!(pool, upsert(pool, user(1)), upsert(pool, user(2)));
    apart!(pool, upsert(pool, user(1)), upsert(pool, user(1)));
    assert_eq!(
        together!(pool, delete(pool, UserId(1)), delete(pool, UserId(2)))
            .1
            .unwrap(),
        2
    );
    assert_eq!(
        together!(pool, rows_affected(pool, 1), rows_affected(pool, 2))
            .0
            .unwrap(),
        2
    );
    let shared = Arc::new(pool.clone());
    let call = |id| save(shared.clone(), (Uuid::from_u128(id), "a".into()));
    assert_eq!(
        together!(pool, call(0), call(1)).1.unwrap_err().to_string(),
        "nil"
    );
    assert_eq!(together!(pool, touch(pool, 1), touch(pool, 2)), (1, 2));
    assert_eq!(touch_all(pool, &[1, 2]).await, [1, 2]);
    together!(pool, index(pool, "a".into()), index(pool, "b".into()))
        .1
        .unwrap();
    assert_eq!(
        together!(pool, with_constants(pool, 1), with_constants(pool, 2)),
        (1, 2)
    );
    apart!(pool, with_constants(pool, 1), with_constants(pool, "a"));
}

#[tokio::test(start_paused = true)]
async fn messages_and_events_go_off_together() {
    let pool = PgPool::default();
    let client = &Client(pool.clone());
    let (good, bad) = together!(pool, send(client, entry("a")), send(client, entry("")));
    assert!(good.is_ok() && bad.is_err());
    let call = |body: &str| send_weighed(client, "q", entry(body));
    together!(pool, call("12345"), call("12345")).1.unwrap();
    apart!(pool, call("123456"), call("12345")).1.unwrap();
    let call = |stream| append(pool.clone(), Uuid::from_u128(stream), "e".into());
    assert_eq!(together!(pool, call(1), call(1)), (0, 1));
    assert_eq!(apart!(pool, call(1), call(2)), (0, 0));
    together!(pool, commit(&pool, vec![1]), commit(&pool, vec![2]));
}
