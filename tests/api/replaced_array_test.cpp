// SPDX-License-Identifier: MIT
// A program that replaces new[] and delete[] and nothing else: the other forms of these end up in
// them, and what is no array is not touched.
#include "replaced.h"

static replaced::counts array;
static replaced::counts aligned_array;

OUT_OF_SIGHT void *operator new[](std::size_t bytes)
{
    return replaced::take(array, bytes, 32);
}

OUT_OF_SIGHT void operator delete[](void *block) noexcept
{
    replaced::give(array, block, 32);
}

OUT_OF_SIGHT void *operator new[](std::size_t bytes, std::align_val_t align)
{
    return replaced::take(aligned_array, bytes, static_cast<std::size_t>(align));
}

OUT_OF_SIGHT void operator delete[](void *block, std::align_val_t align) noexcept
{
    replaced::give(aligned_array, block, static_cast<std::size_t>(align));
}

static void array_forms_end_up_in_the_replaced_ones()
{
    using namespace replaced;
    check_all(array, 0, takes, gives);
    check_all(array, 1, array_takes, array_gives);
    check_all(aligned_array, 0, aligned_takes, aligned_gives);
    check_all(array, 0, aligned_array_takes, aligned_array_gives);
    check_failure(array_takes);
    check_failure(aligned_array_takes);
    CHECK(aligned_array.taken == 6);
    CHECK(aligned_array.taken == aligned_array.given);
}

int main(int argc, char **argv)
{
    const rules::rule all[] = {RULE(array_forms_end_up_in_the_replaced_ones)};
    return rules::check_rules(all, argc, argv);
}
