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

/// How finely a creation time of these years is told: the last bit of its 53 is so much of a millisecond.
const CREATION_TICKS_A_MS: f64 = 4096.0;

const VINT_LEN_MAX: usize = 5;
const INTERNAL_LEN: usize = 16;
const FOOTER_LEN: usize = 2;
const ID_BYTES_LEN_MAX: usize = VINT_LEN_MAX + INTERNAL_LEN + FOOTER_LEN;

/// Room for the longest text in blocks of eight characters, and for its bytes in blocks of five.
const CHARS_CAPACITY: usize = ID_TEXT_LEN_MAX.next_multiple_of(8);
const BYTES_CAPACITY: usize = CHARS_CAPACITY / 8 * 5;

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
    /// A new id: the creation time as finely as it is told, seven random bytes, and the number of days since the Unix
    /// epoch.
    ///
    /// Ids sort as creation times do. To clients only uniqueness matters; to a store it is that what was made together,
    /// and is mostly read together, lies together: with random ids each insert and each row of a scan is a search in
    /// another part of all documents.
    #[must_use]
    pub fn new(creation_time: f64, random: [u8; 7], days: u16) -> InternalId {
        let ticks = ((creation_time * CREATION_TICKS_A_MS) as u64).to_be_bytes();
        let mut bytes = [0; INTERNAL_LEN];
        bytes[..7].copy_from_slice(&ticks[1..]);
        bytes[7..14].copy_from_slice(&random);
        bytes[14..].copy_from_slice(&days.to_be_bytes());
        InternalId(bytes)
    }

    /// The creation time that an id was made of, if it was made by [`InternalId::new`] and of one that it has room for.
    #[must_use]
    pub fn creation_time(self) -> f64 {
        let mut ticks = [0; 8];
        ticks[1..].copy_from_slice(&self.0[..7]);
        u64::from_be_bytes(ticks) as f64 / CREATION_TICKS_A_MS
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
    chars: [u8; CHARS_CAPACITY],
    len: u8,
}

impl DocumentId {
    /// Reads the text form, which is checked to the letter: each id has one text.
    pub fn parse(text: &str) -> Result<DocumentId, IdError> {
        parse(text).map_err(|kind| IdError { text: text.chars().take(64).collect(), kind })
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

fn parse(text: &str) -> Result<DocumentId, IdErrorKind> {
    let found = text.len();
    if !(ID_TEXT_LEN_MIN..=ID_TEXT_LEN_MAX).contains(&found) {
        return Err(IdErrorKind::Length { found: text.chars().count() });
    }
    let (bytes, spare_bits) = base32_decode(text)?;
    let (number, vint_len) = vint_decode(&bytes).ok_or(IdErrorKind::TableNumber)?;
    let body_len = vint_len + INTERNAL_LEN;
    let len = body_len + FOOTER_LEN;
    let n_bytes = found * 5 / 8;
    if n_bytes < len {
        return Err(IdErrorKind::Form { found });
    }
    let footer = u16::from_le_bytes([bytes[body_len], bytes[body_len + 1]]);
    let expected = u16::from_le_bytes(fletcher16(&bytes[..body_len]));
    if footer != expected {
        return Err(IdErrorKind::Footer { found: footer, expected });
    }
    // What is left would be lost if the id was written again: characters after the footer, bits of the last
    // character, and a table's number that is too large or not in its shortest form.
    let table = u32::try_from(number).map_err(|_| IdErrorKind::Form { found })?;
    let is_shortest = vint_encode(TableNumber(table), &mut [0; VINT_LEN_MAX]) == vint_len;
    if found != base32_len(len) || spare_bits != 0 || !is_shortest {
        return Err(IdErrorKind::Form { found });
    }
    let mut internal = [0; INTERNAL_LEN];
    internal.copy_from_slice(&bytes[vint_len..body_len]);
    Ok(DocumentId { table: TableNumber(table), internal: InternalId(internal) })
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
fn vint_encode(number: TableNumber, out: &mut [u8]) -> usize {
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

/// The number and how many bytes it took; `None` when it does not end or is zero. It may have up to 35 bits.
fn vint_decode(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (i, byte) in bytes.iter().take(VINT_LEN_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return (number != 0).then_some((number, i + 1));
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

/// How many characters so many bytes take.
const fn base32_len(n_bytes: usize) -> usize {
    (n_bytes * 8).div_ceil(5)
}

/// Five bytes are eight characters, the highest bits first.
fn base32_encode(bytes: &[u8]) -> IdText {
    let mut chars = [0; CHARS_CAPACITY];
    for (bytes, chars) in bytes.chunks(5).zip(chars.chunks_exact_mut(8)) {
        let mut block = [0; 8];
        block[3..3 + bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_be_bytes(block);
        for (i, char) in chars.iter_mut().enumerate() {
            *char = ALPHABET[(bits >> (35 - 5 * i) & 31) as usize];
        }
    }
    IdText { chars, len: base32_len(bytes.len()) as u8 }
}

/// The bytes of a text of at most 37 characters, and the bits left over at its end.
fn base32_decode(text: &str) -> Result<([u8; BYTES_CAPACITY], u8), IdErrorKind> {
    let mut bytes = [0; BYTES_CAPACITY];
    for (chars, bytes) in text.as_bytes().chunks(8).zip(bytes.chunks_exact_mut(5)) {
        let mut bits = 0;
        for (i, char) in chars.iter().enumerate() {
            let digit = DIGITS[usize::from(*char)];
            if digit == NO_DIGIT {
                return Err(not_in_alphabet(text));
            }
            bits |= u64::from(digit) << (35 - 5 * i);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    // The bits of an unfinished byte are in the byte after the last whole one.
    Ok((bytes, bytes[text.len() * 5 / 8]))
}

fn not_in_alphabet(text: &str) -> IdErrorKind {
    let is_digit = |character: char| character.is_ascii() && DIGITS[character as usize] != NO_DIGIT;
    let (position, character) = text
        .chars()
        .enumerate()
        .find(|(_, character)| !is_digit(*character))
        .unwrap_or((0, char::REPLACEMENT_CHARACTER));
    IdErrorKind::Alphabet { character, position }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of any table number's bytes, with a checksum that is right.
    fn text_of(vint: &[u8]) -> String {
        let mut bytes = [vint, &[7; INTERNAL_LEN]].concat();
        bytes.extend(fletcher16(&bytes));
        base32_encode(&bytes).to_string()
    }

    #[test]
    fn an_id_has_the_creation_time_that_it_was_made_of() {
        for created in [1_699_931_054_642.111_f64, 1_795_421_836_050.490_2, 1_795_421_836_050.490_2_f64.next_up(), 2.0]
        {
            let id = InternalId::new(created, [0xff; 7], 20_780);
            assert_eq!(id.creation_time(), created);
            assert!(id < InternalId::new(created.next_up().max(created + 0.001), [0; 7], 0));
        }
    }

    /// spec: D22
    #[test]
    fn a_table_number_has_one_form() {
        assert_eq!(DocumentId::parse(&text_of(&[0x91, 0x4e])).map(|id| id.table), Ok(TableNumber(10_001)));
        let largest = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(DocumentId::parse(&text_of(&largest)).map(|id| id.table), Ok(TableNumber(u32::MAX)));
        let kind = |vint: &[u8]| DocumentId::parse(&text_of(vint)).unwrap_err().kind.name();
        assert_eq!(kind(&[0x91, 0xce, 0x00]), "form", "longer than needed");
        assert_eq!(kind(&[0xff, 0xff, 0xff, 0xff, 0x1f]), "form", "more than 32 bits");
        assert_eq!(kind(&[0x80, 0x80, 0x80, 0x80, 0x10]), "form", "more than 32 bits, which are zero");
        assert_eq!(kind(&[0x80, 0x80, 0x00]), "table_number");
    }
}
