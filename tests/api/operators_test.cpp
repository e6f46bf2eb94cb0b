// SPDX-License-Identifier: MIT
// operator new and delete in all their forms, the new-handler's loop, and containers on top of
// them. Operators are called by name: a new-expression may be left out by the compiler.
#include "rules.h"

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
    rules::check(block != nullptr, "block is not null", line);
    rules::check(is_aligned(block, alignment), "block is aligned", line);
    if (block != nullptr)
        std::memset(block, 0x5a, bytes);
}

#define CHECK_BLOCK(block, bytes, alignment) check_and_dirty(block, bytes, alignment, __LINE__)

void plain_operators_make_blocks()
{
    for (std::size_t bytes : {0, 1, 16, 100, 5000, 40000, 3000000}) {
        void *one = ::operator new(bytes);
        void *other = ::operator new(bytes);
        CHECK_BLOCK(one, bytes, 1);
        CHECK_BLOCK(other, bytes, 1);
        ::operator delete(one);
        ::operator delete(other, bytes);
        one = ::operator new[](bytes);
        other = ::operator new[](bytes);
        CHECK_BLOCK(one, bytes, 1);
        CHECK_BLOCK(other, bytes, 1);
        ::operator delete[](one);
        ::operator delete[](other, bytes);
    }
}

void delete_of_null_does_nothing()
{
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, 8);
    ::operator delete[](nullptr, 8);
    ::operator delete(nullptr, std::nothrow);
    ::operator delete[](nullptr, std::nothrow);
    ::operator delete (nullptr, std::align_val_t{64});
    ::operator delete[](nullptr, std::align_val_t{64});
    ::operator delete (nullptr, 8, std::align_val_t{64});
    ::operator delete[](nullptr, 8, std::align_val_t{64});
    ::operator delete (nullptr, std::align_val_t{64}, std::nothrow);
    ::operator delete[](nullptr, std::align_val_t{64}, std::nothrow);
}

void nothrow_operators_make_blocks()
{
    for (std::size_t bytes : {0, 1, 16, 100, 5000, 40000, 3000000}) {
        void *one = ::operator new(bytes, std::nothrow);
        void *many = ::operator new[](bytes, std::nothrow);
        CHECK_BLOCK(one, bytes, 1);
        CHECK_BLOCK(many, bytes, 1);
        ::operator delete(one, std::nothrow);
        ::operator delete[](many, std::nothrow);
    }
}

void aligned_operators_make_aligned_blocks()
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
void alignments_that_are_none_are_refused()
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

std::size_t resident_bytes()
{
    unsigned long n_pages = 0;
    std::FILE *file = std::fopen("/proc/self/statm", "re");
    CHECK(file != nullptr && std::fscanf(file, "%*u %lu", &n_pages) == 1);
    (void)std::fclose(file);
    return n_pages * 4096;
}

// Lost blocks would make up 128 MiB each time.
void every_delete_frees()
{
    const std::size_t much = std::size_t{128} << 20;
    for (const auto &pair : pairs) {
        for (std::size_t bytes : {1000, 40000, 3000000}) {
            const std::size_t before = resident_bytes();
            for (std::size_t taken = 0; taken < much; taken += bytes) {
                void *block = pair.take(bytes);
                for (std::size_t at = 0; at < bytes; at += 1000)
                    static_cast<char *>(block)[at] = 1;
                pair.give(block, bytes);
            }
            CHECK(resident_bytes() < before + much / 2);
        }
    }
}

// delete must leave errno alone as free does: destructors run between a call and its error check.
void delete_preserves_errno()
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

void failing_new_throws_bad_alloc()
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

// Rounded up to the alignment such a size is none.
void aligned_new_of_too_much_does_not_wrap_around()
{
    for (std::size_t less : {0, 1, 100, 255}) {
        const std::size_t bytes = opaque(SIZE_MAX - less);
        CHECK(throws_bad_alloc([&] { return ::operator new(bytes, wide); }));
        CHECK(throws_bad_alloc([&] { return ::operator new[](bytes, wide); }));
        CHECK(::operator new(bytes, wide, std::nothrow) == nullptr);
        CHECK(::operator new[](bytes, wide, std::nothrow) == nullptr);
    }
}

void failing_new_calls_the_handler_until_it_gives_up()
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

void the_handler_may_throw_out_of_new()
{
    for (const auto &allocate : throwing) {
        bool caught = false;
        use_handler(lose_patience);
        try {
            CHECK(allocate() == nullptr);
        } catch (const out_of_patience &) {
            caught = true;
        } catch (const std::bad_alloc &) {
            CHECK(!"another exception comes out");
        }
        CHECK(caught);
        CHECK(handler_calls == 1);
    }
    use_handler(nullptr);
}

void failing_nothrow_new_returns_null()
{
    use_handler(nullptr);
    for (const auto &allocate : not_throwing)
        CHECK(allocate() == nullptr);
}

void failing_nothrow_new_calls_the_handler()
{
    for (const auto &allocate : not_throwing) {
        use_handler(give_up_after_three);
        CHECK(allocate() == nullptr);
        CHECK(handler_calls == 3);
    }
    use_handler(nullptr);
}

void nothrow_new_keeps_what_the_handler_throws()
{
    for (const auto &allocate : not_throwing) {
        use_handler(lose_patience);
        CHECK(allocate() == nullptr);
        CHECK(handler_calls == 1);
    }
    use_handler(nullptr);
}

void containers_report_exhaustion()
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

void containers_work()
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

void over_aligned_types_are_aligned()
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

void thread_local_destructors_may_allocate()
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

const char *const operator_names[] = {
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

// Tools that pair new with delete and malloc with free tell them apart by address.
void c_and_cpp_functions_are_distinct()
{
    static const char *const c_names[] = {"malloc",        "free",           "calloc",  "realloc",
                                          "aligned_alloc", "posix_memalign", "memalign"};
    for (const char *c_name : c_names) {
        void *c_address = dlsym(RTLD_DEFAULT, c_name);
        CHECK(c_address != nullptr);
        for (const char *cpp_name : operator_names)
            CHECK(dlsym(RTLD_DEFAULT, cpp_name) != c_address);
    }
    CHECK(dlsym(RTLD_DEFAULT, "_Znwm") != dlsym(RTLD_DEFAULT, "_ZdlPv"));
}

// The file of the library that defines a name, as the program finds it.
std::string library_of(const char *name)
{
    Dl_info info = {};
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == nullptr || dladdr(address, &info) == 0 || info.dli_fname == nullptr)
        return "";
    return info.dli_fname;
}

// All the allocator's, or all the runtime's, which calls the allocator: never some of each.
void operators_come_from_one_library()
{
    const std::string library = library_of("_Znwm");
    CHECK(!library.empty());
    for (const char *name : operator_names)
        CHECK(library_of(name) == library);
}

// The runtime's own functions and what it keeps for them, such as the handlers, are its alone.
void the_runtime_keeps_its_internals()
{
    static const char *const names[] = {
        "_ZSt15get_new_handlerv",   "_ZSt15set_new_handlerPFvvE",
        "_ZSt17__throw_bad_allocv", "_ZSt13set_terminatePFvvE",
        "_ZSt9terminatev",
    };
    const std::string runtime = library_of("__cxa_throw");
    for (const char *name : names)
        CHECK(library_of(name) == runtime);
}

void zero_bytes_are_unique_blocks()
{
    const std::function<void *()> takes[] = {
        [] { return ::operator new(opaque(0)); },
        [] { return ::operator new[](opaque(0)); },
        [] { return ::operator new(opaque(0), std::nothrow); },
        [] { return ::operator new[](opaque(0), std::nothrow); },
    };
    for (const auto &take : takes) {
        void *one = take();
        void *other = take();
        CHECK(one != nullptr && other != nullptr && one != other);
        ::operator delete(one);
        ::operator delete(other);
    }
}

void every_size_is_aligned_to_16()
{
    std::vector<void *> blocks;
    for (std::size_t bytes = 0; bytes < 200; bytes++) {
        blocks.push_back(::operator new(opaque(bytes)));
        blocks.push_back(::operator new(opaque(bytes), std::nothrow));
    }
    for (void *block : blocks) {
        CHECK(is_aligned(block, 16));
        ::operator delete(block);
    }
}

// What a size of 0 says of an aligned block is not what it was made of. A library that takes it
// for the class would put the block among others.
void sized_delete_of_empty_aligned_blocks_keeps_blocks_apart()
{
    struct filled {
        unsigned char *at;
        std::size_t bytes;
        int value;
    };
    const std::size_t n_rounds = 200;
    for (std::size_t alignment = 32; alignment <= 65536; alignment *= 2) {
        const std::align_val_t align{alignment};
        std::vector<void *> empty;
        for (std::size_t i = 0; i < n_rounds; i++)
            empty.push_back(::operator new(opaque(0), align));
        for (void *block : empty)
            ::operator delete(block, opaque(0), align);
        std::vector<filled> blocks;
        for (std::size_t i = 0; i < n_rounds; i++) {
            for (std::size_t bytes : {1, 16, 64, 4096}) {
                auto *at = static_cast<unsigned char *>(::operator new(bytes));
                const int value = static_cast<int>(blocks.size() % 255);
                std::memset(at, value, bytes);
                blocks.push_back({at, bytes, value});
            }
        }
        bool whole = true;
        for (const filled &block : blocks) {
            for (std::size_t i = 0; i < block.bytes; i++)
                whole = whole && block.at[i] == block.value;
            ::operator delete(block.at);
        }
        CHECK(whole);
    }
}

// Wrong, but common, and right under glibc. Through volatile: the compiler would warn.
void malloc_and_new_may_be_mixed()
{
    for (std::size_t bytes : {1, 100, 5000, 40000, 3000000}) {
        void *volatile block = ::operator new(bytes);
        std::free(block);
        block = ::operator new[](bytes);
        std::free(block);
        block = std::malloc(bytes);
        ::operator delete(block);
        block = std::malloc(bytes);
        ::operator delete(block, bytes);
        block = ::operator new[](bytes);
        ::operator delete(block);
        block = std::aligned_alloc(64, bytes);
        ::operator delete (block, std::align_val_t{64});
    }
}

} // namespace

int main(int argc, char **argv)
{
    static const rules::rule all[] = {
        RULE(plain_operators_make_blocks),
        RULE(nothrow_operators_make_blocks),
        RULE(aligned_operators_make_aligned_blocks),
        RULE(over_aligned_types_are_aligned),
        RULE(every_size_is_aligned_to_16),
        RULE(zero_bytes_are_unique_blocks),
        RULE(alignments_that_are_none_are_refused),
        RULE(every_delete_frees),
        RULE(delete_of_null_does_nothing),
        RULE(delete_preserves_errno),
        RULE(sized_delete_of_empty_aligned_blocks_keeps_blocks_apart),
        RULE(malloc_and_new_may_be_mixed),
        RULE(failing_new_throws_bad_alloc),
        RULE(aligned_new_of_too_much_does_not_wrap_around),
        RULE(failing_new_calls_the_handler_until_it_gives_up),
        RULE(the_handler_may_throw_out_of_new),
        RULE(failing_nothrow_new_returns_null),
        RULE(failing_nothrow_new_calls_the_handler),
        RULE(nothrow_new_keeps_what_the_handler_throws),
        RULE(containers_report_exhaustion),
        RULE(containers_work),
        RULE(thread_local_destructors_may_allocate),
        RULE(c_and_cpp_functions_are_distinct),
        RULE(operators_come_from_one_library),
        RULE(the_runtime_keeps_its_internals),
    };
    return rules::check_rules(all, argc, argv);
}
