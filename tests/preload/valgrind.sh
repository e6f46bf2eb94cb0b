#!/bin/sh
# SPDX-License-Identifier: MIT
# valgrind takes our functions' place, all of them or none: no mismatched free, no error, no leak.
. "$(dirname "$0")/lib.sh"
need valgrind g++

cat >"$scratch/work.cpp" <<'END'
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <map>
#include <string>
#include <thread>
#include <vector>
struct alignas(64) Wide { char bytes[192]; };
static void work(int seed)
{
    std::map<std::string, std::vector<int>> words;
    for (int i = 0; i < 500; i++)
        words["word number " + std::to_string(i * seed % 101)].push_back(i);
    for (int i = 1; i < 100; i++) {
        char *a = new char[i], *b = static_cast<char *>(malloc(i));
        int *c = new int, *d = new (std::nothrow) int[i];
        Wide *e = new Wide, *f = new Wide[3];
        void *g = nullptr, *h = aligned_alloc(64, 128), *k = calloc(i, 3);
        if (posix_memalign(&g, 128, i) != 0)
            abort();
        b = static_cast<char *>(realloc(b, i * 10));
        memset(b, 1, i * 10);
        delete[] a;
        free(b);
        delete c;
        delete[] d;
        delete e;
        delete[] f;
        free(g);
        free(h);
        free(k);
        free(strdup("text"));
    }
}
int main()
{
    std::thread first(work, 3), second(work, 5);
    work(7);
    first.join();
    second.join();
    puts("done");
}
END
g++ -std=c++17 -g -O0 -pthread -o "$scratch/program" "$scratch/work.cpp"
preloaded valgrind -q cat /proc/self/maps >"$scratch/maps"
grep -qF "$library" "$scratch/maps" || fail "the library is not mapped into the program"
same_output valgrind -q --error-exitcode=9 "$scratch/program"
preloaded valgrind --leak-check=full --show-mismatched-frees=yes --error-exitcode=9 \
    "$scratch/program" >"$scratch/report" 2>&1 || fail "status $?: $(tail -n 30 "$scratch/report")"
grep -q 'ERROR SUMMARY: 0 errors' "$scratch/report" || fail "$(tail -n 30 "$scratch/report")"
grep -q 'All heap blocks were freed' "$scratch/report" || fail "$(tail -n 30 "$scratch/report")"
# A mismatch that is one it still reports.
echo 'int main(void) { __builtin_free(new int); }' >"$scratch/wrong.cpp"
g++ -w -g -O0 -o "$scratch/wrong" "$scratch/wrong.cpp"
preloaded valgrind "$scratch/wrong" >"$scratch/report" 2>&1 || fail "status $?: a mismatched free"
grep -q 'Mismatched free' "$scratch/report" || fail "no mismatch reported: $(cat "$scratch/report")"
