//! The types that clients in TypeScript import.

use std::collections::BTreeMap;

use syncline::db::{PaginationOptions, PaginationResult};
use syncline::registry::Registry;
use syncline::{
    ActionCtx, Bytes, Doc, Id, MutationCtx, Nullable, Object, QueryCtx, Result, Table, Value, action, functions,
    mutation, query, schema, typescript,
};
use syncline_schema::{FieldPath, Schema, SearchIndexDefinition, VectorIndexDefinition};

use crate::app;

/// A table that uses all of the types.
#[derive(Table)]
#[table(name = "things", index(by_kind = [kind], by_place = ["place.city", count]))]
pub struct Thing {
    any: Value,
    bytes: Bytes,
    count: i64,
    kind: Kind,
    maybe: Option<Nullable<String>>,
    owner: Id<syncline::users::User>,
    place: Place,
    ratings: BTreeMap<String, f64>,
    shapes: Vec<Shape>,
}

#[derive(Object)]
pub struct Place {
    city: String,
    lost: Option<Id<Lost>>,
}

#[derive(Object)]
pub enum Kind {
    Big,
    VerySmall,
}

#[derive(Object)]
pub enum Shape {
    Circle { radius: f64 },
    Nothing,
}

/// A table that the schema does not have.
#[derive(Table)]
#[table(name = "lost")]
pub struct Lost {}

pub mod things {
    use super::*;

    /// All things.
    ///
    /// Even */ those.
    #[query]
    pub async fn list(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<PaginationResult<Doc<Thing>>> {
        ctx.db.query(Thing::all()).paginate(pagination_opts).await
    }

    #[query]
    pub async fn counts(_ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<PaginationResult<f64>> {
        let _ = pagination_opts;
        unreachable!("only its types are looked at")
    }

    /// Adds a thing.
    #[mutation]
    pub async fn add(
        _ctx: &MutationCtx,
        _me: &syncline::guard::SignedIn,
        thing: Place,
        kind: Option<Kind>,
        also: Vec<Option<Kind>>,
    ) -> Result<Option<Doc<Thing>>> {
        let _ = (thing, kind, also);
        Ok(None)
    }

    #[mutation(internal)]
    pub async fn hidden(_ctx: &MutationCtx) -> Result<()> {
        Ok(())
    }

    #[action]
    pub async fn default(_ctx: &ActionCtx) -> Result<()> {
        Ok(())
    }

    pub mod list_ {
        use super::*;

        #[query(name = "inner")]
        pub async fn inner(_ctx: &QueryCtx) -> Result<Vec<Doc<Thing>>> {
            Ok(Vec::new())
        }
    }
}

fn tables() -> Schema {
    let mut schema = schema![Thing, syncline::users::User];
    let path = |path: &str| FieldPath::parse(path).unwrap();
    let things = schema.tables.get_mut("things").unwrap();
    things.search_indexes.push(SearchIndexDefinition {
        name: "search_city".into(),
        search_field: path("place.city"),
        filter_fields: vec![path("kind"), path("owner")],
    });
    things.vector_indexes.push(VectorIndexDefinition {
        name: "near".into(),
        vector_field: path("ratings"),
        dimensions: 3,
        filter_fields: Vec::new(),
    });
    schema
}

fn of_things() -> Registry {
    functions![things::list, things::counts, things::add, things::hidden, things::default, things::list_::inner,]
}

/// The text is compared as a whole, so that every change of it is seen by who makes it.
#[test]
fn all_types_and_functions_are_written() {
    let written = typescript::module(&tables(), &of_things());
    let expected = include_str!("typescript.expected.ts");
    if written != expected {
        let path = std::env::temp_dir().join("typescript.expected.ts");
        std::fs::write(&path, &written).unwrap();
        panic!("what is written has changed; compare {} with typescript.expected.ts", path.display());
    }
}

#[test]
fn the_order_of_registration_changes_nothing() {
    let registered = functions![things::default, things::add, things::counts, things::list_::inner, things::list];
    assert_eq!(typescript::module(&tables(), &registered), typescript::module(&tables(), &of_things()));
}

#[test]
fn an_application_without_anything_has_types_too() {
    let written = typescript::module(&schema![], &functions![]);
    assert!(written.contains("import { anyApi } from"), "nothing is imported in vain: {written}");
    assert!(written.contains("export type DataModel = {\n};\n") && written.contains("export type Api = {\n};\n"));
}

#[test]
fn no_line_ends_in_blanks_and_every_function_is_there() {
    let written = typescript::module(&app::tables(), &app::registry());
    assert!(written.lines().all(|line| line.trim_end() == line));
    assert_eq!(
        written.matches("FunctionReference<").count(),
        app::registry().iter().filter(|f| f.visibility == syncline::registry::Visibility::Public).count()
    );
}
