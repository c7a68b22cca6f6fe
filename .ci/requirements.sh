# Sourced by the scripts that build zeval: says what this machine lacks, and how a static binary is asked for.
# shellcheck shell=bash

missing=()
[ "$(uname -s)" = Linux ] || missing+=("Linux: builds run in its namespaces")
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if ! command -v cargo >/dev/null; then
    missing+=("cargo: Rust's toolchain, 1.95 or later (https://rustup.rs)")
else
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n1)" != "$wanted" ]; then
        missing+=("Rust $wanted or later: this is ${found:-none} (rustup update stable)")
    fi
fi
command -v cc >/dev/null || missing+=("cc: a C compiler and linker, which Rust itself needs (Debian: apt-get install gcc libc6-dev)")
if [ ${#missing[@]} -gt 0 ]; then
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 1
fi

static=()
case $(cc -print-file-name=libc.a) in
/*) static=(--config .cargo/static.toml) ;;
*) echo "no libc.a here: the binary will be linked to this machine's C library" >&2 ;;
esac
