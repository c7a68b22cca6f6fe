//! Builds for real, in the sandbox: what derivations give, what a build may not do, and what survives.
//!
//! The builder of every derivation here is this very program, which the sandbox sees at a path outside the store together
//! with the libraries that it was linked to; so the tests need nothing but themselves.

#![allow(clippy::unwrap_used)]

mod caches;
mod concurrency;
mod dynamic;
mod escapes;
mod failures;
mod helper;
mod outputs;
mod stress;
mod workshop;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(zeval_builder::sandbox::ENTRY) => zeval_builder::sandbox::sandbox_main(),
        Some(helper::ENTRY) => helper::main(&arguments[2..]),
        Some(concurrency::ENTRY) => concurrency::child(&arguments[2..]),
        Some(stress::ENTRY) => stress::child(&arguments[2..]),
        _ => (),
    }
    let mut trials = Vec::new();
    for (group, cases) in [
        ("outputs", outputs::CASES),
        ("failures", failures::CASES),
        ("escapes", escapes::CASES),
        ("caches", caches::CASES),
        ("concurrency", concurrency::CASES),
        ("dynamic", dynamic::CASES),
        ("stress", stress::CASES),
    ] {
        for &(name, case) in cases {
            trials.push(Trial::test(format!("{group}::{name}"), move || {
                case();
                Ok(())
            }));
        }
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    workshop::remove_copy();
    conclusion.exit();
}

/// Whether this process is one that a test started.
fn is_child() -> bool {
    std::env::args().nth(1).is_some_and(|entry| [concurrency::ENTRY, stress::ENTRY].contains(&&*entry))
}
