/* Which of BusyBox's sources are compiled, by its Kbuild files. */
#ifndef BUSYBOX_SOURCES_H
#define BUSYBOX_SOURCES_H

#include "text.h"

List sources_all(const char *folder);                          /* every .c file below, sorted by folder and name */
List sources_wanted(const List *all, const List *on);          /* those that the configuration asks for; `on` are its names */

#endif
