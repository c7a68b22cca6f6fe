/* A C compiler, which is also assembler, linker and archiver. */
#include "compiler.h"
#include "process.h"

void compile(const Compiler *compiler, const List *options, const char *source, const char *object)
{
    List command = { NULL, 0, 0 };
    add_all(&command, &compiler->command);
    ADD(&command, "-nostdinc");
    add_all(&command, options);
    ADD(&command, "-c", source, "-o", object);
    start(&command);
}

void archive(const Compiler *compiler, const char *library, const List *objects)
{
    List command = { NULL, 0, 0 };
    add_all(&command, &compiler->command);
    ADD(&command, "-ar", "rcs", library);
    add_all(&command, objects);
    run(&command);
}

void link_static(const Compiler *compiler, const char *program, const List *objects)
{
    List command = { NULL, 0, 0 };
    add_all(&command, &compiler->command);
    ADD(&command, "-nostdlib", "-static", "-o", program);
    add_all(&command, objects);
    run(&command);
}
