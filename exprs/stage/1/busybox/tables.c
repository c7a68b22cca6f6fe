/* The headers that BusyBox's build generates. */
#include "tables.h"
#include "files.h"
#include "process.h"

/* Write `to` as the file `from` with `text` in place of its line INSERT. */
static void write_inserted(const char *from, const char *to, const char *text)
{
    static const char mark[] = "\nINSERT\n";
    const char *whole = read_file(from).data, *at = find(whole, mark);
    if (!at)
        FAIL(from, " has no INSERT");
    write_file(to, JOIN(slice(whole, at + 1 - whole), text, at + sizeof mark - 1));
}

/* A usage text is a macro: each line is continued, and an empty line ends the one before. */
static void append_usage(Text *usage, const char *line)
{
    if (*line != ' ' && *line != '\t')
        append(usage, "\n");
    append(usage, JOIN(line, " \\\n"));
}

void tables_collect(const List *sources)
{
    static const char applet_mark[] = "//applet:", usage_mark[] = "//usage:";
    Text applets = { NULL, 0, 0 }, usage = { NULL, 0, 0 };
    for (Size i = 0; i < sources->count; i++) {
        List lines = lines_of(read_file(sources->items[i]).data);
        for (Size j = 0; j < lines.count; j++) {
            const char *line = lines.items[j];
            if (starts_with(line, applet_mark))
                append(&applets, JOIN(line + sizeof applet_mark - 1, "\n"));
            else if (starts_with(line, usage_mark) && line[sizeof usage_mark - 1])
                append_usage(&usage, line + sizeof usage_mark - 1);
        }
    }
    write_inserted("include/applets.src.h", "include/applets.h", applets.data);
    write_inserted("include/usage.src.h", "include/usage.h", usage.data);
}

/* Compile one of BusyBox's generators; returns its path. */
static char *build_tool(const List *compile, const char *tools, const char *name)
{
    List command = { NULL, 0, 0 };
    char *program = JOIN(tools, "/", name);
    add_all(&command, compile);
    ADD(&command, "-Iinclude", JOIN("applets/", name, ".c"), "-o", program);
    run(&command);
    return program;
}

/* The usage texts of all applets, each ended by a zero byte, as one C string in octal: what applets/usage_compressed makes, uncompressed. */
static void write_usage_header(Text usage)
{
    enum { BYTES_A_LINE = 32 };
    Text header = { NULL, 0, 0 };
    append(&header, "#define UNPACKED_USAGE \"\" \\\n");
    for (Size i = 0; i < usage.length; i += BYTES_A_LINE) {
        append(&header, "\"");
        for (Size j = i; j < i + BYTES_A_LINE && j < usage.length; j++) {
            unsigned char byte = usage.data[j];
            char octal[] = { '\\', '0' + (byte >> 6), '0' + (byte >> 3 & 7), '0' + (byte & 7), 0 };
            append(&header, octal);
        }
        append(&header, "\" \\\n");
    }
    append(&header, JOIN("\n#define UNPACKED_USAGE_LENGTH ", number(usage.length), "\n"));
    write_file("include/usage_compressed.h", header.data);
}

void tables_generate(const List *compile, const char *tools)
{
    List command = { NULL, 0, 0 };
    const char *usage = JOIN(tools, "/usage.text");
    make_folder(tools);
    ADD(&command, build_tool(compile, tools, "applet_tables"), "include/applet_tables.h", "include/NUM_APPLETS.h");
    run(&command);
    command.count = 0;
    ADD(&command, build_tool(compile, tools, "usage"));
    run_into(&command, usage);
    write_usage_header(read_file(usage));
    /* scripts/generate_BUFSIZ.sh would measure the size of bss to save some; this is its plain case. */
    write_file("include/common_bufsiz.h",
               LINES("enum { COMMON_BUFSIZE = 1024 };", "extern char bb_common_bufsiz1[];", "#define setup_common_bufsiz() ((void)0)"));
}

/* applet_tables.h lists the names as lines such as "tar" "\0". */
List tables_applets(void)
{
    List applets = { NULL, 0, 0 }, lines = lines_of(read_file("include/applet_tables.h").data);
    for (Size i = 0; i < lines.count; i++) {
        const char *line = lines.items[i], *end = find(line, "\" \"\\0\"");
        if (*line == '"' && end)
            add(&applets, slice(line + 1, end - line - 1));
    }
    return applets;
}
