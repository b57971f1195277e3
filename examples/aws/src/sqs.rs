//! SQS: `SendMessageBatch`, which has at most ten entries and 1 MiB, and answers each entry by itself.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use piggyback::{Scope, batch};

use crate::error::Error;

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) scope: Scope,
}

impl Queue {
    pub(crate) async fn create(client: Client, name: &str) -> Result<Self, Error> {
        let fifo = name.ends_with(".fifo").then(|| {
            HashMap::from([
                (QueueAttributeName::FifoQueue, "true".to_owned()),
                (
                    QueueAttributeName::ContentBasedDeduplication,
                    "true".to_owned(),
                ),
            ])
        });
        let response = client
            .create_queue()
            .queue_name(name)
            .set_attributes(fifo)
            .send()
            .await?;
        Ok(Self {
            client,
            url: response.queue_url.ok_or(Error::Missing)?,
            scope: Scope::new(),
        })
    }

    /// Each caller gets the id of its message, or the error of its own entry.
    #[batch(size = 10, eager, scope = self.scope, weight = |body| body.len(), max_weight = 1_048_576)]
    pub(crate) async fn send(
        &self,
        bodies: &[String],
    ) -> Result<Vec<Result<String, Error>>, Error> {
        self.send_batch(None, bodies).await
    }

    /// To a FIFO queue. The message group is the batch's group: with `concurrency = 1`, the messages of one group arrive in
    /// the order of the calls, and groups don't wait for each other.
    #[batch(
        size = 10,
        eager,
        concurrency = 1,
        scope = self.scope,
        weight = |body| body.len(),
        max_weight = 1_048_576
    )]
    pub(crate) async fn send_in_order(
        &self,
        group: &str,
        bodies: &[String],
    ) -> Result<Vec<Result<String, Error>>, Error> {
        self.send_batch(Some(group), bodies).await
    }

    async fn send_batch(
        &self,
        group: Option<&str>,
        bodies: &[String],
    ) -> Result<Vec<Result<String, Error>>, Error> {
        let mut call = self.client.send_message_batch().queue_url(&self.url);
        for (at, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(body)
                .set_message_group_id(group.map(str::to_owned))
                .build();
            call = call.entries(entry.map_err(|error| Error::Invalid(error.to_string()))?);
        }
        let response = call.send().await?;
        // Entries come back in any order, under the ids that they were given.
        let mut results: Vec<_> = bodies.iter().map(|_| Err(Error::Missing)).collect();
        for sent in response.successful {
            set(&mut results, &sent.id, Ok(sent.message_id));
        }
        for failed in response.failed {
            let error = Error::Entry {
                code: failed.code,
                message: failed.message.unwrap_or_default(),
            };
            set(&mut results, &failed.id, Err(error));
        }
        Ok(results)
    }
}

/// Sets the result of the entry with this id.
pub(crate) fn set<T>(results: &mut [T], id: &str, result: T) {
    let place = id.parse().ok().and_then(|at: usize| results.get_mut(at));
    if let Some(place) = place {
        *place = result;
    }
}
