/* TinyCC: the compiler and its run-time library. */
#ifndef TOOLCHAIN_TINYCC_H
#define TOOLCHAIN_TINYCC_H

#include "compiler.h"

/* Patch the source in the working folder, and write its configuration: where the compiler will find its own files (`home`) and musl. */
void tinycc_prepare(const char *home, const char *musl);

/* Compile libtcc1 in the working folder; returns the objects' paths, all below `objects`. */
List tinycc_compile_runtime(const Compiler *compiler, const char *objects);

/* Compile tcc in the working folder against musl's headers into the object `object`. */
void tinycc_compile(const Compiler *compiler, const List *include_options, const char *object);

#endif
