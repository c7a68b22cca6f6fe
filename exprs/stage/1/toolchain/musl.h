/* musl: headers, the C library as a static archive, the start files. */
#ifndef TOOLCHAIN_MUSL_H
#define TOOLCHAIN_MUSL_H

#include "compiler.h"

/* Patch the source in the working folder and make the headers that musl's Makefile makes. */
void musl_prepare(const char *step);

/* Compile the whole library in the working folder; returns the objects' paths, all below `objects`. */
List musl_compile(const Compiler *compiler, const char *objects);

/* The start files crt1.o, crti.o, crtn.o, Scrt1.o into `folder`. */
void musl_compile_start_files(const Compiler *compiler, const char *folder);

void musl_install_headers(const char *folder);

/* What a compiler needs to find the headers without an installed libc; `source` is a prepared source. */
List musl_include_options(const char *source);

#endif
