/* SPDX-License-Identifier: MIT */
/*
 * The heap profile: which stacks have allocated what is live, and what there ever was, of the
 * sample that heap/sample.h takes; in the text format that pprof and jeprof read ("heap_v2"),
 * figures as sampled, each block as often as it counts: the readers scale them.
 *
 *     heap profile: <live blocks>: <bytes> [<blocks ever>: <bytes>] @ heap_v2/<profile_bytes>
 *     <live blocks>: <bytes> [<blocks ever>: <bytes>] @ <address> <address>...
 *     ...
 *
 *     MAPPED_LIBRARIES:
 *     <the text of /proc/self/maps>
 *
 * Allocates nothing, takes no lock; any thread, signal handlers included.
 */
#ifndef POOLALLOC_OBS_PROFILE_H
#define POOLALLOC_OBS_PROFILE_H

#include "obs/out.h"

/* Something is sampled for it. */
bool profile_is_on(void);

void profile_write(struct out *out);

#endif
