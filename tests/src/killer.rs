//! The kill switch: stops whatever runs at the k-th AWS call.
//!
//! It sits where the SDK hands a request to the network, below retries, so it counts what really goes over the wire.
//! A stopped call never returns, as in a process that was killed; the harness then drops the handler.

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::Notify;

/// Where in a call the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before the request leaves: nothing is applied.
    Before,
    /// The request is applied, and its reply is lost.
    During,
    /// The reply has come; the process dies before its next call.
    After,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

#[derive(Debug)]
struct State {
    calls: AtomicU32,
    at: u32,
    point: Point,
    spent: AtomicBool,
    armed: AtomicBool,
    dead: AtomicBool,
    killed: Notify,
}

/// A switch that kills once, at one call.
#[derive(Debug, Clone)]
pub struct KillSwitch(Arc<State>);

impl KillSwitch {
    /// Kills at the `at`-th call, counted from 1, at that point of it. With 0 it never kills and only counts.
    #[must_use]
    pub fn new(at: u32, point: Point) -> Self {
        Self(Arc::new(State {
            calls: AtomicU32::new(0),
            at,
            point,
            spent: AtomicBool::new(false),
            armed: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            killed: Notify::new(),
        }))
    }

    /// A switch that only counts.
    #[must_use]
    pub fn never() -> Self {
        Self::new(0, Point::Before)
    }

    /// How many calls have gone through.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Whether it has killed.
    #[must_use]
    pub fn has_killed(&self) -> bool {
        self.0.spent.load(Ordering::SeqCst)
    }

    /// Waits for the kill.
    pub async fn killed(&self) {
        loop {
            let notified = self.0.killed.notified();
            if self.0.dead.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    /// Says that the process has come to its end. True if it was to die after its last call: its answer is lost.
    #[must_use]
    pub fn dies_at_its_end(&self) -> bool {
        self.0.armed.swap(false, Ordering::SeqCst) && !self.0.spent.swap(true, Ordering::SeqCst)
    }

    /// Brings a new process up after a kill. The switch does not kill again.
    pub fn revive(&self) {
        self.0.dead.store(false, Ordering::SeqCst);
    }

    fn kill(&self) {
        self.0.spent.store(true, Ordering::SeqCst);
        self.0.armed.store(false, Ordering::SeqCst);
        self.0.dead.store(true, Ordering::SeqCst);
        self.0.killed.notify_waiters();
    }

    /// The SDK's HTTP client with the switch in it.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Switched {
            inner: Builder::new().build_http(),
            switch: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Switched {
    inner: SharedHttpClient,
    switch: KillSwitch,
}

impl HttpClient for Switched {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(SwitchedConnector {
            inner,
            switch: self.switch.clone(),
        })
    }
}

#[derive(Debug)]
struct SwitchedConnector {
    inner: SharedHttpConnector,
    switch: KillSwitch,
}

impl HttpConnector for SwitchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let switch = self.switch.clone();
        let state = &switch.0;
        if state.dead.load(Ordering::SeqCst) {
            return HttpConnectorFuture::new(std::future::pending());
        }
        if state.armed.load(Ordering::SeqCst) {
            switch.kill();
            return HttpConnectorFuture::new(std::future::pending());
        }
        let number = state.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if number != state.at || state.spent.load(Ordering::SeqCst) {
            return self.inner.call(request);
        }
        match state.point {
            Point::Before => {
                switch.kill();
                HttpConnectorFuture::new(std::future::pending())
            }
            Point::During => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    let _lost = answer.await;
                    switch.kill();
                    std::future::pending().await
                })
            }
            Point::After => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    let answer = answer.await;
                    switch.0.armed.store(true, Ordering::SeqCst);
                    answer
                })
            }
        }
    }
}
