/* SPDX-License-Identifier: MIT */
#include "misuse.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    N_SLOTS = 8192, /* blocks remembered */
    N_CHAINS = 1024,
    WHOLE_MAX_BYTES = 8 * 1024, /* smaller blocks are filled, of others: */
    EDGE_BYTES = 1024,          /* both ends, and a word every so often */
    STEP_BYTES = 64 * 1024,
    WORK_BYTES = 24 << 20,
    WORK_LIVE_BYTES = 8 << 20,
    WORK_SLOTS = 256,
    CALLS_MIN = 300,
    CALLS_MAX = 60000,
    MANY_BYTES = 2 << 20,
    MANY_MAX = 3000,
    UNTIL_MAX = 1000,
};

/* ---- saying ---- */

/* No printf: its buffer would be a block. */
static void say(const char *text)
{
    size_t n = strlen(text);
    if (write(STDOUT_FILENO, text, n) != (ssize_t)n)
        _exit(EXIT_FAILURE);
}

void wrong(void)
{
    say("wrong\n");
}

void access_follows(void)
{
    say("access\n");
}

void done(void)
{
    say("done\n");
}

void survived(void)
{
    say("survived\n");
}

void harm(const char *what)
{
    static int n_harms;
    if (n_harms++ > 3)
        return;
    say("harm: ");
    say(what);
    say("\n");
}

void give_up(const char *why)
{
    say("cannot: ");
    say(why);
    say("\n");
    _exit(EXIT_FAILURE);
}

/* ---- what is in a block ---- */

struct slot {
    char *p; /* NULL: unused */
    size_t bytes;
    uint64_t mark;
    struct slot *next; /* of the same chain */
};

static struct slot slots[N_SLOTS];
static struct slot *chains[N_CHAINS];
static uint64_t n_marks;

/* Calls f for the places of a block that are looked at. */
typedef bool word_call(uint64_t *word, uint64_t value);

static bool put_word(uint64_t *word, uint64_t value)
{
    *word = value;
    return true;
}

static bool is_word(uint64_t *word, uint64_t value)
{
    return *word == value;
}

static bool each_word(const struct slot *slot, word_call *call)
{
    bool is_whole = slot->bytes <= WHOLE_MAX_BYTES;
    bool all = true;
    size_t at = 0;
    while (at + sizeof(uint64_t) <= slot->bytes) {
        all &= call((uint64_t *)(void *)(slot->p + at), slot->mark * (at + 1));
        bool is_edge = at < EDGE_BYTES || slot->bytes - at <= EDGE_BYTES;
        size_t next = at + (is_whole || is_edge ? sizeof(uint64_t) : STEP_BYTES);
        if (next > slot->bytes - EDGE_BYTES && at < slot->bytes - EDGE_BYTES && !is_whole)
            next = slot->bytes - EDGE_BYTES;
        at = next;
    }
    return all;
}

/* ---- the blocks that are live ---- */

static struct slot **chain_of(const void *p)
{
    return &chains[((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static struct slot **find(const void *p)
{
    struct slot **link = chain_of(p);
    while (*link != NULL && (*link)->p != p)
        link = &(*link)->next;
    return link;
}

static struct slot *slot_unused(void)
{
    static size_t hand;
    for (size_t i = 0; i < N_SLOTS; i++) {
        hand = (hand + 1) % N_SLOTS;
        if (slots[hand].p == NULL)
            return &slots[hand];
    }
    give_up("too many blocks");
}

void adopt(void *p, size_t bytes)
{
    struct slot **link = find(p);
    if (*link != NULL) {
        harm("a block was handed out that is live");
        (*link)->p = NULL; /* its first owner will not find what it wrote */
        *link = (*link)->next;
    }
    struct slot *slot = slot_unused();
    struct slot **chain = chain_of(p);
    *slot = (struct slot){p, bytes, ++n_marks * UINT64_C(0xd1342543de82ef95) | 1, *chain};
    *chain = slot;
    (void)each_word(slot, put_word);
}

char *take(size_t bytes)
{
    char *p = opaque(malloc(bytes));
    if (p == NULL)
        give_up("no memory");
    adopt(p, bytes);
    return p;
}

static void check(const struct slot *slot)
{
    if (!each_word(slot, is_word))
        harm("what a live block holds has changed");
}

void disown(void *p)
{
    struct slot **link = find(p);
    struct slot *slot = *link;
    if (slot == NULL)
        return; /* handed out twice, and its other owner has given it back */
    check(slot);
    *link = slot->next;
    slot->p = NULL;
}

void give(void *p)
{
    if (*find(p) == NULL)
        return;
    disown(p);
    free(opaque(p));
}

void check_all(void)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (slots[i].p != NULL)
            check(&slots[i]);
    }
}

void give_all(void)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (slots[i].p != NULL)
            give(slots[i].p);
    }
}

void take_some(size_t n, size_t bytes)
{
    for (size_t i = 0; i < n; i++)
        (void)take(bytes);
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

static size_t at_least(size_t n, size_t min)
{
    return n > min ? n : min;
}

bool take_until(const void *p, size_t bytes)
{
    size_t n = at_most(at_least(WORK_BYTES / bytes, 10), UNTIL_MAX);
    for (size_t i = 0; i < n; i++) {
        if (take(bytes) == p)
            return true;
    }
    return false;
}

/* ---- work ---- */

static size_t random_below(size_t n)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % n;
}

/* Taken and given back in random order. */
static void work_mixed(size_t bytes, size_t n_calls)
{
    static char *held[WORK_SLOTS];
    size_t n = at_most(at_least(WORK_LIVE_BYTES / bytes, 2), WORK_SLOTS);
    for (size_t i = 0; i < n_calls; i++) {
        char **slot = &held[random_below(n)];
        if (*slot != NULL)
            give(*slot);
        *slot = *slot != NULL && random_below(4) == 0 ? NULL : take(bytes);
    }
    for (size_t i = 0; i < n; i++) {
        if (held[i] != NULL)
            give(held[i]);
        held[i] = NULL;
    }
}

/* So many that no thread keeps them at hand. */
static void work_many(size_t bytes)
{
    static char *held[MANY_MAX];
    size_t n = at_most(MANY_BYTES / bytes, MANY_MAX);
    for (size_t i = 0; i < n; i++)
        held[i] = take(bytes);
    for (size_t i = 0; i < n; i++)
        give(held[i]);
}

void work(size_t bytes)
{
    size_t n_calls = at_most(at_least(WORK_BYTES / bytes, CALLS_MIN), CALLS_MAX);
    work_many(bytes);
    work_mixed(bytes, n_calls);
    work_many(bytes);
}

void work_elsewhere(size_t bytes)
{
    static const size_t others[] = {16, 200, 1000, 2048, 12000, 60000, 500000};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (others[i] > 2 * bytes || others[i] < bytes / 2)
            work_mixed(others[i], 20);
    }
}

/* ---- the rest ---- */

void in_thread(void *(*f)(void *), void *p)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, f, p) != 0 || pthread_join(thread, NULL) != 0)
        give_up("no thread can be had");
}

static struct {
    pthread_t thread;
    pthread_barrier_t told;
    void *(*f)(void *);
    void *p;
} waiting;

static void *wait_and_run(void *unused)
{
    (void)unused;
    (void)pthread_barrier_wait(&waiting.told);
    return waiting.f(waiting.p);
}

void thread_start(void *(*f)(void *))
{
    waiting.f = f;
    if (pthread_barrier_init(&waiting.told, NULL, 2) != 0 ||
        pthread_create(&waiting.thread, NULL, wait_and_run, NULL) != 0)
        give_up("no thread can be had");
}

void thread_go(void *p)
{
    waiting.p = p;
    (void)pthread_barrier_wait(&waiting.told);
    (void)pthread_join(waiting.thread, NULL);
}

__attribute__((noinline)) void *opaque(void *p)
{
    __asm__("" : "+r"(p));
    return p;
}
