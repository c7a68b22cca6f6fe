/* System calls of x86_64 Linux. */
#include "system.h"

/* In assembler rather than inline assembler: tcc has no register variables for r10, r8 and r9. */
__asm__(
    ".text\n"
    ".globl system_call\n"
    "system_call:\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    "  ret\n");

enum {
    SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_LSEEK = 8, SYS_MMAP = 9, SYS_ACCESS = 21, SYS_DUP2 = 33, SYS_FORK = 57,
    SYS_EXECVE = 59, SYS_WAIT4 = 61, SYS_CHDIR = 80, SYS_RENAME = 82, SYS_MKDIR = 83, SYS_UNLINK = 87, SYS_SYMLINK = 88,
    SYS_READLINK = 89, SYS_CHMOD = 90, SYS_SCHED_GETAFFINITY = 204, SYS_GETDENTS64 = 217, SYS_CLOCK_GETTIME = 228, SYS_EXIT_GROUP = 231
};

#define CALL(number, a, b, c) system_call(number, (long)(a), (long)(b), (long)(c), 0, 0, 0)

long sys_open(const char *path, int flags, int mode) { return CALL(SYS_OPEN, path, flags, mode); }
long sys_close(int descriptor) { return CALL(SYS_CLOSE, descriptor, 0, 0); }
long sys_read(int descriptor, void *to, Size size) { return CALL(SYS_READ, descriptor, to, size); }
long sys_write(int descriptor, const void *from, Size size) { return CALL(SYS_WRITE, descriptor, from, size); }
long sys_list(int descriptor, void *entries, Size size) { return CALL(SYS_GETDENTS64, descriptor, entries, size); }
long sys_make_folder(const char *path, int mode) { return CALL(SYS_MKDIR, path, mode, 0); }
long sys_change_folder(const char *path) { return CALL(SYS_CHDIR, path, 0, 0); }
long sys_change_mode(const char *path, int mode) { return CALL(SYS_CHMOD, path, mode, 0); }
long sys_remove(const char *path) { return CALL(SYS_UNLINK, path, 0, 0); }
long sys_link(const char *target, const char *path) { return CALL(SYS_SYMLINK, target, path, 0); }
long sys_read_link(const char *path, char *to, Size size) { return CALL(SYS_READLINK, path, to, size); }
long sys_may_execute(const char *path) { return CALL(SYS_ACCESS, path, 1, 0); }
long sys_rename(const char *from, const char *to) { return CALL(SYS_RENAME, from, to, 0); }
long sys_fork(void) { return CALL(SYS_FORK, 0, 0, 0); }
long sys_redirect(int from, int to) { return CALL(SYS_DUP2, from, to, 0); }
void sys_exit(int status) { CALL(SYS_EXIT_GROUP, status, 0, 0); }

long sys_execute(const char *program, char *const *arguments, char *const *environment)
{
    return CALL(SYS_EXECVE, program, arguments, environment);
}

long sys_wait(int *status) { return CALL(SYS_WAIT4, -1, status, 0); }

/* The offset of the end; the position is put back to the start. */
long sys_file_size(int descriptor)
{
    long size = CALL(SYS_LSEEK, descriptor, 0, 2);
    CALL(SYS_LSEEK, descriptor, 0, 0);
    return size;
}

void *sys_pages(Size size)
{
    long at = system_call(SYS_MMAP, 0, (long)size, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
    return at < 0 && at > -4096 ? NULL : (void *)at;
}

long sys_usable_cores(void)
{
    unsigned char set[128];
    long bytes = CALL(SYS_SCHED_GETAFFINITY, 0, sizeof set, set), cores = 0;
    for (long i = 0; i < bytes; i++)
        for (int bit = 0; bit < 8; bit++)
            cores += set[i] >> bit & 1;
    return cores > 0 ? cores : 1;
}

long sys_clock_ms(void)
{
    long time[2] = { 0, 0 };
    CALL(SYS_CLOCK_GETTIME, 1, time, 0);
    return time[0] * 1000 + time[1] / 1000000;
}
