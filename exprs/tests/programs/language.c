/* What a C compiler gets wrong silently: bit-fields, long double, complex numbers, variable arguments, jumps, thread-locals. Status 0: all right. */
#include <complex.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("line %d: " #condition "\n", __LINE__); \
            exit(1); \
        } \
    } while (0)

struct fields {
    unsigned narrow : 16;
    int sign : 5;
    unsigned long long wide : 40;
};

static __thread int local = 7;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counted;

static void *count(void *given) {
    int i;
    local += *(int *)given;
    for (i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        counted++;
        pthread_mutex_unlock(&lock);
    }
    return local == 7 + *(int *)given ? given : NULL;
}

static long double sum(int count, ...) {
    va_list list;
    long double total = 0;
    va_start(list, count);
    while (count--) {
        switch (va_arg(list, int)) {
        case 'i': total += va_arg(list, int); break;
        case 'd': total += va_arg(list, double); break;
        case 'l': total += va_arg(list, long double); break;
        case 'q': total += va_arg(list, long long); break;
        }
    }
    va_end(list);
    return total;
}

static jmp_buf back;
static void jump(int depth) {
    if (depth == 0) longjmp(back, 42);
    jump(depth - 1);
}

static int compare(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

int main(int argc, char **argv) {
    struct fields fields;
    pthread_t threads[4];
    int numbers[4] = { 1, 2, 3, 4 };
    int many[100];
    int i;
    char text[64];
    volatile int zero = argc - 1;
    (void)argv;

    memset(&fields, 0, sizeof fields);
    fields.narrow = 5;
    fields.sign = -3;
    fields.wide = 0xabcdef1234ULL + zero;
    CHECK(-1 + zero < fields.narrow);
    CHECK(fields.sign == -3);
    CHECK(fields.wide == 0xabcdef1234ULL);

#if LDBL_MANT_DIG == 64
    CHECK(fabsl(sqrtl(2.0L + zero) * sqrtl(2.0L) - 2.0L) < 1e-18L);
    CHECK(fabsl(expl(logl(10.0L + zero)) - 10.0L) < 1e-17L);
    snprintf(text, sizeof text, "%.21Lg", 0.1L + zero);
    CHECK(!strcmp(text, "0.100000000000000000001"));
#else
    /* musl computes the logarithm of a quadruple as that of a double. */
    CHECK(fabsl(sqrtl(2.0L + zero) * sqrtl(2.0L) - 2.0L) < 1e-15L);
    CHECK(fabsl(expl(logl(10.0L + zero)) - 10.0L) < 1e-13L);
#endif
#if LDBL_MAX_EXP > 1024
    CHECK(strtold("1e4000", NULL) > 1e308L);
#endif
    CHECK((2.0L + zero) / 3.0L * 3.0L == 2.0L);

    CHECK(cabs((3.0 + zero) + 4.0 * I) == 5.0);
    CHECK(creal((1.0 + 2.0 * I) * (3.0 + zero - 1.0 * I)) == 5.0);

    CHECK(sum(4, 'i', 1 + zero, 'd', 2.5, 'l', 3.25L, 'q', 1LL << 40) == 6.75L + (1LL << 40));

    i = setjmp(back);
    if (i == 0) jump(20);
    CHECK(i == 42);

    for (i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, count, &numbers[i]));
    for (i = 0; i < 4; i++) {
        void *result;
        CHECK(!pthread_join(threads[i], &result));
        CHECK(result == &numbers[i]);
    }
    CHECK(counted == 40000);
    CHECK(local == 7);

    for (i = 0; i < 100; i++) many[i] = (i * 37 + zero) % 100;
    qsort(many, 100, sizeof *many, compare);
    for (i = 0; i < 100; i++) CHECK(many[i] == i);

    CHECK((INT_MIN + zero) / 2 == -1073741824);
    CHECK((unsigned)(-1 + zero) >> 28 == 15);
    CHECK((double)(unsigned long long)(-1LL + zero) == 18446744073709551616.0);
    CHECK((1ULL << (63 + zero)) / 10 == 922337203685477580ULL);
    return 0;
}
