/* SPDX-License-Identifier: MIT */
/*
 * Two users of small nodes. Complete binary trees are built and dropped at several depths while one
 * deep tree stays. Then a treap of up to 100,000 keys sees inserts and deletes in random order: its
 * nodes die in another order than they were born in.
 *
 * Checked: the number of nodes of every complete tree; that an insert or delete finds what a bitmap
 * beside the treap says; and at the end the treap's order, heap property and size.
 */
#include "client.h"

#include <stdlib.h>

enum {
    DEPTH_MIN = 4,
    DEPTH_MAX = 16,
    DEPTH_STEP = 3,
    N_NODES_PER_DEPTH = 1 << 20,
    N_KEYS = 200000, /* half of them are in the treap when it is steady */
    N_CHANGES = 300000,
};

struct node {
    struct node *left;
    struct node *right;
};

/* ---- complete trees ---- */

static struct node *build_tree(int depth)
{
    struct node *node = take(sizeof *node);
    node->left = depth == 0 ? NULL : build_tree(depth - 1);
    node->right = depth == 0 ? NULL : build_tree(depth - 1);
    return node;
}

static uint32_t count_nodes(const struct node *node)
{
    return node == NULL ? 0 : 1 + count_nodes(node->left) + count_nodes(node->right);
}

static void drop_tree(struct node *node)
{
    if (node != NULL) {
        drop_tree(node->left);
        drop_tree(node->right);
        free(node);
    }
}

static void check_tree(const struct node *tree, int depth)
{
    if (count_nodes(tree) != (2U << depth) - 1) {
        child_fail("tree-builder: wrong number of nodes");
    }
}

static void build_trees(int depth)
{
    for (uint32_t n_trees = amount(N_NODES_PER_DEPTH >> (depth + 1)); n_trees > 0; n_trees--) {
        struct node *tree = build_tree(depth);
        check_tree(tree, depth);
        drop_tree(tree);
    }
}

static void run_complete_trees(void)
{
    struct node *lasting = build_tree(DEPTH_MAX);
    for (int depth = DEPTH_MIN; depth <= DEPTH_MAX; depth += DEPTH_STEP) {
        build_trees(depth);
    }
    check_tree(lasting, DEPTH_MAX);
    drop_tree(lasting);
}

/* ---- the treap ---- */

struct treap {
    struct treap *left;
    struct treap *right;
    uint32_t key;
    uint32_t priority; /* no less than that of any node below */
};

static bool is_present[N_KEYS];

/* Parts a treap into the keys below `key` and the others. */
static void treap_split(struct treap *treap, uint32_t key, struct treap **below,
                        struct treap **others)
{
    while (treap != NULL) {
        if (treap->key < key) {
            *below = treap;
            below = &treap->right;
            treap = treap->right;
        } else {
            *others = treap;
            others = &treap->left;
            treap = treap->left;
        }
    }
    *below = NULL;
    *others = NULL;
}

/* All keys on the left are below all keys on the right. */
static void treap_join(struct treap **link, struct treap *left, struct treap *right)
{
    while (left != NULL && right != NULL) {
        if (left->priority >= right->priority) {
            *link = left;
            link = &left->right;
            left = left->right;
        } else {
            *link = right;
            link = &right->left;
            right = right->left;
        }
    }
    *link = left != NULL ? left : right;
}

/* Where the key is, or else where a node of that priority with that key belongs. */
static struct treap **treap_find(struct treap **link, uint32_t key, uint32_t priority)
{
    while (*link != NULL && (*link)->key != key && (*link)->priority >= priority) {
        link = (*link)->key < key ? &(*link)->right : &(*link)->left;
    }
    return link;
}

static void treap_insert(struct treap **root, uint32_t key, uint32_t priority)
{
    struct treap *node = take(sizeof *node);
    struct treap **link = treap_find(root, key, priority);
    node->key = key;
    node->priority = priority;
    treap_split(*link, key, &node->left, &node->right);
    *link = node;
}

static void treap_remove(struct treap **link)
{
    struct treap *node = *link;
    treap_join(link, node->left, node->right);
    free(node);
}

static void change_treap(struct treap **root, uint64_t *random)
{
    uint32_t key = random_below(random, N_KEYS);
    struct treap **link = treap_find(root, key, 0);
    if ((*link != NULL) != is_present[key]) {
        child_fail("tree-builder: a key was lost or has appeared");
    }
    if (is_present[key]) {
        treap_remove(link);
    } else {
        treap_insert(root, key, (uint32_t)random_next(random));
    }
    is_present[key] = !is_present[key];
}

/* Drops a treap whose keys must lie in [least, most], and counts its nodes. */
static uint32_t treap_drop(struct treap *treap, uint32_t least, uint32_t most, uint32_t priority)
{
    if (treap == NULL) {
        return 0;
    }
    if (treap->key < least || treap->key > most || treap->priority > priority) {
        child_fail("tree-builder: the treap is out of order");
    }
    uint32_t n = 1;
    if (treap->left != NULL) {
        n += treap_drop(treap->left, least, treap->key - 1, treap->priority);
    }
    if (treap->right != NULL) {
        n += treap_drop(treap->right, treap->key + 1, most, treap->priority);
    }
    free(treap);
    return n;
}

static void run_treap(void)
{
    uint64_t random = 19;
    struct treap *root = NULL;
    for (uint32_t i = amount(N_CHANGES); i > 0; i--) {
        change_treap(&root, &random);
    }
    uint32_t n_present = 0;
    for (int i = 0; i < N_KEYS; i++) {
        n_present += is_present[i];
    }
    if (treap_drop(root, 0, N_KEYS - 1, UINT32_MAX) != n_present) {
        child_fail("tree-builder: the treap has lost nodes");
    }
}

/* ---- the workload ---- */

void client_run_tree_builder(void)
{
    measure_begin();
    run_complete_trees();
    run_treap();
    measure_end();
    measure_freed();
}
