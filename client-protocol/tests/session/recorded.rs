//! What the official clients said to a recording server, said to a session: it must go along with all of it.

use serde_json::Value;
use syncline_client_protocol::{SessionConfig, SessionLimits};

use crate::script::{Player, client};

const RECORDINGS: [(&str, &str); 3] = [
    ("npm-1.48.0", include_str!("../frames/npm-1.48.0.json")),
    ("npm-1.24.8", include_str!("../frames/npm-1.24.8.json")),
    ("python-0.8.1", include_str!("../frames/python-0.8.1.json")),
];

/// spec: S22, S71, S86
#[test]
fn recorded_sockets_are_served_to_their_end() {
    for (header, recording) in RECORDINGS {
        let recording: Value = serde_json::from_str(recording).expect("a recording");
        let frames = recording["frames"].as_array().expect("frames");
        let n_sockets = frames.iter().filter_map(|frame| frame["socket"].as_u64()).max().expect("a socket") + 1;
        assert!(n_sockets >= 2, "{header} never reconnected");
        for socket in 0..n_sockets {
            let frames = frames.iter().filter(|frame| frame["socket"] == socket);
            let texts: Vec<&str> = frames.map(|frame| frame["text"].as_str().expect("a text")).collect();
            serve(header, &texts);
        }
    }
}

/// Answers what the session asks at once; then the client must be where it wanted to get.
fn serve(header: &str, frames: &[&str]) {
    let mut player = Player::new(SessionConfig { client: client(header), limits: SessionLimits::default() });
    player.input("! durable 1800000000000000000");
    let mut end = (0, 0);
    for frame in frames {
        player.input(&format!("> {frame}"));
        player.poll();
        player.answer_all();
        let message: Value = serde_json::from_str(frame).expect("JSON");
        match message["type"].as_str().expect("a type") {
            "ModifyQuerySet" => end.0 = message["newVersion"].as_u64().expect("a version"),
            "Authenticate" => end.1 = message["baseVersion"].as_u64().expect("a version") + 1,
            _ => {}
        }
    }
    let texts = player.take_texts();
    let n_sent = |kind: &str| texts.iter().filter(|text| text["type"] == kind).count();
    let n_said = |kind: &str| frames.iter().filter(|frame| frame.contains(&format!("\"type\":\"{kind}\""))).count();
    assert_eq!(n_sent("MutationResponse"), n_said("Mutation"), "{header}: {frames:?}");
    assert_eq!(n_sent("ActionResponse"), n_said("Action"), "{header}: {frames:?}");
    let last = texts.iter().rfind(|text| text["type"] == "Transition").expect("a Transition");
    assert_eq!((&last["endVersion"]["querySet"], &last["endVersion"]["identity"]), (&end.0.into(), &end.1.into()));
    assert!(!player.is_closed(), "{header}: {frames:?}");
}
