//! Which issuers are trusted: the `auth.config` of a project, as values (`spec/auth.md` section 1).
//!
//! [`AuthSettings`] is what an author writes and may refer to environment variables of the deployment;
//! [`AuthConfig`] is what comes out when they are filled in, and what the verifier works with.

use std::collections::BTreeMap;
use std::fmt;

use super::data_url;
use super::issuer_url::{IssuerUrl, IssuerUrlError};

/// The issuer that all applications of one vendor share: without an audience it would let each of them in.
const SHARED_ISSUER: &str = "https://api.workos.com";

/// The providers a deployment trusts, in order: the first that fits a token decides about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// In the order of the configuration.
    pub providers: Vec<Provider>,
    /// Lets keys be fetched over plain http and from addresses that are not public. For development only.
    pub allow_insecure_issuers: bool,
}

/// One trusted issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An OpenID Connect issuer: its keys are found by discovery, its tokens are ID tokens.
    Oidc {
        /// The issuer.
        domain: IssuerUrl,
        /// The only audience a token may have.
        application_id: String,
    },
    /// An issuer of other signed tokens, with its keys at a known address.
    CustomJwt {
        /// The issuer.
        issuer: IssuerUrl,
        /// Where the keys are.
        jwks: JwksSource,
        /// The one algorithm its tokens are signed with.
        algorithm: Algorithm,
        /// An audience each token must have, if any.
        application_id: Option<String>,
    },
}

impl Provider {
    /// The issuer, under whichever name the configuration has it.
    pub fn issuer(&self) -> &IssuerUrl {
        match self {
            Self::Oidc { domain, .. } => domain,
            Self::CustomJwt { issuer, .. } => issuer,
        }
    }

    /// The audience asked for, if one is.
    pub fn application_id(&self) -> Option<&str> {
        match self {
            Self::Oidc { application_id, .. } => Some(application_id),
            Self::CustomJwt { application_id, .. } => application_id.as_deref(),
        }
    }

    /// The kind as the configuration spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Oidc { .. } => "oidc",
            Self::CustomJwt { .. } => "customJwt",
        }
    }
}

/// Where a customJwt provider has its keys. Not checked when it is configured, as the reference does not:
/// a mistake here shows with the first token ([`AuthConfig::warnings`] tells it earlier).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// An address to fetch.
    Url(String),
    /// A `data:` URI, decoded at each use of the configuration and never fetched.
    Data(String),
}

impl JwksSource {
    fn new(text: &str) -> Self {
        let text = text.trim();
        match text.get(..5) {
            Some(scheme) if scheme.eq_ignore_ascii_case("data:") => Self::Data(text.to_owned()),
            _ => Self::Url(text.to_owned()),
        }
    }
}

/// The algorithms a customJwt provider may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Algorithm {
    /// The name in a token's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of a name, which has to be spelt exactly so.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

impl AuthConfig {
    /// What is allowed here but cannot work, or not for long: for the log at start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, provider) in self.providers.iter().enumerate() {
            let issuer = provider.issuer();
            let plain = issuer.url().scheme() == "http" && !issuer.is_loopback();
            if plain && !self.allow_insecure_issuers {
                warnings.push(format!(
                    "provider {index}: keys of {issuer} will not be fetched over plain http; use https, or allow \
                     insecure issuers in development"
                ));
            }
            if let Provider::CustomJwt { jwks, .. } = provider {
                let problem = match jwks {
                    JwksSource::Url(text) => url::Url::parse(text).err().map(|error| error.to_string()),
                    JwksSource::Data(text) => data_url::decode(text).err().map(str::to_owned),
                };
                warnings.extend(problem.map(|problem| format!("provider {index}: \"jwks\" is not usable: {problem}")));
            }
        }
        warnings
    }
}

/// A value of the configuration: written down, or kept in an environment variable of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The value itself.
    Literal(String),
    /// The name of the variable that holds it.
    Env(String),
}

/// A value that is kept in the deployment's environment variable `name`.
pub fn env(name: impl Into<String>) -> Setting {
    Setting::Env(name.into())
}

impl From<&str> for Setting {
    fn from(value: &str) -> Self {
        Self::Literal(value.to_owned())
    }
}

impl From<String> for Setting {
    fn from(value: String) -> Self {
        Self::Literal(value)
    }
}

/// One provider as it is written, before variables are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderSettings {
    /// See [`Provider::Oidc`].
    Oidc {
        /// The issuer.
        domain: Setting,
        /// The audience.
        application_id: Setting,
    },
    /// See [`Provider::CustomJwt`].
    CustomJwt {
        /// The issuer.
        issuer: Setting,
        /// An http(s) address or a `data:` URI.
        jwks: Setting,
        /// The one algorithm.
        algorithm: Algorithm,
        /// An audience, if tokens have to have one.
        application_id: Option<Setting>,
    },
}

/// The auth configuration as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// In order of precedence.
    pub providers: Vec<ProviderSettings>,
    /// See [`AuthConfig::allow_insecure_issuers`].
    pub allow_insecure_issuers: bool,
}

impl AuthSettings {
    /// No provider: every token is refused with `NoAuthProvider`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider behind those already there.
    #[must_use]
    pub fn provider(mut self, provider: impl Into<ProviderSettings>) -> Self {
        self.providers.push(provider.into());
        self
    }

    /// The same with the variables of a deployment, and those of the process where it has none.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_in(&self, deployment: &BTreeMap<String, String>) -> Result<AuthConfig, ConfigError> {
        self.resolve(&|name| deployment.get(name).cloned().or_else(|| std::env::var(name).ok()))
    }

    /// Fills in the variables and checks every provider. Called again at each change of a variable: on an error
    /// the change is undone and the configuration before it stays.
    ///
    /// # Errors
    /// The first provider that cannot be used, and why.
    pub fn resolve(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<AuthConfig, ConfigError> {
        let mut providers = Vec::with_capacity(self.providers.len());
        for (index, settings) in self.providers.iter().enumerate() {
            let value = |setting: &Setting| match setting {
                Setting::Literal(text) => Ok(text.clone()),
                Setting::Env(name) => variable(name).ok_or_else(|| ConfigError::missing_variable(name)),
            };
            let issuer = |text: String| IssuerUrl::parse(&text).map_err(|error| ConfigError::issuer(index, error));
            providers.push(match settings {
                ProviderSettings::Oidc { domain, application_id } => {
                    Provider::Oidc { domain: issuer(value(domain)?)?, application_id: value(application_id)? }
                }
                ProviderSettings::CustomJwt { issuer: name, jwks, algorithm, application_id } => {
                    let issuer = issuer(value(name)?)?;
                    let application_id = application_id.as_ref().map(&value).transpose()?;
                    if application_id.is_none() && issuer.matches(SHARED_ISSUER) {
                        return Err(ConfigError::shared_issuer(index));
                    }
                    let jwks = JwksSource::new(&value(jwks)?);
                    Provider::CustomJwt { issuer, jwks, algorithm: *algorithm, application_id }
                }
            });
        }
        Ok(AuthConfig { providers, allow_insecure_issuers: self.allow_insecure_issuers })
    }

    /// The names of the variables the configuration reads: none of them can be deleted.
    pub fn variables(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .providers
            .iter()
            .flat_map(|provider| match provider {
                ProviderSettings::Oidc { domain, application_id } => vec![domain, application_id],
                ProviderSettings::CustomJwt { issuer, jwks, application_id, .. } => {
                    [issuer, jwks].into_iter().chain(application_id).collect()
                }
            })
            .filter_map(|setting| match setting {
                Setting::Env(name) => Some(name.as_str()),
                Setting::Literal(_) => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl<P: Into<ProviderSettings>> From<P> for AuthSettings {
    fn from(provider: P) -> Self {
        Self::new().provider(provider)
    }
}

/// Any OpenID Connect issuer.
#[derive(Clone, Debug)]
pub struct Oidc<I = Setting, A = Setting> {
    /// The issuer's address: a text, or [`env`].
    pub issuer: I,
    /// The audience of tokens meant for this application.
    pub audience: A,
}

impl Oidc {
    /// The issuer and the audience that two environment variables name.
    pub fn from_env(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { issuer: env(issuer), audience: env(audience) }
    }
}

impl<I: Into<Setting>, A: Into<Setting>> From<Oidc<I, A>> for ProviderSettings {
    fn from(oidc: Oidc<I, A>) -> Self {
        Self::Oidc { domain: oidc.issuer.into(), application_id: oidc.audience.into() }
    }
}

/// An issuer of signed tokens that are not OpenID Connect ID tokens.
#[derive(Clone, Debug)]
pub struct CustomJwt<I = Setting, J = Setting> {
    /// The issuer, as tokens name it.
    pub issuer: I,
    /// The address of its keys, or the keys themselves as a `data:` URI.
    pub jwks: J,
    /// The one algorithm its tokens are signed with.
    pub algorithm: Algorithm,
    /// An audience, if tokens have to have one.
    pub audience: Option<Setting>,
}

impl<I: Into<Setting>, J: Into<Setting>> From<CustomJwt<I, J>> for ProviderSettings {
    fn from(custom: CustomJwt<I, J>) -> Self {
        Self::CustomJwt {
            issuer: custom.issuer.into(),
            jwks: custom.jwks.into(),
            algorithm: custom.algorithm,
            application_id: custom.audience,
        }
    }
}

/// A Clerk instance, by its Frontend API address.
#[derive(Clone, Debug)]
pub struct Clerk(Setting);

impl Clerk {
    /// The audience of Clerk's preset for clients of this protocol, and of its integration.
    pub const AUDIENCE: &str = "convex";

    /// The instance whose address the environment variable `name` holds, by convention `CLERK_JWT_ISSUER_DOMAIN`.
    pub fn from_env(name: impl Into<String>) -> Self {
        Self(env(name))
    }

    /// The instance at an address like `https://quiet-ox-46.clerk.accounts.dev`.
    pub fn at(address: impl Into<Setting>) -> Self {
        Self(address.into())
    }
}

impl From<Clerk> for ProviderSettings {
    fn from(clerk: Clerk) -> Self {
        Self::Oidc { domain: clerk.0, application_id: Clerk::AUDIENCE.into() }
    }
}

/// An Auth0 tenant.
#[derive(Clone, Debug)]
pub struct Auth0 {
    domain: Setting,
    client_id: Setting,
}

impl Auth0 {
    /// The tenant and the application that two environment variables name,
    /// by convention `AUTH0_DOMAIN` and `AUTH0_CLIENT_ID`.
    pub fn from_env(domain: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { domain: env(domain), client_id: env(client_id) }
    }
}

impl From<Auth0> for ProviderSettings {
    fn from(auth0: Auth0) -> Self {
        Self::Oidc { domain: auth0.domain, application_id: auth0.client_id }
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `InvalidAuthConfig` or `AuthConfigMissingEnvironmentVariable`.
    pub code: &'static str,
    /// The unset variable, when that is the reason.
    pub variable: Option<String>,
    /// The provider at fault, counted from 0, when it is one.
    pub provider: Option<usize>,
    message: String,
}

impl ConfigError {
    /// The code of every mistake but a missing variable.
    pub const INVALID: &str = "InvalidAuthConfig";
    /// The code of a missing variable. Tools look for it, and then for the name in the message.
    pub const MISSING_VARIABLE: &str = "AuthConfigMissingEnvironmentVariable";

    pub(super) fn invalid(provider: Option<usize>, message: String) -> Self {
        Self { code: Self::INVALID, variable: None, provider, message }
    }

    fn missing_variable(name: &str) -> Self {
        // The command line finds the name by `/Environment variable (\S+)/i`: a blank has to follow it.
        let message = format!(
            "Environment variable {name} is read by the auth config, but this deployment has no value for it. \
             Set it with: npx convex env set {name} <value>"
        );
        Self { code: Self::MISSING_VARIABLE, variable: Some(name.to_owned()), provider: None, message }
    }

    fn issuer(index: usize, error: IssuerUrlError) -> Self {
        Self::invalid(Some(index), format!("provider {index}: {error}"))
    }

    fn shared_issuer(index: usize) -> Self {
        let message = format!(
            "provider {index}: many applications share the issuer {SHARED_ISSUER}, so \"applicationID\" has to be \
             given, else the tokens of all of them would be accepted"
        );
        Self::invalid(Some(index), message)
    }

    /// The text for a configuration that came with a push of the project.
    pub fn at_push(&self) -> String {
        match self.code {
            Self::MISSING_VARIABLE => self.message.clone(),
            _ => format!("The pushed auth config cannot be used: {}", self.message),
        }
    }

    /// The text for a server that cannot start with it: no tool can set a variable of a server that does not run.
    pub fn at_start(&self) -> String {
        match &self.variable {
            Some(name) => format!(
                "Environment variable {name} is read by the auth config, but neither this deployment nor this process \
                 has a value for it. Start the server with {name}=<value> in its environment; while it runs, \
                 npx convex env set {name} <value> changes it"
            ),
            None => format!("the auth config cannot be used: {}", self.message),
        }
    }

    /// The text for a change of the environment variables `names`, which is not made.
    pub fn at_change_of(&self, names: &str) -> String {
        match &self.variable {
            Some(name) => format!(
                "Environment variable {name} is read by the auth config and has to keep a value; nothing was changed \
                 of {names}"
            ),
            None => format!("nothing was changed of {names}: the auth config would stop working: {}", self.message),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}
