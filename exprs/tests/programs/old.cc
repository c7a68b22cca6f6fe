// C++ as of 1998: templates, exceptions through frames that have something to destroy, run-time types, the library. Status 0: all right.
#include <algorithm>
#include <functional>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#define CHECK(condition) \
    if (!(condition)) { \
        std::cout << "line " << __LINE__ << ": " #condition << std::endl; \
        return 1; \
    }

namespace {
int alive;

struct Counted {
    Counted() { ++alive; }
    Counted(const Counted &) { ++alive; }
    ~Counted() { --alive; }
};

struct Shape {
    virtual ~Shape() {}
    virtual int corners() const = 0;
};
struct Square : virtual Shape {
    int corners() const { return 4; }
};
struct Round : virtual Shape {
    int corners() const { return 0; }
};
struct Both : Square, Round {
    int corners() const { return Square::corners() + Round::corners(); }
};

struct Field {
    unsigned narrow : 16;
    Field *self() { return this; }
};

void deep(int depth) {
    Counted counted;
    std::string text(depth, 'x');
    if (depth == 0) throw std::out_of_range("depth");
    try {
        deep(depth - 1);
    } catch (const std::bad_alloc &) {
        alive = -1000;
    }
}

template <int N> struct Factorial {
    static const long value = N * Factorial<N - 1>::value;
};
template <> struct Factorial<0> {
    static const long value = 1;
};

struct Setup {
    Setup() : numbers(5, 3) {}
    std::vector<int> numbers;
} setup;
}

int main(int count, char **) {
    try {
        deep(10);
        return 1;
    } catch (const std::logic_error &error) {
        CHECK(std::string(error.what()).find("depth") == 0);
        CHECK(typeid(error) == typeid(std::out_of_range));
    }
    CHECK(alive == 0);

    Field field = { 5 };
    CHECK(-count < field.narrow);
    field.self()->narrow += 2;
    CHECK(field.narrow == 7);

    Both both;
    Shape *shape = &both;
    CHECK(dynamic_cast<Round *>(shape) && shape->corners() == 4);
    Square square;
    shape = &square;
    CHECK(!dynamic_cast<Both *>(shape));
    CHECK(Factorial<10>::value == 3628800);
    CHECK(setup.numbers.size() == 5 && setup.numbers[4] == 3);

    std::map<std::string, std::vector<int> > words;
    std::istringstream input("one two three two one two");
    std::string word;
    for (int place = 0; input >> word; ++place) words[word].push_back(place);
    CHECK(words.size() == 3 && words["two"].size() == 3 && words["two"][2] == 5);

    std::vector<int> numbers;
    for (int i = 0; i < 1000; ++i) numbers.push_back(i * 7919 % 1000);
    std::sort(numbers.begin(), numbers.end(), std::greater<int>());
    CHECK(numbers.front() == 999 && numbers.back() == 0);
    CHECK(std::count_if(numbers.begin(), numbers.end(), std::bind2nd(std::less<int>(), 10)) == 10);

    std::ostringstream output;
    output << std::hex << std::setw(6) << std::setfill('0') << 48879 << ' ' << std::dec << std::setprecision(3) << 2.0 / 3;
    CHECK(output.str() == "00beef 0.667");
    return 0;
}
