/* Compare folders bit for bit, as a NAR would: names, kinds, contents, executable bits, targets of links.

   Environment: NAMES, and the two folders of each name: one_NAME and other_NAME; and the output out, a list of what was found to be the same.
   Ends with status 1 and the differing files, the first ones of each folder, if any two are not the same. */
#include "files.h"
#include "process.h"

enum { MOST_REPORTED = 10 };

static long compared, differences;

static void differs(const char *one, const char *other, const char *how)
{
    if (++differences <= MOST_REPORTED)
        SAY("differs: ", one, " and ", other, ": ", how);
}

static void compare_folders(const char *one, const char *other);

static void compare_entries(const char *one, const char *other)
{
    const char *target = link_target(one), *other_target = link_target(other);
    compared++;
    if (target || other_target) {
        if (!target || !other_target || !equal(target, other_target))
            differs(one, other, "not the same link");
    } else if (is_folder(one) != is_folder(other)) {
        differs(one, other, "one is a folder");
    } else if (is_folder(one)) {
        compare_folders(one, other);
    } else if (!same_bytes(one, other)) {
        differs(one, other, "contents");
    } else if (is_executable(one) != is_executable(other)) {
        differs(one, other, "one is executable");
    }
}

static List entries_in(const char *folder)
{
    List entries = files_in(folder), folders = folders_in(folder);
    add_all(&entries, &folders);
    sort(&entries);
    return entries;
}

static void compare_folders(const char *one, const char *other)
{
    List entries = entries_in(one), other_entries = entries_in(other);
    for (Size i = 0; i < entries.count; i++)
        if (contains(&other_entries, entries.items[i]))
            compare_entries(JOIN(one, "/", entries.items[i]), JOIN(other, "/", entries.items[i]));
        else
            differs(JOIN(one, "/", entries.items[i]), other, "is only in the first");
    for (Size i = 0; i < other_entries.count; i++)
        if (!contains(&entries, other_entries.items[i]))
            differs(JOIN(other, "/", other_entries.items[i]), one, "is only in the second");
}

int _start(int argc, char **argv, char **environment)
{
    Text found = { NULL, 0, 0 };
    List names;
    process_setup(environment);
    names = words_of(variable("NAMES"));
    for (Size i = 0; i < names.count; i++) {
        const char *name = names.items[i], *one = variable(JOIN("one_", name)), *other = variable(JOIN("other_", name));
        long before = compared;
        compare_entries(one, other);
        append(&found, JOIN(name, ": ", number(compared - before), " files, folders and links are the same in ", one, " and ", other, "\n"));
    }
    if (differences)
        FAIL(number(differences), " differences");
    if (!compared)
        FAIL("nothing to compare");
    write_file(variable("out"), found.data);
    sys_write(STDOUT, found.data, found.length);
    return 0;
}
