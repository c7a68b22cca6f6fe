/* Opens the library named by its argument, and calls it. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    void *library = dlopen(argv[argc - 1], RTLD_NOW);
    int (*answer)(int);
    if (!library) {
        puts(dlerror());
        return 1;
    }
    answer = (int (*)(int))dlsym(library, "answer");
    return !(answer && answer(21) == 21 && answer(21) == 42);
}
