//! `nix-store --realise`

use std::path::PathBuf;

use zeval_builder::{build::Check, store::Store};
use zeval_model::StorePath;

use super::{
    super::{
        outcome::Outcome,
        place,
        realise::{Realiser, Wanted, output_paths},
    },
    Shop,
};
use crate::{cli::BuildFlags, commands::build_options_in};

impl Shop {
    /// Builds as the flags want it.
    pub fn realiser<'s>(&self, store: &'s Store) -> Outcome<Realiser<'s>> {
        let options = build_options_in(&BuildFlags::default(), &self.common.settings)?;
        Ok(Realiser::new(store, options, &self.common))
    }

    /// Makes a link that keeps the path, if one is wanted, and prints what names it.
    fn keep(&mut self, store: &Store, path: &StorePath, output: &str) -> Outcome<()> {
        let Some(base) = &self.root else {
            if std::mem::take(&mut self.common.gc_warning) {
                self.warn(
                    "you did not specify '--add-root'; the result might be removed by the garbage collector",
                );
            }
            if !self.no_output {
                println!("{path}");
            }
            return Ok(());
        };
        let mut name = std::path::absolute(base)?.into_os_string();
        self.roots += 1;
        if self.roots > 1 {
            name.push(format!("-{}", self.roots));
        }
        if output != "out" {
            name.push(format!("-{output}"));
        }
        let link = PathBuf::from(name);
        store.add_root(&link, path)?;
        if !self.no_output {
            println!("{}", link.display());
        }
        Ok(())
    }
}

/// `--realise`
pub fn realise(shop: &mut Shop) -> Outcome<()> {
    let [dry_run, repair, check, ignore_unknown] =
        shop.switches(["--dry-run", "--repair", "--check", "--ignore-unknown"])?;
    let store = shop.store()?;
    let mut wanted: Vec<Wanted> =
        shop.arguments.iter().map(|word| place::wanted(&store, word)).collect::<Outcome<_>>()?;
    let mut realiser = shop.realiser(&store)?;
    if ignore_unknown {
        let unknown = realiser.unknown(&wanted)?;
        wanted.retain(|wanted| !matches!(wanted, Wanted::Path(path) if unknown.contains(path)));
    }
    realiser.announce(&wanted)?;
    if dry_run {
        return Ok(());
    }
    if check || repair {
        realiser.options.check = Check::Wanted;
        realiser.options.repair = repair;
    }
    realiser.build(&wanted)?;
    if ignore_unknown {
        return Ok(());
    }
    for wanted in wanted {
        match wanted {
            Wanted::Path(path) => shop.keep(&store, &path, "out")?,
            Wanted::Outputs { drv, outputs } => {
                let first = shop.roots;
                for (output, path) in output_paths(&store, &drv)? {
                    if let Some(path) = path.filter(|_| outputs.contains(&output)) {
                        // The outputs of one derivation share a number.
                        shop.roots = first;
                        shop.keep(&store, &path, &output)?;
                    }
                }
            }
        }
    }
    Ok(())
}
