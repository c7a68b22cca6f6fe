//! What the evaluator and the builder both speak: hashes, store paths, NAR, derivations, references.

pub mod content_address;
pub mod derivation;
pub mod encoding;
pub mod git;
pub mod hash;
pub mod ingest;
pub mod input;
pub mod nar;
pub mod nar_info;
pub mod references;
pub mod signature;
pub mod store_path;
pub mod time;
pub mod tree;

pub use content_address::{ContentAddress, ContentMethod};
pub use derivation::{Derivation, InputOutputs, Output};
pub use hash::{Algorithm, Hash, HashError, Hasher};
pub use nar_info::NarInfo;
pub use store_path::{StorePath, StorePathError, store_dir};
