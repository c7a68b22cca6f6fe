/* Files and folders. */
#include "files.h"

static void refused(const char *what, const char *path, long error)
{
    FAIL("cannot ", what, " ", path, ": error ", number(-error));
}

Text read_file(const char *path)
{
    Text text = { NULL, 0, 0 };
    long descriptor = sys_open(path, O_RDONLY, 0), size, got;
    if (descriptor < 0)
        refused("open", path, descriptor);
    size = sys_file_size(descriptor);
    text.room = size + 1;
    text.data = take(text.room);
    while (text.length < size) {
        got = sys_read(descriptor, text.data + text.length, size - text.length);
        if (got <= 0)
            refused("read", path, got);
        text.length += got;
    }
    sys_close(descriptor);
    return text;
}

void write_bytes(const char *path, const char *from, Size length)
{
    long descriptor = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), put;
    if (descriptor < 0)
        refused("create", path, descriptor);
    while (length) {
        put = sys_write(descriptor, from, length);
        if (put <= 0)
            refused("write", path, put);
        from += put;
        length -= put;
    }
    sys_close(descriptor);
}

void write_file(const char *path, const char *text) { write_bytes(path, text, length_of(text)); }

void copy_file(const char *from, const char *to)
{
    Text text = read_file(from);
    write_bytes(to, text.data, text.length);
}

void make_folder(const char *path)
{
    for (const char *end = path + 1;; end++)
        if (*end == '/' || !*end) {
            long error = sys_make_folder(slice(path, end - path), 0755);
            if (error < 0 && error != -EEXIST && !*end)
                refused("make folder", path, error);
            if (!*end)
                return;
        }
}

void make_executable(const char *path)
{
    long error = sys_change_mode(path, 0755);
    if (error < 0)
        refused("make executable", path, error);
}

void link_to(const char *target, const char *path)
{
    long error = sys_link(target, path);
    if (error < 0)
        refused("link", path, error);
}

const char *link_target(const char *path)
{
    char target[4096];
    long length = sys_read_link(path, target, sizeof target);
    return length < 0 ? NULL : slice(target, length);
}

int is_executable(const char *path) { return sys_may_execute(path) == 0; }

int exists(const char *path)
{
    long descriptor = sys_open(path, O_RDONLY, 0);
    if (descriptor >= 0)
        sys_close(descriptor);
    return descriptor >= 0;
}

int is_folder(const char *path)
{
    long descriptor = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor >= 0)
        sys_close(descriptor);
    return descriptor >= 0;
}

int same_bytes(const char *a, const char *b)
{
    Text one = read_file(a), other = read_file(b);
    return one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
}

/* getdents64's records: inode, offset (8 bytes each), record length (2), type (1), name. */
static List entries_of(const char *folder, int want_folders)
{
    static char records[32768];
    List names = { NULL, 0, 0 };
    long descriptor = sys_open(folder, O_RDONLY | O_DIRECTORY, 0), got;
    if (descriptor < 0)
        refused("list", folder, descriptor);
    while ((got = sys_list(descriptor, records, sizeof records)) > 0)
        for (char *record = records; record < records + got; record += *(unsigned short *)(record + 16)) {
            char *name = record + 19;
            if (!equal(name, ".") && !equal(name, "..") && is_folder(JOIN(folder, "/", name)) == want_folders)
                add(&names, slice(name, length_of(name)));
        }
    if (got < 0)
        refused("list", folder, got);
    sys_close(descriptor);
    sort(&names);
    return names;
}

List files_in(const char *folder) { return entries_of(folder, 0); }
List folders_in(const char *folder) { return entries_of(folder, 1); }

void copy_folder(const char *from, const char *to)
{
    List files = files_in(from), folders = folders_in(from);
    make_folder(to);
    for (Size i = 0; i < files.count; i++)
        copy_file(JOIN(from, "/", files.items[i]), JOIN(to, "/", files.items[i]));
    for (Size i = 0; i < folders.count; i++)
        copy_folder(JOIN(from, "/", folders.items[i]), JOIN(to, "/", folders.items[i]));
}

const char *file_name(const char *path)
{
    const char *slash = find_last(path, '/');
    return slash ? slash + 1 : path;
}
