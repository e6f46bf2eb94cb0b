/* SPDX-License-Identifier: MIT */
/*
 * Thousands of threads that live for a few hundred calls. Each takes over blocks of threads that
 * may be gone, leaves some behind, and allocates once more when its thread-local data is destroyed.
 */
#include <limits.h>
#include <pthread.h>

#include "support.h"

#define USAGE "SEED THREADS ALIVE RESIDENT_MIB"

/*
 * POSIX asks for so many rounds of destructors; the last is after the allocator's own. A sanitizer
 * takes leave of the thread before that.
 */
enum { N_GOODBYES = UNDER_SANITIZER ? 1 : PTHREAD_DESTRUCTOR_ITERATIONS };

enum { N_SHARED = 256, N_OWN = 100, N_LEFT = 8, N_ALIVE_MAX = 256 };

struct visitor {
    pthread_t thread;
    struct random random;
    /* Its records; which of them these are changes as it swaps them with shared ones. */
    struct block *left[N_LEFT];
    size_t n_goodbyes;
    size_t bytes_allocated;
};

static struct visitor visitors[N_ALIVE_MAX];
static struct block pool[N_ALIVE_MAX * N_LEFT + N_SHARED];
static _Atomic(struct block *) shared_slots[N_SHARED];
static struct exchange shared = {N_SHARED, shared_slots};
static pthread_key_t goodbye_key;
static size_t bytes_allocated;

/* The thread's last calls, after its function has returned. */
static void say_goodbye(void *argument)
{
    struct visitor *visitor = argument;
    struct block block = {NULL, 0, 0, 0};
    block_allocate(&block, &visitor->random);
    block_resize(&block, &visitor->random);
    block_release(&block);
    block_release(visitor->left[0]);
    block_allocate(visitor->left[0], &visitor->random);
    visitor->n_goodbyes++;
    if (visitor->n_goodbyes < N_GOODBYES)
        stress_check(pthread_setspecific(goodbye_key, visitor) == 0);
}

static void *visit(void *argument)
{
    struct visitor *visitor = argument;
    struct block own[N_OWN];
    stress_check(pthread_setspecific(goodbye_key, visitor) == 0);
    for (size_t i = 0; i < N_OWN; i++)
        block_allocate(&own[i], &visitor->random);
    visitor->bytes_allocated = 0;
    for (size_t i = 0; i < N_OWN; i++)
        visitor->bytes_allocated += own[i].bytes;
    for (size_t i = 0; i < N_LEFT; i++) {
        visitor->left[i] = exchange_swap(&shared, &visitor->random, visitor->left[i]);
        block_release(visitor->left[i]);
        block_allocate(visitor->left[i], &visitor->random);
        visitor->left[i] = exchange_swap(&shared, &visitor->random, visitor->left[i]);
    }
    for (size_t i = 0; i < N_OWN; i++) {
        if (i % 4 == 0)
            block_resize(&own[i], &visitor->random);
        block_release(&own[i]);
    }
    return NULL;
}

static void leave(struct visitor *visitor)
{
    stress_check(pthread_join(visitor->thread, NULL) == 0);
    stress_check(visitor->n_goodbyes == N_GOODBYES);
    bytes_allocated += visitor->bytes_allocated;
}

int main(int argc, char **argv)
{
    size_t seed = argument_number(argc, argv, 1, USAGE);
    size_t n_threads = argument_number(argc, argv, 2, USAGE);
    size_t n_alive = argument_number(argc, argv, 3, USAGE);
    size_t limit = argument_number(argc, argv, 4, USAGE) * MIB;
    stress_check(n_alive > 0 && n_alive <= N_ALIVE_MAX && n_threads >= n_alive);
    stress_check(pthread_key_create(&goodbye_key, say_goodbye) == 0);
    struct block *next = pool;
    for (size_t i = 0; i < N_SHARED; i++)
        atomic_store_explicit(&shared_slots[i], next++, memory_order_relaxed);
    for (size_t i = 0; i < n_alive * N_LEFT; i++)
        visitors[i / N_LEFT].left[i % N_LEFT] = next++;
    size_t before = resident_bytes();
    for (size_t i = 0; i < n_threads; i++) {
        struct visitor *visitor = &visitors[i % n_alive];
        if (i >= n_alive)
            leave(visitor);
        visitor->random.state = seed * 1000000 + i;
        visitor->n_goodbyes = 0;
        stress_check(pthread_create(&visitor->thread, NULL, visit, visitor) == 0);
    }
    for (size_t i = 0; i < n_alive; i++)
        leave(&visitors[i]);
    for (size_t i = 0; i < COUNT_OF(pool); i++)
        block_release(&pool[i]);
    resident_check(before, bytes_allocated, limit);
    return EXIT_SUCCESS;
}
