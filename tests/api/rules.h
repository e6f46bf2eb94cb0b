// SPDX-License-Identifier: MIT
// A program's rules and its main, for the C++ tests: no framework, only names. As contract.h's:
// without arguments all are checked, -l lists them, RULE checks one.
#ifndef POOLALLOC_TESTS_RULES_H
#define POOLALLOC_TESTS_RULES_H

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace rules
{

struct rule {
    const char *name;
    void (*check)();
};

#define RULE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

inline int failures = 0;

inline void check(bool holds, const char *what, int line)
{
    if (holds)
        return;
    failures++;
    (void)std::fprintf(stderr, "line %d: does not hold: %s\n", line, what);
}

#define CHECK(condition) rules::check((condition), #condition, __LINE__)

template <std::size_t N> int check_rules(const rule (&all)[N], int argc, char **argv)
{
    const char *wanted = argc == 2 ? argv[1] : nullptr;
    const bool listing = wanted != nullptr && std::strcmp(wanted, "-l") == 0;
    std::size_t n_seen = 0;
    for (const rule &one : all) {
        if (listing)
            (void)std::puts(one.name);
        else if (wanted == nullptr || std::strcmp(wanted, one.name) == 0)
            one.check();
        else
            continue;
        n_seen++;
    }
    if (n_seen == 0)
        (void)std::fprintf(stderr, "%s: no such rule: %s\n", argv[0], wanted);
    return failures == 0 && n_seen > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace rules

#endif
