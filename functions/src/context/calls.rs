//! Calls from function to function: in the same transaction from a query or a mutation, each in its own from an
//! action.

use std::any::TypeId;
use std::sync::Arc;

use syncline_schema::{FieldType, FunctionPath, Value, decode_json};

use super::{ActionCtx, MutationCtx, QueryCtx};
use crate::args::Arguments;
use crate::error::{Error, Result};
use crate::limits::CALL_DEPTH_MAX;
use crate::registry::FunctionKind;
use crate::run::Run;

/// A Rust function that is a query, with its arguments as a tuple, and its guards as another.
#[diagnostic::on_unimplemented(
    message = "this is not a query that takes these arguments",
    label = "expected a query here, and a tuple of its arguments behind it",
    note = "write `ctx.run_query(module::function, (first, second))`; one argument is `(first,)`, none is `()`"
)]
pub trait QueryFn<A, G = ()>: Send + 'static {
    /// What it returns.
    type Output: FieldType;
}

/// A Rust function that is a mutation, with its arguments as a tuple, and its guards as another.
#[diagnostic::on_unimplemented(
    message = "this is not a mutation that takes these arguments",
    label = "expected a mutation here, and a tuple of its arguments behind it",
    note = "write `ctx.run_mutation(module::function, (first, second))`; one argument is `(first,)`, none is `()`"
)]
pub trait MutationFn<A, G = ()>: Send + 'static {
    /// What it returns.
    type Output: FieldType;
}

/// A Rust function that is an action, with its arguments as a tuple, and its guards as another.
#[diagnostic::on_unimplemented(
    message = "this is not an action that takes these arguments",
    label = "expected an action here, and a tuple of its arguments behind it",
    note = "write `ctx.run_action(module::function, (first, second))`; one argument is `(first,)`, none is `()`"
)]
pub trait ActionFn<A, G = ()>: Send + 'static {
    /// What it returns.
    type Output: FieldType;
}

// Guards are checked when the call arrives, as they are for a client: the caller passes arguments only.
macro_rules! callable {
    ([$($guard:ident),*] $($letter:ident),*) => {
        callable!(QueryFn, QueryCtx, [$($guard),*] $($letter),*);
        callable!(MutationFn, MutationCtx, [$($guard),*] $($letter),*);
        callable!(ActionFn, ActionCtx, [$($guard),*] $($letter),*);
    };
    ($kind:ident, $ctx:ident, [$($guard:ident),*] $($letter:ident),*) => {
        impl<F, R: FieldType, E, $($guard: 'static,)* $($letter),*> $kind<($($letter,)*), ($($guard,)*)> for F
        where
            F: AsyncFn(&$ctx, $(&$guard,)* $($letter),*) -> Result<R, E> + Send + 'static,
        {
            type Output = R;
        }
    };
}

macro_rules! callable_with_guards {
    ($($letter:ident),*) => {
        callable!([] $($letter),*);
        callable!([X] $($letter),*);
        callable!([X, Y] $($letter),*);
    };
}

callable_with_guards!();
callable_with_guards!(A);
callable_with_guards!(A, B);
callable_with_guards!(A, B, C);
callable_with_guards!(A, B, C, D);
callable_with_guards!(A, B, C, D, G);
callable_with_guards!(A, B, C, D, G, H);
callable_with_guards!(A, B, C, D, G, H, I);
callable_with_guards!(A, B, C, D, G, H, I, J);
callable_with_guards!(A, B, C, D, G, H, I, J, K);
callable_with_guards!(A, B, C, D, G, H, I, J, K, L);
callable_with_guards!(A, B, C, D, G, H, I, J, K, L, M);
callable_with_guards!(A, B, C, D, G, H, I, J, K, L, M, N);

/// Calls the function whose Rust function has the type `F`.
pub(super) async fn typed<F: 'static, A: Arguments, R: FieldType>(
    run: &Arc<Run>,
    kind: FunctionKind,
    _function: F,
    arguments: A,
) -> Result<R> {
    let Some(registered) = run.registry().registered(TypeId::of::<F>()) else {
        let name = std::any::type_name::<F>();
        return Err(Error::new(format!("`{name}` is called but not registered: name it in functions![...]")));
    };
    let arguments = arguments.into_json(registered.parameters);
    let returned = call(run, kind, registered.path.clone(), arguments).await?;
    Ok(decode_json(&returned)?)
}

/// Calls the function at a path.
pub(super) async fn untyped(run: &Arc<Run>, kind: FunctionKind, path: &str, arguments: Value) -> Result<Value> {
    let path = FunctionPath::parse(path)?;
    let returned = call(run, kind, path, arguments.to_json()).await?;
    Ok(Value::from_json(&returned)?)
}

async fn call(run: &Arc<Run>, kind: FunctionKind, path: FunctionPath, arguments: String) -> Result<String> {
    if let Some(caller) = run.caller() {
        return caller.call(kind, &path.canonical(), arguments).await.map_err(Error::called);
    }
    let Some(function) = run.registry().find(&path) else {
        return Err(Error::new(format!("Could not find function for '{}'", path.short())));
    };
    if function.kind != kind {
        return Err(wrong_kind(&path, kind, function.kind));
    }
    let nested = run.nested(path.clone());
    if nested.depth() > CALL_DEPTH_MAX {
        return Err(too_deep(&nested));
    }
    let result = match kind {
        FunctionKind::Query => {
            run.settled().await;
            (function.handler)(nested, arguments.into()).await
        }
        FunctionKind::Mutation => {
            let bracket = run.bracket().await;
            let result = (function.handler)(nested, arguments.into()).await;
            if result.is_ok() {
                bracket.keep();
            }
            result
        }
        FunctionKind::Action => return Err(wrong_kind(&path, kind, function.kind)),
    };
    result.map_err(Error::called)
}

/// Kinds are told apart by types; only a call by path can get here.
fn wrong_kind(path: &FunctionPath, asked: FunctionKind, found: FunctionKind) -> Error {
    let text = format!("`{}` was called as {}, but it is {}", path.short(), asked.with_article(), found.with_article());
    Error::refused("InvalidFunctionCall", text)
}

fn too_deep(run: &Run) -> Error {
    let chain: Vec<String> = run.chain().into_iter().map(FunctionPath::short).collect();
    Error::refused(
        "MaximumCallDepthExceeded",
        format_args!(
            "functions call functions at most {CALL_DEPTH_MAX} deep, and this is the chain of calls: {}; the usual cause \
             is a recursion without end",
            chain.join(" > ")
        ),
    )
}
