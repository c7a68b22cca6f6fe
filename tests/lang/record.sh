#!/usr/bin/env bash
# Records what Nix says of each language case; see README.md.
set -eu
: "${ZEVAL_ORACLE:?set it to a command that runs C++ Nix: \$ZEVAL_ORACLE nix-instantiate ...}"
here=$(cd "$(dirname "$0")" && pwd)
export copy
copy=$(mktemp -d "${TMPDIR:-/tmp}/zeval-lang-XXXXXX")
trap 'rm -rf "$copy"' EXIT
# The oracle may see nothing but temporary folders.
cp -r "$here/." "$copy"
chmod -R u+rwX,go+rX "$copy"

record_case() {
  case_file=$1 here=$2
  name=${case_file#./} name=${name%.zx}
  folder=$(dirname "$name") base=$(basename "$name")
  cd "$copy/$folder"
  flags=() mode=(--eval --strict)
  [ ! -f "$base.flags" ] || mapfile -t flags < "$base.flags"
  case " ${flags[*]-} " in *" --parse "*) mode=() ;; esac
  status=0
  NIX_REMOTE=dummy:// timeout 60 $ZEVAL_ORACLE nix-instantiate "${mode[@]}" --option experimental-features '' "${flags[@]}" "$base.zx" > "$base.out" 2> "$base.log" < /dev/null || status=$?
  case $base in bad-*) wanted=1 kept=$base.log suffix=err other=exp ;; *) wanted=0 kept=$base.out suffix=exp other=err ;; esac
  if [ "$status" != "$wanted" ]; then
    echo "$name: status $status, not $wanted" >&2
    tail -n 3 "$base.log" >&2
    return
  fi
  sed "s|$copy|/pwd|g" "$kept" > "$base.new"
  rm -f "$here/$name.$other"
  cmp -s "$base.new" "$here/$name.$suffix" && return
  cp "$base.new" "$here/$name.$suffix"
  echo "$name.$suffix changed"
}
export -f record_case

cd "$here"
wanted=("$@")
find . -name '*.zx' -not -path '*/data/*' | sort |
  if [ ${#wanted[@]} -gt 0 ]; then grep -F "${wanted[@]/#/-e}"; else cat; fi |
  xargs -P "$(nproc)" -I{} bash -c 'record_case "$1" "$2"' _ {} "$here"
