//! What the evaluator and the builder both speak: hashes, store paths, NAR, derivations, references.
