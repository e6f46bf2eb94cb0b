/* SPDX-License-Identifier: MIT */
/*
 * Runs the real programs of programs.h in the scratch directory, and judges each run: its output
 * must be that of a run without a preload, and the preload must have taken effect.
 */
#ifndef POOLALLOC_BENCH_PROGRAM_RUN_H
#define POOLALLOC_BENCH_PROGRAM_RUN_H

#include "harness.h"
#include "programs.h"

/* Whether its commands are installed; says on stderr which is not. */
bool program_is_installed(const struct program *program);

/* Makes the inputs and the output to compare with. outcome->failure says why it cannot. */
void program_prepare(const struct bench *bench, const struct program *program,
                     struct outcome *outcome);

/* outcome->failure says all that was wrong; peak_rss_kib is the row's peak. */
void program_run(const struct bench *bench, const struct program *program,
                 const struct allocator *allocator, struct outcome *outcome);

/*
 * The same, with a witness in each process that says where its malloc comes from. Its start takes
 * some time, so that such a run is only measured where times do not matter.
 */
void program_run_witnessed(const struct bench *bench, const struct program *program,
                           const struct allocator *allocator, struct outcome *outcome);

#endif
