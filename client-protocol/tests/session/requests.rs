//! Mutations and actions, and the Transitions that follow them.

use syncline_client_protocol::{SessionConfig, SessionLimits};

use crate::script::{check, check_with};

/// Visible is not durable: the next starts when the one before has its timestamp, the answer leaves when it is safe.
///
/// spec: S60, S61, S49
#[test]
fn mutations_run_one_at_a_time_and_are_answered_in_order() {
    check(
        r#"
        > Mutation 0 send
        > Mutation 1 send
        > Mutation 2 send
        < mutation 0 send [{}]
        ! committed 0 @10
        < mutation 1 send [{}]
        ! committed 1 @11
        < mutation 2 send [{}]
        ! done 1 @11 "b"
        < nothing
        ! done 0 @10 "a"
        < nothing
        ! durable 10
        < MutationResponse 0 done @10 "a"
        < Transition 0.0.0 -> 0.0.10
        ! committed 2 @12
        ! done 2 @12 "c"
        ! durable 12
        < MutationResponse 1 done @11 "b"
        < MutationResponse 2 done @12 "c"
        < Transition 0.0.10 -> 0.0.12
        "#,
    );
}

/// The runtime runs them one after another; what it was not told of yet follows when one has ended.
///
/// spec: S60, S61
#[test]
fn some_mutations_are_handed_over_in_advance() {
    let limits = SessionLimits { mutations_ahead_max: 2, ..SessionLimits::default() };
    check_with(
        SessionConfig { limits, ..SessionConfig::default() },
        r#"
        > Mutation 0 send
        > Mutation 1 send
        > Mutation 2 send
        > Mutation 3 send
        < mutation 0 send [{}]
        < mutation 1 send [{}]
        ! committed 0 @10
        < mutation 2 send [{}]
        ! failed 1 @10 "no"
        < mutation 3 send [{}]
        ! done 0 @10 "a"
        < nothing
        ! durable 10
        < MutationResponse 0 done @10 "a"
        < MutationResponse 1 failed "no"
        < Transition 0.0.0 -> 0.0.10
        "#,
    );
}

/// spec: S61, S58, S39
#[test]
fn a_failure_is_answered_and_the_next_goes_on() {
    check(
        r#"
        > Mutation 0 send
        > Mutation 1 send
        < mutation 0 send [{}]
        ! failed 0 @7 "no" data "quota"
        < mutation 1 send [{}]
        < MutationResponse 0 failed "no" data "quota"
        < Transition 0.0.0 -> 0.0.7
        ! failed 1 @7 "no"
        < MutationResponse 1 failed "no"
        < Transition 0.0.7 -> 0.0.7
        "#,
    );
}

/// What a failure has read must be as safe as what a success has written.
#[test]
fn a_failure_waits_for_what_it_read() {
    check(
        r#"
        > Mutation 0 send
        < mutation 0 send [{}]
        ! failed 0 @9 "sold out"
        < nothing
        ! durable 9
        < MutationResponse 0 failed "sold out"
        < Transition 0.0.0 -> 0.0.9
        "#,
    );
}

/// The answer first, then one Transition with what it changed.
///
/// spec: S57, S59
#[test]
fn a_client_sees_what_it_did() {
    check(
        r#"
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 []
        < Transition 0.0.0 -> 1.0.7 0=[]
        > Mutation 0 send
        < mutation 0 send [{}]
        ! committed 0 @9
        ! done 0 @9 "a"
        ! invalidate 0
        ! durable 9
        < MutationResponse 0 done @9 "a"
        < run 0 list [{}] @9
        = 0 ["a"]
        < Transition 1.0.7 -> 1.0.9 0=["a"]
        "#,
    );
}

/// A replay is answered with its old timestamp, and followed by a Transition like any other.
///
/// spec: S80, S57
#[test]
fn a_replayed_mutation_is_followed_by_a_transition() {
    check(
        r#"
        > Connect seen 6
        > Modify 0 1
        > Mutation 0 send
        < mutation 0 send [{}] of 0b5b9a4e
        < Transition 0.0.0 -> 1.0.7
        ! done 0 @5 "a"
        < MutationResponse 0 done @5 "a"
        < Transition 1.0.7 -> 1.0.7
        "#,
    );
}

/// A Transition that was under way when the answer left counts if it reaches the commit, and else is not enough.
///
/// spec: S57
#[test]
fn a_transition_that_falls_short_is_followed_by_another() {
    check(
        r#"
        > Mutation 0 send
        > Modify 0 1 +0 list
        < mutation 0 send [{}]
        < run 0 list [{}] @7
        ! committed 0 @9
        ! done 0 @9 "a"
        ! durable 9
        < MutationResponse 0 done @9 "a"
        = 0 []
        < Transition 0.0.0 -> 1.0.7 0=[]
        < Transition 1.0.7 -> 1.0.9
        "#,
    );
    check(
        r#"
        > Mutation 0 send
        > Modify 0 1 +0 list
        ! durable 9
        < mutation 0 send [{}]
        < run 0 list [{}] @9
        ! committed 0 @9
        ! done 0 @9 "a"
        < MutationResponse 0 done @9 "a"
        = 0 ["a"]
        < Transition 0.0.0 -> 1.0.9 0=["a"]
        "#,
    );
}

/// Optimistic updates would flicker: what is done is not shown before it is answered.
#[test]
fn a_transition_waits_for_the_answers_it_covers() {
    check(
        r#"
        > Modify 0 1 +0 list
        > Mutation 0 send
        > Mutation 1 send
        < mutation 0 send [{}]
        < run 0 list [{}] @7
        = 0 []
        < Transition 0.0.0 -> 1.0.7 0=[]
        ! committed 0 @9
        ! invalidate 0
        ! durable 9
        < mutation 1 send [{}]
        < run 0 list [{}] @9
        = 0 ["a"]
        < nothing
        ! committed 1 @10
        < nothing
        ! done 0 @9 "a"
        < MutationResponse 0 done @9 "a"
        < Transition 1.0.7 -> 1.0.9 0=["a"]
        "#,
    );
}

/// spec: S64, S49
#[test]
fn actions_run_beside_everything_and_are_answered_as_they_end() {
    check(
        r#"
        > Mutation 0 send
        > Action 1 ask
        > Action 2 ask
        > Mutation 3 send
        < mutation 0 send [{}]
        < action 1 ask [{}]
        < action 2 ask [{}]
        ! acted 2 "b"
        < ActionResponse 2 done "b"
        ! committed 0 @9
        < mutation 3 send [{}]
        ! unacted 1 "no" data null
        < ActionResponse 1 failed "no" data null
        "#,
    );
}

/// spec: S65
#[test]
fn queries_move_on_while_requests_run() {
    check(
        r#"
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 1
        < Transition 0.0.0 -> 1.0.7 0=1
        > Mutation 0 send
        > Action 1 ask
        < mutation 0 send [{}]
        < action 1 ask [{}]
        ! invalidate 0
        ! durable 9
        < run 0 list [{}] @9
        = 0 2
        < Transition 1.0.7 -> 1.0.9 0=2
        "#,
    );
}

/// spec: S68
#[test]
fn unanswered_requests_are_bounded() {
    let mutations: String = (0..1100).map(|n| format!("> Mutation {n} send\n")).collect();
    check(&format!("{mutations} < close 1013 TooManyConcurrentMutations"));

    let actions: String = (0..1001).map(|n| format!("> Action {n} ask\n")).collect();
    check(&format!("{actions} < close 1013 TooManyInflightActionsForSingleClient"));

    // What counts is what has no answer.
    let limits = SessionLimits { mutations_max: 1, actions_max: 1, ..SessionLimits::default() };
    check_with(
        SessionConfig { limits, ..SessionConfig::default() },
        r#"
        > Mutation 0 send
        > Action 1 ask
        < mutation 0 send [{}]
        < action 1 ask [{}]
        ! failed 0 @7 "no"
        ! acted 1 "yes"
        < MutationResponse 0 failed "no"
        < ActionResponse 1 done "yes"
        < Transition 0.0.0 -> 0.0.7
        > Mutation 2 send
        > Action 3 ask
        < mutation 2 send [{}]
        < action 3 ask [{}]
        "#,
    );
}

#[test]
fn two_requests_with_one_number_could_not_be_told_apart() {
    for requests in ["Mutation 0 a\n > Action 0 b", "Action 0 a\n > Mutation 0 b", "Mutation 0 a\n > Mutation 0 b"] {
        check(&format!("> {requests}\n < close 1011 InternalServerError"));
    }
    check(
        r#"
        > Mutation 0 send
        < mutation 0 send [{}]
        ! failed 0 @7 "no"
        < MutationResponse 0 failed "no"
        < Transition 0.0.0 -> 0.0.7
        > Mutation 0 send
        < mutation 0 send [{}]
        "#,
    );
}

/// spec: S84
#[test]
fn what_was_not_started_never_is_once_the_client_has_gone() {
    check(
        "
        > Mutation 0 send
        > Mutation 1 send
        < mutation 0 send [{}]
        ! gone
        ! committed 0 @9
        < nothing
        ",
    );
}
