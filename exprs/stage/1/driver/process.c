/* Running programs. */
#include "process.h"

enum { MOST_AT_ONCE = 64 };

static char **environment;
static long cores;
static struct { long id; const List *command; } running[MOST_AT_ONCE];
static long running_count;

static const char *variable_or_null(const char *name)
{
    Size length = length_of(name);
    for (char **entry = environment; *entry; entry++)
        if (starts_with(*entry, name) && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

const char *variable(const char *name)
{
    const char *value = variable_or_null(name);
    if (!value)
        FAIL("the environment has no ", name);
    return value;
}

void process_setup(char **from)
{
    const char *wanted;
    environment = from;
    wanted = variable_or_null("NIX_BUILD_CORES");
    cores = 0;
    for (; wanted && *wanted >= '0' && *wanted <= '9'; wanted++)
        cores = cores * 10 + *wanted - '0';
    if (!cores)
        cores = sys_usable_cores();
    if (cores > MOST_AT_ONCE)
        cores = MOST_AT_ONCE;
}

void enter(const char *folder)
{
    if (sys_change_folder(folder) < 0)
        FAIL("cannot enter ", folder);
}

static void report_failure(const List *command, int status)
{
    Text line = { NULL, 0, 0 };
    for (Size i = 0; i < command->count; i++) {
        append(&line, " ");
        append(&line, command->items[i]);
    }
    if (line.length > 2000)
        line.data[2000] = 0;
    if (status & 0x7f)
        FAIL("ended by signal ", number(status & 0x7f), ":", line.data);
    FAIL("ended with status ", number(status >> 8 & 0xff), ":", line.data);
}

static void wait_for_one(void)
{
    int status;
    long id = sys_wait(&status);
    if (id < 0)
        FAIL("cannot wait: error ", number(-id));
    for (long i = 0; i < running_count; i++)
        if (running[i].id == id) {
            const List *command = running[i].command;
            running[i] = running[--running_count];
            if (status)
                report_failure(command, status);
            return;
        }
}

/* The command is kept to name it should it fail, and the caller may go on adding to its own list. */
static const List *keep(const List *command)
{
    List *kept = take(sizeof *kept);
    add_all(kept, command);
    return kept;
}

/* In the child: become the command, with standard output in the file `output` unless that is NULL. */
static void become(const List *command, const char *output)
{
    if (output) {
        long descriptor = sys_open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (descriptor < 0 || sys_redirect(descriptor, STDOUT) < 0)
            FAIL("cannot write ", output);
    }
    sys_execute(command->items[0], command->items, environment);
    FAIL("cannot execute ", command->items[0]);
}

static void start_into(const List *command, const char *output)
{
    long id;
    while (running_count >= cores)
        wait_for_one();
    id = sys_fork();
    if (id < 0)
        FAIL("cannot fork: error ", number(-id));
    if (id == 0)
        become(command, output);
    running[running_count].id = id;
    running[running_count++].command = keep(command);
}

void start(const List *command) { start_into(command, NULL); }

void finish(void)
{
    while (running_count)
        wait_for_one();
}

void run_into(const List *command, const char *path)
{
    finish();
    start_into(command, path);
    finish();
}

void run(const List *command) { run_into(command, NULL); }
