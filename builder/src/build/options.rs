//! What the user wants of a build.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Substitution;
use crate::sandbox::{Bind, Limits};
use crate::schedule::Slots;

/// How to build. The default is what a plain `zeval build` does.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Builds at the same time.
    pub jobs: usize,
    /// Where several requests are worked on at once: the builds at the same time of all of them.
    pub slots: Option<Arc<Slots>>,
    /// `NIX_BUILD_CORES`: how many processor cores a build may use.
    pub cores: usize,
    /// Fetches at the same time, beside the builds.
    pub fetches: usize,
    /// Goes on with what does not depend on a failure.
    pub keep_going: bool,
    /// Keeps the build folder of a failed build.
    pub keep_failed: bool,
    /// The longest a build may take.
    pub timeout: Option<Duration>,
    /// The longest a build may print nothing.
    pub max_silent_time: Option<Duration>,
    /// The most bytes a build may print.
    pub max_log_size: Option<u64>,
    /// The most that one build's processes may use together.
    pub limits: Limits,
    /// Bytes of memory that builds which run at once may need together, by what they needed before.
    pub memory: u64,
    pub check: Check,
    /// Checks in other surroundings: what must not matter is otherwise.
    pub vary: bool,
    /// Puts what `check` built, if it is the same, in the place of files that suffered.
    pub repair: bool,
    /// Further files and folders of the host that every build sees: an explicit hole in the sandbox.
    pub sandbox_paths: Vec<Bind>,
    /// Which builds see the machine's files and its network.
    pub sandboxing: Sandboxing,
    /// Builds have the rights of who runs zeval, where root would run them as a user who is nobody.
    pub as_caller: bool,
    /// Systems that this machine builds for.
    pub systems: Vec<String>,
    /// Where to look for outputs before they are built.
    pub substitution: Option<Arc<Substitution>>,
    /// What derivations may ask for with `requiredSystemFeatures`.
    pub features: BTreeSet<String>,
    /// What `__impureHostDeps` of a derivation may name: these files and folders of the machine and what is in them.
    pub impure_host_paths: Vec<PathBuf>,
    /// A program of the machine that is asked before each build what more of the machine it is to see.
    pub pre_build_hook: Option<PathBuf>,
    /// A program of the machine that is run after each build, outside of the sandbox, with `DRV_PATH` and `OUT_PATHS`.
    pub post_build_hook: Option<PathBuf>,
    /// The lines of its log that a failed build shows.
    pub log_lines: usize,
    /// Where the certificates of trusted authorities are, for fixed-output builds, which have the network.
    pub certificates: Option<PathBuf>,
}

/// Which builds see the machine's files and its network. Nix's setting `sandbox`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandboxing {
    /// None.
    #[default]
    Strict,
    /// Those whose derivation asks for it by `__noChroot`, read-only.
    Relaxed,
    /// All, and they may write where the user who runs them may.
    Off,
}

/// Which of the derivations that are built already to build again and compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    #[default]
    Nothing,
    /// Those asked for.
    Wanted,
    /// Those asked for and everything that they are built from, fixed outputs excepted.
    Everything,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        BuildOptions {
            jobs: cores,
            slots: None,
            cores,
            fetches: 8,
            keep_going: false,
            keep_failed: false,
            timeout: None,
            max_silent_time: None,
            max_log_size: Some(1 << 30),
            limits: Limits::default(),
            memory: machine_memory(),
            check: Check::Nothing,
            vary: false,
            repair: false,
            sandbox_paths: Vec::new(),
            sandboxing: Sandboxing::Strict,
            as_caller: false,
            systems: native_systems(),
            substitution: None,
            features: native_features(),
            impure_host_paths: Vec::new(),
            pre_build_hook: None,
            post_build_hook: None,
            log_lines: 25,
            certificates: system_certificates(),
        }
    }
}

/// The system of this machine as Nix names it, and those whose programs it runs as well.
pub fn native_systems() -> Vec<String> {
    let architecture = match std::env::consts::ARCH {
        "x86" => "i686",
        other => other,
    };
    let mut systems = vec![format!("{architecture}-linux")];
    if architecture == "x86_64" {
        systems.push("i686-linux".to_owned());
    }
    systems
}

/// What this machine offers, as Nix names it.
fn native_features() -> BTreeSet<String> {
    let mut features: BTreeSet<String> =
        ["benchmark", "big-parallel", "ca-derivations", "nixos-test"].map(str::to_owned).into();
    if may_use_kvm() {
        features.insert("kvm".to_owned());
    }
    features
}

/// Whether those may who run builds: for root's, who may all, that is nobody.
fn may_use_kvm() -> bool {
    use nix::unistd::{AccessFlags, Uid, access};
    const BY_OTHERS: u32 = 0o006;
    let by_others =
        || std::fs::metadata(KVM).is_ok_and(|found| found.permissions().mode() & BY_OTHERS == BY_OTHERS);
    access(KVM, AccessFlags::R_OK | AccessFlags::W_OK).is_ok() && (!Uid::effective().is_root() || by_others())
}

/// Seven eighths of the machine's memory, in bytes.
fn machine_memory() -> u64 {
    let total = nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |info| info.ram_total());
    total - total / 8
}

/// What a build that requires the feature `kvm` sees.
pub const KVM: &str = "/dev/kvm";

fn system_certificates() -> Option<PathBuf> {
    let named =
        ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let usual =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named.chain(usual.map(PathBuf::from)).find(|path| path.is_file())
}
