/* BusyBox's configuration: what Kconfig would do with our list of what is on. */
#ifndef BUSYBOX_CONFIGURATION_H
#define BUSYBOX_CONFIGURATION_H

#include "text.h"

/* Write include/autoconf.h in the working folder for the list in the file `list`; `sources` are all C sources. Returns the names that are on. */
List configuration_make(const char *list, const List *sources);

#endif
