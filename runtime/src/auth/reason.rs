//! Every reason for which a token can be refused, and the checks in the order they are made.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a token was refused. The code of each is stable: logs, metrics and tests go by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons, in the order of the checks that find them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code, in snake case.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

reasons! {
    /// Longer than a token may be (D9).
    TokenTooLarge = "token_too_large",
    /// The payload cannot be decoded (R1).
    PayloadUnreadable = "payload_unreadable",
    /// A registered or standard claim has the wrong type (R2, O5).
    ClaimMistyped = "claim_mistyped",
    /// A date is not between 1970 and 9999 (D1).
    DateOutOfRange = "date_out_of_range",
    /// A claim that may stand once stands twice (R2).
    ClaimRepeated = "claim_repeated",
    /// `sub` is empty (D10).
    SubjectEmpty = "subject_empty",
    /// There is no `iss` (R3).
    IssuerMissing = "issuer_missing",
    /// No provider is configured at all (R4).
    NoProviders = "no_providers",
    /// No configured provider has this issuer (R4).
    IssuerMismatch = "issuer_mismatch",
    /// The issuer fits, the token has no audience (R4).
    AudienceMissing = "audience_missing",
    /// The issuer fits, the audience does not (R4).
    AudienceMismatch = "audience_mismatch",
    /// `iss` of an OIDC token is no absolute URL (D4).
    IssuerNotAbsolute = "issuer_not_absolute",
    /// The issuer's host could not be reached, or answered that it is overloaded (2.6).
    ProviderUnreachable = "provider_unreachable",
    /// An address of the issuer may not be fetched from here (9.3).
    AddressRefused = "address_refused",
    /// The issuer answered with something that cannot be used (2.6, J2).
    ProviderAnswerUnusable = "provider_answer_unusable",
    /// The configured `jwks` is no URL and no readable `data:` URI (J1).
    KeySourceInvalid = "key_source_invalid",
    /// The discovery document names another issuer than the token (O3).
    DocumentIssuerMismatch = "document_issuer_mismatch",
    /// The token does not have three parts (O5, J4).
    PartsNotThree = "parts_not_three",
    /// The header cannot be decoded, or its `alg` is unknown (O5, J4).
    HeaderUnreadable = "header_unreadable",
    /// The signature is not base64url (O5, J4).
    SignatureUnreadable = "signature_unreadable",
    /// A claim that has to be there is not (O5, J8).
    ClaimMissing = "claim_missing",
    /// `typ` says that this is another kind of token (O6).
    TypeRefused = "type_refused",
    /// `cty` says that another token is inside (O6).
    ContentTypeRefused = "content_type_refused",
    /// `crit` asks for extensions that are not known here (O6, D6).
    CriticalRefused = "critical_refused",
    /// The audience holds further values (O8).
    ExtraAudience = "extra_audience",
    /// The algorithm is not one of this provider (O9, J4).
    AlgorithmRefused = "algorithm_refused",
    /// A customJwt token has no `kid` (J4).
    KeyIdMissing = "key_id_missing",
    /// No key has the token's `kid` (O10, J4).
    KeyIdUnknown = "key_id_unknown",
    /// No key fits the token's algorithm (O10, J4).
    KeyUnfit = "key_unfit",
    /// Several keys fit (O10, D7).
    KeyAmbiguous = "key_ambiguous",
    /// The signature is not that of the key (O11, J4).
    SignatureInvalid = "signature_invalid",
    /// `exp` has passed (O12, J7).
    Expired = "expired",
    /// `nbf` is still to come (D3, J7).
    NotYetValid = "not_yet_valid",
    /// `iat` is still to come (J7).
    IssuedInFuture = "issued_in_future",
    /// The claims of a customJwt token grow too large when they are flattened (9.2).
    ClaimsTooLarge = "claims_too_large",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $title:literal,)*) => {
        /// The checks a token goes through.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// What is checked, in a few words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

checks! {
    /// D9.
    Size = "size",
    /// R1.
    Payload = "payload can be read",
    /// R2.
    Claims = "claims have their types",
    /// R3 and R4.
    Issuer = "issuer is configured",
    /// R4.
    Audience = "audience is configured",
    /// D4.
    IssuerForm = "issuer is an absolute URL",
    /// O2 to O4, J1 to J3.
    Keys = "keys of the issuer",
    /// O3.
    DocumentIssuer = "issuer as discovery names it",
    /// O5, J4.
    Header = "header can be read",
    /// O5, J8.
    KindClaims = "claims of this kind of token",
    /// O6.
    Type = "kind of token",
    /// O8.
    OnlyAudience = "no other audience",
    /// O9, J4.
    Algorithm = "algorithm",
    /// O10, J4.
    Key = "key",
    /// O11, J4.
    Signature = "signature",
    /// O12, J7.
    Expiry = "not expired",
    /// D3, J7.
    NotBefore = "already valid",
    /// J7.
    IssuedAt = "not issued in the future",
    /// 3.2, 3.3.
    Identity = "identity",
}

impl Check {
    /// The checks of an OIDC token, in order.
    pub const OIDC: &[Self] = &[
        Self::Size,
        Self::Payload,
        Self::Claims,
        Self::Issuer,
        Self::Audience,
        Self::IssuerForm,
        Self::Keys,
        Self::DocumentIssuer,
        Self::Header,
        Self::KindClaims,
        Self::Type,
        Self::OnlyAudience,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
    ];

    /// The checks of a customJwt token, in order.
    pub const CUSTOM_JWT: &[Self] = &[
        Self::Size,
        Self::Payload,
        Self::Claims,
        Self::Issuer,
        Self::Audience,
        Self::Keys,
        Self::Header,
        Self::Key,
        Self::Algorithm,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
        Self::IssuedAt,
        Self::KindClaims,
        Self::Identity,
    ];
}

/// Where checks that were passed are noted down: nowhere when a token is verified, in a table when it is explained.
pub(super) trait Trail: Send {
    /// Notes that `check` was passed; `facts` gives what was expected and what was found.
    fn passed(&mut self, check: Check, facts: impl FnOnce() -> (String, String));
}

/// Notes nothing.
pub(super) struct NoTrail;

impl Trail for NoTrail {
    fn passed(&mut self, _check: Check, _facts: impl FnOnce() -> (String, String)) {}
}
