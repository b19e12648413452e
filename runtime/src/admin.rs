//! Admin keys: `<instance name>|<hex>`, made from the secret of the instance and checked without any other state.
//!
//! The construction is the one that the official tools know (http-and-cli 2.2), so a key and a secret that people have
//! already go on working. Keys never expire; another secret revokes all of them.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_128_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;

/// First byte of a key's record, and the data it is bound to.
const VERSION: u8 = 1;
/// Field numbers of the record inside, with the wire type of protobuf.
const ISSUED_SECONDS: u8 = 2 << 3;
const MEMBER: u8 = 3 << 3;
const SYSTEM: u8 = (4 << 3) | 2;
const READ_ONLY: u8 = 5 << 3;
const NAME: u8 = (1 << 3) | 2;

/// Makes and checks the admin keys of one instance.
pub struct AdminKeys {
    instance_name: String,
    key: LessSafeKey,
}

/// Why a key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminKeyError {
    /// It is not of the form `name|hex`.
    Malformed,
    /// It names another instance.
    OtherInstance {
        /// The name in the key.
        found: String,
        /// The name of this instance.
        expected: String,
    },
    /// It was not made with this instance's secret.
    Forged {
        /// The name of this instance.
        instance: String,
    },
    /// It may only read, which is not told apart from writing here.
    ReadOnly,
}

impl fmt::Display for AdminKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminKeyError::Malformed => f.write_str("the admin key must read <instance name>|<hex digits>"),
            AdminKeyError::OtherInstance { found, expected } => {
                write!(f, "the admin key is of the instance {found:?}, this one is {expected:?}")
            }
            AdminKeyError::Forged { instance } => {
                write!(f, "the admin key was not made with the secret of this instance ({instance})")
            }
            AdminKeyError::ReadOnly => f.write_str("the admin key may only read; keys of that kind are not taken here"),
        }?;
        f.write_str("; `keygen --data DIR` prints one that fits")
    }
}

/// The secret of an instance is not 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSecret {
    len: usize,
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the instance secret has to be 64 hex digits, found {} characters; `openssl rand -hex 32` makes one, and \
             without one the server makes its own and keeps it in its data folder",
            self.len
        )
    }
}

impl std::error::Error for BadSecret {}

/// The name of the instance whose data is in a folder: the one given, else the one kept there, else `syncline`. Kept
/// for the next time, so that its admin keys stay good.
///
/// # Errors
/// When it can neither be read nor written.
pub fn instance_name(given: Option<&str>, data: &Path) -> std::io::Result<String> {
    let folder = data.join("credentials");
    let file = folder.join("instance_name");
    let kept = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let name = given.map(str::to_owned).or_else(|| kept.clone()).unwrap_or_else(|| DEFAULT_NAME.to_owned());
    if kept.as_deref() != Some(&name) {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&file, &name)?;
    }
    Ok(name)
}

/// What an instance is called that nobody has named.
const DEFAULT_NAME: &str = "syncline";

impl AdminKeys {
    /// The keys of an instance with this secret.
    pub fn new(instance_name: impl Into<String>, secret: &[u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"\x00\x00\x00\x01admin key");
        let key = UnboundKey::new(&AES_128_GCM_SIV, &tag.as_ref()[..16]).expect("16 bytes are a key");
        AdminKeys { instance_name: instance_name.into(), key: LessSafeKey::new(key) }
    }

    /// The keys of the instance whose secret is kept in a data folder; made there when it is new.
    ///
    /// # Errors
    /// When the secret can neither be read nor written, or is not 64 hex digits.
    pub fn open(instance_name: impl Into<String>, data: &Path) -> std::io::Result<Self> {
        let folder = data.join("credentials");
        let file = folder.join("instance_secret");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut secret = [0; 32];
                aws_lc_rs::rand::fill(&mut secret).map_err(std::io::Error::other)?;
                std::fs::create_dir_all(&folder)?;
                let text = hex(&secret);
                write_private(&file, &text)?;
                text
            }
            Err(error) => return Err(error),
        };
        let secret = unhex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(|| {
            std::io::Error::other(format!(
                "{} must hold 64 hex digits; remove it to have a new one made",
                file.display()
            ))
        })?;
        Ok(Self::new(instance_name, &secret))
    }

    /// The keys of an instance whose secret is given as 64 hex digits.
    ///
    /// # Errors
    /// When it is not.
    pub fn from_hex(instance_name: impl Into<String>, secret: &str) -> Result<Self, BadSecret> {
        let bytes = unhex(secret.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(Self::new(instance_name, &bytes.ok_or(BadSecret { len: secret.trim().len() })?))
    }

    /// Makes a key.
    pub fn issue(&self, now_s: u64) -> String {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).expect("the operating system gives random bytes");
        let mut record = vec![ISSUED_SECONDS];
        write_varint(now_s, &mut record);
        record.extend([MEMBER, 0]);
        self.seal(nonce, record)
    }

    fn seal(&self, nonce: [u8; NONCE_LEN], mut record: Vec<u8>) -> String {
        let aad = Aad::from([VERSION]);
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut record)
            .expect("a record is short");
        let bytes: Vec<u8> = [VERSION].into_iter().chain(nonce).chain(record).collect();
        format!("{}|{}", self.instance_name, hex(&bytes))
    }

    /// Checks a key; a type tag in front of the name (`prod:`) does not matter.
    ///
    /// # Errors
    /// Why it is not one of this instance.
    pub fn check(&self, key: &str) -> Result<(), AdminKeyError> {
        let (prefix, record) = key.split_once('|').ok_or(AdminKeyError::Malformed)?;
        let (tag, name) = prefix.split_once(':').map_or((None, prefix), |(tag, name)| (Some(tag), name));
        let whole_prefix_is_tag = matches!(tag, Some("preview" | "project"));
        if !whole_prefix_is_tag && name != self.instance_name {
            return Err(AdminKeyError::OtherInstance { found: name.to_owned(), expected: self.instance_name.clone() });
        }
        let forged = || AdminKeyError::Forged { instance: self.instance_name.clone() };
        let bytes = unhex(record).ok_or(AdminKeyError::Malformed)?;
        let [VERSION, rest @ ..] = bytes.as_slice() else { return Err(forged()) };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(forged)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        // The tag is compared in constant time by the cipher.
        let record = self.key.open_in_place(nonce, Aad::from([VERSION]), &mut sealed).map_err(|_| forged())?;
        match is_read_only(record) {
            Some(false) => Ok(()),
            Some(true) => Err(AdminKeyError::ReadOnly),
            None => Err(forged()),
        }
    }
}

/// Reads the record as far as it matters: protobuf of four known fields.
fn is_read_only(mut record: &[u8]) -> Option<bool> {
    let mut read_only = false;
    while let [field, rest @ ..] = record {
        let (number, rest) = read_varint(rest)?;
        record = match *field {
            NAME | SYSTEM => rest.get(usize::try_from(number).ok()?..)?,
            ISSUED_SECONDS | MEMBER => rest,
            READ_ONLY => {
                read_only = number != 0;
                rest
            }
            _ => return None,
        };
    }
    Some(read_only)
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> [u8; 32] {
        std::array::from_fn(|n| n as u8)
    }

    /// The vector of http-and-cli 2.2, from an independent implementation.
    ///
    /// spec: H3
    #[test]
    fn keys_are_made_as_the_official_tools_make_them() {
        let keys = AdminKeys::new("bold-hyena-681", &secret());
        let record = unhex("1080a0a7c8061800").expect("hex");
        let expected = "bold-hyena-681|010707070707070707070707078dda7ee11b536d3e541778ce6eb86fa2268744dac3422bb8";
        assert_eq!(keys.seal([7; NONCE_LEN], record), expected);
        assert_eq!(keys.check(expected), Ok(()));
        assert_eq!(keys.check(&format!("prod:{expected}")), Ok(()));
    }

    /// spec: A50, A51
    #[test]
    fn only_keys_of_this_secret_and_name_are_accepted() {
        let keys = AdminKeys::new("mine", &secret());
        let key = keys.issue(1_755_800_000);
        assert_eq!(keys.check(&key), Ok(()));
        assert!(matches!(AdminKeys::new("mine", &[9; 32]).check(&key), Err(AdminKeyError::Forged { .. })));
        assert!(matches!(AdminKeys::new("other", &secret()).check(&key), Err(AdminKeyError::OtherInstance { .. })));
        assert_eq!(keys.check("nonsense"), Err(AdminKeyError::Malformed));
        for place in key.find('|').map_or(0, |bar| bar + 1)..key.len() {
            let mut forged = key.clone().into_bytes();
            forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
            assert!(keys.check(&String::from_utf8(forged).expect("ASCII")).is_err(), "digit {place}");
        }
        let read_only = keys.seal([1; NONCE_LEN], vec![ISSUED_SECONDS, 1, READ_ONLY, 1]);
        assert_eq!(keys.check(&read_only), Err(AdminKeyError::ReadOnly));
    }
}
