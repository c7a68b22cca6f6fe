/* A library that a program opens while it runs (opener.c). */
static __thread int calls;

int answer(int of) {
    calls++;
    return of * calls;
}
