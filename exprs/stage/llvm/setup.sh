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
