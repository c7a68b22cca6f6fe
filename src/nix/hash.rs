//! `nix-hash`: hashes of files and folders, and the notations of hashes.

use std::{ffi::OsString, process::ExitCode};

use zeval_model::{Algorithm, ContentMethod, Hash, ingest};

use super::{
    flags::{self, Rest},
    nix_store::{existing, parse_algorithm},
    outcome::{Outcome, end},
};

const HELP: &str = "Usage: nix-hash [FLAGS] FILE...
       nix-hash --to-base16|--to-base32|--to-base64|--to-sri HASH...

  --flat             Hash the bytes of a file, not its archive (NAR)
  --type ALGORITHM   md5 [default], sha1, sha256, sha512 or blake3
  --base16 [default], --base32, --base64, --sri
  --truncate         Fold the hash to 160 bits
";

/// How a hash is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Notation {
    #[default]
    Base16,
    Nix32,
    Base64,
    Sri,
}

impl Notation {
    /// The notation of a name, such as `sri`.
    pub fn of(name: &str) -> Option<Notation> {
        Some(match name {
            "base16" => Notation::Base16,
            "nix32" | "base32" => Notation::Nix32,
            "base64" => Notation::Base64,
            "sri" => Notation::Sri,
            _ => return None,
        })
    }

    /// A hash in this notation.
    pub fn write(self, hash: &Hash) -> String {
        match self {
            Notation::Base16 => hash.to_base16(),
            Notation::Nix32 => hash.to_nix32(),
            Notation::Base64 => hash.to_base64(),
            Notation::Sri => hash.to_sri(),
        }
    }
}

#[derive(Default)]
struct Options {
    algorithm: Option<String>,
    notation: Notation,
    convert: bool,
    flat: bool,
    truncate: bool,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        match flag {
            "--flat" => self.flat = true,
            "--truncate" => self.truncate = true,
            "--type" => self.algorithm = Some(rest.value(flag)?.to_string_lossy().into_owned()),
            _ => {
                let name = flag.trim_start_matches("--");
                let convert = name.strip_prefix("to-");
                let Some(notation) = Notation::of(convert.unwrap_or(name)) else { return Ok(false) };
                self.notation = notation;
                self.convert |= convert.is_some();
            }
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let common = flags::read("nix-hash", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    match common {
        Ok(common) => end("nix-hash", print_all(&options, &common.operands)),
        Err(code) => code,
    }
}

fn print_all(options: &Options, operands: &[OsString]) -> Outcome<()> {
    let algorithm = options.algorithm.as_deref().map(parse_algorithm).transpose()?;
    for operand in operands {
        if options.convert {
            let hash = Hash::parse(&operand.to_string_lossy(), algorithm)?;
            println!("{}", options.notation.write(&hash));
            continue;
        }
        let path = existing(operand)?;
        let method = if options.flat { ContentMethod::Flat } else { ContentMethod::Nar };
        let mut hash = ingest::hash_path(&path, method, algorithm.unwrap_or(Algorithm::Md5))?;
        if options.truncate && hash.as_bytes().len() > FOLDED {
            hash = folded(&hash)?;
        }
        println!("{}", options.notation.write(&hash));
    }
    Ok(())
}

/// The size of a folded hash, in bytes: that of SHA-1.
const FOLDED: usize = 20;

fn folded(hash: &Hash) -> Outcome<Hash> {
    let mut bytes = [0; FOLDED];
    for (index, byte) in hash.as_bytes().iter().enumerate() {
        bytes[index % FOLDED] ^= byte;
    }
    Ok(Hash::from_bytes(Algorithm::Sha1, &bytes)?)
}
