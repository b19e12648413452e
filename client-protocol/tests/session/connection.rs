//! The socket's life: connecting, keeping alive, faults, large messages, the end.

use serde_json::Value;
use syncline_client_protocol::{Input, Now, Output, Session, SessionConfig, SessionLimits};

use crate::script::{Player, START_S, check, check_with, client};

/// spec: S10, S30
#[test]
fn a_client_may_connect_late_or_never() {
    check(
        r#"
        ! at 14
        < nothing
        ! at 60
        < Ping
        > Connect
        > Mutation 0 send
        < mutation 0 send [{}] of 0b5b9a4e
        "#,
    );
    check(
        "
        > Mutation 0 send
        < mutation 0 send [{}]
        ",
    );
    for members in [
        r#""connectionCount":4294967295,"lastCloseReason":null,"clientTs":null"#,
        r#""connectionCount":0,"lastCloseReason":"InternalServerError","clientTs":0"#,
        r#""connectionCount":1,"clientTs":-9223372036854775808,"maxObservedTimestamp":null"#,
        r#""connectionCount":1,"clientTs":9223372036854775807"#,
    ] {
        check(&format!(
            r#"
            > {{"type":"Connect","sessionId":"0B5B9A4E-8A1F-4D3A-9C7E-2F6A1D5C3B21",{members}}}
            > Mutation 0 send
            < mutation 0 send [{{}}] of 0b5b9a4e
            "#
        ));
    }
}

/// spec: S50, A66
#[test]
fn the_clients_clock_is_told_back_to_it() {
    let client_ms = START_S * 1000 - 42;
    check(&format!(
        r#"
        > {{"type":"Connect","sessionId":"0b5b9a4e-8a1f-4d3a-9c7e-2f6a1d5c3b21","connectionCount":0,"clientTs":{client_ms}}}
        > Modify 0 1
        < Transition 0.0.0 -> 1.0.7 skew -42
        ! at 9
        > Modify 1 2
        < Transition 1.0.7 -> 2.0.7 skew -42
        "#
    ));
}

/// spec: S29
#[test]
fn a_client_from_the_future_is_not_served() {
    check(
        "
        > Connect seen 9223372036854775807
        > Modify 0 1 +0 list
        < close 1011 InternalServerError
        ",
    );
    // Nor does it get as far as asking for something.
    check("> Connect seen 8\n < close 1011 InternalServerError");
    check("> Connect seen 7\n < nothing");
}

/// spec: S73
#[test]
fn a_client_is_not_moved_back() {
    check(
        "
        ! hold targets
        > Connect seen 6
        > Modify 0 1
        < choose 6
        ! target 8
        < Transition 0.0.0 -> 1.0.8
        > Modify 1 2
        < choose 8
        ! target 7
        < close 1011 InternalServerError
        ",
    );
}

/// spec: S23, S20
#[test]
fn a_malformed_message_is_fatal_and_told_what_is_wrong() {
    for (frame, told) in [
        ("hello", "not a JSON object: …"),
        (
            r#"{"type":"Hello"}"#,
            "`type`: expected Connect, ModifyQuerySet, Mutation, Action, Authenticate or Event, found \"Hello\"",
        ),
        (r#"{"type":"Mutation","requestId":1,"udfPath":"a"}"#, "`args` is missing: expected an array of the arguments"),
    ] {
        check(&format!(
            "
            > {frame}
            > Mutation 0 send
            < FatalError WSMessageInvalidJson: {told}
            < close without code
            "
        ));
    }
}

/// spec: S19
#[test]
fn a_binary_message_ends_the_session() {
    check("> binary\n < close 1011 InternalServerError");
}

/// spec: S14
#[test]
fn a_message_over_the_limits_ends_the_session_and_is_named() {
    check("> too large\n < close 1011 MessageTooLarge");
}

/// spec: S34
#[test]
fn events_are_ignored() {
    check(
        r#"
        > {"type":"Event","eventType":"NetworkRecoveryReconnect","event":{"timeSavedMs":17}}
        > {"type":"Event","eventType":17}
        > {"event":null,"type":"Event"}
        < nothing
        > Modify 0 1
        < Transition 0.0.0 -> 1.0.7
        "#,
    );
}

/// spec: S9
#[test]
fn a_ping_breaks_a_silence_of_15_seconds() {
    check(
        "
        ! deadline
        < deadline 15000 ms
        ! at 14.999
        ! tick
        < nothing
        ! at 15
        < Ping
        ! deadline
        < deadline 30000 ms
        ! at 20
        > Modify 0 1
        < Transition 0.0.0 -> 1.0.7
        ! deadline
        < deadline 35000 ms
        > Mutation 0 send
        < mutation 0 send [{}]
        ! at 35
        < Ping
        ! at 50
        < Ping
        ",
    );
}

/// spec: S11
#[test]
fn a_client_that_is_silent_for_two_minutes_is_let_go() {
    check(
        "
        ! at 60
        ! heard
        < Ping
        ! at 119
        > Connect
        < Ping
        ! at 180
        ! at 195
        ! at 210
        ! at 225
        < Ping
        < Ping
        < Ping
        < Ping
        ! at 238.999
        ! tick
        < nothing
        ! at 239
        < close 1000 ClientDisconnected
        ! deadline
        < deadline none
        ",
    );
}

/// spec: S85, S21, S117
#[test]
fn a_fault_of_the_server_is_a_plain_close() {
    check("> Mutation 0 send\n < mutation 0 send [{}]\n ! internal\n < close 1011 InternalServerError");
    check("! overloaded CommitterFullError\n < close 1013 CommitterFullError");
}

/// What runs is answered, what does not is left to the client's next socket.
#[test]
fn a_shutdown_waits_for_what_runs() {
    check(
        r#"
        > Modify 0 1 +0 list
        > Mutation 0 send
        > Mutation 1 send
        > Action 2 ask
        < mutation 0 send [{}]
        < action 2 ask [{}]
        < run 0 list [{}] @7
        ! shutdown
        > Mutation 3 send
        = 0 1
        < nothing
        ! committed 0 @9
        ! acted 2 "b"
        < ActionResponse 2 done "b"
        ! done 0 @9 "a"
        < nothing
        ! durable 9
        < MutationResponse 0 done @9 "a"
        < close 1011 InternalServerError
        "#,
    );
    check("! shutdown\n < close 1011 InternalServerError");
    check(
        "> Action 0 ask\n < action 0 ask [{}]\n ! shutdown\n < nothing\n ! internal\n < close 1011 InternalServerError",
    );
    check(
        "
        ! hold targets
        > Modify 0 1 +0 list
        > Mutation 0 send
        > Authenticate 0 User tok
        < mutation 0 send [{}]
        < verify user tok
        ! shutdown
        ! token alice
        < nothing
        ! done 0 @7 1
        < MutationResponse 0 done @7 1
        < close 1011 InternalServerError
        ",
    );
}

#[test]
fn answers_that_nobody_asked_for_end_the_session() {
    for event in ["target 9", "written", "committed 0 @9", "done 0 @9 1", "acted 0 1"] {
        check(&format!("! {event}\n < close 1011 InternalServerError"));
    }
}

/// spec: S15
#[test]
fn only_clients_that_can_put_it_together_get_parts() {
    for (header, is_split) in [
        ("npm-1.28.0", true),
        ("npm-1.48.0", true),
        ("npm-1.27.9", false),
        ("npm-1.28.0-alpha.1", false),
        ("rust-0.10.4", false),
        ("python-0.8.1", false),
    ] {
        let limits = SessionLimits { chunk_bytes_max: 1000, ..SessionLimits::default() };
        let value = format!("{:?}", "ü".repeat(1000));
        let told = match is_split {
            true => "< TransitionChunk 0 of 3\n < TransitionChunk 1 of 3\n < TransitionChunk 2 of 3".to_owned(),
            false => format!("< Transition 0.0.0 -> 1.0.7 0={value}"),
        };
        check_with(
            SessionConfig { client: client(header), limits },
            &format!("> Modify 0 1 +0 list\n < run 0 list [{{}}] @7\n = 0 {value}\n {told}"),
        );
    }
}

/// spec: S16, S17
#[test]
fn parts_follow_each_other_and_make_up_a_transition() {
    let mut player = Player::new(SessionConfig { client: client("npm-1.28.0"), limits: SessionLimits::default() });
    let value = format!("{:?}", "語".repeat(4_000_000));
    for line in ["> Modify 0 1 +0 list", "> Mutation 0 send"] {
        player.input(line);
    }
    player.poll();
    player.take_texts();
    player.input(&format!("= 0 {value}"));
    player.input("! done 0 @7 1");
    player.poll();
    player.input("! at 15");
    player.poll();

    let texts = player.take_texts();
    let types: Vec<String> = texts.iter().map(|text| text["type"].as_str().expect("a type").to_owned()).collect();
    let n_parts = types.iter().filter(|kind| *kind == "TransitionChunk").count();
    assert_eq!(n_parts, 3);
    let expected = ["MutationResponse", "TransitionChunk", "TransitionChunk", "TransitionChunk", "Transition", "Ping"];
    // The answer came with the result and goes before it; what it owes goes behind the last part.
    assert_eq!(types[..4], expected[..4]);

    let parts = &texts[1..4];
    let mut whole = String::new();
    for (n, part) in parts.iter().enumerate() {
        let chunk = part["chunk"].as_str().expect("a text");
        assert!(chunk.len() <= 5_000_000);
        assert_eq!((&part["partNumber"], &part["totalParts"]), (&Value::from(n), &Value::from(3)));
        assert_eq!(part["transitionId"], parts[0]["transitionId"]);
        whole.push_str(chunk);
    }
    assert_eq!(parts[0]["transitionId"], whole.len().to_string());
    let transition: Value = serde_json::from_str(&whole).expect("one whole message");
    assert_eq!(transition["type"], "Transition");
    assert_eq!(transition["modifications"][0]["value"].as_str().map(|text| text.chars().count()), Some(4_000_000));
}

/// `serverTs` is the server's clock in nanoseconds as the message leaves.
///
/// spec: S50
#[test]
fn a_transition_carries_the_time_it_leaves() {
    let at = |wall_ns| Now { monotonic_ms: 0, wall_ns };
    let mut session = Session::new(SessionConfig::default(), at(1));
    session
        .handle(at(2), Input::Frame(r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}"#));
    let Some(Output::ChooseTarget { at_least }) = session.poll() else { panic!("no target") };
    session.handle(at(1_753_900_000_123_456_789), Input::TargetChosen { ts: at_least });
    let Some(Output::Send(message)) = session.poll() else { panic!("no message") };
    let mut text = String::new();
    message.write(&mut text);
    assert_eq!(
        text,
        concat!(
            r#"{"type":"Transition","startVersion":{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="},"#,
            r#""endVersion":{"querySet":1,"identity":0,"ts":"AAAAAAAAAAA="},"modifications":[],"#,
            r#""clientClockSkew":null,"serverTs":1753900000123456789}"#
        )
    );
}
