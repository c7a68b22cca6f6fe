//! Fetching the sources of several inputs at once, before they are looked at one by one.

use std::collections::BTreeMap;

use super::{
    FlakeInput, FlakeReader, Locker,
    inputs::{Place, Target, Wanted},
};
use crate::{Input, InputError, registry::UseRegistries};

impl<R: FlakeReader> Locker<'_, R> {
    /// Which registries count for an input.
    pub(super) fn registries_for(&self, target: &Target) -> UseRegistries {
        if target.is_given && !target.is_plain { UseRegistries::All } else { self.inputs }
    }

    /// Fetches what is to be pinned of a flake's inputs, several at once. Whatever fails is told when its turn comes.
    pub(super) fn fetch_ahead(&mut self, inputs: &BTreeMap<String, FlakeInput>, place: &Place<'_>) {
        let targets = inputs.iter().filter_map(|(name, input)| match self.wanted(name, input, place) {
            Ok(Wanted::Source(target)) => Some(target),
            _ => None,
        });
        let wanted: Vec<(Input, UseRegistries)> = targets
            .filter(|target| self.is_worth_fetching(target) && self.known(target, place).is_none())
            .inspect(|target| self.note_wish(target, place))
            .map(|target| (target.reference.input.clone(), self.registries_for(&target)))
            .collect();
        if wanted.len() < 2 {
            return;
        }
        for ((input, _), result) in wanted.iter().zip(self.fetcher.fetch_all(&wanted)) {
            if let Err(error) = result {
                self.failures.insert(input.attrs.clone(), error);
            }
        }
    }

    /// Whether an input comes from elsewhere. What is on this machine is quick to have, and says things of its own.
    fn is_worth_fetching(&self, target: &Target) -> bool {
        let input = &target.reference.input;
        let is_allowed = self.options.allow_unlocked || input.is_locked(&self.fetcher.settings);
        is_allowed && target.within.is_none() && self.fetcher.is_remote(input)
    }

    /// The error that fetching an input ahead has led to, if it has.
    pub(super) fn unless_failed(&mut self, input: &Input) -> std::result::Result<(), InputError> {
        self.failures.remove(&input.attrs).map_or(Ok(()), Err)
    }
}
