#!/usr/bin/env bash
# Records what C++ Nix prints in the sessions named nix-*.txt (all, or those given by name).
# ZEVAL_ORACLE is a command that runs one of Nix's commands, as root, in the current folder; its store is emptied of what the sessions make.
set -eu
: "${ZEVAL_ORACLE:?set it to a command that runs C++ Nix: \$ZEVAL_ORACLE nix-store ...}"
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/zeval-cli-XXXXXX")
chmod 755 "$copy"
trap 'chmod -R u+w "$copy"; rm -rf "$copy"' EXIT
cd "$here"
[ $# -gt 0 ] || set -- nix-*.txt
for session in "$@"; do
  session=${session%.txt}
  rm -rf "$copy/work"
  mkdir "$copy/work"
  cp data/* "$copy/work"
  cd "$copy/work"
  store=/var/lib/zeval-cli/$session
  # Builtin builders need a store at its logical place.
  case $session in nix-build | nix-shell | nix-env | nix-profile | nix-channel | nix-develop) remote=local ;; *) remote="local?root=$store" ;; esac
  $ZEVAL_ORACLE sh -c "chmod -R u+w $store 2>/dev/null; rm -rf $store"
  grep '^\$ ' "$here/$session.txt" | while read -r line; do
    echo "$line"
    status=0
    NIX_REMOTE= $ZEVAL_ORACLE sh -c "export NIX_REMOTE='$remote' HOME=$copy/work; exec 2>&1; ${line#\$ }" </dev/null >"$copy/out" || status=$?
    # Times of processes, and how Nix manages its store, are its own.
    sed -e "s|$copy/work|/here|g" -e '/^removing stale temporary roots file/d' \
      -e 's|/nix/store/[0-9a-z]\{32\}\(-[^ /]*\.drv\)|/nix/store/HASH\1|g' "$copy/out"
    [ "$status" = 0 ] || echo "[status $status]"
  done >"$copy/new"
  cd "$here"
  cmp -s "$copy/new" "$session.txt" && continue
  cp "$copy/new" "$session.txt"
  echo "$session.txt changed"
done
