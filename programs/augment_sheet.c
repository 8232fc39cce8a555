/* strata data D --augment WORDS --sheet FILE: what the net will see. A row for each of some training pictures: as it
 * is, then as the words give it in one pass after the other. */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { ROWS = 8, PASSES = 7, LEAST_TILE = 96, MOST_TILE = 160 };

/* What a sheet is made with. */
typedef struct showing {
    const strata_dataset *data;
    strata_augmenter *augmenter;
    strata_sheet *sheet;
    size_t rows, indexes[ROWS];
    strata_picture original, seen[PASSES][ROWS];
} showing;

/* Evenly over the training part, which goes round the classes. */
static void choose(showing *with) {
    size_t count = strata_dataset_count(with->data, STRATA_TRAIN), classes = strata_dataset_class_count(with->data);
    with->rows = count < ROWS ? count : ROWS;
    for (size_t i = 0; i < with->rows; i++) {
        with->indexes[i] = i * count / with->rows;
        /* Near there, one of another class than those before. */
        for (size_t tried = 0; tried < classes && with->indexes[i] + tried < count; tried++) {
            int is = strata_dataset_label(with->data, STRATA_TRAIN, with->indexes[i] + tried);
            bool is_new = true;
            for (size_t k = 0; k < i; k++) {
                is_new = is_new && strata_dataset_label(with->data, STRATA_TRAIN, with->indexes[k]) != is;
            }
            if (is_new) {
                with->indexes[i] += tried;
                break;
            }
        }
    }
}

static strata_status add_row(showing *with, size_t row, strata_error *err) {
    text note = {0};
    int which;
    strata_status status =
        strata_dataset_picture(&with->original, with->data, STRATA_TRAIN, with->indexes[row], &which, err);
    if (status != STRATA_OK) {
        return status;
    }
    strata_sheet_row(with->sheet, NULL);
    text_add(&note, "%lldx%lld", (long long)with->original.shape.width, (long long)with->original.shape.height);
    status = strata_sheet_add(with->sheet, &with->original, strata_dataset_class(with->data, (size_t)which), note.bytes,
                              0, err);
    text_free(&note);
    for (size_t pass = 0; pass < PASSES && status == STRATA_OK; pass++) {
        status = strata_sheet_add(with->sheet, &with->seen[pass][row], NULL, NULL, 0, err);
    }
    return status;
}

static strata_status fill(showing *with, const char *sheet, strata_error *err) {
    text title = {0};
    const char *words = strata_augmenter_text(with->augmenter);
    strata_status status = STRATA_OK;
    choose(with);
    for (size_t pass = 0; pass < PASSES && status == STRATA_OK; pass++) {
        status = strata_augmenter_batch(with->seen[pass], with->augmenter, STRATA_TRAIN, with->indexes, with->rows,
                                        pass, err);
    }
    if (status != STRATA_OK) {
        return status;
    }
    int64_t side = with->seen[0][0].shape.width; /* small pictures are enlarged by a whole factor */
    int64_t tile = side >= MOST_TILE ? MOST_TILE : side * ((LEAST_TILE + side - 1) / side);
    text_add(&title, "%s as the net sees it: %s", strata_dataset_name(with->data),
             words[0] != '\0' ? words : "no augmentation");
    strata_sheet_options options = {.title = title.bytes, .columns = PASSES + 1, .tile = (int)tile};
    status = strata_sheet_create(&with->sheet, &options, err);
    for (size_t row = 0; row < with->rows && status == STRATA_OK; row++) {
        status = add_row(with, row, err);
    }
    text_free(&title);
    return status == STRATA_OK ? strata_sheet_write(with->sheet, sheet, err) : status;
}

static void tell(const showing *with, const char *sheet, bool is_json) {
    const char *words = strata_augmenter_text(with->augmenter);
    if (is_json) {
        json j = {0};
        json_open(&j, NULL, '{');
        json_text(&j, "name", strata_dataset_name(with->data));
        json_text(&j, "augment", words);
        json_count(&j, "pictures", (int64_t)with->rows);
        json_count(&j, "passes", PASSES);
        json_text(&j, "sheet", sheet);
        json_close(&j, '}');
        json_print(&j);
        return;
    }
    strata_shape is = with->seen[0][0].shape;
    printf("%s   %zu training pictures, each as it is and as the net sees it %d times\n",
           safe_text(strata_dataset_name(with->data)).s, with->rows, PASSES);
    print_fact("augment", "%s; %s", words[0] != '\0' ? words : "none", shape_text(is, false).s);
    print_fact("sheet", "%s", safe_text(sheet).s);
}

int augment_write_sheet(const strata_dataset *data, const char *words, uint64_t seed, const char *sheet, bool is_json) {
    showing with = {.data = data};
    strata_error err;
    strata_augment_options options = {.augment = words, .seed = seed};
    strata_status status = strata_augmenter_create(&with.augmenter, data, &options, &err);
    status = status == STRATA_OK ? fill(&with, sheet, &err) : status;
    if (status == STRATA_OK) {
        tell(&with, sheet, is_json);
    }
    for (size_t pass = 0; pass < PASSES; pass++) {
        for (size_t row = 0; row < ROWS; row++) {
            strata_picture_free(&with.seen[pass][row]);
        }
    }
    strata_picture_free(&with.original);
    strata_sheet_free(with.sheet);
    strata_augmenter_free(with.augmenter);
    return status == STRATA_OK ? DONE : report(&err);
}
