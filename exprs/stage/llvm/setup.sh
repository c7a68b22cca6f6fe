# What the builds of LLVM's parts have in common; read by their scripts.
#
# Variables: cc, cxx (commands), flags, linkFlags, triple.

# take PART...: the named folders of LLVM's sources, without their tests and manuals.
take() {
    mkdir -p source
    for part; do
        mkdir -p source/$part
        for entry in $src/$part/* $src/$part/.clang*; do
            case $entry in
            */test | */unittests | */docs | */benchmarks | */'*' | */.clang*) ;;
            *) cp -r $entry source/$part/ ;;
            esac
        done
    done
    chmod -R u+w source
    set_interpreters source
    if [ -d source/llvm ]; then
        printf '#!%s\necho %s\n' "$SHELL" "$triple" >source/llvm/cmake/config.guess
    fi
}

# begin_or_go_on: LLVM's libraries, configured for `targets` and `components`; with what the derivation `before` has built of them, if there is one.
begin_or_go_on() {
    take cmake llvm third-party
    # Where it was built is nobody's business.
    sed -i 's|"@LLVM_SRC_ROOT@"|""|; s|"@LLVM_OBJ_ROOT@"|""|' source/llvm/tools/llvm-config/BuildVariables.inc.in
    # All files are equally old, so that make takes nothing for older than what it was made from.
    settle source
    if [ "$before" ]; then
        gzip -dc $before/build.tar.gz | tar x
        settle build
    else
        # Which derivation will install them is not known yet.
        configure llvm -DCMAKE_INSTALL_PREFIX=/llvm -DLLVM_TARGETS_TO_BUILD="$targets" -DLLVM_DISTRIBUTION_COMPONENTS="$components" \
            -DLLVM_INSTALL_UTILS=ON
    fi
}

# keep_progress: the folder that was built in, for the derivation that goes on.
keep_progress() {
    # What CMake and make tell of how it went is not the same twice.
    find build -name '*.log' -exec rm {} +
    settle build
    mkdir $out
    find build '(' ! -type d -o -empty ')' | sort >/tmp/files
    tar c -T /tmp/files | gzip -1n >$out/build.tar.gz
}

# configure FOLDER OPTION...: in /build/build.
configure() {
    folder=$1
    shift
    cmake -S source/$folder -B build -G 'Unix Makefiles' \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$out \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_ASM_COMPILER="$cc" \
        -DCMAKE_C_FLAGS="$flags -ffile-prefix-map=/build=" -DCMAKE_CXX_FLAGS="$flags $cxxFlags -ffile-prefix-map=/build=" \
        -DCMAKE_C_FLAGS_RELEASE='-O2 -DNDEBUG' -DCMAKE_CXX_FLAGS_RELEASE='-O2 -DNDEBUG' \
        -DCMAKE_EXE_LINKER_FLAGS="$linkFlags" \
        -DLLVM_HOST_TRIPLE=$triple -DLLVM_DEFAULT_TARGET_TRIPLE=$triple -DLLVM_APPEND_VC_REV=OFF \
        -DLLVM_ENABLE_PIC=OFF -DLLVM_ENABLE_THREADS=OFF -DLLVM_ENABLE_PLUGINS=OFF -DLLVM_ENABLE_BACKTRACES=OFF \
        -DLLVM_ENABLE_ZLIB=OFF -DLLVM_ENABLE_ZSTD=OFF -DLLVM_ENABLE_LIBXML2=OFF -DLLVM_ENABLE_TERMINFO=OFF \
        -DLLVM_ENABLE_LIBEDIT=OFF -DLLVM_ENABLE_BINDINGS=OFF -DLLVM_ENABLE_WARNINGS=OFF \
        -DLLVM_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_EXAMPLES=OFF -DLLVM_INCLUDE_BENCHMARKS=OFF -DLLVM_INCLUDE_DOCS=OFF \
        "$@"
}
