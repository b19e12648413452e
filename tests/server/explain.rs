//! What people are told of a token: on the command line and on the page of the development server.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use syncline::auth::Clerk;
use syncline::config::Mode;
use syncline_tests::{RawClient, TestServer};

use crate::issuer::Issuer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_test-app");

/// Runs a command to its end: the exit code, and what it printed, on either side.
async fn run(words: &[&str], variables: &[(&str, &str)], input: &str) -> (i32, String) {
    let (words, input): (Vec<_>, _) = (words.iter().map(|&word| word.to_owned()).collect(), input.to_owned());
    let variables: Vec<_> = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let run = move || {
        let mut command = Command::new(PROGRAM);
        command.args(words).envs(variables).env_remove("CLERK_JWT_ISSUER_DOMAIN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // Whoever has a token as an argument does not read this.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("the program ends");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("no signal"), String::from_utf8(said).expect("UTF-8"))
    };
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_a_good_token_from_a_wrong_one() {
    let issuer = Issuer::start().await;
    let address = issuer.address();
    let good = issuer.token(json!({"subject": "user_ada"}));
    let wrong = issuer.token(json!({"claims": {"aud": "api"}}));
    let with_issuer = ["auth", "explain", "--issuer", &address];

    let (code, said) = run(&[&with_issuer[..], &[&good]].concat(), &[], "").await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("The token is accepted, as ") && !said.contains('✗'), "{said}");
    assert!(said.contains("\"user_ada\"") && said.contains("\"RS256\""), "the decoded token: {said}");

    for input in [wrong.clone(), format!("  {wrong}\n")] {
        for words in [&with_issuer[..], &[&with_issuer[..], &["-"]].concat()] {
            let (code, said) = run(words, &[], &input).await;
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("✗ audience is configured") && said.contains("NoAuthProvider"), "{said}");
            assert!(said.contains("expected \"convex\"") && said.contains("Hint: set \"aud\""), "{said}");
        }
    }
    let (code, said) = run(&[&with_issuer[..], &["--audience", "api", &wrong]].concat(), &[], "").await;
    assert_eq!(code, 0, "{said}");
    let (code, said) =
        run(&["auth", "explain", &good], &[("TEST_APP_ISSUER_VARIABLE", "ISSUER"), ("ISSUER", &address)], "").await;
    assert_eq!(code, 0, "the application's own providers: {said}");
    let (code, said) = run(&["auth", "explain", &good], &[], "").await;
    assert_eq!(code, 1);
    assert!(said.contains("CLERK_JWT_ISSUER_DOMAIN, which is not set here") && said.contains("--issuer"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_checks_providers_without_a_token() {
    let issuer = Issuer::start().await;
    let address = issuer.address();
    let (code, said) = run(&["auth", "check", "--issuer", &address], &[], "").await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&address) && said.contains("✓ discovery and keys: \"ins_"), "{said}");
    issuer.break_down();
    let (code, said) = run(&["auth", "check", "--issuer", &address], &[], "").await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("✗ discovery and keys:") && said.contains("status 503"), "{said}");
}

/// The page as a browser without JavaScript uses it.
async fn ask_page(server: &TestServer, token: &str) -> String {
    let form = server.http().post(server.url("/dev/auth")).header("content-type", "application/x-www-form-urlencoded");
    let body: String = url_encoded(token);
    form.body(format!("token={body}")).send().await.expect("an answer").text().await.expect("text")
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn the_page_explains_as_the_command_does() {
    let server = TestServer::start().await;
    let response = server.http().get(server.url("/dev/auth")).send().await.expect("an answer");
    let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let page = response.text().await.expect("text");
    assert!(page.contains("<form") && page.contains("/dev-issuer") && !page.contains("<script"), "{page}");

    let good = ask_page(&server, &server.token(json!({"subject": "user_ada"})).await).await;
    assert!(good.contains("✓ accepted") && good.contains("|user_ada"), "{good}");
    let hostile = server.token(json!({"claims": {"aud": "<script>alert(1)</script>"}})).await;
    let page = ask_page(&server, &format!(" {hostile}\n")).await;
    assert!(
        page.contains("✗ NoAuthProvider (audience_mismatch)") && page.contains("Hint: set &quot;aud&quot;"),
        "{page}"
    );
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!page.contains(&hostile), "the token is not shown again");
    assert!(ask_page(&server, "").await.contains("InvalidAuthHeader"));
}

#[tokio::test]
async fn the_page_is_for_this_machine_and_for_development_only() {
    let server = TestServer::start().await;
    let request = server.http().get(server.url("/dev/auth")).header("host", "rebound.example");
    assert_eq!(request.send().await.expect("an answer").status(), 403);
    let server = TestServer::start_with(|server| server.change_config(|config| config.mode = Mode::Production)).await;
    let response = server.http().get(server.url("/dev/auth")).send().await.expect("an answer");
    assert_eq!(response.status(), 404);
}

/// spec: A71, HS19
#[tokio::test]
async fn a_client_reads_what_is_wrong_in_development_and_one_sentence_in_production() {
    let issuer = Issuer::start().await;
    let wrong = issuer.token(json!({"subject": "user_ada", "claims": {"aud": "api"}}));
    let detail = "Issuer matched; token aud: [\"api\"]; expected \"convex\".";
    for (mode, is_told) in [(Mode::Development, true), (Mode::Production, false)] {
        let clerk = Clerk::at(issuer.address());
        let server =
            TestServer::start_with(|server| server.auth(clerk).change_config(|config| config.mode = mode)).await;
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(&wrong)).await;
        let said = client.until_closed().await.0;
        let text = said[0]["error"].as_str().expect("a text");
        assert!(text.starts_with("NoAuthProvider: No configured provider fits the token."), "{text}");
        assert_eq!(text.contains(detail), is_told, "{text}");
        let call = server.http().post(server.url("/api/query")).bearer_auth(&wrong);
        let answer: Value = call
            .json(&json!({"path": "auth:whoami", "args": {}}))
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        assert_eq!(answer["code"], "NoAuthProvider");
        assert_eq!(answer["message"].as_str().expect("a text").contains(detail), is_told, "{answer}");
    }
}

/// The counters are those of the whole process, other tests included: what is compared is how much they rise.
#[tokio::test]
async fn each_authentication_is_counted_by_its_reason() {
    let issuer = Issuer::start().await;
    let server = TestServer::start_with(|server| server.auth(Clerk::at(issuer.address()))).await;
    let before = [counter(&server, "accepted", "none").await, counter(&server, "refused", "audience_mismatch").await];
    let wrong = issuer.token(json!({"claims": {"aud": "api"}}));
    for token in [&issuer.token(json!({})), &wrong, &wrong] {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(token)).await;
        client.message().await;
    }
    assert!(counter(&server, "accepted", "none").await > before[0]);
    assert!(counter(&server, "refused", "audience_mismatch").await >= before[1] + 2);
}

async fn counter(server: &TestServer, outcome: &str, reason: &str) -> u64 {
    let text = server.http().get(server.url("/metrics")).send().await.expect("an answer").text().await.expect("text");
    let name = format!("syncline_authentications_total{{outcome=\"{outcome}\",reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().expect("a number"))
}
