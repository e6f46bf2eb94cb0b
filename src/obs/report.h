/* SPDX-License-Identifier: MIT */
/*
 * The dump as text: one reading of the figures, in one of three formats. Allocates nothing, takes
 * no lock of the heap's; any thread, signal handlers included.
 *
 * What the formats have in common are the tables of obs/counters.h, the advice, and which objects
 * are shown.
 */
#ifndef POOLALLOC_OBS_REPORT_H
#define POOLALLOC_OBS_REPORT_H

#include "conf/options.h"
#include "obs/out.h"
#include "obs/stats.h"

/* Of the JSON document: a figure that is new leaves it as it is, one that goes or changes its
 * meaning does not. */
enum { REPORT_JSON_VERSION = 1 };

struct report {
    struct stats stats;
    struct out out;
    const char *why; /* "at exit" and the like */
    uint64_t number; /* of the dump in this process, from 1 */
    uint64_t what;   /* enum dump_what */
    bool is_terminal;
    bool process_is_known; /* what follows */
    uint64_t process[N_PROCESS_FIGURES];
    unsigned n_items; /* of the list that is being written */
    unsigned figure;  /* that is being written of all objects */
};

void report_text(struct report *report);
void report_json(struct report *report);
void report_prom(struct report *report);

/* Live blocks by who allocated them, where that is tracked; nothing where it is not. */
void report_sites_text(struct report *report);
void report_sites_json(struct report *report);

/* ---- objects of the program's ---- */

typedef void report_object_call(struct report *report, const struct object_figures *object);

/* For the first thousand of them. False: that was not all, or their list could not be had. */
bool report_objects(struct report *report, report_object_call *add);

ALWAYS_INLINE uint64_t report_object_figure(const struct object_figures *object, unsigned figure)
{
    return ((const uint64_t *)(const void *)object)[figure];
}

/* ---- advice.c: what could be done about memory that is held for nothing ---- */

/* For each piece of advice that there is cause for: a line of at most 90 characters. */
void advice_each(const struct stats *stats, void (*say)(struct report *report, const char *line),
                 struct report *report);

/* Slabs of a class that would be free if what is out lay together. */
uint64_t advice_slabs_to_free(const struct stats *stats, unsigned class);

#endif
