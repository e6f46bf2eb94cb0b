/* SPDX-License-Identifier: MIT */
#include "cli/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

void end_line(struct bytes *out)
{
    while (out->n > 0 && out->at[out->n - 1] == ' ')
        out->n--;
    bytes_add_text(out, "\n");
}
