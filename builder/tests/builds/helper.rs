//! The program that runs in the sandbox: does what its arguments say, one after the other.
//!
//! A word starting with `$` is the variable of that name, with what follows a slash appended.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::exit;
use std::time::Duration;

use crate::escapes;

/// The first argument that makes this program the helper.
pub const ENTRY: &str = "__helper";

pub fn main(commands: &[String]) -> ! {
    for command in commands {
        let mut words = command.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        let (first, second) =
            (expand(words.next().unwrap_or_default()), expand(words.next().unwrap_or_default()));
        match name {
            "write" => fs::write(first, second).unwrap(),
            "append" => {
                fs::OpenOptions::new().append(true).open(first).unwrap().write_all(second.as_bytes()).unwrap()
            }
            "copy" => drop(fs::copy(first, second).unwrap()),
            "mkdir" => fs::create_dir(first).unwrap(),
            "symlink" => symlink(first, second).unwrap(),
            "mode" => {
                let mode = u32::from_str_radix(&second, 8).unwrap();
                fs::set_permissions(first, fs::Permissions::from_mode(mode)).unwrap();
            }
            "fifo" => nix::unistd::mkfifo(first.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "environment" => {
                let mut variables: Vec<_> =
                    std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
                variables.sort();
                fs::write(first, variables.concat()).unwrap();
            }
            "random" => {
                let mut random = [0; 16];
                std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
                fs::write(first, random).unwrap();
            }
            "list" => {
                let names = fs::read_dir(first)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap());
                fs::write(second, names.collect::<Vec<_>>().join(" ")).unwrap();
            }
            "print" => println!("{first} {second}"),
            "sleep" => std::thread::sleep(Duration::from_millis(first.parse().unwrap())),
            "exit" => exit(first.parse().unwrap()),
            "abort" => std::process::abort(),
            "flood" => loop {
                println!("{}", "x".repeat(1000));
            },
            #[expect(clippy::zombie_processes, reason = "it is the sandbox that must end it")]
            "daemon" => {
                // A child that outlives its parent and keeps the output open.
                let own = std::env::current_exe().unwrap();
                std::process::Command::new(own).args([ENTRY, &format!("sleep {first}")]).spawn().unwrap();
            }
            "cling" => {
                // Whoever asked the kernel to be ended with its parent may take that back.
                nix::sys::prctl::set_pdeathsig(None).unwrap();
                for signal in nix::sys::signal::Signal::iterator() {
                    let ignored = nix::sys::signal::SigHandler::SigIgn;
                    #[allow(unsafe_code)]
                    // SAFETY: installs no handler. It fails for the two signals that none can be ignored of.
                    let _ = unsafe { nix::sys::signal::signal(signal, ignored) };
                }
            }
            "bomb" => loop {
                let own = std::env::current_exe().unwrap();
                // At the limit no more can be started; such a program does not care.
                drop(std::process::Command::new(own).args([ENTRY, "sleep 60000"]).spawn());
            },
            "allocate" => {
                let memory = vec![1u8; first.parse().unwrap()];
                std::thread::sleep(Duration::from_secs(60));
                drop(memory);
            }
            "structured" => {
                let json = fs::read_to_string(std::env::var("NIX_ATTRS_JSON_FILE").unwrap()).unwrap();
                let attributes: serde_json::Value = serde_json::from_str(&json).unwrap();
                let out = attributes["outputs"]["out"].as_str().unwrap().to_owned();
                fs::create_dir(&out).unwrap();
                fs::write(format!("{out}/json"), json).unwrap();
                fs::copy(std::env::var("NIX_ATTRS_SH_FILE").unwrap(), format!("{out}/sh")).unwrap();
            }
            "chmod32" => chmod_by_32_bit_program(&first, &second),
            "probe" => escapes::probe(&first, &second),
            other => panic!("no command {other}"),
        }
    }
    exit(0)
}

fn expand(word: &str) -> String {
    let Some(rest) = word.strip_prefix('$') else { return word.to_owned() };
    let (variable, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{}{below}", std::env::var(variable).unwrap())
}

/// Runs a 32-bit program that changes the mode of a file that is not there, and compares the number of the error. On a kernel
/// without 32-bit programs this does nothing.
fn chmod_by_32_bit_program(mode: &str, expected: &str) {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let mode = u32::from_str_radix(mode, 8).unwrap();
    let mut code = Vec::new();
    // mov eax, 15 (chmod); mov ebx, PATH; mov ecx, MODE; int 0x80; neg eax; mov ebx, eax; mov eax, 1 (exit); int 0x80
    code.extend([0xb8, 15, 0, 0, 0, 0xbb]);
    code.extend((BASE + HEADERS + 28).to_le_bytes());
    code.push(0xb9);
    code.extend(mode.to_le_bytes());
    code.extend([0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
    code.extend(b"missing\0");
    let size = HEADERS + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    // An executable for the 386; its only program header follows, which maps all of it.
    file.extend([2, 0, 3, 0, 1, 0, 0, 0]);
    for word in [BASE + HEADERS, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    fs::write("program32", file).unwrap();
    fs::set_permissions("program32", fs::Permissions::from_mode(0o755)).unwrap();
    match std::process::Command::new("./program32").status() {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOEXEC) => println!("no 32-bit programs here"),
        status => assert_eq!(status.unwrap().code().unwrap().to_string(), expected),
    }
}
