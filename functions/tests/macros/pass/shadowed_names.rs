//! An application may have names of its own for all that generated code uses.
#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]

extern crate syncline_functions as syncline;

use syncline::{MutationCtx, Object, QueryCtx, Table, action, functions, mutation, query};

struct Option;
struct Some;
struct None;
struct Ok;
struct Err;
struct Vec;
struct Arc;
struct Default;
struct Box;
type String = std::string::String;
type Result<T> = std::result::Result<T, syncline::Error>;
mod std_ {}
mod core {}
trait FieldType {}
trait Iterator {}

#[derive(Table)]
#[table(name = "things", index(by_map = [map, key]))]
struct Thing {
    map: String,
    key: f64,
    object: ::std::option::Option<String>,
    r#type: bool,
    value: Inner,
}

#[derive(Object)]
struct Inner {
    serializer: f64,
    deserializer: f64,
    fields: f64,
    place: f64,
}

#[derive(Object)]
enum Either {
    Left { tag: f64, object: f64, map: f64 },
    Right { r#fn: f64 },
}

mod things {
    use super::*;

    #[query]
    pub async fn list(_ctx: &QueryCtx, arguments: String, run: f64, body: f64, r#type: Either) -> Result<String> {
        drop((run, body, r#type));
        ::std::result::Result::Ok(arguments)
    }

    #[mutation(internal, name = "put", rename_all = "snake_case")]
    pub(crate) async fn r#move(ctx: &MutationCtx, mut from_id: f64) -> Result<()> {
        from_id += 1.0;
        let value = Inner { serializer: from_id, deserializer: 0.0, fields: 0.0, place: 0.0 };
        let thing = Thing {
            map: ::std::convert::Into::into("x"),
            key: 1.0,
            object: ::std::option::Option::None,
            r#type: true,
            value,
        };
        let id = ctx.db.insert(thing).await?;
        ctx.db.patch(id, Thing::patch().object("x").r#type(false)).await?;
        ctx.db.query(Thing::by_map().eq("x").gt(0.5)).first().await?;
        ::std::result::Result::Ok(())
    }

    #[action]
    pub async fn act(ctx: &syncline::ActionCtx) -> ::std::result::Result<(), syncline::AppError> {
        ctx.log.info("acting");
        ::std::result::Result::Ok(())
    }
}

fn main() {
    let registry = functions![self::things::list, crate::things::r#move, things::act];
    let paths = registry.iter().map(|function| function.path.short());
    assert!(paths.eq(["things:act", "things:list", "things:put"]));
}
