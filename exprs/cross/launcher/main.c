/* Starts another program with arguments that a file beside it names, so that a toolchain works in whatever folder it lies: no loader, no
   library, no shell, no absolute path.

   A copy of this program at ROOT/bin/NAME reads ROOT/lib/launch/NAME. Each line is an argument, the first one the program:

     @root@...        ROOT before the rest
     @args@           what the launcher itself was given
     !A,B,C ARGUMENT  the argument unless A, B or C is among those

   What begins with a space stands for the rest of the line, whatever it is. */

enum { PATH_BYTES = 4096, FILE_BYTES = 1 << 16, TEXT_BYTES = 1 << 18, ARGUMENTS = 1 << 16 };

typedef unsigned long size;

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, EXECVE = 59, EXIT = 231, OPENAT = 257, READLINKAT = 267 };
static long system_call(long number, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, CLOSE = 57, EXECVE = 221, EXIT = 94, OPENAT = 56, READLINKAT = 78 };
static long system_call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n mov x0, sp\n bl start\n");
#else
#error "no system calls for this processor"
#endif

static const long HERE = -100; /* AT_FDCWD */

static size length(const char *text) {
    size count = 0;
    while (text[count])
        count++;
    return count;
}

static int begins(const char *text, const char *prefix) {
    while (*prefix)
        if (*text++ != *prefix++)
            return 0;
    return 1;
}

static int same(const char *text, const char *other, size bytes) {
    for (size at = 0; at < bytes; at++)
        if (text[at] != other[at])
            return 0;
    return text[bytes] == 0;
}

static void say(const char *text) { system_call(WRITE, 2, (long)text, length(text), 0); }

static void fail(const char *what, const char *which) {
    say("launcher: ");
    say(what);
    say(" ");
    say(which);
    say("\n");
    system_call(EXIT, 127, 0, 0, 0);
    __builtin_unreachable();
}

/* The files and texts that one start needs; nothing is ever given back. */
static char program[PATH_BYTES], list[FILE_BYTES], texts[TEXT_BYTES];
static char *arguments[ARGUMENTS];
static size used, count;

static void put(const char *text, size bytes) {
    if (used + bytes > TEXT_BYTES)
        fail("too many arguments for", program);
    for (size at = 0; at < bytes; at++)
        texts[used++] = text[at];
}

static void add(char *argument) {
    if (count + 1 == ARGUMENTS)
        fail("too many arguments for", program);
    arguments[count++] = argument;
}

/* Whether one of the comma-separated words of `line`, which end with a space, is among the arguments. */
static int any_given(const char *line, char **given) {
    while (*line && *line != ' ') {
        size word = 0;
        while (line[word] && line[word] != ',' && line[word] != ' ')
            word++;
        for (char **argument = given; *argument; argument++)
            if (same(*argument, line, word))
                return 1;
        line += word;
        if (*line == ',')
            line++;
    }
    return 0;
}

static void take_line(const char *line, size root, char **given) {
    static const char ROOT[] = "@root@", ARGS[] = "@args@";
    if (*line == '!') {
        if (any_given(line + 1, given))
            return;
        while (*line && *line != ' ')
            line++;
    }
    if (*line == ' ')
        line++;
    if (begins(line, ARGS)) {
        while (*given)
            add(*given++);
        return;
    }
    add(texts + used);
    /* The folder may be named in the middle, as in -B@root@/lib. */
    while (*line) {
        if (begins(line, ROOT)) {
            put(program, root);
            line += sizeof ROOT - 1;
        } else
            put(line++, 1);
    }
    put("", 1);
}

__attribute__((used)) void start(long *stack) {
    char **given = (char **)(stack + 2), **environment = (char **)(stack + 1 + stack[0] + 1);
    if (stack[0] == 0)
        given = (char **)(stack + 1);

    long bytes = system_call(READLINKAT, HERE, (long)"/proc/self/exe", (long)program, PATH_BYTES - 1);
    if (bytes <= 0)
        fail("cannot read", "/proc/self/exe");
    size name = bytes;
    while (name > 0 && program[name - 1] != '/')
        name--;
    size root = name > 1 ? name - 1 : 0;
    while (root > 0 && program[root - 1] != '/')
        root--;
    if (root > 0)
        root--;

    put(program, root);
    put("/lib/launch/", 12);
    put(program + name, bytes - name + 1);
    long file = system_call(OPENAT, HERE, (long)texts, 0, 0);
    if (file < 0)
        fail("there is no", texts);
    size total = 0;
    for (;;) {
        if (total + 1 >= FILE_BYTES)
            fail("too long:", texts);
        long got = system_call(READ, file, (long)(list + total), FILE_BYTES - 1 - total, 0);
        if (got < 0)
            fail("cannot read", texts);
        if (got == 0)
            break;
        total += got;
    }
    system_call(CLOSE, file, 0, 0, 0);

    for (char *line = list; line < list + total;) {
        char *end = line;
        while (*end && *end != '\n')
            end++;
        *end = 0;
        if (end > line)
            take_line(line, root, given);
        line = end + 1;
    }
    if (count == 0)
        fail("nothing to start in", texts);
    system_call(EXECVE, (long)arguments[0], (long)arguments, (long)environment, 0);
    fail("cannot start", arguments[0]);
}
