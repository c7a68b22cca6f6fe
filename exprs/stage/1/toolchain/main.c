/* The toolchain of stage 1: from a seed, any tcc that can run this, to a tcc and a musl that reproduce themselves.

   Generation 0 is the patched tcc as the seed compiles it, linked to a musl that the seed compiles. Each further generation is musl, libtcc1 and
   tcc compiled by the tcc of the one before. When two generations in a row are the same to the bit, nothing of the seed is left in them.

   Environment: STEP (the folder of this file), SEED (the seed's command), TINYCC_SOURCE, MUSL_SOURCE, and the outputs tinycc and protomusl. */
#include "compiler.h"
#include "files.h"
#include "musl.h"
#include "process.h"
#include "tinycc.h"

enum { LAST_GENERATION = 4 };

static const char tinycc_folder[] = "/build/tinycc", musl_folder[] = "/build/musl";

/* The products of a generation, all in its folder. */
static const char *const products[] = { "tcc", "libtcc1.a", "libc.a", "crt1.o", "Scrt1.o", "crti.o", "crtn.o", NULL };

static char *generation_folder(int generation) { return JOIN("/build/generation-", number(generation)); }

static void prepare_sources(void)
{
    copy_folder(variable("TINYCC_SOURCE"), tinycc_folder);
    copy_folder(variable("MUSL_SOURCE"), musl_folder);
    enter(tinycc_folder);
    tinycc_prepare(JOIN(variable("tinycc"), "/lib/tcc"), variable("protomusl"));
    enter(musl_folder);
    musl_prepare(variable("STEP"));
}

static Compiler compiler_of(int generation)
{
    Compiler compiler = { { NULL, 0, 0 }, generation < 0 };
    if (generation < 0)
        compiler.command = words_of(variable("SEED"));
    else
        ADD(&compiler.command, JOIN(generation_folder(generation), "/tcc"));
    return compiler;
}

/* The seed cannot make an archive that has weak symbols in its index: its tcc is linked to all objects. */
static void build_generation(int generation)
{
    Compiler compiler = compiler_of(generation - 1);
    const char *folder = generation_folder(generation), *objects = JOIN(folder, "/objects");
    List runtime, libc, include_options = musl_include_options("../musl"), linked = { NULL, 0, 0 };
    make_folder(objects);

    enter(tinycc_folder);
    runtime = tinycc_compile_runtime(&compiler, JOIN(objects, "/libtcc1"));
    tinycc_compile(&compiler, &include_options, JOIN(objects, "/tcc.o"));
    enter(musl_folder);
    musl_compile_start_files(&compiler, folder);
    libc = musl_compile(&compiler, JOIN(objects, "/libc"));

    ADD(&linked, JOIN(folder, "/crt1.o"), JOIN(folder, "/crti.o"), JOIN(objects, "/tcc.o"));
    if (compiler.is_seed) {
        add_all(&linked, &libc);
        add_all(&linked, &runtime);
    } else {
        archive(&compiler, JOIN(folder, "/libc.a"), &libc);
        archive(&compiler, JOIN(folder, "/libtcc1.a"), &runtime);
        ADD(&linked, JOIN(folder, "/libc.a"), JOIN(folder, "/libtcc1.a"));
    }
    ADD(&linked, JOIN(folder, "/crtn.o"));
    link_static(&compiler, JOIN(folder, "/tcc"), &linked);
}

/* The name of the first product in which the two generations differ, or NULL. */
static const char *difference(int one, int other)
{
    for (int i = 0; products[i]; i++)
        if (!same_bytes(JOIN(generation_folder(one), "/", products[i]), JOIN(generation_folder(other), "/", products[i])))
            return products[i];
    return NULL;
}

/* Returns the generation that is the same as the one before. */
static int build_until_the_same(void)
{
    for (int generation = 0; generation <= LAST_GENERATION; generation++) {
        long from = sys_clock_ms();
        const char *differs;
        build_generation(generation);
        SAY("generation ", number(generation), ": ", number(sys_clock_ms() - from), " ms");
        if (generation < 2)
            continue;
        differs = difference(generation - 1, generation);
        if (!differs)
            return generation;
        SAY("generation ", number(generation), " differs from the one before in ", differs);
    }
    FAIL("generation ", number(LAST_GENERATION), " is not what generation ", number(LAST_GENERATION - 1), " is: no fixed point");
    return -1;
}

static void install_musl(const char *from, const char *to)
{
    static const char *const empty_libraries[] = { "m", "rt", "pthread", "crypt", "util", "xnet", "resolv", "dl", NULL };
    const char *library = JOIN(to, "/lib");
    make_folder(library);
    for (int i = 2; products[i]; i++)
        copy_file(JOIN(from, "/", products[i]), JOIN(library, "/", products[i]));
    for (int i = 0; empty_libraries[i]; i++)
        write_file(JOIN(library, "/lib", empty_libraries[i], ".a"), "!<arch>\n");
    enter(musl_folder);
    musl_install_headers(JOIN(to, "/include"));
}

static void install_tinycc(const char *from, const char *to)
{
    const char *program = JOIN(to, "/bin/tcc"), *home = JOIN(to, "/lib/tcc");
    make_folder(JOIN(to, "/bin"));
    make_folder(home);
    copy_file(JOIN(from, "/tcc"), program);
    make_executable(program);
    link_to("tcc", JOIN(to, "/bin/cc"));
    copy_file(JOIN(from, "/libtcc1.a"), JOIN(home, "/libtcc1.a"));
    enter(tinycc_folder);
    copy_folder("include", JOIN(home, "/include"));
}

/* Compile check.c as a user would, and run it. */
static void check_toolchain(void)
{
    static const char program[] = "/build/check";
    List command = { NULL, 0, 0 };
    ADD(&command, JOIN(variable("tinycc"), "/bin/tcc"), JOIN(variable("STEP"), "/check.c"), "-o", program);
    run(&command);
    command.count = 0;
    ADD(&command, program);
    run(&command);
}

int _start(int argc, char **argv, char **environment)
{
    int last;
    process_setup(environment);
    prepare_sources();
    last = build_until_the_same();
    SAY("generations ", number(last - 1), " and ", number(last), " are the same");
    install_musl(generation_folder(last), variable("protomusl"));
    install_tinycc(generation_folder(last), variable("tinycc"));
    check_toolchain();
    return 0;
}
