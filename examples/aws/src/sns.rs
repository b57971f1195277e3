//! SNS: `PublishBatch`, which has at most ten entries and 256 KiB, and answers each entry by itself.

use aws_sdk_sns::Client;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use piggyback::{Scope, batch};

use crate::error::Error;
use crate::sqs::set;

#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) client: Client,
    pub(crate) arn: String,
    pub(crate) scope: Scope,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) text: String,
    /// For FIFO topics; others refuse it.
    pub(crate) deduplication_id: Option<String>,
}

impl Topic {
    pub(crate) async fn create(client: Client, name: &str) -> Result<Self, Error> {
        let response = client.create_topic().name(name).send().await?;
        Ok(Self {
            client,
            arn: response.topic_arn.ok_or(Error::Missing)?,
            scope: Scope::new(),
        })
    }

    /// Each caller gets the id of its message, or the error of its own entry.
    #[batch(size = 10, eager, scope = self.scope, weight = |event| event.text.len(), max_weight = 262_144)]
    pub(crate) async fn publish(
        &self,
        events: Vec<Event>,
    ) -> Result<Vec<Result<String, Error>>, Error> {
        let mut results: Vec<_> = events.iter().map(|_| Err(Error::Missing)).collect();
        let mut call = self.client.publish_batch().topic_arn(&self.arn);
        for (at, event) in events.into_iter().enumerate() {
            let entry = PublishBatchRequestEntry::builder()
                .id(at.to_string())
                .message(event.text)
                .set_message_deduplication_id(event.deduplication_id)
                .build();
            call = call.publish_batch_request_entries(
                entry.map_err(|error| Error::Invalid(error.to_string()))?,
            );
        }
        let response = call.send().await?;
        for sent in response.successful.unwrap_or_default() {
            let result = sent.message_id.ok_or(Error::Missing);
            set(&mut results, &sent.id.unwrap_or_default(), result);
        }
        for failed in response.failed.unwrap_or_default() {
            let error = Error::Entry {
                code: failed.code,
                message: failed.message.unwrap_or_default(),
            };
            set(&mut results, &failed.id, Err(error));
        }
        Ok(results)
    }
}
