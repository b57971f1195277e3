//! Against `moto_server`, with a proxy in between where it has to answer what moto never does.

mod proxy;

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};

use self::proxy::{Answer, Proxy};
use crate::dynamodb::{User, Users};
use crate::error::Error;
use crate::server::{Clients, Moto};
use crate::sns::{Event, Topic};
use crate::sqs::Queue;

/// A server, or a line that says that the test is skipped.
async fn moto() -> Option<Moto> {
    let moto = Moto::start().await.unwrap();
    if moto.is_none() {
        println!("skipped: there is no moto_server (pip install 'moto[server]', or MOTO_SERVER)");
    }
    moto
}

fn user(n: usize) -> User {
    User {
        id: format!("user-{n}"),
        name: format!("User {n}"),
    }
}

async fn users(endpoint: &str) -> Users {
    let clients = Clients::new(Some(endpoint));
    let users = Users::create(clients.dynamodb, "users").await.unwrap();
    Users {
        backoff: Duration::from_millis(1),
        ..users
    }
}

/// What the table has, read without the functions that are tested.
async fn saved(users: &Users) -> HashSet<(String, String)> {
    let items = users
        .client
        .scan()
        .table_name(&users.table)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap();
    let text = |value: &AttributeValue| value.as_s().unwrap().clone();
    let pairs = items
        .iter()
        .map(|item| (text(&item["id"]), text(&item["name"])));
    pairs.collect()
}

#[tokio::test]
async fn dynamodb_gets_its_largest_requests_and_each_caller_its_own_item() {
    let Some(moto) = moto().await else { return };
    let proxy = Proxy::start(&moto.endpoint, |_, body| Answer::forward(body)).await;
    let users = users(&proxy.endpoint).await;
    let put = join_all((0..100).map(|n| users.put(user(n)))).await;
    assert!(put.iter().all(Result::is_ok), "{put:?}");
    assert_eq!(proxy.requests("BatchWriteItem"), 4);
    assert_eq!(saved(&users).await.len(), 100);

    let found = join_all((0..400).map(|n| users.get(format!("user-{}", n % 200)))).await;
    for (n, found) in found.into_iter().enumerate() {
        let n = n % 200;
        assert_eq!(found.unwrap(), (n < 100).then(|| user(n)));
    }
    assert_eq!(proxy.requests("BatchGetItem"), 2);
}

#[tokio::test]
async fn two_writes_of_one_key_are_two_requests_and_the_later_one_wins() {
    let Some(moto) = moto().await else { return };
    let users = users(&moto.endpoint).await;
    let writes = (0..10).map(|n| {
        users.put(User {
            id: "user-1".to_owned(),
            name: format!("name {n}"),
        })
    });
    let put = join_all(writes).await;
    assert!(put.iter().all(Result::is_ok), "{put:?}");
    let expected = ("user-1".to_owned(), "name 9".to_owned());
    assert_eq!(saved(&users).await, HashSet::from([expected]));
}

/// Lets through half of a request's entries, and never those that have `stuck` in them.
fn half(entries: &mut Value) -> Value {
    let all = std::mem::take(entries.as_array_mut().unwrap());
    let count = all.len().div_ceil(2);
    let (done, left): (Vec<_>, Vec<_>) = all
        .into_iter()
        .enumerate()
        .partition(|(at, entry)| *at < count && !entry.to_string().contains("stuck"));
    let values = |entries: Vec<(usize, Value)>| entries.into_iter().map(|entry| entry.1).collect();
    *entries = values(done);
    values(left)
}

#[tokio::test]
async fn unprocessed_items_and_keys_are_asked_again_and_then_their_callers_told() {
    let Some(moto) = moto().await else { return };
    let proxy = Proxy::start(&moto.endpoint, |operation, mut body| match operation {
        "BatchWriteItem" => {
            let left = half(&mut body["RequestItems"]["users"]);
            unprocessed(body, "UnprocessedItems", json!({}), left)
        }
        "BatchGetItem" => {
            let left = half(&mut body["RequestItems"]["users"]["Keys"]);
            let left = json!({ "Keys": left });
            unprocessed(
                body,
                "UnprocessedKeys",
                json!({ "Responses": { "users": [] } }),
                left,
            )
        }
        _ => Answer::forward(body),
    })
    .await;
    let mut users = users(&proxy.endpoint).await;
    users.attempts = 8;
    let stuck = || User {
        id: "stuck".to_owned(),
        name: String::new(),
    };
    let some: Vec<_> = (0..20).map(user).chain([stuck()]).collect();
    let put = join_all(some.iter().map(|user| users.put(user.clone()))).await;
    for (user, put) in some.iter().zip(put) {
        match put {
            Ok(()) => assert_ne!(user.id, "stuck"),
            Err(error) => {
                assert_eq!(user.id, "stuck", "{error}");
                assert!(
                    matches!(error, Error::Unprocessed { attempts: 8 }),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(proxy.requests("BatchWriteItem"), 8);
    assert_eq!(saved(&users).await.len(), 20);

    let found = join_all(some.iter().map(|user| users.get(user.id.clone()))).await;
    for (user, found) in some.iter().zip(found) {
        match found {
            Ok(found) => assert_eq!(found.as_ref(), Some(user)),
            Err(error) => {
                assert_eq!(user.id, "stuck", "{error}");
                assert!(
                    matches!(error, Error::Unprocessed { attempts: 8 }),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(proxy.requests("BatchGetItem"), 8);
}

/// Forwards what is left in the body, if anything is, and adds to the response what was taken out.
fn unprocessed(body: Value, name: &'static str, empty: Value, left: Value) -> Answer {
    let entries = &body["RequestItems"]["users"];
    let entries = entries.get("Keys").unwrap_or(entries).as_array().unwrap();
    let add = move |mut response: Value| {
        let has_some = left
            .get("Keys")
            .unwrap_or(&left)
            .as_array()
            .is_some_and(|all| !all.is_empty());
        if has_some {
            response[name] = json!({ "users": left });
        }
        response
    };
    match entries.is_empty() {
        true => Answer::Reply(200, add(empty)),
        false => Answer::Forward(body, Box::new(add)),
    }
}

#[tokio::test]
async fn throttled_requests_are_sent_again_and_at_last_all_callers_told() {
    let Some(moto) = moto().await else { return };
    let mut puts = 0;
    let proxy = Proxy::start(&moto.endpoint, move |operation, body| {
        puts += usize::from(operation == "BatchWriteItem");
        match operation {
            // The second attempt gets through.
            "BatchWriteItem" if puts % 2 == 1 => throttled(),
            "BatchGetItem" => throttled(),
            _ => Answer::forward(body),
        }
    })
    .await;
    let users = users(&proxy.endpoint).await;
    let put = join_all((0..20).map(|n| users.put(user(n)))).await;
    assert!(put.iter().all(Result::is_ok), "{put:?}");
    assert_eq!(proxy.requests("BatchWriteItem"), 2);

    let found = join_all((0..20).map(|n| users.get(format!("user-{n}")))).await;
    for found in found {
        let error = found.unwrap_err();
        assert!(matches!(error, Error::Call(_)), "{error}");
        assert!(
            error.to_string().contains("ProvisionedThroughputExceeded"),
            "{error}"
        );
    }
    // The client's own attempts, for all callers together.
    assert_eq!(proxy.requests("BatchGetItem"), 3);
}

fn throttled() -> Answer {
    let error = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "slow down",
    });
    Answer::Reply(400, error)
}

/// Takes all messages out of a queue, in the order in which it gives them.
async fn receive(queue: &Queue) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let response = queue
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        let messages = response.messages.unwrap_or_default();
        if messages.is_empty() {
            return bodies;
        }
        for message in messages {
            let delete = queue.client.delete_message().queue_url(&queue.url);
            let handle = message.receipt_handle.unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
            bodies.push(message.body.unwrap());
        }
    }
}

#[tokio::test]
async fn sqs_gets_ten_messages_or_a_mebibyte_and_a_refused_entry_is_one_callers_error() {
    let Some(moto) = moto().await else { return };
    // Refuses entries under HTTP 200, as SQS does when something fails inside.
    let proxy = Proxy::start(&moto.endpoint, |_, mut body| {
        let entries = body["Entries"].as_array_mut();
        let refused: Vec<Value> = entries
            .into_iter()
            .flat_map(|entries| entries.extract_if(.., |entry| entry["MessageBody"] == "bad"))
            .collect();
        let add = move |mut response: Value| {
            let failed = refused.into_iter().map(|entry| {
                json!({ "Id": entry["Id"], "Code": "InternalError", "Message": "sorry", "SenderFault": false })
            });
            let failed: Vec<Value> = failed.collect();
            if !failed.is_empty() {
                response["Failed"] = failed.into();
            }
            response
        };
        Answer::Forward(body, Box::new(add))
    })
    .await;
    let queue = Queue::create(Clients::new(Some(&proxy.endpoint)).sqs, "queue")
        .await
        .unwrap();
    let bodies: Vec<String> = (0..20)
        .map(|n| {
            if n == 7 {
                "bad".to_owned()
            } else {
                format!("message {n}")
            }
        })
        .collect();
    let sent = join_all(bodies.iter().map(|body| queue.send(body.clone()))).await;
    let mut ids = HashSet::new();
    for (body, sent) in bodies.iter().zip(sent) {
        match sent {
            Ok(id) => assert!(ids.insert(id) && body != "bad"),
            Err(error) => {
                assert_eq!(body, "bad", "{error}");
                assert_eq!(error.to_string(), "InternalError: sorry");
            }
        }
    }
    assert_eq!(proxy.requests("SendMessageBatch"), 2);
    let received: HashSet<_> = receive(&queue).await.into_iter().collect();
    assert_eq!(
        received,
        bodies.into_iter().filter(|body| body != "bad").collect()
    );

    // Three of these are more than a request may have.
    let sent = join_all((0..4).map(|_| queue.send("x".repeat(400_000)))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(proxy.requests("SendMessageBatch"), 4);
}

#[tokio::test]
async fn the_messages_of_a_fifo_group_arrive_in_order() {
    let Some(moto) = moto().await else { return };
    let clients = Clients::new(Some(&moto.endpoint));
    let queue = &Queue::create(clients.sqs, "queue.fifo").await.unwrap();
    let groups = ["red", "blue"];
    let sent = join_all((0..100).map(|n| async move {
        let group = groups[n % 2];
        queue.send_in_order(group, format!("{group} {n:02}")).await
    }))
    .await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let received = receive(queue).await;
    assert_eq!(received.len(), 100);
    for group in groups {
        let of_group = received.iter().filter(|body| body.starts_with(group));
        assert!(of_group.is_sorted(), "{received:?}");
    }
}

#[tokio::test]
async fn sns_gets_ten_events_and_a_refused_entry_is_one_callers_error() {
    let Some(moto) = moto().await else { return };
    let clients = Clients::new(Some(&moto.endpoint));
    let topic = Topic::create(clients.sns, "topic").await.unwrap();
    let queue = Queue::create(clients.sqs, "subscriber").await.unwrap();
    topic
        .client
        .subscribe()
        .topic_arn(&topic.arn)
        .protocol("sqs")
        .endpoint("arn:aws:sqs:eu-central-1:123456789012:subscriber")
        .attributes("RawMessageDelivery", "true")
        .send()
        .await
        .unwrap();
    let published = join_all((0..20).map(|n| {
        topic.publish(Event {
            text: format!("event {n}"),
            // A topic that is no FIFO topic refuses this.
            deduplication_id: (n == 7).then(|| "7".to_owned()),
        })
    }))
    .await;
    for (n, result) in published.into_iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(n, 7),
            Err(Error::Entry { code, .. }) => assert_eq!((n, &*code), (7, "InvalidParameter")),
            Err(error) => panic!("{n}: {error}"),
        }
    }
    assert_eq!(topic.scope.stats().rows[0].executions, 2);
    let received: HashSet<_> = receive(&queue).await.into_iter().collect();
    let expected = (0..20).filter(|n| *n != 7).map(|n| format!("event {n}"));
    assert_eq!(received, expected.collect());
}
