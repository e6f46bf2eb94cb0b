/* SPDX-License-Identifier: MIT */
/* Found before src/base/compiler.h: what is one per thread there is one per modelled thread
 * here. */
#ifndef MODELS_COMPILER_H
#define MODELS_COMPILER_H

#include_next "base/compiler.h"

/* One section, which explore.c exchanges whenever another thread goes on. */
#undef THREAD_LOCAL
#define THREAD_LOCAL __attribute__((section("model_tls")))

#endif
