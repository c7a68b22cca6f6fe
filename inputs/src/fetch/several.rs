//! Fetching several inputs at once.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Fetched, Fetcher, git};
use crate::{Attrs, Input, InputError, Result, registry::UseRegistries};

/// How many are fetched at the same time: servers are slow to answer, and each is asked little.
const JOBS: usize = 8;

impl Fetcher {
    /// Fetches inputs, several at once; a result for each.
    pub fn fetch_all(&self, inputs: &[(Input, UseRegistries)]) -> Vec<Result<Fetched>> {
        // The same input is fetched once.
        let mut distinct: BTreeMap<&Attrs, (usize, &(Input, UseRegistries))> = BTreeMap::new();
        for wanted in inputs {
            let next = distinct.len();
            distinct.entry(&wanted.0.attrs).or_insert((next, wanted));
        }
        let mut work: Vec<&(usize, &(Input, UseRegistries))> = distinct.values().collect();
        work.sort_by_key(|(index, _)| *index);
        let done: Vec<Mutex<Option<Result<Fetched>>>> = work.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..JOBS.min(work.len()) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some((_, (input, which))) = work.get(index) else { break };
                        let result = self.fetch(input, *which);
                        *done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    }
                });
            }
        });
        let result = |(input, _): &(Input, UseRegistries)| {
            let index = distinct[&input.attrs].0;
            let result = done[index].lock().unwrap_or_else(PoisonError::into_inner).clone();
            result.unwrap_or_else(|| Err(InputError::new("interrupted")))
        };
        inputs.iter().map(result).collect()
    }

    /// Whether an input may have to come from another machine.
    pub fn is_remote(&self, input: &Input) -> bool {
        match input.kind() {
            "path" => false,
            "git" => matches!(git::work_tree(input), Ok(None)),
            _ => true,
        }
    }
}
