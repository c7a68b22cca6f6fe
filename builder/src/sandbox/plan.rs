//! What the sandbox's child is told (the plan) and what it says back (the report), as JSON on pipes.

use std::path::PathBuf;

use bstr::BString;
use serde::{Deserialize, Serialize};

/// Everything a sandboxed process sees and is allowed.
///
/// Relative paths on the host's side start at [`Plan::base`]: the child enters it while it still has its caller's rights
/// and never has to walk there again as a lesser user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Process id of the one that waits; if it is not our parent any more, we were orphaned while starting.
    pub parent: i32,
    pub base: PathBuf,
    /// Empty folder that becomes the mount point of the new root.
    pub mount_point: PathBuf,
    pub identity: Identity,
    /// Folder of the physical store.
    pub store: PathBuf,
    /// The logical store: where the paths are seen.
    pub store_dir: PathBuf,
    /// Names in `store` that are seen, read-only, below `store_dir`.
    pub closure: Vec<String>,
    /// Writable folder that is seen as `store_dir`; the closure is mounted into it.
    pub outputs: PathBuf,
    pub binds: Vec<Bind>,
    /// Small read-only files of the new root: absolute path inside, contents.
    pub files: Vec<(PathBuf, String)>,
    /// Whether the host's network is seen; without it there is a loopback interface and nothing else.
    pub network: bool,
    pub surroundings: Surroundings,
    pub limits: Limits,
    pub process: Process,
}

/// The most that all processes of a sandbox may use together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of memory that are theirs alone, and of files in `/dev/shm`.
    pub memory: Option<u64>,
    /// Processors that they can keep busy.
    pub processors: Option<usize>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { processes: 8192, memory: None, processors: None }
    }
}

/// What was used up when a sandbox was ended for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Excess {
    Processes,
    Memory,
}

/// What must not matter to a build, and is the same each time but where that is put to the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Where the build's own folder is seen.
    pub build_folder: PathBuf,
    pub host_name: String,
    pub umask: u32,
    /// Whether memory lies elsewhere from run to run.
    pub random_addresses: bool,
    /// Whether the kernel says that it is of the 2.6 series.
    pub old_kernel: bool,
    /// Whether folders list their files the other way round.
    pub reversed_folders: bool,
    /// Variables that the derivation need not have set.
    pub variables: Vec<(String, String)>,
}

impl Default for Surroundings {
    fn default() -> Surroundings {
        Surroundings {
            build_folder: PathBuf::from("/build"),
            host_name: "localhost".to_owned(),
            umask: 0o022,
            random_addresses: false,
            old_kernel: false,
            reversed_folders: false,
            variables: Vec::new(),
        }
    }
}

impl Surroundings {
    /// Everything is otherwise.
    pub fn varied() -> Surroundings {
        let variables =
            [("TZ", "UTC-11:30"), ("LC_ALL", "C.UTF-8"), ("LANGUAGE", "tr"), ("SOMETHING_UNHEARD_OF", "x")];
        Surroundings {
            build_folder: PathBuf::from("/a-build-folder-with-a-name-that-is-longer-than-usual"),
            host_name: "another-host".to_owned(),
            umask: 0o002,
            random_addresses: true,
            old_kernel: true,
            reversed_folders: true,
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }
}

/// Who the process is, outside and inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// User and group outside to become first, when started by root; else the caller's own.
    pub outside: Option<(u32, u32)>,
    pub inside_user: u32,
    pub inside_group: u32,
}

/// A file or folder of the host that is seen inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    /// Absolute, inside.
    pub target: PathBuf,
    pub writable: bool,
}

/// The program to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    #[serde(with = "byte_text")]
    pub program: BString,
    #[serde(with = "byte_texts")]
    pub arguments: Vec<BString>,
    /// `NAME=value`.
    #[serde(with = "byte_texts")]
    pub environment: Vec<BString>,
    /// Absolute, inside.
    pub directory: PathBuf,
    /// `personality(2)` of a 32-bit machine.
    pub personality_32bit: bool,
}

/// What the child says, one JSON value a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The sandbox could not be made or the program not be started.
    SetUpFailed {
        /// What was being done, for a sentence `cannot STEP`.
        step: String,
        errno: i32,
        hint: Option<String>,
    },
    Ended {
        end: End,
        /// User and system time of all its processes, in milliseconds.
        cpu_milliseconds: u64,
        /// The most memory seen in use, in KiB: of its largest process, or of all together where they ran long enough to be
        /// looked at.
        peak_kibibytes: u64,
        /// The limit that it was ended for.
        excess: Option<Excess>,
    },
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Exited(i32),
    Signalled(i32),
}

/// Bytes as a JSON string with one character (U+0000 to U+00FF) a byte: readable, compact and lossless.
mod byte_text {
    use bstr::BString;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn encode(bytes: &BString) -> String {
        bytes.iter().map(|&byte| char::from(byte)).collect()
    }

    pub fn decode(text: &str) -> Option<BString> {
        text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>().map(BString::from)
    }

    pub fn serialize<S: Serializer>(bytes: &BString, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BString, D::Error> {
        decode(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("a character above U+00FF"))
    }
}

mod byte_texts {
    use bstr::BString;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::byte_text;

    pub fn serialize<S: Serializer>(all: &[BString], to: S) -> Result<S::Ok, S::Error> {
        all.iter().map(byte_text::encode).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BString>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts
            .iter()
            .map(|text| byte_text::decode(text).ok_or_else(|| D::Error::custom("a character above U+00FF")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_survives_the_pipe() {
        let process = Process {
            program: BString::from("/bin/sh"),
            arguments: vec![BString::from((0..=255).collect::<Vec<u8>>())],
            environment: vec![],
            directory: PathBuf::from("/build"),
            personality_32bit: false,
        };
        let back: Process = serde_json::from_str(&serde_json::to_string(&process).unwrap()).unwrap();
        assert_eq!(back.arguments, process.arguments);
    }
}
