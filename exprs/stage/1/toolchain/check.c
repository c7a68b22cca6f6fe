/* A program that the finished toolchain must compile and that must then end with status 0: each check is of something that was once wrong,
   or that all further steps rest on. Its exit status is the line of the first check that fails, modulo 255, plus 1. */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) do { if (!(condition)) exit(__LINE__ % 255 + 1); } while (0)

typedef struct { double x, y; } Pair;
typedef struct { long a, b, c; } Triple;

static int target(void) { return 7; }
extern int weak_name(void) __attribute__((weak, alias("target")));
int stored = 3;
extern int other_name __attribute__((alias("stored")));

static void check_aliases(void)
{
    CHECK(weak_name() == 7);
    other_name = 4;
    CHECK(stored == 4 && &stored == &other_name);
}

static void check_conversions(void)
{
    volatile long double big = 268435455.99999999998L;
    volatile signed char c = -1;
    volatile double most = 18446744073709549568.0;
    CHECK((unsigned)big == 268435455u && (long)big == 268435455 && (int)-big == -268435455);
    CHECK((unsigned short)c == 0xffff && (int)(unsigned short)c == 65535);
    CHECK((unsigned long)most == 18446744073709549568ul);
    CHECK((double)(unsigned long)most == most);
}

static double sum(const char *kinds, ...)
{
    double total = 0;
    va_list list;
    va_start(list, kinds);
    for (; *kinds; kinds++) {
        if (*kinds == 'i') {
            total += va_arg(list, int);
        } else if (*kinds == 'd') {
            total += va_arg(list, double);
        } else if (*kinds == 'D') {
            total += va_arg(list, long double);
        } else if (*kinds == 'p') {
            Pair pair = va_arg(list, Pair);
            total += pair.x * 10 + pair.y;
        } else {
            Triple triple = va_arg(list, Triple);
            total += triple.a + triple.b * triple.c;
        }
    }
    va_end(list);
    return total;
}

static void check_variable_arguments(void)
{
    Pair pair = { 1, 2 };
    Triple triple = { 1, 2, 3 };
    CHECK(sum("ppppp", pair, pair, pair, pair, pair) == 60);
    CHECK(sum("iiiiiiiiddtDp", 1, 2, 3, 4, 5, 6, 7, 8, 0.5, 0.25, triple, 2.0L, pair) == 57.75);
}

static int choose(unsigned value)
{
    switch (value) {
    case 0: case 1: case 2: case 3: case 4: return 1;
    case 10: case 11: case 12: return 2;
    case 100: return 3;
    case -2: case -1: return 4;
    default: return 0;
    }
}

static void check_switch(void)
{
    CHECK(choose(3) == 1 && choose(12) == 2 && choose(100) == 3 && choose(50) == 0);
    CHECK(choose(0xffffffff) == 4 && choose(0xfffffffe) == 4 && choose(0xfffffffd) == 0);
}

static void check_mathematics(void)
{
    char text[64];
    volatile double one = 1, three = 3, zero = 0;
    double up, down;
    CHECK(sqrtl(2) > 1.41421356237309504L && sqrtl(2) < 1.41421356237309505L);
    fesetround(FE_UPWARD);
    up = one / three;
    fesetround(FE_DOWNWARD);
    down = one / three;
    fesetround(FE_TONEAREST);
    CHECK(down < up);
    feclearexcept(FE_ALL_EXCEPT);
    one = one / zero;
    CHECK(fetestexcept(FE_DIVBYZERO));
    snprintf(text, sizeof text, "%.17g %Lg %a", strtod("0.1", NULL), strtold("1.18973149535723176502e+4932", NULL), 1.1);
    CHECK(!strcmp(text, "0.10000000000000001 1.18973e+4932 0x1.199999999999ap+0"));
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int count;

static void *work(void *unused)
{
    errno = 5;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        count++;
        pthread_mutex_unlock(&mutex);
    }
    return &errno;
}

static void check_threads(void)
{
    pthread_t threads[4];
    errno = 0;
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    for (int i = 0; i < 4; i++) {
        void *its_errno;
        CHECK(!pthread_join(threads[i], &its_errno));
        CHECK(its_errno != &errno);
    }
    CHECK(count == 4000 && errno == 0);
}

static void check_jumps(void)
{
    static jmp_buf back;
    volatile int jumped = 0;
    if (!setjmp(back)) {
        jumped = 1;
        longjmp(back, 1);
    }
    CHECK(jumped);
}

int main(void)
{
    check_aliases();
    check_conversions();
    check_variable_arguments();
    check_switch();
    check_mathematics();
    check_threads();
    check_jumps();
    return 0;
}
