/* What the doctor found, for a program. */
#include "doctor.h"

static void add_file(json *j, const char *key, const strata_dataset *d, strata_place place) {
    char name[256];
    strata_dataset_file(d, place.part, place.index, name);
    json_text(j, key, name);
}

static void add_parts(json *j, const strata_dataset *d) {
    json_open(j, "parts", '[');
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        size_t count = strata_dataset_count(d, (strata_part)part);
        if (count == 0) {
            continue;
        }
        json_open(j, NULL, '{');
        json_text(j, "name", part_name((strata_part)part));
        json_count(j, "count", (int64_t)count);
        json_open(j, "class_counts", '[');
        for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
            json_count(j, NULL, (int64_t)strata_dataset_class_size(d, (strata_part)part, i));
        }
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void add_numbers(json *j, const char *key, const double *numbers, int64_t count) {
    json_open(j, key, '[');
    for (int64_t i = 0; i < count && i < 4; i++) {
        json_number(j, NULL, numbers[i]);
    }
    json_close(j, ']');
}

static void add_size(json *j, const char *key, strata_shape shape) {
    json_open(j, key, '[');
    json_count(j, NULL, shape.height);
    json_count(j, NULL, shape.width);
    json_close(j, ']');
}

static void add_sizes(json *j, const strata_checkup *found) {
    double average[2] = {found->height, found->width};
    json_open(j, "sizes", '{');
    add_size(j, "smallest", found->smallest);
    add_size(j, "median", found->median);
    add_size(j, "largest", found->largest);
    add_numbers(j, "average", average, 2);
    json_close(j, '}');
    json_count(j, "bytes", (int64_t)found->bytes);
    json_open(j, "modes", '{');
    json_count(j, "grey", (int64_t)found->grey);
    json_count(j, "cmyk", (int64_t)found->cmyk);
    json_count(j, "alpha", (int64_t)found->alpha);
    json_count(j, "palette", (int64_t)found->palette);
    json_count(j, "deep", (int64_t)found->deep);
    json_count(j, "turned", (int64_t)found->turned);
    json_close(j, '}');
}

static void add_groups(json *j, const char *key, const strata_dataset *d, const strata_alike *groups, size_t count) {
    json_open(j, key, '[');
    for (size_t g = 0; g < count; g++) {
        json_open(j, NULL, '{');
        json_bool(j, "parts_differ", groups[g].has_parts);
        json_bool(j, "labels_differ", groups[g].has_labels);
        json_open(j, "pictures", '[');
        for (size_t i = 0; i < groups[g].count; i++) {
            strata_place place = groups[g].places[i];
            json_open(j, NULL, '{');
            add_file(j, "file", d, place);
            json_text(j, "part", part_name(place.part));
            json_text(j, "class", strata_dataset_class(d, (size_t)strata_dataset_label(d, place.part, place.index)));
            json_close(j, '}');
        }
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void add_findings(json *j, const char *key, const strata_dataset *d, const strata_finding *list, size_t count) {
    json_open(j, key, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(j, NULL, '{');
        add_file(j, "file", d, list[i].place);
        json_text(j, "part", part_name(list[i].place.part));
        json_text(j, "reason", list[i].reason);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void add_broken(json *j, const strata_dataset *d) {
    json_open(j, "broken", '[');
    for (size_t i = 0; i < strata_dataset_broken_count(d); i++) {
        const char *reason = NULL, *name = strata_dataset_broken(d, i, &reason);
        json_open(j, NULL, '{');
        json_name(j, "file", name);
        json_text(j, "reason", reason);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void doctor_print_json(const patient *of) {
    const strata_dataset *d = of->data;
    const strata_checkup *found = of->checkup;
    strata_shape shape = strata_dataset_shape(d);
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "name", strata_dataset_name(d));
    json_text(&j, "kind", strata_dataset_kind(d));
    json_open(&j, "shape", '[');
    json_count(&j, NULL, shape.height);
    json_count(&j, NULL, shape.width);
    json_count(&j, NULL, shape.channels);
    json_close(&j, ']');
    json_open(&j, "classes", '[');
    for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
        json_text(&j, NULL, strata_dataset_class(d, i));
    }
    json_close(&j, ']');
    add_parts(&j, d);
    add_sizes(&j, found);
    add_numbers(&j, "mean", found->mean, shape.channels);
    add_numbers(&j, "deviation", found->deviation, shape.channels);
    add_groups(&j, "duplicates", d, found->duplicates, found->duplicate_count);
    add_groups(&j, "near_duplicates", d, found->near_duplicates, found->near_duplicate_count);
    add_findings(&j, "blank", d, found->blank, found->blank_count);
    add_findings(&j, "odd", d, found->odd, found->odd_count);
    add_broken(&j, d);
    json_close(&j, '}');
    json_print(&j);
}
