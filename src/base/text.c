/* Text: growing it, making it fit for a terminal, and finding the name that was meant. UTF-8 throughout (RFC 3629). */
#include "base/base.h"

#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A text is one block of the system: its size in the first 16 bytes, then the bytes. So strata_text_free needs only the
 * pointer that the caller has. */
enum { TEXT_HEAD = 16, TEXT_FIRST = 240 };

static void release_text(char *bytes) {
    if (bytes != NULL) {
        void *block = bytes - TEXT_HEAD;
        size_t size;
        memcpy(&size, block, sizeof size);
        st_sys.release(block, size);
    }
}

/* Room for `more` bytes and a NUL. */
static bool grow(st_text *text, size_t more) {
    size_t need = 0, block_bytes = 0;
    if (text->failed) {
        return false;
    }
    if (!st_size_add(text->length, more, &need) || !st_size_add(need, 1, &need)) {
        text->failed = true;
        return false;
    }
    if (need <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity < TEXT_FIRST ? TEXT_FIRST : text->capacity;
    while (capacity < need) {
        if (!st_size_mul(capacity, 2, &capacity)) {
            capacity = need;
        }
    }
    char *block = st_size_add(capacity, TEXT_HEAD, &block_bytes) ? st_sys.allocate(block_bytes) : NULL;
    if (block == NULL) {
        text->failed = true;
        return false;
    }
    memcpy(block, &block_bytes, sizeof block_bytes);
    if (text->length > 0) {
        memcpy(block + TEXT_HEAD, text->bytes, text->length);
    }
    block[TEXT_HEAD + text->length] = '\0';
    release_text(text->bytes);
    text->bytes = block + TEXT_HEAD;
    text->capacity = capacity;
    return true;
}

void st_text_add_bytes(st_text *text, const char *bytes, size_t length) {
    if (grow(text, length)) {
        if (length > 0) {
            memcpy(text->bytes + text->length, bytes, length);
        }
        text->length += length;
        text->bytes[text->length] = '\0';
    }
}

int st_text_print(char *out, size_t capacity, const char *format, va_list arguments) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    int length = vsnprintf(out, capacity, format, arguments);
    uselocale(before);
    if (plain != (locale_t)0) {
        freelocale(plain);
    }
    return length;
}

void st_text_add_arguments(st_text *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    char few[128];
    int length = st_text_print(few, sizeof few, format, arguments);
    if (length < 0) {
        text->failed = true;
    } else if ((size_t)length < sizeof few) {
        st_text_add_bytes(text, few, (size_t)length);
    } else if (grow(text, (size_t)length)) {
        st_text_print(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void st_text_add(st_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    st_text_add_arguments(text, format, arguments);
    va_end(arguments);
}

void st_text_pad(st_text *text, size_t column) {
    size_t characters = 0;
    for (size_t i = text->length; i > 0 && text->bytes[i - 1] != '\n'; i--) {
        characters += ((unsigned char)text->bytes[i - 1] & 0xC0u) != 0x80u; /* not a continuation byte */
    }
    for (; characters < column && !text->failed; characters++) {
        st_text_add_bytes(text, " ", 1);
    }
}

strata_status st_text_finish(char **out, st_text *text, strata_error *err) {
    *out = NULL;
    st_text_add_bytes(text, "", 0); /* an empty text is a text too */
    if (text->failed) {
        st_text_free(text);
        return st_fail(err, STRATA_MEMORY, "no memory for a text");
    }
    *out = text->bytes;
    *text = (st_text){0};
    return STRATA_OK;
}

void st_text_free(st_text *text) {
    release_text(text->bytes);
    *text = (st_text){0};
}

void strata_text_free(char *text) {
    release_text(text);
}

/* ---- UTF-8 ---- */

/* Length of the well-formed sequence at `bytes`, 0 when there is none. */
static size_t sequence_length(const unsigned char *bytes, size_t left) {
    unsigned char first = bytes[0];
    size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0 || length > left) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0u) != 0x80u) {
            return 0;
        }
    }
    bool overlong = (first == 0xE0 && bytes[1] < 0xA0) || (first == 0xF0 && bytes[1] < 0x90);
    bool beyond = (first == 0xED && bytes[1] > 0x9F) || (first == 0xF4 && bytes[1] > 0x8F); /* surrogates, > 10FFFF */
    return overlong || beyond ? 0 : length;
}

bool st_text_is_utf8(const char *bytes, size_t length) {
    const unsigned char *at = (const unsigned char *)bytes;
    while (length > 0) {
        size_t step = sequence_length(at, length);
        if (step == 0) {
            return false;
        }
        at += step;
        length -= step;
    }
    return true;
}

void st_text_printable(char *out, size_t capacity, const char *bytes, size_t length) {
    const unsigned char *in = (const unsigned char *)bytes;
    size_t at = 0, used = 0;
    while (at < length) {
        size_t step = sequence_length(in + at, length - at);
        bool control = step == 1 && (in[at] < 0x20 || in[at] == 0x7F);
        control = control || (step == 2 && in[at] == 0xC2 && in[at + 1] < 0xA0); /* C1 controls */
        bool plain = step > 0 && !control;
        size_t size = plain ? step : 1;
        if (used + size + 1 > capacity) {
            break;
        }
        if (plain) {
            memcpy(out + used, in + at, step);
        } else {
            out[used] = '?';
        }
        used += size;
        at += step > 0 ? step : 1;
    }
    if (capacity > 0) {
        out[used] = '\0';
    }
}

/* ---- the nearest name ---- */

enum { LONGEST_NAME = 64 };

/* Edit distance where exchanging two neighbours counts once (optimal string alignment). */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t row[3][LONGEST_NAME + 1];
    for (size_t j = 0; j <= b_length; j++) {
        row[0][j] = j;
        row[2][j] = 0;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t *now = row[i % 3];
        const size_t *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
    }
    return row[a_length % 3][b_length];
}

bool st_text_is_among(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

const char *st_text_nearest(const char *name, const char *const *candidates, size_t count) {
    size_t length = strlen(name);
    const char *nearest = NULL;
    if (length > LONGEST_NAME) {
        return NULL;
    }
    size_t allowed = length / 3;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        if (other > LONGEST_NAME) {
            continue;
        }
        size_t distance = edit_distance(name, length, candidates[i], other);
        if (distance <= allowed && (nearest == NULL || distance < allowed)) {
            nearest = candidates[i];
            allowed = distance;
        }
    }
    return nearest;
}
