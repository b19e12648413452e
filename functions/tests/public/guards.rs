//! Guards: who may call a function, what a refusal tells, and that nobody else gets it.

use std::sync::Arc;

use futures::executor::block_on;
use serde_json::json;
use syncline::auth::UserIdentity;
use syncline::guard::{Claims, Guard, NamedRole, Organisation, Role, RoleSource, SignedIn};
use syncline::registry::FunctionError;
use syncline::run::{Run, RunInputs};
use syncline::users::{self, User};
use syncline::{ActionCtx, AppError, Doc, MutationCtx, QueryCtx, Result, action, mutation, query};
use syncline_schema::FunctionPath;

use crate::app::{App, Message, failure, message, surroundings};

pub mod guarded {
    use super::*;

    pub struct Admin;

    impl NamedRole for Admin {
        const NAMES: &'static [&'static str] = &["admin", "owner"];
        type Source = (Claims, users::Roles);
    }

    pub struct ClaimedAdmin;

    impl NamedRole for ClaimedAdmin {
        const NAMES: &'static [&'static str] = &["admin"];
        type Source = Claims;
    }

    /// Somebody whose row is in the database.
    pub struct Member(Doc<User>);

    impl Guard for Member {
        async fn check(ctx: &QueryCtx) -> Result<Self> {
            let user = ctx.require::<SignedIn>().await?;
            let row = users::find(ctx, &user).await?;
            Ok(Member(row.ok_or(AppError::new("call users:store first").code("UNKNOWN_USER"))?))
        }
    }

    /// Open when the deployment says so; it does not care who calls.
    pub struct Open;

    impl Guard for Open {
        async fn check(ctx: &QueryCtx) -> Result<Self> {
            match ctx.env.get("OPEN").await?.as_deref() {
                Some("yes") => Ok(Open),
                Some("broken") => Err(syncline::Error::new("the sign is broken")),
                _ => Err(AppError::new("closed").code("CLOSED").into()),
            }
        }
    }

    #[query]
    pub async fn me(_ctx: &QueryCtx, me: &SignedIn) -> Result<String> {
        Ok(me.subject.clone())
    }

    #[mutation]
    pub async fn send(ctx: &MutationCtx, me: &SignedIn, channel: String) -> Result<f64> {
        ctx.db.insert(Message { author: Some(me.subject.clone()), ..message(&channel, 0.0) }).await?;
        Ok(1.0)
    }

    #[query]
    pub async fn administer(_ctx: &QueryCtx, admin: &Role<Admin>, what: Option<String>) -> Result<String> {
        Ok(format!("{} {} {what:?}", admin.subject, admin.all().join("+")))
    }

    #[query]
    pub async fn both(ctx: &QueryCtx, member: &Member, open: &(SignedIn, Open)) -> Result<String> {
        // The proofs are at hand for functions that ask for them.
        Ok(format!("{} {}", me(ctx, &open.0).await?, member.0.name))
    }

    #[query]
    pub async fn open(_ctx: &QueryCtx, _open: &Open) -> Result<()> {
        Ok(())
    }

    #[query]
    pub async fn perhaps(_ctx: &QueryCtx, me: &Option<SignedIn>, open: &Option<Open>) -> Result<String> {
        Ok(format!("{} {}", me.is_some(), open.is_some()))
    }

    #[mutation]
    pub async fn in_the_middle(ctx: &MutationCtx) -> Result<f64> {
        send(ctx, &ctx.require().await?, "direct".to_owned()).await?;
        ctx.run_mutation(send, ("nested".to_owned(),)).await?;
        ctx.run_query(administer, (None,)).await.map_or(Ok(0.0), |_| Ok(1.0))
    }

    #[action]
    pub async fn act(_ctx: &ActionCtx, admin: &Role<ClaimedAdmin>, body: String) -> Result<String> {
        Ok(format!("{} {body}", admin.user().subject))
    }
}

fn identity(claims: &[(&str, serde_json::Value)]) -> Arc<UserIdentity> {
    let custom = claims.iter().map(|(name, json)| ((*name).to_owned(), json.to_string())).collect();
    Arc::new(UserIdentity {
        token_identifier: "https://id.example.com|ada".into(),
        subject: "ada".into(),
        name: Some("Ada".into()),
        custom,
        ..UserIdentity::default()
    })
}

fn signed_in(claims: &[(&str, serde_json::Value)]) -> App {
    App { identity: Some(identity(claims)), ..App::new() }
}

fn data(result: Result<String, FunctionError>) -> serde_json::Value {
    serde_json::from_str(&result.expect_err("the call is refused").data.expect("the refusal has data")).unwrap()
}

/// spec: A77
#[test]
fn nobody_signed_in_is_refused_and_the_refusal_is_theirs_alone() {
    let app = App::new();
    for path in ["guards/guarded:me", "guards/guarded:administer"] {
        let (result, report) = app.call_reporting(path, "{}");
        let refusal = data(result);
        assert_eq!(refusal["code"], "UNAUTHENTICATED");
        assert!(refusal["message"].as_str().unwrap().contains("sign in"), "{refusal}");
        assert!(report.observed_identity, "{path}");
    }
    let (result, report) = signed_in(&[]).call_reporting("guards/guarded:me", "{}");
    assert_eq!((result.unwrap().as_str(), report.observed_identity), (r#""ada""#, true));
}

#[test]
fn a_refused_mutation_did_nothing() {
    let app = App::new();
    data(app.call("guards/guarded:send", r#"{"channel":"a"}"#));
    assert_eq!(app.tx.writes(), 0);
}

#[test]
fn a_guard_is_no_argument() {
    let app = signed_in(&[]);
    let function = app.registry.find(&FunctionPath::parse("guards/guarded:send").unwrap()).unwrap();
    assert_eq!(function.args.to_string(), "v.object({channel: v.string()})");
    let text = failure(app.call("guards/guarded:send", r#"{"channel":"a","me":{"subject":"grace"}}"#));
    assert!(text.starts_with("ArgumentValidationError: ") && text.contains("me"), "{text}");
}

/// spec: A77
#[test]
fn a_guard_that_looks_at_nobody_counts_as_having_looked() {
    let app = App::new();
    let (result, report) = app.call_reporting("guards/guarded:open", "{}");
    assert_eq!((&data(result)["code"], report.observed_identity), (&json!("CLOSED"), true));
    app.tx.set_environment("OPEN", "yes");
    assert!(app.call_reporting("guards/guarded:open", "{}").1.observed_identity);
}

#[test]
fn a_missing_role_tells_which_are_needed_and_which_were_found() {
    let app = signed_in(&[("role", json!("reader")), ("o", json!({"rol": "admin"}))]);
    let refusal = data(app.call("guards/guarded:administer", "{}"));
    let message = "this needs the role admin or owner; you have: org:admin, reader";
    let expected = json!({
        "code": "FORBIDDEN", "message": message, "needed": ["admin", "owner"], "found": ["org:admin", "reader"],
    });
    assert_eq!(refusal, expected);
}

#[test]
fn roles_are_read_from_the_claims_that_providers_have() {
    let check = |claims: &[(&str, serde_json::Value)], expected: &[&str]| {
        let app = signed_in(claims);
        let ctx = app.query();
        let user = block_on(ctx.require::<SignedIn>()).unwrap();
        let mut roles = block_on(Claims::roles(&ctx, &user)).unwrap();
        roles.sort();
        assert_eq!(roles, expected, "{claims:?}");
    };
    check(&[], &[]);
    check(&[("role", json!("admin"))], &["admin"]);
    check(&[("roles", json!(["a", "b"]))], &["a", "b"]);
    // Clerk's public metadata, as the session token or a template has it, and as a custom issuer's claims arrive.
    check(&[("metadata", json!({"role": "admin", "theme": "dark"}))], &["admin"]);
    check(&[("public_metadata", json!({"roles": ["a"]})), ("publicMetadata", json!({"role": "b"}))], &["a", "b"]);
    check(&[("metadata.role", json!("admin"))], &["admin"]);
    // Clerk's organisations, version 2 and 1, and as a custom issuer's claims arrive.
    check(&[("o", json!({"id": "org_1", "rol": "admin"}))], &["org:admin"]);
    check(&[("org_role", json!("org:admin"))], &["org:admin"]);
    check(&[("o.rol", json!("admin"))], &["org:admin"]);
    // Neither passes for the other, and what users can edit themselves is no role.
    check(&[("role", json!("org:admin")), ("metadata", json!({"role": "org:admin"}))], &[]);
    check(&[("unsafe_metadata", json!({"role": "admin"})), ("unsafeMetadata", json!({"role": "admin"}))], &[]);
    // What is no text names no role.
    check(&[("role", json!(null)), ("roles", json!({"admin": true})), ("metadata", json!("admin"))], &[]);
}

#[test]
fn an_organisation_is_the_one_that_is_chosen() {
    let organisation =
        |claims: &[(&str, serde_json::Value)]| block_on(signed_in(claims).query().require::<Organisation>());
    let new = organisation(&[("o", json!({"id": "org_1", "slg": "acme", "rol": "admin"}))]).unwrap();
    let old = [("org_id", json!("org_1")), ("org_slug", json!("acme")), ("org_role", json!("org:admin"))];
    for organisation in [new, organisation(&old).unwrap()] {
        assert_eq!((organisation.id(), organisation.slug()), ("org_1", Some("acme")));
        assert_eq!((organisation.role(), organisation.user().subject.as_str()), (Some("org:admin"), "ada"));
    }
    let refused = organisation(&[("org_role", json!("org:admin"))]).unwrap_err();
    assert_eq!(refused.code().as_deref(), Some("FORBIDDEN"), "a role without its organisation is none");
    let nobody = block_on(App::new().query().require::<Organisation>()).unwrap_err();
    assert_eq!(nobody.code().as_deref(), Some("UNAUTHENTICATED"));
}

#[test]
fn roles_in_the_users_table_count_at_once() {
    let app = signed_in(&[]);
    let administer = || app.call("guards/guarded:administer", r#"{"what":"x"}"#);
    assert_eq!(data(administer())["found"], json!([]), "no row, no role");
    let id = app.call("users:store", "{}").unwrap();
    assert_eq!(data(administer())["found"], json!([]));
    let set = |roles: &str| app.call("users:setRoles", &format!(r#"{{"user":{id},"roles":{roles}}}"#)).unwrap();
    set(r#"["owner","poet"]"#);
    assert_eq!(administer().unwrap(), r#""ada owner+poet Some(\"x\")""#);
    app.call("users:store", "{}").unwrap();
    assert!(administer().is_ok(), "signing in again takes no role away");
    set("[]");
    assert_eq!(data(administer())["code"], "FORBIDDEN");
    let set_roles = app.registry.find(&FunctionPath::parse("users:setRoles").unwrap()).unwrap();
    assert_eq!(set_roles.visibility, syncline::registry::Visibility::Internal);
}

#[test]
fn guards_are_checked_in_order_and_together() {
    let mut app = App::new();
    let both = |app: &App| app.call("guards/guarded:both", "{}");
    assert_eq!(data(both(&app))["code"], "UNAUTHENTICATED");
    app.identity = Some(identity(&[]));
    assert_eq!(data(both(&app))["code"], "UNKNOWN_USER");
    app.call("users:store", "{}").unwrap();
    assert_eq!(data(both(&app))["code"], "CLOSED");
    app.tx.set_environment("OPEN", "yes");
    assert_eq!(both(&app).unwrap(), r#""ada Ada""#);
}

#[test]
fn an_optional_guard_is_none_where_it_refuses_and_fails_where_it_fails() {
    let mut app = App::new();
    let perhaps = |app: &App| app.call("guards/guarded:perhaps", "{}");
    assert_eq!(perhaps(&app).unwrap(), r#""false false""#);
    app.identity = Some(identity(&[]));
    app.tx.set_environment("OPEN", "yes");
    assert_eq!(perhaps(&app).unwrap(), r#""true true""#);
    app.tx.set_environment("OPEN", "broken");
    assert_eq!(failure(perhaps(&app)), "Uncaught Error: the sign is broken\n");
}

#[test]
fn guards_hold_in_calls_from_function_to_function() {
    let app = signed_in(&[]);
    assert_eq!(app.call("guards/guarded:in_the_middle", "{}").unwrap(), "0.0", "a nested call is checked, too");
    assert_eq!(app.tx.writes(), 2);
    assert_eq!(data(App::new().call("guards/guarded:in_the_middle", "{}"))["code"], "UNAUTHENTICATED");
    let admin = signed_in(&[("role", json!("admin"))]);
    assert_eq!(admin.call("guards/guarded:in_the_middle", "{}").unwrap(), "1.0");
}

#[test]
fn actions_are_guarded_by_what_needs_no_database() {
    let app = App::new();
    let act = |identity: Option<Arc<UserIdentity>>| {
        let inputs = RunInputs {
            tx: None,
            caller: None,
            surroundings: surroundings(&app.registry, 0),
            identity,
            now_ms: 0,
            journal: None,
            on_log: None,
        };
        let handler = app.registry.find(&FunctionPath::parse("guards/guarded:act").unwrap()).unwrap().handler;
        block_on(handler(Run::new(inputs), r#"{"body":"hi"}"#.into()))
    };
    assert_eq!(data(act(None))["code"], "UNAUTHENTICATED");
    assert_eq!(data(act(Some(identity(&[]))))["code"], "FORBIDDEN");
    assert_eq!(act(Some(identity(&[("role", json!("admin"))]))).unwrap(), r#""ada hi""#);
}
