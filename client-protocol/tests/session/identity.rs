//! Who the client is: verification, changes, expiry. Handshakes are named as in `tests/spec/auth.md` 10.

use syncline_client_protocol::{SessionConfig, SessionLimits};

use crate::script::{check, check_with};

/// spec: S86, A55, HS4
#[test]
fn an_accepted_token_is_confirmed_without_any_query() {
    check(
        "
        > Connect
        > Authenticate 0 User tok
        < verify user tok
        ! token alice
        < Transition 0.0.0 -> 0.1.7
        > Authenticate 1 None
        < Transition 0.1.7 -> 0.2.7
        > Authenticate 2 None
        < Transition 0.2.7 -> 0.3.7
        ",
    );
}

/// The burst of a connection becomes one Transition, so that values never vanish in between.
///
/// spec: HS2, HS32, S71, S72, S87
#[test]
fn identity_and_queries_of_a_reconnect_arrive_together() {
    check(
        "
        > Connect seen 6
        > Authenticate 0 User tok
        > Modify 0 1 +0 me +1 list
        > Mutation 3 send
        < verify user tok
        ! token alice
        < mutation 3 send [{}] as alice of 0b5b9a4e
        < run 0 me [{}] @7 as alice
        < run 1 list [{}] @7 as alice
        = 1 1
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1 1=1
        ",
    );
}

/// spec: HS1, HS3, S97
#[test]
fn everyone_is_nobody_at_first() {
    check(
        r#"
        > Modify 0 1 +0 me
        < run 0 me [{}] @7
        = 0 null
        < Transition 0.0.0 -> 1.0.7 0=null
        > Authenticate 0 User tok
        < verify user tok
        ! token alice
        < drop 0
        < run 0 me [{}] @7 as alice
        = 0 "alice"
        < Transition 1.0.7 -> 1.1.7 0="alice"
        "#,
    );
}

/// spec: HS5, HS6, A63
#[test]
fn a_renewed_token_of_the_same_user_runs_nothing() {
    check(
        "
        > Authenticate 0 User tok
        > Modify 0 1 +0 me
        < verify user tok
        ! token alice until 60
        < run 0 me [{}] @7 as alice
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
        ! at 10
        > Authenticate 1 User tok2
        < verify user tok2
        ! token alice until 110
        < Transition 1.1.7 -> 1.2.7

        # The later expiry counts from now on, and what was subscribed still is.
        ! at 61
        < Ping
        ! invalidate 0
        < run 0 me [{}] @7 as alice
        = 0 2
        < Transition 1.2.7 -> 1.2.7 0=2
        ",
    );
}

/// A renewal while a Transition is being computed does not disturb it: it is confirmed by the next.
///
/// spec: A63
#[test]
fn a_renewal_leaves_a_transition_under_way_alone() {
    check(
        "
        > Authenticate 0 User tok
        > Modify 0 1 +0 list
        < verify user tok
        ! token alice
        < run 0 list [{}] @7 as alice
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
        ! invalidate 0
        < run 0 list [{}] @7 as alice
        > Authenticate 1 User tok2
        < verify user tok2
        ! token alice
        < nothing
        = 0 2
        < Transition 1.1.7 -> 1.1.7 0=2
        < Transition 1.1.7 -> 1.2.7
        ",
    );
}

/// spec: HS7, HS8, HS9, S87, S88, A65
#[test]
fn another_identity_runs_everything_again_and_tells_what_differs() {
    check(
        r#"
        > Authenticate 0 User tok
        > Modify 0 1 +0 me +1 page
        < verify user tok
        ! token alice
        < run 0 me [{}] @7 as alice
        < run 1 page [{}] @7 as alice
        = 0 "alice"
        = 1 ["a"] journal end-1
        < Transition 0.0.0 -> 1.1.7 0="alice" 1=["a"] journal end-1
        > Authenticate 1 User tok2
        < verify user tok2
        ! token bob
        < drop 0
        < drop 1
        < run 0 me [{}] @7 as bob
        < run 1 page [{}] @7 as bob journal end-1
        = 0 "bob"
        = 1 ["a"] journal end-1
        < Transition 1.1.7 -> 1.2.7 0="bob"
        > Authenticate 2 None
        < drop 0
        < drop 1
        < run 0 me [{}] @7
        < run 1 page [{}] @7 journal end-1
        = 0 null
        = 1 ["a"]
        < Transition 1.2.7 -> 1.3.7 0=null
        "#,
    );
}

/// A result that was computed for somebody else is not sent, neither with the new identity nor after it.
///
/// spec: A64, S70
#[test]
fn results_of_an_earlier_identity_are_forgotten() {
    check(
        r#"
        > Authenticate 0 User tok
        > Modify 0 1 +0 me +1 me
        < verify user tok
        ! token alice
        < run 0 me [{}] @7 as alice
        < run 1 me [{}] @7 as alice
        = 0 "alice"
        > Authenticate 1 User tok2
        < verify user tok2
        ! token bob
        < drop 0
        < drop 1
        < run 0 me [{}] @7 as bob
        < run 1 me [{}] @7 as bob
        = 0 "bob"
        = 1 "bob"
        < Transition 0.0.0 -> 1.2.7 0="bob" 1="bob"
        "#,
    );
}

/// spec: HS12, HS31, S62, S63, A56, A62
#[test]
fn a_request_belongs_to_whom_the_client_was_when_it_came() {
    check(
        r#"
        > Mutation 0 whoami
        > Mutation 1 whoami
        > Authenticate 0 User tok
        > Mutation 2 whoami
        > Action 3 whoami
        < mutation 0 whoami [{}]
        < verify user tok
        ! token alice
        < action 3 whoami [{}] as alice
        < Transition 0.0.0 -> 0.1.7
        ! failed 0 @7 "sign in"
        < mutation 1 whoami [{}]
        < MutationResponse 0 failed "sign in"
        < Transition 0.1.7 -> 0.1.7
        > Authenticate 1 None
        < Transition 0.1.7 -> 0.2.7
        ! failed 1 @7 "sign in"
        < mutation 2 whoami [{}] as alice
        < MutationResponse 1 failed "sign in"
        < Transition 0.2.7 -> 0.2.7
        "#,
    );
}

/// spec: HS30, A56
#[test]
fn tokens_are_verified_one_after_the_other() {
    check(
        r#"
        > Authenticate 0 User tok
        > Authenticate 1 User tok2
        > Modify 0 1 +0 me
        < verify user tok
        ! token alice
        < verify user tok2
        ! token bob
        < run 0 me [{}] @7 as bob
        = 0 "bob"
        < Transition 0.0.0 -> 1.2.7 0="bob"
        "#,
    );
}

/// spec: S89, S94, S20, A58, A61, HS17
#[test]
fn a_refused_token_ends_the_session() {
    check(
        "
        > Authenticate 0 User tok
        < verify user tok
        ! token rejected NoAuthProvider: the issuer is acme
        < AuthError offered 0 NoAuthProvider: the issuer is acme
        < close without code
        > Modify 0 1
        ! durable 9
        < nothing
        ",
    );
    check(
        "
        > Authenticate 0 User tok
        < verify user tok
        ! token alice
        > Authenticate 1 None
        < Transition 0.0.0 -> 0.2.7
        > Authenticate 2 User tok
        < verify user tok
        ! token rejected Unauthenticated: the signature is wrong
        < AuthError offered 2 Unauthenticated: the signature is wrong
        < close without code
        ",
    );
}

/// What counts is what the client was sent, not what was accepted since.
///
/// spec: A61
#[test]
fn an_error_names_the_last_identity_told() {
    check(
        "
        ! hold targets
        > Authenticate 0 User tok
        < verify user tok
        ! token alice
        < choose 0
        > Authenticate 1 User tok2
        < verify user tok2
        ! token rejected Unauthenticated: no
        < AuthError offered 0 Unauthenticated: no
        < close without code
        ",
    );
}

/// spec: S90, HS29
#[test]
fn nothing_behind_a_refused_token_is_looked_at() {
    check(
        "
        > Authenticate 0 User bad
        > Authenticate 1 User tok
        > Mutation 0 send
        > nonsense
        < verify user bad
        ! token rejected Unauthenticated: no
        < AuthError offered 0 Unauthenticated: no
        < close without code
        ",
    );
}

/// spec: S91, A37, HS25
#[test]
fn an_issuer_that_cannot_be_reached_signs_nobody_out() {
    check(
        "
        > Authenticate 0 User tok
        < verify user tok
        ! token unavailable
        < close 1013 AuthProviderDiscoveryFailed
        ",
    );
    check(
        "
        > Authenticate 0 User tok
        < verify user tok
        ! token issuer-not-found
        < close 1000 AuthProviderDiscoveryFailed
        ",
    );
    check(
        "
        > Authenticate 0 User tok
        < verify user tok
        ! token verifier-broke
        < close 1011 InternalServerError
        ",
    );
}

/// spec: S27, A57, HS28
#[test]
fn a_valid_token_must_count_right() {
    check(
        "
        > Authenticate 5 User tok
        < verify user tok
        ! token alice
        < close 1011 InternalServerError
        ",
    );
    check("> Authenticate 1 None\n < close 1011 InternalServerError");
    check(
        "
        > Authenticate 5 User tok
        < verify user tok
        ! token rejected Unauthenticated: no
        < AuthError offered 0 Unauthenticated: no
        < close without code
        ",
    );
}

/// spec: HS14, S92, S93, A59, A60
#[test]
fn an_identity_that_has_run_out_may_not_call() {
    for kind in ["Mutation", "Action"] {
        check(&format!(
            "
            > Authenticate 0 User tok
            < verify user tok
            ! token alice until 60
            < Transition 0.0.0 -> 0.1.7
            ! at 59.999
            < Ping
            > {kind} 0 send
            < {} 0 send [{{}}] as alice
            ! at 61
            > {kind} 1 send
            < AuthError in use 1 TokenExpired: the token ran out 1 s ago (exp 1755800060, the server's time is 1755800061); send a new one
            < close without code
            ",
            kind.to_lowercase()
        ));
    }
}

/// spec: HS15, S92, S93, A59, A60
#[test]
fn an_identity_that_has_run_out_is_sent_nothing() {
    let signed_in = "
        > Authenticate 0 User tok
        > Modify 0 1 +0 me
        < verify user tok
        ! token alice until 60
        < run 0 me [{}] @7 as alice
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
        ";
    check(&format!(
        "
        {signed_in}
        ! at 60
        < Ping
        ! invalidate 0
        < AuthError in use 1 TokenExpired: …
        < close without code
        "
    ));
    // It ran out while the query was being evaluated.
    check(&format!(
        "
        {signed_in}
        ! at 59
        ! invalidate 0
        < Ping
        < run 0 me [{{}}] @7 as alice
        ! at 60
        = 0 2
        < AuthError in use 1 TokenExpired: …
        < close without code
        "
    ));
}

/// A custom token may be accepted within its grace and be out of date at once.
///
/// spec: HS37
#[test]
fn a_token_may_be_accepted_and_out_of_date() {
    check(
        "
        ! at 3
        > Authenticate 0 User tok
        < verify user tok
        ! token alice until 2
        < AuthError in use 0 TokenExpired: …
        < close without code
        ",
    );
}

/// spec: HS16, A60
#[test]
fn an_idle_session_outlives_its_token() {
    check(
        "
        > Authenticate 0 User tok
        > Modify 0 1 +0 me
        < verify user tok
        ! token alice until 60
        < run 0 me [{}] @7 as alice
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
        ! at 100
        < Ping
        ! heard
        ! at 200
        ! durable 9
        < Ping
        ",
    );
}

/// A token that is already here is decided before the old one is found to have run out.
///
/// spec: A60
#[test]
fn a_renewal_that_has_arrived_comes_before_the_expiry() {
    let signed_in = "
        > Authenticate 0 User tok
        > Modify 0 1 +0 me
        < verify user tok
        ! token alice until 60
        < run 0 me [{}] @7 as alice
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
        ! at 59
        ! invalidate 0
        < Ping
        < run 0 me [{}] @7 as alice
        ! at 61
        = 0 2
        > Authenticate 1 User tok2
        < verify user tok2
        ";
    check(&format!(
        "{signed_in}\n ! token alice until 120\n < Transition 1.1.7 -> 1.1.7 0=2\n < Transition 1.1.7 -> 1.2.7"
    ));
    check(&format!(
        "{signed_in}
        ! token bob until 120
        < drop 0
        < run 0 me [{{}}] @7 as bob
        = 0 3
        < Transition 1.1.7 -> 1.2.7 0=3"
    ));
    check(&format!(
        "{signed_in}
        ! token rejected Unauthenticated: no
        < AuthError offered 1 Unauthenticated: no
        < close without code"
    ));
}

/// The official tool comes back as nobody after an `AuthError`, and hangs.
///
/// spec: HS35
#[test]
fn a_wrong_admin_key_is_fatal() {
    check(
        "
        > Authenticate 0 Admin x|00
        < verify admin x|00
        ! token bad-key it is not a key of this deployment
        < FatalError BadAdminKey: it is not a key of this deployment
        < close without code
        ",
    );
}

/// An `AuthError`, as S96 has it, would bring the official tool back as nobody.
///
/// spec: S96
#[test]
fn a_revoked_admin_key_ends_the_session_before_anything_else_is_done_with_it() {
    let as_admin = "
        > Authenticate 0 Admin key
        > Modify 0 1 +0 list
        < verify admin key
        ! token admin
        < run 0 list [{}] @7 as admin
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1
    ";
    check(&format!(
        "{as_admin}
        > Mutation 0 send
        > Action 1 ask
        > Modify 1 2 +1 list
        ! revoked it was made with an older secret
        < FatalError BadAdminKey: it was made with an older secret
        < close without code"
    ));
    check(&format!(
        "{as_admin}
        ! invalidate 0
        ! revoked it was made with an older secret
        < FatalError BadAdminKey: it was made with an older secret
        < close without code"
    ));
    check(&format!(
        "{as_admin}
        > Authenticate 1 None
        < drop 0
        < run 0 list [{{}}] @7
        = 0 1
        < Transition 1.1.7 -> 1.2.7
        ! revoked nobody holds it any more
        < nothing"
    ));
}

/// spec: S32, S33, A53, HS34, HS39
#[test]
fn an_admin_may_act_as_a_user() {
    for name in ["impersonating", "acting_as"] {
        check(&format!(
            r#"
            > {{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"key","{name}":{{"issuer":"https://i","subject":"u1","name":"Ann"}}}}
            < verify admin key acting as https://i|u1
            "#
        ));
        check(&format!(
            r#"
            > {{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"key","{name}":{{"name":"Ann","issuer":"https://i"}}}}
            < FatalError WSMessageInvalidJson: `{name}`: expected an object with a `tokenIdentifier`, or with an `issuer` and a `subject`, found an object with neither
            < close without code
            "#
        ));
    }
}

/// spec: S35
#[test]
fn components_are_for_admins() {
    let add = r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"list","args":[{}],"componentPath":"files/meta"}]}"#;
    let mutation = r#"{"type":"Mutation","requestId":0,"udfPath":"send","args":[{}],"componentPath":"files"}"#;
    let action = r#"{"type":"Action","requestId":1,"udfPath":"ask","args":[{}],"componentPath":"files"}"#;
    for frame in [add, mutation, action] {
        check(&format!("> {frame}\n < close 1011 InternalServerError"));
        check(&format!(
            "> Authenticate 0 User tok\n > {frame}\n < verify user tok\n ! token alice\n < close 1011 InternalServerError"
        ));
    }
    check(&format!(
        "
        > Authenticate 0 Admin key
        > {add}
        > {mutation}
        > {action}
        < verify admin key
        ! token admin
        < mutation 0 send [{{}}] in files as admin
        < action 1 ask [{{}}] in files as admin
        < run 0 list [{{}}] in files/meta @7 as admin
        = 0 1
        < Transition 0.0.0 -> 1.1.7 0=1

        # No longer an admin: the query may not run again.
        > Authenticate 1 None
        < drop 0
        < close 1011 InternalServerError
        "
    ));
    check(
        r#"
        > {"type":"Mutation","requestId":0,"udfPath":"send","args":[{}],"componentPath":""}
        < mutation 0 send [{}]
        "#,
    );
}

/// Whoever has shown no valid token yet may not fill the memory.
#[test]
fn what_waits_behind_a_token_is_bounded() {
    let limits = SessionLimits { waiting_messages_max: 2, waiting_bytes_max: 200, ..SessionLimits::default() };
    let config = SessionConfig { limits, ..SessionConfig::default() };
    check_with(
        config.clone(),
        "
        > Authenticate 0 User tok
        > {}
        > {}
        > {}
        < close 1013 TooManyMessagesBehindAuthenticate
        ",
    );
    let long = format!("{:200}", "{}");
    check_with(
        config,
        &format!("> Authenticate 0 User tok\n > x{long}x\n < close 1013 TooManyMessagesBehindAuthenticate"),
    );
}
