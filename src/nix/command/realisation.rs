//! `nix realisation info`

use serde_json::{Value, json};
use zeval_builder::cache::CachedRealisation;
use zeval_builder::store::Store;
use zeval_model::{StorePath, derivation::HashCache};

use super::{
    super::outcome::{Outcome, fail},
    Call, build,
    installables::{self, Meant},
};

pub fn info(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let setup = call.setup()?;
    let meant = installables::meant(call, &setup, &store, &installables::operands(call))?;
    build::announce(call, &setup, &store, &meant)?;
    let hashes = HashCache::new(|path: &StorePath| store.read_derivation(path));
    let mut found = Vec::new();
    for meant in &meant {
        match meant {
            Meant::Path(path) => found.push(Known::Path(path.clone())),
            Meant::Outputs { drv, outputs } => {
                let hash = store.derivation(drv)?.realisation_hash(&hashes)?;
                for output in outputs {
                    let path = valid_output(&store, meant, drv, output)?;
                    found.push(Known::Realised(CachedRealisation::new(&hash, output, path)));
                }
            }
        }
    }
    if call.has("--json") {
        let all: Vec<Value> = found.iter().map(Known::as_json).collect();
        call.print_json(&json!(all));
        return Ok(());
    }
    for known in found {
        match known {
            Known::Path(path) => println!("{path}"),
            Known::Realised(realisation) => println!("{} {}", realisation.id, realisation.path),
        }
    }
    Ok(())
}

fn valid_output(store: &Store, meant: &Meant, drv: &StorePath, output: &str) -> Outcome<StorePath> {
    let paths = meant.paths(store)?;
    let path = paths.into_iter().find(|(name, _)| name == output).map(|(_, path)| path);
    match path {
        Some(path) if store.is_valid(&path)? => Ok(path),
        _ => fail(format!("cannot operate on output '{output}' of the unbuilt derivation '{drv}'")),
    }
}

/// What is known of an operand.
enum Known {
    /// A path that is no output: there is nothing to say of it.
    Path(StorePath),
    Realised(CachedRealisation),
}

impl Known {
    fn as_json(&self) -> Value {
        match self {
            Known::Path(path) => json!({ "opaquePath": path.to_string() }),
            Known::Realised(realisation) => realisation.as_json(),
        }
    }
}
