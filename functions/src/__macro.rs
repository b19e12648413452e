//! What generated code names, and nobody else: it changes without notice.

use std::any::TypeId;
use std::sync::OnceLock;

pub use futures::future::BoxFuture;
pub use syncline_schema::serde::{de, ser};
pub use syncline_schema::{FieldType, FieldValidator, Id, Schema, Table, TableDefinition, Validator, Value, field};

pub use crate::call::{handle, returned, returned_validator};
pub use crate::context::{ActionCtx, MutationCtx, QueryCtx};
pub use crate::db::{IndexFields, IndexRange, IntoField, OpenTable, Patch, PatchFields};
pub use crate::guard::passed;
pub use crate::registry::{Definition, FunctionError, FunctionKind, Registry, Signature, Visibility};
pub use crate::run::Run;

/// Whether the documents of a table can break a rule that their type does not know. Kept: making a validator takes
/// longer than most writes.
#[derive(Default)]
pub struct TableIsOpen(OnceLock<bool>);

impl TableIsOpen {
    /// Not known yet.
    pub const fn new() -> Self {
        TableIsOpen(OnceLock::new())
    }

    /// For the table, always the same one.
    pub fn get<T: Table>(&self) -> bool {
        *self.0.get_or_init(|| crate::outgoing::table_is_open::<T>())
    }
}

/// The context of each kind of function, under the name of the kind.
pub mod contexts {
    pub use crate::context::{ActionCtx as Action, MutationCtx as Mutation, QueryCtx as Query};
}

/// The validator of an object.
pub fn object(fields: Vec<(&'static str, FieldValidator)>) -> Validator {
    Validator::object(fields)
}

/// The validator of a union; one of a single member is that member.
pub fn union(mut members: Vec<Validator>) -> Validator {
    if members.len() == 1 { members.remove(0) } else { Validator::Union(members) }
}

/// The type of a Rust function, by which calls find it in the registry.
pub fn key_of<F: 'static>(_function: &F) -> TypeId {
    TypeId::of::<F>()
}

/// The signature of a function, made when it is first asked for.
pub type SignatureCell = std::sync::OnceLock<Signature>;

/// Adds a function to a registry.
///
/// # Panics
/// When it cannot be registered: a mistake in the application that it learns of at its start.
pub fn register<D: Definition>(registry: &mut Registry, segments: &[&str]) {
    if let Err(error) = registry.insert_definition::<D>(segments) {
        panic!("functions![]: {error}");
    }
}

/// The schema of some tables.
///
/// # Panics
/// When two have the same name: a mistake in the application that it learns of at its start.
pub fn schema(tables: Vec<TableDefinition>) -> Schema {
    let mut names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        panic!("schema![]: two tables are called `{}`; give one another name with #[table(name = \"...\")]", pair[0]);
    }
    Schema::new(tables)
}
