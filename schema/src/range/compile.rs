//! Conditions on the fields of an index become one range of its keys.
//!
//! Source: `tests/spec/data-and-functions.md` 4.3. An equality covers the keys from that of its value to the same with
//! `ff` after it: the next field's key begins with a smaller byte, while the longer strings that share the
//! bytes (`"a\0"` after `"a"`) go on with `00ff` and lie outside. The reference implementation lets those in.

use std::fmt;
use std::sync::LazyLock;

use crate::index::{BY_ID, write_key};
use crate::name::FieldPath;
use crate::range::{KeyBytes, KeyRange};
use crate::value::{Value, print};

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeOp {
    /// Equal.
    Eq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

impl RangeOp {
    /// The operator as messages print it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            RangeOp::Eq => "==",
            RangeOp::Gt => ">",
            RangeOp::Gte => ">=",
            RangeOp::Lt => "<",
            RangeOp::Lte => "<=",
        }
    }
}

/// One condition of an index range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangePart {
    /// How the field is compared.
    pub op: RangeOp,
    /// The field.
    pub field: FieldPath,
    /// The value; `None` is a missing field, which sorts before all values.
    pub value: Option<Value>,
}

/// A bound as messages print it: `>= 2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How the field is compared.
    pub op: RangeOp,
    /// The value, as it is printed in messages.
    pub value: String,
}

impl Bound {
    fn of(part: &RangePart) -> Bound {
        Bound { op: part.op, value: part.value.as_ref().map_or_else(|| "undefined".to_owned(), print) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.symbol(), self.value)
    }
}

/// Why conditions are no range of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// A field has a bound already that leaves no place for another one.
    AlreadyDefinedBound {
        /// The field.
        field: String,
        /// The bound already there.
        existing: Bound,
        /// The bound that is refused.
        refused: Bound,
    },
    /// The lower and the upper bound are on different fields.
    BoundsOnMultipleFields {
        /// The index: `table.name`.
        index: String,
        /// The fields with bounds.
        fields: Vec<String>,
    },
    /// The equalities do not cover the first fields of the index, or the bounds are not on the next one.
    InvalidIndexRange {
        /// The index: `table.name`.
        index: String,
        /// The fields of the index.
        index_fields: Vec<String>,
        /// The fields of the conditions: equalities, then bounds.
        query_fields: Vec<String>,
        /// The first of these that is not where the index has it.
        first_wrong_field: String,
    },
    /// The index has no such field.
    FieldNotInIndex {
        /// The index: `table.name`.
        index: String,
        /// The fields of the index.
        index_fields: Vec<String>,
        /// The field.
        field: String,
    },
}

impl RangeError {
    /// The code by which clients and tools know the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RangeError::AlreadyDefinedBound { .. } => "AlreadyDefinedBound",
            RangeError::BoundsOnMultipleFields { .. } => "BoundsOnMultipleFields",
            RangeError::InvalidIndexRange { .. } => "InvalidIndexRange",
            RangeError::FieldNotInIndex { .. } => "FieldNotInIndex",
        }
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            RangeError::AlreadyDefinedBound { field, existing, refused } => write!(
                f,
                "the field `{field}` has the bound `{existing}` already, so `{refused}` cannot be added; \
                 give a field one equality, or one lower and one upper bound",
            ),
            RangeError::BoundsOnMultipleFields { index, fields } => write!(
                f,
                "the bounds of a range on `{index}` are on the fields {}; only one field of an index can have bounds, \
                 use `filter` for the other",
                fields.join(", "),
            ),
            RangeError::InvalidIndexRange { index, index_fields, query_fields, first_wrong_field } => write!(
                f,
                "the index `{index}` has the fields {}; the range gives {}, where `{first_wrong_field}` is out of \
                 order: compare the first fields for equality, then bound the next one",
                index_fields.join(", "),
                query_fields.join(", "),
            ),
            RangeError::FieldNotInIndex { index, index_fields, field } => write!(
                f,
                "the index `{index}` has the fields {} and not `{field}`; use `filter`, or an index that has it",
                index_fields.join(", "),
            ),
        }
    }
}

impl std::error::Error for RangeError {}

static CREATION_TIME: LazyLock<FieldPath> = LazyLock::new(FieldPath::creation_time);
static ID: LazyLock<FieldPath> = LazyLock::new(FieldPath::id);

/// The fields that make up the keys of an index: those of its definition, and those that follow by themselves.
fn key_fields<'a>(index: &str, index_fields: &'a [FieldPath]) -> Vec<&'a FieldPath> {
    let mut fields = Vec::with_capacity(index_fields.len() + 2);
    fields.extend(index_fields);
    if index != BY_ID {
        fields.push(&*CREATION_TIME);
    }
    fields.push(&*ID);
    fields
}

/// The range of keys that the conditions select. No conditions select all.
///
/// `index_fields` are the fields of the definition; creation time and id follow by themselves.
pub fn compile_range(
    table: &str,
    index: &str,
    index_fields: &[FieldPath],
    parts: &[RangePart],
) -> Result<KeyRange, RangeError> {
    let order = key_fields(index, index_fields);
    let conditions = Conditions::new(parts)?;
    Context { table, index, order: &order }.check(&conditions)?;
    let mut prefix = KeyBytes::new();
    for field in order.iter().take(conditions.equalities.len()) {
        if let Some(part) = conditions.equalities.iter().find(|part| part.field == **field) {
            write_key(part.value.as_ref(), &mut prefix);
        }
    }
    let with = |part: &RangePart| {
        let mut key = prefix.clone();
        write_key(part.value.as_ref(), &mut key);
        if matches!(part.op, RangeOp::Gt | RangeOp::Lte) { after(key) } else { key }
    };
    let start = conditions.lower.map_or_else(|| prefix.clone(), with);
    let end = match conditions.upper {
        Some(upper) => Some(with(upper)),
        None if prefix.is_empty() => None,
        None => Some(after(prefix.clone())),
    };
    Ok(KeyRange::new(start, end))
}

/// The end of all keys that begin with the key of these values.
fn after(mut key: KeyBytes) -> KeyBytes {
    key.push(0xff);
    key
}

/// The conditions by what they do; at most one of each kind for a field.
#[derive(Default)]
struct Conditions<'a> {
    equalities: Vec<&'a RangePart>,
    lower: Option<&'a RangePart>,
    upper: Option<&'a RangePart>,
}

impl<'a> Conditions<'a> {
    fn new(parts: &'a [RangePart]) -> Result<Conditions<'a>, RangeError> {
        let mut conditions = Conditions::default();
        for part in parts {
            if let Some(existing) = conditions.in_the_way_of(part) {
                return Err(RangeError::AlreadyDefinedBound {
                    field: part.field.to_string(),
                    existing: Bound::of(existing),
                    refused: Bound::of(part),
                });
            }
            match part.op {
                RangeOp::Eq => conditions.equalities.push(part),
                RangeOp::Gt | RangeOp::Gte => conditions.lower = Some(part),
                RangeOp::Lt | RangeOp::Lte => conditions.upper = Some(part),
            }
        }
        Ok(conditions)
    }

    fn in_the_way_of(&self, part: &RangePart) -> Option<&'a RangePart> {
        let same_field = |other: &&RangePart| other.field == part.field;
        let equality = self.equalities.iter().copied().find(same_field);
        match part.op {
            RangeOp::Eq => equality.or(self.lower.filter(same_field)).or(self.upper.filter(same_field)),
            RangeOp::Gt | RangeOp::Gte => equality.or(self.lower.filter(same_field)),
            RangeOp::Lt | RangeOp::Lte => equality.or(self.upper.filter(same_field)),
        }
    }
}

/// What messages about a range tell of its index.
struct Context<'a> {
    table: &'a str,
    index: &'a str,
    order: &'a [&'a FieldPath],
}

impl Context<'_> {
    fn index(&self) -> String {
        format!("{}.{}", self.table, self.index)
    }

    /// The fields that messages show: the id, which ends every key, only where it is all there is.
    fn index_fields(&self) -> Vec<String> {
        let shown = if self.order.len() > 1 { &self.order[..self.order.len() - 1] } else { self.order };
        names(shown.iter().copied())
    }

    fn check(&self, conditions: &Conditions<'_>) -> Result<(), RangeError> {
        let mut equalities: Vec<&FieldPath> = conditions.equalities.iter().map(|part| &part.field).collect();
        let mut bounds: Vec<&FieldPath> =
            [conditions.lower, conditions.upper].into_iter().flatten().map(|part| &part.field).collect();
        let place = |field: &FieldPath| self.order.iter().position(|other| *other == field);
        if let Some(field) = equalities.iter().chain(&bounds).find(|field| place(field).is_none()) {
            return Err(RangeError::FieldNotInIndex {
                index: self.index(),
                index_fields: self.index_fields(),
                field: field.to_string(),
            });
        }
        bounds.dedup();
        if bounds.len() > 1 {
            return Err(RangeError::BoundsOnMultipleFields { index: self.index(), fields: names(bounds) });
        }
        equalities.sort_by_key(|field| place(field));
        let query_fields = equalities.into_iter().chain(bounds);
        match query_fields.clone().zip(self.order).find(|(given, expected)| given != *expected) {
            None => Ok(()),
            Some((wrong, _)) => Err(RangeError::InvalidIndexRange {
                index: self.index(),
                index_fields: self.index_fields(),
                query_fields: names(query_fields),
                first_wrong_field: wrong.to_string(),
            }),
        }
    }
}

fn names<'a>(fields: impl IntoIterator<Item = &'a FieldPath>) -> Vec<String> {
    fields.into_iter().map(FieldPath::to_string).collect()
}
