// SPDX-License-Identifier: MIT
// A program that replaces new(size_t) and delete(void *) and nothing else, as most do that count
// or log what they allocate.
#include "replaced.h"

#include <algorithm>
#include <string>
#include <vector>

static replaced::counts plain;

OUT_OF_SIGHT void *operator new(std::size_t bytes)
{
    return replaced::take(plain, bytes, 32);
}

OUT_OF_SIGHT void operator delete(void *block) noexcept
{
    replaced::give(plain, block, 32);
}

namespace
{

struct with_destructor {
    std::string text = "a text that is longer than a short string";
};

void use_expressions()
{
    delete new with_destructor;
    delete[] new with_destructor[3];
    delete new (std::nothrow) with_destructor;
    delete[] new (std::nothrow) with_destructor[3];
}

// stable_sort takes its buffer with nothrow new.
void use_library()
{
    std::vector<int> numbers(1000);
    for (std::size_t i = 0; i < numbers.size(); i++)
        numbers[i] = -static_cast<int>(i);
    std::stable_sort(numbers.begin(), numbers.end());
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
}

void all_forms_end_up_in_the_replaced_two()
{
    using namespace replaced;
    check_all(plain, 1, takes, gives);
    check_all(plain, 1, array_takes, array_gives);
    check_all(plain, 0, aligned_takes, aligned_gives);
    check_all(plain, 0, aligned_array_takes, aligned_array_gives);
    check_failure(takes);
    check_failure(array_takes);

    const long before = plain.taken;
    use_expressions();
    use_library();
    CHECK(plain.taken > before + 8);
    CHECK(plain.taken == plain.given);
}

} // namespace

int main(int argc, char **argv)
{
    const rules::rule all[] = {RULE(all_forms_end_up_in_the_replaced_two)};
    return rules::check_rules(all, argc, argv);
}
