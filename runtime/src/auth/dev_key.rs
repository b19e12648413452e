//! The key of the development issuer, and what is signed with it.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::dev_issuer::DevIssuerError;

/// The file in the data folder, PKCS#8 in DER.
const FILE: &str = "dev-issuer-key.der";

/// The value of `cat` in the header of Clerk's tokens, which tells the kind of token.
const CATEGORY: &str = "cl_B7d4PD222AAA";

/// An RSA key with its id.
pub(super) struct DevKey {
    pair: RsaKeyPair,
    kid: String,
}

impl DevKey {
    /// Reads the key in `folder`, or makes one and keeps it there.
    pub(super) fn open(folder: &Path) -> Result<Self, DevIssuerError> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(der) => RsaKeyPair::from_pkcs8(&der).map(Self::new).map_err(|_| DevIssuerError::NoKey(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                let der: Pkcs8V1Der<'_> = key.pair.as_der().map_err(|_| DevIssuerError::Crypto)?;
                keep(&path, der.as_ref()).map_err(DevIssuerError::Key)?;
                Ok(key)
            }
            Err(error) => Err(DevIssuerError::Key(error)),
        }
    }

    /// Makes a key that is kept nowhere.
    pub(super) fn generate() -> Result<Self, DevIssuerError> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Self::new).map_err(|_| DevIssuerError::Crypto)
    }

    fn new(pair: RsaKeyPair) -> Self {
        let thumb = Sha256::digest(pair.public_key().as_ref());
        let kid = format!("ins_dev_{}", hex(&thumb[..8]));
        Self { pair, kid }
    }

    /// The public half, as a key set.
    pub(super) fn jwks(&self) -> Value {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        json!({"keys": [{
            "use": "sig",
            "kty": "RSA",
            "kid": self.kid,
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(public.n),
            "e": URL_SAFE_NO_PAD.encode(public.e),
        }]})
    }

    /// A signed token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": "RS256", "cat": CATEGORY, "kid": self.kid, "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// An id that no other token has.
    pub(super) fn random_id(&self) -> Option<String> {
        let mut bytes = [0; 10];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(hex(&bytes))
    }
}

/// Writes a file that only its owner can read, completely or not at all.
fn keep(path: &Path, der: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(der)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
