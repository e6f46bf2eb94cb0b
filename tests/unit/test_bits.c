/* SPDX-License-Identifier: MIT */
#include "base/bits.h"

#include "unit.h"

static void test_powers_of_two(void **state)
{
    (void)state;
    check(!is_power_of_two(0));
    for (unsigned bit = 0; bit < 64; bit++) {
        size_t power = (size_t)1 << bit;
        check(is_power_of_two(power));
        check(!is_power_of_two(power + 1) || power == 1);
        check(!is_power_of_two(power - 1) || power == 2);
    }
}

static void test_rounding(void **state)
{
    (void)state;
    for (size_t to = 1; to <= 4096; to *= 2) {
        for (size_t n = 0; n < 10000; n++) {
            size_t down = n - n % to;
            size_t up = n % to == 0 ? n : down + to;
            check_equal(round_down(n, to), down);
            check_equal(round_up(n, to), up);
        }
    }
    check_equal(round_up(SIZE_MAX - 4095, 4096), SIZE_MAX - 4095);
    check_equal(round_down(SIZE_MAX, 4096), SIZE_MAX - 4095);
}

static void test_div_round_up(void **state)
{
    (void)state;
    for (size_t by = 1; by < 100; by++) {
        for (size_t n = 0; n < 1000; n++)
            check_equal(div_round_up(n, by), n / by + (n % by != 0));
    }
}

static void test_log2_floor(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        size_t power = (size_t)1 << bit;
        check_equal(log2_floor(power), bit);
        check_equal(log2_floor(power | (power - 1)), bit);
    }
}

static void test_single_bits(void **state)
{
    (void)state;
    for (unsigned low = 0; low < 64; low++) {
        for (unsigned high = low; high < 64; high++) {
            uint64_t word = UINT64_C(1) << low | UINT64_C(1) << high;
            check_equal(lowest_bit(word), low);
            check_equal(count_bits(word), low == high ? 1 : 2);
        }
    }
    check_equal(count_bits(0), 0);
    check_equal(count_bits(~UINT64_C(0)), 64);
}

static void test_bits_range(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 64; first++) {
        for (unsigned n = 1; first + n <= 64; n++) {
            uint64_t expected = 0;
            for (unsigned bit = first; bit < first + n; bit++)
                expected |= UINT64_C(1) << bit;
            check_equal(bits_range(first, n), expected);
        }
    }
}

static void test_min_max(void **state)
{
    (void)state;
    check_equal(min_size(1, 2), 1);
    check_equal(min_size(2, 1), 1);
    check_equal(min_size(SIZE_MAX, 0), 0);
    check_equal(max_size(1, 2), 2);
    check_equal(max_size(2, 1), 2);
    check_equal(max_size(SIZE_MAX, 0), SIZE_MAX);
}

/* The published first outputs of splitmix64 for the seed 1234567. */
static void test_mix_bits(void **state)
{
    (void)state;
    static const uint64_t outputs[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    uint64_t seed = 1234567;
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
        check_equal(mix_bits(seed += UINT64_C(0x9e3779b97f4a7c15)), outputs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers_of_two), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_div_round_up),  cmocka_unit_test(test_log2_floor),
        cmocka_unit_test(test_single_bits),   cmocka_unit_test(test_bits_range),
        cmocka_unit_test(test_min_max),       cmocka_unit_test(test_mix_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
