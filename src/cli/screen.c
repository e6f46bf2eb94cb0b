/* SPDX-License-Identifier: MIT */
#include "cli/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { COLUMNS = 80, COLUMNS_MIN = 80, COLUMNS_MAX = 140 };

static int at_least(int n, int least)
{
    return n < least ? least : n;
}

static void look_at_size(struct screen *screen)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return;
    screen->columns = at_least(size.ws_col, COLUMNS_MIN);
    if (screen->columns > COLUMNS_MAX)
        screen->columns = COLUMNS_MAX;
    screen->rows = size.ws_row;
    screen->width = size.ws_col;
}

void screen_look(struct screen *screen)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    (void)setlocale(LC_CTYPE, "");
    *screen = (struct screen){.columns = COLUMNS};
    screen->is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (!isatty(STDOUT_FILENO))
        return;
    look_at_size(screen);
    screen->is_terminal = (no_color == NULL || *no_color == '\0') && terminal != NULL &&
                          strcmp(terminal, "dumb") != 0;
}

void add_heading(struct bytes *out, const struct screen *screen, const char *text)
{
    if (screen->is_terminal)
        bytes_printf(out, "\033[1m%s\033[0m\n", text);
    else
        bytes_printf(out, "%s\n", text);
}

/* Eighths of a column, rounded; what is there at all shows. */
static int eighths_of(uint64_t part, uint64_t whole, int width)
{
    if (part == 0 || whole == 0)
        return 0;
    double share = part < whole ? (double)part / (double)whole : 1;
    return at_least((int)(share * width * 8 + 0.5), 1);
}

void add_bar(struct bytes *out, const struct screen *screen, uint64_t part, uint64_t whole,
             int width)
{
    static const char *const blocks[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int eighths = eighths_of(part, whole, width);
    int column = 0;
    if (screen->is_terminal)
        bytes_add_text(out, "\033[36m");
    for (; column < eighths / 8; column++)
        bytes_add_text(out, screen->is_utf8 ? "█" : "#");
    if (eighths % 8 != 0) {
        bytes_add_text(out, screen->is_utf8 ? blocks[eighths % 8] : eighths < 8 ? "#" : ".");
        column++;
    }
    if (screen->is_terminal)
        bytes_add_text(out, "\033[0m");
    for (; column < width; column++)
        bytes_add_text(out, " ");
}

/* ---- characters ---- */

/* The bytes of a character of UTF-8; of what is none, 1. */
static size_t character_bytes(const char *at, wchar_t *character)
{
    static const struct {
        unsigned char mask;
        unsigned char mark;
    } kinds[] = {{0x80, 0}, {0xe0, 0xc0}, {0xf0, 0xe0}, {0xf8, 0xf0}};
    unsigned char first = (unsigned char)*at;
    size_t n = 0;
    while (n < 4 && (first & kinds[n].mask) != kinds[n].mark)
        n++;
    *character = n < 4 ? first & ~kinds[n].mask : first;
    for (size_t i = 1; n < 4 && i <= n; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 1;
        *character = *character << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return n < 4 ? n + 1 : 1;
}

/* Of a colour or the like, "ESC [ ... letter"; 0: here is none. */
static size_t escape_bytes(const char *at)
{
    if (at[0] != '\033' || at[1] != '[')
        return 0;
    size_t n = 2 + strspn(at + 2, "0123456789;");
    return at[n] != '\0' ? n + 1 : n;
}

/* The columns that a character takes, and its bytes. */
static int character_width(const char *at, size_t *n)
{
    wchar_t character;
    *n = escape_bytes(at);
    if (*n > 0)
        return 0;
    *n = character_bytes(at, &character);
    int width = wcwidth(character);
    return width < 0 ? 1 : width;
}

void add_fitted(struct bytes *out, const char *name, int width)
{
    int column = 0;
    size_t n;
    for (const char *at = name; *at != '\0'; at += n) {
        int more = character_width(at, &n);
        if (column + more > width)
            break;
        bytes_add(out, at, n);
        column += more;
    }
    for (; column < width; column++)
        bytes_add_text(out, " ");
}

void add_cut(struct bytes *out, const struct screen *screen, const char *text)
{
    int column = 0;
    int row = 1;
    size_t n;
    for (; *text != '\0' && (screen->rows == 0 || row < screen->rows); text += n) {
        column += character_width(text, &n);
        if (*text == '\n') {
            column = 0;
            row++;
        }
        if (screen->width == 0 || column <= screen->width || *text == '\033')
            bytes_add(out, text, n);
    }
}

void end_line(struct bytes *out)
{
    while (out->n > 0 && out->at[out->n - 1] == ' ')
        out->n--;
    bytes_add_text(out, "\n");
}
