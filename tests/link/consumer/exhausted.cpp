// SPDX-License-Identifier: MIT
// bad_alloc, and null from what does not throw, however the program is linked.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

static bool throws(void *(*take)(std::size_t), std::size_t bytes)
{
    try {
        (void)take(bytes);
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

int main()
{
    volatile std::size_t impossible = PTRDIFF_MAX;
    std::vector<int> numbers(1000, 1);
    const bool holds =
        throws([](std::size_t bytes) { return ::operator new(bytes); }, impossible) &&
        throws([](std::size_t bytes) { return ::operator new[](bytes); }, impossible) &&
        throws([](std::size_t bytes) { return ::operator new (bytes, std::align_val_t{64}); },
               impossible) &&
        throws([](std::size_t bytes) { return ::operator new (bytes, std::align_val_t{3}); }, 10) &&
        ::operator new(impossible, std::nothrow) ==
            nullptr && ::operator new[](impossible, std::align_val_t{64}, std::nothrow) == nullptr;
    (void)std::fputs(holds ? "all fail as they must\n" : "one does not fail\n", stderr);
    return holds && numbers.back() == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
