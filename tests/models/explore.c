/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include "base/compiler.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    THREADS_MAX = EXPLORE_THREADS_MAX,
    MAIN = THREADS_MAX, /* setup and end */
    STACK_BYTES = 256 * 1024,
    TLS_MAX_BYTES = 512,
    BUFFER_MAX = 32,
    OPTIONS_MAX = 3 * THREADS_MAX,
    DECISIONS_MAX = 100000,
    TRACE_MAX = 4096,   /* steps of a failed order that are shown */
    STEPS_MAX = 100000, /* of one order: more is taken for a thread that never ends */
    PLACES_MAX = 1 << 16,
    PAGE_BYTES_MIN = 4096,
};

/* ---- all that outlives an order; what is in the program's own variables does not ---- */

enum thread_state { READY, RELAXING, WAITING, DONE };

struct store {
    volatile void *p;
    uint64_t value;
    size_t bytes;
};

struct thread {
    ucontext_t context;
    char *stack;
    enum thread_state state;
    uint64_t n_changes_seen; /* RELAXING: of others' changes when it began */
    const void *word;        /* WAITING */
    bool is_timed;
    bool timed_out;
    bool was_prepared;
    size_t n_stores; /* in the store buffer, oldest first */
    struct store stores[BUFFER_MAX];
    char tls[TLS_MAX_BYTES];
};

struct place {
    const volatile void *p;
    uint8_t threads; /* a bit each that has been there */
    bool written;
};

struct step {
    uint8_t thread;
    uint8_t access;
    const char *file;
    int line;
};

static struct explorer {
    const struct model *model;
    unsigned preemptions;
    unsigned delays;
    bool must_fail;

    bool is_running;
    size_t current;
    struct thread threads[THREADS_MAX + 1];
    unsigned preemptions_left;
    unsigned delays_left;
    uint64_t n_changes;
    size_t n_steps;
    size_t n_idle;

    /* Where the order could have gone on otherwise: how many ways, and which was taken. */
    struct decision {
        uint8_t n;
        uint8_t chosen;
    } decisions[DECISIONS_MAX];
    size_t n_decisions; /* to be taken again */
    size_t depth;       /* taken so far */

    /* Places of atomic accesses. Before one that one thread alone uses no other needs to go on. */
    struct place places[PLACES_MAX];
    bool has_learnt; /* a place turned out to be shared: start over */

    struct step trace[TRACE_MAX];
    uint64_t n_orders;
    size_t n_steps_most;
    struct timespec began;
} * explorer;

static struct thread *running(void)
{
    return &explorer->threads[explorer->current];
}

size_t explore_thread(void)
{
    return explorer->current;
}

/* ---- the end of an order that does not hold ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - explorer->began.tv_sec) +
           (double)(now.tv_nsec - explorer->began.tv_nsec) / 1e9;
}

static void print_trace(void)
{
    static const char *const names[] = {"get", "put", "change"};
    size_t n = explorer->n_steps;
    for (size_t i = n > TRACE_MAX ? n - TRACE_MAX : 0; i < n; i++) {
        const struct step *step = &explorer->trace[i % TRACE_MAX];
        const char *file = strrchr(step->file, '/');
        printf("%*s%d: %s %s:%d\n", step->thread * 4, "", step->thread, names[step->access],
               file != NULL ? file + 1 : step->file, step->line);
    }
}

__attribute__((noreturn)) static void fail(const char *what)
{
    printf("%s: %s: does not hold in order %llu, after %.1f s\n", explorer->model->name, what,
           (unsigned long long)explorer->n_orders + 1, seconds());
    if (!explorer->must_fail)
        print_trace();
    (void)fflush(stdout);
    _exit(explorer->must_fail ? EXIT_SUCCESS : EXIT_FAILURE);
}

void explore_failed(const char *file, int line, const char *what)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s:%d: %s", file, line, what);
    fail(text);
}

/* The allocator's own checks trap or abort. What is printed here is not safe in a handler in
 * general; there is one thread, and none of its calls into libc was interrupted but abort. */
static void on_signal(int number)
{
    char text[40];
    (void)snprintf(text, sizeof text, "signal %d", number);
    fail(text);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    char *stack = malloc(STACK_BYTES);
    const stack_t other = {.ss_sp = stack, .ss_size = STACK_BYTES};
    (void)sigaltstack(&other, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

/* ---- decisions ---- */

/* Which of n ways is taken this time; the first is the default. */
static size_t decide(size_t n)
{
    if (n == 1)
        return 0;
    size_t at = explorer->depth++;
    if (at == DECISIONS_MAX)
        fail("too many decisions");
    struct decision *decision = &explorer->decisions[at];
    if (at >= explorer->n_decisions) {
        *decision = (struct decision){(uint8_t)n, 0};
        explorer->n_decisions = at + 1;
    }
    if (decision->n != n)
        fail("the same decisions lead elsewhere");
    return decision->chosen;
}

/* The next order, or false: there is none. */
static bool decisions_next(void)
{
    while (explorer->n_decisions > 0) {
        struct decision *last = &explorer->decisions[explorer->n_decisions - 1];
        if (++last->chosen < last->n)
            return true;
        explorer->n_decisions--;
    }
    return false;
}

/* ---- store buffers ---- */

static void store_oldest(struct thread *thread)
{
    const struct store *store = &thread->stores[0];
    memcpy((void *)store->p, &store->value, store->bytes); /* little-endian */
    explorer->n_changes++;
    thread->n_stores--;
    memmove(thread->stores, thread->stores + 1, thread->n_stores * sizeof *thread->stores);
}

static void store_all(struct thread *thread)
{
    while (thread->n_stores > 0)
        store_oldest(thread);
}

void explore_own_store(const volatile void *p, void *value, size_t bytes)
{
    const struct thread *thread = running();
    for (size_t i = thread->n_stores; explorer->is_running && i > 0; i--) {
        if (thread->stores[i - 1].p == p) {
            memcpy(value, &thread->stores[i - 1].value, bytes);
            return;
        }
    }
}

void explore_barrier(void)
{
    for (size_t i = 0; explorer->is_running && i < explorer->model->n_threads; i++)
        store_all(&explorer->threads[i]);
}

/* ---- threads ---- */

extern char __start_model_tls[];
extern char __stop_model_tls[];

/* There is such a section, whatever else is linked. */
static __attribute__((used)) THREAD_LOCAL uint64_t one_of_thread;

static size_t tls_bytes(void)
{
    return (size_t)(__stop_model_tls - __start_model_tls);
}

static void become(size_t number)
{
    memcpy(running()->tls, __start_model_tls, tls_bytes());
    explorer->current = number;
    memcpy(__start_model_tls, running()->tls, tls_bytes());
}

/* Goes on as another thread; returns when this one goes on again. */
static void switch_to(size_t number)
{
    struct thread *from = running();
    if (number == explorer->current)
        return;
    become(number);
    if (swapcontext(&from->context, &running()->context) != 0)
        fail("swapcontext");
}

enum option_kind { OPTION_RUN, OPTION_STORE };

struct options {
    size_t n;
    struct {
        enum option_kind kind;
        size_t thread;
        bool preempts;
    } all[OPTIONS_MAX];
};

static void option_add(struct options *options, enum option_kind kind, size_t thread, bool preempts)
{
    options->all[options->n].kind = kind;
    options->all[options->n].thread = thread;
    options->all[options->n++].preempts = preempts;
}

static bool can_run(const struct thread *thread)
{
    return thread->state == READY ||
           (thread->state == RELAXING && thread->n_changes_seen != explorer->n_changes);
}

static void options_find(struct options *options)
{
    size_t n = explorer->model->n_threads;
    size_t me = explorer->current;
    bool i_can = me < n && can_run(&explorer->threads[me]);
    options->n = 0;
    if (i_can)
        option_add(options, OPTION_RUN, me, false);
    for (size_t i = 0; i < n; i++) {
        if (i != me && can_run(&explorer->threads[i]) && (!i_can || explorer->preemptions_left > 0))
            option_add(options, OPTION_RUN, i, i_can);
    }
    /* Whether a thread's own stores have been made it cannot tell itself. */
    for (size_t i = 0; i < n; i++) {
        if ((i != me || !i_can) && explorer->threads[i].n_stores > 0)
            option_add(options, OPTION_STORE, i, false);
    }
}

/* Nobody has a reason to go on: loops that spin do all the same, then waits come to their time. */
static void options_find_idle(struct options *options)
{
    bool all_done = true;
    for (size_t i = 0; i < explorer->model->n_threads; i++) {
        struct thread *thread = &explorer->threads[i];
        all_done &= thread->state == DONE;
        if (thread->state == RELAXING)
            option_add(options, OPTION_RUN, i, false);
    }
    for (size_t i = 0; options->n == 0 && i < explorer->model->n_threads; i++) {
        struct thread *thread = &explorer->threads[i];
        if (thread->state == WAITING && thread->is_timed) {
            thread->timed_out = true;
            option_add(options, OPTION_RUN, i, false);
        }
    }
    if (all_done)
        explore_barrier();
    if (options->n == 0 && all_done)
        option_add(options, OPTION_RUN, MAIN, false);
    if (options->n == 0)
        fail("threads wait for each other for ever");
    if (++explorer->n_idle == STEPS_MAX)
        fail("a thread spins for ever");
}

/* The thread that called is gone on with when it is chosen. */
static void schedule(void)
{
    for (;;) {
        struct options options;
        options_find(&options);
        if (options.n == 0)
            options_find_idle(&options);
        size_t chosen = decide(options.n);
        size_t number = options.all[chosen].thread;
        if (options.all[chosen].kind == OPTION_STORE) {
            store_all(&explorer->threads[number]);
            continue;
        }
        explorer->preemptions_left -= options.all[chosen].preempts;
        if (explorer->threads[number].state != DONE)
            explorer->threads[number].state = READY;
        switch_to(number);
        return;
    }
}

static void thread_main(void)
{
    explorer->model->thread(explorer->current);
    running()->state = DONE;
    schedule();
    fail("a thread went on after its end");
}

/* ---- steps ---- */

static bool is_of_thread(const volatile void *p)
{
    return (uintptr_t)p - (uintptr_t)__start_model_tls < tls_bytes();
}

static struct place *place_of(const volatile void *p)
{
    size_t i = (uintptr_t)p / sizeof(uint32_t) * 0x9e3779b1u % PLACES_MAX;
    for (size_t tries = 0; tries < PLACES_MAX; tries++, i = (i + 1) % PLACES_MAX) {
        struct place *place = &explorer->places[i];
        if (place->p == NULL)
            place->p = p;
        if (place->p == p)
            return place;
    }
    fail("too many places");
}

static bool place_is_shared(const struct place *place)
{
    return place->written && (place->threads & (place->threads - 1)) != 0;
}

/* Whether it matters when this access comes; notes it. */
static bool visit(const volatile void *p, bool writes)
{
    struct place *place = place_of(p);
    bool was_shared = place_is_shared(place);
    place->threads |= (uint8_t)(1 << explorer->current);
    place->written |= writes;
    explorer->has_learnt |= !was_shared && place_is_shared(place);
    return was_shared;
}

static void note_step(enum explore_access access, const char *file, int line)
{
    explorer->trace[explorer->n_steps % TRACE_MAX] =
        (struct step){(uint8_t)explorer->current, (uint8_t)access, file, line};
    if (++explorer->n_steps == STEPS_MAX)
        fail("too many steps");
}

void explore_step(const volatile void *p, enum explore_access access, const char *file, int line)
{
    if (!explorer->is_running || is_of_thread(p))
        return;
    if (visit(p, access != EXPLORE_READ))
        schedule();
    note_step(access, file, line);
    if (access == EXPLORE_CHANGE)
        store_all(running());
    if (access != EXPLORE_READ)
        explorer->n_changes++;
}

void explore_pause(void)
{
    if (explorer->is_running)
        schedule();
}

bool explore_delay(volatile void *p, const void *value, size_t bytes)
{
    struct thread *thread = running();
    if (!explorer->is_running || is_of_thread(p))
        return false;
    if (thread->n_stores == 0) {
        if (explorer->delays_left == 0 || !place_is_shared(place_of(p)) || decide(2) == 0)
            return false;
        explorer->delays_left--;
    }
    if (thread->n_stores == BUFFER_MAX)
        store_oldest(thread);
    struct store *store = &thread->stores[thread->n_stores++];
    *store = (struct store){p, 0, bytes};
    memcpy(&store->value, value, bytes);
    return true;
}

void explore_relax(void)
{
    if (!explorer->is_running)
        return;
    running()->state = RELAXING;
    running()->n_changes_seen = explorer->n_changes;
    schedule();
}

long explore_wait(const void *word, uint32_t expected, bool is_timed)
{
    struct thread *thread = running();
    if (!explorer->is_running)
        fail("a wait with nobody to end it");
    explore_step(word, EXPLORE_CHANGE, __FILE__, __LINE__);
    if (*(const volatile uint32_t *)word != expected)
        return -EAGAIN;
    thread->state = WAITING;
    thread->word = word;
    thread->is_timed = is_timed;
    thread->timed_out = false;
    schedule();
    return thread->timed_out ? -ETIMEDOUT : 0;
}

/* Which of them is woken is one more decision. */
static bool wake_one(const void *word)
{
    size_t waiting[THREADS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < explorer->model->n_threads; i++) {
        const struct thread *thread = &explorer->threads[i];
        if (thread->state == WAITING && thread->word == word)
            waiting[n++] = i;
    }
    if (n > 0)
        explorer->threads[waiting[decide(n)]].state = READY;
    return n > 0;
}

long explore_wake(const void *word, int n)
{
    long n_woken = 0;
    if (!explorer->is_running)
        return 0;
    explore_step(word, EXPLORE_CHANGE, __FILE__, __LINE__);
    while (n_woken < n && wake_one(word))
        n_woken++;
    return n_woken;
}

/* ---- what every order begins with: the program's variables as setup left them ---- */

extern char __data_start[];
extern char _end[];

static struct range {
    char *from;
    size_t bytes;
} variables(void)
{
    uintptr_t from = (uintptr_t)__data_start & ~(uintptr_t)(PAGE_BYTES_MIN - 1);
    uintptr_t to = ((uintptr_t)_end + PAGE_BYTES_MIN - 1) & ~(uintptr_t)(PAGE_BYTES_MIN - 1);
    return (struct range){(char *)from, to - from};
}

static bool page_is_zero(const char *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;
    for (size_t i = 0; i < PAGE_BYTES_MIN / sizeof *words; i++) {
        if (words[i] != 0)
            return false;
    }
    return true;
}

/* A file in their place, of which this process has its own copies of the pages it writes to. */
static void snapshot(void)
{
    struct range range = variables();
    int fd = memfd_create("snapshot", 0);
    bool done = fd >= 0 && ftruncate(fd, (off_t)range.bytes) == 0;
    for (size_t at = 0; done && at < range.bytes; at += PAGE_BYTES_MIN) {
        if (!page_is_zero(range.from + at))
            done = pwrite(fd, range.from + at, PAGE_BYTES_MIN, (off_t)at) == PAGE_BYTES_MIN;
    }
    if (!done || mmap(range.from, range.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                      0) == MAP_FAILED) {
        perror("snapshot");
        _exit(EXIT_FAILURE);
    }
    (void)close(fd);
}

/* Those copies are dropped. */
static void restore(void)
{
    struct range range = variables();
    if (madvise(range.from, range.bytes, MADV_DONTNEED) != 0) {
        perror("restore");
        _exit(EXIT_FAILURE);
    }
}

/* ---- orders ---- */

static void thread_begin(struct thread *thread)
{
    thread->state = READY;
    thread->n_stores = 0;
    if (getcontext(&thread->context) != 0)
        fail("getcontext");
    thread->context.uc_stack.ss_sp = thread->stack;
    thread->context.uc_stack.ss_size = STACK_BYTES;
    thread->context.uc_link = NULL;
    makecontext(&thread->context, thread_main, 0);
}

static void order_run(void)
{
    size_t n = explorer->model->n_threads;
    char tls[THREADS_MAX + 1][TLS_MAX_BYTES];
    restore();
    for (size_t i = 0; i <= MAIN; i++)
        memcpy(tls[i], explorer->threads[i].tls, tls_bytes());
    for (size_t i = 0; i < n; i++)
        thread_begin(&explorer->threads[i]);
    explorer->depth = 0;
    explorer->n_changes = explorer->n_steps = explorer->n_idle = 0;
    explorer->preemptions_left = explorer->preemptions;
    explorer->delays_left = explorer->delays;
    explorer->is_running = true;
    explorer->threads[MAIN].state = DONE;
    schedule(); /* comes back when all have ended */
    explorer->is_running = false;
    explorer->model->end();
    for (size_t i = 0; i <= MAIN; i++)
        memcpy(explorer->threads[i].tls, tls[i], tls_bytes());
    if (explorer->n_steps > explorer->n_steps_most)
        explorer->n_steps_most = explorer->n_steps;
}

static void explore(void)
{
    bool more = true;
    while (more) {
        order_run();
        explorer->n_orders++;
        if (explorer->has_learnt) {
            explorer->has_learnt = false;
            explorer->n_orders = explorer->n_decisions = 0;
        } else {
            more = decisions_next();
        }
    }
}

/* ---- the program ---- */

static void prepare(void)
{
    const struct model *model = explorer->model;
    for (size_t i = 0; i <= MAIN; i++) {
        explorer->threads[i].stack = malloc(STACK_BYTES);
        memcpy(explorer->threads[i].tls, __start_model_tls, tls_bytes());
    }
    explorer->current = MAIN;
    if (model->setup != NULL)
        model->setup();
    for (size_t i = 0; model->prepare != NULL && i < model->n_threads + model->n_before; i++) {
        become(i);
        model->prepare(i);
    }
    become(MAIN);
}

static const struct model *model_named(const char *name, const struct model *models, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    }
    return NULL;
}

static void usage(const struct model *models, size_t n)
{
    (void)fputs("usage: [-p PREEMPTIONS] [-d DELAYS] [-m] MODEL, one of:\n", stderr);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(stderr, "    %s\n", models[i].name);
    exit(EXIT_FAILURE);
}

static void read_arguments(int argc, char **argv, const struct model *models, size_t n)
{
    int option;
    const char *preemptions = NULL;
    const char *delays = NULL;
    while ((option = getopt(argc, argv, "p:d:m")) != -1) {
        if (option == 'p')
            preemptions = optarg;
        else if (option == 'd')
            delays = optarg;
        else if (option == 'm')
            explorer->must_fail = true;
        else
            usage(models, n);
    }
    explorer->model = optind + 1 == argc ? model_named(argv[optind], models, n) : NULL;
    if (explorer->model == NULL)
        usage(models, n);
    explorer->preemptions = preemptions != NULL ? (unsigned)strtoul(preemptions, NULL, 10)
                                                : explorer->model->preemptions;
    explorer->delays =
        delays != NULL ? (unsigned)strtoul(delays, NULL, 10) : explorer->model->delays;
}

int explore_main(int argc, char **argv, const struct model *models, size_t n_models)
{
    explorer =
        mmap(NULL, sizeof *explorer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (explorer == MAP_FAILED || tls_bytes() > TLS_MAX_BYTES) {
        perror("explore");
        return EXIT_FAILURE;
    }
    read_arguments(argc, argv, models, n_models);
    (void)clock_gettime(CLOCK_MONOTONIC, &explorer->began);
    catch_signals();
    prepare();
    snapshot();
    explore();
    printf("%s: %llu orders of %zu threads, %u preemptions and %u delayed stores at most, "
           "%zu steps at most, %.1f s\n",
           explorer->model->name, (unsigned long long)explorer->n_orders,
           explorer->model->n_threads, explorer->preemptions, explorer->delays,
           explorer->n_steps_most, seconds());
    (void)fflush(stdout);
    _exit(explorer->must_fail ? EXIT_FAILURE : EXIT_SUCCESS);
}
