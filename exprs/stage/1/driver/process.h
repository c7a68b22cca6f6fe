/* Running programs: one after another, or as many at once as there are cores to use. */
#ifndef DRIVER_PROCESS_H
#define DRIVER_PROCESS_H

#include "text.h"

void process_setup(char **environment);   /* once, before all else */
const char *variable(const char *name);   /* of the environment; ends the driver if it is not set */

void enter(const char *folder);           /* make it the working folder */
void run(const List *command);            /* and wait; ends the driver if it fails */
void run_into(const List *command, const char *path); /* and wait, with the standard output in a file */
void start(const List *command);          /* run at the side, waiting for a free core first */
void finish(void);                        /* wait for all that were started; ends the driver if one failed */

#endif
