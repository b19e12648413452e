//! `auth explain` and `auth check`: what is wrong with a token, or with a provider, before anybody signs in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::auth::{AuthSettings, Clerk, ConfigError, Oidc, ProviderCheck, Verifier, explain};
use crate::clock::SystemClock;
use crate::{Server, ServerError};

#[derive(Args)]
#[group(id = "auth")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes every check of a token and says which fails; ends with 1 when the token would be refused.
    Explain(Explain),
    /// Fetches discovery and keys of the providers, and compares clocks.
    Check(Providers),
}

#[derive(Args)]
struct Explain {
    /// The token; read from standard input when it is left out or `-`.
    token: Option<String>,
    #[command(flatten)]
    providers: Providers,
}

#[derive(Args)]
struct Providers {
    /// Issuer to check against, instead of the application's own providers.
    #[arg(long)]
    issuer: Option<String>,
    /// Audience to check against; what Clerk's template sets when it is left out.
    #[arg(long, default_value = "convex")]
    audience: String,
}

/// The settings to check against: the ones named, the application's own, or Clerk's usual variable.
fn settings(own: AuthSettings, providers: &Providers) -> AuthSettings {
    match &providers.issuer {
        Some(issuer) => {
            AuthSettings::new().provider(Oidc { issuer: issuer.as_str(), audience: providers.audience.as_str() })
        }
        None if own.providers.is_empty() => AuthSettings::new().provider(Clerk::from_env("CLERK_JWT_ISSUER_DOMAIN")),
        None => own,
    }
}

/// Why a command could not be done.
#[derive(Debug)]
enum Failure {
    /// The providers cannot be used as they are configured.
    Config(ConfigError),
    /// The token cannot be read.
    Input(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Config(ConfigError { variable: Some(name), .. }) => write!(
                f,
                "the auth config reads the variable {name}, which is not set here. Set it for this command \
                 ({name}=<value> before it; npx convex env get {name} prints the deployment's), or name an issuer with \
                 --issuer (that of a server in development is http://127.0.0.1:3210/dev-issuer while it runs)"
            ),
            Failure::Config(error) => write!(f, "the auth config cannot be used: {error}"),
            Failure::Input(cause) => write!(f, "the token cannot be read from standard input: {cause}"),
        }
    }
}

/// Answers whether all is well; what is not has been said.
pub(super) async fn run(server: &Server, arguments: Arguments) -> Result<bool, ServerError> {
    Ok(examine(server, arguments).await.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        false
    }))
}

#[expect(clippy::print_stdout, reason = "the explanation is the output")]
async fn examine(server: &Server, arguments: Arguments) -> Result<bool, Failure> {
    let verifier = |providers: &Providers| {
        let config =
            settings(server.auth_settings(), providers).resolve_in(&BTreeMap::new()).map_err(Failure::Config)?;
        Ok(Verifier::new(config, server.issuer_documents(), Arc::new(SystemClock::new())))
    };
    match arguments.command {
        Command::Explain(Explain { token, providers }) => {
            let token = match token {
                Some(token) if token != "-" => token,
                _ => std::io::read_to_string(std::io::stdin()).map_err(Failure::Input)?,
            };
            let explanation = explain(&verifier(&providers)?, token.trim()).await;
            print!("{explanation}");
            Ok(explanation.is_accepted())
        }
        Command::Check(providers) => {
            let checks = verifier(&providers)?.check_providers().await;
            for check in &checks {
                print!("{check}");
            }
            Ok(checks.iter().all(ProviderCheck::is_well))
        }
    }
}
