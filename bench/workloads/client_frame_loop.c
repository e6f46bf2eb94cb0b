/* SPDX-License-Identifier: MIT */
/*
 * A renderer's loop: each of 300 frames builds a scene graph, walks it into a list of draw commands
 * and drops both. Meshes outlive frames: one is replaced in every frame, so that there is always
 * something among the short-lived blocks that stays.
 *
 * Checked: every node's name and contents while the graph is walked, and the frame's sum over the
 * draw commands against the sum over the seeds the nodes were made from.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_FRAMES = 300,
    N_NODES = 9000, /* in each frame, about */
    N_MESHES = 64,
    N_CHILDREN_MAX = 12,
    N_FIRST_CHILDREN = 2,
    N_FIRST_COMMANDS = 64,
    NAME_BYTES_MIN = 12,
    NAME_BYTES_MAX = 40,
    MESH_BYTES_MIN = 2 << 10,
    MESH_BYTES_MAX = 64 << 10,
};

struct mesh {
    uint64_t id;
    uint32_t n_bytes;
    unsigned char vertices[];
};

struct node {
    uint64_t seed;
    char *name;
    uint32_t name_bytes;
    uint32_t mesh;
    uint32_t n_children;
    uint32_t n_room;
    struct node **children;
    float local[16];
    float world[16];
};

struct command {
    const struct mesh *mesh;
    uint64_t seed;
    float depth;
};

struct command_list {
    struct command *commands;
    size_t n_commands;
    size_t n_room;
};

static struct mesh *meshes[N_MESHES];

/* ---- meshes ---- */

static struct mesh *mesh_load(uint64_t id, uint64_t *random)
{
    uint32_t n_bytes = random_between(random, MESH_BYTES_MIN, MESH_BYTES_MAX);
    struct mesh *mesh = take(sizeof *mesh + n_bytes);
    mesh->id = id;
    mesh->n_bytes = n_bytes;
    stamp_write(mesh->vertices, n_bytes, id);
    return mesh;
}

static void mesh_drop(struct mesh *mesh)
{
    stamp_check(mesh->vertices, mesh->n_bytes, mesh->id, "frame-loop: a mesh changed");
    free(mesh);
}

/* ---- the graph ---- */

static struct node *node_new(uint64_t seed)
{
    struct node *node = take(sizeof *node);
    memset(node, 0, sizeof *node);
    node->seed = seed;
    node->mesh = (uint32_t)(seed >> 32) % N_MESHES;
    node->name_bytes = NAME_BYTES_MIN + (uint32_t)seed % (NAME_BYTES_MAX - NAME_BYTES_MIN);
    node->name = take(node->name_bytes);
    stamp_write(node->name, node->name_bytes, seed);
    for (size_t i = 0; i < 16; i++) {
        node->local[i] = i % 5 == 0 ? 1.0F : 0.25F;
    }
    return node;
}

static void node_add_child(struct node *node, struct node *child)
{
    if (node->n_children == node->n_room) {
        node->n_room = node->n_room == 0 ? N_FIRST_CHILDREN : node->n_room * 2;
        node->children = retake(node->children, node->n_room * sizeof(struct node *));
    }
    node->children[node->n_children++] = child;
}

/* Spreads n_nodes over a node and what is below it; adds their seeds up. */
static struct node *build_graph(uint32_t n_nodes, uint64_t *random, uint64_t *sum)
{
    struct node *node = node_new(random_next(random));
    *sum += node->seed;
    uint32_t n_left = n_nodes - 1;
    for (uint32_t n_children = random_between(random, 1, N_CHILDREN_MAX);
         n_left > 0 && n_children > 0; n_children--) {
        uint32_t n_below = n_children == 1 ? n_left : random_between(random, 1, n_left);
        n_below = n_below > n_left / 2 + 1 ? n_left / 2 + 1 : n_below;
        node_add_child(node, build_graph(n_below, random, sum));
        n_left -= n_below;
    }
    return node;
}

static void drop_graph(struct node *node)
{
    for (uint32_t i = 0; i < node->n_children; i++) {
        drop_graph(node->children[i]);
    }
    free(node->children);
    free(node->name);
    free(node);
}

/* ---- the draw commands ---- */

static void list_add(struct command_list *list, const struct node *node)
{
    if (list->n_commands == list->n_room) {
        list->n_room = list->n_room == 0 ? N_FIRST_COMMANDS : list->n_room * 2;
        list->commands = retake(list->commands, list->n_room * sizeof(struct command));
    }
    list->commands[list->n_commands++] =
        (struct command){.mesh = meshes[node->mesh], .seed = node->seed, .depth = node->world[11]};
}

static void multiply(float out[16], const float a[16], const float b[16])
{
    for (size_t row = 0; row < 16; row += 4) {
        for (size_t column = 0; column < 4; column++) {
            out[row + column] = a[row] * b[column] + a[row + 1] * b[column + 4] +
                                a[row + 2] * b[column + 8] + a[row + 3] * b[column + 12];
        }
    }
}

static void draw_graph(struct node *node, const float above[16], struct command_list *list)
{
    stamp_check(node->name, node->name_bytes, node->seed, "frame-loop: a node's name changed");
    multiply(node->world, above, node->local);
    list_add(list, node);
    for (uint32_t i = 0; i < node->n_children; i++) {
        draw_graph(node->children[i], node->world, list);
    }
}

static uint64_t submit(const struct command_list *list)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < list->n_commands; i++) {
        const struct command *command = &list->commands[i];
        if (command->mesh->id % N_MESHES != (command->seed >> 32) % N_MESHES) {
            child_fail("frame-loop: a command draws another mesh");
        }
        sum += command->seed;
    }
    return sum;
}

/* ---- the workload ---- */

static void run_frame(uint32_t frame, uint64_t *random)
{
    static const float identity[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    mesh_drop(meshes[frame % N_MESHES]);
    meshes[frame % N_MESHES] = mesh_load(N_MESHES + frame, random);

    struct command_list list = {0};
    uint64_t sum = 0;
    struct node *root = build_graph(random_between(random, N_NODES / 2, N_NODES), random, &sum);
    draw_graph(root, identity, &list);
    if (submit(&list) != sum) {
        child_fail("frame-loop: what is drawn is not what was built");
    }
    free(list.commands);
    drop_graph(root);
}

void client_run_frame_loop(void)
{
    uint64_t random = 17;
    measure_begin();
    for (uint32_t i = 0; i < N_MESHES; i++) {
        meshes[i] = mesh_load(i, &random);
    }
    for (uint32_t frame = 0; frame < amount(N_FRAMES); frame++) {
        run_frame(frame, &random);
    }
    for (uint32_t i = 0; i < N_MESHES; i++) {
        mesh_drop(meshes[i]);
    }
    measure_end();
    measure_freed();
}
