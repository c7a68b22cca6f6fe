/* Strings, growing texts and lists of strings. Memory is taken in large pieces and never given back: the driver is short-lived. */
#ifndef DRIVER_TEXT_H
#define DRIVER_TEXT_H

#include "system.h"

void *take(Size size); /* zeroed, 16-byte aligned; ends the driver if there is no memory */

Size length_of(const char *text);
int equal(const char *a, const char *b);
int compare(const char *a, const char *b); /* by bytes */
int starts_with(const char *text, const char *start);
int ends_with(const char *text, const char *end);
const char *find(const char *text, const char *part);       /* first occurrence or NULL */
const char *find_last(const char *text, char character);    /* last occurrence or NULL */
char *slice(const char *from, Size length);                 /* a copy, terminated */
char *number(long value);                                   /* decimal */

/* JOIN("a", b, "c"): their concatenation. */
#define JOIN(...) join_all((const char *const[]){ __VA_ARGS__, NULL })
char *join_all(const char *const *parts);

/* A text that grows. `data` is always terminated; NULL while empty. */
typedef struct { char *data; Size length, room; } Text;
void append(Text *to, const char *text);
void append_bytes(Text *to, const char *from, Size length);

/* A list of strings; `items` ends with NULL and is NULL while empty, so it serves as an argument vector. */
typedef struct { char **items; Size count, room; } List;
void add(List *to, const char *item);
void add_all(List *to, const List *items);
#define ADD(to, ...) add_array(to, (const char *const[]){ __VA_ARGS__, NULL })
void add_array(List *to, const char *const *items);
int contains(const List *list, const char *item);
void sort(List *list);
List words_of(const char *text); /* split at spaces and newlines */
List lines_of(const char *text); /* without their newlines */

/* LINES("a", "b"): "a\nb\n". */
#define LINES(...) lines_all((const char *const[]){ __VA_ARGS__, NULL })
char *lines_all(const char *const *lines);

/* Write the parts and a newline to standard output, or to standard error and end the driver with status 1. */
#define SAY(...) say_all(STDOUT, (const char *const[]){ __VA_ARGS__, NULL })
#define FAIL(...) (say_all(STDERR, (const char *const[]){ "error: ", __VA_ARGS__, NULL }), sys_exit(1))
void say_all(int descriptor, const char *const *parts);

/* What a compiler calls by itself. */
void *memcpy(void *to, const void *from, Size size);
void *memmove(void *to, const void *from, Size size);
void *memset(void *to, int byte, Size size);
int memcmp(const void *a, const void *b, Size size);

#endif
