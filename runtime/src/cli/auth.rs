//! `auth explain` and `auth check`: what is wrong with a token, or with a provider, before anybody signs in.

use std::io::Read as _;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::ServerError;
use crate::auth::{AuthSettings, Clerk, HttpFetch, Oidc, ProviderCheck, Redaction, Verifier, explain};
use crate::clock::SystemClock;

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

/// Answers whether all is well.
#[expect(clippy::print_stdout, reason = "the explanation is the output")]
pub(super) async fn run(own: AuthSettings, arguments: Arguments) -> Result<bool, ServerError> {
    let verifier = |providers: &Providers| -> Result<Verifier, ServerError> {
        let config = settings(own, providers).resolve(&|name| std::env::var(name).ok())?;
        Ok(Verifier::new(config, Arc::new(HttpFetch::default()), Arc::new(SystemClock::new())))
    };
    match arguments.command {
        Command::Explain(Explain { token, providers }) => {
            let token = match token {
                Some(token) if token != "-" => token,
                _ => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text)?;
                    text
                }
            };
            let explanation = explain(&verifier(&providers)?, token.trim()).await;
            println!("{explanation}");
            Ok(explanation.is_accepted())
        }
        Command::Check(providers) => {
            let mut well = true;
            for ProviderCheck { provider, keys, clock_ahead_s } in verifier(&providers)?.check_providers().await {
                println!("{} provider {}", provider.kind(), provider.issuer());
                match &keys {
                    Ok(keys) => println!("  ✓ keys: {keys}"),
                    Err(rejection) => println!("  ✗ keys: {}", rejection.message(Redaction::Development)),
                }
                if let Some(ahead) = clock_ahead_s {
                    println!("  this machine's clock is {ahead} s ahead of the issuer's");
                }
                well &= keys.is_ok();
            }
            Ok(well)
        }
    }
}
