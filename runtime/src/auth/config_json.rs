//! Reads the JSON form of an auth configuration, as `auth.config` exports it, and says which provider
//! and which field is wrong (`spec/auth.md` 1.1 and 1.2).

use serde_json::{Map, Value};

use super::config::{Algorithm, AuthSettings, ConfigError, ProviderSettings, Setting};

impl AuthSettings {
    /// Reads `{"providers": [...]}`. A value may be a text, or `{"env": "NAME"}` for a variable of the deployment.
    /// Unknown members are ignored.
    ///
    /// # Errors
    /// `InvalidAuthConfig`, naming the provider, the field, what was expected and what was found.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ConfigError::invalid(None, format!("the auth config is not JSON: {error}")))?;
        let shape = |found: String| {
            let message = format!("the auth config has to be an object with an array \"providers\", found {found}");
            ConfigError::invalid(None, message)
        };
        let Value::Object(config) = value else { return Err(shape(kind_of(&value).to_owned())) };
        let providers = match config.get("providers") {
            Some(Value::Array(providers)) => providers,
            Some(other) => return Err(shape(format!("\"providers\" that is {}", kind_of(other)))),
            None => return Err(shape("an object without \"providers\"".to_owned())),
        };
        let providers = providers.iter().enumerate().map(|(index, value)| provider(index, value));
        Ok(Self { providers: providers.collect::<Result<_, _>>()?, allow_insecure_issuers: false })
    }
}

fn provider(index: usize, value: &Value) -> Result<ProviderSettings, ConfigError> {
    let Value::Object(members) = value else {
        return Err(invalid(index, format!("expected an object, found {}", kind_of(value))));
    };
    let fields = Fields { index, members };
    for misspelt in ["applicationId", "applicationid"] {
        if members.contains_key(misspelt) {
            return Err(invalid(index, format!("found \"{misspelt}\"; the field is spelt \"applicationID\"")));
        }
    }
    match members.get("type") {
        None => fields.oidc(),
        Some(Value::String(kind)) if kind == "oidc" => fields.oidc(),
        Some(Value::String(kind)) if kind == "customJwt" => fields.custom_jwt(),
        Some(other) => {
            let message = format!("\"type\" is {other}; it may be \"oidc\" (or be left out) or \"customJwt\"");
            Err(invalid(index, message))
        }
    }
}

/// The members of the provider at `index`.
struct Fields<'a> {
    index: usize,
    members: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn oidc(&self) -> Result<ProviderSettings, ConfigError> {
        if self.members.contains_key("issuer") {
            let message = "an OIDC provider takes \"domain\", not \"issuer\" (or it lacks \"type\": \"customJwt\")";
            return Err(invalid(self.index, message.to_owned()));
        }
        Ok(ProviderSettings::Oidc { domain: self.text("domain")?, application_id: self.text("applicationID")? })
    }

    fn custom_jwt(&self) -> Result<ProviderSettings, ConfigError> {
        if self.members.contains_key("domain") {
            let message = "a customJwt provider takes \"issuer\", not \"domain\"";
            return Err(invalid(self.index, message.to_owned()));
        }
        Ok(ProviderSettings::CustomJwt {
            issuer: self.text("issuer")?,
            jwks: self.text("jwks")?,
            algorithm: self.algorithm()?,
            application_id: match self.members.get("applicationID") {
                None | Some(Value::Null) => None,
                Some(_) => Some(self.text("applicationID")?),
            },
        })
    }

    fn text(&self, field: &str) -> Result<Setting, ConfigError> {
        let found = match self.members.get(field) {
            Some(Value::String(text)) => return Ok(Setting::Literal(text.clone())),
            Some(Value::Object(reference)) => match reference.get("env") {
                Some(Value::String(name)) => return Ok(Setting::Env(name.clone())),
                _ => "an object",
            },
            Some(other) => kind_of(other),
            None => "nothing",
        };
        Err(invalid(self.index, format!("\"{field}\" has to be a string, found {found}")))
    }

    fn algorithm(&self) -> Result<Algorithm, ConfigError> {
        let found = match self.members.get("algorithm") {
            Some(Value::String(name)) => match Algorithm::parse(name) {
                Some(algorithm) => return Ok(algorithm),
                None => format!("{name:?}"),
            },
            Some(other) => kind_of(other).to_owned(),
            None => "nothing".to_owned(),
        };
        Err(invalid(self.index, format!("\"algorithm\" has to be \"RS256\" or \"ES256\", found {found}")))
    }
}

fn invalid(index: usize, message: String) -> ConfigError {
    ConfigError::invalid(Some(index), format!("provider {index}: {message}"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Clerk, CustomJwt, JwksSource, Oidc, Provider, env};
    use super::*;

    fn resolve(json: &str) -> Result<super::super::config::AuthConfig, ConfigError> {
        AuthSettings::from_json(json)?.resolve(&|name| (name == "CLERK").then(|| "https://x.clerk.accounts.dev".into()))
    }

    fn check_error(json: &str, code: &str, parts: &[&str]) {
        let error = resolve(json).unwrap_err();
        assert_eq!(error.code, code, "{json}");
        for part in parts {
            assert!(error.to_string().contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn both_kinds_are_read_in_order_and_unknown_members_are_ignored() {
        let config = resolve(
            r#"{"x": 1, "providers": [
                {"domain": "a.dev", "applicationID": "one", "y": {}},
                {"type": "oidc", "domain": {"env": "CLERK"}, "applicationID": "two"},
                {"type": "customJwt", "issuer": "https://b.dev/", "jwks": "data:,{}", "algorithm": "ES256",
                 "applicationID": null},
                {"type": "customJwt", "issuer": "https://c.dev", "jwks": "nonsense", "algorithm": "RS256",
                 "applicationID": "three"}]}"#,
        )
        .unwrap();
        let seen: Vec<_> = config
            .providers
            .iter()
            .map(|provider| (provider.kind(), provider.issuer().as_str(), provider.application_id()))
            .collect();
        assert_eq!(
            seen,
            [
                ("oidc", "https://a.dev", Some("one")),
                ("oidc", "https://x.clerk.accounts.dev", Some("two")),
                ("customJwt", "https://b.dev/", None),
                ("customJwt", "https://c.dev", Some("three")),
            ]
        );
        let Provider::CustomJwt { jwks, algorithm, .. } = &config.providers[2] else { panic!() };
        assert_eq!((jwks, algorithm), (&JwksSource::Data("data:,{}".to_owned()), &Algorithm::Es256));
        assert_eq!(config.warnings(), [r#"provider 3: "jwks" is not usable: relative URL without a base"#]);
    }

    /// spec: A7
    #[test]
    fn mistakes_of_shape_name_provider_and_field() {
        let invalid = ConfigError::INVALID;
        let one = |provider: &str| format!(r#"{{"providers": [{provider}]}}"#);
        check_error("", invalid, &["not JSON"]);
        check_error("[]", invalid, &["array \"providers\"", "found an array"]);
        check_error("{}", invalid, &["without \"providers\""]);
        check_error(r#"{"providers": {}}"#, invalid, &["\"providers\" that is an object"]);
        check_error(&one("5"), invalid, &["provider 0", "found a number"]);
        for spelling in ["applicationId", "applicationid"] {
            let json = one(&format!(r#"{{"domain": "a.dev", "{spelling}": "x"}}"#));
            check_error(&json, invalid, &["provider 0", spelling, "\"applicationID\""]);
        }
        check_error(&one(r#"{"type": "saml"}"#), invalid, &["provider 0", "\"saml\"", "\"oidc\"", "\"customJwt\""]);
        check_error(&one(r#"{"type": null}"#), invalid, &["null"]);
        let json = one(r#"{"type": "customJwt", "domain": "a.dev"}"#);
        check_error(&json, invalid, &["provider 0", "\"issuer\", not \"domain\""]);
        let json = one(r#"{"issuer": "a.dev", "applicationID": "x"}"#);
        check_error(&json, invalid, &["provider 0", "\"domain\", not \"issuer\""]);
        check_error(&one(r#"{"applicationID": "x"}"#), invalid, &["\"domain\"", "a string", "nothing"]);
        check_error(&one(r#"{"domain": 5, "applicationID": "x"}"#), invalid, &["\"domain\"", "a number"]);
        check_error(&one(r#"{"domain": "a.dev"}"#), invalid, &["\"applicationID\"", "nothing"]);
        let custom =
            |rest: &str| one(&format!(r#"{{"type": "customJwt", "issuer": "https://a.dev", "jwks": "x"{rest}}}"#));
        check_error(&custom(""), invalid, &["\"algorithm\"", "nothing"]);
        check_error(&custom(r#", "algorithm": "EdDSA""#), invalid, &["\"RS256\" or \"ES256\"", "\"EdDSA\""]);
    }

    /// spec: A2, A4
    #[test]
    fn values_that_do_not_resolve_are_named() {
        let json = r#"{"providers": [{"domain": {"env": "UNSET"}, "applicationID": "x"}]}"#;
        check_error(json, ConfigError::MISSING_VARIABLE, &["Environment variable UNSET ", "env set UNSET"]);
        let error = resolve(json).unwrap_err();
        assert_eq!((error.at_push(), error.variable.as_deref()), (error.to_string(), Some("UNSET")));
        let json = r#"{"providers": [{"domain": "a.dev", "applicationID": ""}, {"domain": "undefined", "applicationID": ""}]}"#;
        check_error(json, ConfigError::INVALID, &["provider 1", "\"undefined\"", "top-level domain"]);
        let error = resolve(json).unwrap_err();
        assert!(
            error
                .at_change_of("V")
                .starts_with("nothing was changed of V: the auth config would stop working: provider 1")
        );
        assert!(error.at_push().contains("pushed auth config"));
        for slash in ["", "/"] {
            let json = format!(
                r#"{{"providers": [{{"type": "customJwt", "issuer": "https://api.workos.com{slash}", "jwks": "x",
                     "algorithm": "RS256"}}]}}"#
            );
            check_error(&json, ConfigError::INVALID, &["many applications share", "\"applicationID\""]);
        }
    }

    #[test]
    fn builders_give_the_same_settings_as_their_json() {
        let settings = AuthSettings::new()
            .provider(Clerk::from_env("CLERK"))
            .provider(Oidc { issuer: "https://a.dev", audience: env("AUDIENCE") })
            .provider(CustomJwt {
                issuer: "https://b.dev",
                jwks: "https://b.dev/keys".to_owned(),
                algorithm: Algorithm::Rs256,
                audience: None,
            });
        let json = r#"{"providers": [
            {"domain": {"env": "CLERK"}, "applicationID": "convex"},
            {"domain": "https://a.dev", "applicationID": {"env": "AUDIENCE"}},
            {"type": "customJwt", "issuer": "https://b.dev", "jwks": "https://b.dev/keys", "algorithm": "RS256"}]}"#;
        assert_eq!(settings, AuthSettings::from_json(json).unwrap());
        assert_eq!(settings.variables(), ["AUDIENCE", "CLERK"]);
        assert_eq!(AuthSettings::from(Clerk::from_env("CLERK")).providers, settings.providers[..1]);
    }

    /// spec: A3
    #[test]
    fn a_plain_http_issuer_is_no_error_but_a_warning() {
        let json = |host: &str| format!(r#"{{"providers": [{{"domain": "http://{host}", "applicationID": "x"}}]}}"#);
        assert_eq!(resolve(&json("127.0.0.1:3210")).unwrap().warnings(), Vec::<String>::new());
        assert!(resolve(&json("id.acme.dev")).unwrap().warnings()[0].contains("plain http"));
    }
}
