//! EBS direct: reads and writes the blocks of snapshots over REST.

mod error;
#[cfg(test)]
mod fixture;
mod lookup;
mod put;
mod read;
mod request;
mod start;
mod token;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::actions::Scope;
use crate::params::Params;

pub(crate) use self::error::EbsError;
use self::request::Request;

/// One EBS direct call, as it came over HTTP.
pub(crate) struct EbsCall<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    /// The query string, with the names of the wire.
    pub(crate) query: Params,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
}

/// Query parameters: the name on the wire and the name that AWS's model gives it.
const IN_QUERY: [(&str, &str); 5] = [
    ("blockToken", "BlockToken"),
    ("firstSnapshotId", "FirstSnapshotId"),
    ("maxResults", "MaxResults"),
    ("pageToken", "NextToken"),
    ("startingBlockIndex", "StartingBlockIndex"),
];
/// Headers that are parameters, likewise.
const IN_HEADERS: [(&str, &str); 6] = [
    ("x-amz-changedblockscount", "ChangedBlocksCount"),
    ("x-amz-checksum", "Checksum"),
    ("x-amz-checksum-aggregation-method", "ChecksumAggregationMethod"),
    ("x-amz-checksum-algorithm", "ChecksumAlgorithm"),
    ("x-amz-data-length", "DataLength"),
    ("x-amz-progress", "Progress"),
];
/// The only way to make a checksum.
const SHA256: &str = "SHA256";

/// An action with what its path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    ListSnapshotBlocks { snapshot: &'a str },
    ListChangedBlocks { second: &'a str },
    GetSnapshotBlock { snapshot: &'a str, index: &'a str },
    StartSnapshot,
    PutSnapshotBlock { snapshot: &'a str, index: &'a str },
    CompleteSnapshot { snapshot: &'a str },
}

impl<'a> Route<'a> {
    fn of(method: &Method, path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/snapshots")?.split('/').collect();
        Some(match (method.as_str(), parts.as_slice()) {
            ("POST", [""]) => Self::StartSnapshot,
            ("POST", ["", "completion", snapshot]) => Self::CompleteSnapshot { snapshot },
            ("GET", ["", snapshot, "blocks"]) => Self::ListSnapshotBlocks { snapshot },
            ("GET", ["", second, "changedblocks"]) => Self::ListChangedBlocks { second },
            ("GET", ["", snapshot, "blocks", index]) => Self::GetSnapshotBlock { snapshot, index },
            ("PUT", ["", snapshot, "blocks", index]) => Self::PutSnapshotBlock { snapshot, index },
            _ => return None,
        })
    }

    fn action(self) -> &'static str {
        match self {
            Self::ListSnapshotBlocks { .. } => "ListSnapshotBlocks",
            Self::ListChangedBlocks { .. } => "ListChangedBlocks",
            Self::GetSnapshotBlock { .. } => "GetSnapshotBlock",
            Self::StartSnapshot => "StartSnapshot",
            Self::PutSnapshotBlock { .. } => "PutSnapshotBlock",
            Self::CompleteSnapshot { .. } => "CompleteSnapshot",
        }
    }

    fn parameters(self) -> Vec<(&'static str, &'a str)> {
        match self {
            Self::StartSnapshot => Vec::new(),
            Self::ListSnapshotBlocks { snapshot } | Self::CompleteSnapshot { snapshot } => {
                vec![("SnapshotId", snapshot)]
            }
            Self::ListChangedBlocks { second } => vec![("SecondSnapshotId", second)],
            Self::GetSnapshotBlock { snapshot, index } | Self::PutSnapshotBlock { snapshot, index } => {
                vec![("SnapshotId", snapshot), ("BlockIndex", index)]
            }
        }
    }
}

/// Which action a method and path mean; none for anything else.
pub(crate) fn action(method: &Method, path: &str) -> Option<&'static str> {
    Route::of(method, path).map(Route::action)
}

/// The parameters of a call in one flat form, under the names of AWS's model: what stands in its path,
/// query and headers, and in the body when that is JSON. Tags are numbered as in the EC2 protocol.
pub(crate) fn parameters(call: &EbsCall<'_>) -> Params {
    let route = Route::of(call.method, call.path);
    let path = route.map(Route::parameters).unwrap_or_default();
    let path = path
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let query = IN_QUERY
        .into_iter()
        .filter_map(|(wire, name)| Some((name.to_owned(), call.query.owned(wire)?)));
    let headers = IN_HEADERS.into_iter().filter_map(|(wire, name)| {
        let value = call.headers.get(wire)?.to_str().ok()?;
        Some((name.to_owned(), value.to_owned()))
    });
    let body = match route {
        Some(Route::StartSnapshot) => Request::read(&call.body)
            .map(|request| request.flat())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    path.chain(query).chain(headers).chain(body).collect()
}

/// Acts and answers. An action that answers an error has changed nothing.
pub(crate) fn act(scope: &mut Scope<'_>, call: &EbsCall<'_>) -> Result<Response, EbsError> {
    let params = &parameters(call);
    match Route::of(call.method, call.path).ok_or_else(EbsError::unknown_operation)? {
        Route::ListSnapshotBlocks { snapshot } => read::list_blocks(scope, snapshot, params),
        Route::ListChangedBlocks { second } => read::list_changes(scope, second, params),
        Route::GetSnapshotBlock { snapshot, index } => read::get_block(scope, snapshot, index, params),
        Route::StartSnapshot => start::start(scope, &call.body, params),
        Route::PutSnapshotBlock { snapshot, index } => {
            put::put_block(scope, snapshot, index, params, &call.body)
        }
        Route::CompleteSnapshot { snapshot } => put::complete(scope, snapshot, params),
    }
}

/// The checksum of data as AWS writes it.
fn checksum(data: &[u8]) -> String {
    BASE64.encode(Sha256::digest(data))
}

/// A time as JSON holds it: seconds since 1970.
fn epoch_seconds(moment: Timestamp) -> f64 {
    moment.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ebs::fixture::World;

    #[test]
    fn knows_an_action_by_its_method_and_path() {
        for (method, path, expected) in [
            (
                Method::GET,
                "/snapshots/snap-0/blocks",
                Some("ListSnapshotBlocks"),
            ),
            (
                Method::GET,
                "/snapshots/snap-0/changedblocks",
                Some("ListChangedBlocks"),
            ),
            (
                Method::GET,
                "/snapshots/snap-0/blocks/3",
                Some("GetSnapshotBlock"),
            ),
            (Method::POST, "/snapshots", Some("StartSnapshot")),
            (
                Method::PUT,
                "/snapshots/snap-0/blocks/3",
                Some("PutSnapshotBlock"),
            ),
            (
                Method::POST,
                "/snapshots/completion/snap-0",
                Some("CompleteSnapshot"),
            ),
            (Method::GET, "/snapshots", None),
            (Method::POST, "/snapshotsx", None),
            (Method::DELETE, "/snapshots/snap-0/blocks/3", None),
            (Method::POST, "/", None),
        ] {
            assert_eq!(action(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn flattens_path_query_headers_and_body() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-Checksum-Algorithm", "SHA256".parse().unwrap());
        let call = EbsCall {
            method: &Method::GET,
            path: "/snapshots/snap-0123456789abcdef0/blocks/3",
            query: Params::from_form(b"blockToken=YQ%3D%3D&unknown=1"),
            headers: &headers,
            body: Bytes::new(),
        };
        let expected =
            b"SnapshotId=snap-0123456789abcdef0&BlockIndex=3&BlockToken=YQ%3D%3D&ChecksumAlgorithm=SHA256";
        assert_eq!(parameters(&call), Params::from_form(expected));

        let body = json!({
            "VolumeSize": 8, "ParentSnapshotId": "snap-01234567", "Encrypted": false, "Timeout": null,
            "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b" }],
        });
        let call = EbsCall {
            method: &Method::POST,
            path: "/snapshots",
            query: Params::default(),
            headers: &HeaderMap::new(),
            body: body.to_string().into(),
        };
        let expected = b"VolumeSize=8&ParentSnapshotId=snap-01234567&Encrypted=false\
            &Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b";
        assert_eq!(parameters(&call), Params::from_form(expected));
    }

    #[test]
    fn refuses_what_is_no_action() {
        let error = World::default()
            .call(&Method::GET, "/snapshots", &[], "")
            .unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.code.as_ref()),
            (404, "UnknownOperationException")
        );
    }

    #[test]
    fn writes_a_checksum_as_aws_does() {
        assert_eq!(checksum(b""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
