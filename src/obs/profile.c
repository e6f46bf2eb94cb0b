/* SPDX-License-Identifier: MIT */
#include "obs/profile.h"

#include "heap/sample.h"
#include "heap/sites.h"
#include "os/sys.h"

struct counts {
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t blocks;
    uint64_t bytes;
};

bool profile_is_on(void)
{
    return sample_counts_of(0) != NULL;
}

static struct counts read_counts(uint32_t site)
{
    const struct sample_counts *counts = sample_counts_of(site);
    return (struct counts){
        .live_blocks = atomic_get_relaxed(&counts->live_blocks),
        .live_bytes = atomic_get_relaxed(&counts->live_bytes),
        .bytes = atomic_get_relaxed(&counts->bytes),
        .blocks = atomic_get_acquire(&counts->blocks),
    };
}

static void add_counts(struct text *text, const struct counts *counts)
{
    text_add_number(text, counts->live_blocks);
    text_add(text, ": ");
    text_add_number(text, counts->live_bytes);
    text_add(text, " [");
    text_add_number(text, counts->blocks);
    text_add(text, ": ");
    text_add_number(text, counts->bytes);
    text_add(text, "] @");
}

static void write_head(struct out *out)
{
    struct counts sum = {0, 0, 0, 0};
    for (uint32_t site = 0; site <= sites_count(); site++) {
        struct counts counts = read_counts(site);
        sum.live_blocks += counts.live_blocks;
        sum.live_bytes += counts.live_bytes;
        sum.blocks += counts.blocks;
        sum.bytes += counts.bytes;
    }
    struct text *text = out_line(out);
    text_add(text, "heap profile: ");
    add_counts(text, &sum);
    text_add(text, " heap_v2/");
    text_add_number(text, sample_profile_bytes());
    text_add(text, "\n");
}

/* A stack that is not known is an address that is nowhere. */
static void write_site(struct out *out, uint32_t number)
{
    struct counts counts = read_counts(number);
    struct site site = sites_get(number);
    struct text *text = out_line(out);
    if (counts.blocks == 0)
        return;
    add_counts(text, &counts);
    for (size_t i = 0; i + 1 < site.n; i++) { /* the last is no address */
        text_add(text, " ");
        text_add_address(text, (const void *)site.frames[i]);
    }
    text_add(text, site.n > 0 ? "\n" : " 0x1\n");
}

/* Of the process: what addresses belong to. */
static void write_maps(struct out *out)
{
    char buffer[1024];
    long fd = sys_open_read("/proc/self/maps");
    out_add(out, "\nMAPPED_LIBRARIES:\n");
    if (fd < 0)
        return;
    for (;;) {
        long n = sys_read((int)fd, buffer, sizeof buffer);
        if (n <= 0)
            break;
        out_add_span(out, buffer, (size_t)n);
    }
    (void)sys_close((int)fd);
}

void profile_write(struct out *out)
{
    write_head(out);
    for (uint32_t site = 0; site <= sites_count(); site++)
        write_site(out, site);
    write_maps(out);
}
