/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "obs/report.h"

/* Less than this is not worth a word; nor is a smaller share than one in SHARE. */
enum { WORTH_BYTES = 4 << 20, SHARE = 4, PAGES_WORTH = 25600, SLACK_SHARE = 6, RUN_SHARE = 16 };

static bool is_worth_it(uint64_t bytes, uint64_t of)
{
    return bytes >= WORTH_BYTES && bytes >= of / SHARE;
}

static uint64_t blocks_out(const struct class_stats *s)
{
    return s->live + s->at_hand;
}

uint64_t advice_slabs_to_free(const struct stats *stats, unsigned class)
{
    const struct class_stats *s = &stats->classes[class];
    uint64_t needed = div_round_up(blocks_out(s), class_blocks_a_slab(class));
    return s->slabs > needed ? s->slabs - needed : 0;
}

static unsigned worst_class(const struct stats *stats)
{
    unsigned worst = 0;
    for (unsigned class = 1; class < N_CLASSES; class ++) {
        if (advice_slabs_to_free(stats, class) > advice_slabs_to_free(stats, worst))
            worst = class;
    }
    return worst;
}

static bool say_partly_used(const struct stats *stats, struct text *text)
{
    unsigned class = worst_class(stats);
    uint64_t n = advice_slabs_to_free(stats, class);
    uint64_t n_slabs = stats->classes[class].slabs;
    if (!is_worth_it(n * class_slab_bytes(class), n_slabs * class_slab_bytes(class)))
        return false;
    text_add(text, "class ");
    text_add_number(text, class_bytes(class));
    text_add(text, ": ");
    text_add_number(text, n);
    text_add(text, " of ");
    text_add_number(text, n_slabs);
    text_add(text, " slabs could be free; keep what lives long in a pool of its own");
    return true;
}

static bool say_at_hand(const struct stats *stats, struct text *text)
{
    if (!is_worth_it(stats->at_hand_bytes, stats->resident_bytes))
        return false;
    text_add(text, "threads keep ");
    text_add_size(text, stats->at_hand_bytes);
    text_add(text, " of free blocks at hand; cache_bytes, cache_thread_bytes limit it");
    return true;
}

static bool say_dirty(const struct stats *stats, struct text *text)
{
    if (!is_worth_it(stats->dirty_bytes, stats->resident_bytes))
        return false;
    text_add_size(text, stats->dirty_bytes);
    text_add(text,
             " of free pages are held back; dirty_bytes, dirty_percent, purge_ms say how much");
    return true;
}

static bool say_needed_again(const struct stats *stats, struct text *text)
{
    if (stats->page_ins_caused < PAGES_WORTH || stats->page_ins_caused < stats->page_ins_avoided)
        return false;
    text_add_number(text, stats->page_ins_caused);
    text_add(text, " pages were needed again soon after they were given back; raise dirty_bytes");
    return true;
}

static bool say_slack(const struct stats *stats, struct text *text)
{
    if (stats->slack_bytes < WORTH_BYTES ||
        stats->slack_bytes < stats->small_live_bytes / SLACK_SHARE)
        return false;
    text_add(text, "blocks have ");
    text_add_size(text, stats->slack_bytes);
    text_add(text, " more than was asked for; ask for sizes of a class where you can");
    return true;
}

static bool say_scattered(const struct stats *stats, struct text *text)
{
    if (!is_worth_it(stats->free_bytes, stats->used_bytes) ||
        stats->free_largest_bytes >= stats->free_bytes / RUN_SHARE)
        return false;
    text_add(text, "free pages are scattered, ");
    text_add_size(text, stats->free_largest_bytes);
    text_add(text, " at most together; with direct_bytes=1M large blocks lie apart");
    return true;
}

void advice_each(const struct stats *stats, void (*say)(struct report *report, const char *line),
                 struct report *report)
{
    static bool (*const all[])(const struct stats *, struct text *) = {
        say_partly_used, say_at_hand, say_dirty, say_needed_again, say_slack, say_scattered,
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char line[128];
        struct text text;
        text_init(&text, line, sizeof line - 1);
        if (!all[i](stats, &text))
            continue;
        *text.at = '\0';
        say(report, line);
    }
}
