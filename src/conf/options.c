/* SPDX-License-Identifier: MIT */
#include "conf/options.h"

#include "base/bits.h"
#include "os/log.h"
#include "os/text.h"

#include <signal.h>
#include <string.h>

struct options options = {
    .cache_bytes = 32 * MIB,
    .cache_thread_bytes = 4 * MIB,
    .cache_class_bytes = 512 * KIB,
    .dirty_bytes = 16 * MIB,
    .dirty_percent = 100,
    .purge_ms = 500,
    .direct_bytes = 32 * MIB,
    .guest_calls = 512,
    .foreign = FOREIGN_FORWARD,
    .guard_handlers = 1,
    .limit_signal = SIGTERM,
    .limit_reserve = 1 * MIB,
    .pressure_percent = 80,
    .pressure_every_ms = 5000,
    .zero_realloc = ZERO_REALLOC_FREE,
    .quarantine_bytes = 256 * KIB,
    .quarantine_large_bytes = 64 * MIB,
    .dump_exit = DUMP_EXIT_ON,
    .dump_what = DUMP_ALL,
    .dump_replace = DUMP_REPLACE_DUMPS,
};

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to */
void option_put(uint64_t *option, uint64_t value)
{
    if (os_fixed_open())
        __atomic_store_n(option, value, __ATOMIC_RELAXED);
}

/* A share is a number of bytes, or of percent: up to PERCENT_MAX. */
enum option_type { OPTION_NUMBER, OPTION_BYTES, OPTION_SHARE, OPTION_CHOICE, OPTION_TEXT };

/* A number that may be given by name. */
struct name {
    const char *name;
    uint64_t number;
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *const *choices; /* NULL-terminated; the value is the index */
    const struct name *names;   /* of numbers, or NULL */
    const char *unit;
    const char *help;
};

static const char *const switch_choices[] = {"off", "on", NULL};
static const char *const huge_choices[] = {"system", "on", "off", NULL};
static const char *const foreign_choices[] = {"forward", "ignore", "abort", NULL};
static const char *const zero_realloc_choices[] = {"free", "alloc", "abort", NULL};
static const char *const check_choices[] = {"0", "1", "2", "3", NULL};
static const char *const check_fill_choices[] = {"junk", "zero", NULL};
static const char *const on_fault_choices[] = {"abort", "report", "trap", NULL};
static const char *const dump_exit_choices[] = {"off", "on", "quick", NULL};
static const char *const dump_what_choices[] = {"summary", "classes", "all", NULL};
static const char *const dump_replace_choices[] = {"off", "on", "dumps", NULL};
static const char *const dump_format_choices[] = {"text", "json", "prom", NULL};

static const char *const limit_action_choices[] = {"refuse", "abort", "signal", "watch", NULL};
static const char *const pressure_choices[] = {"auto", "on", "off", NULL};

static const struct name signal_names[] = {
    {"HUP", SIGHUP}, {"QUIT", SIGQUIT},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM},
    {"URG", SIGURG}, {"WINCH", SIGWINCH}, {"PWR", SIGPWR},   {NULL, 0},
};

#define FIELD(name) #name, .offset = offsetof(struct options, name)

static const struct option table[] = {
    {FIELD(verbose), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "say at start which options are in effect, and later why a dump could not be written"},
    {FIELD(log), .type = OPTION_TEXT, .unit = "a file name; %p process id, %e program",
     .help = "what is reported goes to the end of that file as well"},
    {FIELD(dump), .type = OPTION_TEXT,
     .unit = "stderr or a file name; %p process id, %e program, %n number of the dump",
     .help = "write dumps of the heap there"},
    {FIELD(dump_exit), .type = OPTION_CHOICE, .choices = dump_exit_choices,
     .help = "dump at exit; quick: and at quick_exit"},
    {FIELD(dump_signal), .type = OPTION_NUMBER, .min = 0, .max = 64, .unit = "signal number",
     .names = signal_names, .help = "dump on this signal"},
    {FIELD(dump_every_ms), .type = OPTION_NUMBER, .min = 0, .max = UINT32_MAX,
     .unit = "milliseconds", .help = "dump so often, while the program calls malloc; 0: not"},
    {FIELD(dump_live_bytes), .type = OPTION_BYTES, .min = 0, .max = 1024 * (1024 * GIB),
     .unit = "bytes", .help = "dump once, when so much is live; 0: not"},
    {FIELD(dump_fatal), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "dump when a fault of the program's ends it"},
    {FIELD(dump_pressure), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "dump when memory becomes short, or is no longer"},
    {FIELD(dump_what), .type = OPTION_CHOICE, .choices = dump_what_choices,
     .help = "the totals; classes: and each size class; all: and system calls and fragmentation"},
    {FIELD(dump_format), .type = OPTION_CHOICE, .choices = dump_format_choices,
     .help = "for people, programs, or Prometheus"},
    {FIELD(profile), .type = OPTION_TEXT, .unit = "a file name, as for dump",
     .help = "write heap profiles there, whenever a dump is due"},
    {FIELD(profile_bytes), .type = OPTION_BYTES, .min = 0, .max = 1024 * GIB, .unit = "bytes",
     .help = "one allocation of so many bytes is in the profile; 0: none, or 512K with profile"},
    {FIELD(dump_replace), .type = OPTION_CHOICE, .choices = dump_replace_choices,
     .help = "dump over a file that is there: earlier dumps and empty files; on: any; off: none"},
    {FIELD(dump_pid), .type = OPTION_NUMBER, .min = 0, .max = INT32_MAX, .unit = "process id",
     .help = "only this process dumps, not its children; 0: all do"},
    {FIELD(cache_bytes), .type = OPTION_BYTES, .min = 64 * KIB, .max = 1024 * GIB, .unit = "bytes",
     .help = "free blocks all threads together may keep at hand"},
    {FIELD(cache_thread_bytes), .type = OPTION_BYTES, .min = 64 * KIB, .max = GIB, .unit = "bytes",
     .help = "free blocks a thread may keep at hand, all classes together"},
    {FIELD(cache_class_bytes), .type = OPTION_BYTES, .min = 4 * KIB, .max = 64 * MIB,
     .unit = "bytes", .help = "free blocks of one class a thread may keep at hand"},
    {FIELD(dirty_bytes), .type = OPTION_BYTES, .min = 0, .max = 1024 * GIB, .unit = "bytes",
     .help = "free memory kept from the kernel for quick reuse"},
    {FIELD(dirty_percent), .type = OPTION_NUMBER, .min = 0, .max = 1000, .unit = "percent",
     .help = "and on top so much of what is in use"},
    {FIELD(purge_ms), .type = OPTION_NUMBER, .min = 0, .max = 3600000, .unit = "milliseconds",
     .help = "free memory older than this goes back to the kernel"},
    {FIELD(background), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "a thread of ours sees to that while the program makes no calls"},
    {FIELD(huge), .type = OPTION_CHOICE, .choices = huge_choices,
     .help = "huge pages: what the system does, make them where memory is in dense use, or none"},
    {FIELD(direct_bytes), .type = OPTION_BYTES, .min = MIB, .max = 1024 * GIB, .unit = "bytes",
     .help = "blocks of this size get a mapping of their own if nothing free fits"},
    {FIELD(guest_calls), .type = OPTION_NUMBER, .min = 0, .max = UINT32_MAX - 1, .unit = "calls",
     .help = "a thread shares caches with others before it gets its own"},
    {FIELD(foreign), .type = OPTION_CHOICE, .choices = foreign_choices,
     .help = "what to do with blocks of libc's own allocator"},
    {FIELD(guard_every), .type = OPTION_NUMBER, .min = 0, .max = UINT32_MAX, .unit = "calls",
     .help = "one call of so many gets a block at an inaccessible page; 0: none"},
    {FIELD(zero_realloc), .type = OPTION_CHOICE, .choices = zero_realloc_choices,
     .help = "what realloc of a block to 0 bytes does"},
    {FIELD(deepbind), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "let dlopen bind libraries to libc's malloc where the program asks for it"},
    {FIELD(guard_handlers), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "make malloc safe in the program's signal handlers"},
    {FIELD(check), .type = OPTION_CHOICE, .choices = check_choices,
     .help = "find misuse: each free; 2: and writes past the end or after free; 3: all there is"},
    {FIELD(check_fill), .type = OPTION_CHOICE, .choices = check_fill_choices,
     .help = "what freed blocks are filled with, from check=2 on"},
    {FIELD(quarantine_bytes), .type = OPTION_BYTES, .min = 0, .max = GIB, .unit = "bytes",
     .help = "freed blocks a thread holds back, from check=2 on"},
    {FIELD(quarantine_large_bytes), .type = OPTION_BYTES, .min = 0, .max = 1024 * GIB,
     .unit = "bytes", .help = "the same of large blocks, their addresses only, from check=3 on"},
    {FIELD(track), .type = OPTION_CHOICE, .choices = switch_choices,
     .help = "note who allocated each block, and say at exit what is live; checks frees, too"},
    {FIELD(on_fault), .type = OPTION_CHOICE, .choices = on_fault_choices,
     .help = "what misuse is answered with; trap: report, and SIGTRAP for a debugger"},
    {FIELD(limit), .type = OPTION_SHARE, .min = MIB, .max = 1024 * (1024 * GIB), .unit = "bytes",
     .help = "memory that is used at most; in percent, of what the cgroup or the machine has"},
    {FIELD(limit_action), .type = OPTION_CHOICE, .choices = limit_action_choices,
     .help = "at the limit: NULL; end the program; a signal, then NULL; nothing but reports"},
    {FIELD(limit_signal), .type = OPTION_NUMBER, .min = 1, .max = 64, .unit = "signal number",
     .names = signal_names, .help = "that signal, once until memory is no longer short"},
    {FIELD(limit_reserve), .type = OPTION_BYTES, .min = 0, .max = GIB, .unit = "bytes",
     .help = "the last of the limit, for small blocks once something was refused"},
    {FIELD(pressure), .type = OPTION_CHOICE, .choices = pressure_choices,
     .help = "watch limits and the kernel; auto: if there is a limit, systemd or the program asks"},
    {FIELD(pressure_percent), .type = OPTION_NUMBER, .min = 10, .max = 99, .unit = "percent",
     .help = "of the limit in use: memory is short"},
    {FIELD(pressure_every_ms), .type = OPTION_NUMBER, .min = 0, .max = 3600000,
     .unit = "milliseconds", .help = "clean-ups for want of memory are at least so far apart"},
};

static uint64_t *number_field(const struct option *option)
{
    return (uint64_t *)(void *)((char *)&options + option->offset);
}

static char *text_field(const struct option *option)
{
    return (char *)&options + option->offset;
}

/* A stretch of the configuration string. */
struct part {
    const char *at;
    size_t n;
};

static bool part_is(struct part part, const char *word)
{
    return strlen(word) == part.n && memcmp(part.at, word, part.n) == 0;
}

static const struct option *option_find(struct part key)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (part_is(key, table[i].name))
            return &table[i];
    }
    return NULL;
}

/* The power of 1024 that a suffix stands for: "", K, M, G, with or without a trailing B or iB. */
static bool suffix_shift(struct part suffix, unsigned *shift)
{
    static const char letters[] = "KMG";
    *shift = 0;
    if (suffix.n == 0)
        return true;
    const char *found = memchr(letters, suffix.at[0] & ~0x20, sizeof letters - 1);
    if (found == NULL)
        return false;
    *shift = 10 * (unsigned)(found - letters + 1);
    struct part rest = {suffix.at + 1, suffix.n - 1};
    return rest.n == 0 || part_is(rest, "B") || part_is(rest, "iB");
}

static bool parse_number(struct part value, uint64_t *number, struct part *rest)
{
    size_t i = 0;
    uint64_t n = 0;
    for (; i < value.n && value.at[i] >= '0' && value.at[i] <= '9'; i++) {
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(value.at[i] - '0'), &n))
            return false;
    }
    *number = n;
    *rest = (struct part){value.at + i, value.n - i};
    return i > 0;
}

static bool set_percent(const struct option *option, uint64_t n)
{
    if (n < 1 || n > PERCENT_MAX)
        return false;
    *number_field(option) = n;
    return true;
}

static bool set_number(const struct option *option, struct part value)
{
    uint64_t n;
    struct part suffix;
    unsigned shift = 0;
    for (const struct name *name = option->names; name != NULL && name->name != NULL; name++) {
        if (part_is(value, name->name)) {
            *number_field(option) = name->number;
            return true;
        }
    }
    if (!parse_number(value, &n, &suffix))
        return false;
    if (option->type == OPTION_SHARE && part_is(suffix, "%"))
        return set_percent(option, n);
    if (option->type != OPTION_NUMBER ? !suffix_shift(suffix, &shift) : suffix.n != 0)
        return false;
    if (n > UINT64_MAX >> shift || n << shift < option->min || n << shift > option->max)
        return false;
    *number_field(option) = n << shift;
    return true;
}

/* Switches may be given as numbers, too. */
static struct part switch_name(struct part value)
{
    if (part_is(value, "0"))
        return (struct part){"off", 3};
    return part_is(value, "1") ? (struct part){"on", 2} : value;
}

static bool set_choice(const struct option *option, struct part value)
{
    if (option->choices == switch_choices)
        value = switch_name(value);
    for (uint64_t i = 0; option->choices[i] != NULL; i++) {
        if (part_is(value, option->choices[i])) {
            *number_field(option) = i;
            return true;
        }
    }
    return false;
}

static bool set_text(const struct option *option, struct part value)
{
    if (value.n >= OPTION_TEXT_MAX)
        return false;
    memcpy(text_field(option), value.at, value.n);
    text_field(option)[value.n] = '\0';
    return true;
}

static bool option_set(const struct option *option, struct part value)
{
    switch (option->type) {
    case OPTION_CHOICE:
        return set_choice(option, value);
    case OPTION_TEXT:
        return set_text(option, value);
    case OPTION_NUMBER:
    case OPTION_BYTES:
    case OPTION_SHARE:
        break;
    }
    return set_number(option, value);
}

static void warn_about(const char *what, struct part item)
{
    char word[64];
    struct text text;
    text_init(&text, word, sizeof word - 1);
    text_add_span(&text, item.at, item.n);
    *text.at = '\0';
    log_warn("POOLALLOC_CONF: ", what, word);
}

static void parse_item(struct part item)
{
    const char *equals = memchr(item.at, '=', item.n);
    size_t key_bytes = equals != NULL ? (size_t)(equals - item.at) : item.n;
    const struct option *option = option_find((struct part){item.at, key_bytes});
    if (option == NULL) {
        warn_about("unknown option, ignored: ", item);
        return;
    }
    struct part value = {item.at + item.n, 0};
    if (equals != NULL)
        value = (struct part){equals + 1, item.n - key_bytes - 1};
    if (equals == NULL || !option_set(option, value))
        warn_about("bad value, ignored: ", item);
}

/* Not strcspn: a program with the thread sanitizer has one of its own, which does not work before
 * its constructors, and ours comes first. */
static size_t item_length(const char *conf)
{
    size_t n = 0;
    while (conf[n] != ',' && conf[n] != '\0')
        n++;
    return n;
}

void options_parse(const char *conf)
{
    bool help = false;
    while (conf != NULL && *conf != '\0') {
        struct part item = {conf, item_length(conf)};
        if (part_is(item, "help"))
            help = true;
        else if (item.n > 0)
            parse_item(item);
        conf += item.n + (conf[item.n] == ',');
    }
    if (help || options.verbose)
        options_print_help();
}

static void add_value(struct text *text, const struct option *option)
{
    switch (option->type) {
    case OPTION_CHOICE:
        text_add(text, option->choices[*number_field(option)]);
        break;
    case OPTION_TEXT:
        text_add(text, text_field(option)[0] != '\0' ? text_field(option) : "(none)");
        break;
    case OPTION_NUMBER:
    case OPTION_BYTES:
    case OPTION_SHARE:
        text_add_number(text, *number_field(option));
        if (option->type == OPTION_SHARE && *number_field(option) - 1 < PERCENT_MAX)
            text_add(text, "%");
        break;
    }
}

static void add_range(struct text *text, const struct option *option)
{
    switch (option->type) {
    case OPTION_CHOICE:
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            text_add(text, i == 0 ? "" : "|");
            text_add(text, option->choices[i]);
        }
        break;
    case OPTION_TEXT:
        text_add(text, option->unit);
        break;
    case OPTION_NUMBER:
    case OPTION_BYTES:
    case OPTION_SHARE:
        text_add_number(text, option->min);
        text_add(text, " to ");
        text_add_number(text, option->max);
        text_add(text, " ");
        text_add(text, option->unit);
        if (option->type == OPTION_SHARE)
            text_add(text, ", or 1% to 100%");
        for (const struct name *name = option->names; name != NULL && name->name != NULL; name++) {
            text_add(text, ", ");
            text_add(text, name->name);
        }
        break;
    }
}

void options_print_help(void)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char line[512];
        struct text text;
        text_init(&text, line, sizeof line);
        text_add(&text, "poolalloc: ");
        text_add_padded(&text, table[i].name, -23);
        text_add(&text, "= ");
        add_value(&text, &table[i]);
        text_add(&text, "  (");
        add_range(&text, &table[i]);
        text_add(&text, "): ");
        text_add(&text, table[i].help);
        text_add(&text, "\n");
        log_text(&text);
    }
}
