//! The stored text of a document, shared.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The stored text of a document: the JSON of all its fields. Cheap to clone.
///
/// Texts that were read together may be parts of one: it stays until the last of them goes.
#[derive(Clone)]
pub struct StoredText {
    whole: Arc<str>,
    start: u32,
    end: u32,
}

impl StoredText {
    /// A part of a text that others have parts of too. `None` when that is not one, or far longer than documents are.
    pub fn part(whole: &Arc<str>, range: Range<usize>) -> Option<Self> {
        whole.get(range.clone())?;
        let (start, end) = (u32::try_from(range.start).ok()?, u32::try_from(range.end).ok()?);
        Some(StoredText { whole: whole.clone(), start, end })
    }

    /// The same text with nothing beside it, for who keeps it.
    #[must_use]
    pub fn alone(self) -> Self {
        if self.len() == self.whole.len() { self } else { StoredText::from(&*self) }
    }

    /// Whether two are the same in memory. What is not may be equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.whole, &other.whole) && (self.start, self.end) == (other.start, other.end)
    }
}

impl Deref for StoredText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.whole[self.start as usize..self.end as usize]
    }
}

/// Panics when it is longer than 4 GiB: documents have bounds far below that.
impl From<Arc<str>> for StoredText {
    fn from(whole: Arc<str>) -> Self {
        let end = u32::try_from(whole.len()).expect("a document takes less than 4 GiB");
        StoredText { whole, start: 0, end }
    }
}

impl From<&str> for StoredText {
    fn from(text: &str) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl From<String> for StoredText {
    fn from(text: String) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl Default for StoredText {
    fn default() -> Self {
        StoredText::from("")
    }
}

impl PartialEq for StoredText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for StoredText {}

impl fmt::Display for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_its_text_and_may_be_alone() {
        let whole: Arc<str> = "[ä,b]".into();
        let part = StoredText::part(&whole, 1..3).unwrap();
        assert_eq!((&*part, part.clone()), ("ä", StoredText::from("ä")));
        assert!(StoredText::part(&whole, 2..3).is_none() && StoredText::part(&whole, 5..9).is_none());
        assert_eq!(Arc::strong_count(&whole), 2);
        let alone = part.clone().alone();
        assert!(alone == part && !alone.is_same(&part) && part.is_same(&part.clone()));
        drop(part);
        assert_eq!(Arc::strong_count(&whole), 1, "who keeps a part alone lets go of the whole");
        assert!(alone.is_same(&alone.clone().alone()), "it is no other then");
    }
}
