//! Tries to get out of the sandbox, or to see through its walls.
//!
//! Each probe runs inside and writes what it found to its output; the case says what it must find.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::kill;
use nix::unistd::{Pid, getgid, getgroups, gethostname, getuid};
use zeval_builder::build::Sandboxing;
use zeval_builder::sandbox::Bind;

use crate::workshop::*;

pub const CASES: &[(&str, fn())] = &[
    ("only_what_is_named_is_seen", only_what_is_named_is_seen),
    ("devices", devices),
    ("no_file_of_the_host", no_file_of_the_host),
    ("no_process_of_the_host", no_process_of_the_host),
    ("no_network", no_network),
    ("a_fixed_output_has_the_network", a_fixed_output_has_the_network),
    ("who_and_where", who_and_where),
    ("nothing_but_its_own_folders_can_be_written", nothing_but_its_own_folders_can_be_written),
    ("forbidden_calls", forbidden_calls),
    ("no_setuid_bits", no_setuid_bits),
    (
        "no_abstract_socket_of_the_machine_beside_its_network",
        no_abstract_socket_of_the_machine_beside_its_network,
    ),
    ("no_flags_of_files", no_flags_of_files),
    ("no_sockets_that_lead_out", no_sockets_that_lead_out),
    (
        "the_machine_is_seen_where_that_is_asked_for_and_allowed",
        the_machine_is_seen_where_that_is_asked_for_and_allowed,
    ),
    ("nothing_is_inherited", nothing_is_inherited),
    ("no_settings_of_the_kernel", no_settings_of_the_kernel),
    ("no_names_of_keys", no_names_of_keys),
    ("no_builder_is_the_program_that_makes_the_sandbox", no_builder_is_the_program_that_makes_the_sandbox),
];

/// What a probe found, one line a finding.
fn found(shop: &Workshop, probe: &str, argument: &str) -> Vec<String> {
    let command = format!("probe {probe} {argument}");
    let text = shop.read(&shop.add(input_addressed("probe", &[&command])));
    text.lines().map(str::to_owned).collect()
}

/// Runs in the sandbox.
pub fn probe(name: &str, argument: &str) {
    let findings = match name {
        "list" => argument.split(',').map(|folder| format!("{folder}: {}", list(folder))).collect(),
        "open" => {
            vec![File::open(argument).map_or_else(|error| error.kind().to_string(), |_| "opened".to_owned())]
        }
        "device" => vec![probe_devices()],
        "processes" => probe_processes(argument),
        "network" => probe_network(argument),
        "who" => probe_identity(),
        "write" => argument.split(',').map(probe_write).collect(),
        "calls" => probe_calls(),
        "setuid" => probe_setuid(),
        "abstract" => probe_abstract(argument),
        "families" => probe_families(),
        "flags" => probe_flags(),
        "inherited" => probe_inherited(),
        "kernel" => probe_kernel(),
        "keys" => ["/proc/keys", "/proc/key-users"].map(|path| fs::read_to_string(path).unwrap()).to_vec(),
        other => panic!("no probe {other}"),
    };
    fs::write(std::env::var("out").unwrap(), findings.join("\n")).unwrap();
}

fn list(folder: &str) -> String {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.join(" ")
}

fn verdict<T, E: Into<std::io::Error>>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "allowed".to_owned(),
        Err(error) => Errno::from_raw(error.into().raw_os_error().unwrap_or(0)).to_string(),
    }
}

fn only_what_is_named_is_seen() {
    let mut shop = Workshop::new();
    let unnamed = shop.store.add_text("unnamed", b"x", &Default::default()).unwrap();
    let named = shop.store.add_text("named", b"x", &Default::default()).unwrap();
    shop.options
        .sandbox_paths
        .retain(|bind| bind.target.starts_with("/test") || bind.target.to_str().unwrap().contains("lib"));
    let drv = with_variable(
        input_addressed("probe", &["probe list /,/nix,/nix/store,/etc,/tmp,/build,/dev,/dev/shm"]),
        "named",
        &named.to_string(),
    );
    let mut drv = drv;
    drv.input_sources.insert(named.clone());
    let text = shop.read(&shop.add(drv));
    assert!(!text.contains(unnamed.hash_part()));
    let root = text.lines().next().unwrap();
    let own: Vec<&str> =
        root.split(' ').skip(1).filter(|name| !["lib", "lib64", "usr", "test"].contains(name)).collect();
    assert_eq!(own, ["build", "dev", "etc", "nix", "proc", "tmp"]);
    let rest = format!(
        "/nix: store\n/nix/store: {}\n/etc: group hosts passwd\n/tmp: \n/build: \n\
         /dev: fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n/dev/shm: ",
        named.base_name()
    );
    assert_eq!(text.split_once('\n').unwrap().1, rest);
}

fn probe_devices() -> String {
    let mut zeros = [1; 4];
    File::open("/dev/zero").unwrap().read_exact(&mut zeros).unwrap();
    assert_eq!(zeros, [0; 4]);
    fs::write("/dev/null", "x").unwrap();
    assert_eq!(verdict(fs::write("/dev/full", "x")), Errno::ENOSPC.to_string());
    fs::write("/dev/shm/file", "x").unwrap();
    OpenOptions::new().read(true).write(true).open("/dev/ptmx").unwrap();
    // A pty of one's own is there, and those of the host are not.
    let terminals = list("/dev/pts");
    // Removing a device would, with the host's /dev, remove the host's.
    let _ = fs::remove_file("/dev/null");
    terminals
}

fn devices() {
    assert_eq!(found(&Workshop::new(), "device", ""), ["ptmx"]);
    assert!(fs::metadata("/dev/null").is_ok());
}

fn no_file_of_the_host() {
    let shop = Workshop::new();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(secret.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let inside_process = format!("/proc/1/root{}", secret.path().display());
    for path in [
        secret.path().to_str().unwrap(),
        &inside_process,
        "/etc/shadow",
        "/sys/kernel",
        "/../../etc/hostname",
    ] {
        assert_eq!(found(&shop, "open", path), ["entity not found"], "{path}");
    }
}

fn probe_processes(host_process: &str) -> Vec<String> {
    let processes = list("/proc").split(' ').filter(|name| name.parse::<u32>().is_ok()).count();
    let host_process: i32 = host_process.parse().unwrap();
    vec![
        format!("{processes} {} {}", std::process::id(), nix::unistd::getppid()),
        verdict(kill(Pid::from_raw(host_process), None)),
        // Everyone but ourselves: nobody is there, so nobody is hit.
        verdict(kill(Pid::from_raw(-1), None)),
    ]
}

fn no_process_of_the_host() {
    let shop = Workshop::new();
    let mut victim = std::process::Command::new("/proc/self/exe")
        .args([crate::helper::ENTRY, "sleep 60000"])
        .spawn()
        .unwrap();
    let found = found(&shop, "processes", &(100_000_000 + victim.id()).to_string());
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(found, ["1 1 0", &Errno::ESRCH.to_string(), &Errno::ESRCH.to_string()]);
}

fn probe_network(argument: &str) -> Vec<String> {
    let (port, name) = argument.split_once(',').unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let interfaces = fs::read_to_string("/proc/net/dev").unwrap();
    let interfaces: Vec<&str> = interfaces
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    let outside = "192.0.2.1:80".parse().unwrap();
    vec![
        interfaces.join(" "),
        verdict(TcpStream::connect_timeout(&address, Duration::from_secs(1))),
        verdict(UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap())),
        verdict(TcpStream::connect_timeout(&outside, Duration::from_secs(1))),
        // But there is a loopback interface, and it works.
        verdict(TcpListener::bind("127.0.0.1:0").and_then(|own| TcpStream::connect(own.local_addr()?))),
    ]
}

struct Listeners {
    tcp: TcpListener,
    name: String,
    _unix: UnixListener,
}

fn listeners(name: &str) -> Listeners {
    let name = format!("zeval-test-{name}-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    Listeners {
        tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
        _unix: UnixListener::bind_addr(&address).unwrap(),
        name,
    }
}

fn no_network() {
    let listeners = listeners("none");
    let argument = format!("{},{}", listeners.tcp.local_addr().unwrap().port(), listeners.name);
    let [refused, unreachable] = [Errno::ECONNREFUSED, Errno::ENETUNREACH].map(|errno| errno.to_string());
    assert_eq!(
        found(&Workshop::new(), "network", &argument),
        ["lo", &refused, &refused, &unreachable, "allowed"]
    );
}

fn a_fixed_output_has_the_network() {
    let shop = Workshop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = format!("probe network {},nobody", listener.local_addr().unwrap().port());
    let drv = shop.add(fixed("x", "never", &[&command, "print connected", "exit 1"]));
    shop.build(&drv).unwrap_err();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_ok());
}

/// What an older kernel cannot refuse is not looked at.
fn no_abstract_socket_of_the_machine_beside_its_network() {
    const FIRST_WITH_SCOPES: i64 = 6;
    #[allow(unsafe_code)]
    // SAFETY: asks for the version, for which no structure is passed.
    let version = unsafe { nix::libc::syscall(nix::libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < FIRST_WITH_SCOPES {
        return;
    }
    let shop = Workshop::new();
    let name = format!("zeval-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert!(UnixStream::connect_addr(&address).is_ok());
    let refused = format!("{}\nallowed", Errno::EPERM);
    let command = format!("probe abstract {name}");
    assert_eq!(shop.read(&shop.add(fixed("x", &refused, &[&command]))), refused);
}

/// A socket of the machine's, and one of its own.
fn probe_abstract(name: &str) -> Vec<String> {
    let connect = |name: &str| UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap());
    let own = format!("{name}-own");
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&own).unwrap()).unwrap();
    vec![verdict(connect(name)), verdict(connect(&own))]
}

fn probe_identity() -> Vec<String> {
    // Without privileges nobody can leave the groups he is in; but none of them has a name here.
    const UNMAPPED: u32 = 65534;
    let groups = getgroups().unwrap().into_iter().filter(|group| ![UNMAPPED, 100].contains(&group.as_raw()));
    vec![
        format!("{} {} {}", getuid(), getgid(), groups.count()),
        gethostname().unwrap().into_string().unwrap(),
        std::env::current_dir().unwrap().display().to_string(),
        fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().next().unwrap().to_owned(),
        fs::read_to_string("/etc/passwd").unwrap().lines().nth(1).unwrap().to_owned(),
        verdict(File::open("/etc/localtime")),
        format!("{:?}", getrlimit(Resource::RLIMIT_CORE).unwrap()),
        std::env::args().next().unwrap(),
        status("NoNewPrivs"),
        status("CapEff"),
        status("CapBnd"),
        status("Umask"),
    ]
}

fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

fn who_and_where() {
    let none = "0000000000000000";
    assert_eq!(
        found(&Workshop::new(), "who", ""),
        [
            "1000 100 0",
            "localhost",
            "/build",
            "1000",
            "nixbld:x:1000:100:Nix build user:/build:/noshell",
            &Errno::ENOENT.to_string(),
            "(0, 0)",
            "helper",
            "1",
            none,
            none,
            "0022",
        ]
    );
}

fn probe_write(path: &str) -> String {
    verdict(OpenOptions::new().write(true).create(true).truncate(true).open(path))
}

fn nothing_but_its_own_folders_can_be_written() {
    let shop = Workshop::new();
    let text = shop.store.add_text("text", b"x", &Default::default()).unwrap();
    let paths =
        format!("/build/x,/tmp/x,/dev/shm/x,/x,/etc/x,/etc/passwd,/dev/x,/nix/x,/test/helper,/proc/x,{text}");
    let mut drv = input_addressed("probe", &[&format!("probe write {paths}")]);
    drv.input_sources.insert(text.clone());
    let findings = shop.read(&shop.add(drv));
    let verdicts: Vec<&str> = findings.lines().collect();
    assert_eq!(verdicts[..3], ["allowed"; 3]);
    let read_only = Errno::EROFS.to_string();
    assert!(verdicts[3..9].iter().all(|verdict| *verdict == read_only), "{verdicts:?}");
    assert_ne!(verdicts[9], "allowed");
    assert_eq!(verdicts[10], read_only);
    assert_eq!(fs::read(shop.store.physical(&text)).unwrap(), b"x");
    let mut shop = shop;
    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let bind = Bind { source: host.path().to_owned(), target: "/host".into(), writable: false };
    shop.options.sandbox_paths.push(bind);
    assert_eq!(found(&shop, "write", "/host/x"), [read_only]);
}

fn probe_calls() -> Vec<String> {
    let call = |number: i64| {
        #[allow(unsafe_code)]
        // SAFETY: every call tried here is refused before it looks at its arguments, which are all zero.
        let result = unsafe { nix::libc::syscall(number, 0, 0, 0, 0, 0, 0) };
        verdict(Errno::result(result))
    };
    use nix::libc as c;
    let refused =
        [c::SYS_ptrace, c::SYS_keyctl, c::SYS_add_key, c::SYS_request_key, c::SYS_bpf, c::SYS_userfaultfd];
    let more = [
        c::SYS_kexec_load,
        c::SYS_perf_event_open,
        c::SYS_init_module,
        c::SYS_open_by_handle_at,
        c::SYS_syslog,
    ];
    let mut findings: Vec<String> = refused.into_iter().chain(more).map(call).collect();
    findings.push(verdict(mount(Some("/build"), "/tmp", Some("tmpfs"), MsFlags::MS_BIND, None::<&str>)));
    findings.push(verdict(unshare(CloneFlags::CLONE_NEWUSER)));
    findings.push(verdict(nix::unistd::chroot("/build")));
    findings.push(verdict(nix::unistd::sethostname("elsewhere")));
    findings
}

fn forbidden_calls() {
    let found = found(&Workshop::new(), "calls", "");
    assert_eq!(found.len(), 15);
    assert!(found.iter().all(|verdict| *verdict == Errno::EPERM.to_string()), "{found:?}");
}

fn probe_setuid() -> Vec<String> {
    let file = "/build/file";
    fs::write(file, "").unwrap();
    let chmod = |mode| verdict(fs::set_permissions(file, fs::Permissions::from_mode(mode)));
    let create = |mode, name| verdict(OpenOptions::new().write(true).create_new(true).mode(mode).open(name));
    let unnamed = |mode| {
        let flags = nix::libc::O_TMPFILE;
        verdict(OpenOptions::new().write(true).custom_flags(flags).mode(mode).open("/build"))
    };
    vec![
        chmod(0o4755),
        chmod(0o2755),
        create(0o4755, "/build/a"),
        create(0o2755, "/build/b"),
        unnamed(0o4755),
        chmod(0o1755),
        chmod(0o755),
    ]
}

fn no_setuid_bits() {
    let refused = Errno::EPERM.to_string();
    let [allowed, refused] = ["allowed", &refused];
    assert_eq!(
        found(&Workshop::new(), "setuid", ""),
        [refused, refused, refused, refused, refused, allowed, allowed]
    );
}

/// Flags of a file that its owner may set on many file systems, and that would stay.
fn probe_flags() -> Vec<String> {
    /// `FS_IOC_SETFLAGS`, `FS_IOC_SETVERSION` and `FS_IOC_ENABLE_VERITY` of `linux/fs.h`.
    const REQUESTS: [u64; 3] = [0x4008_6602, 0x4008_7602, 0x4080_6685];
    /// The call that does the same without a descriptor, since Linux 6.17.
    const FILE_SETATTR: i64 = 469;
    let folder = File::open("/build").unwrap();
    let set = |request: u64| {
        let zeros = [0u8; 128];
        #[allow(unsafe_code)]
        // SAFETY: the kernel reads as much as the request says, at most the array, which lives during the call.
        let result =
            unsafe { nix::libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&folder), request, zeros.as_ptr()) };
        verdict(Errno::result(result))
    };
    #[allow(unsafe_code)]
    // SAFETY: the path lives during the call; there is no structure to read.
    let result =
        unsafe { nix::libc::syscall(FILE_SETATTR, nix::libc::AT_FDCWD, c"/build".as_ptr(), 0, 0, 0) };
    REQUESTS.into_iter().map(set).chain([verdict(Errno::result(result))]).collect()
}

/// Sockets of families that no network namespace holds, and of one that it does.
fn probe_families() -> Vec<String> {
    [nix::libc::AF_VSOCK, nix::libc::AF_ALG, nix::libc::AF_BLUETOOTH, nix::libc::AF_INET]
        .map(|family| {
            #[allow(unsafe_code)]
            // SAFETY: passes no pointers.
            let result = unsafe { nix::libc::socket(family, nix::libc::SOCK_STREAM, 0) };
            verdict(Errno::result(result))
        })
        .to_vec()
}

fn no_sockets_that_lead_out() {
    let none = Errno::EAFNOSUPPORT.to_string();
    assert_eq!(found(&Workshop::new(), "families", ""), [&none, &none, &none, "allowed"]);
}

fn no_flags_of_files() {
    let refused = Errno::EOPNOTSUPP.to_string();
    assert_eq!(found(&Workshop::new(), "flags", ""), vec![refused; 4]);
}

fn the_machine_is_seen_where_that_is_asked_for_and_allowed() {
    let mut shop = Workshop::new();
    shop.options.sandboxing = Sandboxing::Relaxed;
    let open = |name: &str, probe: &str| with_variable(input_addressed(name, &[probe]), "__noChroot", "1");
    let seen = shop.read(&shop.add(open("seen", "probe list /,/tmp")));
    let (root, temporary) = seen.split_once('\n').unwrap();
    assert!(
        root.split(' ').any(|name| name == "var") && root.split(' ').any(|name| name == "build"),
        "{root}"
    );
    assert_eq!(temporary, "/tmp: ", "it is its own");
    let written = shop.read(&shop.add(open("written", "probe write /usr/x,/etc/x,/build/x")));
    let [usr, etc, build] = written.lines().collect::<Vec<_>>()[..] else { panic!("{written}") };
    assert!(usr.contains("EROFS") && etc.contains("EROFS") && build.contains("allowed"), "{written}");
    let hidden = shop.read(&shop.add(input_addressed("hidden", &["probe list /"])));
    assert!(!hidden.contains("var"), "{hidden}");
}

fn probe_inherited() -> Vec<String> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        // Reading the folder takes a descriptor itself.
        (number > 2 && !fs::read_link(&path).ok()?.starts_with("/proc")).then(|| number.to_string())
    });
    vec![
        format!("{} bytes", input.len()),
        descriptors.collect::<Vec<_>>().join(" "),
        status("SigBlk"),
        status("SigIgn"),
        nix::unistd::getsid(None).unwrap().to_string(),
    ]
}

fn nothing_is_inherited() {
    // One that is not closed on execution, as a careless caller might leave it.
    let file = File::open("/dev/zero").unwrap();
    let leaked = nix::unistd::dup(&file).unwrap();
    let none = "0000000000000000";
    // Rust's own start-up ignores SIGPIPE, number 13.
    let sigpipe = "0000000000001000";
    assert_eq!(found(&Workshop::new(), "inherited", ""), ["0 bytes", "", none, sigpipe, "1"]);
    drop(leaked);
}

fn probe_kernel() -> Vec<String> {
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/drop_caches",
        "/proc/self/oom_score_adj",
    ];
    let lower = fs::write("/proc/self/oom_score_adj", "-1000");
    let write = |path: &&str| verdict(OpenOptions::new().write(true).open(path));
    files[..3].iter().map(write).chain([verdict(lower)]).collect()
}

fn no_settings_of_the_kernel() {
    let found = found(&Workshop::new(), "kernel", "");
    assert!(found.iter().all(|verdict| verdict != "allowed"), "{found:?}");
}

fn no_names_of_keys() {
    assert_eq!(found(&Workshop::new(), "keys", ""), [""]);
}

/// It would be a file of the machine that a build can read.
fn no_builder_is_the_program_that_makes_the_sandbox() {
    let shop = Workshop::new();
    let mut drv = input_addressed("probe", &["write $out x"]);
    drv.builder = "/proc/self/exe".into();
    let error = shop.build(&shop.add(drv)).unwrap_err().to_string();
    assert!(error.contains("which leads to zeval itself"), "{error}");
}
