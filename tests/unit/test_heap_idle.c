/* SPDX-License-Identifier: MIT */
/*
 * A thread that lives and does nothing, while the clock goes on. It is told what to do next by the
 * first thread, which waits for it.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"

enum { BYTES = 1024, N_BLOCKS = 1000, EVERY = 100 };

static pthread_barrier_t barrier;
static struct heap *idler;
static char *kept[N_BLOCKS];

static void meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

/* Past what makes a heap idle that was not in a slow path. */
static void time_goes_by(void)
{
    for (int i = 0; i < 4; i++) {
        fake_clock_add(1000);
        (void)heap_enter();
        (void)heap_attach();
        heap_sweep_due();
        heap_leave();
    }
}

static void fill_magazine(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        kept[i] = heap_alloc(BYTES);
    for (size_t i = 0; i < N_BLOCKS; i++)
        heap_free(kept[i]);
}

static void *idle(void *argument)
{
    attach();
    idler = my_heap();
    /* One round makes the cap grow, so that there is no draining in the last. */
    for (int round = 0; round < 10; round++)
        fill_magazine();
    meet();
    meet();
    fill_magazine();
    meet();
    meet();
    return argument;
}

static size_t n_magazine(const struct heap *heap)
{
    size_t n = 0;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        n += heap->shelves[class].n_magazine;
    return n;
}

static void run_beside(void (*body)(void))
{
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    fake_clock_set(10000);
    options.guest_calls = 0;
    attach();
    pthread_t thread = thread_start(idle, NULL);
    meet();
    body();
    meet();
    meet();
    heap_check(idler);
    meet();
    thread_join(thread);
}

static void sweep_it(void)
{
    check(n_magazine(idler) > 0 && !heap_is_idle(idler));
    time_goes_by();
    check(heap_is_idle(idler) && heap_any_idle());
    check_equal(n_magazine(idler), 0);
    check(!heap_is_idle(my_heap()));
}

static void body_magazines(void *argument)
{
    (void)argument;
    run_beside(sweep_it);
    check(!heap_is_idle(idler) || atomic_get_relaxed(&idler->state) == HEAP_PARKED);
}

static void test_magazines_of_idle_threads_go_home(void **state)
{
    (void)state;
    child_passes(body_magazines, NULL);
}

static void flush_all(void)
{
    (void)heap_enter();
    heap_flush_all(true);
    heap_leave();
}

/* Fast paths and looks at bins note no time: it stays idle. */
static void *only_free(void *argument)
{
    attach();
    idler = my_heap();
    for (int round = 0; round < 10; round++)
        fill_magazine();
    for (size_t i = 0; i < N_BLOCKS; i++)
        kept[i] = heap_alloc(BYTES);
    meet();
    meet();
    for (size_t i = 0; i < N_BLOCKS; i++)
        heap_free(kept[i]);
    meet();
    meet();
    return argument;
}

static void body_only_frees(void *argument)
{
    (void)argument;
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    fake_clock_set(10000);
    options.guest_calls = 0;
    attach();
    pthread_t thread = thread_start(only_free, NULL);
    meet();
    time_goes_by();
    flush_all();
    check(heap_is_idle(idler) && n_magazine(idler) == 0);
    meet();
    meet();
    check(n_magazine(idler) > 0);
    flush_all();
    check_equal(n_magazine(idler), 0);
    meet();
    thread_join(thread);
}

static void test_what_an_idle_thread_frees_is_found(void **state)
{
    (void)state;
    child_passes(body_only_frees, NULL);
}

static void send_mail(void)
{
    struct block *block = heap_alloc(BYTES);
    struct chain chain = {block, block, 1};
    time_goes_by();
    heap_push(idler->number, class_of(BYTES), &chain);
    check_equal(inbox_count(idler->number, class_of(BYTES)), 1);
    time_goes_by();
    check_equal(inbox_count(idler->number, class_of(BYTES)), 0);
    /* It was never the idler's: it was sent on to us. */
    check_equal(inbox_count(my_heap()->number, class_of(BYTES)), 1);
}

static void body_mail(void *argument)
{
    (void)argument;
    run_beside(send_mail);
}

static void test_mail_of_idle_threads_goes_home(void **state)
{
    (void)state;
    child_passes(body_mail, NULL);
}

static void take_slabs(void)
{
    unsigned class = class_of(BYTES);
    time_goes_by();
    size_t n_idlers = idler->shelves[class].n_slabs;
    check(n_idlers > 0);
    size_t bytes = arena_bytes_in_use();
    char *p[200];
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = heap_alloc(BYTES);
    check(idler->shelves[class].n_slabs < n_idlers);
    check(arena_bytes_in_use() < bytes + sizeof p / sizeof p[0] * BYTES);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        heap_free(p[i]);
    heap_check(my_heap());
}

static void body_slabs(void *argument)
{
    (void)argument;
    run_beside(take_slabs);
}

static void test_slabs_of_idle_threads_can_be_had(void **state)
{
    (void)state;
    child_passes(body_slabs, NULL);
}

/* Slabs of which the idler keeps a block here and there. */
static void *keep_few(void *argument)
{
    attach();
    idler = my_heap();
    for (size_t i = 0; i < N_BLOCKS; i++)
        kept[i] = heap_alloc(BYTES);
    for (size_t i = 0; i < N_BLOCKS; i++)
        pattern_fill(kept[i], BYTES, i);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (i % EVERY != 0)
            heap_free(kept[i]);
    }
    heap_empty_bin(idler, class_of(BYTES));
    meet();
    meet();
    for (size_t i = 0; i < N_BLOCKS; i += EVERY) {
        check(pattern_holds(kept[i], BYTES, i));
        heap_free(kept[i]);
    }
    return argument;
}

static size_t purged_pages(struct heap *heap)
{
    size_t n = 0;
    const struct shelf *shelf = &heap->shelves[class_of(BYTES)];
    lock_take(&heap->lock);
    for (const struct span *slab = shelf->partial; slab != NULL; slab = slab->slab.next)
        n += count_bits(slab->slab.purged);
    lock_release(&heap->lock);
    return n;
}

static void body_pages(void *argument)
{
    bool by_hand = *(const bool *)argument;
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    fake_clock_set(10000);
    options.guest_calls = 0;
    attach();
    pthread_t thread = thread_start(keep_few, NULL);
    meet();
    check_equal(purged_pages(idler), 0);
    uint64_t before = arena_purged_bytes();
    if (by_hand)
        flush_all();
    else
        time_goes_by();
    check(purged_pages(idler) > 100);
    check(arena_purged_bytes() - before >= purged_pages(idler) * PAGE_BYTES);
    meet();
    thread_join(thread);
}

static void test_pages_in_slabs_go_back(void **state)
{
    static const bool by_hand[] = {false, true};
    (void)state;
    child_passes(body_pages, (void *)&by_hand[0]);
    child_passes(body_pages, (void *)&by_hand[1]);
}

/* ---- slabs of those who are not idle ---- */

static void take_all(size_t every)
{
    for (size_t i = 0; i < N_BLOCKS; i += every) {
        kept[i] = heap_alloc(BYTES);
        pattern_fill(kept[i], BYTES, i);
    }
}

/* All but one in EVERY. */
static void give_most(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (i % EVERY != 0)
            heap_free(kept[i]);
    }
    heap_empty_bin(my_heap(), class_of(BYTES));
}

static void check_kept(void)
{
    for (size_t i = 0; i < N_BLOCKS; i += EVERY)
        check(pattern_holds(kept[i], BYTES, i));
}

static void sweep_once(void)
{
    (void)heap_enter();
    (void)heap_attach();
    (void)heap_sweep_due();
    heap_leave();
}

/* What it does not draw from, for as long as free spans are held back. */
static void body_stale(void *argument)
{
    const uint32_t *purge_ms = argument;
    fake_clock_set(10000);
    options.guest_calls = 0;
    options.purge_ms = *purge_ms;
    attach();
    take_all(1);
    give_most();
    for (uint32_t ms = 0; ms + HEAP_SWEEP_MS <= *purge_ms && ms < 2000; ms += HEAP_SWEEP_MS) {
        check_equal(purged_pages(my_heap()), 0);
        fake_clock_add(HEAP_SWEEP_MS);
        sweep_once();
    }
    bool is_ever = *purge_ms < 2000;
    for (int i = 0; i < 10; i++) {
        fake_clock_add(HEAP_SWEEP_MS);
        sweep_once();
        check(!heap_is_idle(my_heap()));
    }
    check(is_ever ? purged_pages(my_heap()) > 100 : purged_pages(my_heap()) == 0);
    heap_check(my_heap());
    check_kept();
    take_all(EVERY); /* anew, out of pages that have gone */
    check_kept();
    heap_check(my_heap());
}

static void test_pages_go_back_that_a_busy_thread_does_not_use(void **state)
{
    uint32_t purge_ms[] = {0, 200, 500, 60000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(purge_ms); i++)
        child_passes(body_stale, &purge_ms[i]);
}

/* A slab that is drawn from is young again. */
static void body_young(void *argument)
{
    (void)argument;
    fake_clock_set(10000);
    options.guest_calls = 0;
    options.purge_ms = 500;
    attach();
    take_all(1);
    give_most();
    for (int i = 0; i < 20; i++) {
        fake_clock_add(HEAP_SWEEP_MS);
        lock_take(&my_heap()->lock);
        struct span *slab = my_heap()->shelves[class_of(BYTES)].partial;
        heap_list_remove(my_heap(), slab);
        heap_list_add(my_heap(), slab);
        lock_release(&my_heap()->lock);
        sweep_once();
        check_equal(my_heap()->shelves[class_of(BYTES)].partial->slab.purged, 0);
    }
    check(purged_pages(my_heap()) > 100);
    heap_check(my_heap());
}

static void test_slabs_that_are_drawn_from_keep_their_pages(void **state)
{
    (void)state;
    child_passes(body_young, NULL);
}

enum { N_ALL = 40000, N_ALL_PAGES = N_ALL / 4 };

/* Of more slabs than one sweep looks at. */
static void keep_one_in_64(uint32_t purge_ms)
{
    static void *all[N_ALL];
    fake_clock_set(10000);
    options.guest_calls = 0;
    options.purge_ms = purge_ms;
    attach();
    for (size_t i = 0; i < N_ALL; i++)
        all[i] = heap_alloc(BYTES);
    for (size_t i = 0; i < N_ALL; i++) {
        if (i % 64 != 0)
            heap_free(all[i]);
    }
    heap_empty_bin(my_heap(), class_of(BYTES));
}

static void check_most_went(void)
{
    check(purged_pages(my_heap()) > N_ALL_PAGES / 5 * 4);
    heap_check(my_heap());
}

/* The sweep of stale slabs has passed over most of them, for they were young: a trim starts at the
 * first. */
static void body_trim(void *argument)
{
    (void)argument;
    keep_one_in_64(1000);
    fake_clock_add(HEAP_SWEEP_MS);
    sweep_once();
    check_equal(purged_pages(my_heap()), 0);
    flush_all();
    check_most_went();
}

static void test_a_trim_passes_nothing_over(void **state)
{
    (void)state;
    child_passes(body_trim, NULL);
}

/* It makes new slabs, and frees nothing. */
static void body_only_takes(void *argument)
{
    (void)argument;
    keep_one_in_64(100);
    for (int i = 0; i < 10000; i++) {
        fake_clock_add(1);
        check(heap_alloc(8 * (size_t)BYTES) != NULL);
    }
    check_most_went();
}

static void test_who_only_takes_gives_pages_back(void **state)
{
    (void)state;
    child_passes(body_only_takes, NULL);
}

/* More slabs than a sweep gives back pages of: the next comes soon. */
static void body_backlog(void *argument)
{
    (void)argument;
    keep_one_in_64(0);
    fake_clock_add(HEAP_SWEEP_MS);
    sweep_once();
    check(heap_sweep_wait_ms() < HEAP_SWEEP_MS);
    int n_sweeps = 0;
    for (; heap_sweep_wait_ms() < HEAP_SWEEP_MS; n_sweeps++) {
        size_t before = purged_pages(my_heap());
        fake_clock_add(heap_sweep_wait_ms());
        sweep_once();
        check(purged_pages(my_heap()) > before || heap_sweep_wait_ms() == HEAP_SWEEP_MS);
    }
    check(n_sweeps > 2 && n_sweeps < 100);
    check(purged_pages(my_heap()) > N_ALL / 64 * 10);
    heap_check(my_heap());
}

static void test_much_to_give_back_is_given_back_bit_by_bit(void **state)
{
    (void)state;
    child_passes(body_backlog, NULL);
}

/* ---- mail of those who are not idle ---- */

static void *send_all(void *argument)
{
    attach();
    for (size_t i = 0; i < N_BLOCKS; i++)
        heap_free(kept[i]);
    heap_flush_outboxes(my_heap());
    return argument;
}

static void body_much_mail(void *argument)
{
    (void)argument;
    unsigned class = class_of(BYTES);
    fake_clock_set(10000);
    options.guest_calls = 0;
    attach();
    for (size_t i = 0; i < N_BLOCKS; i++)
        kept[i] = heap_alloc(BYTES);
    heap_empty_bin(my_heap(), class);
    size_t n_slabs = my_heap()->shelves[class].n_slabs;
    thread_run(send_all, NULL);
    check_equal(inbox_count(my_heap()->number, class), N_BLOCKS);
    time_goes_by(); /* in which it is busy */
    check(!heap_is_idle(my_heap()));
    check_equal(inbox_count(my_heap()->number, class), 0);
    check(my_heap()->shelves[class].n_slabs < n_slabs / 2);
}

static void test_much_mail_goes_home_even_if_its_owner_is_busy(void **state)
{
    (void)state;
    child_passes(body_much_mail, NULL);
}

/* Not all of it at once. */
static void body_more_mail(void *argument)
{
    enum { SMALL_BYTES = 128, N_SMALL = 30000 };
    static void *small[N_SMALL];
    (void)argument;
    unsigned class = class_of(SMALL_BYTES);
    fake_clock_set(10000);
    options.guest_calls = 0;
    options.cache_class_bytes = 64 * KIB;
    attach();
    for (size_t i = 0; i < N_SMALL; i++)
        small[i] = heap_alloc(SMALL_BYTES);
    heap_empty_bin(my_heap(), class);
    for (size_t i = 0; i < N_SMALL; i++) {
        struct block *block = small[i];
        block_link(block, BLOCK_END, block_secret);
        struct chain chain = {block, block, 1};
        (void)heap_push(my_heap()->number, class, &chain);
    }
    size_t n_slabs = my_heap()->shelves[class].n_slabs;
    fake_clock_add(1000);
    (void)heap_enter();
    (void)heap_attach();
    check(heap_sweep_due());
    heap_leave();
    check_equal(inbox_count(my_heap()->number, class), 0);
    check(n_magazine(my_heap()) > N_SMALL / 2);
    check(my_heap()->shelves[class].n_slabs < n_slabs);
    for (int i = 0; i < 3; i++)
        time_goes_by();
    check(n_magazine(my_heap()) * SMALL_BYTES <= 2 * options.cache_class_bytes);
    check(!atomic_get_relaxed(&my_heap()->has_mail_left));
    heap_check(my_heap());
}

static void test_mail_is_taken_in_bit_by_bit(void **state)
{
    (void)state;
    child_passes(body_more_mail, NULL);
}

/* ---- hosts ---- */

static size_t n_in_bins(const struct heap *heap)
{
    size_t n = 0;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        n += bin_count(heap, class);
    return n;
}

static void *be_a_guest(void *argument)
{
    heap_free(heap_alloc(BYTES));
    check(front_own == &front_empty);
    struct heap *host = heap_visit();
    *(struct heap **)argument = host;
    check(n_in_bins(host) > 0);
    heap_visit_end(host);
    return NULL;
}

static void body_host(void *argument)
{
    struct heap *host = NULL;
    (void)argument;
    fake_clock_set(10000);
    attach();
    thread_run(be_a_guest, &host);
    time_goes_by();
    check_equal(n_in_bins(host), 0);
    check_equal(host->shelves[class_of(BYTES)].n_slabs, 0);
    thread_run(be_a_guest, &host);
    heap_check(host);
}

static void test_bins_of_hosts_go_home(void **state)
{
    (void)state;
    child_passes(body_host, NULL);
}

/* ---- caps ---- */

static void use_class(size_t bytes, int rounds)
{
    enum { N = 300 };
    void *blocks[N];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < N; i++)
            blocks[i] = heap_alloc(bytes);
        for (int i = 0; i < N; i++)
            heap_free(blocks[i]);
    }
}

static void body_caps(void *argument)
{
    (void)argument;
    options.cache_thread_bytes = 512 * KIB;
    attach();
    struct heap *heap = my_heap();
    use_class(1024, 50);
    uint32_t before = heap->shelves[class_of(1024)].cap;
    check(before > heap_cap_first(class_of(1024)));
    use_class(1536, 200);
    check(heap->shelves[class_of(1536)].cap > heap_cap_first(class_of(1536)));
    check(heap->shelves[class_of(1024)].cap < before);
    check(heap->caps_bytes <= options.cache_thread_bytes);
    size_t sum = 0;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        sum += heap->shelves[class].cap * class_bytes(class);
    check_equal(sum, heap->caps_bytes);
    heap_check(heap);
}

static void test_cold_classes_lose_room_to_hot_ones(void **state)
{
    (void)state;
    child_passes(body_caps, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_magazines_of_idle_threads_go_home),
        cmocka_unit_test(test_what_an_idle_thread_frees_is_found),
        cmocka_unit_test(test_mail_of_idle_threads_goes_home),
        cmocka_unit_test(test_slabs_of_idle_threads_can_be_had),
        cmocka_unit_test(test_pages_in_slabs_go_back),
        cmocka_unit_test(test_pages_go_back_that_a_busy_thread_does_not_use),
        cmocka_unit_test(test_slabs_that_are_drawn_from_keep_their_pages),
        cmocka_unit_test(test_much_to_give_back_is_given_back_bit_by_bit),
        cmocka_unit_test(test_a_trim_passes_nothing_over),
        cmocka_unit_test(test_who_only_takes_gives_pages_back),
        cmocka_unit_test(test_much_mail_goes_home_even_if_its_owner_is_busy),
        cmocka_unit_test(test_mail_is_taken_in_bit_by_bit),
        cmocka_unit_test(test_bins_of_hosts_go_home),
        cmocka_unit_test(test_cold_classes_lose_room_to_hot_ones),
    };
    return cmocka_run_group_tests_name("heap_idle", tests, NULL, NULL);
}
