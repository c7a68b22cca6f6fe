# How sources are compiled that come without a build system of their own, or with one that would need more than they do; read by the scripts.
#
# Variables: clangTriple; flags, of the processor; headers, packages whose include/ is searched, in this order.

target="--target=$clangTriple $flags -no-canonical-prefixes --sysroot=/dev/null -nostdlibinc"
for package in $headers; do
    target="$target -isystem $package/include"
done
# Nothing that is made tells where or when it was.
target="$target -ffile-prefix-map=$src=source -fno-ident -Werror=date-time"

# compile COMMAND...: compiles the lines "OBJECT SOURCE [FLAG...]" of standard input by the command, as many at a time as there are cores.
compile() {
    export COMPILE="$*"
    xargs -P $cores -I '{}' $SHELL -euc 'set -- {}; object=$1 source=$2; shift 2; exec $COMPILE "$@" -c $source -o $object'
}

# archive LIBRARY FOLDER: of all objects in the folder.
archive() {
    find $2 -name '*.o' | sort | xargs llvm-ar rcsD $1
}
