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
            "structured" => {
                let json = fs::read_to_string(std::env::var("NIX_ATTRS_JSON_FILE").unwrap()).unwrap();
                let attributes: serde_json::Value = serde_json::from_str(&json).unwrap();
                let out = attributes["outputs"]["out"].as_str().unwrap().to_owned();
                fs::create_dir(&out).unwrap();
                fs::write(format!("{out}/json"), json).unwrap();
                fs::copy(std::env::var("NIX_ATTRS_SH_FILE").unwrap(), format!("{out}/sh")).unwrap();
            }
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
