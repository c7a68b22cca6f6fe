//! The `zeval` command.

fn main() {}
