/* Names for the classes of weights that bring none, and foreign texts cut to a width. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* "n01440764 tench, Tinca tinca": a number of WordNet before the words, as ImageNet's lists have it. */
static bool has_wordnet_number(const char *line) {
    return line[0] == 'n' && strspn(line + 1, "0123456789") == 8 && line[9] == ' ' && line[10] != '\0';
}

void class_names_free(class_names *names) {
    free(names->items);
    free(names->bytes);
    *names = (class_names){0};
}

static void cut_lines(class_names *names, size_t length) {
    size_t capacity = 0;
    for (char *at = names->bytes, *end = names->bytes + length; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        *stop = '\0';
        if (stop > at && stop[-1] == '\r') {
            stop[-1] = '\0';
        }
        if (names->count == capacity) {
            capacity = 2 * capacity + 64;
            names->items = take(names->items, capacity * sizeof *names->items);
        }
        names->items[names->count++] = at;
        at = stop + 1;
    }
    while (names->count > 0 && names->items[names->count - 1][0] == '\0') { /* empty lines at the end */
        names->count--;
    }
}

int class_names_read(class_names *out, const char *path) {
    enum { MOST_BYTES = 16 << 20 };
    strata_error err;
    size_t length = 0;
    *out = (class_names){0};
    if (file_read(&out->bytes, &length, path, MOST_BYTES, &err) != STRATA_OK) {
        return report(&err);
    }
    if (memchr(out->bytes, '\0', length) != NULL) {
        class_names_free(out);
        return fail("%s is no list of names: it holds a NUL byte; expected a name on each line", path);
    }
    cut_lines(out, length);
    bool all_numbered = out->count > 0;
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i][0] == '\0') {
            int status = fail("%s:%zu: an empty line; expected a name on each", path, i + 1);
            class_names_free(out);
            return status;
        }
        all_numbered = all_numbered && has_wordnet_number(out->items[i]);
    }
    for (size_t i = 0; all_numbered && i < out->count; i++) {
        out->items[i] += 10;
    }
    return DONE;
}

int class_names_give(strata_model *model, const char *path) {
    class_names names;
    strata_error err;
    if (path == NULL) {
        return DONE;
    }
    if (strata_model_has_names(model)) {
        return refuse("--classes names the classes of weights without names; these have theirs: %s, ...",
                      safe_text(strata_model_class(model, 0)).s);
    }
    int status = class_names_read(&names, path);
    if (status != DONE) {
        return status;
    }
    if (strata_model_name_classes(model, (const char *const *)names.items, names.count, &err) != STRATA_OK) {
        snprintf(err.file, sizeof err.file, "%s", path);
        status = report(&err);
    }
    class_names_free(&names);
    return status;
}

/* ---- foreign texts in columns ----------------------------------------------------------------------------------- */

static bool is_inside(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

label narrow_text(const char *foreign, size_t columns, bool keep_end) {
    label safe = safe_text(foreign), out = {{0}};
    if (keep_end && strlen(foreign) > 60) { /* safe_text keeps beginnings */
        const char *end = foreign + strlen(foreign) - 57;
        while (is_inside(*end)) {
            end++;
        }
        safe = safe_text(end);
    }
    size_t width = text_width(safe.s), length = strlen(safe.s);
    bool is_cut = width > columns || (keep_end && strlen(foreign) > 60);
    size_t kept = columns > 3 ? columns - 3 : 0;
    if (!is_cut) {
        return safe;
    }
    if (keep_end) {
        size_t at = length;
        for (size_t k = 0; k < kept && at > 0; k++) {
            do {
                at--;
            } while (at > 0 && is_inside(safe.s[at]));
        }
        snprintf(out.s, sizeof out.s, "...%.60s", safe.s + at);
        return out;
    }
    size_t at = 0;
    for (size_t k = 0; k < kept && at < length; k++) {
        do {
            at++;
        } while (at < length && is_inside(safe.s[at]));
    }
    while (at > 0 && (safe.s[at - 1] == ' ' || safe.s[at - 1] == ',')) {
        at--;
    }
    snprintf(out.s, sizeof out.s, "%.*s...", (int)at, safe.s);
    return out;
}
