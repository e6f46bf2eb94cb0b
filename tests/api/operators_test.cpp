// SPDX-License-Identifier: MIT
// operator new and delete in all their forms, the new-handler's loop, and containers on top of
// them. Operators are called by name: a new-expression may be left out by the compiler.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace
{

int failures = 0;

void check(bool holds, const char *what, int line)
{
    if (holds)
        return;
    failures++;
    (void)std::fprintf(stderr, "operators_test.cpp:%d: does not hold: %s\n", line, what);
}

#define CHECK(condition) check((condition), #condition, __LINE__)

std::size_t opaque(std::size_t bytes)
{
    volatile std::size_t copy = bytes;
    return copy;
}

bool is_aligned(const void *block, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

void check_and_dirty(void *block, std::size_t bytes, std::size_t alignment, int line)
{
    check(block != nullptr, "block is not null", line);
    check(is_aligned(block, alignment), "block is aligned", line);
    if (block != nullptr)
        std::memset(block, 0x5a, bytes);
}

#define CHECK_BLOCK(block, bytes, alignment) check_and_dirty(block, bytes, alignment, __LINE__)

void test_plain_operators()
{
    for (std::size_t bytes : {0, 1, 16, 100, 5000, 40000, 3000000}) {
        void *one = ::operator new(bytes);
        void *other = ::operator new(bytes);
        CHECK(one != other);
        CHECK_BLOCK(one, bytes, 16);
        CHECK_BLOCK(other, bytes, 16);
        ::operator delete(one);
        ::operator delete(other, bytes);
        one = ::operator new[](bytes);
        other = ::operator new[](bytes);
        CHECK(one != other);
        CHECK_BLOCK(one, bytes, 16);
        CHECK_BLOCK(other, bytes, 16);
        ::operator delete[](one);
        ::operator delete[](other, bytes);
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, 8);
    ::operator delete[](nullptr, 8);
}

void test_nothrow_operators()
{
    for (std::size_t bytes : {0, 1, 16, 100, 5000, 40000, 3000000}) {
        void *one = ::operator new(bytes, std::nothrow);
        void *many = ::operator new[](bytes, std::nothrow);
        CHECK_BLOCK(one, bytes, 16);
        CHECK_BLOCK(many, bytes, 16);
        ::operator delete(one, std::nothrow);
        ::operator delete[](many, std::nothrow);
    }
}

void test_aligned_operators()
{
    for (std::size_t alignment = 1; alignment <= (1 << 20); alignment *= 2) {
        const std::align_val_t align{alignment};
        for (std::size_t bytes : {0, 1, 100, 5000, 40000, 300000}) {
            void *blocks[8] = {
                ::operator new(bytes, align),
                ::operator new(bytes, align),
                ::operator new(bytes, align, std::nothrow),
                ::operator new(bytes, align, std::nothrow),
                ::operator new[](bytes, align),
                ::operator new[](bytes, align),
                ::operator new[](bytes, align, std::nothrow),
                ::operator new[](bytes, align, std::nothrow),
            };
            for (void *block : blocks)
                CHECK_BLOCK(block, bytes, alignment);
            ::operator delete(blocks[0], align);
            ::operator delete(blocks[1], bytes, align);
            ::operator delete(blocks[2], align, std::nothrow);
            ::operator delete(blocks[3], align);
            ::operator delete[](blocks[4], align);
            ::operator delete[](blocks[5], bytes, align);
            ::operator delete[](blocks[6], align, std::nothrow);
            ::operator delete[](blocks[7], align);
        }
    }
}

bool throws_bad_alloc(const std::function<void *()> &allocate)
{
    try {
        (void)allocate();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

// What is no power of two is no alignment: nothing such can be had, whatever the size.
void test_alignments_that_are_none()
{
    for (std::size_t alignment : {0, 3, 17, 24, 100, 4097, 65537}) {
        const std::align_val_t align{alignment};
        for (std::size_t bytes : {0, 1, 100, 5000, 300000}) {
            CHECK(throws_bad_alloc([&] { return ::operator new(bytes, align); }));
            CHECK(throws_bad_alloc([&] { return ::operator new[](bytes, align); }));
            CHECK(::operator new(bytes, align, std::nothrow) == nullptr);
            CHECK(::operator new[](bytes, align, std::nothrow) == nullptr);
        }
    }
}

const std::align_val_t wide{256};

// Every operator delete, each with the new it belongs to.
const struct {
    std::function<void *(std::size_t)> take;
    std::function<void(void *, std::size_t)> give;
} pairs[] = {
    {[](std::size_t bytes) { return ::operator new(bytes); },
     [](void *p, std::size_t) { ::operator delete(p); }},
    {[](std::size_t bytes) { return ::operator new(bytes); },
     [](void *p, std::size_t bytes) { ::operator delete(p, bytes); }},
    {[](std::size_t bytes) { return ::operator new(bytes, std::nothrow); },
     [](void *p, std::size_t) { ::operator delete(p, std::nothrow); }},
    {[](std::size_t bytes) { return ::operator new[](bytes); },
     [](void *p, std::size_t) { ::operator delete[](p); }},
    {[](std::size_t bytes) { return ::operator new[](bytes); },
     [](void *p, std::size_t bytes) { ::operator delete[](p, bytes); }},
    {[](std::size_t bytes) { return ::operator new[](bytes, std::nothrow); },
     [](void *p, std::size_t) { ::operator delete[](p, std::nothrow); }},
    {[](std::size_t bytes) { return ::operator new(bytes, wide); },
     [](void *p, std::size_t) { ::operator delete(p, wide); }},
    {[](std::size_t bytes) { return ::operator new(bytes, wide); },
     [](void *p, std::size_t bytes) { ::operator delete(p, bytes, wide); }},
    {[](std::size_t bytes) { return ::operator new(bytes, wide, std::nothrow); },
     [](void *p, std::size_t) { ::operator delete(p, wide, std::nothrow); }},
    {[](std::size_t bytes) { return ::operator new[](bytes, wide); },
     [](void *p, std::size_t) { ::operator delete[](p, wide); }},
    {[](std::size_t bytes) { return ::operator new[](bytes, wide); },
     [](void *p, std::size_t bytes) { ::operator delete[](p, bytes, wide); }},
    {[](std::size_t bytes) { return ::operator new[](bytes, wide, std::nothrow); },
     [](void *p, std::size_t) { ::operator delete[](p, wide, std::nothrow); }},
};

// A block that was freed is handed out again, and long before this much memory has been.
void test_every_delete_frees()
{
    const std::size_t enough_bytes = 64 << 20;
    for (const auto &pair : pairs) {
        for (std::size_t bytes : {1, 100, 5000, 40000, 3000000}) {
            const std::size_t n_enough = std::min<std::size_t>(enough_bytes / bytes, 10000);
            void *given = pair.take(bytes);
            const auto address = reinterpret_cast<std::uintptr_t>(given);
            pair.give(given, bytes);
            std::vector<void *> taken;
            bool again = false;
            while (!again && taken.size() < n_enough) {
                taken.push_back(pair.take(bytes));
                again = reinterpret_cast<std::uintptr_t>(taken.back()) == address;
            }
            CHECK(again);
            for (void *block : taken)
                pair.give(block, bytes);
        }
    }
}

// delete must leave errno alone as free does: destructors run between a call and its error check.
void test_delete_preserves_errno()
{
    for (std::size_t bytes : {1, 5000, 40000, 30000000}) {
        void *block = ::operator new(bytes);
        errno = EXDEV;
        ::operator delete(block);
        CHECK(errno == EXDEV);
    }
}

const std::size_t impossible = static_cast<std::size_t>(PTRDIFF_MAX);

// Every operator new that throws, and every one that returns null.
const std::function<void *()> throwing[] = {
    [] { return ::operator new(opaque(impossible)); },
    [] { return ::operator new[](opaque(impossible)); },
    [] { return ::operator new(opaque(impossible), wide); },
    [] { return ::operator new[](opaque(impossible), wide); },
    [] { return ::operator new(opaque(SIZE_MAX)); },
    [] { return ::operator new(opaque(SIZE_MAX), wide); },
};

const std::function<void *()> not_throwing[] = {
    [] { return ::operator new(opaque(impossible), std::nothrow); },
    [] { return ::operator new[](opaque(impossible), std::nothrow); },
    [] { return ::operator new(opaque(impossible), wide, std::nothrow); },
    [] { return ::operator new[](opaque(impossible), wide, std::nothrow); },
    [] { return ::operator new(opaque(SIZE_MAX), std::nothrow); },
};

int handler_calls = 0;

void give_up_after_three()
{
    handler_calls++;
    if (handler_calls == 3)
        std::set_new_handler(nullptr);
}

struct out_of_patience : std::bad_alloc {
};

void lose_patience()
{
    handler_calls++;
    throw out_of_patience();
}

void use_handler(std::new_handler handler)
{
    handler_calls = 0;
    std::set_new_handler(handler);
}

void test_failure_throws_bad_alloc()
{
    for (const auto &allocate : throwing) {
        bool caught = false;
        use_handler(nullptr);
        try {
            CHECK(allocate() == nullptr);
        } catch (const std::bad_alloc &) {
            caught = true;
        }
        CHECK(caught);
    }
}

void test_handler_is_called_until_it_gives_up()
{
    for (const auto &allocate : throwing) {
        bool caught = false;
        use_handler(give_up_after_three);
        try {
            CHECK(allocate() == nullptr);
        } catch (const std::bad_alloc &) {
            caught = true;
        }
        CHECK(caught);
        CHECK(handler_calls == 3);
        CHECK(std::get_new_handler() == nullptr);
    }
}

void test_handler_may_throw()
{
    for (const auto &allocate : throwing) {
        bool caught = false;
        use_handler(lose_patience);
        try {
            CHECK(allocate() == nullptr);
        } catch (const out_of_patience &) {
            caught = true;
        }
        CHECK(caught);
        CHECK(handler_calls == 1);
    }
    use_handler(nullptr);
}

void test_nothrow_returns_null()
{
    for (const auto &allocate : not_throwing) {
        use_handler(nullptr);
        CHECK(allocate() == nullptr);
        use_handler(give_up_after_three);
        CHECK(allocate() == nullptr);
        CHECK(handler_calls == 3);
        use_handler(lose_patience);
        CHECK(allocate() == nullptr);
        CHECK(handler_calls == 1);
    }
    use_handler(nullptr);
}

void test_container_reports_exhaustion()
{
    bool caught = false;
    use_handler(give_up_after_three);
    try {
        std::vector<char> vector;
        vector.reserve(opaque(vector.max_size()));
        CHECK(vector.capacity() == 0);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught);
    CHECK(handler_calls == 3);
    use_handler(nullptr);
}

void test_containers()
{
    std::map<std::string, std::vector<int>> map;
    std::unordered_map<int, std::string> names;
    std::list<std::string> list;
    std::deque<std::shared_ptr<std::string>> deque;
    for (int i = 0; i < 20000; i++) {
        std::string name = "a name that is longer than a short string " + std::to_string(i);
        map[name].assign(static_cast<std::size_t>(i % 50), i);
        names[i] = name;
        list.push_front(name);
        deque.push_back(std::make_shared<std::string>(name));
        if (i % 3 == 0)
            deque.pop_front();
    }
    std::size_t total = 0;
    for (const auto &entry : map)
        total += entry.second.size();
    CHECK(total == 490000U); // 400 times 0 + 1 + ... + 49
    CHECK(names.size() == 20000 && names[19999] == list.front());
    CHECK(*deque.back() == list.front());
    list.sort(std::greater<>());
    CHECK(std::is_sorted(list.rbegin(), list.rend()));
    std::vector<std::string> sorted(list.begin(), list.end());
    std::stable_sort(sorted.begin(), sorted.end());
    CHECK(sorted.front() == names[0]);
    std::ostringstream stream;
    for (const auto &name : sorted)
        stream << name << '\n';
    CHECK(std::hash<std::string>()(stream.str()) != 0);
    CHECK(stream.str().size() > 800000U);
}

struct alignas(4096) page {
    char bytes[4096];
};

void test_over_aligned_types()
{
    std::vector<page> pages(100);
    CHECK(is_aligned(pages.data(), 4096));
    std::vector<std::unique_ptr<page>> owned;
    for (int i = 0; i < 100; i++) {
        owned.push_back(std::make_unique<page>());
        CHECK(is_aligned(owned.back().get(), 4096));
    }
}

// Destroyed after the thread's function has returned, while the allocator takes its leave as well.
struct late_user {
    std::string text;
    std::atomic<int> *count;
    late_user(std::string text_, std::atomic<int> *count_) : text(std::move(text_)), count(count_)
    {
    }
    late_user(const late_user &) = delete;
    late_user &operator=(const late_user &) = delete;
    ~late_user()
    {
        std::vector<std::string> copies(100, text + text);
        if (copies.back().size() == 2 * text.size())
            (*count)++;
    }
};

void test_thread_local_destructors_allocate()
{
    std::atomic<int> count{0};
    for (int round = 0; round < 50; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++)
            threads.emplace_back([&count, i] {
                thread_local late_user user(std::string(100, static_cast<char>('a' + i)), &count);
                CHECK(user.text.size() == 100);
            });
        for (auto &thread : threads)
            thread.join();
    }
    CHECK(count == 200);
}

// Tools that pair new with delete and malloc with free tell them apart by address.
void test_c_and_cpp_functions_are_distinct()
{
    static const char *const c_names[] = {"malloc",        "free",           "calloc",  "realloc",
                                          "aligned_alloc", "posix_memalign", "memalign"};
    static const char *const cpp_names[] = {
        "_Znwm",
        "_Znam",
        "_ZnwmRKSt9nothrow_t",
        "_ZnamRKSt9nothrow_t",
        "_ZnwmSt11align_val_t",
        "_ZnamSt11align_val_t",
        "_ZnwmSt11align_val_tRKSt9nothrow_t",
        "_ZnamSt11align_val_tRKSt9nothrow_t",
        "_ZdlPv",
        "_ZdaPv",
        "_ZdlPvm",
        "_ZdaPvm",
        "_ZdlPvRKSt9nothrow_t",
        "_ZdaPvRKSt9nothrow_t",
        "_ZdlPvSt11align_val_t",
        "_ZdaPvSt11align_val_t",
        "_ZdlPvmSt11align_val_t",
        "_ZdaPvmSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t",
        "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    };
    for (const char *c_name : c_names) {
        void *c_address = dlsym(RTLD_DEFAULT, c_name);
        CHECK(c_address != nullptr);
        for (const char *cpp_name : cpp_names) {
            void *cpp_address = dlsym(RTLD_DEFAULT, cpp_name);
            CHECK(cpp_address != nullptr);
            CHECK(cpp_address != c_address);
        }
    }
    CHECK(dlsym(RTLD_DEFAULT, "_Znwm") != dlsym(RTLD_DEFAULT, "_ZdlPv"));
}

} // namespace

int main()
{
    test_plain_operators();
    test_nothrow_operators();
    test_aligned_operators();
    test_alignments_that_are_none();
    test_every_delete_frees();
    test_delete_preserves_errno();
    test_failure_throws_bad_alloc();
    test_handler_is_called_until_it_gives_up();
    test_handler_may_throw();
    test_nothrow_returns_null();
    test_container_reports_exhaustion();
    test_containers();
    test_over_aligned_types();
    test_thread_local_destructors_allocate();
    test_c_and_cpp_functions_are_distinct();
    if (failures == 0)
        (void)std::puts("all C++ contracts hold");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
