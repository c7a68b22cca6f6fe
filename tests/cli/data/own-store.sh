# A store of its own, as test suites of Nix's users set one up.
unset NIX_REMOTE
here=$(pwd)/own
# Lets fetchClosure read from a folder.
export _NIX_IN_TEST=1
export NIX_STORE_DIR=$here/store NIX_STATE_DIR=$here/var/nix NIX_LOG_DIR=$here/var/log NIX_CONF_DIR=$here/etc
mkdir -p "$NIX_CONF_DIR"
cat >"$NIX_CONF_DIR/nix.conf" <<END
build-users-group =
sandbox = false
substituters =
experimental-features = nix-command
END
# Hashes depend on where the store is.
plain() { sed 's|/[0-9a-z]\{32\}-|/HASH-|g'; }
# Reads a file of what is fetched, without all that Nix says meanwhile: the path, further attributes, the file.
fetch() {
  nix-instantiate --eval --read-write-mode --option experimental-features fetch-closure --option require-sigs false -E \
    "builtins.readFile (builtins.fetchClosure { fromStore = \"file://$PWD/cache\"; fromPath = \"$1\"; $2 } + \"$3\")" 2>&1 | plain | grep -v '^rewriting\|^copying [0-9]'
}
