#include <stddef.h>

/* Writes a greeting of at most `size` bytes, with the zero at its end. */
void greet(char *text, size_t size, const char *name);
