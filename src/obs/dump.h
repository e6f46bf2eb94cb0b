/* SPDX-License-Identifier: MIT */
/*
 * The dump: a text for people about the whole heap.
 *
 * Written at exit where POOLALLOC_CONF asks for it (dump=stderr, dump=FILE). Nothing is allocated,
 * no lock is held while writing.
 */
#ifndef POOLALLOC_OBS_DUMP_H
#define POOLALLOC_OBS_DUMP_H

/* Once, from the constructor, after the options are read. */
void dump_init(void);

/* Now. */
void dump_to(int fd);

/* Now, to where the option says. */
void dump_at_exit(void);

#endif
