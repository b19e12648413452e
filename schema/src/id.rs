//! Document ids: a table's number and sixteen bytes, and their text form with a checksum.
//!
//! Source: `tests/spec/data-and-functions.md` 2.1 to 2.4 and 2.7.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The digits of the text form: Crockford's base 32 in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The digit of each byte, or `NO_DIGIT`.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        digits[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    digits
};

const NO_DIGIT: u8 = 0xff;

/// Shortest text of an id, in characters: one byte of table number.
pub const ID_TEXT_LEN_MIN: usize = 31;

/// Longest text of an id, in characters: five bytes of table number.
pub const ID_TEXT_LEN_MAX: usize = 37;

const VINT_LEN_MAX: usize = 5;
const INTERNAL_LEN: usize = 16;
const FOOTER_LEN: usize = 2;
const ID_BYTES_LEN_MAX: usize = VINT_LEN_MAX + INTERNAL_LEN + FOOTER_LEN;

/// The number of a table; it never changes while the table exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableNumber(pub u32);

impl TableNumber {
    /// The number that the first user table gets. System tables have smaller numbers.
    pub const FIRST_USER: TableNumber = TableNumber(10_001);

    /// The number of `_storage`.
    pub const STORAGE: TableNumber = TableNumber(540);

    /// The number of `_scheduled_functions`.
    pub const SCHEDULED_FUNCTIONS: TableNumber = TableNumber(539);

    /// Whether the number is one of a table that users define.
    #[must_use]
    pub fn is_user(self) -> bool {
        self >= TableNumber::FIRST_USER
    }
}

impl fmt::Display for TableNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What tells a document from the others of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalId(pub [u8; INTERNAL_LEN]);

impl InternalId {
    /// A new id: fourteen random bytes, and the number of days since the Unix epoch.
    #[must_use]
    pub fn new(random: [u8; 14], days: u16) -> InternalId {
        let mut bytes = [0; INTERNAL_LEN];
        bytes[..14].copy_from_slice(&random);
        bytes[14..].copy_from_slice(&days.to_be_bytes());
        InternalId(bytes)
    }
}

/// The id of a document, unique in the whole store. Ordered by table, then as the texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The table that the document is in.
    pub table: TableNumber,
    /// The document in its table.
    pub internal: InternalId,
}

/// The text of an id, without an allocation. Dereferences to `str`.
#[derive(Clone, Copy)]
pub struct IdText {
    chars: [u8; ID_TEXT_LEN_MAX],
    len: u8,
}

impl DocumentId {
    /// Reads the text form, which is checked to the letter: each id has one text.
    pub fn parse(text: &str) -> Result<DocumentId, IdError> {
        let error = |kind| IdError { text: text.chars().take(64).collect(), kind };
        let found = text.chars().count();
        if !(ID_TEXT_LEN_MIN..=ID_TEXT_LEN_MAX).contains(&found) {
            return Err(error(IdErrorKind::Length { found }));
        }
        let (bytes, len) = base32_decode(text).map_err(error)?;
        let bytes = &bytes[..len];
        let (table, vint_len) = vint_decode(bytes).ok_or_else(|| error(IdErrorKind::TableNumber))?;
        let form = || error(IdErrorKind::Form { found });
        let body_len = vint_len + INTERNAL_LEN;
        let internal = bytes[vint_len..].first_chunk::<INTERNAL_LEN>().ok_or_else(form)?;
        let footer = bytes[body_len..].first_chunk::<FOOTER_LEN>().ok_or_else(form)?;
        let (found, expected) = (u16::from_le_bytes(*footer), u16::from_le_bytes(fletcher16(&bytes[..body_len])));
        if found != expected {
            return Err(error(IdErrorKind::Footer { found, expected }));
        }
        let id = DocumentId { table, internal: InternalId(*internal) };
        // Long table numbers, characters after the footer and spare bits that are set all end here.
        if *id.text() != *text { Err(form()) } else { Ok(id) }
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> IdText {
        let mut bytes = [0; ID_BYTES_LEN_MAX];
        let mut len = vint_encode(self.table, &mut bytes);
        bytes[len..len + INTERNAL_LEN].copy_from_slice(&self.internal.0);
        len += INTERNAL_LEN;
        let footer = fletcher16(&bytes[..len]);
        bytes[len..len + FOOTER_LEN].copy_from_slice(&footer);
        len += FOOTER_LEN;
        base32_encode(&bytes[..len])
    }
}

/// The id that a text names in the given table, or `None`.
///
/// Also reads the retired form of 22 characters, under the table asked for. The other retired form (base 62, seventeen
/// bytes) is not read: no store of ours ever gave one out.
#[must_use]
pub fn normalize_id(table: TableNumber, text: &str) -> Option<DocumentId> {
    match DocumentId::parse(text) {
        Ok(id) => (id.table == table).then_some(id),
        Err(_) if text.len() == 22 => {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            Some(DocumentId { table, internal: InternalId(bytes.try_into().ok()?) })
        }
        Err(_) => None,
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl FromStr for DocumentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<DocumentId, IdError> {
        DocumentId::parse(text)
    }
}

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.chars[..usize::from(self.len)]).expect("the alphabet is ASCII")
    }
}

impl AsRef<str> for IdText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl PartialEq for IdText {
    fn eq(&self, other: &IdText) -> bool {
        **self == **other
    }
}

impl Eq for IdText {}

impl Hash for IdText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Groups of seven bits, the least significant first; the high bit says that another follows.
fn vint_encode(number: TableNumber, out: &mut [u8; ID_BYTES_LEN_MAX]) -> usize {
    let mut rest = number.0;
    let mut len = 0;
    while rest >= 0x80 {
        out[len] = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
        len += 1;
    }
    out[len] = rest as u8;
    len + 1
}

/// The number and how many bytes it took; `None` when it does not end or is zero. Bits over 32 are dropped here.
fn vint_decode(bytes: &[u8]) -> Option<(TableNumber, usize)> {
    let mut number = 0u64;
    for (i, byte) in bytes.iter().take(VINT_LEN_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let number = TableNumber(number as u32);
            return (number.0 != 0).then_some((number, i + 1));
        }
    }
    None
}

/// Fletcher's checksum with modulus 256. The version of the form, 0, is XORed into it and so leaves no trace.
fn fletcher16(bytes: &[u8]) -> [u8; FOOTER_LEN] {
    let (mut c0, mut c1) = (0u8, 0u8);
    for byte in bytes {
        c0 = c0.wrapping_add(*byte);
        c1 = c1.wrapping_add(c0);
    }
    [c0, c1]
}

fn base32_encode(bytes: &[u8]) -> IdText {
    let mut text = IdText { chars: [0; ID_TEXT_LEN_MAX], len: 0 };
    let (mut bits, mut n_bits) = (0u32, 0);
    let mut push = |digit: u32| {
        text.chars[usize::from(text.len)] = ALPHABET[(digit & 31) as usize];
        text.len += 1;
    };
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        n_bits += 8;
        while n_bits >= 5 {
            n_bits -= 5;
            push(bits >> n_bits);
        }
    }
    if n_bits > 0 {
        push(bits << (5 - n_bits));
    }
    text
}

/// The whole bytes of a text of at most 37 characters. Bits left over are dropped.
fn base32_decode(text: &str) -> Result<([u8; ID_BYTES_LEN_MAX], usize), IdErrorKind> {
    let mut bytes = [0; ID_BYTES_LEN_MAX];
    let (mut bits, mut n_bits, mut len) = (0u32, 0, 0);
    for (position, character) in text.chars().enumerate() {
        let digit = u8::try_from(character).map_or(NO_DIGIT, |byte| DIGITS[usize::from(byte)]);
        if digit == NO_DIGIT {
            return Err(IdErrorKind::Alphabet { character, position });
        }
        bits = bits << 5 | u32::from(digit);
        n_bits += 5;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes[len] = (bits >> n_bits) as u8;
            len += 1;
        }
    }
    Ok((bytes, len))
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// The text that was given, or its start.
    pub text: String,
    /// The check that failed.
    pub kind: IdErrorKind,
}

/// The check of an id's text that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdErrorKind {
    /// Too short or too long.
    Length {
        /// Its length, in characters.
        found: usize,
    },
    /// A character that is no digit of ids.
    Alphabet {
        /// The first such character.
        character: char,
        /// Its place, from 0.
        position: usize,
    },
    /// The table's number does not end, or is zero.
    TableNumber,
    /// Not the text that an id is written as, or too short for its table's number.
    Form {
        /// Its length, in characters.
        found: usize,
    },
    /// The checksum is wrong.
    Footer {
        /// The checksum in the text.
        found: u16,
        /// The checksum of what the text says.
        expected: u16,
    },
}

impl IdErrorKind {
    /// The check, as the vectors name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            IdErrorKind::Length { .. } => "length",
            IdErrorKind::Alphabet { .. } => "alphabet",
            IdErrorKind::TableNumber => "table_number",
            IdErrorKind::Form { .. } => "form",
            IdErrorKind::Footer { .. } => "footer",
        }
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a document id: ", self.text)?;
        match self.kind {
            IdErrorKind::Length { found } => {
                write!(f, "it has {found} characters; ids have {ID_TEXT_LEN_MIN} to {ID_TEXT_LEN_MAX}")
            }
            IdErrorKind::Alphabet { character, position } => write!(
                f,
                "'{}' at position {position} is not in the alphabet of ids, which is digits and lower-case letters \
                 without i, l, o and u",
                character.escape_debug(),
            ),
            IdErrorKind::TableNumber => f.write_str("its table number does not end or is zero"),
            IdErrorKind::Form { found } => {
                write!(f, "no id of {found} characters is written so; it may have been cut or added to")
            }
            IdErrorKind::Footer { found, expected } => {
                write!(f, "its checksum is {found}, but {expected} is expected; a character was changed")
            }
        }
    }
}

impl std::error::Error for IdError {}
