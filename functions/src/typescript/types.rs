//! From validators to types.

use syncline_schema::{FieldType, FieldValidator, Schema, Validator, Value};

use super::print::text;
use crate::db::{PaginationOptions, PaginationResult};

/// A type of TypeScript.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// A word: the name of a type, or a literal.
    Name(String),
    /// `{ name: Type; other?: Type }`
    Object(Vec<Field>),
    /// `A | B`
    Union(Vec<Type>),
    /// `A[]`
    Array(Box<Type>),
    /// `[A, B]`
    Tuple(Vec<Type>),
    /// `Name<A, B>`
    Generic(&'static str, Vec<Type>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) optional: bool,
    pub(super) ty: Type,
}

impl Type {
    fn name(name: &str) -> Type {
        Type::Name(name.to_owned())
    }

    /// An object all of whose fields are there.
    pub(super) fn required<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> Type {
        let field = |(name, ty): (N, Type)| Field { name: name.into(), optional: false, ty };
        Type::Object(fields.into_iter().map(field).collect())
    }

    /// A tuple of texts.
    pub(super) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Type {
        Type::Tuple(texts.into_iter().map(|each| Type::Name(text(each.as_ref()))).collect())
    }

    /// One of some texts.
    pub(super) fn one_of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Type {
        Type::union(texts.into_iter().map(|each| Type::Name(text(each.as_ref()))))
    }

    /// Whether a type of this name is part of it.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let any = |types: &[Type]| types.iter().any(|ty| ty.mentions(name));
        match self {
            Type::Name(own) => own == name,
            Type::Object(fields) => fields.iter().any(|field| field.ty.mentions(name)),
            Type::Union(members) | Type::Tuple(members) => any(members),
            Type::Array(element) => element.mentions(name),
            Type::Generic(own, arguments) => *own == name || any(arguments),
        }
    }

    /// Each member once; of none, nothing can be.
    fn union(members: impl IntoIterator<Item = Type>) -> Type {
        let mut distinct: Vec<Type> = Vec::new();
        for member in members {
            if !distinct.contains(&member) {
                distinct.push(member);
            }
        }
        match distinct.len() {
            0 => Type::name("never"),
            1 => distinct.remove(0),
            _ => Type::Union(distinct),
        }
    }
}

/// Translates the validators of one application.
pub(super) struct Types<'a> {
    schema: &'a Schema,
    /// Each table with its whole documents.
    documents: Vec<(&'a str, Validator)>,
    pagination_options: Validator,
}

impl<'a> Types<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        let tables = schema.tables.values();
        Types {
            schema,
            documents: tables.map(|table| (table.name.as_str(), table.document_with_system_fields())).collect(),
            pagination_options: PaginationOptions::validator(),
        }
    }

    /// What a validator accepts, by the names that it has: `Doc<"messages">`, `PaginationResult<...>`.
    pub(super) fn of(&self, validator: &Validator) -> Type {
        if let Some((table, _)) = self.documents.iter().find(|(_, document)| document == validator) {
            return Type::Generic("Doc", vec![Type::Name(text(table))]);
        }
        if *validator == self.pagination_options {
            return Type::name("PaginationOptions");
        }
        if let Some(item) = page_item(validator) {
            return Type::Generic("PaginationResult", vec![self.of(item)]);
        }
        self.spelled_out(validator)
    }

    /// The arguments of a function. Without any, nothing may be passed.
    pub(super) fn of_arguments(&self, arguments: &Validator) -> Type {
        match arguments {
            Validator::Object(fields) if fields.is_empty() => {
                Type::Generic("Record", vec![Type::name("string"), Type::name("never")])
            }
            arguments => self.spelled_out(arguments),
        }
    }

    /// The same without a name for the whole.
    pub(super) fn spelled_out(&self, validator: &Validator) -> Type {
        match validator {
            Validator::Null => Type::name("null"),
            Validator::Float64 => Type::name("number"),
            Validator::Int64 | Validator::CommitTs => Type::name("bigint"),
            Validator::Boolean => Type::name("boolean"),
            Validator::String => Type::name("string"),
            Validator::Bytes => Type::name("ArrayBuffer"),
            Validator::Any => Type::name("any"),
            Validator::Id(table) => self.id(table),
            Validator::Literal(value) => literal(value),
            Validator::Array(element) => Type::Array(Box::new(self.of(element))),
            Validator::Record(keys, values) => Type::Generic("Record", vec![self.of(keys), self.of(values)]),
            Validator::Object(fields) => {
                Type::Object(fields.iter().map(|(name, field)| self.field(name, field)).collect())
            }
            Validator::Union(members) => Type::union(members.iter().map(|member| self.of(member))),
        }
    }

    fn field(&self, name: &str, field: &FieldValidator) -> Field {
        Field { name: name.to_owned(), optional: field.optional, ty: self.of(&field.validator) }
    }

    /// The id of a table that the schema does not have is one by name only.
    fn id(&self, table: &str) -> Type {
        let known = self.schema.tables.contains_key(table);
        Type::Generic(if known { "Id" } else { "GenericId" }, vec![Type::Name(text(table))])
    }
}

/// What the pages hold that a validator describes, when it describes pages.
fn page_item(validator: &Validator) -> Option<&Validator> {
    let Validator::Object(fields) = validator else { return None };
    let page = fields.get("page")?;
    let Validator::Array(item) = &page.validator else { return None };
    let Validator::Object(mut expected) = PaginationResult::<Value>::validator() else { return None };
    expected.insert("page".to_owned(), page.clone());
    (*fields == expected).then_some(item)
}

fn literal(value: &Value) -> Type {
    match value {
        Value::String(string) => Type::Name(text(string)),
        Value::Boolean(boolean) => Type::Name(boolean.to_string()),
        Value::Int64(integer) => Type::Name(format!("{integer}n")),
        Value::Float64(number) if number.is_finite() => Type::Name(number.to_string()),
        Value::Float64(_) => Type::name("number"),
        Value::Null => Type::name("null"),
        Value::Bytes(_) | Value::Array(_) | Value::Object(_) => Type::name("any"),
    }
}

/// The paths of a document's fields, those of nested objects included.
pub(super) fn field_paths(document: &Validator) -> Type {
    let mut paths = Vec::new();
    if !collect_paths(document, "", &mut paths) {
        return Type::name("string");
    }
    Type::one_of(paths)
}

/// Adds the paths of fields; answers whether they are known.
fn collect_paths(validator: &Validator, prefix: &str, paths: &mut Vec<String>) -> bool {
    match validator {
        Validator::Any => false,
        Validator::Union(members) => members.iter().fold(true, |known, member| {
            let here = collect_paths(member, prefix, paths);
            // What a field that is anything holds is not listed; only a whole document of anything has any path.
            known && (here || !prefix.is_empty())
        }),
        Validator::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{prefix}{name}");
                collect_paths(&field.validator, &format!("{path}."), paths);
                paths.push(path);
            }
            true
        }
        _ => true,
    }
}
