/* Which of BusyBox's sources are compiled.

   A folder's Kbuild.src and the "//kbuild:" comments of its sources have lines such as
       lib-$(CONFIG_TAR) += get_header_tar.o unsafe_prefix.o
   with lib-y for always, continued by a backslash, and variables that hold lists of objects. */
#include "sources.h"
#include "files.h"

static void add_sources(List *to, const char *folder)
{
    List files = files_in(folder), folders = folders_in(folder);
    for (Size i = 0; i < files.count; i++)
        if (ends_with(files.items[i], ".c"))
            add(to, JOIN(folder, "/", files.items[i]));
    for (Size i = 0; i < folders.count; i++)
        add_sources(to, JOIN(folder, "/", folders.items[i]));
}

List sources_all(const char *folder)
{
    List all = { NULL, 0, 0 }, folders = folders_in(folder);
    for (Size i = 0; i < folders.count; i++)
        if (!equal(folders.items[i], "scripts"))
            add_sources(&all, folders.items[i]);
    return all;
}

/* The rules of a folder, comments of sources included, one a line: continued lines are joined. */
static List rules_of(const char *folder, const List *all)
{
    static const char mark[] = "//kbuild:";
    List rules = { NULL, 0, 0 }, lines = lines_of(read_file(JOIN(folder, "/Kbuild.src")).data);
    Text rule = { NULL, 0, 0 };
    for (Size i = 0; i < lines.count; i++) {
        char *line = lines.items[i];
        int goes_on = ends_with(line, "\\");
        append_bytes(&rule, line, length_of(line) - goes_on);
        append(&rule, " ");
        if (!goes_on) {
            add(&rules, slice(rule.data, rule.length));
            rule.length = 0;
        }
    }
    for (Size i = 0; i < all->count; i++) {
        const char *path = all->items[i];
        if (!equal(slice(path, file_name(path) - path), JOIN(folder, "/")))
            continue;
        lines = lines_of(read_file(path).data);
        for (Size j = 0; j < lines.count; j++)
            if (starts_with(lines.items[j], mark))
                add(&rules, lines.items[j] + sizeof mark - 1);
    }
    return rules;
}

static char *tabs_to_spaces(const char *text)
{
    char *copy = slice(text, length_of(text));
    for (char *at = copy; *at; at++)
        if (*at == '\t')
            *at = ' ';
    return copy;
}

/* Whether a rule's target, such as "lib-$(CONFIG_TAR)", is a list that is linked. */
static int is_on(const char *target, const List *on)
{
    static const char start[] = "lib-$(CONFIG_";
    Size length = length_of(target);
    if (equal(target, "lib-y"))
        return 1;
    return starts_with(target, start) && target[length - 1] == ')'
        && contains(on, slice(target + sizeof start - 1, length - sizeof start));
}

/* `variables` is a list of names, each followed by its value. */
static void add_objects(List *sources, const char *folder, const List *words, Size from, const List *variables)
{
    for (Size i = from; i < words->count; i++) {
        const char *word = words->items[i];
        if (ends_with(word, ".o")) {
            const char *source = JOIN(folder, "/", slice(word, length_of(word) - 1), "c");
            if (!contains(sources, source))
                add(sources, source);
        }
        for (Size v = 0; v < variables->count; v += 2)
            if (equal(word, JOIN("$(", variables->items[v], ")"))) {
                List inner = words_of(variables->items[v + 1]);
                add_objects(sources, folder, &inner, 0, variables);
            }
    }
}

static void add_wanted_in(List *wanted, const char *folder, const List *all, const List *on)
{
    List rules = rules_of(folder, all), variables = { NULL, 0, 0 };
    for (Size i = 0; i < rules.count; i++) {
        const char *rule = tabs_to_spaces(rules.items[i]), *assigned = find(rule, ":=");
        List words = words_of(assigned ? JOIN(slice(rule, assigned - rule), " := ", assigned + 2) : rule);
        if (words.count < 3)
            continue;
        if (is_on(words.items[0], on))
            add_objects(wanted, folder, &words, 2, &variables);
        else if (equal(words.items[1], ":=") && !starts_with(words.items[0], "lib-"))
            ADD(&variables, words.items[0], assigned + 2);
    }
}

static void add_wanted_below(List *wanted, const char *folder, const List *all, const List *on)
{
    List folders = folders_in(folder);
    if (exists(JOIN(folder, "/Kbuild.src")))
        add_wanted_in(wanted, folder, all, on);
    for (Size i = 0; i < folders.count; i++)
        add_wanted_below(wanted, JOIN(folder, "/", folders.items[i]), all, on);
}

List sources_wanted(const List *all, const List *on)
{
    List wanted = { NULL, 0, 0 }, folders = folders_in(".");
    for (Size i = 0; i < folders.count; i++)
        if (!equal(folders.items[i], "scripts"))
            add_wanted_below(&wanted, folders.items[i], all, on);
    return wanted;
}
