/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void skip(const char *reason)
{
    (void)fprintf(stderr, "skipped: %s\n", reason);
    exit(SKIPPED);
}

size_t argument(int argc, char **argv, int i, size_t otherwise)
{
    return i < argc ? strtoul(argv[i], NULL, 10) : otherwise;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t bits = *state += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return bits ^ bits >> 31;
}

size_t random_below(uint64_t *state, size_t bound)
{
    return (size_t)(random_next(state) % bound);
}

/* "VmRSS:     123 kB", without stdio, which allocates. */
static size_t status_bytes(const char *name)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = strstr(text, name);
    return at != NULL ? strtoul(at + strlen(name), NULL, 10) * KIB : 0;
}

size_t resident_bytes(void)
{
    return status_bytes("\nVmRSS:");
}

size_t resident_peak_bytes(void)
{
    return status_bytes("\nVmHWM:");
}

struct poolalloc_pressure pressure_now(void)
{
    struct poolalloc_pressure pressure;
    check(poolalloc_pressure_get != NULL);
    check(poolalloc_pressure_get(&pressure, sizeof pressure) == sizeof pressure);
    return pressure;
}

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}
