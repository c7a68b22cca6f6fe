//! Holds a build's outputs against what its derivation allows them to refer to, and to weigh.

use std::collections::{BTreeMap, BTreeSet};

use zeval_model::StorePath;
use zeval_model::derivation::placeholder;

use super::attributes::{Attributes, Checks};
use super::error::BuildError;
use super::outputs::Made;
use crate::store::{Store, StoreError};

/// Checks every output. They need not be registered yet, what they refer to must be.
pub fn check(
    store: &Store,
    attributes: &Attributes<'_>,
    outputs: &BTreeMap<String, Made>,
) -> Result<(), BuildError> {
    outputs.iter().try_for_each(|(name, made)| {
        let checks = attributes.checks(name)?;
        Checker { store, outputs, name, made }.check(&checks)
    })
}

struct Checker<'a> {
    store: &'a Store,
    outputs: &'a BTreeMap<String, Made>,
    name: &'a str,
    made: &'a Made,
}

enum Listed {
    Allowed,
    Forbidden,
}

impl Checker<'_> {
    fn check(&self, checks: &Checks) -> Result<(), BuildError> {
        self.check_size(checks)?;
        let references = &self.made.info.references;
        if let Some(allowed) = &checks.allowed_references {
            self.check_list(references, allowed, Listed::Allowed)?;
        }
        self.check_list(references, &checks.disallowed_references, Listed::Forbidden)?;
        if checks.allowed_requisites.is_none() && checks.disallowed_requisites.is_empty() {
            return Ok(());
        }
        let mut requisites = self.closure()?;
        if checks.ignore_self {
            requisites.remove(&self.made.info.path);
        }
        if let Some(allowed) = &checks.allowed_requisites {
            self.check_list(&requisites, allowed, Listed::Allowed)?;
        }
        self.check_list(&requisites, &checks.disallowed_requisites, Listed::Forbidden)
    }

    fn check_size(&self, checks: &Checks) -> Result<(), BuildError> {
        let info = &self.made.info;
        let too_large = |actual, limit, closure| {
            let (output, path) = (self.name.to_owned(), info.path.clone());
            Err(BuildError::TooLarge { output, path, actual, limit, closure })
        };
        match checks.max_size {
            Some(limit) if info.nar_size > limit => return too_large(info.nar_size, limit, false),
            _ => (),
        }
        let Some(limit) = checks.max_closure_size else { return Ok(()) };
        let mut size = 0;
        for path in self.closure()? {
            size += match self.sibling(&path) {
                Some(made) => made.info.nar_size,
                None => self.store.require(&path)?.nar_size,
            };
        }
        if size > limit { too_large(size, limit, true) } else { Ok(()) }
    }

    fn sibling(&self, path: &StorePath) -> Option<&Made> {
        self.outputs.values().find(|made| made.info.path == *path)
    }

    /// Everything that the output refers to, itself included.
    fn closure(&self) -> Result<BTreeSet<StorePath>, StoreError> {
        let mut closure = BTreeSet::new();
        let mut registered = BTreeSet::new();
        let mut pending = vec![&self.made.info.path];
        while let Some(path) = pending.pop() {
            match self.sibling(path) {
                Some(made) if closure.insert(path.clone()) => pending.extend(&made.info.references),
                Some(_) => (),
                None => {
                    registered.insert(path.clone());
                }
            }
        }
        closure.extend(self.store.closure(&registered)?);
        Ok(closure)
    }

    fn check_list(
        &self,
        used: &BTreeSet<StorePath>,
        specifiers: &[String],
        listed: Listed,
    ) -> Result<(), BuildError> {
        let listed_paths =
            specifiers.iter().map(|specifier| self.path_of(specifier)).collect::<Result<BTreeSet<_>, _>>()?;
        let bad: Vec<StorePath> = match listed {
            Listed::Allowed => used.difference(&listed_paths).cloned().collect(),
            Listed::Forbidden => used.intersection(&listed_paths).cloned().collect(),
        };
        if bad.is_empty() {
            return Ok(());
        }
        let (output, path) = (self.name.to_owned(), self.made.info.path.clone());
        Err(BuildError::ForbiddenReferences { output, path, bad })
    }

    /// What a list of references means: a store path, or the name or placeholder of an output.
    fn path_of(&self, specifier: &str) -> Result<StorePath, BuildError> {
        if let Ok((path, _)) = StorePath::split_absolute(specifier) {
            return Ok(path);
        }
        let output =
            self.outputs.iter().find(|(name, _)| *name == specifier || placeholder(name) == specifier);
        output.map(|(_, made)| made.info.path.clone()).ok_or_else(|| BuildError::BadReferenceSpecifier {
            output: self.name.to_owned(),
            specifier: specifier.to_owned(),
            outputs: self.outputs.keys().cloned().collect(),
        })
    }
}
