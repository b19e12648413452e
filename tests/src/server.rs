//! A server in this process, on a free port of loopback.

use std::net::SocketAddr;

use serde_json::{Value, json};
use syncline::config::Config;
use syncline::{Running, Server, ServerError};

use crate::app;

/// See the module. It stops when it is dropped, without waiting.
pub struct TestServer {
    running: Running,
    http: reqwest::Client,
}

impl TestServer {
    /// The test application in memory, with the development issuer.
    pub async fn start() -> Self {
        Self::start_with(|server| server).await
    }

    /// The test application with other limits.
    pub async fn start_with_config(config: Config) -> Self {
        Self::start_with(|server| server.config(config)).await
    }

    /// The test application, changed.
    pub async fn start_with(change: impl FnOnce(Server) -> Server) -> Self {
        Self::of(change(app::server())).await.expect("a test server starts")
    }

    /// Any server, or why it does not start.
    pub async fn of(server: Server) -> Result<Self, ServerError> {
        let running = server.start("127.0.0.1:0").await?;
        Ok(TestServer { running, http: reqwest::Client::new() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The server itself.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// A client for requests.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Posts JSON; the status and the JSON that came back.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.http.post(self.url(path)).json(&body).send().await.expect("the server answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("the answer is JSON"))
    }

    /// Calls a mutation over HTTP and gives its value.
    pub async fn mutation(&self, path: &str, args: Value) -> Value {
        let body = json!({"path": path, "args": args, "format": "convex_encoded_json"});
        let (status, answer) = self.post("/api/mutation", body).await;
        assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
        answer["value"].clone()
    }

    /// A token of the development issuer.
    pub async fn token(&self, claims: Value) -> String {
        let (status, answer) = self.post("/dev-issuer/token", claims).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// Stops it properly.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
