//! The bulk calls of AWS, each called with one item, on `moto_server`:
//!
//! ```sh
//! pip install 'moto[server]'
//! cargo run --manifest-path examples/aws/Cargo.toml
//! ```
//!
//! - `dynamodb.rs`: `BatchGetItem` as a data loader, and `BatchWriteItem`
//! - `sqs.rs`: `SendMessageBatch`, and FIFO queues
//! - `sns.rs`: `PublishBatch`
//!
//! `--endpoint http://…` goes to another server, such as LocalStack. `--features tls -- --aws` goes to AWS itself, with the
//! credentials and the region of the usual environment variables: it makes a table, a queue and a topic named `piggyback-…`, and
//! deletes them at the end.

mod dynamodb;
mod error;
mod server;
mod sns;
mod sqs;
#[cfg(test)]
mod tests;

use futures_util::future::try_join_all;

use crate::dynamodb::{User, Users};
use crate::server::{Clients, Moto};
use crate::sns::{Event, Topic};
use crate::sqs::Queue;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| &**argument).collect();
    let (moto, endpoint) = match arguments[..] {
        [] => {
            let moto = Moto::start().await?;
            let moto = moto.ok_or("there is no moto_server: pip install 'moto[server]'")?;
            let endpoint = moto.endpoint.clone();
            (Some(moto), Some(endpoint))
        }
        ["--endpoint", endpoint] => (None, Some(endpoint.to_owned())),
        ["--aws"] if cfg!(feature = "tls") => (None, None),
        ["--aws"] => return Err("build with --features tls".into()),
        _ => return Err("usage: [--endpoint http://… | --aws]".into()),
    };
    let clients = Clients::new(endpoint.as_deref());
    let name = format!("piggyback-{}", std::process::id());

    let users = Users::create(clients.dynamodb, &name).await?;
    let wait = aws_sdk_dynamodb::client::Waiters::wait_until_table_exists(&users.client);
    wait.table_name(&name)
        .wait(std::time::Duration::from_secs(60))
        .await?;
    let user = |n: usize| User {
        id: format!("user-{n}"),
        name: format!("User {n}"),
    };
    try_join_all((0..1_000).map(|n| users.put(user(n)))).await?;
    let found = try_join_all((0..2_000).map(|n| users.get(format!("user-{}", n % 500)))).await?;
    assert!(
        found
            .into_iter()
            .enumerate()
            .all(|(n, found)| found == Some(user(n % 500)))
    );
    println!("DynamoDB\n{}", users.scope.stats());
    users.client.delete_table().table_name(&name).send().await?;

    let queue = Queue::create(clients.sqs.clone(), &name).await?;
    try_join_all((0..1_000).map(|n| queue.send(format!("message {n}")))).await?;
    let ordered = Queue::create(clients.sqs, &format!("{name}.fifo")).await?;
    try_join_all((0..200).map(|n| {
        let ordered = &ordered;
        async move {
            ordered
                .send_in_order(["red", "blue"][n % 2], format!("message {n}"))
                .await
        }
    }))
    .await?;
    println!("SQS\n{}", queue.scope.stats());
    println!("SQS, FIFO\n{}", ordered.scope.stats());
    for queue in [queue, ordered] {
        queue
            .client
            .delete_queue()
            .queue_url(queue.url)
            .send()
            .await?;
    }

    let topic = Topic::create(clients.sns, &name).await?;
    try_join_all((0..1_000).map(|n| {
        topic.publish(Event {
            text: format!("event {n}"),
            ..Event::default()
        })
    }))
    .await?;
    println!("SNS\n{}", topic.scope.stats());
    topic
        .client
        .delete_topic()
        .topic_arn(topic.arn)
        .send()
        .await?;
    drop(moto);
    Ok(())
}
