//! What a derivation is made from that comes from outside: the fixed outputs among all that it needs.

use std::collections::{BTreeSet, HashSet};

use zeval_model::{Output, StorePath};

use super::DrvOutput;
use crate::store::{Store, StoreError};

/// The outputs with a hash of their own that `wanted` are or are made from, there or not, sorted by path.
///
/// What only serves to fetch one of them (a program that does it, say) is not looked at. Derivations that builds only make
/// later are unknown.
pub fn sources(store: &Store, wanted: &[DrvOutput]) -> Result<Vec<DrvOutput>, StoreError> {
    let mut found = BTreeSet::new();
    let mut seen: HashSet<StorePath> = wanted.iter().map(|wanted| wanted.drv.clone()).collect();
    let mut waiting: Vec<StorePath> = seen.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        let drv = store.derivation(&path)?;
        let fixed = drv.outputs.iter().filter(|(_, output)| matches!(output, Output::Fixed { .. }));
        let before = found.len();
        found.extend(fixed.map(|(output, _)| DrvOutput { drv: path.clone(), output: output.clone() }));
        if found.len() == before {
            let inputs = drv.input_derivations.into_keys();
            waiting.extend(inputs.filter(|input| seen.insert(input.clone())));
        }
    }
    Ok(found.into_iter().collect())
}
