//! `nix-copy-closure`: store paths to and from another machine, with all that they refer to.

use std::{ffi::OsString, process::ExitCode};

use super::{
    command,
    flags::{self, Common, Rest},
    outcome::{Outcome, end, usage},
    place,
    realise::output_paths,
};

const HELP: &str = "Usage: nix-copy-closure [--to|--from] [FLAGS] [USER@]MACHINE PATH...

Copies store paths and what they refer to over ssh, as far as the other side does not have them.

  --to, --from             Where the machine is [default: --to]
  --include-outputs        Of derivations the outputs, too, where they are built
  -s, --use-substitutes    The other machine takes from caches what it can
  --gzip                   Compress what is sent
  --dry-run                Copy nothing
";

#[derive(Default)]
struct Options {
    from: bool,
    include_outputs: bool,
    use_substitutes: bool,
    compress: bool,
    dry_run: bool,
}

impl Options {
    fn take(&mut self, flag: &str, _: &mut Rest) -> Result<bool, String> {
        match flag {
            "--to" => self.from = false,
            "--from" => self.from = true,
            "--include-outputs" => self.include_outputs = true,
            "--use-substitutes" | "-s" => self.use_substitutes = true,
            "--gzip" => self.compress = true,
            "--bzip2" | "--xz" => {
                eprintln!("warning: '{flag}' is not implemented, falling back to gzip");
                self.compress = true;
            }
            "--show-progress" => eprintln!("warning: '{flag}' is not implemented"),
            "--dry-run" => self.dry_run = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let common = flags::read("nix-copy-closure", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    match common {
        Ok(common) => match copy(&options, &common) {
            Ok(arguments) if options.dry_run || arguments.is_empty() => ExitCode::SUCCESS,
            Ok(arguments) => command::run(&arguments),
            Err(stop) => end("nix-copy-closure", Err(stop)),
        },
        Err(code) => code,
    }
}

/// The same as a command line of `nix copy`; none if there is nothing to do.
fn copy(options: &Options, common: &Common) -> Outcome<Vec<OsString>> {
    let Some((host, words)) = common.operands.split_first() else { return usage("no host name specified") };
    let mut paths: Vec<OsString> = words.to_vec();
    if options.include_outputs && !options.from {
        let store = place::open(common)?;
        for word in words {
            let path = place::store_path(&store, word)?;
            for drv in store.closure(&[path].into())?.iter().filter(|path| path.is_derivation()) {
                for (_, output) in output_paths(&store, drv)? {
                    if let Some(output) = output.filter(|output| store.is_valid(output).unwrap_or(false)) {
                        paths.push(output.to_string().into());
                    }
                }
            }
        }
    }
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut url = OsString::from("ssh://");
    url.push(host);
    if options.compress {
        url.push("?compress=true");
    }
    let direction = if options.from { "--from" } else { "--to" };
    let mut arguments: Vec<OsString> = ["copy", "--no-check-sigs", direction].map(OsString::from).into();
    arguments.push(url);
    if options.use_substitutes {
        arguments.push("--substitute-on-destination".into());
    }
    arguments.extend(paths);
    Ok(arguments)
}
