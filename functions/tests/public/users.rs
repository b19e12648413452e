//! The ready-made users.

use std::sync::Arc;

use futures::executor::block_on;
use syncline::auth::UserIdentity;
use syncline::users::User;
use syncline_schema::Doc;

use crate::app::App;

fn identity(name: Option<&str>, email: Option<&str>) -> UserIdentity {
    UserIdentity {
        token_identifier: "https://id.example.com|user_2abc".into(),
        subject: "user_2abc".into(),
        issuer: "https://id.example.com".into(),
        name: name.map(Into::into),
        email: email.map(Into::into),
        ..UserIdentity::default()
    }
}

/// Stores under an identity: the id, and the log lines.
fn store(app: &mut App, identity: UserIdentity) -> (String, Vec<String>) {
    app.identity = Some(Arc::new(identity));
    let (result, report) = app.call_reporting("users:store", "{}");
    (result.unwrap().trim_matches('"').to_owned(), report.log_lines)
}

fn only_user(app: &App) -> Doc<User> {
    block_on(app.query().db.query(User::all()).unique()).unwrap().unwrap()
}

const CALLED: &str =
    "[LOG] '🔐 users.store called { hasIdentity: true, identitySubject: 'user_2abc', identityEmail: 'a@b.c' }'";

/// spec: A73
#[test]
fn the_first_login_creates_the_row_and_says_so() {
    let mut app = App::new();
    let (id, lines) = store(&mut app, identity(Some("Ada"), Some("a@b.c")));
    assert_eq!(lines, [CALLED.to_owned(), format!("[LOG] '✅ Created new user: {id}'")]);
    let user = only_user(&app);
    assert_eq!((user.id.to_string(), user.name.as_str(), user.email.as_deref()), (id, "Ada", Some("a@b.c")));
    assert_eq!(user.token_identifier, "https://id.example.com|user_2abc");
}

/// spec: A73
#[test]
fn a_later_login_changes_what_the_profile_changed() {
    let mut app = App::new();
    let (id, _) = store(&mut app, identity(Some("Ada"), Some("a@b.c")));
    let picture = UserIdentity { picture_url: Some("https://p".into()), ..identity(Some("Ada L"), Some("a@b.c")) };
    let (same_id, lines) = store(&mut app, picture);
    assert_eq!(same_id, id);
    assert_eq!(lines, [CALLED.to_owned(), format!("[LOG] '✅ Updated existing user: {id}'")]);
    let user = only_user(&app);
    assert_eq!((user.name.as_str(), user.picture_url.as_deref()), ("Ada L", Some("https://p")));
}

#[test]
fn a_login_that_changes_nothing_writes_nothing() {
    let mut app = App::new();
    store(&mut app, identity(Some("Ada"), Some("a@b.c")));
    let writes = app.tx.writes();
    let (_, lines) = store(&mut app, identity(Some("Ada"), Some("a@b.c")));
    assert_eq!(lines, [CALLED]);
    assert_eq!(app.tx.writes(), writes);
}

/// spec: A73
#[test]
fn a_token_without_profile_claims_works_and_takes_nothing_away() {
    let mut app = App::new();
    store(&mut app, identity(None, None));
    assert_eq!((only_user(&app).name.as_str(), only_user(&app).email.clone()), ("Anonymous", None));
    store(&mut app, identity(None, None));
    store(&mut app, identity(Some("Ada"), Some("a@b.c")));
    assert_eq!(only_user(&app).name, "Ada");
    store(&mut app, identity(None, None));
    assert_eq!((only_user(&app).name.as_str(), only_user(&app).email.as_deref()), ("Ada", Some("a@b.c")));
}

/// spec: A77
#[test]
fn a_call_without_identity_fails_and_the_log_shows_why() {
    let app = App::new();
    let (result, report) = app.call_reporting("users:store", "{}");
    let failure = result.unwrap_err();
    assert!(failure.data.unwrap().contains(r#""code":"UNAUTHENTICATED""#));
    assert_eq!(report.log_lines, ["[LOG] '🔐 users.store called { hasIdentity: false }'"]);
    assert!(report.observed_identity, "nobody else gets this refusal from a cache");
}

#[test]
fn current_is_the_own_row_and_list_are_all() {
    let mut app = App::new();
    assert_eq!(app.call("users:current", "{}").unwrap(), "null");
    app.identity = Some(Arc::new(identity(Some("Ada"), None)));
    assert_eq!(app.call("users:current", "{}").unwrap(), "null");
    let (id, _) = store(&mut app, identity(Some("Ada"), None));
    let (current, report) = app.call_reporting("users:current", "{}");
    assert!(current.unwrap().contains(&id));
    assert!(report.observed_identity);
    let (all, report) = app.call_reporting("users:list", "{}");
    assert!(all.unwrap().contains(&id));
    assert!(!report.observed_identity, "the list is the same for everyone");
}

/// spec: A39, A42
#[test]
fn me_is_the_whole_identity_or_null() {
    let mut app = App::new();
    assert_eq!(app.call("users:me", "{}").unwrap(), "null");
    let custom = [("meta".to_owned(), r#"{"a":[1]}"#.to_owned()), ("subject".to_owned(), r#""forged""#.to_owned())];
    let whole = UserIdentity { email_verified: Some(true), custom: custom.into(), ..identity(Some("Ada"), None) };
    app.identity = Some(Arc::new(whole));
    let me: serde_json::Value = serde_json::from_str(&app.call("users:me", "{}").unwrap()).unwrap();
    let expected = serde_json::json!({
        "tokenIdentifier": "https://id.example.com|user_2abc",
        "subject": "user_2abc",
        "issuer": "https://id.example.com",
        "name": "Ada",
        "emailVerified": true,
        "meta": {"a": [1.0]},
    });
    assert_eq!(me, expected);
}
