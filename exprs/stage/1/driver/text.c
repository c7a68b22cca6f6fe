/* Strings, growing texts and lists of strings. */
#include "text.h"

void *memcpy(void *to, const void *from, Size size)
{
    char *t = to;
    const char *f = from;
    for (; size >= 8; size -= 8, t += 8, f += 8)
        *(long *)t = *(const long *)f;
    while (size--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, Size size)
{
    char *t = to;
    const char *f = from;
    if (t <= f || t >= f + size)
        return memcpy(to, from, size);
    while (size--)
        t[size] = f[size];
    return to;
}

void *memset(void *to, int byte, Size size)
{
    char *t = to;
    while (size--)
        *t++ = byte;
    return to;
}

int memcmp(const void *a, const void *b, Size size)
{
    const unsigned char *p = a, *q = b;
    for (; size--; p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *take(Size size)
{
    static char *free_part;
    static Size left;
    enum { PIECE = 4 << 20 };
    void *taken;

    size = (size + 15) & ~(Size)15;
    if (size > PIECE / 4) {
        taken = sys_pages(size);
    } else {
        if (size > left) {
            free_part = sys_pages(PIECE);
            left = free_part ? PIECE : 0;
        }
        taken = free_part;
        free_part += size;
        left -= size;
    }
    if (!taken) {
        static const char message[] = "error: out of memory\n";
        sys_write(STDERR, message, sizeof message - 1);
        sys_exit(1);
    }
    return taken;
}

Size length_of(const char *text)
{
    Size length = 0;
    while (text[length])
        length++;
    return length;
}

int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

int equal(const char *a, const char *b) { return compare(a, b) == 0; }

int starts_with(const char *text, const char *start)
{
    while (*start)
        if (*text++ != *start++)
            return 0;
    return 1;
}

int ends_with(const char *text, const char *end)
{
    Size length = length_of(text), wanted = length_of(end);
    return length >= wanted && equal(text + length - wanted, end);
}

const char *find(const char *text, const char *part)
{
    for (; *text; text++)
        if (*text == *part && starts_with(text, part))
            return text;
    return NULL;
}

const char *find_last(const char *text, char character)
{
    const char *last = NULL;
    for (; *text; text++)
        if (*text == character)
            last = text;
    return last;
}

char *slice(const char *from, Size length)
{
    char *copy = take(length + 1);
    memcpy(copy, from, length);
    return copy;
}

char *number(long value)
{
    char digits[24], *at = digits + sizeof digits;
    unsigned long rest = value < 0 ? -(unsigned long)value : value;
    *--at = 0;
    do
        *--at = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    return slice(at, length_of(at));
}

char *join_all(const char *const *parts)
{
    Text text = { NULL, 0, 0 };
    append(&text, "");
    for (; *parts; parts++)
        append(&text, *parts);
    return text.data;
}

char *lines_all(const char *const *lines)
{
    Text text = { NULL, 0, 0 };
    for (; *lines; lines++) {
        append(&text, *lines);
        append(&text, "\n");
    }
    return text.data;
}

void append_bytes(Text *to, const char *from, Size length)
{
    if (to->length + length + 1 > to->room) {
        Size room = (to->length + length + 1) * 2;
        char *data = take(room);
        memcpy(data, to->data, to->length);
        to->data = data;
        to->room = room;
    }
    memcpy(to->data + to->length, from, length);
    to->length += length;
    to->data[to->length] = 0;
}

void append(Text *to, const char *text) { append_bytes(to, text, length_of(text)); }

void add(List *to, const char *item)
{
    if (to->count + 2 > to->room) {
        Size room = to->room ? to->room * 2 : 16;
        char **items = take(room * sizeof *items);
        memcpy(items, to->items, to->count * sizeof *items);
        to->items = items;
        to->room = room;
    }
    to->items[to->count++] = (char *)item;
    to->items[to->count] = NULL;
}

void add_array(List *to, const char *const *items)
{
    for (; *items; items++)
        add(to, *items);
}

void add_all(List *to, const List *items)
{
    for (Size i = 0; i < items->count; i++)
        add(to, items->items[i]);
}

int contains(const List *list, const char *item)
{
    for (Size i = 0; i < list->count; i++)
        if (equal(list->items[i], item))
            return 1;
    return 0;
}

/* Merge sort: `spare` is as long as `items`. */
static void sort_part(char **items, char **spare, Size count)
{
    Size half = count / 2, a = 0, b = half, at = 0;
    if (count < 2)
        return;
    sort_part(items, spare, half);
    sort_part(items + half, spare, count - half);
    while (a < half || b < count)
        spare[at++] = b == count || (a < half && compare(items[a], items[b]) <= 0) ? items[a++] : items[b++];
    memcpy(items, spare, count * sizeof *items);
}

void sort(List *list) { sort_part(list->items, take((list->count + 1) * sizeof(char *)), list->count); }

List words_of(const char *text)
{
    List words = { NULL, 0, 0 };
    while (*text) {
        Size length = 0;
        while (text[length] && text[length] != ' ' && text[length] != '\n')
            length++;
        if (length)
            add(&words, slice(text, length));
        text += length + (text[length] != 0);
    }
    return words;
}

List lines_of(const char *text)
{
    List lines = { NULL, 0, 0 };
    while (*text) {
        Size length = 0;
        while (text[length] && text[length] != '\n')
            length++;
        add(&lines, slice(text, length));
        text += length + (text[length] != 0);
    }
    return lines;
}

void say_all(int descriptor, const char *const *parts)
{
    char *line = join_all(parts);
    Size length = length_of(line);
    line[length] = '\n'; /* one write a line, so that lines of several processes do not mix */
    sys_write(descriptor, line, length + 1);
}
