/* Files and folders. Every function ends the driver with a message if the file system refuses. */
#ifndef DRIVER_FILES_H
#define DRIVER_FILES_H

#include "text.h"

Text read_file(const char *path);
void write_file(const char *path, const char *text);
void write_bytes(const char *path, const char *from, Size length);
void copy_file(const char *from, const char *to);
void copy_folder(const char *from, const char *to); /* with all below it; `to` may exist */
void make_folder(const char *path);                 /* and those above it; may exist */
void make_executable(const char *path);
void link_to(const char *target, const char *path); /* a symbolic link at `path` */
const char *link_target(const char *path);          /* NULL if it is no symbolic link */
int is_executable(const char *path);
int exists(const char *path);
int is_folder(const char *path);
int same_bytes(const char *a, const char *b);

/* What is in the folder, by name and sorted, so that nothing depends on the file system's order. */
List files_in(const char *folder);
List folders_in(const char *folder);

const char *file_name(const char *path); /* what is behind the last slash */

#endif
