/* Editing sources by exact text. An edit that does not find what it expects ends the driver: a source other than the one it was written for. */
#ifndef DRIVER_PATCH_H
#define DRIVER_PATCH_H

#include "text.h"

void replace(const char *path, const char *old, const char *with);                /* `old` must occur once */
void replace_each(const char *path, const char *old, const char *with, Size times); /* and here that many times */

#endif
