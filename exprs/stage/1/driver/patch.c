/* Editing sources by exact text. */
#include "patch.h"
#include "files.h"

void replace_each(const char *path, const char *old, const char *with, Size times)
{
    Text before = read_file(path), after = { NULL, 0, 0 };
    Size found = 0;
    const char *at = before.data, *next;
    while ((next = find(at, old))) {
        append_bytes(&after, at, next - at);
        append(&after, with);
        at = next + length_of(old);
        found++;
    }
    append(&after, at);
    if (found != times)
        FAIL(path, ": found ", number(found), " times instead of ", number(times), ":\n", old);
    write_bytes(path, after.data, after.length);
}

void replace(const char *path, const char *old, const char *with) { replace_each(path, old, with, 1); }
