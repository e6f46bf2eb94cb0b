/* SPDX-License-Identifier: MIT */
/*
 * poolalloc.hpp, under real containers.
 */
#include <poolalloc.hpp>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);     \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

static std::size_t used_bytes(const poolalloc_arena *arena)
{
    poolalloc_arena_stats stats;
    poolalloc_arena_get_stats(arena, &stats);
    return stats.used_bytes;
}

static std::size_t in_use(poolalloc_pool *pool)
{
    poolalloc_pool_stats stats;
    poolalloc_pool_get_stats(pool, &stats);
    return stats.in_use;
}

struct alignas(128) aligned {
    int value;
};

static void test_allocator()
{
    using string = std::basic_string<char, std::char_traits<char>, poolalloc::allocator<char>>;
    std::map<int, string, std::less<int>, poolalloc::allocator<std::pair<const int, string>>> map;
    for (int i = 0; i < 1000; i++)
        map[i % 500] = string(static_cast<std::size_t>(i), 'x');
    CHECK(map.size() == 500 && map[499].size() == 999);
    std::vector<aligned, poolalloc::allocator<aligned>> vector(100);
    CHECK(reinterpret_cast<std::size_t>(vector.data()) % 128 == 0);
    poolalloc::allocator<aligned> some;
    CHECK(some == poolalloc::allocator<int>());
    bool thrown = false;
    try {
        (void)some.allocate(static_cast<std::size_t>(-1) / 64);
    } catch (const std::bad_array_new_length &) {
        thrown = true;
    }
    CHECK(thrown);
}

static void test_arena_allocator(poolalloc_arena *arena)
{
    using allocator = poolalloc::arena_allocator<int>;
    std::size_t before = used_bytes(arena);
    std::vector<int, allocator> vector{allocator(arena)};
    for (int i = 0; i < 10000; i++)
        vector.push_back(i);
    std::list<int, allocator> list(vector.begin(), vector.end(), allocator(arena));
    CHECK(list.size() == 10000 && list.back() == 9999 && vector[5000] == 5000);
    CHECK(used_bytes(arena) - before >= 10000 * (sizeof(int) + 3 * sizeof(void *)));
    CHECK(list.get_allocator() == vector.get_allocator());
}

static void test_arena_resource(poolalloc_arena *arena)
{
    std::size_t before = used_bytes(arena);
    poolalloc::arena_resource resource(arena);
    poolalloc::arena_resource same(arena);
    std::pmr::unordered_map<int, std::pmr::vector<std::pmr::string>> map(&resource);
    for (int i = 0; i < 1000; i++)
        map[i % 10].emplace_back(100, static_cast<char>('a' + i % 26));
    CHECK(map[3][50].size() == 100 && map[3][50][99] == 'a' + 503 % 26);
    CHECK(used_bytes(arena) - before >= 1000 * 100);
    CHECK(resource == same && !(resource == *std::pmr::new_delete_resource()));
    void *p = resource.allocate(1, 512);
    CHECK(reinterpret_cast<std::size_t>(p) % 512 == 0);
}

static void test_arena_throws()
{
    poolalloc_arena_options options{};
    options.max_bytes = 4096;
    poolalloc_arena *arena = poolalloc_arena_create(&options);
    poolalloc::arena_resource resource(arena);
    bool thrown = false;
    try {
        std::pmr::vector<char> vector(8192, &resource);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    poolalloc_arena_destroy(arena);
}

static void test_pool_resource()
{
    poolalloc_pool_options options{};
    options.object_bytes = 64;
    poolalloc_pool *pool = poolalloc_pool_create(&options);
    poolalloc::pool_resource resource(pool);
    {
        std::pmr::map<int, int> map(&resource);
        std::pmr::deque<int> deque(&resource); /* its blocks are larger: from malloc */
        for (int i = 0; i < 2000; i++) {
            map[i] = -i;
            deque.push_back(i);
        }
        CHECK(in_use(pool) >= 2000);
        for (int i = 0; i < 2000; i += 2)
            map.erase(i);
        CHECK(in_use(pool) >= 1000 && in_use(pool) < 1100);
        CHECK(map[1999] == -1999 && deque[1234] == 1234);
        void *p = resource.allocate(8, 64);
        CHECK(reinterpret_cast<std::size_t>(p) % 64 == 0 && poolalloc_pool_owns(pool, p) == 0);
        resource.deallocate(p, 8, 64);
    }
    CHECK(poolalloc_pool_destroy(pool) == 0);
}

/* Objects that are aligned to less than malloc's blocks are, or to more. */
static void test_pool_resource_aligns()
{
    for (std::size_t align = 8; align <= 64; align *= 2) {
        poolalloc_pool_options options{};
        options.object_bytes = 24;
        options.align = align;
        poolalloc_pool *pool = poolalloc_pool_create(&options);
        poolalloc::pool_resource resource(pool);
        for (std::size_t wanted = 1; wanted <= 128; wanted *= 2) {
            void *p[2] = {resource.allocate(24, wanted), resource.allocate(24, wanted)};
            CHECK(reinterpret_cast<std::size_t>(p[0]) % wanted == 0);
            CHECK(reinterpret_cast<std::size_t>(p[1]) % wanted == 0);
            CHECK(poolalloc_pool_owns(pool, p[0]) == (wanted <= align));
            resource.deallocate(p[0], 24, wanted);
            resource.deallocate(p[1], 24, wanted);
        }
        CHECK(poolalloc_pool_destroy(pool) == 0);
    }
}

static poolalloc_heap_stats stats_of(const poolalloc_heap *heap)
{
    poolalloc_heap_stats stats;
    poolalloc_heap_get_stats(heap, &stats);
    return stats;
}

static void test_heap_resource()
{
    poolalloc_heap_options options{};
    options.max_bytes = 1 << 20;
    poolalloc_heap *heap = poolalloc_heap_create(&options);
    poolalloc::heap_resource resource(heap);
    poolalloc::heap_resource same(heap);
    CHECK(resource == same && !(resource == *std::pmr::new_delete_resource()));
    {
        std::pmr::map<int, std::pmr::string> map(&resource);
        for (int i = 0; i < 1000; i++)
            map.emplace(i, std::pmr::string(100, 'x'));
        CHECK(stats_of(heap).n_live == 2000);
        for (int i = 0; i < 1000; i += 2)
            map.erase(i);
        CHECK(stats_of(heap).n_live == 1000);
        void *p = resource.allocate(1, 512);
        CHECK(reinterpret_cast<std::size_t>(p) % 512 == 0);
        resource.deallocate(p, 1, 512);
        bool thrown = false;
        try {
            std::pmr::vector<char> vector(1 << 20, &resource);
        } catch (const std::bad_alloc &) {
            thrown = true;
        }
        CHECK(thrown);
    }
    CHECK(stats_of(heap).n_live == 0);
    (void)new (resource.allocate(sizeof(int))) int(1);
    CHECK(poolalloc_heap_destroy(heap) == 1);
}

int main()
{
    poolalloc_arena *arena = poolalloc_arena_create(nullptr);
    test_allocator();
    test_arena_allocator(arena);
    test_arena_resource(arena);
    test_arena_throws();
    test_pool_resource();
    test_pool_resource_aligns();
    test_heap_resource();
    poolalloc_arena_destroy(arena);
    return 0;
}
