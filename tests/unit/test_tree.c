/* SPDX-License-Identifier: MIT */
/* The tree of free spans against a sorted array. */
#include "mem/tree.h"

#include "unit.h"

#include <string.h>

enum { N_SPANS = 600, N_SIZES = 20 };

static struct span spans[N_SPANS];

/* The spans that are in the tree, in order. */
static struct {
    struct span *at[N_SPANS];
    size_t n;
} model;

static bool model_less(const struct span *span, uint32_t n_pages, uintptr_t base)
{
    if (span->n_pages != n_pages)
        return span->n_pages < n_pages;
    return span->base < base;
}

static size_t model_find(uint32_t n_pages, uintptr_t base)
{
    size_t i = 0;
    while (i < model.n && model_less(model.at[i], n_pages, base))
        i++;
    return i;
}

static void model_insert(struct span *span)
{
    size_t i = model_find(span->n_pages, span->base);
    memmove(&model.at[i + 1], &model.at[i], (model.n - i) * sizeof(void *));
    model.at[i] = span;
    model.n++;
}

static void model_remove(const struct span *span)
{
    size_t i = model_find(span->n_pages, span->base);
    check(model.at[i] == span);
    model.n--;
    memmove(&model.at[i], &model.at[i + 1], (model.n - i) * sizeof(void *));
}

static void make_spans(struct random *random)
{
    model.n = 0;
    memset(spans, 0, sizeof spans);
    for (size_t i = 0; i < N_SPANS; i++) {
        spans[i].kind = SPAN_UNUSED;
        spans[i].base = (i + 1) * UNIT_BYTES;
        spans[i].n_pages = 1 + (uint32_t)random_below(random, N_SIZES);
    }
}

static uint64_t rank(const struct span *span)
{
    return mix_bits(span->base);
}

/* In order as in the model, and no child ranks above its parent. Returns the number of spans. */
static size_t check_subtree(const struct span *span, size_t n_before)
{
    if (span == NULL)
        return 0;
    const struct span *left = span->free.left;
    const struct span *right = span->free.right;
    check(left == NULL || rank(left) < rank(span));
    check(right == NULL || rank(right) < rank(span));
    size_t n_left = check_subtree(left, n_before);
    check(model.at[n_before + n_left] == span);
    return n_left + 1 + check_subtree(right, n_before + n_left + 1);
}

static void check_searches(const struct tree *tree, struct random *random)
{
    check(tree_last(tree) == (model.n > 0 ? model.at[model.n - 1] : NULL));
    for (int i = 0; i < 8; i++) {
        uint32_t n_pages = (uint32_t)random_below(random, N_SIZES + 3);
        uintptr_t base = random_below(random, (N_SPANS + 2) * (size_t)UNIT_BYTES);
        if (i % 2 == 0)
            base = i == 0 ? 0 : round_down(base, UNIT_BYTES);
        size_t expected = model_find(n_pages, base);
        check(tree_at_least(tree, n_pages, base) ==
              (expected < model.n ? model.at[expected] : NULL));
    }
}

static void random_step(struct tree *tree, struct random *random)
{
    struct span *span = &spans[random_below(random, N_SPANS)];
    if (span->kind == SPAN_FREE) {
        tree_remove(tree, span);
        model_remove(span);
        span->kind = SPAN_UNUSED;
        /* Spans come back with another size, as those of the arena do. */
        span->n_pages = 1 + (uint32_t)random_below(random, N_SIZES);
    } else {
        tree_insert(tree, span);
        model_insert(span);
        span->kind = SPAN_FREE;
    }
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct random random = {seed};
        struct tree tree = {NULL};
        make_spans(&random);
        for (int i = 0; i < 20000; i++) {
            random_step(&tree, &random);
            check_searches(&tree, &random);
            if (i % 16 == 0)
                check_equal(check_subtree(tree.root, 0), model.n);
        }
    }
}

static void test_an_empty_tree(void **state)
{
    (void)state;
    struct random random = {4};
    struct tree tree = {NULL};
    check(tree_at_least(&tree, 0, 0) == NULL);
    make_spans(&random);
    for (size_t i = 0; i < N_SPANS; i++)
        tree_insert(&tree, &spans[i]);
    for (size_t i = 0; i < N_SPANS; i++)
        tree_remove(&tree, &spans[i]);
    check(tree.root == NULL);
}

/* Links of all spans, to compare two shapes. */
static void copy_links(struct span *(*links)[2])
{
    for (size_t i = 0; i < N_SPANS; i++) {
        links[i][0] = spans[i].free.left;
        links[i][1] = spans[i].free.right;
    }
}

static void test_the_shape_depends_on_the_contents_alone(void **state)
{
    (void)state;
    static struct span *up[N_SPANS][2];
    static struct span *down[N_SPANS][2];
    struct random random = {5};
    struct tree tree = {NULL};
    make_spans(&random);
    for (size_t i = 0; i < N_SPANS; i++)
        tree_insert(&tree, &spans[i]);
    struct span *root = tree.root;
    copy_links(up);
    for (size_t i = 0; i < N_SPANS; i++)
        tree_remove(&tree, &spans[i]);
    for (size_t i = N_SPANS; i-- > 0;)
        tree_insert(&tree, &spans[i]);
    copy_links(down);
    check(tree.root == root);
    check(memcmp(up, down, sizeof up) == 0);
}

static size_t depth(const struct span *span)
{
    return span == NULL ? 0 : 1 + max_size(depth(span->free.left), depth(span->free.right));
}

/* The ranks are a fixed function of the addresses, so these depths are the same in every run. */
static void test_sorted_insertion_stays_balanced(void **state)
{
    (void)state;
    struct random random = {6};
    struct tree tree = {NULL};
    make_spans(&random);
    for (size_t i = 0; i < N_SPANS; i++) {
        spans[i].n_pages = (uint32_t)i + 1;
        tree_insert(&tree, &spans[i]);
    }
    check(depth(tree.root) <= 40); /* four times what a perfect tree needs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_an_empty_tree),
        cmocka_unit_test(test_the_shape_depends_on_the_contents_alone),
        cmocka_unit_test(test_sorted_insertion_stays_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
