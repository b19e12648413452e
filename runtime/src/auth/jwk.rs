//! Public keys of an issuer: which of a key set can be used, and which of those a token asks for
//! (`spec/auth.md` 2.4).
//!
//! Algorithms come from the configuration, the kind of key has to fit the algorithm, and there is no code here
//! that verifies with a shared secret: a token cannot choose how it is verified.
//!
//! Keys are parsed once, when they are loaded, by the crypto library itself rather than at each verification
//! by a token library: that is 15 percent faster, finds a bad key early, and needs no process-wide choice of a backend.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::config::Algorithm;
use super::json::Members;
use super::rejection::shown;

/// How many keys of a set are looked at.
///
/// Source: `spec/auth.md` 2.5. Issuers have one to four.
const KEYS_MAX: usize = 100;

/// The algorithms that are implemented at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    Rs256,
    Es256,
    EdDsa,
}

impl Signing {
    /// The algorithm of a name in a token's header, in exactly that spelling.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl From<Algorithm> for Signing {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Es256 => Self::Es256,
        }
    }
}

/// A public key that can verify.
#[derive(Clone)]
pub(super) struct Key {
    kid: Option<String>,
    /// The algorithm the key is meant for, if its owner says so.
    alg: Option<String>,
    /// The only algorithm its kind fits.
    signing: Signing,
    public: ParsedPublicKey,
}

impl Key {
    /// Whether `signature` is this key's signature of `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn fits(&self, signing: Signing) -> bool {
        self.signing == signing && self.alg.as_deref().is_none_or(|alg| alg == signing.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("alg", &self.alg).field("signing", &self.signing).finish()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, &self.alg, self.signing) == (&other.kid, &other.alg, other.signing)
            && self.public.as_ref() == other.public.as_ref()
    }
}

/// The keys of an issuer that can be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySet {
    keys: Vec<Key>,
    /// What is in the set and cannot be used, and why: for messages.
    skipped: Vec<String>,
}

/// Why a set has no key for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// No key has the token's id.
    UnknownId,
    /// Keys were found, but none for this algorithm.
    Unfit,
    /// More than one fits.
    Ambiguous(usize),
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that cannot be used are left out, with the reason in [`KeySet::describe`].
    ///
    /// # Errors
    /// The text is no JSON object with an array `keys`.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let set: Set<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut found = Self::default();
        for (position, key) in set.keys.iter().enumerate() {
            if position == KEYS_MAX {
                found.skipped.push(format!("{} keys after the first {KEYS_MAX}", set.keys.len() - KEYS_MAX));
                break;
            }
            match read_key(key.get()) {
                Ok(key) => found.keys.push(key),
                Err(why) => found.skipped.push(format!("key {position}: {why}")),
            }
        }
        Ok(found)
    }

    /// The one key that a token asks for.
    ///
    /// # Errors
    /// There is none, or it is not clear which.
    pub(super) fn choose(&self, kid: Option<&str>, signing: Signing) -> Result<&Key, NoKey> {
        let named = self.keys.iter().filter(|key| kid.is_none() || key.kid() == kid);
        let fitting: Vec<&Key> = named.clone().filter(|key| key.fits(signing)).collect();
        match fitting[..] {
            [key] => Ok(key),
            [] if named.count() > 0 => Err(NoKey::Unfit),
            [] => Err(NoKey::UnknownId),
            _ => Err(NoKey::Ambiguous(fitting.len())),
        }
    }

    /// The ids of the keys, those without one as an empty text.
    pub(super) fn ids(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.kid().unwrap_or_default()).collect()
    }

    /// What the set holds, for a message.
    pub(super) fn describe(&self) -> String {
        const NAMED_MAX: usize = 5;
        let mut text = match self.keys.len() {
            0 => "no usable key".to_owned(),
            _ => {
                let named: Vec<String> = self.ids().iter().take(NAMED_MAX).map(|id| shown(id)).collect();
                named.join(", ")
            }
        };
        if self.keys.len() > NAMED_MAX {
            text.push_str(&format!(", and {} more", self.keys.len() - NAMED_MAX));
        }
        if let Some(first) = self.skipped.first() {
            text.push_str(&format!("; not usable: {first}"));
        }
        text
    }
}

/// Reads one key.
fn read_key(text: &str) -> Result<Key, String> {
    let members = Members::parse(text, &["kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"])
        .map_err(|_| "it is not an object".to_owned())?;
    let string =
        |name: &str| members.text(name).map_err(|found| format!("its \"{name}\" is not a string but of type {found}"));
    let bytes = |name: &str| {
        let text = string(name)?.ok_or_else(|| format!("it has no \"{name}\""))?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| format!("its \"{name}\" is not base64url"))
    };
    if members.get("d").is_some() {
        // Whoever can read the set can sign with such a key.
        return Err("it contains the private key (\"d\"); publish the public half only".to_owned());
    }
    if let Some(purpose) = string("use")?
        && purpose != "sig"
    {
        return Err(format!("its \"use\" is {}", shown(&purpose)));
    }
    let kind = string("kty")?.ok_or("it has no \"kty\"")?;
    let curve = string("crv")?.unwrap_or_default();
    let (signing, public) = match (kind.as_str(), curve.as_str()) {
        ("RSA", _) => (Signing::Rs256, rsa(&bytes("n")?, &bytes("e")?)?),
        ("EC", "P-256") => (Signing::Es256, p256(&bytes("x")?, &bytes("y")?)?),
        ("OKP", "Ed25519") => (Signing::EdDsa, ed25519(&bytes("x")?)?),
        (kind, "") => return Err(format!("keys of kind {} are not supported", shown(kind))),
        (kind, curve) => return Err(format!("keys of kind {} {} are not supported", shown(kind), shown(curve))),
    };
    Ok(Key { kid: string("kid")?, alg: string("alg")?, signing, public })
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<ParsedPublicKey, String> {
    let modulus = without_leading_zeros(modulus);
    let exponent = without_leading_zeros(exponent);
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(format!("its RSA modulus has {bits} bits; 2048 to 8192 are accepted"));
    }
    // An exponent of one makes every message its own signature; even ones do not exist.
    if exponent == [1] || exponent.last().is_none_or(|last| last % 2 == 0) {
        return Err("its RSA exponent is not usable".to_owned());
    }
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| "its RSA numbers make no key".to_owned())
}

fn p256(x: &[u8], y: &[u8]) -> Result<ParsedPublicKey, String> {
    if x.len() != 32 || y.len() != 32 {
        return Err("its coordinates do not have 32 bytes each".to_owned());
    }
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| "its point is not on the curve P-256".to_owned())
}

fn ed25519(x: &[u8]) -> Result<ParsedPublicKey, String> {
    ParsedPublicKey::new(&ED25519, x).map_err(|_| "its \"x\" is no Ed25519 key".to_owned())
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
