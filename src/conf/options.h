/* SPDX-License-Identifier: MIT */
/*
 * Run-time options, from POOLALLOC_CONF="key=value,key=value".
 *
 * The table in options.c has one row an option; parser, help and tests come from it. Values are
 * read-only after start (os/fixed.h), until mallopt changes one of two; before it, and where a
 * value is refused, the defaults hold.
 */
#ifndef POOLALLOC_CONF_OPTIONS_H
#define POOLALLOC_CONF_OPTIONS_H

#include "os/fixed.h"

#include <stdbool.h>

enum { OPTION_TEXT_MAX = 240, PERCENT_MAX = 100 };

enum huge_pages { HUGE_SYSTEM, HUGE_ON, HUGE_OFF };
enum foreign_action { FOREIGN_FORWARD, FOREIGN_IGNORE, FOREIGN_ABORT };
enum zero_realloc_action { ZERO_REALLOC_FREE, ZERO_REALLOC_ALLOC, ZERO_REALLOC_ABORT };
enum check_level { CHECK_OFF, CHECK_FREES, CHECK_WRITES, CHECK_ALL };
enum check_fill { CHECK_FILL_JUNK, CHECK_FILL_ZERO };
enum fault_action { ON_FAULT_ABORT, ON_FAULT_REPORT, ON_FAULT_TRAP };
enum dump_exit { DUMP_EXIT_OFF, DUMP_EXIT_ON, DUMP_EXIT_QUICK };
enum dump_replace { DUMP_REPLACE_NONE, DUMP_REPLACE_ANY, DUMP_REPLACE_DUMPS };
enum dump_what { DUMP_SUMMARY, DUMP_CLASSES, DUMP_ALL };
enum limit_action { LIMIT_REFUSE, LIMIT_ABORT, LIMIT_SIGNAL, LIMIT_WATCH };
enum pressure_watch { PRESSURE_AUTO, PRESSURE_ON, PRESSURE_OFF };
enum dump_format { DUMP_TEXT, DUMP_JSON, DUMP_PROM };

struct options {
    uint64_t verbose;
    uint64_t cache_bytes;            /* caps of all bins of all threads */
    uint64_t cache_thread_bytes;     /* caps of all bins of a thread */
    uint64_t cache_class_bytes;      /* cap of one bin */
    uint64_t dirty_bytes;            /* free memory held back from the kernel */
    uint64_t dirty_percent;          /* of what is in use: as much on top */
    uint64_t purge_ms;               /* and for how long */
    uint64_t background;             /* a thread of ours sees to it */
    uint64_t huge;                   /* enum huge_pages */
    uint64_t direct_bytes;           /* blocks from here on are mapped if nothing free fits */
    uint64_t guest_calls;            /* of a new thread, before it gets a heap of its own */
    uint64_t foreign;                /* enum foreign_action */
    uint64_t profile_bytes;          /* sampled once in so many, for the heap profile; 0: not */
    uint64_t guard_every;            /* one of so many calls gets a guarded block; 0: none */
    uint64_t zero_realloc;           /* enum zero_realloc_action */
    uint64_t deepbind;               /* leave the program's RTLD_DEEPBIND alone */
    uint64_t guard_handlers;         /* see to it that signal handlers may call malloc */
    uint64_t check;                  /* enum check_level: heap/checked.h */
    uint64_t check_fill;             /* enum check_fill: what freed blocks are filled with */
    uint64_t quarantine_bytes;       /* of freed blocks that a thread holds back, when checked */
    uint64_t quarantine_large_bytes; /* the same of large ones */
    uint64_t track;                  /* who allocated what: heap/checked.h */
    uint64_t on_fault;               /* enum fault_action */
    uint64_t limit;                /* bytes; up to PERCENT_MAX percent of what there is; 0: none */
    uint64_t limit_action;         /* enum limit_action */
    uint64_t limit_signal;         /* its number */
    uint64_t limit_reserve;        /* of the limit, for small blocks after a refusal */
    uint64_t pressure;             /* enum pressure_watch */
    uint64_t pressure_percent;     /* of the limit: from then on memory is short */
    uint64_t pressure_every_ms;    /* clean-ups are so far apart */
    char log[OPTION_TEXT_MAX];     /* where reports go besides fd 2; empty: nowhere */
    char dump[OPTION_TEXT_MAX];    /* where dumps go; empty: there are none */
    char profile[OPTION_TEXT_MAX]; /* where heap profiles go; empty: there are none */
    uint64_t dump_exit;            /* enum dump_exit */
    uint64_t dump_signal;          /* its number, or 0 */
    uint64_t dump_every_ms;
    uint64_t dump_live_bytes; /* when so much is live for the first time */
    uint64_t dump_fatal;      /* when the heap is found to be broken */
    uint64_t dump_pressure;   /* when the level of pressure changes */
    uint64_t dump_what;       /* enum dump_what */
    uint64_t dump_format;     /* enum dump_format */
    uint64_t dump_replace;    /* enum dump_replace */
    uint64_t dump_pid;        /* the only process that dumps, or 0 */
};

extern struct options options FIXED;

/* For those that mallopt may change later: dirty_bytes, direct_bytes, cache_bytes. */
ALWAYS_INLINE uint64_t option_get(const uint64_t *option)
{
    return __atomic_load_n(option, __ATOMIC_RELAXED);
}

/* Makes all of them writable, for good. */
void option_put(uint64_t *option, uint64_t value);

/* Reads the value of POOLALLOC_CONF (may be NULL). Unknown keys and bad values get one warning line
 * each on fd 2 and change nothing. */
void options_parse(const char *conf);

/* Every option with its range and effective value, on fd 2. */
void options_print_help(void);

#endif
