//! A world in memory for the tests of this folder, with calls that keep them short.

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, Method};
use axum::response::Response;
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::actions::outside::Outside;
use crate::clock::after;
use crate::content::{BLOCK_SIZE, Content};
use crate::params::Params;
use crate::random::IdSource;
use crate::settings::Settings;
use crate::world::snapshot::Snapshot;
use crate::world::{DEFAULT_ACCOUNT, DEFAULT_REGION, Region};

use super::{EbsCall, EbsError, act, checksum};

/// One region and a clock that stands still.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) settings: Settings,
    pub(super) region: Region,
    ids: IdSource,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            settings: Settings::default(),
            region: Region::new(DEFAULT_REGION, DEFAULT_ACCOUNT),
            ids: IdSource::default(),
        }
    }
}

impl World {
    pub(super) fn pass(&mut self, time: SignedDuration) {
        self.now = after(self.now, time);
    }

    pub(super) fn call(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, EbsError> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect();
        let query = Params::from_form(query.as_bytes());
        let call = EbsCall {
            method,
            path,
            query,
            headers: &headers,
            body: body.into(),
        };
        let mut scope = Scope {
            now: self.now,
            account: DEFAULT_ACCOUNT,
            settings: &self.settings,
            region: &mut self.region,
            ids: &self.ids,
            outside: Outside::default(),
        };
        act(&mut scope, &call)
    }

    /// Starts an upload and tells its id.
    pub(super) fn start(&mut self, body: &Value) -> String {
        let answer = self.try_start(body).unwrap();
        answer["SnapshotId"].as_str().unwrap().to_owned()
    }

    pub(super) fn try_start(&mut self, body: &Value) -> Result<Value, EbsError> {
        let response = self.call(&Method::POST, "/snapshots", &[], body.to_string())?;
        assert_eq!(response.status(), 201);
        Ok(json_of(response))
    }

    /// Puts a block with headers that tell the truth.
    pub(super) fn put(&mut self, id: &str, index: u32, data: &[u8]) -> Result<Response, EbsError> {
        let (length, sum) = (data.len().to_string(), checksum(data));
        let headers = [
            ("x-amz-data-length", length.as_str()),
            ("x-amz-checksum", sum.as_str()),
            ("x-amz-checksum-algorithm", "SHA256"),
        ];
        self.call(
            &Method::PUT,
            &format!("/snapshots/{id}/blocks/{index}"),
            &headers,
            data.to_vec(),
        )
    }

    /// A completed snapshot of 1 GiB with these blocks, each full of one byte.
    pub(super) fn completed(&mut self, blocks: &[(u32, u8)]) -> String {
        self.upload(&json!({ "VolumeSize": 1 }), blocks)
    }

    /// The same, over the blocks of a parent.
    pub(super) fn completed_from(&mut self, parent: &str, blocks: &[(u32, u8)]) -> String {
        self.upload(&json!({ "VolumeSize": 1, "ParentSnapshotId": parent }), blocks)
    }

    fn upload(&mut self, start: &Value, blocks: &[(u32, u8)]) -> String {
        let id = self.start(start);
        for (index, byte) in blocks {
            self.put(&id, *index, &vec![*byte; BLOCK_SIZE]).unwrap();
        }
        let count = blocks.len().to_string();
        let headers = [("x-amz-changedblockscount", count.as_str())];
        self.call(
            &Method::POST,
            &format!("/snapshots/completion/{id}"),
            &headers,
            "",
        )
        .unwrap();
        id
    }

    pub(super) fn snapshot(&self, id: &str) -> &Snapshot {
        &self.region.snapshots[id]
    }

    pub(super) fn snapshot_mut(&mut self, id: &str) -> &mut Snapshot {
        self.region.snapshots.get_mut(id).unwrap()
    }

    pub(super) fn content(&self, id: &str) -> &Content {
        &self.snapshot(id).content
    }
}

pub(super) fn bytes_of(response: Response) -> Bytes {
    block_on(to_bytes(response.into_body(), usize::MAX)).unwrap()
}

pub(super) fn json_of(response: Response) -> Value {
    serde_json::from_slice(&bytes_of(response)).unwrap()
}
