/* What stdout and stderr look like: tables, facts, the live line, errors. On anything but a terminal: plain lines, no
 * control characters. Foreign texts reach the terminal without theirs. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

static struct {
    const char *program;
    bool is_terminal, has_colors, has_error_colors, has_utf8, is_silent;
    int columns;
} screen = {.program = "strata", .columns = 80};

static bool wants_color(const char *color, int fd, const char *terminal) {
    if (strcmp(color, "auto") != 0) {
        return strcmp(color, "always") == 0;
    }
    const char *no_color = getenv("NO_COLOR");
    return isatty(fd) && strcmp(terminal, "dumb") != 0 && (no_color == NULL || no_color[0] == '\0');
}

void terminal_begin(const char *program, const char *color) {
    const char *terminal = getenv("TERM") != NULL ? getenv("TERM") : "dumb";
    screen.program = strchr(program, '/') != NULL ? program : "strata";
    setlocale(LC_CTYPE, "");
    screen.has_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    screen.is_terminal = isatty(STDOUT_FILENO) && strcmp(terminal, "dumb") != 0;
    screen.has_colors = wants_color(color, STDOUT_FILENO, terminal);
    screen.has_error_colors = wants_color(color, STDERR_FILENO, terminal);
    struct winsize size;
    if (screen.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        screen.columns = size.ws_col;
    }
}

void terminal_mode(bool is_json, bool is_quiet) {
    screen.is_silent = is_json || is_quiet;
}

const char *program_name(void) {
    return screen.program;
}

bool terminal_is_live(void) {
    return screen.is_terminal && !screen.is_silent;
}

void print_bold(FILE *to, const char *s) {
    fprintf(to, screen.has_colors && to == stdout ? "\033[1m%s\033[0m" : "%s", s);
}

void print_heading(const char *s) {
    if (!screen.is_silent) {
        print_bold(stdout, s);
        putchar('\n');
    }
}

/* ---- facts, notes ----------------------------------------------------------------------------------------------- */

void print_fact(const char *name, const char *format, ...) {
    if (screen.is_silent) {
        return;
    }
    enum { INDENT = 9, RIGHT = 80 };
    text whole = {0};
    va_list list;
    va_start(list, format);
    text_add_list(&whole, format, list);
    va_end(list);
    print_bold(stdout, name);
    printf("%*s", (int)(INDENT - strlen(name)), "");
    size_t column = INDENT;
    for (char *word = strtok(whole.bytes, " "); word != NULL; word = strtok(NULL, " ")) {
        size_t width = text_width(word);
        if (column > INDENT && column + 1 + width > RIGHT) {
            printf("\n%*s", INDENT, "");
            column = INDENT;
        }
        printf(column > INDENT ? " %s" : "%s", word);
        column += width + (column > INDENT ? 1 : 0);
    }
    putchar('\n');
    text_free(&whole);
}

void print_note(const char *format, ...) {
    if (screen.is_silent) {
        return;
    }
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
}

void print_next(const char *const *commands, const char *const *reasons, size_t count) {
    if (screen.is_silent) {
        return;
    }
    size_t widest = 0;
    for (size_t i = 0; i < count; i++) {
        widest = text_width(commands[i]) > widest ? text_width(commands[i]) : widest;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s%s %s", i == 0 ? "next:  " : "       ", screen.program, commands[i]);
        if (reasons[i] != NULL) {
            printf("%*s   %s", (int)(widest - text_width(commands[i])), "", reasons[i]);
        }
        putchar('\n');
    }
}

void text_add_bar(text *out, double share, int columns, bool show_rest) {
    double eighths = (share < 0 ? 0 : share > 1 ? 1 : share) * columns * 8;
    int whole = (int)(eighths + 4) / 8;
    for (int i = 0; i < columns; i++) {
        if (i < whole) {
            text_add(out, "%s", screen.has_utf8 ? "\xE2\x96\x88" : "#");
        } else if (show_rest) {
            text_add(out, "%s", screen.has_utf8 ? "\xE2\x96\x91" : "-");
        }
    }
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

/* Foreign bytes without their control characters; a bad tab stays one column wide, so that carets stand. */
static void print_error_text(const char *s) {
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        fputc(c == '\n' || (c >= 0x20 && c != 0x7F) ? c : c == '\t' ? ' ' : '?', stderr);
    }
}

static void print_error_start(const char *where) {
    fflush(stdout);
    fputs(screen.has_error_colors ? "\033[1;31m" : "", stderr);
    print_error_text(where);
    fputs(screen.has_error_colors ? ":\033[0m " : ": ", stderr);
}

static void print_caret(const char *source, int column) {
    size_t bytes = strlen(source), before = (size_t)column - 1;
    if (before > bytes) {
        return;
    }
    fputs("      ", stderr);
    for (size_t i = 0; i < before; i++) {
        if (((unsigned char)source[i] & 0xC0) != 0x80) {
            fputc(' ', stderr);
        }
    }
    fputs(screen.has_error_colors ? "\033[1;31m^\033[0m\n" : "^\n", stderr);
}

int report(const strata_error *err) {
    text where = {0};
    text_add(&where, "%s", err->file[0] != '\0' ? err->file : "strata");
    if (err->file[0] != '\0' && err->line > 0) {
        text_add(&where, err->column > 0 ? ":%d:%d" : ":%d", err->line, err->column);
    }
    print_error_start(where.bytes);
    text_free(&where);
    print_error_text(err->message[0] != '\0' ? err->message : strata_status_name(err->status));
    fputc('\n', stderr);
    if (err->source[0] != '\0') {
        fputs("    | ", stderr);
        print_error_text(err->source);
        fputc('\n', stderr);
        if (err->column > 0) {
            print_caret(err->source, err->column);
        }
    }
    if (err->hint[0] != '\0') {
        hint("%s", err->hint);
    }
    return FAILED;
}

static void print_error(const char *format, va_list list) {
    text message = {0};
    text_add_list(&message, format, list);
    print_error_start("strata");
    print_error_text(message.bytes);
    fputc('\n', stderr);
    text_free(&message);
}

int fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_error(format, list);
    va_end(list);
    return FAILED;
}

int refuse(const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_error(format, list);
    va_end(list);
    return MISUSED;
}

void hint(const char *format, ...) {
    text message = {0};
    va_list list;
    va_start(list, format);
    text_add_list(&message, format, list);
    va_end(list);
    fputs("    hint: ", stderr);
    print_error_text(message.bytes);
    fputc('\n', stderr);
    text_free(&message);
}

static void print_aside(const char *prefix, const char *format, va_list list) {
    text message = {0};
    text_add(&message, "%s", prefix);
    text_add_list(&message, format, list);
    print_error_start("strata");
    print_error_text(message.bytes);
    fputc('\n', stderr);
    text_free(&message);
}

void warn(const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_aside("warning: ", format, list);
    va_end(list);
}

void remark(const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_aside("", format, list);
    va_end(list);
}

bool output_failed(void) {
    static bool was_said;
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return false;
    }
    if (!was_said) {
        int reason = errno;
        was_said = true;
        fprintf(stderr, "strata: cannot write to standard output%s%s\n", reason != 0 ? ": " : "",
                reason != 0 ? strerror(reason) : "");
    }
    return true;
}

int finish_output(int status) {
    return output_failed() && status == DONE ? FAILED : status;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

void table_cell(table *t, const char *format, ...) {
    if (t->cell_count == t->capacity) {
        t->capacity = 2 * t->capacity + 64;
        t->cells = take(t->cells, t->capacity * sizeof *t->cells);
    }
    text cell = {0};
    va_list list;
    va_start(list, format);
    text_add_list(&cell, format, list);
    va_end(list);
    t->cells[t->cell_count++] = cell.bytes;
}

void table_print(table *t, const char *indent, bool has_header) {
    size_t widths[TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->cell_count; i++) {
        size_t width = text_width(t->cells[i]), column = i % t->column_count;
        widths[column] = width > widths[column] ? width : widths[column];
    }
    for (size_t row = 0; row * t->column_count < t->cell_count; row++) {
        text line = {0};
        text_add(&line, "%s", indent);
        size_t used = line.length; /* without the blanks at the end of a line */
        for (size_t column = 0; column < t->column_count; column++) {
            const char *cell = t->cells[row * t->column_count + column];
            int padding = (int)(widths[column] - text_width(cell));
            bool is_right = t->alignment[column] == 'r';
            text_add(&line, "%s%*s%s", column > 0 ? "   " : "", is_right ? padding : 0, "", cell);
            used = cell[0] != '\0' ? line.length : used;
            text_add(&line, "%*s", is_right ? 0 : padding, "");
        }
        line.bytes[used] = '\0';
        if (has_header && row == 0) {
            print_bold(stdout, line.bytes);
            putchar('\n');
        } else {
            puts(line.bytes);
        }
        text_free(&line);
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    t->cells = NULL;
    t->cell_count = t->capacity = 0;
}

/* ---- the live line ---------------------------------------------------------------------------------------------- */

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void live_begin(live *line) {
    *line = (live){.begun = now()};
}

bool live_is_due(const live *line) {
    if (!terminal_is_live()) {
        return false;
    }
    double t = now();
    return t - line->begun > 2 && t - line->shown > 0.1;
}

void live_show(live *line, const char *format, ...) {
    text whole = {0};
    va_list list;
    va_start(list, format);
    text_add_list(&whole, format, list);
    va_end(list);
    /* Cut at the right edge: a line that folds cannot be taken back. */
    size_t at = 0;
    for (int column = 0; at < whole.length; at++) {
        column += ((unsigned char)whole.bytes[at] & 0xC0) != 0x80;
        if (column >= screen.columns) {
            break;
        }
    }
    printf("\r%.*s\033[K", (int)at, whole.bytes);
    fflush(stdout);
    text_free(&whole);
    line->shown = now();
    line->is_drawn = true;
}

void live_clear(live *line) {
    if (line->is_drawn) {
        fputs("\r\033[K", stdout);
        fflush(stdout);
        line->is_drawn = false;
    }
}

bool live_progress(size_t done, size_t count, void *user) {
    live *line = user;
    if (live_is_due(line) && count > 0) {
        double share = (double)done / (double)count, spent = now() - line->begun;
        text bar = {0};
        text_add_bar(&bar, share, 14, true);
        live_show(line, "%s  %.0f%%   %s images/s   %s left", bar.bytes, 100 * share,
                  figure_text((double)done / spent).s, seconds_text(share > 0 ? spent * (1 - share) / share : 1e99).s);
        text_free(&bar);
    }
    return true;
}
