/* The headers that BusyBox's build generates: the applets, their usage texts, and the tables that find them by name. */
#ifndef BUSYBOX_TABLES_H
#define BUSYBOX_TABLES_H

#include "text.h"

void tables_collect(const List *sources);                    /* applets.h and usage.h, from comments of the sources */
void tables_generate(const List *compile, const char *tools); /* the rest, by BusyBox's own programs, compiled into the folder `tools` */
List tables_applets(void);                                   /* the names of the applets; after tables_generate */

#endif
