/* BusyBox's configuration. */
#include "configuration.h"
#include "files.h"

typedef struct { const char *name; const char *value; } Setting; /* value is NULL for a plain switch */

static Setting *settings;
static Size setting_count;

/* The words of the file without its comments: NAME or NAME=VALUE. */
static void read_settings(const char *path)
{
    List lines = lines_of(read_file(path).data), words = { NULL, 0, 0 };
    for (Size i = 0; i < lines.count; i++)
        if (*lines.items[i] != '#') {
            List of_line = words_of(lines.items[i]);
            add_all(&words, &of_line);
        }
    settings = take(words.count * sizeof *settings);
    setting_count = words.count;
    for (Size i = 0; i < words.count; i++) {
        const char *word = words.items[i], *sign = find(word, "=");
        settings[i].name = sign ? slice(word, sign - word) : word;
        settings[i].value = sign ? sign + 1 : NULL;
    }
}

static const Setting *setting_of(const char *name)
{
    for (Size i = 0; i < setting_count; i++)
        if (equal(settings[i].name, name))
            return &settings[i];
    return NULL;
}

/* Where configuration is declared: Config.in at the top, a Config.src in most folders, and comments of the sources. */
static void add_declarations(List *to, const char *folder)
{
    List folders = folders_in(folder);
    const char *path = JOIN(folder, "/Config.src");
    if (exists(path)) {
        List lines = lines_of(read_file(path).data);
        add_all(to, &lines);
    }
    for (Size i = 0; i < folders.count; i++)
        add_declarations(to, JOIN(folder, "/", folders.items[i]));
}

static void add_declarations_in_source(List *to, const char *path)
{
    static const char mark[] = "//config:";
    List lines = lines_of(read_file(path).data);
    for (Size i = 0; i < lines.count; i++)
        if (starts_with(lines.items[i], mark))
            add(to, lines.items[i] + sizeof mark - 1);
}

static const char *without_indent(const char *line)
{
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

/* `kind` is the line that says the type of the item: bool, tristate, int, hex or string. */
static void append_definition(Text *header, const char *name, const char *kind)
{
    const Setting *setting = setting_of(name);
    int is_switch = starts_with(kind, "bool") || starts_with(kind, "tristate");
    if (setting && is_switch != !setting->value)
        FAIL(name, is_switch ? " is a switch and takes no value" : " needs a value");
    if (!is_switch || setting) {
        const char *value = is_switch ? "1" : setting ? setting->value : starts_with(kind, "string") ? "\"\"" : "0";
        append(header, LINES(JOIN("#define CONFIG_", name, " ", value), JOIN("#define ENABLE_", name, " 1"),
                             JOIN("#define IF_", name, "(...) __VA_ARGS__"), JOIN("#define IF_NOT_", name, "(...)")));
    } else {
        append(header, LINES(JOIN("#undef CONFIG_", name), JOIN("#define ENABLE_", name, " 0"), JOIN("#define IF_", name, "(...)"),
                             JOIN("#define IF_NOT_", name, "(...) __VA_ARGS__")));
    }
}

static int is_kind(const char *line)
{
    return starts_with(line, "bool") || starts_with(line, "tristate") || starts_with(line, "int") || starts_with(line, "hex")
        || starts_with(line, "string");
}

List configuration_make(const char *list, const List *sources)
{
    Text header = { NULL, 0, 0 };
    List declarations = lines_of(read_file("Config.in").data), declared = { NULL, 0, 0 }, on = { NULL, 0, 0 };
    const char *name = NULL;
    read_settings(list);
    add_declarations(&declarations, ".");
    for (Size i = 0; i < sources->count; i++)
        add_declarations_in_source(&declarations, sources->items[i]);
    for (Size i = 0; i < declarations.count; i++) {
        const char *line = declarations.items[i];
        if (starts_with(line, "config ")) {
            name = words_of(line).items[1];
        } else if (name && is_kind(without_indent(line))) {
            if (!contains(&declared, name))
                append_definition(&header, name, without_indent(line));
            add(&declared, name);
            name = NULL;
        }
    }
    for (Size i = 0; i < setting_count; i++) {
        if (!contains(&declared, settings[i].name))
            FAIL(list, ": BusyBox has no ", settings[i].name);
        add(&on, settings[i].name);
    }
    write_file("include/autoconf.h", header.data);
    return on;
}
