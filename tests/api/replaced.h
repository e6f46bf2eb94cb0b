// SPDX-License-Identifier: MIT
// Operators that a program puts in place of the library's: the block is not what malloc returned,
// so it must come back to the one who made it. Each program replaces some of the forms and asserts
// that all others reach them, which is how the C++ runtime's do.
#ifndef POOLALLOC_TESTS_REPLACED_H
#define POOLALLOC_TESTS_REPLACED_H

#include "rules.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

// What the compiler does not see into it cannot leave out.
#define OUT_OF_SIGHT __attribute__((noinline))

namespace replaced
{

struct counts {
    long taken;
    long given;
};

const std::uint64_t made_here = 0x6f776e206f706572;
const std::size_t too_many_bytes = std::size_t{1} << 40;

// The block begins `gap` bytes into what malloc returned, right after a mark.
inline void *take(counts &of, std::size_t bytes, std::size_t gap)
{
    if (bytes >= too_many_bytes)
        throw std::bad_alloc();
    char *base = static_cast<char *>(std::aligned_alloc(gap, bytes / gap * gap + 2 * gap));
    if (base == nullptr)
        throw std::bad_alloc();
    of.taken++;
    reinterpret_cast<std::uint64_t *>(base + gap)[-1] = made_here;
    return base + gap;
}

inline void give(counts &of, void *block, std::size_t gap)
{
    if (block == nullptr)
        return;
    if (static_cast<std::uint64_t *>(block)[-1] != made_here) {
        (void)std::fputs("a block that was not made here\n", stderr);
        std::abort();
    }
    of.given++;
    std::free(static_cast<char *>(block) - gap);
}

using take_function = void *(*)(std::size_t);
using give_function = void (*)(void *);

const std::align_val_t wide{256};

inline const take_function takes[] = {
    [](std::size_t bytes) { return ::operator new(bytes); },
    [](std::size_t bytes) { return ::operator new(bytes, std::nothrow); },
};
inline const take_function array_takes[] = {
    [](std::size_t bytes) { return ::operator new[](bytes); },
    [](std::size_t bytes) { return ::operator new[](bytes, std::nothrow); },
};
inline const give_function gives[] = {
    [](void *block) { ::operator delete(block); },
    [](void *block) { ::operator delete (block, std::size_t{64}); },
    [](void *block) { ::operator delete(block, std::nothrow); },
};
inline const give_function array_gives[] = {
    [](void *block) { ::operator delete[](block); },
    [](void *block) { ::operator delete[](block, std::size_t{64}); },
    [](void *block) { ::operator delete[](block, std::nothrow); },
};
inline const take_function aligned_takes[] = {
    [](std::size_t bytes) { return ::operator new(bytes, wide); },
    [](std::size_t bytes) { return ::operator new(bytes, wide, std::nothrow); },
};
inline const take_function aligned_array_takes[] = {
    [](std::size_t bytes) { return ::operator new[](bytes, wide); },
    [](std::size_t bytes) { return ::operator new[](bytes, wide, std::nothrow); },
};
inline const give_function aligned_gives[] = {
    [](void *block) { ::operator delete(block, wide); },
    [](void *block) { ::operator delete (block, std::size_t{64}, wide); },
    [](void *block) { ::operator delete(block, wide, std::nothrow); },
};
inline const give_function aligned_array_gives[] = {
    [](void *block) { ::operator delete[](block, wide); },
    [](void *block) { ::operator delete[](block, std::size_t{64}, wide); },
    [](void *block) { ::operator delete[](block, wide, std::nothrow); },
};

// Each way to take with each way to give: `each` more calls of either, none of them elsewhere.
template <std::size_t N_TAKES, std::size_t N_GIVES>
void check_all(const counts &of, long each, const take_function (&all_takes)[N_TAKES],
               const give_function (&all_gives)[N_GIVES])
{
    for (take_function take_block : all_takes) {
        for (give_function give_block : all_gives) {
            const counts before = of;
            void *block = take_block(64);
            CHECK(block != nullptr);
            CHECK(of.taken == before.taken + each);
            give_block(block);
            CHECK(of.given == before.given + each);
        }
    }
}

// The first of the two throws what the replaced operator throws, the second returns null.
inline void check_failure(const take_function (&both)[2])
{
    bool caught = false;
    try {
        CHECK(both[0](too_many_bytes) == nullptr);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught);
    CHECK(both[1](too_many_bytes) == nullptr);
}

} // namespace replaced

#endif
