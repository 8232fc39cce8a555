/* Which of the tensors in a PyTorch file are the weights. A file holds one value: a state_dict, or a checkpoint, that
 * is dicts in dicts with a state_dict somewhere among an optimizer's tensors, numbers and texts. From the top on: the
 * first of the usual keys that has tensors below it is followed; with none of them, the only dict with tensors, those
 * aside that by their key are an optimizer's or another copy's. Where there are tensors or several dicts, all of them
 * are the weights, and their names are the keys on the way, joined with dots. Everything that was passed by is said. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pth.h"
#include "formats/table.h"

enum { DEEPEST = 64, MOST_TIMES_FILE = 16, MOST_NOTE = 4096 };

static const char *const weights_keys[] = {"state_dict", "model_state_dict", "model_state", "model",
                                           "net",        "network",          "weights",     "params"};
static const char *const aside_keys[] = {"optimizer",        "optimizer_state_dict",
                                         "optimizer_state",  "optim",
                                         "optim_state_dict", "scheduler",
                                         "lr_scheduler",     "ema",
                                         "model_ema",        "state_dict_ema",
                                         "rng_state",        "amp"};

typedef struct walker {
    const st_pickle *pickle;
    st_arena *arena;
    size_t visits; /* values looked at: one list may stand in many places */
    char name[ST_PTH_LONGEST_NAME + 1];
    st_tensor *tensors;
    size_t count;
    uint64_t bytes;
} walker;

static bool is_container(const st_pickle_value *value) {
    return value->kind == ST_PICKLE_DICT || value->kind == ST_PICKLE_LIST || value->kind == ST_PICKLE_TUPLE;
}

static uint32_t child_count(const st_pickle_value *value) {
    return value->kind == ST_PICKLE_DICT ? value->as.items->count / 2 : value->as.items->count;
}

static const st_pickle_value *child(const st_pickle_value *value, uint32_t i) {
    return &value->as.items->items[value->kind == ST_PICKLE_DICT ? 2 * i + 1 : i];
}

static bool has_key(const st_pickle_value *value, uint32_t i, const char *key) {
    return value->kind == ST_PICKLE_DICT && st_pickle_is_text(&value->as.items->items[2 * (size_t)i], key);
}

/* The tensors in `value`. A circle is deeper than anything; lists within lists, many times each, run out of visits. */
static strata_status count_tensors(walker *walk, const st_pickle_value *value, int depth, size_t *count,
                                   strata_error *err) {
    if (value->kind == ST_PICKLE_TENSOR) {
        *count += 1;
    }
    if (!is_container(value)) {
        return STRATA_OK;
    }
    if (depth > DEEPEST) {
        return st_fail_file(err, STRATA_FORMAT, walk->pickle->file,
                            "its dicts and lists are nested more than %d deep, or in a circle", DEEPEST);
    }
    for (uint32_t i = 0; i < child_count(value); i++) {
        if (walk->visits++ > 2 * walk->pickle->length) {
            return st_fail_file(err, STRATA_FORMAT, walk->pickle->file,
                                "its dicts and lists hold each other too many times");
        }
        ST_TRY(count_tensors(walk, child(value, i), depth + 1, count, err));
    }
    return STRATA_OK;
}

/* ---- names ---- */

/* The key of child i behind the first `length` bytes of the name. */
static strata_status add_key(walker *walk, const st_pickle_value *parent, uint32_t i, size_t *length,
                             strata_error *err) {
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu32, i);
    const char *text = number;
    size_t count = strlen(number), dot = *length > 0;
    if (parent->kind == ST_PICKLE_DICT) {
        const st_pickle_value *key = &parent->as.items->items[2 * (size_t)i];
        if (key->kind == ST_PICKLE_INT) {
            count = (size_t)snprintf(number, sizeof number, "%" PRId64, key->as.integer);
        } else if (key->kind == ST_PICKLE_TEXT) {
            text = key->as.text;
            count = key->length;
        } else {
            return st_fail_file(err, STRATA_UNSUPPORTED, walk->pickle->file,
                                "below '%.*s': the name of a tensor is %s, expected a text", (int)*length, walk->name,
                                st_pickle_kind_name(key->kind));
        }
    }
    if (count > ST_PTH_LONGEST_NAME || *length + dot + count > ST_PTH_LONGEST_NAME) {
        return st_fail_file(err, STRATA_UNSUPPORTED, walk->pickle->file,
                            "below '%.64s': the name of a tensor has more than %d bytes", walk->name,
                            ST_PTH_LONGEST_NAME);
    }
    if (count > 0 && (memchr(text, 0, count) != NULL || !st_text_is_utf8(text, count))) {
        return st_fail_file(err, STRATA_FORMAT, walk->pickle->file,
                            "below '%.*s': the name of a tensor is no text in UTF-8", (int)*length, walk->name);
    }
    if (dot > 0) {
        walk->name[*length] = '.';
    }
    memcpy(walk->name + *length + dot, text, count);
    *length += dot + count;
    walk->name[*length] = '\0';
    return STRATA_OK;
}

/* ---- choosing ---- */

typedef struct choice {
    const st_pickle_value *value;
    const st_pickle_value *aside[ST_COUNT_OF(aside_keys)]; /* of the last dict, left out */
    size_t aside_count;
    st_text path; /* 'checkpoint' 'state_dict' */
    st_text note;
} choice;

static void add_name(st_text *text, const st_pickle_value *parent, uint32_t i) {
    const st_pickle_value *key = parent->kind == ST_PICKLE_DICT ? &parent->as.items->items[2 * (size_t)i] : NULL;
    char shown[64];
    if (key != NULL && key->kind == ST_PICKLE_TEXT && st_text_is_utf8(key->as.text, key->length)) {
        st_text_printable(shown, sizeof shown, key->as.text, key->length);
        st_text_add(text, "'%s'", shown);
    } else if (key != NULL && key->kind == ST_PICKLE_INT) {
        st_text_add(text, "%" PRId64, key->as.integer);
    } else {
        st_text_add(text, "entry %" PRIu32, i);
    }
}

static void pass_by(choice *at, const st_pickle_value *parent, uint32_t i, size_t tensors) {
    if (at->note.length > MOST_NOTE) {
        return;
    }
    st_text_add(&at->note, "%snot read: ", at->note.length > 0 ? "\n" : "");
    add_name(&at->note, parent, i);
    st_text_add(&at->note, ", %zu tensor%s", tensors, tensors == 1 ? "" : "s");
}

static int key_of(const st_pickle_value *parent, uint32_t i, const char *const *keys, size_t count) {
    for (size_t k = 0; k < count; k++) {
        if (has_key(parent, i, keys[k])) {
            return (int)k;
        }
    }
    return -1;
}

/* What is in one container: the child to go on with in *next, or none (child_count) where all of it are weights. */
static void look(const st_pickle_value *value, const size_t *counts, uint32_t *next) {
    uint32_t many = child_count(value), only = many, dicts = 0, direct = 0;
    int best = ST_COUNT_OF(weights_keys);
    *next = many;
    for (uint32_t i = 0; i < many; i++) {
        int key = key_of(value, i, weights_keys, ST_COUNT_OF(weights_keys));
        if (counts[i] > 0 && is_container(child(value, i))) {
            bool aside = key_of(value, i, aside_keys, ST_COUNT_OF(aside_keys)) >= 0;
            if (key >= 0 && key < best) {
                best = key;
                *next = i;
            }
            only = aside ? only : i;
            dicts += !aside;
        } else {
            direct += counts[i] > 0;
        }
    }
    if (*next == many && direct == 0 && dicts == 1) {
        *next = only;
    }
}

/* One step down, or the end of the way. */
static strata_status choose_step(walker *walk, choice *at, bool *done, strata_error *err) {
    const st_pickle_value *value = at->value;
    uint32_t many = child_count(value), next = many;
    size_t *counts = NULL;
    ST_TRY(st_arena_alloc(&counts, walk->arena, many, sizeof *counts, err));
    for (uint32_t i = 0; i < many; i++) {
        ST_TRY(count_tensors(walk, child(value, i), 1, &counts[i], err));
    }
    look(value, counts, &next);
    bool only_aside = true; /* an optimizer alone is all there is */
    for (uint32_t i = 0; i < many; i++) {
        only_aside = only_aside && (counts[i] == 0 || key_of(value, i, aside_keys, ST_COUNT_OF(aside_keys)) >= 0);
    }
    for (uint32_t i = 0; i < many; i++) {
        bool aside = !only_aside && key_of(value, i, aside_keys, ST_COUNT_OF(aside_keys)) >= 0 &&
                     is_container(child(value, i)) && at->aside_count < ST_COUNT_OF(at->aside);
        if (counts[i] == 0 || i == next || (next == many && !aside)) {
            continue;
        }
        pass_by(at, value, i, counts[i]);
        if (next == many) {
            at->aside[at->aside_count++] = child(value, i);
        }
    }
    *done = next == many;
    if (!*done) {
        st_text_add(&at->path, at->path.length > 0 ? ", " : "");
        add_name(&at->path, value, next);
        at->value = child(value, next);
    }
    return STRATA_OK;
}

static strata_status choose(walker *walk, choice *at, strata_error *err) {
    bool done = false;
    for (int depth = 0; !done; depth++) {
        if (depth > DEEPEST) {
            return st_fail_file(err, STRATA_FORMAT, walk->pickle->file,
                                "its dicts and lists are nested more than %d deep, or in a circle", DEEPEST);
        }
        ST_TRY(choose_step(walk, at, &done, err));
    }
    return STRATA_OK;
}

/* ---- taking ---- */

/* A view may show one value many times, and many views the same storage: what a file unfolds to has a limit. */
static strata_status add_tensor(walker *walk, st_weights *out, const st_pickle_tensor *from, size_t length,
                                strata_error *err) {
    st_tensor tensor = from->tensor;
    char *name = NULL;
    uint64_t bytes = (uint64_t)tensor.count * st_stored_size(tensor.stored), file = out->file.length;
    if (bytes > MOST_TIMES_FILE * file || walk->bytes > MOST_TIMES_FILE * file - bytes) {
        return st_fail_file(err, STRATA_FORMAT, walk->pickle->file,
                            "tensor '%s': views unfold to more than %d times the file's %" PRIu64 " bytes", walk->name,
                            MOST_TIMES_FILE, file);
    }
    walk->bytes += bytes;
    ST_TRY(st_arena_text(&name, walk->arena, walk->name, length, err));
    tensor.name = name;
    tensor.offset += from->storage->offset;
    ST_TRY(st_format_grow(&walk->tensors, walk->count, sizeof tensor, walk->arena, err));
    walk->tensors[walk->count++] = tensor;
    return STRATA_OK;
}

static strata_status take(walker *walk, st_weights *out, const choice *at, const st_pickle_value *value, size_t length,
                          int depth, strata_error *err) {
    if (value->kind == ST_PICKLE_TENSOR) {
        return add_tensor(walk, out, value->as.tensor, length, err);
    }
    for (uint32_t i = 0; is_container(value) && i < child_count(value); i++) {
        const st_pickle_value *next = child(value, i);
        size_t now = length, below = 0;
        bool is_aside = false;
        for (size_t k = 0; depth == 0 && k < at->aside_count; k++) {
            is_aside = is_aside || at->aside[k] == next;
        }
        if (is_aside) {
            continue;
        }
        ST_TRY(count_tensors(walk, next, depth + 1, &below, err)); /* names without tensors may be anything */
        if (below > 0) {
            ST_TRY(add_key(walk, value, i, &now, err));
            ST_TRY(take(walk, out, at, next, now, depth + 1, err));
        }
    }
    return STRATA_OK;
}

/* nn.DataParallel puts "module." before every name. */
static bool strip_prefix(st_tensor *tensors, size_t count) {
    static const char prefix[] = "module.";
    for (size_t i = 0; i < count; i++) {
        if (strncmp(tensors[i].name, prefix, sizeof prefix - 1) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        tensors[i].name += sizeof prefix - 1;
    }
    return count > 0;
}

static strata_status make_note(const char **out, choice *at, bool stripped, st_arena *arena, strata_error *err) {
    st_text text = {0};
    char *copy = NULL;
    if (at->path.length > 0) {
        st_text_add(&text, "the weights are under %s", at->path.bytes);
    }
    if (at->note.length > 0) {
        st_text_add(&text, "%s%s", text.length > 0 ? "\n" : "", at->note.bytes);
    }
    if (stripped) {
        st_text_add(&text, "%s'module.' in front of every name is left out", text.length > 0 ? "\n" : "");
    }
    strata_status status = STRATA_OK;
    if (text.failed || at->path.failed || at->note.failed) {
        status = st_fail(err, STRATA_MEMORY, "no memory for a note");
    } else if (text.length > 0) {
        status = st_arena_text(&copy, arena, text.bytes, text.length, err);
    }
    st_text_free(&text);
    *out = copy;
    return status;
}

static strata_status take_chosen(walker *walk, st_weights *out, choice *at, const char **note, bool is_ours,
                                 strata_error *err) {
    if (is_container(at->value)) {
        ST_TRY(choose(walk, at, err));
        walk->visits = 0;
        ST_TRY(take(walk, out, at, at->value, 0, 0, err));
    } else if (at->value->kind == ST_PICKLE_TENSOR) {
        (void)snprintf(walk->name, sizeof walk->name, "tensor"); /* torch.save of one alone: it has no name */
        ST_TRY(take(walk, out, at, at->value, strlen(walk->name), 0, err));
    } else {
        return st_fail_file(err, STRATA_FORMAT, walk->pickle->file, "it holds %s, expected tensors",
                            st_pickle_kind_name(at->value->kind));
    }
    bool stripped = !is_ours && strip_prefix(walk->tensors, walk->count);
    return make_note(note, at, stripped, walk->arena, err);
}

strata_status st_pth_tensors(st_weights *out, const char **note, const st_pickle *pickle, const st_pickle_value *root,
                             bool is_ours, strata_error *err) {
    walker walk = {.pickle = pickle, .arena = out->arena};
    choice at = {.value = root};
    strata_status status = take_chosen(&walk, out, &at, note, is_ours, err);
    st_text_free(&at.path);
    st_text_free(&at.note);
    out->tensors = walk.tensors;
    out->tensor_count = walk.count;
    return status;
}

static int compare_keys(const void *a, const void *b) {
    const st_pickle_storage *const *one = a, *const *two = b;
    uint32_t length = (*one)->key_length < (*two)->key_length ? (*one)->key_length : (*two)->key_length;
    int order = length > 0 ? memcmp((*one)->key, (*two)->key, length) : 0;
    return order != 0 ? order : ((*one)->key_length > (*two)->key_length) - ((*one)->key_length < (*two)->key_length);
}

void st_pth_sort_storages(st_pickle_storage **storages, size_t count) {
    if (count > 0) {
        qsort(storages, count, sizeof *storages, compare_keys);
    }
}
