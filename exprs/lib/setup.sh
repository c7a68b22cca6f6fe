# What every build by BusyBox's shell starts with (exprs/lib/ash.zx); then it runs the build's own `script`.

export CONFIG_SHELL=$SHELL
export LC_ALL=C TZ=UTC
cores=${NIX_BUILD_CORES:-1}
[ "$cores" -gt 0 ] || cores=$(nproc)

# No sandbox has /bin/sh: scripts that name it get the shell that runs this one.
set_interpreters() {
    find "$1" -type f -perm -100 | while read -r file; do
        case $(head -c 16 "$file" | tr -d '\0') in
        '#!/bin/sh'* | '#! /bin/sh'*) sed -i "1s|^#! */bin/sh|#!$SHELL|" "$file" ;;
        esac
    done
}

# copy_source FROM TO: a source that can be edited.
copy_source() {
    cp -r "$1" "$2"
    chmod -R u+w "$2"
    set_interpreters "$2"
}

# settle FOLDER: all files equally old, so that make takes nothing for older than what it was generated from.
settle() {
    find "$1" -exec touch -h -d @1 {} +
}

# edit FILE SED-EXPRESSION...: as sed does, but an edit that changes nothing is an error.
edit() {
    file=$1
    shift
    for expression; do
        sed "$expression" "$file" >/tmp/edited
        if cmp -s "$file" /tmp/edited; then
            echo "error: nothing to edit in $file by $expression" >&2
            exit 1
        fi
        cat /tmp/edited >"$file"
    done
}

# Recipes too are run by our shell, whatever a Makefile says.
build() {
    make SHELL="$SHELL" MAKEINFO=: "$@"
}

cd /build
eval "$script"

# What is built does not tell where it was built.
if grep -rlE '/build/(build|source)' "$out"; then
    echo "error: these files of the output name the build's folder" >&2
    exit 1
fi
