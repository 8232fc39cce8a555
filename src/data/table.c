/* What data sets there are: the kinds that are found by looking, and the few that are known by name. */
#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- kinds ---- */

static const st_data_kind *const kinds[] = {&st_data_idx, &st_data_cifar, &st_data_hdf5, &st_data_list,
                                            &st_data_folder};

size_t st_data_kind_count(void) {
    return ST_COUNT_OF(kinds);
}

const st_data_kind *st_data_kind_at(size_t index) {
    return kinds[index];
}

const st_data_kind *st_data_kind_find(const char *path) {
    for (size_t i = 0; i < ST_COUNT_OF(kinds); i++) {
        if (kinds[i]->probe(path)) {
            return kinds[i];
        }
    }
    return NULL;
}

/* ---- names ---- */

static const char *const fashion_classes[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                              "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

static const st_data_known known_sets[] = {
    {.name = "fashion-mnist", .package = "dataset-fashion-mnist", .classes = fashion_classes, .class_count = 10},
    {.name = "mnist", .class_count = 10},
    {.name = "cifar-10"},
    {.name = "cifar-100"},
};

static char fold(const char **at) {
    while (**at == '-' || **at == '_') {
        ++*at;
    }
    char c = **at;
    *at += c != '\0';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_same_name(const char *a, const char *b) {
    char one, two;
    do {
        one = fold(&a);
        two = fold(&b);
    } while (one == two && one != '\0');
    return one == two;
}

const st_data_known *st_data_known_find(const char *name) {
    for (size_t i = 0; i < ST_COUNT_OF(known_sets); i++) {
        if (is_same_name(name, known_sets[i].name)) {
            return &known_sets[i];
        }
    }
    return NULL;
}

bool st_data_is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

strata_status st_data_join(char out[256], const char *folder, const char *name, strata_error *err) {
    int length = snprintf(out, 256, "%s/%s", folder, name);
    if (length < 0 || length >= 256) {
        return st_fail_file(err, STRATA_INVALID, folder, "the path with '%s' is longer than 255 bytes", name);
    }
    return STRATA_OK;
}

strata_status st_data_known_folder(char out[256], const st_data_known *known, strata_error *err) {
    const char *const roots[] = {getenv("STRATA_DATA"), "/usr/share/datasets"};
    struct stat about;
    for (size_t i = 0; i < ST_COUNT_OF(roots); i++) {
        if (roots[i] != NULL && roots[i][0] != '\0' && st_data_join(out, roots[i], known->name, NULL) == STRATA_OK &&
            stat(out, &about) == 0) {
            return STRATA_OK;
        }
    }
    st_fail(err, STRATA_MISSING, "the data set '%s' is not installed: %s has no such folder%s", known->name, roots[1],
            roots[0] != NULL ? ", nor has $STRATA_DATA" : "");
    if (known->package != NULL) {
        st_error_hint(err, "Debian's package installs it: apt-get install %s", known->package);
    } else {
        st_error_hint(err, "give the folder that holds its files, or set STRATA_DATA to the folder above '%s'",
                      known->name);
    }
    return STRATA_MISSING;
}
