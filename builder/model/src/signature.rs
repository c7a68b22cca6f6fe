//! Ed25519 signatures of store paths, with keys in Nix's form.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::encoding::{decode_base64, encode_base64};
use crate::hash::Hash;
use crate::store_path::StorePath;

/// Why a text is no key or signature, in the words of Nix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("key is corrupt")]
    Corrupt,
    #[error("invalid character in Base64 string")]
    Base64,
    #[error("public key is not valid")]
    PublicKey,
    #[error("secret key is not valid")]
    SecretKey,
    #[error("signature is not valid")]
    Signature,
}

/// What is signed of a store path. `references` are all of them, the path itself included if it refers to itself, in order.
pub fn fingerprint<'a>(
    path: &StorePath,
    nar_hash: &Hash,
    nar_size: u64,
    references: impl IntoIterator<Item = &'a StorePath>,
) -> String {
    let references: Vec<_> = references.into_iter().map(StorePath::to_string).collect();
    format!("1;{path};{};{nar_size};{}", nar_hash.to_prefixed_nix32(), references.join(","))
}

/// A key that verifies: `NAME:BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub name: String,
    key: VerifyingKey,
}

/// A key that signs: `NAME:BASE64` of the seed and the public key.
#[derive(Clone)]
pub struct SecretKey {
    pub name: String,
    key: SigningKey,
}

/// A signature and the name of the key that made it: `NAME:BASE64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    pub key_name: String,
    bytes: [u8; 64],
}

impl PublicKey {
    /// Whether `signature` was made by this key's secret key for `message`, usually a [`fingerprint`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        self.name == signature.key_name && self.key.verify_strict(message, &bytes).is_ok()
    }
}

impl SecretKey {
    /// A key from 32 bytes that must come from a source of randomness.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> SecretKey {
        SecretKey { name: name.to_owned(), key: SigningKey::from_bytes(seed) }
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature { key_name: self.name.clone(), bytes: self.key.sign(message).to_bytes() }
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }
}

impl fmt::Debug for SecretKey {
    /// Only the name: secrets do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for SecretKey {
    /// The secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, encode_base64(&self.key.to_keypair_bytes()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, encode_base64(self.key.as_bytes()))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, encode_base64(&self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = split(text)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| SignatureError::PublicKey)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SignatureError::PublicKey)?;
        Ok(PublicKey { name, key })
    }
}

impl FromStr for SecretKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = split(text)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| SignatureError::SecretKey)?;
        let key = SigningKey::from_keypair_bytes(bytes).map_err(|_| SignatureError::SecretKey)?;
        Ok(SecretKey { name, key })
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (key_name, bytes) = split(text)?;
        let bytes = bytes.try_into().map_err(|_| SignatureError::Signature)?;
        Ok(Signature { key_name, bytes })
    }
}

fn split(text: &str) -> Result<(String, Vec<u8>), SignatureError> {
    match text.trim_end().split_once(':') {
        Some((name, base64)) if !name.is_empty() && !base64.is_empty() => {
            Ok((name.to_owned(), decode_base64(base64).ok_or(SignatureError::Base64)?))
        }
        _ => Err(SignatureError::Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Algorithm;

    // A key that `nix key generate-secret` made for this test, and what Nix 2.34.8 signed with it.
    const SECRET: &str =
        "test-1:44Keg4nQAJGsGiJeA3XJOWAhZWEt+Lv3SMzORhQI5H8+Fd6CTQAuT/XKJtTRdj1doyMgEDV1rFaUPoCXlk3CMQ==";
    const PUBLIC: &str = "test-1:PhXegk0ALk/1yibU0XY9XaMjIBA1daxWlD6Al5ZNwjE=";
    const SELF_SIGNATURE: &str =
        "test-1:gAKgmvmi2t1i0GX4S2RA6obOgqcqd1Ou+3rrio/r5cXDwZteLg8AOrbABhl/t/YuJ1zrYXYqP/WbspYTaxnKDw==";
    const PLAIN_SIGNATURE: &str =
        "test-1:k1zgEuYnMinLn96JKcyjlEd2BJ5u51cc3e5hThGNHZ7X1hZJDLfUzzwSS3M/5FFj4A3F2zc1NhuFy8HgGuBlBw==";

    fn path(base_name: &str) -> StorePath {
        StorePath::from_base_name(base_name).unwrap()
    }

    #[test]
    fn signs_and_verifies_as_nix() {
        let secret: SecretKey = SECRET.parse().unwrap();
        let public: PublicKey = PUBLIC.parse().unwrap();
        assert_eq!((secret.to_string(), public.to_string()), (SECRET.to_owned(), PUBLIC.to_owned()));
        assert_eq!(secret.public_key(), public);
        let this = path("45bl2kd63ilpq0far1vsp81impl9r2sv-self");
        let references = [this.clone(), path("k0bq3s4hdvxal217l04jr24n8jm5l29g-dep")];
        let hash = Hash::parse("sha256-1MhzEEmSZFsGC30Nsj2OYavdc/7jPEi+JELcBlh5FFE=", None).unwrap();
        let with_references = fingerprint(&this, &hash, 1056, &references);
        let hash = Hash::parse("sha256-h7s3RgGVziQCekdMGpDdezsNNpttdadJji2qGuVATG8=", None).unwrap();
        let plain = fingerprint(&path("m8zlsa4npn5h7jlb9y9fhq4d90p2xkap-a.nix"), &hash, 2120, []);
        for (text, signature) in [(&with_references, SELF_SIGNATURE), (&plain, PLAIN_SIGNATURE)] {
            assert_eq!(secret.sign(text.as_bytes()).to_string(), signature);
            assert!(public.verify(text.as_bytes(), &signature.parse().unwrap()));
        }
        assert!(!public.verify(plain.as_bytes(), &SELF_SIGNATURE.parse().unwrap()));
        let other_name = PLAIN_SIGNATURE.replace("test-1", "test-2").parse().unwrap();
        assert!(!public.verify(plain.as_bytes(), &other_name));
    }

    #[test]
    fn refuses_what_is_no_key() {
        for (text, error) in [
            ("bad", SignatureError::Corrupt),
            (":xx", SignatureError::Corrupt),
            ("bad:", SignatureError::Corrupt),
            ("bad:xx", SignatureError::PublicKey),
            ("bad:!!", SignatureError::Base64),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(error), "{text}");
        }
        assert_eq!("x:AAAA".parse::<SecretKey>().unwrap_err(), SignatureError::SecretKey);
        assert_eq!("x:AAAA".parse::<Signature>().unwrap_err(), SignatureError::Signature);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let shown = format!("{:?}", SecretKey::from_seed("name", &[1; 32]));
        assert_eq!(shown, "SecretKey { name: \"name\", .. }");
        let fresh =
            SecretKey::from_seed("name", &Hash::of(Algorithm::Sha256, b"x").as_bytes().try_into().unwrap());
        assert!(fresh.public_key().verify(b"m", &fresh.sign(b"m")));
    }
}
