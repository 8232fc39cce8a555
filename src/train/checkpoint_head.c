/* What the metadata of a checkpoint says: net, classes, preparation, place. A file is untrusted until it is checked. */
#include <string.h>

#include "train/checkpoint.h"

static strata_status begin_json(st_json *json, const st_weights *weights, const char *key, st_arena *arena,
                                strata_error *err) {
    const char *value = st_weights_metadata(weights, key);
    if (value == NULL) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "its metadata has no '%s'", key);
    }
    *json = (st_json){.text = value, .length = strlen(value), .file = weights->file.path, .arena = arena};
    return STRATA_OK;
}

strata_status st_checkpoint_read_place(st_place_in_run *place, const st_weights *weights, st_arena *arena,
                                       strata_error *err) {
    enum { NEEDED = 9 }; /* files of earlier versions have no more */
    uint64_t values[11] = {0};
    static const char *const keys[] = {"epoch",          "step",          "global_step",   "correct",
                                       "images",         "best_epoch",    "loss_sum_bits", "best_top1_bits",
                                       "best_loss_bits", "norm_sum_bits", "norm_max_bits"};
    unsigned found = 0;
    st_json json;
    ST_TRY(begin_json(&json, weights, "strata.place", arena, err));
    ST_TRY(st_json_enter(&json, '{', err));
    for (bool more = true;;) {
        char *key = NULL;
        ST_TRY(st_json_next(&json, &more, &key, err));
        if (!more) {
            break;
        }
        uint64_t value = 0;
        ST_TRY(st_json_size(&json, &value, err));
        for (size_t i = 0; i < ST_COUNT_OF(keys); i++) {
            if (strcmp(key, keys[i]) == 0) {
                values[i] = value;
                found |= 1U << i;
            }
        }
    }
    ST_TRY(st_json_end(&json, err));
    bool in_range = (found & ((1U << NEEDED) - 1)) == (1U << NEEDED) - 1;
    for (size_t i = 0; i < 6; i++) {
        in_range = in_range && values[i] < (uint64_t)1 << 48;
    }
    if (!in_range) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "its 'strata.place' is not one that strata writes");
    }
    *place = (st_place_in_run){.epoch = (int64_t)values[0],
                               .step = (int64_t)values[1],
                               .global_step = (int64_t)values[2],
                               .correct = (int64_t)values[3],
                               .images = (int64_t)values[4],
                               .best_epoch = (int64_t)values[5]};
    memcpy(&place->loss_sum, &values[6], sizeof place->loss_sum);
    memcpy(&place->best_top1, &values[7], sizeof place->best_top1);
    memcpy(&place->best_loss, &values[8], sizeof place->best_loss);
    memcpy(&place->norm_sum, &values[9], sizeof place->norm_sum);
    memcpy(&place->norm_max, &values[10], sizeof place->norm_max);
    return STRATA_OK;
}

static strata_status read_numbers(double out[4], int64_t *count, st_json *json, strata_error *err) {
    ST_TRY(st_json_enter(json, '[', err));
    for (*count = 0;;) {
        bool more = false;
        ST_TRY(st_json_next(json, &more, NULL, err));
        if (!more) {
            return STRATA_OK;
        }
        double value = 0.0;
        ST_TRY(st_json_number(json, &value, err));
        if (*count >= 4) {
            return st_fail_file(err, STRATA_FORMAT, json->file, "its preparation has more than 4 channels");
        }
        out[(*count)++] = value;
    }
}

/* One of `count` words; *out is its place. */
static strata_status read_word(int *out, const char *const *words, size_t count, st_json *json, strata_error *err) {
    char *word = NULL;
    ST_TRY(st_json_string(json, &word, NULL, err));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            *out = (int)i;
            return STRATA_OK;
        }
    }
    return st_fail_file(err, STRATA_FORMAT, json->file, "its preparation says '%.40s', expected %s or %s", word,
                        words[0], words[count - 1]);
}

/* What the preparation's keys are read into. */
typedef struct prepared {
    st_preparation numbers;
    st_geometry geometry;
    uint64_t height, width, channels, range, side;
    int64_t means, deviations;
    int order, fit, filter;
} prepared;

static strata_status read_key(prepared *out, const char *key, st_json *json, strata_error *err) {
    static const char *const orders[] = {"rgb", "bgr"};
    const struct {
        const char *name;
        uint64_t *to;
    } sizes[] = {{"height", &out->height},
                 {"width", &out->width},
                 {"channels", &out->channels},
                 {"range", &out->range},
                 {"side", &out->side}};
    for (size_t i = 0; i < ST_COUNT_OF(sizes); i++) {
        if (strcmp(key, sizes[i].name) == 0) {
            return st_json_size(json, sizes[i].to, err);
        }
    }
    if (strcmp(key, "mean") == 0) {
        return read_numbers(out->numbers.mean, &out->means, json, err);
    }
    if (strcmp(key, "deviation") == 0) {
        return read_numbers(out->numbers.deviation, &out->deviations, json, err);
    }
    if (strcmp(key, "order") == 0) {
        return read_word(&out->order, orders, ST_COUNT_OF(orders), json, err);
    }
    if (strcmp(key, "fit") == 0) {
        return read_word(&out->fit, st_fit_names, ST_COUNT_OF(st_fit_names), json, err);
    }
    if (strcmp(key, "filter") == 0) {
        return read_word(&out->filter, st_filter_names, ST_COUNT_OF(st_filter_names), json, err);
    }
    return st_json_skip(json, err);
}

static bool is_sound(const prepared *of) {
    uint64_t shorter = of->height < of->width ? of->height : of->width;
    bool fits = of->channels >= 1 && of->channels <= 4 && of->means == (int64_t)of->channels &&
                of->deviations == of->means && (of->range == 1 || of->range == 255) &&
                (of->order == 0 || of->channels == 3) && of->side <= ST_DIMENSION_LIMIT &&
                (of->fit != ST_FIT_CROP || of->side >= shorter);
    const uint64_t sizes[] = {of->height, of->width};
    for (size_t i = 0; i < ST_COUNT_OF(sizes); i++) {
        fits = fits && sizes[i] >= 1 && sizes[i] <= ST_DIMENSION_LIMIT;
    }
    for (int64_t c = 0; c < of->deviations; c++) {
        double mean = of->numbers.mean[c], deviation = of->numbers.deviation[c];
        fits = fits && deviation > 0.0 && deviation < 1e30 && mean > -1e30 && mean < 1e30;
    }
    return fits;
}

static strata_status read_preparation(st_checkpoint_head *out, const st_weights *weights, st_arena *arena,
                                      strata_error *err) {
    st_json json;
    prepared of = {.numbers = {.deviation = {1, 1, 1, 1}}, .range = 1, .fit = ST_FIT_PAD};
    ST_TRY(begin_json(&json, weights, ST_PAIR_PREPARATION, arena, err));
    ST_TRY(st_json_enter(&json, '{', err));
    for (bool more = true; more;) {
        char *key = NULL;
        ST_TRY(st_json_next(&json, &more, &key, err));
        if (more) {
            ST_TRY(read_key(&of, key, &json, err));
        }
    }
    ST_TRY(st_json_end(&json, err));
    if (!is_sound(&of)) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path,
                            "its 'strata.preparation' needs height, width, 1 to 4 channels, as many means and "
                            "deviations above 0, a range of 1 or 255, and a side not below the picture's");
    }
    out->preparation = of.numbers;
    out->preparation.picture = (st_dims){(int64_t)of.height, (int64_t)of.width, (int64_t)of.channels};
    out->preparation.range = of.range == 1 ? 255.0 : 1.0;
    out->preparation.is_bgr = of.order == 1;
    out->geometry = (st_geometry){.fit = (st_fit)of.fit,
                                  .filter = (st_filter)of.filter,
                                  .side = (int64_t)of.side,
                                  .out = {(int64_t)of.height, (int64_t)of.width, (int64_t)of.channels}};
    out->has_preparation = true;
    return STRATA_OK;
}

static strata_status read_classes(st_checkpoint_head *head, const st_weights *weights, st_arena *arena,
                                  strata_error *err) {
    enum { CLASS_LIMIT = 1 << 20 };
    st_json json;
    ST_TRY(begin_json(&json, weights, ST_PAIR_CLASSES, arena, err));
    for (int pass = 0; pass < 2; pass++) {
        size_t count = 0;
        json.at = 0;
        json.depth = 0;
        ST_TRY(st_json_enter(&json, '[', err));
        for (;;) {
            bool more = false;
            char *name = NULL;
            ST_TRY(st_json_next(&json, &more, NULL, err));
            if (!more) {
                break;
            }
            ST_TRY(st_json_string(&json, &name, NULL, err));
            if (pass == 1) {
                head->classes[count] = name;
            }
            count++;
            ST_FAIL_IF(count > CLASS_LIMIT, err, STRATA_FORMAT, "it names more than %d classes", CLASS_LIMIT);
        }
        ST_TRY(st_json_end(&json, err));
        if (pass == 0 && count > 0) {
            ST_TRY(st_arena_alloc(&head->classes, arena, count, sizeof *head->classes, err));
        }
        head->class_count = count;
    }
    return STRATA_OK;
}

strata_status st_checkpoint_head_take(st_checkpoint_head *out, st_arena *arena, const st_weights *weights,
                                      strata_error *err) {
    *out = (st_checkpoint_head){0};
    const char *net = st_weights_metadata(weights, ST_PAIR_NET);
    if (net != NULL) {
        char *text = NULL;
        ST_TRY(st_arena_text(&text, arena, net, strlen(net), err));
        out->net_text = text;
    }
    if (st_weights_metadata(weights, ST_PAIR_CLASSES) != NULL) {
        ST_TRY(read_classes(out, weights, arena, err));
    }
    return st_weights_metadata(weights, ST_PAIR_PREPARATION) != NULL ? read_preparation(out, weights, arena, err)
                                                                     : STRATA_OK;
}

strata_status st_checkpoint_head_read(st_checkpoint_head *out, st_arena *arena, const char *path, strata_error *err) {
    *out = (st_checkpoint_head){0};
    st_weights weights;
    ST_TRY(st_weights_open(&weights, path, err));
    strata_status status = st_checkpoint_head_take(out, arena, &weights, err);
    st_weights_close(&weights);
    return status;
}

strata_status st_checkpoint_need_net(const st_checkpoint_head *head, const char *path, strata_error *err) {
    if (head->net_text != NULL) {
        return STRATA_OK;
    }
    strata_status status =
        st_fail_file(err, STRATA_FORMAT, path, "it holds weights but no net: its metadata has no 'strata.net'");
    st_error_hint(err, "name the net, and give this file with --weights");
    return status;
}
