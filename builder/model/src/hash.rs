//! Hashes: the five algorithms of Nix, computing, printing and parsing.

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest;
use thiserror::Error;

use crate::encoding::{self, base16_length, base64_length, nix32_length};

/// A hash algorithm that Nix knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Blake3,
}

impl Algorithm {
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3];

    /// The size of its digests, in bytes.
    pub const fn size(self) -> usize {
        match self {
            Algorithm::Md5 => 16,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 | Algorithm::Blake3 => 32,
            Algorithm::Sha512 => 64,
        }
    }

    /// The name as in `sha256:...`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
            Algorithm::Blake3 => "blake3",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| HashError::UnknownAlgorithm(text.to_owned()))
    }
}

/// Why a text is no hash, in the words of Nix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    #[error("unknown hash algorithm '{0}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")]
    UnknownAlgorithm(String),
    #[error("hash '{0}' does not include a type, nor is the type otherwise known from context")]
    NoAlgorithm(String),
    #[error("hash '{hash}' should have type '{expected}'")]
    OtherAlgorithm { hash: String, expected: Algorithm },
    #[error("hash '{hash}' has wrong length for hash algorithm '{algorithm}'")]
    WrongLength { hash: String, algorithm: Algorithm },
    #[error("invalid {encoding} hash '{hash}', length {length} != expected length {expected}")]
    Invalid { encoding: &'static str, hash: String, length: usize, expected: usize },
    #[error("hash '{0}' is not SRI")]
    NotSri(String),
    #[error("a {algorithm} digest has {} bytes, not {length}", algorithm.size())]
    WrongSize { algorithm: Algorithm, length: usize },
}

const MAX_SIZE: usize = 64;

/// A digest and the algorithm that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algorithm: Algorithm,
    /// Bytes beyond the algorithm's size are zero.
    bytes: [u8; MAX_SIZE],
}

impl Hash {
    /// The hash of `data`.
    pub fn of(algorithm: Algorithm, data: &[u8]) -> Hash {
        match algorithm {
            Algorithm::Md5 => Hash::new(algorithm, &md5::Md5::digest(data)),
            Algorithm::Sha1 => Hash::new(algorithm, &sha1::Sha1::digest(data)),
            Algorithm::Sha256 => Hash::new(algorithm, &sha2::Sha256::digest(data)),
            Algorithm::Sha512 => Hash::new(algorithm, &sha2::Sha512::digest(data)),
            Algorithm::Blake3 => Hash::new(algorithm, blake3::hash(data).as_bytes()),
        }
    }

    /// A digest computed elsewhere; its length must be the algorithm's.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Hash, HashError> {
        if bytes.len() != algorithm.size() {
            return Err(HashError::WrongSize { algorithm, length: bytes.len() });
        }
        Ok(Hash::new(algorithm, bytes))
    }

    /// The digest of zeros that stands for a hash not known yet, as `lib.fakeHash` and an empty `outputHash`.
    pub fn zero(algorithm: Algorithm) -> Hash {
        Hash { algorithm, bytes: [0; MAX_SIZE] }
    }

    fn new(algorithm: Algorithm, digest: &[u8]) -> Hash {
        let mut hash = Hash::zero(algorithm);
        hash.bytes[..digest.len()].copy_from_slice(digest);
        hash
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size()]
    }

    /// Hexadecimal digits, without the algorithm.
    pub fn to_base16(&self) -> String {
        encoding::encode_base16(self.as_bytes())
    }

    /// Nix's base32, without the algorithm.
    pub fn to_nix32(&self) -> String {
        encoding::encode_nix32(self.as_bytes())
    }

    /// Base64 with padding, without the algorithm.
    pub fn to_base64(&self) -> String {
        encoding::encode_base64(self.as_bytes())
    }

    /// `sha256-BASE64`.
    pub fn to_sri(&self) -> String {
        format!("{}-{}", self.algorithm, self.to_base64())
    }

    /// `sha256:NIX32`, the form of NAR hashes and content addresses.
    pub fn to_prefixed_nix32(&self) -> String {
        format!("{}:{}", self.algorithm, self.to_nix32())
    }

    /// `sha256:BASE16`, the form in fingerprints of store paths.
    pub fn to_prefixed_base16(&self) -> String {
        format!("{}:{}", self.algorithm, self.to_base16())
    }

    /// XORs the digest down to `size` bytes, as the hash parts of store paths are made.
    pub(crate) fn compress<const SIZE: usize>(&self) -> [u8; SIZE] {
        let mut result = [0; SIZE];
        for (i, byte) in self.as_bytes().iter().enumerate() {
            result[i % SIZE] ^= byte;
        }
        result
    }

    /// Reads `ALGORITHM-BASE64`, `ALGORITHM:DIGITS` or, if the algorithm is given, bare `DIGITS`; digits are base16, Nix's
    /// base32 or base64, told apart by their number. An algorithm in the text must be the given one.
    pub fn parse(text: &str, algorithm: Option<Algorithm>) -> Result<Hash, HashError> {
        let (prefix, digits, sri) = match (text.split_once(':'), text.split_once('-')) {
            (Some((prefix, digits)), _) => (Some(prefix), digits, false),
            (None, Some((prefix, digits))) => (Some(prefix), digits, true),
            (None, None) => (None, text, false),
        };
        let stated = prefix.map(Algorithm::from_str).transpose()?;
        let algorithm = match (stated, algorithm) {
            (None, None) => return Err(HashError::NoAlgorithm(digits.to_owned())),
            (Some(stated), Some(expected)) if stated != expected => {
                return Err(HashError::OtherAlgorithm { hash: text.to_owned(), expected });
            }
            (Some(known), _) | (None, Some(known)) => known,
        };
        Hash::parse_digits(digits, algorithm, sri)
    }

    /// Reads `ALGORITHM-BASE64` and nothing else.
    pub fn parse_sri(text: &str) -> Result<Hash, HashError> {
        let (prefix, digits) = text.split_once('-').ok_or_else(|| HashError::NotSri(text.to_owned()))?;
        Hash::parse_digits(digits, prefix.parse()?, true)
    }

    /// Reads `ALGORITHM:DIGITS` and nothing else.
    pub fn parse_prefixed(text: &str) -> Result<Hash, HashError> {
        let (prefix, digits) = text.split_once(':').ok_or_else(|| HashError::NoAlgorithm(text.to_owned()))?;
        Hash::parse_digits(digits, prefix.parse()?, false)
    }

    fn parse_digits(digits: &str, algorithm: Algorithm, sri: bool) -> Result<Hash, HashError> {
        let size = algorithm.size();
        let (encoding, bytes) = match digits.len() {
            _ if sri => ("SRI", encoding::decode_base64(digits)),
            n if n == base16_length(size) => ("base16", encoding::decode_base16(digits)),
            n if n == nix32_length(size) => ("nix32", encoding::decode_nix32(digits)),
            n if n == base64_length(size) => ("Base64", encoding::decode_base64(digits)),
            _ => return Err(HashError::WrongLength { hash: digits.to_owned(), algorithm }),
        };
        // Nix reports undecodable digits as a digest of length 0.
        let bytes = bytes.unwrap_or_default();
        Hash::from_bytes(algorithm, &bytes).map_err(|_| HashError::Invalid {
            encoding,
            hash: digits.to_owned(),
            length: bytes.len(),
            expected: size,
        })
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sri())
    }
}

/// Computes a hash of data that comes in pieces.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Hasher {
        Hasher(match algorithm {
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        })
    }

    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Md5(state) => state.update(data),
            State::Sha1(state) => state.update(data),
            State::Sha256(state) => state.update(data),
            State::Sha512(state) => state.update(data),
            State::Blake3(state) => {
                state.update(data);
            }
        }
    }

    pub fn finish(self) -> Hash {
        match self.0 {
            State::Md5(state) => Hash::new(Algorithm::Md5, &state.finalize()),
            State::Sha1(state) => Hash::new(Algorithm::Sha1, &state.finalize()),
            State::Sha256(state) => Hash::new(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => Hash::new(Algorithm::Sha512, &state.finalize()),
            State::Blake3(state) => Hash::new(Algorithm::Blake3, state.finalize().as_bytes()),
        }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5_OF_NOTHING: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn pieces_hash_as_the_whole() {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"ab");
            hasher.update(b"c");
            assert_eq!(hasher.finish(), Hash::of(algorithm, b"abc"));
        }
    }

    #[test]
    fn parses_what_it_prints() {
        for algorithm in Algorithm::ALL {
            let hash = Hash::of(algorithm, b"x");
            for text in [hash.to_sri(), hash.to_prefixed_base16(), hash.to_prefixed_nix32()] {
                assert_eq!(Hash::parse(&text, None).unwrap(), hash);
                assert_eq!(Hash::parse(&text, Some(algorithm)).unwrap(), hash);
            }
            for text in [hash.to_base16(), hash.to_nix32(), hash.to_base64()] {
                assert_eq!(Hash::parse(&text, Some(algorithm)).unwrap(), hash);
            }
        }
    }

    #[test]
    fn is_as_lenient_as_nix() {
        for text in [
            "md5-1B2M2Y8AsgTpgAmY7PhCfg",
            "md5-1B2M2Y8AsgTpgAmY7PhCfv==",
            "md5:1B2M2Y8AsgTpgAmY7PhCfg==",
            "md5:D41D8CD98F00B204E9800998ECF8427E",
        ] {
            assert_eq!(Hash::parse(text, None).unwrap().to_base16(), MD5_OF_NOTHING);
        }
    }

    /// Texts and the messages of Nix 2.34.8 for them (`builtins.convertHash`).
    #[test]
    fn refuses_in_the_words_of_nix() {
        let md5 = Some(Algorithm::Md5);
        for (text, algorithm, message) in [
            ("sha256-xx", None, "invalid SRI hash 'xx', length 1 != expected length 32"),
            ("sha256:xx", None, "hash 'xx' has wrong length for hash algorithm 'sha256'"),
            ("xx", None, "hash 'xx' does not include a type, nor is the type otherwise known from context"),
            (
                "d41d8cd98f00b204e9800998ecf8427g",
                md5,
                "invalid base16 hash 'd41d8cd98f00b204e9800998ecf8427g', length 0 != expected length 16",
            ),
            (
                "1B2M2Y8AsgTpgAmY7PhCf!==",
                md5,
                "invalid Base64 hash '1B2M2Y8AsgTpgAmY7PhCf!==', length 0 != expected length 16",
            ),
            (
                "zzzzzzzzzzzzzzzzzzzzzzzzzz",
                md5,
                "invalid nix32 hash 'zzzzzzzzzzzzzzzzzzzzzzzzzz', length 17 != expected length 16",
            ),
            (
                "sha1:d41d8cd98f00b204e9800998ecf8427g",
                md5,
                "hash 'sha1:d41d8cd98f00b204e9800998ecf8427g' should have type 'md5'",
            ),
            (
                "MD5-1B2M2Y8AsgTpgAmY7PhCfg",
                None,
                "unknown hash algorithm 'MD5', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'",
            ),
        ] {
            assert_eq!(Hash::parse(text, algorithm).unwrap_err().to_string(), message);
        }
    }
}
