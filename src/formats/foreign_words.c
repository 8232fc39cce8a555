/* foreign: convolutions, pooling and numbers of other programs in the words of .net files. */
#include <stdio.h>
#include <string.h>

#include "formats/foreign.h"
#include "lang/tokens.h"

static void print(char *out, size_t capacity, const char *format, ...) ST_PRINTF(3, 4);
static void print(char *out, size_t capacity, const char *format, ...) {
    va_list values;
    va_start(values, format);
    st_text_print(out, capacity, format, values);
    va_end(values);
}

void st_foreign_number(char out[ST_FOREIGN_NUMBER], float value) {
    for (int digits = 1; digits <= 9; digits++) {
        double again = 0.0;
        print(out, ST_FOREIGN_NUMBER, "%.*g", digits, (double)value);
        if (st_lang_number(&again, out, strlen(out)) && (float)again == value) {
            return;
        }
    }
}

/* " stride=2", " stride=1x2"; nothing for the standard. */
static void add_pair(char out[ST_FOREIGN_WORDS], const char *key, const int64_t pair[2], int64_t standard) {
    size_t used = strlen(out);
    if (pair[0] != pair[1]) {
        print(out + used, ST_FOREIGN_WORDS - used, " %s=%lldx%lld", key, (long long)pair[0], (long long)pair[1]);
    } else if (pair[0] != standard) {
        print(out + used, ST_FOREIGN_WORDS - used, " %s=%lld", key, (long long)pair[0]);
    }
}

/* ---- convolution ---- */

void st_foreign_conv_words(char out[ST_FOREIGN_WORDS], const st_foreign_conv *conv) {
    const int64_t groups[2] = {conv->groups, conv->groups};
    print(out, ST_FOREIGN_WORDS, "conv %lldx%lld %lld", (long long)conv->kernel[0], (long long)conv->kernel[1],
          (long long)conv->filters);
    add_pair(out, "stride", conv->stride, 1);
    add_pair(out, "pad", conv->pad, 0);
    add_pair(out, "dilation", conv->dilation, 1);
    add_pair(out, "groups", groups, 1);
    if (!conv->has_bias) {
        size_t used = strlen(out);
        print(out + used, ST_FOREIGN_WORDS - used, " bias=no");
    }
}

bool st_foreign_conv_dims(st_dims *out, const st_foreign_conv *conv, st_dims in) {
    const int64_t size[2] = {in.h, in.w};
    int64_t count[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        int64_t room = size[i] + 2 * conv->pad[i] - ((conv->kernel[i] - 1) * conv->dilation[i] + 1);
        if (room < 0) {
            return false;
        }
        count[i] = room / conv->stride[i] + 1;
    }
    *out = (st_dims){.h = count[0], .w = count[1], .c = conv->filters};
    return true;
}

/* ---- pooling ---- */

typedef enum manner { FLOOR, CEIL, SAME, GLOBAL, MANNERS } manner;

/* The windows of one axis as layers/window.c has them; false: there are none. */
static bool windows_of(st_foreign_axis *out, const st_foreign_axis *wanted, manner how) {
    *out = *wanted;
    if (how == GLOBAL) {
        out->before = out->after = 0;
        out->count = 1;
        return wanted->kernel >= wanted->size;
    }
    if (how == SAME) {
        out->count = (wanted->size + wanted->stride - 1) / wanted->stride;
        int64_t total = (out->count - 1) * wanted->stride + wanted->kernel - wanted->size;
        out->before = total > 0 ? total / 2 : 0;
        out->after = total > 0 ? total - out->before : 0;
        return true;
    }
    int64_t room = wanted->size + 2 * wanted->before - wanted->kernel;
    out->after = wanted->before;
    out->count = (room + (how == CEIL ? wanted->stride - 1 : 0)) / wanted->stride + 1;
    if ((out->count - 1) * wanted->stride >= wanted->size + wanted->before && out->count > 1) {
        out->count--;
    }
    return room >= 0;
}

/* How many places behind the image count in the last window's mean. */
static int64_t counted_after(const st_foreign_axis *axis) {
    int64_t reach = (axis->count - 1) * axis->stride - axis->before + axis->kernel - axis->size;
    reach = reach > 0 ? reach : 0;
    return reach < axis->after ? reach : axis->after;
}

static bool is_equal(const st_foreign_axis *wanted, manner how, bool is_mean) {
    enum { MOST = 255 };
    st_foreign_axis found;
    bool fits = how == GLOBAL || (wanted->kernel <= MOST && wanted->stride <= MOST && wanted->before < wanted->kernel);
    return fits && wanted->before >= 0 && windows_of(&found, wanted, how) && found.count == wanted->count &&
           found.before == wanted->before && (!is_mean || counted_after(&found) == counted_after(wanted));
}

bool st_foreign_pool(char out[ST_FOREIGN_WORDS], const st_foreign_axis axes[2], bool is_mean) {
    static const char *const words[MANNERS] = {[FLOOR] = "", [CEIL] = " ceil=yes", [SAME] = " pad=same"};
    const int64_t stride[2] = {axes[0].stride, axes[1].stride}, pad[2] = {axes[0].before, axes[1].before};
    int how = 0;
    while (how < MANNERS && !(is_equal(&axes[0], (manner)how, is_mean) && is_equal(&axes[1], (manner)how, is_mean))) {
        how++;
    }
    if (how == MANNERS) {
        return false;
    }
    if (how == GLOBAL) {
        print(out, ST_FOREIGN_WORDS, "global");
        return true;
    }
    print(out, ST_FOREIGN_WORDS, "%lldx%lld", (long long)axes[0].kernel, (long long)axes[1].kernel);
    add_pair(out, "stride", stride, -1);
    if (how != SAME) {
        add_pair(out, "pad", pad, 0);
    }
    size_t used = strlen(out);
    print(out + used, ST_FOREIGN_WORDS - used, "%s", words[how]);
    return true;
}
