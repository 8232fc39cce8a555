/* Augmentation: training pictures changed at random, on bytes, in the thread that reads ahead. What happens to a
 * picture is a pure function of seed, epoch and its number, so that threads and a resume leave the bits as they are.
 *
 * One word is one row of the table below. `cifar` is the recipe of Krizhevsky 2012 and He et al. 2015 (section 4.2):
 * 4 pixels of zeros on each side of the picture from which the mean was taken, a random crop of the old size, a mirror
 * image half of the time. Here the mean is taken later, so the border has the byte nearest to each channel's mean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

typedef struct picture {
    uint8_t *pixels, *scratch;
    strata_shape shape;
    const uint8_t *fill;
} picture;

/* floor(half * bound / 2^32): 0 to bound - 1. */
static int64_t below(uint64_t half, int64_t bound) {
    return (int64_t)((half & 0xFFFFFFFFu) * (uint64_t)bound >> 32);
}

/* A window of the picture's size into the picture with `amount` pixels of border. */
static void crop(const picture *p, int64_t amount, uint64_t bits) {
    int64_t height = p->shape.height, width = p->shape.width, channels = p->shape.channels;
    int64_t down = below(bits, 2 * amount + 1) - amount, right = below(bits >> 32, 2 * amount + 1) - amount;
    memcpy(p->scratch, p->pixels, (size_t)(height * width * channels));
    for (int64_t y = 0; y < height; y++) {
        uint8_t *to = p->pixels + y * width * channels;
        int64_t from_y = y + down, first = right < 0 ? -right : 0, last = right > 0 ? width - right : width;
        bool is_inside = from_y >= 0 && from_y < height && first < last;
        first = is_inside ? first : width; /* [first, last) lies inside the picture */
        last = is_inside ? last : width;
        for (int64_t i = 0; i < width; i++) {
            if (i < first || i >= last) {
                memcpy(to + i * channels, p->fill, (size_t)channels);
            }
        }
        if (first < last) {
            memcpy(to + first * channels, p->scratch + (from_y * width + first + right) * channels,
                   (size_t)((last - first) * channels));
        }
    }
}

static void mirror(const picture *p, int64_t amount, uint64_t bits) {
    int64_t width = p->shape.width, channels = p->shape.channels;
    (void)amount;
    if ((bits >> 63) == 0) {
        return;
    }
    for (int64_t y = 0; y < p->shape.height; y++) {
        uint8_t *row = p->pixels + y * width * channels;
        for (int64_t left = 0, right = width - 1; left < right; left++, right--) {
            for (int64_t c = 0; c < channels; c++) {
                uint8_t kept = row[left * channels + c];
                row[left * channels + c] = row[right * channels + c];
                row[right * channels + c] = kept;
            }
        }
    }
}

static const struct word {
    const char *name;
    int64_t least, most; /* of the number after '='; 0 and 0: none is taken */
    void (*apply)(const picture *p, int64_t amount, uint64_t bits);
} words[] = {
    {"mirror", 0, 0, mirror},
    {"crop", 1, ST_DATA_MOST_SIDE, crop},
};

static const struct preset {
    const char *name, *text;
} presets[] = {
    {"cifar", "crop=4,mirror"},
};

/* ---- words to steps ---- */

static strata_status fail_word(const char *word, strata_error *err) {
    const char *names[ST_COUNT_OF(words) + ST_COUNT_OF(presets)];
    char all[128] = "";
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        size_t used = strlen(all);
        names[i] = i < ST_COUNT_OF(words) ? words[i].name : presets[i - ST_COUNT_OF(words)].name;
        (void)snprintf(all + used, sizeof all - used, "%s%s%s", i > 0 ? ", " : "", names[i],
                       i < ST_COUNT_OF(words) && words[i].most > 0 ? "=N" : "");
    }
    const char *near = st_text_nearest(word, names, ST_COUNT_OF(names));
    st_fail(err, STRATA_INVALID, "there is no augmentation named '%s', expected %s", word, all);
    if (near != NULL) {
        st_error_hint(err, "did you mean '%s'?", near);
    }
    return STRATA_INVALID;
}

static strata_status add_step(st_augment *out, const char *name, const char *number, strata_error *err) {
    size_t which = 0;
    while (which < ST_COUNT_OF(words) && strcmp(words[which].name, name) != 0) {
        which++;
    }
    if (which == ST_COUNT_OF(words)) {
        return fail_word(name, err);
    }
    const struct word *word = &words[which];
    char *end = NULL;
    long long amount = number != NULL ? strtoll(number, &end, 10) : 0;
    ST_FAIL_IF(word->most == 0 && number != NULL, err, STRATA_INVALID, "augmentation '%s' takes no number, found '%s'",
               name, number);
    ST_FAIL_IF(word->most > 0 &&
                   (number == NULL || end == number || *end != '\0' || amount < word->least || amount > word->most),
               err, STRATA_INVALID, "augmentation '%s' needs a whole number from %lld to %lld, as in %s=4", name,
               (long long)word->least, (long long)word->most, name);
    ST_FAIL_IF(out->count == ST_AUGMENT_MOST_STEPS, err, STRATA_INVALID, "at most %d augmentations follow each other",
               ST_AUGMENT_MOST_STEPS);
    out->steps[out->count].word = (int)which;
    out->steps[out->count].amount = amount;
    size_t used = strlen(out->text); /* each step has at most 13 bytes, so they fit */
    (void)snprintf(out->text + used, sizeof out->text - used, word->most > 0 ? "%s%s=%lld" : "%s%s",
                   out->count > 0 ? "," : "", word->name, amount);
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

strata_status st_augment_fits(const st_augment *augment, strata_shape shape, strata_error *err) {
    int64_t side = shape.height < shape.width ? shape.height : shape.width;
    for (int i = 0; i < augment->count; i++) {
        const struct word *word = &words[augment->steps[i].word];
        ST_FAIL_IF(word->most > 0 && augment->steps[i].amount > side / 2, err, STRATA_INVALID,
                   "%s=%lld would move pictures of %lldx%lld out of sight, expected at most %lld", word->name,
                   (long long)augment->steps[i].amount, (long long)shape.width, (long long)shape.height,
                   (long long)(side / 2));
    }
    return STRATA_OK;
}

/* ---- steps to pixels ---- */

void st_augment_apply(const st_augmentation *augmentation, size_t index, strata_shape shape, uint8_t *pixels,
                      uint8_t *scratch) {
    const picture p = {.pixels = pixels, .scratch = scratch, .shape = shape, .fill = augmentation->fill};
    uint64_t stream = st_rng_stream(ST_STREAM_AUGMENT, augmentation->epoch);
    for (int i = 0; i < augmentation->augment.count; i++) {
        uint64_t bits = st_rng_bits(augmentation->seed, stream, (uint64_t)index * ST_AUGMENT_MOST_STEPS + (uint64_t)i);
        words[augmentation->augment.steps[i].word].apply(&p, augmentation->augment.steps[i].amount, bits);
    }
}
