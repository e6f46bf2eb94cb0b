/* SPDX-License-Identifier: MIT */
#include "mem/ledger.h"

#include "mem/meta.h"

_Static_assert(ENTRY_BYTES_SHIFT + 44 == 64, "the bytes of any block fit into an entry's word");
_Static_assert(ENTRY_ALIGN_SHIFT + 6 == 64,
               "the logarithm of any alignment fits into the other word");
_Static_assert(UNIT_BYTES / BLOCK_ALIGN * sizeof(struct entry) <= META_REUSE_MAX_BYTES,
               "ledgers are used again");

static _Atomic(struct entry *) *ledger_of(uintptr_t base)
{
    return &map_leaf(base)->ledgers[map_grain(base)];
}

bool ledger_make(uintptr_t base, unsigned class, unsigned n_old)
{
    struct entry *entries = meta_take(class_blocks_a_slab(class) * sizeof *entries);
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < class_blocks_a_slab(class); i++) {
        atomic_put_relaxed(&entries[i].what, i < n_old ? ENTRY_OLD : ENTRY_FRESH);
        atomic_put_relaxed(&entries[i].who, 0);
    }
    atomic_put_release(ledger_of(base), entries);
    return true;
}

void ledger_drop(uintptr_t base, unsigned class)
{
    struct entry *entries = atomic_get_relaxed(ledger_of(base));
    if (entries == NULL)
        return;
    atomic_put_release(ledger_of(base), NULL);
    meta_give(entries, class_blocks_a_slab(class) * sizeof *entries);
}
