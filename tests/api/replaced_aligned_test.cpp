// SPDX-License-Identifier: MIT
// A program that replaces the aligned new and delete and nothing else.
#include "replaced.h"

#include <vector>

static replaced::counts aligned;

OUT_OF_SIGHT void *operator new(std::size_t bytes, std::align_val_t align)
{
    return replaced::take(aligned, bytes, static_cast<std::size_t>(align));
}

OUT_OF_SIGHT void operator delete(void *block, std::align_val_t align) noexcept
{
    replaced::give(aligned, block, static_cast<std::size_t>(align));
}

struct alignas(4096) page {
    char bytes[4096];
};

// What goes here the compiler cannot leave out.
static void *volatile in_sight;

static void aligned_forms_end_up_in_the_replaced_ones()
{
    using namespace replaced;
    check_all(aligned, 0, takes, gives);
    check_all(aligned, 0, array_takes, array_gives);
    check_all(aligned, 1, aligned_takes, aligned_gives);
    check_all(aligned, 1, aligned_array_takes, aligned_array_gives);
    check_failure(aligned_takes);
    check_failure(aligned_array_takes);

    const long before = aligned.taken;
    {
        std::vector<page> pages(3);
        in_sight = pages.data();
    }
    CHECK(aligned.taken == before + 1);
    CHECK(aligned.taken == aligned.given);
}

int main(int argc, char **argv)
{
    const rules::rule all[] = {RULE(aligned_forms_end_up_in_the_replaced_ones)};
    return rules::check_rules(all, argc, argv);
}
