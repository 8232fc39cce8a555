/* Growing texts, numbers as a person reads them, and the nearest word to a mistyped one. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

void *take(void *old, size_t size) {
    void *memory = realloc(old, size > 0 ? size : 1);
    if (memory == NULL) {
        fputs("strata: out of memory\n", stderr);
        exit(FAILED);
    }
    return memory;
}

char *take_copy(const char *bytes, size_t length) {
    char *copy = take(NULL, length + 1);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* ---- growing texts ---------------------------------------------------------------------------------------------- */

static void reserve(text *out, size_t more) {
    if (out->length + more + 1 > out->capacity) {
        out->capacity = 2 * (out->length + more + 1) + 64;
        out->bytes = take(out->bytes, out->capacity);
    }
}

void text_add_bytes(text *out, const char *bytes, size_t length) {
    reserve(out, length);
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
    out->bytes[out->length] = '\0';
}

void text_add_list(text *out, const char *format, va_list list) {
    va_list again;
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, list);
    if (length >= 0) {
        reserve(out, (size_t)length);
        vsnprintf(out->bytes + out->length, (size_t)length + 1, format, again);
        out->length += (size_t)length;
    }
    va_end(again);
}

void text_add(text *out, const char *format, ...) {
    va_list list;
    va_start(list, format);
    text_add_list(out, format, list);
    va_end(list);
}

void text_add_shell(text *out, const char *word) {
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        text_add_bytes(out, word, strlen(word));
        return;
    }
    text_add_bytes(out, "'", 1);
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '\'') {
            text_add_bytes(out, "'\\''", 4);
        } else {
            text_add_bytes(out, c, 1);
        }
    }
    text_add_bytes(out, "'", 1);
}

void text_free(text *out) {
    free(out->bytes);
    *out = (text){0};
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

label count_text(int64_t n) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(n < 0 ? -(uint64_t)n : (uint64_t)n));
    label out = {{0}};
    size_t at = 0;
    if (n < 0) {
        out.s[at++] = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out.s[at++] = ',';
        }
        out.s[at++] = digits[i];
    }
    return out;
}

label bytes_text(uint64_t bytes) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    label out;
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    bool is_whole = unit == 0 || (value >= 9.95 && unit < 3);
    snprintf(out.s, sizeof out.s, "%.*f %s", is_whole ? 0 : 1, value, units[unit]);
    return out;
}

label share_text(double share) {
    label out;
    snprintf(out.s, sizeof out.s, "%.1f%%", 100 * share);
    return out;
}

label seconds_text(double s) {
    label out;
    if (!(s < 1e12)) {
        snprintf(out.s, sizeof out.s, "?");
    } else if (s < 0.0995) {
        snprintf(out.s, sizeof out.s, "%.0f ms", 1000 * s);
    } else if (s < 9.95) {
        snprintf(out.s, sizeof out.s, "%.1f s", s);
    } else if (s < 59.5) {
        snprintf(out.s, sizeof out.s, "%.0f s", s);
    } else if (s < 3599.5) {
        long whole = (long)(s + 0.5);
        snprintf(out.s, sizeof out.s, "%ld min %ld s", whole / 60, whole % 60);
    } else {
        long minutes = (long)(s / 60 + 0.5);
        snprintf(out.s, sizeof out.s, "%ld h %ld min", minutes / 60, minutes % 60);
    }
    return out;
}

label number_text(double x) {
    label out;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out.s, sizeof out.s, "%.*g", digits, x);
        if (strtod(out.s, NULL) == x) {
            break;
        }
    }
    if (strchr(out.s, 'e') != NULL && x == floor(x) && fabs(x) < 1e15) {
        snprintf(out.s, sizeof out.s, "%.0f", x);
    }
    return out;
}

label figure_text(double x) {
    label out;
    if (!(x < 1e15)) {
        snprintf(out.s, sizeof out.s, "?");
    } else if (x < 99.95) {
        snprintf(out.s, sizeof out.s, "%.1f", x);
    } else if (x < 9999.5) {
        out = count_text((int64_t)(x + 0.5));
    } else {
        out = count_text((int64_t)(x / 100 + 0.5) * 100);
    }
    return out;
}

label shape_text(strata_shape shape, bool is_flat) {
    label out;
    if (is_flat) {
        snprintf(out.s, sizeof out.s, "%lld", (long long)shape.channels);
    } else {
        snprintf(out.s, sizeof out.s, "%lldx%lldx%lld", (long long)shape.height, (long long)shape.width,
                 (long long)shape.channels);
    }
    return out;
}

/* ---- foreign texts ---------------------------------------------------------------------------------------------- */

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80) {
        return 1;
    }
    size_t length = s[0] >= 0xC2 && s[0] < 0xE0   ? 2
                    : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                    : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                                  : 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool is_surrogate = s[0] == 0xED && s[1] >= 0xA0;
    bool is_beyond = s[0] == 0xF4 && s[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

/* What a terminal must not be told by a stranger: control characters, and those that turn the direction of writing. */
static bool is_harmless(const unsigned char *s, size_t length) {
    if (length == 1) {
        return s[0] >= 0x20 && s[0] != 0x7F;
    }
    bool is_control = length == 2 && s[0] == 0xC2 && s[1] < 0xA0;
    bool turns = length == 3 && s[0] == 0xE2 &&
                 ((s[1] == 0x80 && ((s[2] >= 0xAA && s[2] <= 0xAE) || s[2] == 0x8E || s[2] == 0x8F)) ||
                  (s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9));
    return length > 0 && !is_control && !turns;
}

void text_add_safe(text *out, const char *foreign) {
    const unsigned char *s = (const unsigned char *)foreign;
    text_add(out, "%s", "");
    while (*s != '\0') {
        size_t length = utf8_length(s);
        if (is_harmless(s, length)) {
            text_add_bytes(out, (const char *)s, length);
        } else {
            text_add_bytes(out, "?", 1);
        }
        s += length > 0 ? length : 1;
    }
}

label safe_text(const char *foreign) {
    enum { MOST = 60 };
    label out = {{0}};
    text whole = {0};
    text_add_safe(&whole, foreign);
    size_t length = whole.length;
    if (length > MOST) {
        length = MOST - 3;
        while (length > 0 && is_continuation(whole.bytes[length])) {
            length--;
        }
    }
    memcpy(out.s, whole.bytes, length);
    memcpy(out.s + length, whole.length > MOST ? "..." : "", whole.length > MOST ? 4 : 1);
    text_free(&whole);
    return out;
}

size_t text_width(const char *s) {
    size_t width = 0;
    for (; *s != '\0'; s++) {
        width += is_continuation(*s) ? 0 : 1;
    }
    return width;
}

/* Insertions, deletions, changes and swaps of neighbours between two words of at most 31 letters. */
static int distance(const char *a, const char *b) {
    enum { MOST = 32 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MOST || m >= MOST) {
        return MOST;
    }
    int d[MOST][MOST];
    for (size_t i = 0; i <= n; i++) {
        for (size_t k = 0; k <= m; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = (int)(i + k);
                continue;
            }
            int change = d[i - 1][k - 1] + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[k - 1]));
            int best = d[i - 1][k] + 1 < d[i][k - 1] + 1 ? d[i - 1][k] + 1 : d[i][k - 1] + 1;
            best = change < best ? change : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && d[i - 2][k - 2] + 1 < best) {
                best = d[i - 2][k - 2] + 1;
            }
            d[i][k] = best;
        }
    }
    return d[n][m];
}

int nearest_word(const char *word, const char *const *candidates, size_t count) {
    int best = -1, least = 1 + (int)(strlen(word) / 3);
    for (size_t i = 0; i < count; i++) {
        int d = distance(word, candidates[i]);
        if (d < least || (d == least && best < 0)) {
            least = d;
            best = (int)i;
        }
    }
    return best;
}
