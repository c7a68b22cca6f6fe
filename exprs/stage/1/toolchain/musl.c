/* musl 1.2.3 by tcc. */
#include "musl.h"
#include "files.h"
#include "patch.h"
#include "process.h"

/* tcc has no complex numbers, and its inline assembler and its assembler lack what the x86_64 mathematics needs: the C versions serve. */
static int is_left_out(const char *folder, const char *file)
{
    return equal(folder, "complex") || (equal(folder, "math") && equal(file, "sqrtl.c"));
}

static int has_arch_sources(const char *folder) { return !equal(folder, "math"); }

/* "TYPEDEF unsigned size_t;" -> a typedef that is there if wanted and not yet defined; STRUCT and UNION alike. What tools/mkalltypes.sed does. */
static void append_type(Text *to, const char *line)
{
    const char *name, *definition, *end = line + length_of(line) - 1, *kind, *prefix;
    if (starts_with(line, "TYPEDEF ")) {
        kind = "typedef ", prefix = "";
        name = slice(find_last(line, ' ') + 1, end - find_last(line, ' ') - 1);
        definition = line + 8;
    } else if (starts_with(line, "STRUCT ") || starts_with(line, "UNION ")) {
        int is_struct = *line == 'S';
        const char *after = line + (is_struct ? 7 : 6);
        kind = is_struct ? "struct " : "union ", prefix = kind;
        definition = after;
        name = slice(after, find(after, " ") - after);
    } else {
        append(to, line);
        append(to, "\n");
        return;
    }
    name = *prefix ? JOIN(slice(prefix, length_of(prefix) - 1), "_", name) : name;
    append(to, LINES(JOIN("#if defined(__NEED_", name, ") && !defined(__DEFINED_", name, ")"), JOIN(kind, definition),
                     JOIN("#define __DEFINED_", name), "#endif", ""));
}

static void make_types_header(void)
{
    Text header = { NULL, 0, 0 };
    List lines = lines_of(JOIN(read_file("arch/x86_64/bits/alltypes.h.in").data, read_file("include/alltypes.h.in").data));
    for (Size i = 0; i < lines.count; i++)
        append_type(&header, lines.items[i]);
    write_file("obj/include/bits/alltypes.h", header.data);
}

/* Every system call's number as __NR_name and, under it, as SYS_name. */
static void make_syscall_header(void)
{
    Text header = read_file("arch/x86_64/bits/syscall.h.in");
    List lines = lines_of(header.data);
    for (Size i = 0; i < lines.count; i++) {
        const char *line = lines.items[i], *prefix = find(line, "__NR_");
        if (prefix)
            append(&header, JOIN(slice(line, prefix - line), "SYS_", prefix + 5, "\n"));
    }
    write_file("obj/include/bits/syscall.h", header.data);
}

static void make_version_header(void)
{
    List version = lines_of(read_file("VERSION").data);
    write_file("obj/src/internal/version.h", JOIN("#define VERSION \"", version.items[0], "\"\n"));
}

/* tcc's assembler does not know stmxcsr and ldmxcsr: write them as bytes. The last byte of the first two is the displacement. */
static void patch_fenv(void)
{
    static const char path[] = "src/fenv/x86_64/fenv.s";
    replace_each(path, "stmxcsr -8(%rsp)", ".byte 0x0f,0xae,0x5c,0x24,0xf8", 2);
    replace_each(path, "ldmxcsr -8(%rsp)", ".byte 0x0f,0xae,0x54,0x24,0xf8", 2);
    replace_each(path, "stmxcsr (%rsp)", ".byte 0x0f,0xae,0x1c,0x24", 3);
    replace_each(path, "ldmxcsr (%rsp)", ".byte 0x0f,0xae,0x14,0x24", 2);
    replace(path, "stmxcsr 28(%rdi)", ".byte 0x0f,0xae,0x5f,0x1c");
    replace(path, "ldmxcsr 27(%rdi)", ".byte 0x0f,0xae,0x57,0x1b");
}

/* For the seed, which takes the alias attribute as another name for the target and emits nothing: the assembler's own means. */
static void patch_aliases(void)
{
    replace("src/include/features.h", "#define weak_alias(old, new) \\\n",
            "#ifdef SEED\n"
            "#define weak_alias(old, new) \\\n"
            "\textern __typeof(old) new; __asm__(\".weak \" #new \"\\n.set \" #new \",\" #old)\n"
            "#else\n"
            "#define weak_alias(old, new) \\\n");
    replace("src/include/features.h", "__alias__(#old)))\n", "__alias__(#old)))\n#endif\n");
}

void musl_prepare(const char *step)
{
    make_folder("obj/include/bits");
    make_folder("obj/src/internal");
    make_types_header();
    make_syscall_header();
    make_version_header();
    copy_file(JOIN(step, "/musl/syscall_arch.h"), "arch/x86_64/syscall_arch.h");
    copy_file(JOIN(step, "/musl/sqrtl.s"), "src/math/sqrtl.s");
    patch_fenv();
    patch_aliases();
    replace_each("src/signal/x86_64/sigsetjmp.s", "setjmp@PLT", "setjmp", 2);
}

List musl_include_options(const char *source)
{
    List options = { NULL, 0, 0 };
    ADD(&options, JOIN("-I", source, "/arch/x86_64"), JOIN("-I", source, "/arch/generic"), JOIN("-I", source, "/obj/include"),
        JOIN("-I", source, "/include"));
    return options;
}

static List options_for(const Compiler *compiler)
{
    List options = { NULL, 0, 0 };
    ADD(&options, "-std=c99", "-ffreestanding", "-D_XOPEN_SOURCE=700", "-Iarch/x86_64", "-Iarch/generic", "-Iobj/src/internal",
        "-Isrc/include", "-Isrc/internal", "-Iobj/include", "-Iinclude");
    if (compiler->is_seed)
        ADD(&options, "-DSEED");
    return options;
}

/* "memcpy.s" -> "memcpy" */
static char *stem(const char *file) { return slice(file, find_last(file, '.') - file); }

static int is_source(const char *file) { return ends_with(file, ".c") || ends_with(file, ".s"); }

/* The sources of one folder of src/: those of the architecture take the place of the others of the same name. */
static List sources_in(const char *folder)
{
    List sources = { NULL, 0, 0 }, replaced = { NULL, 0, 0 }, files;
    const char *path = JOIN("src/", folder), *arch = JOIN(path, "/x86_64");
    if (has_arch_sources(folder) && is_folder(arch)) {
        files = files_in(arch);
        for (Size i = 0; i < files.count; i++) {
            add(&sources, JOIN(arch, "/", files.items[i]));
            add(&replaced, stem(files.items[i]));
        }
    }
    files = files_in(path);
    for (Size i = 0; i < files.count; i++)
        if (is_source(files.items[i]) && !is_left_out(folder, files.items[i]) && !contains(&replaced, stem(files.items[i])))
            add(&sources, JOIN(path, "/", files.items[i]));
    return sources;
}

List musl_compile(const Compiler *compiler, const char *objects)
{
    List options = options_for(compiler), made = { NULL, 0, 0 }, folders = folders_in("src");
    add(&folders, "malloc/mallocng");
    for (Size i = 0; i < folders.count; i++) {
        List sources = sources_in(folders.items[i]);
        make_folder(JOIN(objects, "/", folders.items[i]));
        for (Size j = 0; j < sources.count; j++) {
            char *object = JOIN(objects, "/", folders.items[i], "/", stem(file_name(sources.items[j])), ".o");
            compile(compiler, &options, sources.items[j], object);
            add(&made, object);
        }
    }
    finish();
    return made;
}

void musl_compile_start_files(const Compiler *compiler, const char *folder)
{
    static const char *const names[] = { "crt1", "Scrt1", NULL }, *const arch_names[] = { "crti", "crtn", NULL };
    List options = options_for(compiler);
    ADD(&options, "-DCRT");
    for (int i = 0; names[i]; i++)
        compile(compiler, &options, JOIN("crt/", names[i], ".c"), JOIN(folder, "/", names[i], ".o"));
    for (int i = 0; arch_names[i]; i++)
        compile(compiler, &options, JOIN("crt/x86_64/", arch_names[i], ".s"), JOIN(folder, "/", arch_names[i], ".o"));
    finish();
}

static void copy_headers(const char *from, const char *to)
{
    List files = files_in(from), folders = folders_in(from);
    make_folder(to);
    for (Size i = 0; i < files.count; i++)
        if (ends_with(files.items[i], ".h"))
            copy_file(JOIN(from, "/", files.items[i]), JOIN(to, "/", files.items[i]));
    for (Size i = 0; i < folders.count; i++)
        copy_headers(JOIN(from, "/", folders.items[i]), JOIN(to, "/", folders.items[i]));
}

void musl_install_headers(const char *folder)
{
    copy_headers("arch/generic/bits", JOIN(folder, "/bits"));
    copy_headers("arch/x86_64/bits", JOIN(folder, "/bits"));
    copy_headers("include", folder);
    copy_headers("obj/include", folder);
}
