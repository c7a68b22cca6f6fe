# Stores that give each other what they know of paths.
. ./own-store.sh
n() { nix --extra-experimental-features ca-derivations "$@"; }
# Hashes depend on where the store is.
hide() { sed -e 's|sha256:[0-9a-f]\{64\}|sha256:HASH|g' -e 's|[0-9a-z]\{32\}-|HASH-|g' -e 's|sha256-[^"]*|sha256-HASH|g' -e 's|nar/[^"]*|nar/FILE|g' -e 's|\(key-1:\)[^" ]*|\1SIGNATURE|g'; }
path() { n build --no-link --print-out-paths -f content-addressed.nix "$1" 2>/dev/null | head -1; }
drv() { n path-info --derivation -f content-addressed.nix "$1" 2>/dev/null; }
