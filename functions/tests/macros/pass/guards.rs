//! Guards in every kind of function, alone, together, in tuples and options, and called with the proof.

extern crate syncline_functions as syncline;

use syncline::guard::{Claims, Guard, NamedRole, Role, SignedIn};
use syncline::{ActionCtx, Id, MutationCtx, QueryCtx, Result, action, functions, mutation, query, users};

struct Admin;

impl NamedRole for Admin {
    const NAMES: &'static [&'static str] = &["admin"];
    type Source = users::Roles;
}

struct Caller;

impl NamedRole for Caller {
    const NAMES: &'static [&'static str] = &["caller"];
    type Source = Claims;
}

struct Weekday;

impl Guard for Weekday {
    async fn check(_ctx: &QueryCtx) -> Result<Self> {
        Ok(Weekday)
    }
}

impl Guard<ActionCtx> for Weekday {
    async fn check(_ctx: &ActionCtx) -> Result<Self> {
        Ok(Weekday)
    }
}

mod guarded {
    use super::*;

    #[query]
    pub async fn one(_ctx: &QueryCtx, me: &SignedIn) -> Result<String> {
        Ok(me.subject.clone())
    }

    #[query]
    pub async fn two(ctx: &QueryCtx, admin: &Role<Admin>, _day: &(Weekday, Option<Role<Caller>>)) -> Result<String> {
        one(ctx, admin.user()).await
    }

    #[mutation]
    pub async fn with_arguments(
        ctx: &MutationCtx,
        me: &SignedIn,
        _: &Weekday,
        user: Id<users::User>,
        roles: Option<Vec<String>>,
    ) -> Result<String> {
        let _ = (user, roles);
        ctx.run_query(two, ()).await?;
        one(ctx, me).await
    }

    #[action]
    pub async fn act(
        ctx: &ActionCtx,
        _caller: &Role<Caller>,
        _weekday: &Weekday,
        user: Id<users::User>,
    ) -> Result<String> {
        ctx.require::<Weekday>().await?;
        ctx.run_action(act, (user,)).await?;
        ctx.run_mutation(with_arguments, (user, None)).await
    }
}

fn main() {
    let registry = functions![guarded::one, guarded::two, guarded::with_arguments, guarded::act];
    let arguments: Vec<_> = registry.iter().map(|function| function.args.to_string()).collect();
    let with_arguments = r#"v.object({roles: v.optional(v.array(v.string())), user: v.id("users")})"#;
    assert_eq!(arguments, [r#"v.object({user: v.id("users")})"#, "v.object({})", "v.object({})", with_arguments]);
}
