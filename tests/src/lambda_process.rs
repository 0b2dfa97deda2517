//! A function's real binary behind a Lambda Runtime API of our own, to measure what the process takes.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

#[derive(Debug)]
struct Api {
    requests: Mutex<mpsc::Receiver<Value>>,
    answers: mpsc::Sender<Result<Value, Value>>,
}

/// A running function. It ends when this is dropped.
#[derive(Debug)]
pub struct LambdaProcess {
    child: Child,
    requests: mpsc::Sender<Value>,
    answers: mpsc::Receiver<Result<Value, Value>>,
    server: tokio::task::JoinHandle<()>,
}

impl LambdaProcess {
    /// Starts a function's binary with these variables.
    ///
    /// # Panics
    /// The binary cannot be started.
    pub async fn start(binary: &FilePath, variables: &BTreeMap<String, String>) -> Self {
        let (requests, received) = mpsc::channel(1);
        let (answered, answers) = mpsc::channel(1);
        let api = Arc::new(Api {
            requests: Mutex::new(received),
            answers: answered,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the Runtime API serves");
        });
        let child = Command::new(binary)
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("HOLDFAST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        Self {
            child,
            requests,
            answers,
            server,
        }
    }

    /// Hands one request to the function and waits for its answer.
    ///
    /// # Errors
    /// The function's error document.
    ///
    /// # Panics
    /// The process has ended.
    pub async fn invoke(&mut self, payload: Value) -> Result<Value, Value> {
        self.requests
            .send(payload)
            .await
            .expect("the function is running");
        self.answers.recv().await.expect("the function answers")
    }

    /// The most memory the process has held so far, in KiB.
    ///
    /// # Panics
    /// The process has ended.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("Linux tells the peak");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of KiB")
    }
}

impl Drop for LambdaProcess {
    fn drop(&mut self) {
        self.server.abort();
        // A process that has ended already needs no ending.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn next(State(api): State<Arc<Api>>) -> (HeaderMap, Json<Value>) {
    let payload = api.requests.lock().await.recv().await.unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (
            "lambda-runtime-aws-request-id",
            "00000000-0000-0000-0000-000000000000",
        ),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench",
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-00000000-000000000000000000000000",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    (headers, Json(payload))
}

async fn response(State(api): State<Arc<Api>>, Path(_id): Path<String>, answer: Bytes) -> StatusCode {
    take(&api, Ok(document(&answer))).await
}

async fn error(State(api): State<Arc<Api>>, Path(_id): Path<String>, answer: Bytes) -> StatusCode {
    take(&api, Err(document(&answer))).await
}

/// What the function sent, under whatever content type.
fn document(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).expect("a function answers JSON")
}

async fn take(api: &Api, answer: Result<Value, Value>) -> StatusCode {
    match api.answers.send(answer).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
