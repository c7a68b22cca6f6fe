#!/usr/bin/env bash
# Records what `nix repl` answers to the lines of each *.in, as tests/repl/NAME.txt; see ../repl.rs.
set -eu
: "${ZEVAL_ORACLE:?set it to a command that runs C++ Nix: \$ZEVAL_ORACLE nix repl ...}"
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/zeval-repl-XXXXXX")
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
cp -r "$here/data/." "$copy"
cd "$copy"
for lines in "$here"/*.in; do
  NIX_REMOTE=dummy:// $ZEVAL_ORACLE nix --extra-experimental-features nix-command repl < "$lines" 2>&1 |
    sed -e 's/\x1b\[[0-9;]*m//g; s/\r//g' -e "s|$copy|/here|g" -e '1,2d' -e 's/^nix-repl> /zeval> /; s/^        > /     > /' \
      > "${lines%.in}.txt"
done
