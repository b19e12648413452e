//! The functions under `_system/` that official tools call. Only administrators see them; to everyone else they look
//! missing, like any internal function. Their modules are named as tools spell the paths.

use syncline_functions::functions;
use syncline_functions::registry::Registry;

/// What the paths of all of them begin with. An application has no functions there.
pub(crate) const PREFIX: &str = "_system/";

/// All of them.
pub(crate) fn registry() -> Registry {
    functions![_system::cli::queryEnvironmentVariables::default, _system::cli::queryEnvironmentVariables::get]
}

mod _system {
    pub(super) mod cli {
        /// `npx convex env list` and `env get`. Source: http-and-cli 5.1 and 6.
        #[expect(non_snake_case, reason = "as tools spell it")]
        pub(in super::super) mod queryEnvironmentVariables {
            use syncline_functions::{Object, QueryCtx, Result, query};

            /// One variable.
            #[derive(Object)]
            pub(crate) struct Variable {
                name: String,
                value: String,
            }

            /// All variables that are set, by name.
            #[query(internal)]
            pub(crate) async fn default(ctx: &QueryCtx) -> Result<Vec<Variable>> {
                let all = ctx.env.all().await?;
                Ok(all.into_iter().map(|(name, value)| Variable { name, value }).collect())
            }

            /// One variable, null when it is not set.
            #[query(internal)]
            pub(crate) async fn get(ctx: &QueryCtx, name: String) -> Result<Option<Variable>> {
                Ok(ctx.env.get(&name).await?.map(|value| Variable { name, value }))
            }
        }
    }
}
