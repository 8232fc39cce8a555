/* Augmentation: training pictures changed at random. This file reads the words that a user writes; what each does is a
 * row of augment_words.c.
 *
 * The resolved text has presets taken apart and every number written out, in one way: it stands in run.txt and in the
 * checkpoint, and a resume with another text is refused. Numbers are whole millionths, so that no text depends on how
 * a machine prints a double. */
#include <stdio.h>
#include <string.h>

#include "data/augment.h"

/* `lenet`: small changes that leave a digit or a shirt what it is. `cifar`: Krizhevsky 2012 on CIFAR and He et al.
 * 2015, section 4.2. `imagenet`: the part of Szegedy et al. 2014, the mirror and colours of Krizhevsky et al. 2012. */
static const struct preset {
    const char *name, *text;
} presets[] = {
    {"lenet", "rotate=8,shear=6,scale=0.1,translate=0.07,elastic=20"},
    {"cifar", "crop=4,mirror"},
    {"imagenet", "resized-crop,mirror,pca"},
};

enum { UNIT = 1000000, DECIMALS = 6, MOST_DIGITS = 9 };

static strata_status fail_word(const char *word, strata_error *err) {
    const char *names[64];
    char all[400] = "";
    size_t count = st_word_count();
    for (size_t i = 0; i < count + ST_COUNT_OF(presets); i++) {
        size_t used = strlen(all);
        names[i] = i < count ? st_word_at(i)->name : presets[i - count].name;
        (void)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "",
                       i < count ? st_word_at(i)->shown : names[i]);
    }
    const char *near = st_text_nearest(word, names, count + ST_COUNT_OF(presets));
    st_fail(err, STRATA_INVALID, "there is no augmentation named '%s', expected %s", word, all);
    if (near != NULL) {
        st_error_hint(err, "did you mean '%s'?", near);
    }
    return STRATA_INVALID;
}

/* ---- numbers ---- */

static int64_t units_of(double number) {
    return (int64_t)(number * UNIT + 0.5);
}

static int64_t whole_of(const char **at) {
    int64_t value = 0;
    int digits = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        value = digits < MOST_DIGITS ? 10 * value + (**at - '0') : value;
        digits += value > 0;
    }
    return digits > MOST_DIGITS ? -1 : value;
}

/* number -> digit { digit } [ "." digit { digit } ]; at most six decimals that count. False: it is none. */
static bool read_number(const char **at, int64_t *units) {
    const char *first = *at;
    int64_t whole = whole_of(at), part = 0, unit = UNIT / 10;
    if (*at == first || whole < 0) {
        return false;
    }
    if (**at == '.') {
        const char *point = ++*at;
        for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10) {
            if (unit == 0 && **at != '0') {
                return false;
            }
            part += unit * (**at - '0');
        }
        if (*at == point) {
            return false;
        }
    }
    *units = whole * UNIT + part;
    return true;
}

static void add_number(char *text, size_t capacity, char before, int64_t units) {
    size_t used = strlen(text);
    int written = snprintf(text + used, capacity - used, "%c%lld.%06lld", before, (long long)(units / UNIT),
                           (long long)(units % UNIT));
    char *end = text + used + written; /* zeros at the end say nothing, nor a point without digits */
    while (end[-1] == '0') {
        *--end = '\0';
    }
    if (end[-1] == '.') {
        end[-1] = '\0';
    }
}

static void say_range(char *out, size_t capacity, const st_word_number *number) {
    (void)snprintf(out, capacity, "a %snumber from", number->is_whole ? "whole " : "");
    add_number(out, capacity, ' ', units_of(number->least));
    size_t used = strlen(out);
    (void)snprintf(out + used, capacity - used, " to");
    add_number(out, capacity, ' ', units_of(number->most));
}

static strata_status fail_number(const st_word *word, strata_error *err) {
    char ranges[2][64];
    for (int i = 0; i < word->count; i++) {
        say_range(ranges[i], sizeof ranges[i], &word->numbers[i]);
    }
    if (word->count == 2) {
        return st_fail(err, STRATA_INVALID, "augmentation '%s' needs %s, a colon and %s, as in %s", word->name,
                       ranges[0], ranges[1], word->example);
    }
    return st_fail(err, STRATA_INVALID, "augmentation '%s' %s %s, as in %s", word->name,
                   word->numbers[0].standard != NULL ? "takes" : "needs", ranges[0], word->example);
}

static strata_status read_numbers(int64_t units[2], const st_word *word, const char *text, strata_error *err) {
    ST_FAIL_IF(word->count == 0 && text != NULL, err, STRATA_INVALID, "augmentation '%s' takes no number, found '%s'",
               word->name, text);
    for (int i = 0; i < word->count; i++) {
        const st_word_number *number = &word->numbers[i];
        const char *at = text != NULL ? text : number->standard;
        bool is_good = at != NULL && read_number(&at, &units[i]) && *at == (i + 1 < word->count ? ':' : '\0') &&
                       units[i] >= units_of(number->least) && units[i] <= units_of(number->most) &&
                       (!number->is_whole || units[i] % UNIT == 0);
        if (!is_good) {
            return fail_number(word, err);
        }
        text = text != NULL ? at + 1 : NULL;
    }
    return STRATA_OK;
}

/* ---- words to steps ---- */

static strata_status add_step(st_augment *out, const char *name, const char *numbers, strata_error *err) {
    size_t which = 0;
    while (which < st_word_count() && strcmp(st_word_at(which)->name, name) != 0) {
        which++;
    }
    if (which == st_word_count()) {
        return fail_word(name, err);
    }
    const st_word *word = st_word_at(which);
    int64_t units[2] = {0};
    ST_TRY(read_numbers(units, word, numbers, err));
    ST_FAIL_IF(out->count == ST_AUGMENT_MOST_STEPS, err, STRATA_INVALID, "at most %d augmentations follow each other",
               ST_AUGMENT_MOST_STEPS);
    out->steps[out->count].word = (int)which;
    size_t used = strlen(out->text); /* a step has at most 24 bytes, so they fit */
    (void)snprintf(out->text + used, sizeof out->text - used, "%s%s", out->count > 0 ? "," : "", name);
    for (int i = 0; i < word->count; i++) {
        out->steps[out->count].units[i] = units[i];
        add_number(out->text, sizeof out->text, i == 0 ? '=' : ':', units[i]);
    }
    out->count++;
    return STRATA_OK;
}

static strata_status add_words(st_augment *out, const char *text, bool is_preset, strata_error *err) {
    while (*text != '\0') {
        char word[64];
        size_t length = strcspn(text, ",");
        ST_FAIL_IF(length >= sizeof word, err, STRATA_INVALID, "no augmentation has a name of %zu bytes", length);
        memcpy(word, text, length);
        word[length] = '\0';
        text += text[length] == ',' ? length + 1 : length;
        const char *expanded = NULL;
        for (size_t i = 0; i < ST_COUNT_OF(presets) && !is_preset; i++) {
            expanded = strcmp(presets[i].name, word) == 0 ? presets[i].text : expanded;
        }
        char *equals = strchr(word, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        ST_TRY(expanded != NULL ? add_words(out, expanded, true, err)
                                : add_step(out, word, equals != NULL ? equals + 1 : NULL, err));
    }
    return STRATA_OK;
}

strata_status st_augment_parse(st_augment *out, const char *text, strata_error *err) {
    *out = (st_augment){0};
    return text == NULL || strcmp(text, "none") == 0 ? STRATA_OK : add_words(out, text, false, err);
}

void st_word_numbers(double numbers[2], const st_augment *augment, int step) {
    for (int i = 0; i < 2; i++) {
        numbers[i] = (double)augment->steps[step].units[i] / UNIT;
    }
}

const st_word *st_word_of(const st_augment *augment, int step) {
    return st_word_at((size_t)augment->steps[step].word);
}

/* ---- what a word needs of the pictures ---- */

static bool has_word(const st_augment *augment, const char *name) {
    for (int i = 0; i < augment->count; i++) {
        if (strcmp(st_word_of(augment, i)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool st_augment_needs_axes(const st_augment *augment) {
    return has_word(augment, "pca");
}

bool st_augment_mixes(const st_augment *augment) {
    return has_word(augment, "mixup") || has_word(augment, "cutmix");
}

strata_status st_augment_fits(const st_augment *augment, strata_shape shape, strata_error *err) {
    static const char *const coloured[] = {"saturation", "hue"};
    for (size_t i = 0; i < ST_COUNT_OF(coloured); i++) {
        ST_FAIL_IF(shape.channels != 3 && has_word(augment, coloured[i]), err, STRATA_INVALID,
                   "augmentation '%s' needs pictures of 3 channels, found %lld", coloured[i],
                   (long long)shape.channels);
    }
    int64_t side = shape.height < shape.width ? shape.height : shape.width;
    for (int i = 0; i < augment->count; i++) {
        const char *name = st_word_of(augment, i)->name;
        int64_t number = augment->steps[i].units[0] / UNIT;
        ST_FAIL_IF(strcmp(name, "crop") == 0 && number > side / 2, err, STRATA_INVALID,
                   "crop=%lld would move pictures of %lldx%lld out of sight, expected at most %lld", (long long)number,
                   (long long)shape.width, (long long)shape.height, (long long)(side / 2));
        ST_FAIL_IF(strcmp(name, "cutout") == 0 && number > side, err, STRATA_INVALID,
                   "cutout=%lld would take pictures of %lldx%lld whole, expected at most %lld", (long long)number,
                   (long long)shape.width, (long long)shape.height, (long long)side);
    }
    return STRATA_OK;
}

/* ---- help ------------------------------------------------------------------------------------------------------- */

strata_status strata_help_augment(char **out, strata_error *err) {
    enum { COLUMN = 22 };
    st_text text = {0};
    *out = NULL;
    st_text_add(&text, "--augment WORD,WORD...: training pictures are changed at random, in this order\n\n");
    for (size_t i = 0; i < st_word_count(); i++) {
        st_text_add(&text, "  %s", st_word_at(i)->shown);
        st_text_pad(&text, COLUMN);
        st_text_add(&text, "%s\n", st_word_at(i)->help);
    }
    for (size_t i = 0; i < ST_COUNT_OF(presets); i++) {
        st_text_add(&text, "%s  %s", i == 0 ? "\nfor short\n" : "", presets[i].name);
        st_text_pad(&text, COLUMN);
        st_text_add(&text, "%s\n", presets[i].text);
    }
    return st_text_finish(out, &text, err);
}
