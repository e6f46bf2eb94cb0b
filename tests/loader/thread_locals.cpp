// SPDX-License-Identifier: MIT
// Destructors of thread_local objects return blocks and take more, after main's code of the thread.
#include "check.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{
std::atomic<int> n_destroyed;

struct last {
    std::unique_ptr<std::string> text{new std::string(100, 'x')};
    ~last()
    {
        CHECK(*text == std::string(100, 'x'));
        n_destroyed++;
        use_malloc(1);
    }
};

// Its destructor makes an object of the other kind, which is then destroyed in turn.
struct first {
    std::vector<std::string> texts;
    ~first();
};

thread_local last late;
thread_local first early;

first::~first()
{
    for (size_t i = 0; i < texts.size(); i++)
        CHECK(texts[i] == std::string(i * 10, 'y'));
    use_malloc(1);
    texts.clear();
    n_destroyed++;
    CHECK(late.text->size() == 100);
}

void live()
{
    for (size_t i = 0; i < 100; i++)
        early.texts.emplace_back(i * 10, 'y');
}
} // namespace

int main()
{
    CHECK(is_preloaded());
    for (int round = 0; round < 10; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 20; i++)
            threads.emplace_back(live);
        for (std::thread &thread : threads)
            thread.join();
    }
    CHECK(n_destroyed == 400);
    return 0;
}
