/* A C compiler, which is also assembler, linker and archiver: the seed, or a tcc made from it. */
#ifndef TOOLCHAIN_COMPILER_H
#define TOOLCHAIN_COMPILER_H

#include "text.h"

typedef struct {
    List command;    /* program and first arguments; uses no header or library by itself */
    int is_seed;     /* unpatched: has no true aliases and its archives no weak symbols */
} Compiler;

/* Compile at the side (wait with finish()); paths are relative to the working folder, so that no build path gets into the object. */
void compile(const Compiler *compiler, const List *options, const char *source, const char *object);
void archive(const Compiler *compiler, const char *library, const List *objects);
void link_static(const Compiler *compiler, const char *program, const List *objects);

#endif
