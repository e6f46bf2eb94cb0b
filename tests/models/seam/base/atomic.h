/* SPDX-License-Identifier: MIT */
/*
 * Found before src/base/atomic.h: the same operations, but another modelled thread may go on before
 * each, and a store may wait in its thread's store buffer.
 *
 * Not the single-writer counters: nothing but figures depends on what others see of them.
 */
#ifndef MODELS_ATOMIC_H
#define MODELS_ATOMIC_H

#include_next "base/atomic.h"

#include "explore.h"

#undef atomic_get_relaxed
#undef atomic_get_acquire
#undef atomic_put_relaxed
#undef atomic_put_release
#undef atomic_add_relaxed
#undef atomic_or_relaxed
#undef atomic_sub_relaxed
#undef atomic_get_in_order
#undef atomic_put_in_order
#undef atomic_swap_acquire
#undef atomic_swap_release
#undef atomic_try_release
#undef atomic_try_acquire
#undef atomic_try_acq_rel

/* Of one access inside of another. */
#pragma GCC diagnostic ignored "-Wshadow"

#define MODEL_GET(p)                                                                               \
    __extension__({                                                                                \
        __auto_type model_place = (p);                                                             \
        explore_step(model_place, EXPLORE_READ, __FILE__, __LINE__);                               \
        __auto_type model_value = atomic_load_explicit(model_place, memory_order_seq_cst);         \
        explore_own_store(model_place, &model_value, sizeof model_value);                          \
        model_value;                                                                               \
    })

#define MODEL_PUT(p, v)                                                                            \
    __extension__({                                                                                \
        __auto_type model_place = (p);                                                             \
        __auto_type model_value = atomic_load_explicit(model_place, memory_order_relaxed);         \
        model_value = (v);                                                                         \
        explore_step(model_place, EXPLORE_STORE, __FILE__, __LINE__);                              \
        if (!explore_delay(model_place, &model_value, sizeof model_value))                         \
            atomic_store_explicit(model_place, model_value, memory_order_seq_cst);                 \
    })

/* Read-modify-writes do not wait, and nothing before them does. */
#define MODEL_CHANGE(p, operation)                                                                 \
    __extension__({                                                                                \
        explore_step((p), EXPLORE_CHANGE, __FILE__, __LINE__);                                     \
        operation;                                                                                 \
    })

#define atomic_get_relaxed(p)  MODEL_GET(p)
#define atomic_get_acquire(p)  MODEL_GET(p)
#define atomic_get_in_order(p) MODEL_GET(p)

#define atomic_put_relaxed(p, v)  MODEL_PUT(p, v)
#define atomic_put_release(p, v)  MODEL_PUT(p, v)
#define atomic_put_in_order(p, v) MODEL_CHANGE(p, atomic_store(p, v))

#define atomic_add_relaxed(p, v)  MODEL_CHANGE(p, atomic_fetch_add(p, v))
#define atomic_or_relaxed(p, v)   MODEL_CHANGE(p, atomic_fetch_or(p, v))
#define atomic_sub_relaxed(p, v)  MODEL_CHANGE(p, atomic_fetch_sub(p, v))
#define atomic_swap_acquire(p, v) MODEL_CHANGE(p, atomic_exchange(p, v))
#define atomic_swap_release(p, v) MODEL_CHANGE(p, atomic_exchange(p, v))

#define atomic_try_release(p, expected, v)                                                         \
    MODEL_CHANGE(p, atomic_compare_exchange_strong(p, expected, v))
#define atomic_try_acquire(p, expected, v)                                                         \
    MODEL_CHANGE(p, atomic_compare_exchange_strong(p, expected, v))
#define atomic_try_acq_rel(p, expected, v)                                                         \
    MODEL_CHANGE(p, atomic_compare_exchange_strong(p, expected, v))

#undef CPU_RELAX
#define CPU_RELAX() explore_relax()

#endif
