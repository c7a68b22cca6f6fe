#include <greeting.h>
#include <string.h>

int main(void) {
    char text[64];
    greet(text, sizeof text, "world");
    return strcmp(text, "hello, world") != 0;
}
