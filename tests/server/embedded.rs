//! The server's routes inside an application's own axum router.

use axum::Router;
use axum::routing::get;
use serde_json::json;
use syncline_tests::{RawClient, app};
use tokio::net::TcpListener;

/// spec: S1, H1
#[tokio::test]
async fn an_application_mounts_the_routes_beside_its_own() {
    let (routes, embedded) = app::server().into_router().await.expect("the server starts");
    let own =
        Router::new().route("/hello", get(|| async { "from the application" })).fallback(|| async { "its own 404" });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, own.merge(routes)).with_graceful_shutdown(async { drop(stopped.await) });
    let serving = tokio::spawn(serving.into_future());

    let text = |path: &'static str| async move {
        let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
        answer.text().await.expect("a text")
    };
    assert_eq!(text("/hello").await, "from the application");
    assert_eq!(text("/instance_name").await, "syncline");
    let mut client = RawClient::connect(address).await;
    client.subscribe(0, "counter:get", json!({"name": "embedded"})).await;
    let added = client.mutation("counter:increment", json!({"name": "embedded", "by": 2.0})).await;
    assert_eq!(added["result"], json!(2.0));
    assert_eq!(client.until(0, |count| *count == json!(2.0)).await, json!(2.0));
    assert_eq!(text("/nowhere").await, "its own 404");
    assert_eq!(text("/dev-issuer/.well-known/openid-configuration").await, "its own 404");

    embedded.stop().await;
    let (_, closed) = client.until_closed().await;
    assert_eq!(closed.code, 1011);
    drop(stop);
    serving.await.expect("no panic").expect("it ends well");
}
