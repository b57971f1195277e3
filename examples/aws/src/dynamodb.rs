//! DynamoDB: `BatchGetItem` as a data loader, and `BatchWriteItem`.
//!
//! Either may answer only some of a request, under load or because the response would be too large: the rest is in
//! `UnprocessedKeys` and `UnprocessedItems`. It is asked for again, with a backoff, and what is left in the end is an error of
//! its own callers only.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, KeysAndAttributes,
    PutRequest, ScalarAttributeType, WriteRequest,
};
use piggyback::{Scope, batch, dedup};
use tokio::time::sleep;

use crate::error::Error;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Users {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) scope: Scope,
    /// Before the second attempt. Each further one waits twice as long.
    pub(crate) backoff: Duration,
    pub(crate) attempts: u32,
}

impl Users {
    /// A new table.
    pub(crate) async fn create(client: Client, table: &str) -> Result<Self, Error> {
        let id = AttributeDefinition::builder()
            .attribute_name("id")
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder()
            .attribute_name("id")
            .key_type(KeyType::Hash);
        client
            .create_table()
            .table_name(table)
            .attribute_definitions(id.build()?)
            .key_schema(key.build()?)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await?;
        Ok(Self {
            client,
            table: table.to_owned(),
            scope: Scope::new(),
            backoff: Duration::from_millis(50),
            attempts: 5,
        })
    }

    /// A request has at most 100 keys, and no key twice: `#[dedup]` gives equal ids one place. With `forget`, `max_age_ms` or
    /// `max_followers`, a list could hold an id twice.
    #[dedup]
    #[batch(size = 100, eager, scope = self.scope)]
    pub(crate) async fn get(
        &self,
        ids: &[String],
    ) -> Result<Vec<Result<Option<User>, Error>>, Error> {
        let mut found = HashMap::new();
        let mut left: Vec<_> = ids.iter().map(|id| key(id)).collect();
        for attempt in 0..self.attempts {
            self.wait(attempt).await;
            let keys = KeysAndAttributes::builder().set_keys(Some(left)).build()?;
            let response = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await?;
            for item in response
                .responses
                .into_iter()
                .flatten()
                .flat_map(|table| table.1)
            {
                let user = user(&item).ok_or(Error::Missing)?;
                found.insert(user.id.clone(), user);
            }
            let tables = response.unprocessed_keys.unwrap_or_default();
            left = tables.into_values().flat_map(|table| table.keys).collect();
            if left.is_empty() {
                break;
            }
        }
        Ok(ids
            .iter()
            .map(|id| match found.remove(id) {
                None if left.contains(&key(id)) => Err(self.unprocessed()),
                user => Ok(user),
            })
            .collect())
    }

    /// A request has at most 25 items, and no key twice: `unique` puts two writes of one key into two requests, one after
    /// another, so that the later one wins.
    #[batch(size = 25, eager, scope = self.scope, unique = |user| &user.id)]
    pub(crate) async fn put(&self, users: &[User]) -> Result<Vec<Result<(), Error>>, Error> {
        let mut left = Vec::new();
        for user in users {
            let put = PutRequest::builder().set_item(Some(item(user))).build()?;
            left.push(WriteRequest::builder().put_request(put).build());
        }
        for attempt in 0..self.attempts {
            self.wait(attempt).await;
            let response = self
                .client
                .batch_write_item()
                .request_items(&self.table, left)
                .send()
                .await?;
            let tables = response.unprocessed_items.unwrap_or_default();
            left = tables.into_values().flatten().collect();
            if left.is_empty() {
                break;
            }
        }
        let left: Vec<_> = left
            .iter()
            .filter_map(|request| user(request.put_request()?.item()))
            .collect();
        Ok(users
            .iter()
            .map(|user| match left.contains(user) {
                true => Err(self.unprocessed()),
                false => Ok(()),
            })
            .collect())
    }

    async fn wait(&self, attempt: u32) {
        if attempt > 0 {
            sleep(self.backoff * 2_u32.pow(attempt - 1)).await;
        }
    }

    fn unprocessed(&self) -> Error {
        Error::Unprocessed {
            attempts: self.attempts,
        }
    }
}

fn key(id: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("id".to_owned(), AttributeValue::S(id.to_owned()))])
}

fn item(user: &User) -> HashMap<String, AttributeValue> {
    let mut item = key(&user.id);
    item.insert("name".to_owned(), AttributeValue::S(user.name.clone()));
    item
}

fn user(item: &HashMap<String, AttributeValue>) -> Option<User> {
    let text = |name| item.get(name)?.as_s().ok().cloned();
    Some(User {
        id: text("id")?,
        name: text("name")?,
    })
}
