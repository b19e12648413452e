//! The types of an application for clients in TypeScript: its functions as `api`, its tables as `DataModel`.
//!
//! What comes out depends on the schema and the registry alone, in their order: the same application gives the same
//! text. It needs the npm package `convex` and no folder of that name.

mod print;
mod types;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use syncline_schema::{Schema, TableDefinition};

use crate::registry::{Function, FunctionKind, Registry, Visibility};
use print::{key, print, text};
use types::{Type, Types};

const HEAD: &str = "\
/* eslint-disable */
// The functions and tables of the server, as it declares them. Written by its command `codegen`: do not edit this
// file, run the command again.
";

const MODEL_END: &str = "
/** The name of a table. */
export type TableNames = keyof DataModel;

/** A document of a table. */
export type Doc<Table extends TableNames> = DataModel[Table][\"document\"];

/** The id of a document of a table. */
export type Id<Table extends TableNames> = GenericId<Table>;
";

/// The module that clients import.
///
/// Internal functions are left out: clients cannot call them.
pub fn module(schema: &Schema, registry: &Registry) -> String {
    let types = Types::new(schema);
    let tables: Vec<(&str, Type)> =
        schema.tables.values().map(|table| (table.name.as_str(), table_info(&types, table))).collect();
    let functions: Vec<(&Function, Type)> =
        public(registry).map(|function| (function, reference(&types, function))).collect();

    // Only what is used is imported, for those who let the compiler refuse the rest.
    let all = || tables.iter().map(|(_, info)| info).chain(functions.iter().map(|(_, reference)| reference));
    let used = |name: &&str| all().any(|ty| ty.mentions(name));
    let imports = ["FunctionReference", "PaginationOptions", "PaginationResult"].into_iter().filter(used);
    let imports: String = imports.map(|name| format!(", type {name}")).collect();

    let tables: String = tables.iter().map(|(name, info)| format!("  {}: {};\n", key(name), print(info, 1))).collect();
    let mut api = String::new();
    Node::tree(functions).write(&mut api, 0);
    let module = format!(
        "{HEAD}import {{ anyApi{imports} }} from \"convex/server\";\n\
         import type {{ GenericId }} from \"convex/values\";\n\n\
         /** The tables, in the form that the types of `convex/server` work with. */\n\
         export type DataModel = {{\n{tables}}};\n\
         {MODEL_END}\n\
         /** The functions that clients may call: `api.module.function`. */\n\
         export type Api = {api};\n\n\
         export const api: Api = anyApi as unknown as Api;\n"
    );
    module.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn public(registry: &Registry) -> impl Iterator<Item = &Function> {
    registry.iter().filter(|function| function.visibility == Visibility::Public)
}

/// What `GenericTableInfo` of `convex/server` asks of a table.
fn table_info(types: &Types<'_>, table: &TableDefinition) -> Type {
    let document = table.document_with_system_fields();
    let mut indexes = vec![
        ("by_id".to_owned(), Type::texts(["_id"])),
        ("by_creation_time".to_owned(), Type::texts(["_creationTime"])),
    ];
    indexes.extend(table.indexes.iter().map(|index| {
        let fields = index.fields.iter().map(ToString::to_string).chain(["_creationTime".to_owned()]);
        (index.name.clone(), Type::texts(fields))
    }));
    let search = table.search_indexes.iter().map(|index| {
        let filters = Type::one_of(index.filter_fields.iter().map(ToString::to_string));
        let field = Type::one_of([index.search_field.to_string()]);
        (index.name.clone(), Type::required([("searchField", field), ("filterFields", filters)]))
    });
    let vector = table.vector_indexes.iter().map(|index| {
        let filters = Type::one_of(index.filter_fields.iter().map(ToString::to_string));
        let field = Type::one_of([index.vector_field.to_string()]);
        let dimensions = Type::Name(index.dimensions.to_string());
        let config = [("vectorField", field), ("dimensions", dimensions), ("filterFields", filters)];
        (index.name.clone(), Type::required(config))
    });
    Type::required([
        ("document", types.spelled_out(&document)),
        ("fieldPaths", types::field_paths(&document)),
        ("indexes", Type::required(indexes)),
        ("searchIndexes", Type::required(search)),
        ("vectorIndexes", Type::required(vector)),
    ])
}

/// A function, or a folder or module with what is in it, or both under one name.
#[derive(Default)]
struct Node<'a> {
    function: Option<(&'a Function, Type)>,
    inside: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn tree(functions: Vec<(&'a Function, Type)>) -> Self {
        let mut root = Node::default();
        for (function, reference) in functions {
            let module = function.path.module();
            let parts = module.strip_suffix(".js").unwrap_or(module).split('/');
            let mut node = &mut root;
            for part in parts.chain([function.path.function()]) {
                node = node.inside.entry(part).or_default();
            }
            node.function = Some((function, reference));
        }
        root
    }

    fn write(&self, out: &mut String, depth: usize) {
        if let Some((_, reference)) = &self.function {
            out.push_str(&print(reference, depth));
            if self.inside.is_empty() {
                return;
            }
            out.push_str(" & ");
        }
        let indent = "  ".repeat(depth);
        out.push_str("{\n");
        for (name, node) in &self.inside {
            if let Some((function, _)) = &node.function {
                write_docs(out, function.docs, depth + 1);
            }
            let _ = write!(out, "{indent}  {}: ", key(name));
            node.write(out, depth + 1);
            out.push_str(";\n");
        }
        let _ = write!(out, "{indent}}}");
    }
}

/// `FunctionReference<"query", "public", {...}, ...>`
fn reference(types: &Types<'_>, function: &Function) -> Type {
    let kind = match function.kind {
        FunctionKind::Query => "query",
        FunctionKind::Mutation => "mutation",
        FunctionKind::Action => "action",
    };
    let (kind, public) = (Type::Name(text(kind)), Type::Name(text("public")));
    let arguments = types.of_arguments(&function.args);
    Type::Generic("FunctionReference", vec![kind, public, arguments, types.of(&function.returns)])
}

/// A doc comment of Rust as one of TypeScript.
fn write_docs(out: &mut String, docs: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    // What would end the comment.
    let docs = docs.replace("*/", "*\\/");
    let lines: Vec<&str> = docs.lines().collect();
    let _ = match lines.as_slice() {
        [] => Ok(()),
        [line] => writeln!(out, "{indent}/** {line} */"),
        lines => {
            let lines: String =
                lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n").collect();
            writeln!(out, "{indent}/**\n{lines}{indent} */")
        }
    };
}
