//! Frames: those of the official clients and of the specification are read, and what is written can be read.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use syncline_client_protocol::{
    ActionResponse, AuthError, AuthToken, ClientMessage, FailedIdentity, Failure, FatalError, FunctionCall,
    IdentityVersion, LogLevel, LogLines, MutationResponse, MutationSuccess, QueryId, QueryResult, QuerySetModification,
    QuerySetVersion, RequestId, ServerMessage, StateModification, StateVersion, Timestamp, Transition,
};

const RECORDINGS: [&str; 4] = [
    include_str!("frames/npm-1.48.0.json"),
    include_str!("frames/npm-1.24.8.json"),
    include_str!("frames/python-0.8.1.json"),
    include_str!("frames/spec.json"),
];

fn recorded_frames() -> Vec<(String, String)> {
    let mut frames = Vec::new();
    for recording in RECORDINGS {
        let recording: Value = serde_json::from_str(recording).expect("a recording");
        for frame in recording["frames"].as_array().expect("frames") {
            let place = format!("{}, {}", recording["client"], frame["during"]);
            frames.push((place, frame["text"].as_str().expect("a text").to_owned()));
        }
    }
    frames
}

/// What a message says, written back by hand: members that are absent or null are left out.
fn said(message: &ClientMessage) -> Value {
    let call = |call: &FunctionCall| {
        let args: Value = serde_json::from_str(&call.args).expect("JSON");
        json!({ "udfPath": &*call.path, "args": args, "componentPath": call.component.as_deref() })
    };
    let said = match message {
        ClientMessage::Connect(connect) => json!({
            "type": "Connect",
            "sessionId": connect.session.to_string(),
            "connectionCount": connect.connection_count,
            "lastCloseReason": connect.last_close_reason,
            "maxObservedTimestamp": connect.max_observed_timestamp.map(|ts| ts.0),
            "clientTs": connect.client_ts_ms,
        }),
        ClientMessage::ModifyQuerySet(message) => {
            let modifications = message.modifications.iter().map(|modification| match modification {
                QuerySetModification::Add { query, call: added, journal } => {
                    let rest = json!({ "type": "Add", "queryId": query.0, "journal": journal.as_deref() });
                    without_nulls(merged(call(added), rest))
                }
                QuerySetModification::Remove { query } => json!({ "type": "Remove", "queryId": query.0 }),
            });
            json!({
                "type": "ModifyQuerySet",
                "baseVersion": message.base_version.0,
                "newVersion": message.new_version.0,
                "modifications": modifications.collect::<Vec<_>>(),
            })
        }
        ClientMessage::Mutation(request) => {
            merged(call(&request.call), json!({ "type": "Mutation", "requestId": request.request.0 }))
        }
        ClientMessage::Action(request) => {
            merged(call(&request.call), json!({ "type": "Action", "requestId": request.request.0 }))
        }
        ClientMessage::Authenticate(message) => {
            let token = match &message.token {
                AuthToken::User(token) => json!({ "tokenType": "User", "value": &**token }),
                AuthToken::Admin { key, acting_as } => json!({
                    "tokenType": "Admin",
                    "value": &**key,
                    "user": acting_as.as_ref().map(|user| serde_json::from_str::<Value>(&user.attributes).expect("JSON")),
                }),
                AuthToken::None => json!({ "tokenType": "None" }),
            };
            merged(token, json!({ "type": "Authenticate", "baseVersion": message.base_version.0 }))
        }
        ClientMessage::Event => json!({ "type": "Event" }),
    };
    without_nulls(said)
}

/// The same of a frame, read by a parser that knows nothing of messages.
fn meant(frame: &str) -> Value {
    let mut frame: Value = serde_json::from_str(frame).expect("JSON");
    let members = frame.as_object_mut().expect("an object");
    members.remove("eventType");
    members.remove("event");
    if let Some(ts) = members.get_mut("maxObservedTimestamp").filter(|ts| !ts.is_null()) {
        *ts = base64_ts(ts.as_str().expect("a text")).into();
    }
    for name in ["impersonating", "acting_as"] {
        if let Some(user) = members.remove(name) {
            members.insert("user".to_owned(), user);
        }
    }
    if let Some(Value::Array(modifications)) = members.get_mut("modifications") {
        for modification in modifications {
            *modification = without_nulls(modification.take());
        }
    }
    without_nulls(frame)
}

fn base64_ts(text: &str) -> u64 {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

fn merged(mut value: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut value, more) else { panic!("not objects") };
    members.extend(more);
    value
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn decode(frame: &str) -> ClientMessage {
    ClientMessage::decode(frame).unwrap_or_else(|error| panic!("{error}: {frame}"))
}

/// spec: S22
#[test]
fn recorded_frames_are_understood() {
    let frames = recorded_frames();
    assert!(frames.len() > 60, "only {} frames", frames.len());
    for (place, frame) in frames {
        assert_eq!(said(&decode(&frame)), meant(&frame), "{place}: {frame}");
    }
}

/// Neither the order of members nor strangers among them nor nulls for what is optional mean anything.
///
/// spec: S22
#[test]
fn members_come_in_any_order_and_company() {
    for (place, frame) in recorded_frames() {
        let expected = decode(&frame);
        let Value::Object(members) = serde_json::from_str(&frame).expect("JSON") else { panic!("not an object") };
        let mut members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}:{}", escaped(name), rearranged(name, value))).collect();
        members.push(r#""unheardOf":{"type":"Mutation","deep":[{}]}"#.to_owned());
        for optional in ["lastCloseReason", "maxObservedTimestamp", "clientTs", "componentPath", "impersonating"] {
            if !frame.contains(optional) {
                members.push(format!("\"{optional}\":null"));
            }
        }
        for _ in 0..members.len() {
            members.rotate_left(1);
            let rearranged = format!(" {{ {} }}\n", members.join(" , "));
            assert_eq!(said(&decode(&rearranged)), said(&expected), "{place}: {rearranged}");
        }
    }
}

/// A name with its first letter as an escape, which is the same name.
fn escaped(name: &str) -> String {
    let first = name.as_bytes()[0];
    format!("\"\\u{first:04x}{}\"", &name[1..])
}

/// Modifications from their last member to their first, with a stranger.
fn rearranged(name: &str, value: &Value) -> String {
    let Some(modifications) = value.as_array().filter(|_| name == "modifications") else {
        return value.to_string();
    };
    let modifications = modifications.iter().map(|modification| {
        let members = modification.as_object().expect("an object").iter().rev();
        let members = members.map(|(name, value)| format!("{}:{value}", escaped(name)));
        format!("{{{},\"stranger\":[]}}", members.collect::<Vec<_>>().join(","))
    });
    format!("[{}]", modifications.collect::<Vec<_>>().join(","))
}

/// Arguments are handed on as they came, to the byte.
///
/// spec: S38
#[test]
fn arguments_stay_text() {
    for args in ["[]", "[{}]", r#"[{"a": 1.0, "b":"\u00e9\ud83d"},  2]"#, "[1e400]"] {
        let frame = format!(r#"{{"type":"Mutation","requestId":1,"udfPath":"a:b","args": {args} }}"#);
        let ClientMessage::Mutation(request) = decode(&frame) else { panic!("not a mutation") };
        assert_eq!(&*request.call.args, args);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let frame = format!(r#"{{"type":"Mutation","requestId":1,"udfPath":"a:b","args":{deep}}}"#);
    assert!(matches!(decode(&frame), ClientMessage::Mutation(request) if request.call.args.len() == deep.len()));
}

/// Each fault names the member, what was expected and what was found.
///
/// spec: S23, S33
#[test]
fn faults_are_named() {
    let faults: Value = serde_json::from_str(include_str!("frames/faults.json")).expect("JSON");
    for fault in faults.as_array().expect("faults") {
        let frame = fault["frame"].as_str().expect("a text");
        let error = ClientMessage::decode(frame).expect_err(frame).to_string();
        assert_eq!(error, fault["told"], "{frame}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// Counts are whole numbers of 32 bits, written as such.
#[test]
fn counts_are_strict() {
    for count in ["1.0", "1e0", "-1", "-0", "4294967296", "\"1\"", "null", "true", "01"] {
        let frame = format!(r#"{{"type":"Action","requestId":{count},"udfPath":"a","args":[]}}"#);
        assert!(ClientMessage::decode(&frame).is_err(), "{frame}");
    }
    let frame = r#"{"type":"Action","requestId":4294967295,"udfPath":"a","args":[]}"#;
    assert!(matches!(decode(frame), ClientMessage::Action(request) if request.request == RequestId(u32::MAX)));
}

/// spec: S33, A53
#[test]
fn whom_an_admin_acts_as_is_named() {
    for (user, token_identifier) in [
        (r#"{"issuer":"https://i","subject":"u1"}"#, "https://i|u1"),
        (r#"{"issuer":"https://i","subject":"u1","tokenIdentifier":"t"}"#, "t"),
        (r#"{"tokenIdentifier":"t","subject":null}"#, "t"),
    ] {
        let frame = format!(
            r#"{{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"secret","acting_as":{user}}}"#
        );
        let ClientMessage::Authenticate(message) = decode(&frame) else { panic!("not an Authenticate") };
        assert!(!format!("{message:?}").contains("secret"), "{message:?}");
        let AuthToken::Admin { acting_as: Some(found), .. } = message.token else { panic!("nobody") };
        assert_eq!((&*found.token_identifier, &*found.attributes), (token_identifier, user));
    }
    let frame = r#"{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"secret","impersonating":7}"#;
    assert!(!format!("{:?}", decode(frame)).contains("secret"));
}

fn written(message: ServerMessage) -> String {
    let mut out = String::new();
    message.write(&mut out);
    out
}

fn failure(data: Option<&str>) -> Failure {
    let message = "[Request ID: 140da210f1623a96] Server Error\nUncaught Error: \"nope\"\n";
    Failure { message: message.into(), data: data.map(Arc::from) }
}

/// The messages of `tests/spec/sync-protocol.md` 3, to the byte.
///
/// spec: S40, S45, S46, S47, S48
#[test]
fn messages_are_written_as_specified() {
    let lines = LogLines::new([(LogLevel::Log, "'ran'"), (LogLevel::Warn, "twice\n")]);
    let log_lines = LogLines::default;
    let success = |value: &str| Ok(MutationSuccess { ts: Timestamp(1_700_000_000_000_000_000), value: value.into() });
    let mutation = |request, outcome| {
        ServerMessage::MutationResponse(MutationResponse {
            request: RequestId(request),
            outcome,
            log_lines: log_lines(),
        })
    };
    for (message, expected) in [
        (
            mutation(7, success("\"k57\"")),
            r#"{"type":"MutationResponse","requestId":7,"success":true,"result":"k57","ts":"AAAqNv6clxc=","logLines":[]}"#,
        ),
        (
            mutation(8, success("null")),
            r#"{"type":"MutationResponse","requestId":8,"success":true,"result":null,"ts":"AAAqNv6clxc=","logLines":[]}"#,
        ),
        (
            mutation(9, Err(failure(None))),
            r#"{"type":"MutationResponse","requestId":9,"success":false,"result":"[Request ID: 140da210f1623a96] Server Error\nUncaught Error: \"nope\"\n","ts":null,"logLines":[]}"#,
        ),
        (
            mutation(10, Err(failure(Some("\"quota\"")))),
            r#"{"type":"MutationResponse","requestId":10,"success":false,"result":"[Request ID: 140da210f1623a96] Server Error\nUncaught Error: \"nope\"\n","errorData":"quota","ts":null,"logLines":[]}"#,
        ),
        (
            ServerMessage::ActionResponse(ActionResponse {
                request: RequestId(8),
                outcome: Ok(r#"{"ok":true}"#.into()),
                log_lines: lines.clone(),
            }),
            r#"{"type":"ActionResponse","requestId":8,"success":true,"result":{"ok":true},"logLines":["[LOG] 'ran'","[WARN] twice\n"]}"#,
        ),
        (
            ServerMessage::ActionResponse(ActionResponse {
                request: RequestId(8),
                outcome: Err(failure(Some("null"))),
                log_lines: log_lines(),
            }),
            r#"{"type":"ActionResponse","requestId":8,"success":false,"result":"[Request ID: 140da210f1623a96] Server Error\nUncaught Error: \"nope\"\n","errorData":null,"logLines":[]}"#,
        ),
        (
            ServerMessage::AuthError(AuthError {
                error: "TokenExpired: now".to_owned(),
                base_version: IdentityVersion(1),
                failed: FailedIdentity::InUse,
            }),
            r#"{"type":"AuthError","error":"TokenExpired: now","baseVersion":1,"authUpdateAttempted":false}"#,
        ),
        (
            ServerMessage::AuthError(AuthError {
                error: "NoAuthProvider: none".to_owned(),
                base_version: IdentityVersion(0),
                failed: FailedIdentity::Offered,
            }),
            r#"{"type":"AuthError","error":"NoAuthProvider: none","baseVersion":0,"authUpdateAttempted":true}"#,
        ),
        (
            ServerMessage::FatalError(FatalError { error: "BaseVersionMismatch: reconnect".to_owned() }),
            r#"{"type":"FatalError","error":"BaseVersionMismatch: reconnect"}"#,
        ),
        (ServerMessage::Ping, r#"{"type":"Ping"}"#),
    ] {
        assert_eq!(written(message), expected);
    }
}

/// spec: S28, S45, S46, S47
#[test]
fn a_transition_is_written_as_specified() {
    let result = |outcome, journal: Option<&str>| {
        Arc::new(QueryResult {
            outcome,
            log_lines: LogLines::new([(LogLevel::Log, "'ran'")]),
            journal: journal.map(Arc::from),
            hash: 0,
        })
    };
    let value = r#"[{"n":{"$integer":"BQAAAAAAAAA="},"x":{"$float":"AAAAAAAA+H8="},"y":1.5}]"#;
    let transition = Transition {
        start_version: StateVersion {
            query_set: QuerySetVersion(1),
            identity: IdentityVersion(0),
            ts: Timestamp(1000),
        },
        end_version: StateVersion {
            query_set: QuerySetVersion(2),
            identity: IdentityVersion(0),
            ts: Timestamp(1_700_000_000_000_000_000),
        },
        modifications: vec![
            StateModification::Removed { query: QueryId(2) },
            StateModification::Answered { query: QueryId(4), result: result(Ok(value.into()), None) },
            StateModification::Answered { query: QueryId(5), result: result(Err(failure(None)), Some("end \"1\"")) },
            StateModification::Answered { query: QueryId(6), result: result(Err(failure(Some("null"))), None) },
        ],
        client_clock_skew_ms: Some(-42),
        server_ts_ns: 1_753_900_000_123_456_789,
    };
    let len_hint = transition.len_hint();
    let text = written(ServerMessage::Transition(transition));
    assert!(text.len() <= len_hint, "{len_hint} bytes were to suffice for {}", text.len());
    let error = r#""errorMessage":"[Request ID: 140da210f1623a96] Server Error\nUncaught Error: \"nope\"\n""#;
    assert_eq!(
        text,
        format!(
            concat!(
                r#"{{"type":"Transition","startVersion":{{"querySet":1,"identity":0,"ts":"6AMAAAAAAAA="}},"#,
                r#""endVersion":{{"querySet":2,"identity":0,"ts":"AAAqNv6clxc="}},"modifications":["#,
                r#"{{"type":"QueryRemoved","queryId":2}},"#,
                r#"{{"type":"QueryUpdated","queryId":4,"value":{value},"logLines":["[LOG] 'ran'"],"journal":null}},"#,
                r#"{{"type":"QueryFailed","queryId":5,{error},"logLines":["[LOG] 'ran'"],"journal":"end \"1\""}},"#,
                r#"{{"type":"QueryFailed","queryId":6,{error},"errorData":null,"logLines":["[LOG] 'ran'"],"journal":null}}],"#,
                r#""clientClockSkew":-42,"serverTs":1753900000123456789}}"#
            ),
            value = value,
            error = error
        )
    );
}

/// A result that many clients watch is written from one text.
#[test]
fn log_lines_survive_being_stored() {
    let lines = LogLines::new([(LogLevel::Error, "a\"b"), (LogLevel::Debug, ""), (LogLevel::Info, "ü")]);
    assert_eq!(lines.as_json(), r#"["[ERROR] a\"b","[DEBUG] ","[INFO] ü"]"#);
    assert_eq!(LogLines::from_json(lines.as_json().into()), lines);
    assert_eq!(LogLines::new([]).as_json(), "[]");
}
