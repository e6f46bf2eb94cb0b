/* SPDX-License-Identifier: MIT */
/*
 * A C++ program that brings malloc, calloc, realloc and free, but no operators: new and delete end
 * up in the program's own, as do containers, and exceptions work.
 */
#include "check.h"

#include <malloc.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace
{
constexpr size_t MAGIC = 0x6f776e206d616c6c;
constexpr size_t FREED = 0x6f776e2066726565;

struct alignas(16) header {
    size_t magic;
    size_t bytes;
};

alignas(16) unsigned char memory[32 << 20];
size_t used;
unsigned n_strangers;
unsigned n_live;

bool is_own(const void *p)
{
    return p >= memory && p < memory + sizeof memory;
}

header *header_of(void *p)
{
    return static_cast<header *>(p) - 1;
}
} // namespace

extern "C" void *malloc(size_t bytes) noexcept
{
    if (bytes > sizeof memory)
        return nullptr;
    size_t need = (bytes + sizeof(header) + 15) & ~static_cast<size_t>(15);
    size_t at = __atomic_fetch_add(&used, need, __ATOMIC_RELAXED);
    CHECK(at + need <= sizeof memory);
    header *h = reinterpret_cast<header *>(memory + at);
    h->magic = MAGIC;
    h->bytes = bytes;
    __atomic_fetch_add(&n_live, 1, __ATOMIC_RELAXED);
    return h + 1;
}

extern "C" void free(void *p) noexcept
{
    if (p == nullptr)
        return;
    if (!is_own(p)) {
        __atomic_fetch_add(&n_strangers, 1, __ATOMIC_RELAXED);
        return;
    }
    CHECK(header_of(p)->magic == MAGIC);
    header_of(p)->magic = FREED;
    __atomic_fetch_sub(&n_live, 1, __ATOMIC_RELAXED);
}

extern "C" void *calloc(size_t n, size_t each) noexcept
{
    return malloc(n * each); // never used before, hence zero
}

extern "C" void *realloc(void *p, size_t bytes) noexcept
{
    void *to = malloc(bytes);
    if (p != nullptr && to != nullptr) {
        CHECK(is_own(p) && header_of(p)->magic == MAGIC);
        size_t old = header_of(p)->bytes;
        memcpy(to, p, old < bytes ? old : bytes);
        free(p);
    }
    return to;
}

namespace
{
void tell(const char *what, const void *block)
{
    CHECK(block != nullptr);
    printf("%-24s %s\n", what, is_own(block) ? "own" : "strange");
}

struct alignas(128) wide {
    char bytes[256];
};

void operators()
{
    int *one = new int(42);
    tell("new", one);
    CHECK(*one == 42);
    delete one;
    char *array = new char[1000];
    tell("new[]", array);
    delete[] array;
    int *nothrow = new (std::nothrow) int(43);
    tell("new nothrow", nothrow);
    delete nothrow;
    char *nothrow_array = new (std::nothrow) char[100];
    tell("new[] nothrow", nothrow_array);
    delete[] nothrow_array;
    wide *aligned = new wide;
    tell("new aligned", aligned);
    CHECK(reinterpret_cast<size_t>(aligned) % 128 == 0);
    delete aligned;
    wide *aligned_array = new (std::nothrow) wide[2];
    tell("new[] aligned nothrow", aligned_array);
    delete[] aligned_array;
    void *plain = operator new(64);
    operator delete(plain, static_cast<size_t>(64));
    printf("%-24s %s\n", "new of too much", [] {
        try {
            volatile size_t much = sizeof memory * 2;
            operator delete(operator new(much));
            return "a block";
        } catch (const std::bad_alloc &) {
            return "bad_alloc";
        }
    }());
}

void containers()
{
    std::map<int, std::string> texts;
    for (int i = 0; i < 1000; i++)
        texts[i] = std::string(static_cast<size_t>(i % 50 + 20), 'x');
    tell("std::map", &texts[7]);
    tell("std::string", texts[49].data());
    std::vector<std::unique_ptr<int>> numbers;
    for (int i = 0; i < 1000; i++)
        numbers.push_back(std::make_unique<int>(i));
    tell("std::vector", numbers.data());
    CHECK(*numbers[999] == 999 && texts[999].size() == 69);
}

void exceptions()
{
    int caught = 0;
    for (int i = 0; i < 100; i++) {
        try {
            throw std::string("a text that is too long to be kept in the object");
        } catch (const std::string &text) {
            caught += text.size() == 48;
        }
    }
    CHECK(caught == 100);
}
} // namespace

int main()
{
    operators();
    containers();
    exceptions();
    std::thread([] { containers(); }).join();
    printf("%u live, %u strangers\n", n_live, n_strangers);
    return 0;
}
