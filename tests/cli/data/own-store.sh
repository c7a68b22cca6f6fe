# A store of its own, as test suites of Nix's users set one up.
unset NIX_REMOTE
here=$(pwd)/own
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
