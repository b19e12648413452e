//! Client messages <- JSON text: members in any order, unknown ones ignored, null as good as absent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{WireError, read_timestamp, scan};
use crate::message::{
    ActingAs, AuthToken, Authenticate, ClientMessage, Connect, FunctionCall, IdentityVersion, ModifyQuerySet, QueryId,
    QuerySetModification, QuerySetVersion, Request, RequestId, SessionId, Timestamp,
};

/// All members of all messages; others are passed over without being kept.
const KNOWN: [&str; 19] = [
    "type",
    "sessionId",
    "connectionCount",
    "lastCloseReason",
    "maxObservedTimestamp",
    "clientTs",
    "baseVersion",
    "newVersion",
    "modifications",
    "queryId",
    "requestId",
    "udfPath",
    "componentPath",
    "args",
    "journal",
    "tokenType",
    "value",
    "impersonating",
    "acting_as",
];

const U32: &str = "an integer from 0 to 4294967295";
const STRING: &str = "a string";
const BOOLEAN: &str = "a boolean";
const UUID: &str = "a UUID such as 0b5b9a4e-8a1f-4d3a-9c7e-2f6a1d5c3b21";
const TIMESTAMP: &str = "base64 of a 64-bit little-endian timestamp up to 2^63-1, such as 6AMAAAAAAAA=";
const ACTING_AS: &str = "an object with a `tokenIdentifier`, or with an `issuer` and a `subject`";

pub(super) fn client_message(text: &str) -> Result<ClientMessage, WireError> {
    match scan::object(text) {
        Some(members) => message_of(&Members(members)),
        None => parsed_message(text),
    }
}

/// The same for any JSON, however it is written; says what is wrong with what is none.
fn parsed_message(text: &str) -> Result<ClientMessage, WireError> {
    message_of(&serde_json::from_str(text).map_err(|error| not_an_object(text, &error))?)
}

fn message_of(members: &Members<'_>) -> Result<ClientMessage, WireError> {
    let message = Reader { place: Place::Message, members };
    let kind = message.string("type")?;
    match kind.as_ref() {
        "Connect" => connect(&message).map(ClientMessage::Connect),
        "ModifyQuerySet" => modify_query_set(&message).map(ClientMessage::ModifyQuerySet),
        "Mutation" => request(&message).map(ClientMessage::Mutation),
        "Action" => action(&message).map(ClientMessage::Action),
        "Authenticate" => authenticate(&message).map(ClientMessage::Authenticate),
        "Event" => Ok(ClientMessage::Event),
        other => Err(WireError::UnknownType { found: format!("{:?}", excerpt(other)) }),
    }
}

/// The parser repeats a string that stands where the object should; where it meets no JSON, it only says where.
fn not_an_object(text: &str, error: &serde_json::Error) -> WireError {
    let found = if error.is_data() { kind(text.trim_ascii_start()) } else { error.to_string() };
    WireError::NotJson { found }
}

fn connect(message: &Reader<'_, '_>) -> Result<Connect, WireError> {
    let session = message.string("sessionId")?;
    Ok(Connect {
        session: SessionId::parse(&session).ok_or_else(|| message.unexpected("sessionId", UUID))?,
        connection_count: message.u32("connectionCount")?,
        last_close_reason: message.optional("lastCloseReason", STRING)?,
        max_observed_timestamp: message.timestamp("maxObservedTimestamp")?,
        client_ts_ms: message.optional("clientTs", "milliseconds as a 64-bit integer")?,
    })
}

fn modify_query_set(message: &Reader<'_, '_>) -> Result<ModifyQuerySet, WireError> {
    const MODIFICATIONS: &str = "an array of objects, each with the `type` Add or Remove";
    let modifications = message.required("modifications", MODIFICATIONS)?;
    Ok(ModifyQuerySet {
        base_version: QuerySetVersion(message.u32("baseVersion")?),
        new_version: QuerySetVersion(message.u32("newVersion")?),
        modifications: match scan::array_of_objects(modifications) {
            Some(objects) => objects.into_iter().enumerate().map(modification).collect::<Result<_, _>>()?,
            None => match serde_json::from_str::<Modifications>(modifications) {
                Ok(Modifications(modifications)) => modifications?,
                Err(_) => return Err(message.unexpected("modifications", MODIFICATIONS)),
            },
        },
    })
}

fn modification((n, members): (usize, scan::Members<'_>)) -> Result<QuerySetModification, WireError> {
    let message = &Reader { place: Place::Modification(n), members: &Members(members) };
    let kind = message.string("type")?;
    let query = QueryId(message.u32("queryId")?);
    match kind.as_ref() {
        "Add" => Ok(QuerySetModification::Add {
            query,
            call: function_call(message, message.get("args").unwrap_or("null"))?,
            journal: message.optional_string("journal")?,
        }),
        "Remove" => Ok(QuerySetModification::Remove { query }),
        _ => Err(message.unexpected("type", "Add or Remove")),
    }
}

fn request(message: &Reader<'_, '_>) -> Result<Request, WireError> {
    let args = message.required("args", "an array of the arguments")?;
    Ok(Request { request: RequestId(message.u32("requestId")?), call: function_call(message, args)? })
}

/// Unlike for queries and mutations, arguments that are no array are a fault of the message.
fn action(message: &Reader<'_, '_>) -> Result<Request, WireError> {
    let action = request(message)?;
    if !action.call.args.starts_with('[') {
        return Err(message.unexpected("args", "an array of the arguments"));
    }
    Ok(action)
}

fn function_call(message: &Reader<'_, '_>, args: &str) -> Result<FunctionCall, WireError> {
    Ok(FunctionCall {
        path: message.string("udfPath")?.into(),
        component: message.optional_string("componentPath")?.filter(|path| !path.is_empty()),
        args: args.into(),
    })
}

fn authenticate(message: &Reader<'_, '_>) -> Result<Authenticate, WireError> {
    let kind = message.string("tokenType")?;
    let token = match kind.as_ref() {
        "User" => AuthToken::User(message.string("value")?.into()),
        "Admin" => AuthToken::Admin { key: message.string("value")?.into(), acting_as: acting_as(message)? },
        "None" => AuthToken::None,
        _ => return Err(message.unexpected("tokenType", "User, Admin or None")),
    };
    Ok(Authenticate { base_version: IdentityVersion(message.u32("baseVersion")?), token })
}

/// JavaScript clients say `impersonating`, Rust clients `acting_as`.
fn acting_as(message: &Reader<'_, '_>) -> Result<Option<ActingAs>, WireError> {
    const NAMES: [&str; 2] = ["impersonating", "acting_as"];
    let Some(name) = NAMES.into_iter().find(|name| message.present(name).is_some()) else {
        return Ok(None);
    };
    let attributes = message.required(name, ACTING_AS)?;
    match serde_json::from_str::<UserAttributes>(attributes) {
        Ok(UserAttributes(user)) => {
            let token_identifier = user.token_identifier(name)?;
            Ok(Some(ActingAs { token_identifier, attributes: attributes.into() }))
        }
        Err(_) => Err(message.unexpected(name, ACTING_AS)),
    }
}

/// The attributes of a user whose type is known; every other is a custom claim of any type.
const USER_STRINGS: [&str; 19] = [
    "tokenIdentifier",
    "issuer",
    "subject",
    "name",
    "givenName",
    "familyName",
    "nickname",
    "preferredUsername",
    "profileUrl",
    "pictureUrl",
    "websiteUrl",
    "email",
    "gender",
    "birthday",
    "timezone",
    "language",
    "phoneNumber",
    "address",
    "updatedAt",
];
const USER_BOOLEANS: [&str; 2] = ["emailVerified", "phoneNumberVerified"];

struct UserAttributes<'a>(Members<'a>);

impl<'de> Deserialize<'de> for UserAttributes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let known = |name: &str| known(&USER_STRINGS, name).or_else(|| known(&USER_BOOLEANS, name));
        deserializer.deserialize_map(MembersVisitor(known)).map(UserAttributes)
    }
}

impl Members<'_> {
    /// Checks the attributes of a user and finds what names it.
    fn token_identifier(&self, at: &str) -> Result<Arc<str>, WireError> {
        let user = Reader { place: Place::Member(at), members: self };
        for name in USER_STRINGS {
            user.optional_string(name)?;
        }
        for name in USER_BOOLEANS {
            user.optional::<bool>(name, BOOLEAN)?;
        }
        let token_identifier = user.optional_string("tokenIdentifier")?;
        match (token_identifier, user.optional_string("issuer")?, user.optional_string("subject")?) {
            (Some(token_identifier), _, _) => Ok(token_identifier),
            (None, Some(issuer), Some(subject)) => Ok(format!("{issuer}|{subject}").into()),
            (None, _, _) => {
                let found = "an object with neither".to_owned();
                Err(WireError::Unexpected { member: at.to_owned(), expected: ACTING_AS, found })
            }
        }
    }
}

/// The members of one JSON object by their names, their values not yet looked at.
struct Members<'a>(scan::Members<'a>);

fn known(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().find(|known| **known == name).copied()
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(|name: &str| known(&KNOWN, name)))
    }
}

/// Keeps the members whose names it knows, however many others there are.
struct MembersVisitor<F>(F);

impl<'de, F: Fn(&str) -> Option<&'static str>> Visitor<'de> for MembersVisitor<F> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(&'de str, &'de str)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let Some(name) = self.0(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?.get();
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((name, value)),
            }
        }
        Ok(Members(members))
    }
}

/// The name of a member; borrowed unless it is written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The modifications of a message, or the first fault among them.
struct Modifications(Result<Vec<QuerySetModification>, WireError>);

impl<'de> Deserialize<'de> for Modifications {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ModificationsVisitor).map(Modifications)
    }
}

struct ModificationsVisitor;

impl<'de> Visitor<'de> for ModificationsVisitor {
    type Value = Result<Vec<QuerySetModification>, WireError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut modifications: Self::Value = Ok(Vec::new());
        let mut n_seen = 0;
        while let Some(Members(members)) = seq.next_element()? {
            if let Ok(decoded) = &mut modifications {
                match modification((n_seen, members)) {
                    Ok(modification) => decoded.push(modification),
                    Err(error) => modifications = Err(error),
                }
            }
            n_seen += 1;
        }
        Ok(modifications)
    }
}

/// Where in a message an object stands; only errors put it into words.
#[derive(Clone, Copy)]
enum Place<'m> {
    Message,
    Modification(usize),
    Member(&'m str),
}

/// Takes the members out of one object.
struct Reader<'m, 'a> {
    place: Place<'m>,
    members: &'m Members<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// The member as it stands, null included.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.members.0.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The member, unless it is null.
    fn present(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|value| *value != "null")
    }

    fn required(&self, name: &str, expected: &'static str) -> Result<&'a str, WireError> {
        self.get(name).ok_or_else(|| WireError::Missing { member: self.path(name), expected })
    }

    fn optional<T: Deserialize<'a>>(&self, name: &str, expected: &'static str) -> Result<Option<T>, WireError> {
        match self.present(name).map(serde_json::from_str) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(self.unexpected(name, expected)),
        }
    }

    fn u32(&self, name: &str) -> Result<u32, WireError> {
        // Of the numbers of JSON, just the whole ones that are not negative parse.
        self.required(name, U32)?.parse().map_err(|_| self.unexpected(name, U32))
    }

    fn string(&self, name: &str) -> Result<Cow<'a, str>, WireError> {
        unquoted(self.required(name, STRING)?).ok_or_else(|| self.unexpected(name, STRING))
    }

    fn optional_string(&self, name: &str) -> Result<Option<Arc<str>>, WireError> {
        match self.present(name).map(unquoted) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.into())),
            Some(None) => Err(self.unexpected(name, STRING)),
        }
    }

    fn timestamp(&self, name: &str) -> Result<Option<Timestamp>, WireError> {
        match self.present(name).map(unquoted) {
            None => Ok(None),
            Some(text) => {
                let ts = text.and_then(|text| read_timestamp(&text));
                ts.map(Some).ok_or_else(|| self.unexpected(name, TIMESTAMP))
            }
        }
    }

    fn unexpected(&self, name: &str, expected: &'static str) -> WireError {
        let found = self.get(name).map_or_else(|| "nothing".to_owned(), kind);
        WireError::Unexpected { member: self.path(name), expected, found }
    }

    fn path(&self, name: &str) -> String {
        match self.place {
            Place::Message => name.to_owned(),
            Place::Modification(n) => format!("modifications[{n}].{name}"),
            Place::Member(outer) => format!("{outer}.{name}"),
        }
    }
}

/// The string that a value is; borrowed unless it is written with escapes.
fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        false => Some(Cow::Borrowed(inside)),
        // Half of a pair of surrogates is valid JSON, and no text.
        true => serde_json::from_str(json).ok().map(|Name(text)| text),
    }
}

/// What a value is, without repeating what may be secret or large.
fn kind(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => "a string".to_owned(),
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "an array".to_owned(),
        Some(b'-' | b'0'..=b'9') => format!("the number {}", excerpt(json)),
        Some(_) | None => excerpt(json).to_owned(),
    }
}

/// The beginning of a text.
fn excerpt(text: &str) -> &str {
    const EXCERPT_BYTES_MAX: usize = 40;
    &text[..super::floor_char_boundary(text, EXCERPT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    const RECORDINGS: [&str; 4] = [
        include_str!("../../tests/frames/npm-1.48.0.json"),
        include_str!("../../tests/frames/npm-1.24.8.json"),
        include_str!("../../tests/frames/python-0.8.1.json"),
        include_str!("../../tests/frames/spec.json"),
    ];

    fn recorded() -> Vec<String> {
        let recordings = RECORDINGS.map(|text| serde_json::from_str::<serde_json::Value>(text).expect("a recording"));
        let frames = recordings.iter().flat_map(|recording| recording["frames"].as_array().expect("frames"));
        frames.map(|frame| frame["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// A change of a text: some of it goes, and something comes in its place.
    fn change() -> impl Strategy<Value = (Index, usize, String)> {
        const PIECES: &[&str] = &[
            "",
            " ",
            "\"",
            "\\",
            "\\\"",
            "\\u00e9",
            "\\ud800",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "-",
            "0",
            "7",
            ".5",
            "e3",
            "4294967296",
            "é",
            "\u{1}",
            "\"type\":\"Event\",",
            "\"args\":[1],",
            "\"udfPath\":\"\\u0061\",",
            "\"more\":0,",
        ];
        (any::<Index>(), 0..4_usize, select(PIECES).prop_map(str::to_owned))
    }

    fn changed(mut text: String, (place, n_gone, piece): (Index, usize, String)) -> String {
        let from = super::super::floor_char_boundary(&text, place.index(text.len() + 1));
        let to = super::super::floor_char_boundary(&text, from + n_gone);
        text.replace_range(from..to.max(from), &piece);
        text
    }

    #[test]
    fn recorded_frames_are_found_in_one_pass() {
        let frames = recorded();
        let scanned = frames.iter().filter(|frame| scan::object(frame).is_some());
        assert!(scanned.count() * 10 > frames.len() * 9, "most frames are written by programs");
        for frame in &frames {
            assert_eq!(client_message(frame), parsed_message(frame), "{frame}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is wrong with a frame is said in the same words, too.
        #[test]
        fn both_ways_of_reading_a_frame_agree(
            frame in select(recorded()),
            changes in prop::collection::vec(change(), 0..4),
        ) {
            let frame = changes.into_iter().fold(frame, changed);
            prop_assert_eq!(client_message(&frame), parsed_message(&frame), "{}", frame);
        }

        #[test]
        fn numbers_and_strings_are_those_of_the_parser(
            json in "-?[0-9.eE+-]{1,12}|null|\"[a-z0-9]{0,3}(\\\\[nu\"][0-9a-f]{0,4})?\"",
        ) {
            if serde_json::from_str::<&RawValue>(&json).is_ok_and(|raw| raw.get() == json) {
                let members = Members(vec![("m", &json)]);
                let reader = Reader { place: Place::Message, members: &members };
                prop_assert_eq!(reader.u32("m").ok(), serde_json::from_str(&json).ok());
                prop_assert_eq!(reader.string("m").ok(), serde_json::from_str::<Name>(&json).ok().map(|Name(text)| text));
            }
        }
    }
}
