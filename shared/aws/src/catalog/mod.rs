//! The catalog: one table that holds plans, jobs, recovery points and backups.
//!
//! | record | `pk` | `sk` |
//! |---|---|---|
//! | plan | `PLANS` | `PLAN#<plan>` |
//! | job | `JOB#<job>` | `JOB` |
//! | restore job | `JOB#<job>` | `RESTORE` |
//! | restore of a resource | `JOB#<job>` | `RESTORE#<wave>#<place>` |
//! | claim on a resource | `RESOURCE#<instance>` | `CLAIM` |
//! | execution | `EXECUTION#<arn>` | `EXECUTION` |
//! | recovery point | `PLAN#<plan>` | `<recovery point>`, so newest first is one query backwards |
//! | backup | `<recovery point>` | `BACKUP#<instance>` |
//! | batch | `<recovery point>` | `BATCH#<manifest>#<number>` |
//! | plan with recovery points | `RETENTION` | `PLAN#<plan>` |
//! | copy job | `<recovery point>` | `REPLICA#<account>#<region>` |
//! | copy of a snapshot | `<recovery point>#<account>#<region>` | `COPY#<instance>#<snapshot>` |
//! | who copies to a destination | `COPIERS#<account>#<region>` | `<recovery point>` |
//!
//! Jobs are also found by status and by day, through the indexes `jobs-by-status` and `jobs-by-time`.
//! Every change of a status is a conditional write.

mod backups;
mod batches;
mod copies;
mod jobs;
mod plans;
mod recovery_points;
mod removal;
mod restores;
mod retention;

use crate::failure::Failure;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_core::failure::parse_document;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;

pub use backups::BackupPage;
pub use jobs::Opening;
pub use retention::{HoldChange, ManifestId, PointOutcome, PointRecord, PointRecords};

/// An item as `DynamoDB` holds it.
type Item = HashMap<String, AttributeValue>;

/// Writes of single items at the same time.
const CONCURRENCY: usize = 32;

/// The catalog table.
#[derive(Debug, Clone)]
pub struct Catalog {
    client: Client,
    table: String,
}

impl Catalog {
    /// The catalog in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    async fn read<T: DeserializeOwned>(&self, what: &str, pk: &str, sk: &str) -> Result<Option<T>, Failure> {
        let item = self.get(pk, sk).await;
        let item = item.map_err(|error| Failure::call(format!("reading {what} from the catalog"), error))?;
        item.map(|item| parse(what, item)).transpose()
    }

    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, SdkError<GetItemError>> {
        let get = self.client.get_item().table_name(&self.table);
        let get = get.set_key(Some(key(pk, sk))).consistent_read(true);
        Ok(get.send().await?.item)
    }
}

/// Whether a conditional write was done: `false` when its condition did not hold.
fn was_done<T, E>(sent: Result<T, SdkError<E>>, what: impl FnOnce() -> String) -> Result<bool, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(Failure::call(what(), error)),
    }
}

fn string(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn key(pk: &str, sk: &str) -> Item {
    Item::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

/// A record as an item under its key. Absent values leave no attribute.
fn item(pk: &str, sk: &str, record: &impl Serialize) -> Result<Item, Failure> {
    let mut item: Item = serde_dynamo::to_item(record)
        .map_err(|error| Failure::permanent_from(format!("writing {pk} {sk} as an item"), error))?;
    item.extend(key(pk, sk));
    Ok(item)
}

fn value(what: &str, record: &impl Serialize) -> Result<AttributeValue, Failure> {
    serde_dynamo::to_attribute_value(record)
        .map_err(|error| Failure::permanent_from(format!("writing {what} as an attribute"), error))
}

/// Reads a record; one that is not as it should be is refused with the field's name.
fn parse<T: DeserializeOwned>(what: &str, item: Item) -> Result<T, Failure> {
    let unreadable = || format!("reading {what}: the record is not as it should be");
    let document: serde_json::Value =
        serde_dynamo::from_item(item).map_err(|error| Failure::permanent_from(unreadable(), error))?;
    parse_document("", &document).map_err(|invalid| Failure::permanent_from(unreadable(), invalid))
}
