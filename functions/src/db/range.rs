//! Ranges of an index, as types: equalities in the order of the index's fields, then bounds on the next field. Any
//! other order does not compile.

use std::marker::PhantomData;
use std::sync::OnceLock;

use syncline_schema::{FieldPath, FieldType, RangeOp, RangePart, Table};

use super::patch::IntoField;
use super::query::{Plan, RangeParts};

/// A range of an index of the table `T` that may still be narrowed.
///
/// `Keys` are the types of the index's fields that have no condition yet: `(String, (f64, (Id<T>, ())))`. The last
/// two of every index are the time of creation and the id.
#[must_use = "a range reads nothing: pass it to `ctx.db.query`"]
pub struct IndexRange<T, Keys> {
    conditions: Conditions,
    types: PhantomData<fn() -> (T, Keys)>,
}

/// A range with a lower bound: an upper one may follow.
#[must_use = "a range reads nothing: pass it to `ctx.db.query`"]
pub struct LowerBounded<T, Key> {
    conditions: Conditions,
    types: PhantomData<fn() -> (T, Key)>,
}

/// A range with an upper bound: a lower one may follow.
#[must_use = "a range reads nothing: pass it to `ctx.db.query`"]
pub struct UpperBounded<T, Key> {
    conditions: Conditions,
    types: PhantomData<fn() -> (T, Key)>,
}

/// A range with both bounds: nothing may follow.
#[must_use = "a range reads nothing: pass it to `ctx.db.query`"]
pub struct Bounded<T> {
    conditions: Conditions,
    types: PhantomData<fn() -> T>,
}

struct Conditions {
    index: &'static str,
    fields: &'static [FieldPath],
    parts: RangeParts,
    /// How many of the fields have an equality.
    equalities: usize,
}

impl Conditions {
    /// Adds a condition on the first field without an equality.
    fn add<F: FieldType>(&mut self, op: RangeOp, value: &F) {
        let value = (!value.is_missing()).then(|| value.to_value());
        self.parts.push(RangePart { op, field: self.fields[self.equalities].clone(), value });
        if matches!(op, RangeOp::Eq) {
            self.equalities += 1;
        }
    }
}

/// The fields of an index, read from their names once. Not for applications: `derive(Table)` writes one for each index.
#[doc(hidden)]
pub struct IndexFields {
    names: &'static [&'static str],
    paths: OnceLock<Vec<FieldPath>>,
}

impl IndexFields {
    /// Of these names, which are paths where a field is nested.
    pub const fn new(names: &'static [&'static str]) -> Self {
        IndexFields { names, paths: OnceLock::new() }
    }

    fn paths(&self) -> &[FieldPath] {
        self.paths.get_or_init(|| {
            let paths = self.names.iter().map(|name| FieldPath::parse(name));
            let paths = paths.collect::<Result<_, _>>();
            paths.expect("derive(Table) checks the names of fields, and the schema those of nested ones")
        })
    }
}

impl<T, Keys> IndexRange<T, Keys> {
    /// The whole index. Not for applications: `derive(Table)` writes a function for each index.
    #[doc(hidden)]
    pub fn new(index: &'static str, fields: &'static IndexFields) -> Self {
        let conditions = Conditions { index, fields: fields.paths(), parts: RangeParts::new(), equalities: 0 };
        IndexRange { conditions, types: PhantomData }
    }
}

impl<T, Key: FieldType, Rest> IndexRange<T, (Key, Rest)> {
    /// Only where the next field of the index equals `value`. `None` means that it is missing.
    pub fn eq(mut self, value: impl IntoField<Key>) -> IndexRange<T, Rest> {
        self.conditions.add(RangeOp::Eq, &value.into_field());
        IndexRange { conditions: self.conditions, types: PhantomData }
    }

    /// Only where the next field of the index is above `value`.
    pub fn gt(self, value: impl IntoField<Key>) -> LowerBounded<T, Key> {
        self.lower(RangeOp::Gt, value)
    }

    /// Only where the next field of the index is `value` or above.
    pub fn gte(self, value: impl IntoField<Key>) -> LowerBounded<T, Key> {
        self.lower(RangeOp::Gte, value)
    }

    /// Only where the next field of the index is below `value`.
    pub fn lt(self, value: impl IntoField<Key>) -> UpperBounded<T, Key> {
        self.upper(RangeOp::Lt, value)
    }

    /// Only where the next field of the index is `value` or below.
    pub fn lte(self, value: impl IntoField<Key>) -> UpperBounded<T, Key> {
        self.upper(RangeOp::Lte, value)
    }

    fn lower(mut self, op: RangeOp, value: impl IntoField<Key>) -> LowerBounded<T, Key> {
        self.conditions.add(op, &value.into_field());
        LowerBounded { conditions: self.conditions, types: PhantomData }
    }

    fn upper(mut self, op: RangeOp, value: impl IntoField<Key>) -> UpperBounded<T, Key> {
        self.conditions.add(op, &value.into_field());
        UpperBounded { conditions: self.conditions, types: PhantomData }
    }
}

impl<T, Key: FieldType> LowerBounded<T, Key> {
    /// And below `value`.
    pub fn lt(self, value: impl IntoField<Key>) -> Bounded<T> {
        self.upper(RangeOp::Lt, value)
    }

    /// And `value` or below.
    pub fn lte(self, value: impl IntoField<Key>) -> Bounded<T> {
        self.upper(RangeOp::Lte, value)
    }

    fn upper(mut self, op: RangeOp, value: impl IntoField<Key>) -> Bounded<T> {
        self.conditions.add(op, &value.into_field());
        Bounded { conditions: self.conditions, types: PhantomData }
    }
}

impl<T, Key: FieldType> UpperBounded<T, Key> {
    /// And above `value`.
    pub fn gt(self, value: impl IntoField<Key>) -> Bounded<T> {
        self.lower(RangeOp::Gt, value)
    }

    /// And `value` or above.
    pub fn gte(self, value: impl IntoField<Key>) -> Bounded<T> {
        self.lower(RangeOp::Gte, value)
    }

    fn lower(mut self, op: RangeOp, value: impl IntoField<Key>) -> Bounded<T> {
        self.conditions.add(op, &value.into_field());
        Bounded { conditions: self.conditions, types: PhantomData }
    }
}

/// A range of an index, complete or not: what `ctx.db.query` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range of an index",
    label = "expected a range",
    note = "write `ctx.db.query(Message::all())` for a whole table, `ctx.db.query(Message::by_channel().eq(channel))` \
            for a range of an index"
)]
pub trait RangeOf {
    /// The table.
    type Table: Table;

    /// What is to be read.
    #[doc(hidden)]
    fn into_plan(self) -> Plan;
}

impl Conditions {
    fn into_plan<T: Table>(self) -> Plan {
        Plan::new(T::NAME.into(), self.index.into(), self.parts)
    }
}

macro_rules! range_of {
    ($range:ty, $($parameter:ident),*) => {
        impl<T: Table, $($parameter),*> RangeOf for $range {
            type Table = T;

            fn into_plan(self) -> Plan {
                self.conditions.into_plan::<T>()
            }
        }
    };
}

range_of!(IndexRange<T, Keys>, Keys);
range_of!(LowerBounded<T, Key>, Key);
range_of!(UpperBounded<T, Key>, Key);
range_of!(Bounded<T>,);
