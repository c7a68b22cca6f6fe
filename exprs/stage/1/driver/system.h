/* The Linux kernel's interface as the driver needs it: system calls, their numbers and structures (x86_64).
   Nothing here comes from a C library: the driver is compiled in memory by whichever tcc the seed is, without headers or libraries. */
#ifndef DRIVER_SYSTEM_H
#define DRIVER_SYSTEM_H

typedef unsigned long Size;

#define NULL ((void *)0)

enum { STDOUT = 1, STDERR = 2 };
enum { O_RDONLY = 0, O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000, O_DIRECTORY = 0200000 };
enum { EEXIST = 17 };

/* One system call; the result is negative, -errno, if it failed. */
long system_call(long number, long a, long b, long c, long d, long e, long f);

long sys_open(const char *path, int flags, int mode);
long sys_close(int descriptor);
long sys_read(int descriptor, void *to, Size size);
long sys_write(int descriptor, const void *from, Size size);
long sys_list(int descriptor, void *entries, Size size); /* getdents64 */
long sys_file_size(int descriptor);
long sys_make_folder(const char *path, int mode);
long sys_change_folder(const char *path);
long sys_change_mode(const char *path, int mode);
long sys_remove(const char *path);
long sys_link(const char *target, const char *path); /* symbolic */
long sys_read_link(const char *path, char *to, Size size); /* bytes written, not terminated */
long sys_may_execute(const char *path); /* 0 if so */
long sys_rename(const char *from, const char *to);
long sys_fork(void);
long sys_execute(const char *program, char *const *arguments, char *const *environment);
long sys_wait(int *status); /* any child */
long sys_redirect(int from, int to); /* dup2 */
void sys_exit(int status);
void *sys_pages(Size size); /* fresh zeroed memory, or NULL */
long sys_usable_cores(void);
long sys_clock_ms(void); /* monotonic */

#endif
