/* What was found of a folder's files the last time, in the user's cache folder: decoding thousands of pictures to see
 * that they are whole need not be done twice. One file for each folder of data, named by the SHA-256 of its path; a
 * line for each picture. Anything unexpected in it, and it is as if it were not there. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"

enum { MOST_CACHE_BYTES = 1 << 30, MOST_FIELD_BYTES = 3 * PATH_MAX };

static bool make_folders(char *path) {
    for (char *at = path + 1;; at++) {
        if (*at == '/' || *at == '\0') {
            char kept = *at;
            *at = '\0';
            bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
            *at = kept;
            if (!is_there) {
                return false;
            }
        }
        if (*at == '\0') {
            return st_data_is_folder(path);
        }
    }
}

bool st_cache_folder(char out[256], const char *kind) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool has_base = base != NULL && base[0] == '/';
    if (!has_base && (home == NULL || home[0] != '/')) {
        return false;
    }
    int length = snprintf(out, 256, "%s%s/strata/%s", has_base ? base : home, has_base ? "" : "/.cache", kind);
    return length > 0 && length < 256 && make_folders(out);
}

/* The first line: another version, or a build that reads other pictures, finds other things. */
static void add_title(st_text *text) {
    st_text_add(text, "strata checks 1, %s, %s JPEG, %s PNG, %s WebP\n", STRATA_VERSION,
                st_decoder_jpeg.lacking == NULL ? "with" : "without",
                st_decoder_png.lacking == NULL ? "with" : "without",
                st_decoder_webp.lacking == NULL ? "with" : "without");
}

static bool find_file(char out[320], const char *folder) {
    char real[PATH_MAX], cache[256], hash[65];
    st_sha256 sha;
    if (realpath(folder, real) == NULL || !st_cache_folder(cache, "checks")) {
        return false;
    }
    st_sha256_begin(&sha);
    st_sha256_add(&sha, real, strlen(real));
    st_sha256_end(&sha, hash);
    int length = snprintf(out, 320, "%s/%.32s", cache, hash);
    return length > 0 && length < 320;
}

/* ---- texts that may hold anything but NUL ---- */

static void add_field(st_text *text, const char *field) {
    for (; *field != '\0'; field++) {
        unsigned char byte = (unsigned char)*field;
        bool is_plain = byte > ' ' && byte != '%' && byte < 0x7F;
        st_text_add(text, is_plain ? "%c" : "%%%02X", byte);
    }
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The field up to a blank or the line's end, into the arena; NULL: it is none, or there is no memory. */
static const char *take_field(const char **at, const char *end, st_arena *arena) {
    char *out = NULL;
    const char *from = *at;
    size_t length = 0;
    while (from < end && *from != ' ' && *from != '\n') {
        from++;
    }
    size_t most = (size_t)(from - *at);
    if (most > MOST_FIELD_BYTES || st_arena_alloc(&out, arena, most + 1, 1, NULL) != STRATA_OK) {
        return NULL;
    }
    for (const char *c = *at; c < from; c++) {
        int high = *c == '%' && from - c > 2 ? hex_digit(c[1]) : -1, low = high >= 0 ? hex_digit(c[2]) : -1;
        if (*c == '%' && (low < 0 || high * 16 + low == 0)) {
            return NULL;
        }
        out[length++] = *c == '%' ? (char)(high * 16 + low) : *c;
        c += *c == '%' ? 2 : 0;
    }
    *at = from < end ? from + 1 : from;
    return out;
}

static bool take_number(int64_t *out, const char **at, const char *end, int64_t least, int64_t most) {
    char digits[24], *stop = NULL;
    size_t length = 0;
    while (*at + length < end && length + 1 < sizeof digits && (*at)[length] != ' ' && (*at)[length] != '\n') {
        digits[length] = (*at)[length];
        length++;
    }
    digits[length] = '\0';
    errno = 0;
    *out = strtoll(digits, &stop, 10);
    *at += length < (size_t)(end - *at) ? length + 1 : length;
    return length > 0 && errno == 0 && *stop == '\0' && *out >= least && *out <= most;
}

/* ---- lines ---- */

enum { IS_GREY = 1, IS_CMYK = 2, HAS_ALPHA = 4, IS_PALETTE = 8, IS_INTERLACED = 16, IS_NONE = 32, ALL_FLAGS = 63 };

static void add_line(st_text *text, const st_check *check) {
    const st_picture_about *about = &check->about;
    int flags = (about->is_grey ? IS_GREY : 0) | (about->is_cmyk ? IS_CMYK : 0) | (about->has_alpha ? HAS_ALPHA : 0) |
                (about->is_palette ? IS_PALETTE : 0) | (about->is_interlaced ? IS_INTERLACED : 0) |
                (check->is_none ? IS_NONE : 0);
    st_text_add(text, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %d %d ", check->size,
                check->seconds, check->nanoseconds, about->shape.height, about->shape.width, about->shape.channels,
                about->orientation, about->bits, flags);
    add_field(text, about->kind != NULL ? about->kind : "-");
    st_text_add(text, " ");
    add_field(text, check->name);
    st_text_add(text, " ");
    add_field(text, check->reason != NULL ? check->reason : "-");
    st_text_add(text, "\n");
}

static bool take_line(st_check *out, const char **at, const char *end, st_arena *arena) {
    int64_t numbers[9];
    static const struct {
        int64_t least, most;
    } bounds[9] = {{0, INT64_MAX},
                   {INT64_MIN, INT64_MAX},
                   {0, 999999999},
                   {0, ST_DATA_MOST_PIXELS},
                   {0, ST_DATA_MOST_PIXELS},
                   {0, ST_DATA_MOST_CHANNELS},
                   {0, 8},
                   {0, 64},
                   {0, ALL_FLAGS}};
    for (size_t i = 0; i < ST_COUNT_OF(numbers); i++) {
        if (!take_number(&numbers[i], at, end, bounds[i].least, bounds[i].most)) {
            return false;
        }
    }
    const char *kind = take_field(at, end, arena), *name = kind != NULL ? take_field(at, end, arena) : NULL;
    const char *reason = name != NULL ? take_field(at, end, arena) : NULL;
    if (reason == NULL) {
        return false;
    }
    int flags = (int)numbers[8];
    *out = (st_check){.name = name,
                      .size = numbers[0],
                      .seconds = numbers[1],
                      .nanoseconds = numbers[2],
                      .about = {.kind = kind,
                                .shape = {numbers[3], numbers[4], numbers[5]},
                                .orientation = (int)numbers[6],
                                .bits = (int)numbers[7],
                                .is_grey = (flags & IS_GREY) != 0,
                                .is_cmyk = (flags & IS_CMYK) != 0,
                                .has_alpha = (flags & HAS_ALPHA) != 0,
                                .is_palette = (flags & IS_PALETTE) != 0,
                                .is_interlaced = (flags & IS_INTERLACED) != 0},
                      .reason = strcmp(reason, "-") == 0 ? NULL : reason,
                      .is_none = (flags & IS_NONE) != 0};
    int64_t area = numbers[3] * numbers[4];
    return out->is_none || out->reason != NULL || (area > 0 && area <= ST_DATA_MOST_PIXELS && numbers[5] > 0);
}

static int compare(const void *a, const void *b) {
    const st_check *one = a, *two = b;
    return strcmp(one->name, two->name);
}

static bool take_all(st_checks *out, const char *text, size_t length, st_arena *arena) {
    const char *at = text, *end = text + length;
    st_text title = {0};
    size_t lines = 0;
    add_title(&title);
    bool is_ours = !title.failed && length >= title.length && memcmp(text, title.bytes, title.length) == 0;
    at += is_ours ? title.length : 0;
    st_text_free(&title);
    for (const char *c = at; is_ours && c < end; c++) {
        lines += *c == '\n';
    }
    if (!is_ours || lines == 0 || end[-1] != '\n' ||
        st_arena_alloc(&out->items, arena, lines, sizeof *out->items, NULL) != STRATA_OK) {
        return false;
    }
    for (; out->count < lines; out->count++) {
        if (!take_line(&out->items[out->count], &at, end, arena)) {
            return false;
        }
    }
    qsort(out->items, out->count, sizeof *out->items, compare);
    return at == end;
}

void st_checks_load(st_checks *out, st_arena *arena, const char *folder) {
    char path[320];
    char *text = NULL;
    size_t length = 0;
    *out = (st_checks){0};
    if (!find_file(path, folder) || st_file_read(&text, &length, arena, path, MOST_CACHE_BYTES, NULL) != STRATA_OK ||
        !take_all(out, text, length, arena)) {
        *out = (st_checks){0};
    }
}

const st_check *st_checks_find(const st_checks *checks, const char *name) {
    st_check wanted = {.name = name};
    return checks->count == 0 ? NULL : bsearch(&wanted, checks->items, checks->count, sizeof wanted, compare);
}

void st_checks_save(const st_check *items, size_t count, const char *folder) {
    char path[320];
    st_text text = {0};
    if (!find_file(path, folder)) {
        return;
    }
    add_title(&text);
    for (size_t i = 0; i < count; i++) {
        if (!items[i].is_unread) {
            add_line(&text, &items[i]);
        }
    }
    if (!text.failed) {
        (void)strata_file_write(path, text.bytes, text.length, NULL);
    }
    st_text_free(&text);
}
