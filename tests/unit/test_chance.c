/* SPDX-License-Identifier: MIT */
#include "base/chance.h"

#include "unit.h"

static bool is_near(double a, double b, double error)
{
    return a - b < error && b - a < error;
}

static void test_distances(void **state)
{
    (void)state;
    check(is_near(chance_distance(UINT64_MAX), 0, 1e-8));
    check(is_near(chance_distance(UINT64_C(1) << 63), 0.69314718055994531, 1e-8));
    check(is_near(chance_distance(UINT64_C(1) << 62), 1.38629436111989062, 1e-8));
    check(is_near(chance_distance(UINT64_C(0xc000000000000000)), 0.28768207245178093, 1e-8));
    check(is_near(chance_distance(UINT64_C(0x5e2d58d8b3bcdf1a)), 1.0, 1e-8)); /* 2^64 / e */
    check(is_near(chance_distance(0), 64 * 0.69314718055994531, 1e-8));
    for (uint64_t bits = UINT64_MAX; bits > 3; bits -= bits / 3)
        check(chance_distance(bits) <= chance_distance(bits - bits / 4));
}

/* Their mean is 1, and so is their variance. */
static void test_distances_come_by_chance(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct random random = {1};
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < N; i++) {
        double distance = chance_distance(random_next(&random));
        check(distance >= 0);
        sum += distance;
        squares += distance * distance;
    }
    check(is_near(sum / N, 1, 0.006));
    check(is_near(squares / N, 2, 0.03));
}

static void test_chances(void **state)
{
    (void)state;
    check(is_near(chance_within(0), 0, 1e-15));
    check(is_near(chance_within(1e-6), 9.999995e-7, 1e-12));
    check(is_near(chance_within(0.5), 0.39346934028736658, 1e-9));
    check(is_near(chance_within(1), 0.63212055882855768, 1e-9));
    check(is_near(chance_within(10), 0.99995460007023752, 1e-9));
    check(is_near(chance_within(1e9), 1, 1e-9));
}

static void test_what_happens(void **state)
{
    (void)state;
    check(!chance_happens(0, 0) && !chance_happens(0, UINT64_MAX));
    check(chance_happens(1, 0) && chance_happens(1, UINT64_MAX));
    check(chance_happens(0.5, UINT64_MAX / 2 - 4096) &&
          !chance_happens(0.5, UINT64_MAX / 2 + 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_distances_come_by_chance),
        cmocka_unit_test(test_chances),
        cmocka_unit_test(test_what_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
