/* SPDX-License-Identifier: MIT */
/* Nodes of a list from a pool; a wrong free is refused. */
#include <assert.h>
#include <poolalloc.h>
#include <stddef.h>

struct node {
    struct node *next;
    int value;
};

int main(void)
{
    poolalloc_pool *nodes = poolalloc_pool_create(
        &(struct poolalloc_pool_options){.name = "nodes", .object_bytes = sizeof(struct node)});
    struct node *list = NULL;
    for (int i = 0; i < 100; i++) {
        struct node *node = poolalloc_pool_alloc(nodes);
        *node = (struct node){list, i};
        list = node;
    }
    struct node *first = list;
    list = first->next;
    assert(poolalloc_pool_free(nodes, first) == 0);
    assert(poolalloc_pool_free(nodes, first) == -1); /* and a line on fd 2 */
    assert(poolalloc_pool_destroy(nodes) == 99);
    return 0;
}
