//! Guards and row rules, as clients meet them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline_tests::app::guarded::RUNS;
use syncline_tests::{RawClient, TestServer};

async fn signed_in(server: &TestServer, claims: Value) -> RawClient {
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&server.token(claims).await)).await;
    client
}

async fn person(server: &TestServer, subject: &str) -> RawClient {
    signed_in(server, json!({"subject": subject})).await
}

fn is_refused(code: &'static str) -> impl Fn(&Value) -> bool {
    move |result| result["errorData"]["code"] == code
}

/// spec: A77, A48
#[tokio::test]
async fn a_protected_function_refuses_the_unauthenticated_with_data_to_branch_on() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "guarded:me", json!({})).await;
    let refused = client.until(0, is_refused("UNAUTHENTICATED")).await;
    assert!(refused["errorData"]["message"].as_str().expect("a message").contains("sign in"), "{refused}");
    let answer = client.mutation("guarded:sign", json!({})).await;
    assert_eq!((&answer["success"], &answer["errorData"]["code"]), (&json!(false), &json!("UNAUTHENTICATED")));
    let body = json!({"path": "guarded:me", "args": {}, "format": "json"});
    let (status, answer) = server.post("/api/query", body).await;
    assert_eq!((status, &answer["errorData"]["code"]), (200, &json!("UNAUTHENTICATED")), "{answer}");

    // The refusal belonged to nobody: signing in replaces it in the very Transition that confirms it.
    client.authenticate(Some(&server.token(json!({"subject": "user_ada"})).await)).await;
    let transition = client.transition().await;
    assert_eq!(transition.of(0).expect("the result")["value"], "user_ada");
    assert_eq!(client.mutation("guarded:sign", json!({})).await["result"], "user_ada");
    client.authenticate(None).await;
    assert_eq!(client.transition().await.of(0).expect("the refusal")["errorData"]["code"], "UNAUTHENTICATED");
}

/// spec: A77, D90, HS40
#[tokio::test]
async fn a_guarded_query_is_shared_by_one_identity_and_split_between_several() {
    let server = TestServer::start().await;
    let mut anonymous = RawClient::connect(server.address()).await;
    anonymous.subscribe(0, "guarded:me", json!({})).await;
    anonymous.until(0, is_refused("UNAUTHENTICATED")).await;
    let before = RUNS.load(Ordering::SeqCst);
    let mut open = Vec::new();
    for n in 0..6 {
        let subject = format!("user_{}", n % 2);
        let mut client = person(&server, &subject).await;
        client.subscribe(0, "guarded:me", json!({})).await;
        assert_eq!(client.until(0, Value::is_string).await, json!(subject));
        open.push(client);
    }
    let mut late = RawClient::connect(server.address()).await;
    late.subscribe(0, "guarded:me", json!({})).await;
    late.until(0, is_refused("UNAUTHENTICATED")).await;
    if std::env::var_os("NEXTEST").is_some() {
        // Without nextest, other tests of this process run the same function.
        assert_eq!(RUNS.load(Ordering::SeqCst), before + 2, "six pages of two people, two runs");
    }
}

/// spec: A77
#[tokio::test]
async fn a_missing_role_is_forbidden_with_the_roles_needed_and_found() {
    let server = TestServer::start().await;
    for (claims, found) in [(json!({}), json!([])), (json!({"org_role": "org:member"}), json!(["org:member"]))] {
        let mut client = signed_in(&server, json!({"subject": "user_ada", "claims": claims})).await;
        let request = client.start_action("guarded:administer", json!({})).await;
        let refusal = client.response(request).await["errorData"].clone();
        assert_eq!((&refusal["code"], &refusal["found"]), (&json!("FORBIDDEN"), &found), "{refusal}");
        assert_eq!(refusal["needed"], json!(["org:admin", "admin"]));
    }
    for claims in [
        json!({"org_role": "org:admin"}),
        json!({"o": {"id": "org_1", "slg": "acme", "rol": "admin"}}),
        json!({"metadata": {"role": "admin"}}),
    ] {
        let mut client = signed_in(&server, json!({"subject": "user_ada", "claims": claims})).await;
        let request = client.start_action("guarded:administer", json!({})).await;
        assert_eq!(client.response(request).await["result"], "user_ada", "{claims}");
    }
}

/// spec: A78
#[tokio::test]
async fn a_role_in_the_users_table_takes_effect_on_open_pages() {
    let data = tempfile::tempdir().expect("a folder");
    let key = AdminKeys::open("tested", data.path()).expect("keys").issue(1_755_800_000);
    let folder = data.path().to_owned();
    let server = TestServer::start_with(|server| server.instance_name("tested").data(folder)).await;
    let set_roles = async |authorization: &str, user: &Value, roles: Value| {
        let body = json!({"path": "users:setRoles", "args": {"user": user, "roles": roles}});
        let request = server.http().post(server.url("/api/mutation")).header("authorization", authorization);
        request.json(&body).send().await.expect("an answer").json::<Value>().await.expect("JSON")
    };
    let admin = format!("Convex {key}");

    let mut ada = person(&server, "user_ada").await;
    ada.subscribe(0, "guarded:moderate", json!({})).await;
    ada.until(0, is_refused("FORBIDDEN")).await;
    let user = ada.mutation("users:store", json!({})).await["result"].clone();
    let token = format!("Bearer {}", server.token(json!({"subject": "user_ada"})).await);
    let text = set_roles(&token, &user, json!(["moderator"])).await["errorMessage"].to_string();
    assert!(text.contains("Could not find public function for 'users:setRoles'"), "nobody promotes themselves: {text}");
    assert_eq!(set_roles(&admin, &user, json!(["moderator"])).await["status"], "success");
    assert_eq!(ada.until(0, Value::is_string).await, "user_ada");
    set_roles(&admin, &user, json!([])).await;
    ada.until(0, is_refused("FORBIDDEN")).await;
}

/// spec: A78, D90
#[tokio::test]
async fn row_rules_show_each_their_own_and_follow_changes() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (person(&server, "ada").await, person(&server, "bob").await);
    for client in [&mut ada, &mut bob] {
        client.subscribe(0, "guarded:notes", json!({})).await;
        client.until(0, |notes| *notes == json!([])).await;
    }
    let mut ids = Vec::new();
    for n in 0..4 {
        let args = json!({"owner": "ada", "text": format!("a{n}")});
        ids.push(ada.mutation("guarded:write", args).await["result"].clone());
    }
    bob.mutation("guarded:write", json!({"owner": "bob", "text": "b"})).await;
    bob.until(0, |notes| *notes == json!(["b"])).await;
    ada.until(0, |notes| *notes == json!(["a0", "a1", "a2", "a3"])).await;

    let forged = bob.mutation("guarded:write", json!({"owner": "ada", "text": "forged"})).await["errorData"].clone();
    let message = "the rules of the table `notes` do not allow you this insert";
    assert_eq!(forged, json!({"code": "FORBIDDEN", "message": message, "table": "notes", "access": "insert"}));
    let hidden = bob.mutation("guarded:show", json!({"note": ids[2], "shown": true})).await;
    assert!(hidden["result"].as_str().expect("a text").contains("NonexistentDocument"), "{hidden}");

    ada.mutation("guarded:show", json!({"note": ids[2], "shown": true})).await;
    bob.until(0, |notes| *notes == json!(["a2", "b"])).await;
    let hidden = bob.mutation("guarded:show", json!({"note": ids[2], "shown": false})).await;
    assert_eq!(hidden["errorData"]["access"], "patch", "{hidden}");
    let page = json!({"paginationOpts": {"numItems": 1.0, "cursor": null}});
    bob.subscribe(1, "guarded:page", page).await;
    let page = bob.until(1, Value::is_object).await;
    assert_eq!((&page["page"][0]["text"], &page["isDone"]), (&json!("a2"), &json!(false)));
    ada.mutation("guarded:show", json!({"note": ids[2], "shown": false})).await;
    bob.until(0, |notes| *notes == json!(["b"])).await;
}
