/* Class probabilities of pictures, in memory or in files: brought to size and numbers as in training, by all threads.
 */
#include <string.h>
#include <sys/stat.h>

#include "train/train.h"

/* A picture as the model prepares it, into with->stage; it may lie in with->picture. */
static strata_status stage_picture(st_reader *with, const strata_picture *picture, const strata_model *model,
                                   const strata_predict_options *options, st_views *views, strata_error *err) {
    st_geometry geometry;
    st_preparation preparation;
    ST_TRY(st_train_prepare(&geometry, &preparation, model, picture->shape, err));
    ST_TRY(st_views_choose(views, &geometry, &preparation, model->core->graph->input, options, err));
    return st_fit_stage(&with->stage, picture, &views->geometry, st_geometry_stage(&views->geometry, picture->shape),
                        err);
}

/* ---- in memory -------------------------------------------------------------------------------------------------- */

typedef struct images {
    const strata_model *model;
    const uint8_t *pixels;
    strata_shape shape;
    float *out;
} images;

static strata_status stage_of_image(const void *from, size_t item, st_reader *with, st_views *views,
                                    strata_error *err) {
    const images *all = from;
    size_t bytes = (size_t)(all->shape.height * all->shape.width * all->shape.channels);
    const strata_picture lent = {.shape = all->shape, .pixels = (uint8_t *)(uintptr_t)(all->pixels + item * bytes)};
    return stage_picture(with, &lent, all->model, NULL, views, err);
}

static void take_image(void *to, const st_answer *answer) {
    const images *all = to;
    size_t classes = all->model->class_count;
    memcpy(all->out + answer->item * classes, answer->probabilities, classes * sizeof *all->out);
}

strata_status strata_model_infer(strata_model *model, const uint8_t *pixels, size_t count, strata_shape shape,
                                 float *out, strata_error *err) {
    ST_FAIL_IF(count == 0, err, STRATA_INVALID, "there must be at least 1 picture, found 0");
    images all = {.model = model, .pixels = pixels, .shape = shape, .out = out};
    st_questions questions = {
        .model = model, .count = count, .stage = stage_of_image, .from = &all, .take = take_image, .to = &all};
    return st_questions_ask(&questions, err);
}

/* ---- in files --------------------------------------------------------------------------------------------------- */

typedef struct files {
    strata_model *model;
    const char *const *names;
    const strata_predict_options *options;
    int64_t least_side; /* a JPEG may be decoded smaller, as for a data set */
    size_t count, row;
    float *out;
    strata_error *errors;
} files;

static strata_status read_encoded(st_reader *with, const char *path, int64_t least_side, strata_error *err) {
    size_t length = 0;
    strata_status status = st_reader_file(with, &length, path, err);
    if (status != STRATA_OK) {
        st_error_file(err, path);
        return status;
    }
    return st_picture_decode(&with->picture, NULL, with->file, length, least_side, path, err);
}

static strata_status read_picture(st_reader *with, const char *path, int64_t least_side, strata_error *err) {
    struct stat about;
    if (stat(path, &about) == 0 && S_ISREG(about.st_mode) && !st_idx_probe_file(path)) {
        return read_encoded(with, path, least_side, err);
    }
    strata_picture_free(&with->picture);
    return strata_picture_open(&with->picture, path,
                               err); /* one of an IDX file or a data set, a pipe; or it says why */
}

static strata_status stage_of_file(const void *from, size_t item, st_reader *with, st_views *views, strata_error *err) {
    const files *all = from;
    const char *path = all->names[item];
    ST_TRY(read_picture(with, path, all->least_side, err));
    strata_status status = stage_picture(with, &with->picture, all->model, all->options, views, err);
    st_error_file(err, path);
    return status;
}

static void take_row(void *to, const st_answer *answer) {
    files *all = to;
    memcpy(all->out + answer->item * all->row, answer->probabilities, all->row * sizeof *all->out);
}

static void miss_row(void *to, size_t item, const strata_error *why) {
    files *all = to;
    all->errors[item] = *why;
}

/* The side below which no picture is decoded: what its stage picture has. */
static strata_status choose_least_side(files *all, strata_error *err) {
    st_geometry geometry;
    st_preparation preparation;
    st_views views;
    strata_shape any = {0, 0, all->model->core->graph->input.c};
    ST_TRY(st_train_prepare(&geometry, &preparation, all->model, any, err));
    ST_TRY(st_views_choose(&views, &geometry, &preparation, all->model->core->graph->input, all->options, err));
    strata_shape stage = st_geometry_stage(&views.geometry, views.out);
    all->least_side = geometry.fit == ST_FIT_PAD ? 0 : stage.height < stage.width ? stage.height : stage.width;
    return STRATA_OK;
}

strata_status strata_model_predict(strata_model *model, const char *const *names, size_t count,
                                   const strata_predict_options *options, float *out, strata_error *errors,
                                   strata_error *err) {
    static const strata_predict_options none;
    options = options != NULL ? options : &none;
    files all = {.model = model,
                 .names = names,
                 .options = options,
                 .count = count,
                 .row = model->class_count,
                 .out = out,
                 .errors = errors};
    memset(out, 0, count * all.row * sizeof *out);
    for (size_t i = 0; errors != NULL && i < count; i++) {
        errors[i] = (strata_error){0};
    }
    ST_TRY(choose_least_side(&all, err));
    st_questions questions = {.model = model,
                              .count = count,
                              .options = *options,
                              .stage = stage_of_file,
                              .from = &all,
                              .take = take_row,
                              .miss = errors != NULL ? miss_row : NULL,
                              .to = &all};
    return st_questions_ask(&questions, err);
}
