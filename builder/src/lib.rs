//! Derivations to store paths: the store, the sandbox, fetching and the schedule.
