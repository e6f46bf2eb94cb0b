/* SPDX-License-Identifier: MIT */
/*
 * poolalloc for C++17: allocators for containers, over poolalloc.h. Header only.
 *
 *     poolalloc::allocator<T>          this library's malloc, whatever operator new is
 *     poolalloc::arena_allocator<T>    an arena, as part of the container's type
 *     poolalloc::arena_resource        an arena, for std::pmr
 *     poolalloc::heap_resource         a heap, for std::pmr
 *     poolalloc::pool_resource         a pool for blocks that fit its objects, malloc for others
 *
 * None of them owns the arena, heap or pool, which must outlive the containers. They throw
 * std::bad_alloc where the functions return NULL, and are for as many threads as what they stand
 * on.
 *
 *     poolalloc::arena_resource resource(arena);
 *     std::pmr::vector<std::pmr::string> words(&resource);
 */
#ifndef POOLALLOC_HPP
#define POOLALLOC_HPP

#include <poolalloc.h>

#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>

namespace poolalloc
{

namespace detail
{

inline void *checked(void *p)
{
    if (p == nullptr)
        throw std::bad_alloc();
    return p;
}

template <class T> std::size_t bytes_of(std::size_t n)
{
    if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
        throw std::bad_array_new_length();
    return n * sizeof(T);
}

} // namespace detail

/* All are equal: what one has allocated another may free. */
template <class T> struct allocator {
    using value_type = T;

    allocator() noexcept = default;
    template <class U> allocator(const allocator<U> &) noexcept
    {
    }

    T *allocate(std::size_t n)
    {
        return static_cast<T *>(
            detail::checked(poolalloc_aligned_alloc(alignof(T), detail::bytes_of<T>(n))));
    }

    void deallocate(T *p, std::size_t) noexcept
    {
        poolalloc_free(p);
    }
};

template <class T, class U> bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}

template <class T, class U> bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

/* What is deallocated stays where it is until the arena is reset. */
template <class T> class arena_allocator
{
  public:
    using value_type = T;

    explicit arena_allocator(poolalloc_arena *arena) noexcept : arena_(arena)
    {
    }
    template <class U>
    arena_allocator(const arena_allocator<U> &other) noexcept : arena_(other.arena())
    {
    }

    T *allocate(std::size_t n)
    {
        return static_cast<T *>(detail::checked(
            poolalloc_arena_alloc_aligned(arena_, alignof(T), detail::bytes_of<T>(n))));
    }

    void deallocate(T *, std::size_t) noexcept
    {
    }

    poolalloc_arena *arena() const noexcept
    {
        return arena_;
    }

  private:
    poolalloc_arena *arena_;
};

template <class T, class U>
bool operator==(const arena_allocator<T> &a, const arena_allocator<U> &b) noexcept
{
    return a.arena() == b.arena();
}

template <class T, class U>
bool operator!=(const arena_allocator<T> &a, const arena_allocator<U> &b) noexcept
{
    return !(a == b);
}

class arena_resource : public std::pmr::memory_resource
{
  public:
    explicit arena_resource(poolalloc_arena *arena) noexcept : arena_(arena)
    {
    }

  private:
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        return detail::checked(poolalloc_arena_alloc_aligned(arena_, align, bytes));
    }

    void do_deallocate(void *, std::size_t, std::size_t) override
    {
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        const auto *that = dynamic_cast<const arena_resource *>(&other);
        return that != nullptr && that->arena_ == arena_;
    }

    poolalloc_arena *arena_;
};

class heap_resource : public std::pmr::memory_resource
{
  public:
    explicit heap_resource(poolalloc_heap *heap) noexcept : heap_(heap)
    {
    }

  private:
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        return detail::checked(poolalloc_heap_aligned_alloc(heap_, align, bytes));
    }

    void do_deallocate(void *p, std::size_t, std::size_t) override
    {
        poolalloc_free(p);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        const auto *that = dynamic_cast<const heap_resource *>(&other);
        return that != nullptr && that->heap_ == heap_;
    }

    poolalloc_heap *heap_;
};

class pool_resource : public std::pmr::memory_resource
{
  public:
    explicit pool_resource(poolalloc_pool *pool) noexcept : pool_(pool)
    {
        poolalloc_pool_stats stats;
        poolalloc_pool_get_stats(pool, &stats);
        bytes_ = stats.object_bytes;
        align_ = stats.align;
    }

  private:
    bool fits(std::size_t bytes, std::size_t align) const noexcept
    {
        return bytes <= bytes_ && align <= align_;
    }

    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        return detail::checked(fits(bytes, align) ? poolalloc_pool_alloc(pool_)
                                                  : poolalloc_aligned_alloc(align, bytes));
    }

    void do_deallocate(void *p, std::size_t bytes, std::size_t align) override
    {
        if (fits(bytes, align))
            (void)poolalloc_pool_free(pool_, p);
        else
            poolalloc_free(p);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        const auto *that = dynamic_cast<const pool_resource *>(&other);
        return that != nullptr && that->pool_ == pool_;
    }

    poolalloc_pool *pool_;
    std::size_t bytes_;
    std::size_t align_;
};

} // namespace poolalloc

#endif
