//! Keeps a builder from being this program: process 1 is it until it executes the builder, so `/proc/self/exe` leads to a file
//! of the machine, and the kernel follows that wherever a program's name, its interpreter or its loader is looked up.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The kernel follows no more interpreters of interpreters.
const MOST_INTERPRETERS: usize = 5;

/// Whether executing `program` would execute this program, or load it. What cannot be read is left to the kernel, which then
/// cannot execute it either.
pub fn is_meant_by(program: &Path) -> bool {
    let Ok(own) = fs::metadata("/proc/self/exe").map(|found| (found.dev(), found.ino())) else {
        return false;
    };
    let mut path = program.to_owned();
    for _ in 0..=MOST_INTERPRETERS {
        match fs::metadata(&path) {
            Ok(found) if (found.dev(), found.ino()) == own => return true,
            Ok(_) => (),
            Err(_) => return false,
        }
        match interpreter(&path) {
            Ok(Some(next)) => path = next,
            Ok(None) | Err(_) => return false,
        }
    }
    false
}

/// The program that the kernel executes in the place of a script, or loads beside a program.
fn interpreter(path: &Path) -> io::Result<Option<PathBuf>> {
    /// The kernel reads so much of a script.
    const HEAD: u64 = 256;
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n' || byte == 0).next().unwrap_or_default();
        let mut words = line.split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
        return Ok(words.next().map(path_of));
    }
    match head.starts_with(b"\x7fELF\x02\x01") {
        true => loader(&mut file, &head),
        false => Ok(None),
    }
}

/// The loader that a 64-bit ELF file of little-endian words names.
fn loader(file: &mut File, head: &[u8]) -> io::Result<Option<PathBuf>> {
    const PT_INTERP: u64 = 3;
    let number = |bytes: &[u8], at: usize, size: usize| {
        let bytes = bytes.get(at..at + size).ok_or(io::ErrorKind::InvalidData)?;
        Ok::<u64, io::Error>(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    let (start, size, count) = (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?);
    for index in 0..count {
        let mut header = [0; 56];
        file.seek(SeekFrom::Start(start.saturating_add(index * size)))?;
        file.read_exact(&mut header)?;
        if number(&header, 0, 4)? == PT_INTERP {
            let mut name = Vec::new();
            file.seek(SeekFrom::Start(number(&header, 8, 8)?))?;
            file.take(number(&header, 32, 8)?.min(4096)).read_to_end(&mut name)?;
            return Ok(name.split(|&byte| byte == 0).next().map(path_of));
        }
    }
    Ok(None)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_scripts_and_loaders_lead_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/proc/self/exe", &link).unwrap();
        assert!(is_meant_by(Path::new("/proc/self/exe")) && is_meant_by(&link));

        let script = folder.path().join("script");
        fs::write(&script, format!("#! \t{} x\n", link.display())).unwrap();
        let outer = folder.path().join("outer");
        fs::write(&outer, format!("#!{}", script.display())).unwrap();
        assert!(is_meant_by(&outer));

        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64 + 56, 0);
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 3;
        elf[64 + 8] = 120;
        elf[64 + 32] = 15;
        elf.extend(b"/proc/self/exe\0");
        let program = folder.path().join("program");
        fs::write(&program, elf).unwrap();
        assert!(is_meant_by(&program));
    }

    #[test]
    fn other_programs_are_other_programs() {
        let folder = tempfile::tempdir().unwrap();
        let [circle, empty] = ["circle", "empty"].map(|name| folder.path().join(name));
        fs::write(&circle, format!("#!{}", circle.display())).unwrap();
        fs::write(&empty, "#!").unwrap();
        let missing = folder.path().join("missing");
        for path in [circle, empty, missing, PathBuf::from("/bin/sh"), PathBuf::from("/")] {
            assert!(!is_meant_by(&path), "{}", path.display());
        }
    }
}
