/* Which data sets of an HDF5 file are the pictures of a part, their labels, and the names of classes. Shapes say what
 * can be what; names ("train_set_x", "y_test", "val/images") say the part, and decide where shapes leave a choice.
 * Where both do not, nothing is guessed: the message names what is there, and FILE:PICTURES:LABELS decides. */
#include <stdio.h>
#include <string.h>

#include "data/hdf5.h"

/* ---- words in names ---- */

enum { WORD_BYTES = 32, SHOWN_RANK = 4 };

static char small(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c) {
    return small(c) >= 'a' && small(c) <= 'z';
}

/* The next run of letters, in small ones; false at the end. */
static bool next_word(const char **at, char word[WORD_BYTES]) {
    size_t length = 0;
    while (**at != '\0' && !is_letter(**at)) {
        ++*at;
    }
    for (; is_letter(**at); ++*at) {
        if (length < WORD_BYTES - 1) {
            word[length++] = small(**at);
        }
    }
    word[length] = '\0';
    return length > 0;
}

static bool has_word(const char *name, const char *const *words, size_t count) {
    char word[WORD_BYTES];
    for (const char *at = name; next_word(&at, word);) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(word, words[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool st_hdf5_part_of(strata_part *out, const char *name) {
    static const char *const vals[] = {"val", "valid", "validation", "dev", "xval", "yval", "valx", "valy"};
    char word[WORD_BYTES];
    if (has_word(name, vals, ST_COUNT_OF(vals))) {
        *out = STRATA_VAL;
        return true;
    }
    for (const char *at = name; next_word(&at, word);) { /* "Xtrain", "trainset" and "testing" too */
        bool is_train = strstr(word, "train") != NULL;
        if (is_train || strstr(word, "test") != NULL) {
            *out = is_train ? STRATA_TRAIN : STRATA_TEST;
            return true;
        }
    }
    return false;
}

static bool says_pictures(const char *name) {
    static const char *const words[] = {"x",  "image",  "images", "img",  "imgs",   "picture", "pictures",
                                        "xs", "xtrain", "xtest",  "xval", "trainx", "testx",   "valx"};
    return has_word(name, words, ST_COUNT_OF(words));
}

static bool says_labels(const char *name) {
    static const char *const words[] = {"y",  "label",  "labels", "target", "targets", "class", "category",
                                        "ys", "ytrain", "ytest",  "yval",   "trainy",  "testy", "valy"};
    return has_word(name, words, ST_COUNT_OF(words));
}

/* "list_classes", "class_names", "labels_list". */
static bool says_classes(const char *name) {
    static const char *const alone[] = {"classes", "classnames", "categories"}, *const with[] = {"names", "list"};
    return has_word(name, alone, ST_COUNT_OF(alone)) || (has_word(name, with, ST_COUNT_OF(with)) && says_labels(name));
}

static bool is_classes(const st_hdf5_set *set) {
    bool is_list = set->rank == 1 && set->dims[0] >= 1 && set->dims[0] <= ST_DATA_MOST_CLASSES;
    return is_list && says_classes(set->name) && set->type != ST_HDF5_FLOATS && set->type != ST_HDF5_OTHER;
}

/* ---- messages ---- */

static const char *const part_words[STRATA_PART_COUNT] = {"train", "val", "test"};

static void show_set(char *out, size_t capacity, const st_hdf5_set *set) {
    static const char *const types[ST_HDF5_TYPE_COUNT] = {"bytes", "integers", "floats", "texts", "other values"};
    char sides[100] = "";
    size_t used = 0;
    for (uint32_t d = 0; d < set->rank && d < SHOWN_RANK; d++) {
        int put =
            snprintf(sides + used, sizeof sides - used, d > 0 ? "x%llu" : "%llu", (unsigned long long)set->dims[d]);
        used += put > 0 ? (size_t)put : 0;
    }
    const char *fault = set->fault == ST_HDF5_SOFT_LINK       ? "a soft link"
                        : set->fault == ST_HDF5_EXTERNAL_LINK ? "a link to another file"
                        : set->fault == ST_HDF5_DAMAGED       ? "damaged"
                                                              : NULL;
    if (fault != NULL) {
        (void)snprintf(out, capacity, "'%s' (%s)", set->name, fault);
    } else {
        (void)snprintf(out, capacity, "'%s' (%s%s %s)", set->name, set->rank == 0 ? "one value:" : sides,
                       set->rank > SHOWN_RANK ? "x..." : "", types[set->type]);
    }
}

/* "'a' (10x3 integers), 'b' (a soft link) and 2 more". */
static void show_sets(char out[300], const st_hdf5 *file) {
    size_t used = 0, shown = 0;
    out[0] = '\0';
    for (; shown < file->count && used < 180; shown++) {
        char one[220];
        show_set(one, sizeof one, &file->sets[shown]);
        int put = snprintf(out + used, 300 - used, "%s%.100s", shown > 0 ? ", " : "", one);
        used += put > 0 ? (size_t)put : 0;
    }
    if (shown < file->count) {
        (void)snprintf(out + used, 300 - used, " and %zu more", file->count - shown);
    }
}

static void hint_naming(const st_hdf5 *file, strata_error *err) {
    st_error_hint(err, "name them: %s:PICTURES:LABELS", file->path);
}

static strata_status fail_none(const st_hdf5 *file, const char *what, strata_error *err) {
    char all[300];
    show_sets(all, file);
    return st_fail_file(err, STRATA_FORMAT, file->path, "holds no data set of %s; there %s %s", what,
                        file->count == 1 ? "is" : "are", file->count == 0 ? "none" : all);
}

static strata_status fail_both(const st_hdf5 *file, size_t one, size_t two, const char *what, strata_part part,
                               strata_error *err) {
    st_fail_file(err, STRATA_FORMAT, file->path, "'%.100s' and '%.100s' can both be the %s of the %s part",
                 file->sets[one].name, file->sets[two].name, what, part_words[part]);
    hint_naming(file, err);
    return STRATA_FORMAT;
}

static strata_status fail_no_labels(const st_hdf5 *file, size_t pictures, size_t count, strata_error *err) {
    char all[300];
    show_sets(all, file);
    return st_fail_file(err, STRATA_FORMAT, file->path,
                        "'%.100s' holds %zu pictures, but no data set of the same part holds %zu labels; there are %s",
                        file->sets[pictures].name, count, count, all);
}

strata_status st_hdf5_check(const st_hdf5 *file, size_t which, strata_error *err) {
    return st_hdf5_check_set(file, &file->sets[which], file->sets[which].name, err);
}

/* ---- by shape and name ---- */

/* The part that a set belongs to: its own name, that of the file, or else train. */
static strata_part part_of_set(const st_hdf5 *file, const st_hdf5_set *set) {
    const char *slash = strrchr(file->path, '/');
    strata_part part = STRATA_TRAIN;
    if (!st_hdf5_part_of(&part, set->name)) {
        (void)st_hdf5_part_of(&part, slash != NULL ? slash + 1 : file->path);
    }
    return part;
}

static bool is_labels_of(const st_hdf5 *file, size_t set, strata_part part, size_t count, bool one_hot, bool lists) {
    uint32_t axis = 0;
    size_t classes = 0;
    const st_hdf5_set *of = &file->sets[set];
    return part_of_set(file, of) == part && st_hdf5_is_labels(of, count, &axis, &classes) && (classes > 1) == one_hot &&
           is_classes(of) == lists;
}

enum { NONE = ST_HDF5_MOST_SETS, SEVERAL };

/* The one set, or NONE or SEVERAL, among those that `can` marks; names decide where there are several. */
static size_t only_one(const st_hdf5 *file, const bool *can, bool (*says)(const char *), size_t *one, size_t *two) {
    for (int named = 0; named < 2; named++) {
        size_t count = 0;
        for (size_t i = 0; i < file->count; i++) {
            if (can[i] && (named == 0 || says(file->sets[i].name))) {
                *two = i;
                *one = count == 0 ? i : *one;
                count++;
            }
        }
        if (count <= 1) {
            return count == 1 ? *one : named == 0 ? NONE : SEVERAL;
        }
    }
    return SEVERAL;
}

/* Numbers before one-hot rows; a list of class names only where nothing else can be it. */
static size_t find_labels(const st_hdf5 *file, strata_part part, size_t count, size_t *one, size_t *two) {
    static const bool orders[][2] = {{false, false}, {true, false}, {false, true}};
    for (size_t o = 0; o < ST_COUNT_OF(orders); o++) {
        bool can[ST_HDF5_MOST_SETS] = {false};
        for (size_t i = 0; i < file->count; i++) {
            can[i] = is_labels_of(file, i, part, count, orders[o][0], orders[o][1]);
        }
        size_t found = only_one(file, can, says_labels, one, two);
        if (found != NONE) {
            return found;
        }
    }
    return NONE;
}

/* The pair of a part. *found = false: it has no pictures. */
static strata_status choose_part(st_hdf5_pair *out, bool *found, const st_hdf5 *file, strata_part part,
                                 strata_error *err) {
    bool all[ST_HDF5_MOST_SETS] = {false}, labelled[ST_HDF5_MOST_SETS] = {false};
    size_t one = 0, two = 0;
    st_hdf5_form form;
    for (size_t i = 0; i < file->count; i++) {
        all[i] = part_of_set(file, &file->sets[i]) == part && st_hdf5_is_pictures(&form, &file->sets[i]);
        labelled[i] = all[i] && find_labels(file, part, form.count, &one, &two) != NONE;
    }
    size_t pictures = only_one(file, labelled, says_pictures, &one, &two);
    *found = pictures != NONE;
    if (pictures == NONE) {
        pictures = only_one(file, all, says_pictures, &one, &two);
        if (pictures == NONE) {
            return STRATA_OK;
        }
        pictures = pictures == SEVERAL ? one : pictures;
        (void)st_hdf5_is_pictures(&form, &file->sets[pictures]);
        return fail_no_labels(file, pictures, form.count, err);
    }
    if (pictures == SEVERAL) {
        return fail_both(file, one, two, "pictures", part, err);
    }
    (void)st_hdf5_is_pictures(&form, &file->sets[pictures]);
    size_t labels = find_labels(file, part, form.count, &one, &two);
    if (labels == SEVERAL) {
        return fail_both(file, one, two, "labels", part, err);
    }
    *out = (st_hdf5_pair){.part = part, .pictures = pictures, .labels = labels};
    return STRATA_OK;
}

/* A part whose name stands only at links or at damage is not passed over. */
static strata_status check_missing(const st_hdf5_choice *choice, const st_hdf5 *file, strata_error *err) {
    for (size_t i = 0; i < file->count; i++) {
        const st_hdf5_set *set = &file->sets[i];
        bool has_part = false;
        for (size_t p = 0; p < choice->count; p++) {
            has_part = has_part || choice->pairs[p].part == part_of_set(file, set);
        }
        bool is_hidden =
            set->fault == ST_HDF5_SOFT_LINK || set->fault == ST_HDF5_EXTERNAL_LINK || set->fault == ST_HDF5_DAMAGED;
        if (is_hidden && !has_part && (says_pictures(set->name) || says_labels(set->name))) {
            return st_hdf5_check(file, i, err);
        }
    }
    return STRATA_OK;
}

static strata_status choose_by_shape(st_hdf5_choice *out, const st_hdf5 *file, strata_error *err) {
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        bool found = false;
        ST_TRY(choose_part(&out->pairs[out->count], &found, file, (strata_part)part, err));
        out->count += found;
    }
    ST_TRY(check_missing(out, file, err));
    return out->count > 0 ? STRATA_OK
                          : fail_none(file, "pictures (n x h x w, with 1, 3 or 4 channels last or second)", err);
}

/* ---- by name ---- */

static strata_status find_set(size_t *out, const st_hdf5 *file, const char *name, size_t length, strata_error *err) {
    char all[300];
    for (; length > 0 && name[0] == '/'; length--) {
        name++;
    }
    for (size_t i = 0; i < file->count; i++) {
        if (strlen(file->sets[i].name) == length && memcmp(file->sets[i].name, name, length) == 0) {
            *out = i;
            return st_hdf5_check(file, i, err);
        }
    }
    show_sets(all, file);
    return st_fail_file(err, STRATA_MISSING, file->path, "holds no data set '%.*s'; there %s %s",
                        (int)(length < 100 ? length : 100), name, file->count == 1 ? "is" : "are",
                        file->count == 0 ? "none" : all);
}

static strata_status check_pair(const st_hdf5 *file, const st_hdf5_pair *pair, strata_error *err) {
    char shown[220];
    st_hdf5_form form;
    uint32_t axis = 0;
    size_t classes = 0;
    if (!st_hdf5_is_pictures(&form, &file->sets[pair->pictures])) {
        show_set(shown, sizeof shown, &file->sets[pair->pictures]);
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "%s cannot be pictures: expected n x h x w, with 1, 3 or 4 channels last or second", shown);
    }
    if (!st_hdf5_is_labels(&file->sets[pair->labels], form.count, &axis, &classes)) {
        show_set(shown, sizeof shown, &file->sets[pair->labels]);
        return st_fail_file(err, STRATA_FORMAT, file->path, "%s cannot be the labels of %zu pictures", shown,
                            form.count);
    }
    return STRATA_OK;
}

/* "PICTURES:LABELS" once for each part. */
static strata_status choose_by_name(st_hdf5_choice *out, const st_hdf5 *file, const char *selection,
                                    strata_error *err) {
    for (const char *at = selection; at != NULL;) {
        const char *middle = strchr(at, ':'), *next = middle != NULL ? strchr(middle + 1, ':') : NULL;
        if (middle == NULL) {
            return st_fail_file(err, STRATA_INVALID, file->path,
                                "'%s' has no labels beside it: expected FILE:PICTURES:LABELS", at);
        }
        if (out->count == STRATA_PART_COUNT) {
            return st_fail_file(err, STRATA_INVALID, file->path, "more than %d parts are named", STRATA_PART_COUNT);
        }
        st_hdf5_pair *pair = &out->pairs[out->count];
        size_t length = next != NULL ? (size_t)(next - middle) - 1 : strlen(middle + 1);
        ST_TRY(find_set(&pair->pictures, file, at, (size_t)(middle - at), err));
        ST_TRY(find_set(&pair->labels, file, middle + 1, length, err));
        ST_TRY(check_pair(file, pair, err));
        pair->part = part_of_set(file, &file->sets[pair->pictures]);
        for (size_t i = 0; i < out->count; i++) {
            if (out->pairs[i].part == pair->part) {
                return fail_both(file, out->pairs[i].pictures, pair->pictures, "pictures", pair->part, err);
            }
        }
        out->count++;
        at = next != NULL ? next + 1 : NULL;
    }
    return STRATA_OK;
}

/* ---- both ---- */

static void choose_classes(st_hdf5_choice *out, const st_hdf5 *file) {
    for (size_t i = 0; i < file->count && !out->has_classes; i++) {
        bool is_taken = false;
        for (size_t p = 0; p < out->count; p++) {
            is_taken = is_taken || out->pairs[p].pictures == i || out->pairs[p].labels == i;
        }
        if (!is_taken && is_classes(&file->sets[i])) {
            out->has_classes = true;
            out->classes = i;
        }
    }
}

strata_status st_hdf5_choose(st_hdf5_choice *out, const st_hdf5 *file, const char *selection, strata_error *err) {
    *out = (st_hdf5_choice){.count = 0};
    ST_TRY(selection != NULL ? choose_by_name(out, file, selection, err) : choose_by_shape(out, file, err));
    choose_classes(out, file);
    for (size_t i = 0; i < out->count; i++) {
        ST_TRY(st_hdf5_check(file, out->pairs[i].pictures, err));
        ST_TRY(st_hdf5_check(file, out->pairs[i].labels, err));
    }
    return out->has_classes ? st_hdf5_check(file, out->classes, err) : STRATA_OK;
}
