/* SPDX-License-Identifier: MIT */
#include "mem/regret.h"

#include "base/bits.h"

enum { HALVED_MS = 1000 };

void regret_note_purge(struct regret *regret, size_t n_pages, uint32_t now_ms)
{
    regret_fade(regret, now_ms);
    regret->purged_pages += n_pages;
}

size_t regret_note_need(struct regret *regret, size_t n_pages, size_t max)
{
    size_t n = min_size(n_pages, regret->purged_pages);
    regret->purged_pages -= n;
    regret->needed_pages = min_size(regret->needed_pages + n, max);
    return n;
}

void regret_fade(struct regret *regret, uint32_t now_ms)
{
    if (regret->purged_pages == 0 && regret->needed_pages == 0) {
        regret->halved_ms = now_ms; /* what it was may be half a round of the clock away */
        return;
    }
    /* Another thread may have read the clock later and been here first. */
    int32_t elapsed_ms = (int32_t)(now_ms - regret->halved_ms);
    if (LIKELY(elapsed_ms < HALVED_MS))
        return;
    size_t n_halvings = min_size((size_t)elapsed_ms / HALVED_MS, 63);
    regret->purged_pages >>= n_halvings;
    regret->needed_pages >>= n_halvings;
    regret->halved_ms = now_ms;
}
