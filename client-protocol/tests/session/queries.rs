//! What a client watches, and the Transitions that move it.

use syncline_client_protocol::{SessionConfig, SessionLimits};

use crate::script::{check, check_with};

/// spec: S36, S41
#[test]
fn a_new_query_is_run_and_its_result_sent_once() {
    check(
        r#"
        > {"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"messages:list","args":[{}]}]}
        < run 0 messages:list [{}] @7
        = 0 ["hi"]
        < Transition 0.0.0 -> 1.0.7 0=["hi"]
        > {"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[]}
        < Transition 1.0.7 -> 2.0.7
        "#,
    );
}

/// spec: S25, S36, S42, S43, S44
#[test]
fn any_later_version_may_be_reached_with_nothing_to_do() {
    check(
        "
        > Modify 0 5
        < Transition 0.0.0 -> 5.0.7
        > Modify 5 4294967295
        < Transition 5.0.7 -> 4294967295.0.7
        ",
    );
}

/// spec: S24, S20
#[test]
fn a_message_that_starts_from_another_version_is_fatal() {
    check(
        "
        > Modify 3 4
        < FatalError BaseVersionMismatch: the query set is at version 0, the message starts from 3; reconnect
        < close without code
        > Modify 0 1
        < nothing
        ",
    );
}

/// spec: S26
#[test]
fn versions_must_rise() {
    for message in ["Modify 0 0", "Modify 0 1\n > Modify 1 1", "Modify 0 2\n > Modify 2 1"] {
        check(&format!("> {message}\n < close 1011 InternalServerError"));
    }
}

/// spec: S26
#[test]
fn a_query_is_added_once_and_removed_once() {
    for message in [
        "Modify 0 1 +0 list +0 list",
        "Modify 0 1 -0",
        "Modify 0 1 +0 list -0 -0",
        "Modify 0 1 +0 list\n > Modify 1 2 +0 list",
    ] {
        check(&format!("> {message}\n < close 1011 InternalServerError"));
    }
    check(
        "
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 1
        < Transition 0.0.0 -> 1.0.7 0=1
        > Modify 1 2 +0 list
        < close 1011 InternalServerError
        ",
    );
}

/// spec: S37
#[test]
fn one_message_may_add_and_remove_the_same_query() {
    check(
        "
        > Modify 0 1 +0 list -0
        < Transition 0.0.0 -> 1.0.7 -0
        > Modify 1 2 +0 list
        < run 0 list [{}] @7
        = 0 1
        < Transition 1.0.7 -> 2.0.7 0=1

        # Removed and added again: only the new result is told, even if it is the old one.
        > Modify 2 3 -0 +0 other
        < drop 0
        < run 0 other [{}] @7
        = 0 1
        < Transition 2.0.7 -> 3.0.7 0=1
        > Modify 3 4 -0 +0 list -0
        < drop 0
        < Transition 3.0.7 -> 4.0.7 -0
        ",
    );
}

/// spec: S52, S51
#[test]
fn modifications_come_in_the_order_of_the_queries_each_once() {
    check(
        "
        > Modify 0 1 +3 list +1 list +2 list
        < run 1 list [{}] @7
        < run 2 list [{}] @7
        < run 3 list [{}] @7
        = 3 3
        = 1 1
        = 2 2
        < Transition 0.0.0 -> 1.0.7 1=1 2=2 3=3
        > Modify 1 2 -3 +0 list -1
        ! invalidate 2
        < drop 1
        < drop 3
        < run 0 list [{}] @7
        < run 2 list [{}] @7
        = 0 0
        = 2 22
        < Transition 1.0.7 -> 2.0.7 0=0 -1 2=22 -3
        ",
    );
}

/// spec: S66
#[test]
fn a_burst_of_messages_is_one_transition() {
    let burst: String = (0..100).map(|n| format!("> Modify {n} {} +{n} list\n", n + 1)).collect();
    let runs: String = (0..100).map(|n| format!("< run {n} list [{{}}] @7\n")).collect();
    let results: String = (0..100).map(|n| format!("= {n} {n}\n")).collect();
    let told: String = (0..100).map(|n| format!(" {n}={n}")).collect();
    check(&format!("{burst}{runs}{results}< Transition 0.0.0 -> 100.0.7{told}"));
}

/// What arrives while queries run waits for the next Transition, with its version.
///
/// spec: S44, S55
#[test]
fn a_transition_contains_what_had_come_when_its_target_was_chosen() {
    check(
        "
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        = 0 0
        > Modify 1 2 +2 list -0
        ! durable 9
        < nothing
        = 1 1
        < Transition 0.0.0 -> 1.0.7 0=0 1=1
        < drop 0
        < run 2 list [{}] @9
        = 2 2
        < Transition 1.0.7 -> 2.0.9 -0 2=2
        ",
    );
}

/// spec: S56
#[test]
fn only_what_has_changed_runs_again() {
    check(
        "
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        = 0 0
        = 1 1
        < Transition 0.0.0 -> 1.0.7 0=0 1=1
        ! durable 8
        < nothing
        ! invalidate 1
        ! durable 9
        < run 1 list [{}] @9
        = 1 11
        < Transition 1.0.7 -> 1.0.9 1=11
        ",
    );
}

/// A result is compared with the last one sent, and a Transition that would say nothing is not sent.
///
/// spec: S116
#[test]
fn an_equal_result_is_not_sent_again() {
    check(
        r#"
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        = 0 0
        = 1 fail "[Request ID: 140da210f1623a96] Server Error"
        < Transition 0.0.0 -> 1.0.7 0=0 1!"[Request ID: 140da210f1623a96] Server Error"
        ! invalidate 0
        ! invalidate 1
        ! durable 9
        < run 0 list [{}] @9
        < run 1 list [{}] @9
        = 0 0
        = 1 fail "[Request ID: 6f0c2d9e8b7a4153] Server Error"
        < nothing
        ! invalidate 1
        < run 1 list [{}] @9
        = 1 fail "[Request ID: 6f0c2d9e8b7a4153] Server Error" data null
        < Transition 1.0.7 -> 1.0.9 1!"[Request ID: 6f0c2d9e8b7a4153] Server Error" data null
        "#,
    );
}

/// spec: S39
#[test]
fn a_failing_query_leaves_the_session_alive() {
    check(
        r#"
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 fail "no" data {"code":"NOT_MEMBER"}
        < Transition 0.0.0 -> 1.0.7 0!"no" data {"code":"NOT_MEMBER"}
        ! invalidate 0
        < run 0 list [{}] @7
        = 0 1
        < Transition 1.0.7 -> 1.0.7 0=1
        "#,
    );
}

/// The path and the arguments go to the runtime as they came, whatever they are: it tells what is wrong with them.
///
/// spec: S38
#[test]
fn calls_are_not_judged_here() {
    check(
        r#"
        > {"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"no-path:at:all","args":[]},{"type":"Add","queryId":1,"udfPath":"a","args":{"b": [1,  2]}},{"type":"Add","queryId":2,"udfPath":"a"}]}
        < run 0 no-path:at:all [] @7
        < run 1 a {"b": [1,  2]} @7
        < run 2 a null @7
        "#,
    );
}

/// spec: S103
#[test]
fn a_journal_is_what_the_client_holds() {
    check(
        r#"
        > {"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"page","args":[{}],"journal":"end-1"},{"type":"Add","queryId":1,"udfPath":"page","args":[{}],"journal":null}]}
        < run 0 page [{}] @7 journal end-1
        < run 1 page [{}] @7
        = 0 ["a"] journal end-1
        = 1 ["b"] journal end-2
        < Transition 0.0.0 -> 1.0.7 0=["a"] journal end-1 1=["b"] journal end-2
        ! invalidate 1
        < run 1 page [{}] @7 journal end-2

        # The journal of a result that is not sent does not count: the client does not have it.
        = 1 ["b"] journal end-3
        < nothing
        ! invalidate 1
        < run 1 page [{}] @7 journal end-2
        = 1 fail "no"
        < Transition 1.0.7 -> 1.0.7 1!"no"
        ! invalidate 1
        < run 1 page [{}] @7
        "#,
    );
}

/// What changes while a query runs is found at the next target.
///
/// spec: S56
#[test]
fn a_query_that_changes_while_it_runs_runs_again() {
    check(
        "
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        ! invalidate 0
        ! durable 8
        = 0 1
        < Transition 0.0.0 -> 1.0.7 0=1
        < run 0 list [{}] @8
        = 0 2
        < Transition 1.0.7 -> 1.0.8 0=2
        ",
    );
}

#[test]
fn news_of_a_query_that_is_gone_is_nothing() {
    check(
        "
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 1
        < Transition 0.0.0 -> 1.0.7 0=1
        > Modify 1 2 -0
        ! invalidate 0
        < drop 0
        < Transition 1.0.7 -> 2.0.7 -0
        ! invalidate 0
        ! invalidate 9
        < nothing
        ",
    );
}

/// The snapshot was too old: a new target, at which what had its result and has not changed need not run again.
///
/// spec: S55
#[test]
fn a_snapshot_that_is_too_old_is_given_up() {
    check(
        "
        > Modify 0 1 +0 list +1 list +2 list +3 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        < run 2 list [{}] @7
        < run 3 list [{}] @7
        = 0 0
        = 1 1
        ! durable 9
        ! invalidate 1
        ! retry 2
        < run 1 list [{}] @9
        < run 2 list [{}] @9
        < run 3 list [{}] @9
        = 1 11
        = 2 22
        = 3 33
        < Transition 0.0.0 -> 1.0.9 0=0 1=11 2=22 3=33
        ",
    );
}

/// A result that was not sent in time and is no longer true is not sent later either.
#[test]
fn a_result_that_came_to_nothing_is_forgotten() {
    check(
        "
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        = 0 0
        = 1 1
        < Transition 0.0.0 -> 1.0.7 0=0 1=1
        ! durable 8
        ! invalidate 0
        ! invalidate 1
        < run 0 list [{}] @8
        < run 1 list [{}] @8
        = 0 8
        ! invalidate 0
        ! durable 9
        ! retry 1
        < run 0 list [{}] @9
        < run 1 list [{}] @9
        = 0 0
        = 1 9
        < Transition 1.0.7 -> 1.0.9 1=9
        ",
    );
}

/// A run that was given up may still end; a client that was gone may still be told of.
#[test]
fn late_results_are_not_taken_for_others() {
    check(
        "
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        ! durable 9
        ! keep 0
        ! retry 1
        < run 0 list [{}] @9
        < run 1 list [{}] @9
        ! late 0 7
        = 1 9
        < nothing
        = 0 9
        < Transition 0.0.0 -> 1.0.9 0=9 1=9
        ",
    );
}

/// Two Transitions wait to be written; what happens meanwhile is one step, however much it is.
///
/// spec: S67, S42
#[test]
fn a_slow_reader_gets_fewer_and_larger_steps() {
    check(
        "
        ! hold writes
        > Modify 0 1 +0 list
        < run 0 list [{}] @7
        = 0 1
        < Transition 0.0.0 -> 1.0.7 0=1
        ! invalidate 0
        < run 0 list [{}] @7
        = 0 2
        < Transition 1.0.7 -> 1.0.7 0=2
        ! invalidate 0
        ! durable 8
        > Modify 1 2 +1 list
        ! invalidate 0
        ! durable 9
        > Modify 2 3 +2 list -1
        < nothing
        ! written
        < run 0 list [{}] @9
        < run 2 list [{}] @9
        = 0 9
        = 2 9
        < Transition 1.0.7 -> 3.0.9 0=9 -1 2=9
        ",
    );
}

/// A client that removes what it added, and reads nothing, does not grow.
///
/// spec: S67
#[test]
fn the_number_of_queries_is_bounded() {
    let limits = SessionLimits { queries_max: 2, ..SessionLimits::default() };
    let config = SessionConfig { limits, ..SessionConfig::default() };
    check_with(
        config.clone(),
        "
        > Modify 0 1 +0 list +1 list
        < run 0 list [{}] @7
        < run 1 list [{}] @7
        > Modify 1 2 +2 list
        < close 1013 TooManyQueriesForSingleClient
        ",
    );
    check_with(
        config,
        "
        ! hold targets
        > Modify 0 1 +0 list -0 +1 list -1 +2 list -2 +3 list -3 +4 list -4 +5 list -5 +6 list -6 +7 list -7
        < choose 0
        > Modify 1 2 +8 list -8
        < close 1013 TooManyQueriesForSingleClient
        ",
    );
}
