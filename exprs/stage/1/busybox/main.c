/* BusyBox 1.35 by tcc: one static program with a link for each applet.

   Environment: STEP (the folder of this file), TCC, BUSYBOX_SOURCE, and the output out. */
#include "configuration.h"
#include "files.h"
#include "patch.h"
#include "process.h"
#include "sources.h"
#include "tables.h"

static const char source_folder[] = "/build/busybox", object_folder[] = "/build/objects";

static List compiler(void)
{
    List command = { NULL, 0, 0 };
    ADD(&command, variable("TCC"));
    return command;
}

/* tcc says that it is no GCC, and then BusyBox drops attributes, packed among them; as GCC 2.95 it keeps them and asks for nothing that tcc lacks. */
static List compile_command(void)
{
    List command = compiler();
    ADD(&command, "-std=gnu99", "-funsigned-char", "-D__GNUC__=2", "-D__GNUC_MINOR__=95", "-D_GNU_SOURCE", "-DNDEBUG", "-D_LARGEFILE_SOURCE",
        "-D_LARGEFILE64_SOURCE", "-D_FILE_OFFSET_BITS=64", "-DBB_VER=\"1.35.0\"", "-DBB_EXTRA_VERSION=\"\"", "-Iinclude", "-Ilibbb",
        "-include", "include/autoconf.h");
    return command;
}

/* It counts on the compiler to drop calls that can never happen, and has no such function then; tcc keeps some. */
static void patch_source(void)
{
    replace("libbb/lineedit.c", "int adjust_width_and_validate_wc(unsigned *width_adj, int wc);\n", "#define adjust_width_and_validate_wc(width_adj, wc) (wc)\n");
}

static void compile_all(const List *sources, List *objects)
{
    List options = compile_command();
    for (Size i = 0; i < sources->count; i++) {
        const char *source = sources->items[i];
        char *object = JOIN(object_folder, "/", slice(source, length_of(source) - 1), "o");
        List command = { NULL, 0, 0 };
        make_folder(slice(object, find_last(object, '/') - object));
        add_all(&command, &options);
        ADD(&command, "-c", source, "-o", object);
        start(&command);
        add(objects, object);
    }
    finish();
}

static void link_program(const List *objects, const char *program)
{
    List archive = compiler(), link = compiler();
    const char *library = JOIN(object_folder, "/busybox.a");
    ADD(&archive, "-ar", "rcs", library);
    add_all(&archive, objects);
    run(&archive);
    ADD(&link, "-static", "-o", program, JOIN(object_folder, "/libbb/appletlib.o"), library);
    run(&link);
}

static void install(const char *program, const List *applets, const char *to)
{
    make_folder(JOIN(to, "/bin"));
    copy_file(program, JOIN(to, "/bin/busybox"));
    make_executable(JOIN(to, "/bin/busybox"));
    for (Size i = 0; i < applets->count; i++)
        if (!equal(applets->items[i], "busybox"))
            link_to("busybox", JOIN(to, "/bin/", applets->items[i]));
}

int _start(int argc, char **argv, char **environment)
{
    List all, on, wanted, applets, objects = { NULL, 0, 0 }, tool_compiler;
    const char *program = JOIN(object_folder, "/busybox");
    process_setup(environment);
    copy_folder(variable("BUSYBOX_SOURCE"), source_folder);
    make_folder(object_folder);
    enter(source_folder);
    patch_source();
    all = sources_all(".");
    on = configuration_make(JOIN(variable("STEP"), "/config"), &all);
    tables_collect(&all);
    tool_compiler = compiler();
    tables_generate(&tool_compiler, JOIN(object_folder, "/tools"));
    applets = tables_applets();
    wanted = sources_wanted(&all, &on);
    SAY(number(applets.count), " applets from ", number(wanted.count), " sources");
    compile_all(&wanted, &objects);
    link_program(&objects, program);
    install(program, &applets, variable("out"));
    return 0;
}
