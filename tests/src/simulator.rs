//! The simulator's control routes, for setting scenes and looking behind them.

use crate::account::REGION;
use jiff::Timestamp;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Why the simulator did not do what a test asked.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The request did not come through.
    #[error("asking the simulator for {route}")]
    Request {
        /// What was asked for.
        route: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer was not as it should be.
    #[error("the simulator answered {route} with {answer}")]
    Answer {
        /// What was asked for.
        route: String,
        /// What came.
        answer: String,
    },
}

/// One account's world in the simulator.
#[derive(Debug, Clone)]
pub struct Simulator {
    client: Client,
    url: String,
    account: String,
    region: String,
}

/// A snapshot as the simulator knows it, whatever a describe would show.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct SimSnapshot {
    /// Its id.
    pub snapshot_id: String,
    /// The volume it is of.
    pub volume_id: String,
    /// Its state.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// When it was started.
    pub start_time: Timestamp,
    /// The key it is encrypted under.
    #[serde(default)]
    pub kms_key_id: Option<String>,
    /// What it is a copy of.
    #[serde(default)]
    pub copy_of: Option<Value>,
    /// The accounts that it is shared with.
    #[serde(default)]
    pub shared_with: Vec<String>,
}

impl Simulator {
    /// The world of `account` in the simulator at `url`.
    #[must_use]
    pub fn new(url: &str, account: &str) -> Self {
        Self {
            client: Client::new(),
            url: url.to_owned(),
            account: account.to_owned(),
            region: REGION.to_owned(),
        }
    }

    /// The same account's world in another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self.clone()
        }
    }

    /// Asks a control route, such as `POST settings`.
    ///
    /// # Errors
    /// The request did not come through, or was refused.
    pub async fn ask(
        &self,
        method: Method,
        route: &str,
        body: Option<Value>,
    ) -> Result<Value, SimulatorError> {
        let separator = if route.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}/_sim/{route}{separator}account={}&region={}",
            self.url, self.account, self.region
        );
        let failed = |source| SimulatorError::Request {
            route: route.to_owned(),
            source,
        };
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let refused = || SimulatorError::Answer {
            route: route.to_owned(),
            answer: format!("{status} {text}"),
        };
        if !status.is_success() {
            return Err(refused());
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| refused())
    }

    /// Writes bytes onto a volume at an offset.
    ///
    /// # Errors
    /// The request did not come through, or was refused.
    pub async fn put_content(&self, volume: &str, offset: u64, bytes: Vec<u8>) -> Result<(), SimulatorError> {
        let route = format!("volumes/{volume}/content");
        let url = format!(
            "{}/_sim/{route}?offset={offset}&account={}&region={}",
            self.url, self.account, self.region
        );
        let failed = |source| SimulatorError::Request {
            route: route.clone(),
            source,
        };
        let answer = self.client.put(url).body(bytes).send().await.map_err(failed)?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(SimulatorError::Answer {
            route: route.clone(),
            answer: answer.status().to_string(),
        })
    }

    /// Posts to a control route.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn post(&self, route: &str, body: Value) -> Result<Value, SimulatorError> {
        self.ask(Method::POST, route, Some(body)).await
    }

    /// Stops the clock at a moment; it then moves only when it is told to.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn freeze(&self, now: Timestamp) -> Result<(), SimulatorError> {
        self.post("clock", json!({"mode": "frozen", "now": now}))
            .await
            .map(|_| ())
    }

    /// What time it is in this world.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn now(&self) -> Result<Timestamp, SimulatorError> {
        let answer = self.ask(Method::GET, "clock", None).await?;
        let now = answer["now"].as_str().and_then(|now| now.parse().ok());
        now.ok_or_else(|| SimulatorError::Answer {
            route: "clock".to_owned(),
            answer: answer.to_string(),
        })
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn advance(&self, seconds: f64) -> Result<(), SimulatorError> {
        self.post("clock/advance", json!({"seconds": seconds}))
            .await
            .map(|_| ())
    }

    /// Makes instances, quickly.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn scene(&self, scene: Value) -> Result<Vec<String>, SimulatorError> {
        let answer = self.post("scene", scene).await?;
        let ids = answer["instance_ids"].as_array().into_iter().flatten();
        Ok(ids.filter_map(|id| id.as_str().map(str::to_owned)).collect())
    }

    /// Every snapshot of the account that is there and carries a tag.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn snapshots(&self, tag: &str, value: &str) -> Result<Vec<SimSnapshot>, SimulatorError> {
        let mut snapshots = self.snapshots_ever(tag, value).await?;
        snapshots.retain(|snapshot| !snapshot.deleted);
        Ok(snapshots)
    }

    /// Every snapshot of the account that is or was there and carries a tag.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn snapshots_ever(&self, tag: &str, value: &str) -> Result<Vec<SimSnapshot>, SimulatorError> {
        let route = format!("snapshots?tag={tag}&value={value}");
        let answer = self.ask(Method::GET, &route, None).await?;
        let text = answer.to_string();
        serde_json::from_value(answer).map_err(|_| SimulatorError::Answer { route, answer: text })
    }

    /// How many calls of each action came in, in all and throttled.
    ///
    /// # Errors
    /// As [`Simulator::ask`].
    pub async fn call_summary(&self) -> Result<Value, SimulatorError> {
        self.ask(Method::GET, "calls/summary", None).await
    }
}
