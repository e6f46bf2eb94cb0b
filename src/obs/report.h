/* SPDX-License-Identifier: MIT */
/*
 * The dump as text: one reading of the figures, in one of three formats. Allocates nothing, takes no
 * lock; any thread, signal handlers included.
 *
 * What the formats have in common are the tables of obs/counters.h and the advice.
 */
#ifndef POOLALLOC_OBS_REPORT_H
#define POOLALLOC_OBS_REPORT_H

#include "conf/options.h"
#include "obs/out.h"
#include "obs/stats.h"

/* Of the JSON document: a figure that is new leaves it as it is, one that goes or changes its meaning
 * does not. */
enum { REPORT_JSON_VERSION = 1 };

struct report {
    struct stats stats;
    struct out out;
    const char *why; /* "at exit" and the like */
    uint64_t number; /* of the dump in this process, from 1 */
    uint64_t what;   /* enum dump_what */
    bool is_terminal;
};

void report_text(struct report *report);
void report_json(struct report *report);
void report_prom(struct report *report);

/* ---- advice.c: what could be done about memory that is held for nothing ---- */

enum { N_ADVICE = 6 };

/* One line of at most 90 characters. False: there is no cause for this one. */
bool advice_say(const struct stats *stats, unsigned i, struct text *text);

/* Slabs of a class that would be free if what is out lay together. */
uint64_t advice_slabs_to_free(const struct stats *stats, unsigned class);

#endif
