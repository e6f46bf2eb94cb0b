/* SPDX-License-Identifier: MIT */
/*
 * The inbox, I1 and I2 of mem/inbox.h: every block that was pushed is taken once, and every link in
 * between leads on.
 */
#include "base/compiler.h"
#include "explore.h"
#include "mem/inbox.h"

enum { N_BLOCKS = 8, CLASS_BYTES = 16 };

static struct inbox inbox;
static ALIGNED(16) struct block blocks[N_BLOCKS];
static unsigned n_taken[N_BLOCKS];
static unsigned n_pushed;

static void setup(void)
{
    block_secret_init(1);
}

/* n blocks from that one on, linked but for the tail. */
static void push(size_t first, size_t n)
{
    struct chain chain = {BLOCK_END, NULL, 0};
    for (size_t i = first; i < first + n; i++)
        chain_append(&chain, &blocks[i]);
    n_pushed += (unsigned)n;
    inbox_push(&inbox, &chain);
}

/* The chain's length is what its number says, unless others were pushed after it was taken. */
static struct chain take(void)
{
    struct chain chain = inbox_take(&inbox, CLASS_BYTES);
    size_t n = 0;
    for (struct block *block = chain.head; block != BLOCK_END; n++) {
        n_taken[block - blocks]++;
        block = block_next_checked(block, CLASS_BYTES);
    }
    holds(n == chain.n);
    return chain;
}

static void check_all_taken_once(void)
{
    (void)take();
    holds(inbox_is_empty(&inbox));
    unsigned n = 0;
    for (size_t i = 0; i < N_BLOCKS; i++) {
        holds(n_taken[i] <= 1);
        n += n_taken[i];
    }
    holds(n == n_pushed);
}

/* Two push, one takes. */
static void push_and_take(size_t number)
{
    if (number == 2) {
        (void)take();
        (void)take();
    } else {
        push(number * 3, 1);
        push(number * 3 + 1, 2);
    }
}

/* What was taken comes back while others are about to push onto it: the head that they have seen is
 * the head again. */
static void take_and_push_again(size_t number)
{
    if (number < 2) {
        push(number * 2, 2);
        return;
    }
    struct chain chain = take();
    if (chain.n == 0)
        return;
    for (struct block *block = chain.head; block != BLOCK_END; block = block->next) {
        n_taken[block - blocks]--;
        chain.tail = block;
    }
    inbox_push(&inbox, &chain);
}

/* All three do both. */
static void all_do_both(size_t number)
{
    push(number * 2, 2);
    (void)take();
}

#ifdef MODEL_TEXTBOOK
/* What the inbox is not: one block popped by compare-and-swap, which follows a link that may be
 * old. */
static struct block *pop(void)
{
    uint64_t seen = atomic_get_acquire(&inbox.word);
    while (seen != 0) {
        struct block *head = inbox_head(seen);
        struct block *next = head->next;
        explore_pause(); /* before the link is used */
        uint64_t wanted = next != BLOCK_END ? inbox_pack(next, (seen & INBOX_COUNT_MAX) - 1) : 0;
        if (atomic_try_acquire(&inbox.word, &seen, wanted))
            return head;
    }
    return NULL;
}

static void setup_textbook(void)
{
    setup();
    push(0, 3);
}

static void push_again(struct block *block)
{
    struct chain chain = {block, block, 1};
    n_taken[block - blocks]--;
    inbox_push(&inbox, &chain);
}

static void textbook(size_t number)
{
    struct block *first = pop();
    if (first != NULL)
        n_taken[first - blocks]++;
    struct block *second = number == 1 ? pop() : NULL;
    if (second == NULL)
        return;
    n_taken[second - blocks]++;
    push(N_BLOCKS - 1, 1); /* so that the number is the same again, too */
    push_again(first);
}
#endif

static const struct model models[] = {
    {"push-and-take", 3, 0, 4, 0, setup, NULL, push_and_take, check_all_taken_once},
    {"take-and-push-again", 3, 0, 100, 0, setup, NULL, take_and_push_again, check_all_taken_once},
    {"all-do-both", 3, 0, 5, 0, setup, NULL, all_do_both, check_all_taken_once},
#ifdef MODEL_TEXTBOOK
    {"textbook", 2, 0, 3, 0, setup_textbook, NULL, textbook, check_all_taken_once},
#endif
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, models, ARRAY_LEN(models));
}
