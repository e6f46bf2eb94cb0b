/* SPDX-License-Identifier: MIT */
/* Containers in an arena: nothing is freed one by one. */
#include <cassert>
#include <poolalloc.hpp>
#include <string>
#include <vector>

int main()
{
    poolalloc_arena *request = poolalloc_arena_create(nullptr);
    {
        poolalloc::arena_resource memory(request);
        std::pmr::vector<std::pmr::string> words(&memory);
        words.emplace_back("longer than what fits into a string object itself");
        assert(words.size() == 1);
    }
    poolalloc_arena_destroy(request);
    return 0;
}
