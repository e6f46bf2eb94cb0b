// SPDX-License-Identifier: MIT
// operator new fails as the standard says.
#include <cstddef>
#include <new>

static int handler_calls;

static void handler()
{
    handler_calls++;
    std::set_new_handler(nullptr);
}

static bool throws(void *(*take)(std::size_t))
{
    std::set_new_handler(handler);
    int before = handler_calls;
    try {
        (void)take(std::size_t{1} << 62);
    } catch (const std::bad_alloc &) {
        return handler_calls == before + 1;
    }
    return false;
}

static void *take(std::size_t bytes)
{
    return ::operator new(bytes);
}

static void *take_array(std::size_t bytes)
{
    return ::operator new[](bytes);
}

static void *take_aligned(std::size_t bytes)
{
    return ::operator new (bytes, std::align_val_t{64});
}

static bool returns_null()
{
    std::set_new_handler(handler);
    int before = handler_calls;
    return ::operator new (std::size_t{1} << 62, std::nothrow) == nullptr &&handler_calls ==
           before + 1;
}

extern "C" int plugin_run(void);
extern "C" int plugin_run(void)
{
    return throws(take) && throws(take_array) && throws(take_aligned) && returns_null() ? 0 : 1;
}
