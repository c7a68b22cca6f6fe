// C++ as of 2017: threads, exceptions that cross them, regular expressions, variants, files, atomics. Status 0: all right.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#define CHECK(condition) \
    if (!(condition)) { \
        std::cout << "line " << __LINE__ << ": " #condition << std::endl; \
        return 1; \
    }

namespace {
std::atomic<int> ended;

struct Ending {
    int number = 1;
    ~Ending() { ended += number; }
};
thread_local Ending ending;

template <typename... Numbers> constexpr auto sum(Numbers... numbers) { return (numbers + ...); }

struct Printer {
    std::string operator()(int number) const { return std::to_string(number); }
    std::string operator()(const std::string &text) const { return text; }
};
}

int main() {
    std::mutex mutex;
    std::condition_variable changed;
    int turn = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            std::unique_lock<std::mutex> held(mutex);
            changed.wait(held, [&] { return turn == i; });
            ending.number = 10;
            ++turn;
            changed.notify_all();
        });
    }
    for (auto &thread : threads) thread.join();
    CHECK(turn == 4 && ended == 40);

    auto failing = std::async(std::launch::async, []() -> int { throw std::runtime_error("over there"); });
    try {
        failing.get();
        return 1;
    } catch (const std::runtime_error &error) {
        CHECK(std::string_view(error.what()) == "over there");
    }

    std::smatch match;
    const std::string line = "gcc-10.2.0.tar.xz";
    CHECK(std::regex_match(line, match, std::regex(R"((\w+)-(\d+)\.(\d+)\.(\d+)\.tar\.(gz|xz))")));
    CHECK(match[2] == "10" && match[5] == "xz");

    std::variant<int, std::string> either = 12;
    CHECK(std::visit(Printer(), either) == "12");
    either = "text";
    CHECK(std::visit(Printer(), either) == "text");
    std::optional<int> none;
    CHECK(none.value_or(3) == 3);
    CHECK(sum(1, 2L, 3.5) == 6.5);

    namespace fs = std::filesystem;
    const fs::path folder = fs::current_path() / "files";
    fs::create_directories(folder / "below");
    std::ofstream(folder / "below" / "file") << "four";
    CHECK(fs::file_size(folder / "below" / "file") == 4);
    CHECK(std::distance(fs::recursive_directory_iterator(folder), fs::recursive_directory_iterator()) == 2);
    CHECK(fs::remove_all(folder) == 3);

    std::map<std::string, std::unique_ptr<int>> owned;
    owned.emplace("one", std::make_unique<int>(1));
    for (const auto &[name, number] : owned) CHECK(name == "one" && *number == 1);
    std::vector<long> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), 1);
    CHECK(std::accumulate(numbers.begin(), numbers.end(), 0L) == 500500);
    const __int128 large = static_cast<__int128>(1) << 100;
    CHECK(static_cast<long>(large >> 60) == 1L << 40);
    return 0;
}
