//! A block: sorted rows, which are keys and, in a block of documents, the documents' texts. Pure.
//!
//! The texts are a JSON array, so that a shell can read them. To each key belongs where its text ends in it, the document's
//! [sum](text_sum), so that one that is not what was written is told apart from the others, and its outline in short, so
//! that it need not be looked for in the text: the creation time is in the id.

use std::ops::{Deref, Range};
use std::sync::Arc;

use syncline_schema::{InternalId, StoredText, TableNumber};

use super::Tree;
use super::keys::{self, Keys};
use crate::document::{Outline, outline};
use crate::storage::{BaseKey, BaseText};

/// Bytes that belong to the key of a document in blocks of format 5: the end of its text (4) and its sum (8).
const DOCUMENT_BYTES_OF_FORMAT_5: usize = 12;

/// The same now: its outline follows.
const DOCUMENT_BYTES: usize = DOCUMENT_BYTES_OF_FORMAT_5 + OUTLINE_BYTES;

/// Bytes of an outline: by how much the text is longer than the size (2), and the length of the head (1), which is 0 where
/// the outline is not there: it has no room for some, and some texts have none.
const OUTLINE_BYTES: usize = 3;

/// A row. That of an entry has no text.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// Its key, without the bytes that all keys of its index begin with.
    pub key: BaseKey,
    pub text: Text<'a>,
}

/// The stored text of a document, perhaps damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Text<'a> {
    /// The sum that was written with it.
    pub sum: i64,
    pub json: &'a [u8],
    /// `None`: it is to be looked for in the text, if that is a document's.
    pub outline: Option<Outline>,
}

fn encode_outline(id: InternalId, text: &Text<'_>) -> Option<[u8; OUTLINE_BYTES]> {
    let known = text.outline.or_else(|| outline(str::from_utf8(text.json).ok()?));
    let Outline { head_len, size, .. } = known.filter(|known| known.creation_time == id.creation_time())?;
    let longer_by = i64::try_from(text.json.len()).ok()? - i64::from(size);
    let [low, high] = i16::try_from(longer_by).ok()?.to_le_bytes();
    Some([low, high, u8::try_from(head_len).ok()?])
}

fn decode_outline(id: InternalId, len: usize, [low, high, head_len]: [u8; OUTLINE_BYTES]) -> Option<Outline> {
    let size = i64::try_from(len).ok()? - i64::from(i16::from_le_bytes([low, high]));
    let (size, head_len) = (u32::try_from(size).ok()?, u32::from(head_len));
    (head_len > 0).then_some(Outline { creation_time: id.creation_time(), head_len, size })
}

impl Tree {
    /// Bytes that belong to a key, where a block does not say it.
    fn unsaid(self) -> usize {
        match self {
            Tree::Documents => DOCUMENT_BYTES_OF_FORMAT_5,
            Tree::Entries => 0,
        }
    }

    /// Whether so many bytes may belong to a key.
    fn knows(self, belonging: usize) -> bool {
        match self {
            Tree::Documents => [DOCUMENT_BYTES, DOCUMENT_BYTES_OF_FORMAT_5].contains(&belonging),
            Tree::Entries => belonging == 0,
        }
    }

    /// Bytes that a row takes beside its key.
    pub fn beside_key(self, text: &Text<'_>) -> usize {
        match self {
            Tree::Documents => DOCUMENT_BYTES + text.json.len() + b",".len(),
            Tree::Entries => 0,
        }
    }
}

/// The keys and the texts of a block with some rows, at least one.
pub fn encode(tree: Tree, rows: &[Row<'_>], place: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let keys = rows.iter().map(|row| &row.key[..]);
    if tree == Tree::Entries {
        return (keys::encode(keys, &[], place), Vec::new());
    }
    let mut json = Vec::with_capacity(rows.iter().map(|row| row.text.json.len() + 1).sum::<usize>() + 1);
    let mut belonging = Vec::with_capacity(rows.len() * DOCUMENT_BYTES);
    json.push(b'[');
    for Row { key, text } in rows {
        json.extend_from_slice(text.json);
        let end = u32::try_from(json.len()).expect("documents have bounds far below 4 GiB");
        belonging.extend_from_slice(&end.to_le_bytes());
        belonging.extend_from_slice(&text.sum.to_le_bytes());
        belonging.extend_from_slice(&encode_outline(key.id(), text).unwrap_or_default());
        json.push(b',');
    }
    json.pop();
    json.push(b']');
    (keys::encode(keys, &belonging, place), json)
}

/// A block that was read.
#[derive(Debug)]
pub struct Block<B> {
    pub keys: Keys<B>,
    json: B,
}

impl<B: Deref<Target = [u8]>> Block<B> {
    /// Reads what [`encode`] wrote; `None` when it is not that. The texts are looked at one by one.
    pub fn decode(tree: Tree, keys: B, json: B, place: &[u8]) -> Option<Self> {
        let keys = Keys::decode(keys, tree.unsaid(), place)?;
        tree.knows(keys.belonging_len()).then_some(Block { keys, json })
    }

    /// The stored texts of documents, from the one numbered `n` on, as parts of one. They end before one that is not what
    /// was written.
    pub fn documents(&self, n: usize, table: TableNumber, ids: &[InternalId]) -> impl Iterator<Item = BaseText> {
        let is_sound = |(n, id): &(usize, &InternalId)| {
            self.text(*n).is_some_and(|Text { sum, json, .. }| text_sum(table, **id, json) == sum)
        };
        let n_sound = (n..).zip(ids).take_while(is_sound).count();
        let place = n_sound.checked_sub(1).and_then(|more| Some(self.place(n)?.start..self.place(n + more)?.end));
        let whole = place.clone().and_then(|place| str::from_utf8(self.json.get(place)?).ok()).map(Arc::<str>::from);
        let begin = place.map_or(0, |place| place.start);
        (n..n + n_sound).zip(ids).map_while(move |(n, id)| {
            let Range { start, end } = self.place(n)?;
            let text = StoredText::part(whole.as_ref()?, start - begin..end - begin)?;
            let known = self.outline(n, *id, text.len());
            let outline = known.or_else(|| outline(&text));
            Some(BaseText::new(text, outline))
        })
    }

    /// All rows. `None` when they cannot be what was written.
    pub fn rows(&self, tree: Tree) -> Option<Vec<Row<'_>>> {
        let row = |n| {
            let text = match tree {
                Tree::Documents => self.text(n)?,
                Tree::Entries => Text::default(),
            };
            let key = self.keys.key(n)?;
            let outline = self.outline(n, key.id(), text.json.len());
            Some(Row { key, text: Text { outline, ..text } })
        };
        (0..self.keys.n()).map(row).collect()
    }

    fn text(&self, n: usize) -> Option<Text<'_>> {
        let (_, rest) = self.keys.belonging(n).split_first_chunk::<4>()?;
        let sum = i64::from_le_bytes(*rest.first_chunk()?);
        Some(Text { sum, json: self.json.get(self.place(n)?)?, outline: None })
    }

    /// The outline of a text that is so long, if the block has it.
    fn outline(&self, n: usize, id: InternalId, len: usize) -> Option<Outline> {
        let (_, outline) = self.keys.belonging(n).split_at_checked(DOCUMENT_BYTES_OF_FORMAT_5)?;
        decode_outline(id, len, *outline.first_chunk()?)
    }

    fn place(&self, n: usize) -> Option<Range<usize>> {
        // Behind the bracket, or behind the comma that follows the text before.
        Some(if n == 0 { 1 } else { self.end(n - 1)? + 1 }..self.end(n)?)
    }

    fn end(&self, n: usize) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(*self.keys.belonging(n).first_chunk()?)).ok()
    }
}

/// The sum of a document and of where it belongs. Whatever changes within eight bytes changes it: each step is reversible.
///
/// Four sums that do not wait for each other: a processor does them at once.
pub fn text_sum(table: TableNumber, id: InternalId, json: &[u8]) -> i64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let id = u128::from_be_bytes(id.0);
    let mut lanes = [u64::from(table.0), json.len() as u64, id as u64, (id >> 64) as u64];
    let mut add = |words: &[[u8; 8]]| {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    };
    let (blocks, rest) = json.as_chunks::<32>();
    blocks.iter().for_each(|block| add(block.as_chunks().0));
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    add(last.as_chunks().0);
    let sum = lanes.into_iter().fold(0, mix);
    (sum ^ (sum >> 32)).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use syncline_schema::DocumentId;

    use super::*;
    use crate::document;

    const TABLE: TableNumber = TableNumber(10_001);
    const PLACE: &[u8] = b"here";

    fn rows(texts: &[String]) -> Vec<Row<'_>> {
        let row = |(n, text): (usize, &'_ String)| {
            let id = InternalId((n as u128).to_be_bytes());
            (BaseKey::new(&[], id), text_sum(TABLE, id, text.as_bytes()))
        };
        let keys = texts.iter().enumerate().map(row);
        keys.zip(texts)
            .map(|((key, sum), text)| Row { key, text: Text { sum, json: text.as_bytes(), outline: None } })
            .collect()
    }

    fn read(block: &Block<Vec<u8>>, n: usize, id: InternalId) -> Option<String> {
        block.documents(n, TABLE, &[id]).next().map(|text| text.to_string())
    }

    fn decode(keys: Vec<u8>, json: Vec<u8>) -> Option<Block<Vec<u8>>> {
        Block::decode(Tree::Documents, keys, json, PLACE)
    }

    #[test]
    fn outlines_are_those_of_the_texts_and_are_in_the_block_where_there_is_room() {
        let created = 1_795_421_836_050.490_2;
        let id = InternalId::new(created, [7; 7], 20_780);
        let stored = |created, body: &str| {
            document::stored(created, &DocumentId { table: TABLE, internal: id }, &format!(r#"{{"body":{body}}}"#))
        };
        let long = format!("\"{}\"", "\\u0001".repeat(10_000));
        for (text, is_in_block) in [
            (stored(created, "1.0"), true),
            (stored(created, r#""\u0001\u0001""#), true),
            (stored(created, &long), false),
            (stored(created.next_up(), "null"), false),
            ("[]".to_owned(), false),
        ] {
            let (key, sum) = (BaseKey::new(&[], id), text_sum(TABLE, id, text.as_bytes()));
            let row = Row { key, text: Text { sum, json: text.as_bytes(), outline: None } };
            let (keys, json) = encode(Tree::Documents, &[row], PLACE);
            let block = decode(keys, json).unwrap();
            let expected = outline(&text);
            assert_eq!(block.outline(0, id, text.len()), expected.filter(|_| is_in_block), "{}", text.len());
            let given = block.documents(0, TABLE, &[id]).next().unwrap();
            assert_eq!((given.outline(), &*given), (expected, &text[..]));
        }
    }

    proptest! {
        #[test]
        fn documents_are_given_back_and_are_json(texts in vec("\"[a-zü,\\[\\]]{0,9}\"", 1..20)) {
            let rows = rows(&texts);
            let (keys, json) = encode(Tree::Documents, &rows, PLACE);
            let shown: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(shown.iter().map(ToString::to_string).collect::<Vec<_>>(), texts.clone());
            let block = decode(keys, json).unwrap();
            prop_assert_eq!(block.rows(Tree::Documents).unwrap(), rows.clone());
            for (n, text) in texts.iter().enumerate() {
                prop_assert_eq!(read(&block, n, rows[n].key.id()), Some(text.clone()));
            }
            let ids: Vec<_> = rows.iter().map(|row| row.key.id()).collect();
            let together = block.documents(1, TABLE, &ids[1..]);
            prop_assert_eq!(together.map(|text| text.to_string()).collect::<Vec<_>>(), texts[1..].to_vec());
        }

        #[test]
        fn a_damaged_text_harms_no_other(texts in vec("[a-z]{1,9}", 1..20), at in any::<proptest::sample::Index>()) {
            let rows = rows(&texts);
            let (keys, mut json) = encode(Tree::Documents, &rows, PLACE);
            let at = at.index(json.len());
            json[at] ^= 1;
            let block = decode(keys, json).unwrap();
            let mut start = 1;
            for (n, text) in texts.iter().enumerate() {
                let is_hit = (start..start + text.len()).contains(&at);
                prop_assert_eq!(read(&block, n, rows[n].key.id()), (!is_hit).then(|| text.clone()));
                start += text.len() + 1;
            }
        }

        #[test]
        fn no_texts_upset_it(texts in vec("[a-z]{0,9}", 1..20), json in vec(any::<u8>(), 0..99), ends in any::<[u8; 60]>()) {
            let rows = rows(&texts);
            let bytes: Vec<u8> = ends.iter().cycle().take(rows.len() * DOCUMENT_BYTES).copied().collect();
            let keys = keys::encode(rows.iter().map(|row| &row.key[..]), &bytes, PLACE);
            let block = decode(keys, json).unwrap();
            let _ = block.rows(Tree::Documents);
            for (n, row) in rows.iter().enumerate() {
                prop_assert_eq!(read(&block, n, row.key.id()), None);
            }
        }
    }
}
