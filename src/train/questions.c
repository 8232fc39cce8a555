/* Asking a model about pictures: each is read and looked at in one or several views by all threads, the views of a
 * round go through the net as batches, and what comes out is averaged picture by picture. Nothing of it depends on the
 * number of threads or on the size of a batch. */
#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A picture of the round. */
typedef struct asked {
    st_views views;
    strata_status status;
    strata_error error;
} asked;

typedef struct round_room {
    const st_questions *questions;
    st_arena *arena;
    st_reader *readers; /* [threads] */
    size_t most;        /* pictures in a round */
    size_t first, count;
    asked *pictures;      /* [most] */
    size_t slot;          /* bytes of a view at most */
    int views;            /* of each picture, at most */
    uint8_t *pixels;      /* [most * views][slot] */
    int32_t *labels;      /* [batch] */
    double *sums, *row;   /* [classes] */
    float *probabilities; /* [classes] */
    size_t images;        /* in the feed that is being made */
    st_preparation stored;
} round_room;

void st_probabilities(const strata_model *model, const st_real *output, double *out) {
    const st_graph *graph = model->core->graph;
    size_t count = model->class_count;
    bool is_ready = (graph->nodes[graph->outputs[graph->main_output].node].op->traits & ST_OP_GIVES_PROBABILITIES) != 0;
    double largest = (double)output[0], sum = 0.0;
    for (size_t i = 1; i < count; i++) {
        largest = (double)output[i] > largest ? (double)output[i] : largest;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = is_ready ? (double)output[i] : st_exp((double)output[i] - largest);
        sum += out[i];
    }
    for (size_t i = 0; i < count && !is_ready; i++) {
        out[i] /= sum;
    }
}

static size_t view_bytes(const st_views *views) {
    return (size_t)(views->out.height * views->out.width * views->out.channels);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static strata_status check_size(const round_room *room, const st_views *views, strata_shape stage, strata_error *err) {
    bool is_padded = views->geometry.fit == ST_FIT_PAD;
    strata_shape one = views->geometry.out;
    ST_FAIL_IF(is_padded && (stage.height != one.height || stage.width != one.width), err, STRATA_SHAPE,
               "a picture of %" PRId64 "x%" PRId64 " among those of %" PRId64 "x%" PRId64, stage.height, stage.width,
               views->out.height, views->out.width);
    ST_FAIL_IF(view_bytes(views) > room->slot, err, STRATA_SHAPE,
               "pictures of %" PRId64 "x%" PRId64 " are larger than the net's", views->out.height, views->out.width);
    return STRATA_OK;
}

static void look(void *arg, int64_t item, int thread) {
    round_room *room = arg;
    const st_questions *questions = room->questions;
    asked *picture = &room->pictures[item];
    st_reader *reader = &room->readers[thread];
    picture->status =
        questions->stage(questions->from, room->first + (size_t)item, reader, &picture->views, &picture->error);
    if (picture->status == STRATA_OK) {
        picture->status = check_size(room, &picture->views, reader->stage.shape, &picture->error);
    }
    for (int v = 0; picture->status == STRATA_OK && v < st_views_count(&picture->views); v++) {
        uint8_t *slot = room->pixels + ((size_t)item * (size_t)room->views + (size_t)v) * room->slot;
        st_views_cut(slot, &picture->views, &reader->stage, v);
    }
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* What the net's own loss says of the only view; else what the mean of the views gives. */
static void judge(const round_room *room, st_answer *answer, size_t image, bool is_only) {
    const st_questions *questions = room->questions;
    const st_exec *exec = questions->model->core->infer;
    int output = questions->model->core->graph->main_output;
    answer->rank = -1;
    if (questions->labels == NULL) {
        return;
    }
    int32_t label = questions->labels[answer->item];
    if (is_only && st_exec_losses(exec, output) != NULL) {
        answer->rank = st_exec_ranks(exec, output)[image];
        answer->loss = (double)st_exec_losses(exec, output)[image];
    } else {
        answer->rank = st_rank(answer->probabilities, questions->model->class_count, label);
        answer->loss = st_loss_of(room->sums[label]);
    }
    if (!(answer->loss < (double)INFINITY)) { /* numbers that are none have no order */
        answer->rank = (int32_t)questions->model->class_count;
    }
}

/* Adds the views that lie in the feed to their pictures, which follow each other. */
static void take_answers(round_room *room, size_t *picture, int *view) {
    const st_questions *questions = room->questions;
    const st_model *core = questions->model->core;
    size_t classes = questions->model->class_count;
    for (size_t image = 0; image < room->images; image++) {
        int count = st_views_count(&room->pictures[*picture].views);
        st_exec_output(core->infer, core->graph->main_output, (int64_t)image, core->scratch);
        st_probabilities(questions->model, core->scratch, room->row);
        for (size_t c = 0; c < classes; c++) {
            room->sums[c] = (*view == 0 ? 0.0 : room->sums[c]) + room->row[c];
        }
        if (++*view < count) {
            continue;
        }
        for (size_t c = 0; c < classes; c++) {
            room->sums[c] /= count;
            room->probabilities[c] = (float)room->sums[c];
        }
        st_answer answer = {.item = room->first + *picture, .probabilities = room->probabilities};
        judge(room, &answer, image, count == 1);
        questions->take(questions->to, &answer);
        *view = 0;
        (*picture)++;
    }
}

/* Runs what was collected. `at` is where its first view lies. */
static strata_status run_feed(round_room *room, const uint8_t *at, strata_shape shape, size_t *picture, int *view,
                              strata_error *err) {
    const st_questions *questions = room->questions;
    st_model *core = questions->model->core;
    st_dims dims = {shape.height, shape.width, shape.channels};
    ST_TRY(st_prepare_pictures(&core->preparation, core->graph, dims, &room->stored, err));
    st_feed feed = {
        .pixels = at, .labels = questions->labels != NULL ? room->labels : NULL, .n = (int64_t)room->images};
    st_model_infer(core, &feed);
    take_answers(room, picture, view);
    room->images = 0;
    return STRATA_OK;
}

/* A picture's views join the feed, which runs when it is full. Views of one feed have one size and lie side by side. */
static strata_status run_alike(round_room *room, size_t begin, size_t end, strata_error *err) {
    const st_questions *questions = room->questions;
    size_t batch = (size_t)questions->model->core->options.batch, picture = begin;
    strata_shape shape = room->pictures[begin].views.out;
    size_t bytes = view_bytes(&room->pictures[begin].views);
    uint8_t *start = room->pixels + begin * (size_t)room->views * room->slot, *to = start;
    int view = 0;
    for (size_t i = begin; i < end; i++) {
        for (int v = 0; v < st_views_count(&room->pictures[i].views); v++) {
            const uint8_t *from = room->pixels + (i * (size_t)room->views + (size_t)v) * room->slot;
            memmove(to, from, bytes); /* to the front: pictures may be smaller than their slots */
            to += bytes;
            room->labels[room->images++] = questions->labels != NULL ? questions->labels[room->first + i] : 0;
            if (room->images == batch) {
                ST_TRY(run_feed(room, start, shape, &picture, &view, err));
                start = to;
            }
        }
    }
    return room->images > 0 ? run_feed(room, start, shape, &picture, &view, err) : STRATA_OK;
}

static bool is_alike(const st_views *a, const st_views *b) {
    return a->out.height == b->out.height && a->out.width == b->out.width;
}

static strata_status run_round(round_room *room, strata_error *err) {
    const st_questions *questions = room->questions;
    st_pool_for(questions->model->core->pool, (int64_t)room->count, look, room);
    for (size_t i = 0; i < room->count;) {
        const asked *picture = &room->pictures[i];
        if (picture->status != STRATA_OK) {
            if (questions->miss == NULL) {
                if (err != NULL) {
                    *err = picture->error;
                }
                return picture->status;
            }
            questions->miss(questions->to, room->first + i, &picture->error);
            i++;
            continue;
        }
        size_t end = i + 1;
        while (end < room->count && room->pictures[end].status == STRATA_OK &&
               is_alike(&picture->views, &room->pictures[end].views)) {
            end++;
        }
        ST_TRY(run_alike(room, i, end, err));
        i = end;
    }
    return STRATA_OK;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static strata_status make_room(round_room *room, strata_error *err) {
    const st_questions *questions = room->questions;
    const st_model *core = questions->model->core;
    st_dims input = core->graph->input;
    size_t batch = (size_t)core->options.batch, classes = questions->model->class_count, images = 0;
    int crops = questions->options.crops > 1 ? 5 : 1;
    room->views = questions->options.flip || questions->options.crops == 10 ? 2 * crops : crops;
    room->most = batch / (size_t)room->views > 0 ? batch / (size_t)room->views : 1;
    room->most = room->most < questions->count ? room->most : questions->count;
    room->slot = (size_t)(input.h * input.w * input.c);
    ST_FAIL_IF(!st_size_mul(room->most, (size_t)room->views, &images), err, STRATA_MEMORY,
               "no memory for the pictures");
    ST_TRY(
        st_arena_alloc(&room->readers, room->arena, (size_t)st_pool_threads(core->pool), sizeof *room->readers, err));
    ST_TRY(st_arena_alloc(&room->pictures, room->arena, room->most, sizeof *room->pictures, err));
    ST_TRY(st_arena_alloc(&room->pixels, room->arena, images, room->slot, err));
    ST_TRY(st_arena_alloc(&room->labels, room->arena, batch, sizeof *room->labels, err));
    ST_TRY(st_arena_alloc(&room->sums, room->arena, classes, sizeof *room->sums, err));
    ST_TRY(st_arena_alloc(&room->row, room->arena, classes, sizeof *room->row, err));
    return st_arena_alloc(&room->probabilities, room->arena, classes, sizeof *room->probabilities, err);
}

static strata_status run_all(round_room *room, strata_error *err) {
    const st_questions *questions = room->questions;
    for (room->first = 0; room->first < questions->count; room->first += room->count) {
        size_t left = questions->count - room->first, done;
        room->count = left < room->most ? left : room->most;
        ST_TRY(run_round(room, err));
        done = room->first + room->count;
        ST_FAIL_IF(questions->progress != NULL && !questions->progress(done, questions->count, questions->user), err,
                   STRATA_CANCELLED, "stopped after %zu of %zu pictures", done, questions->count);
    }
    return STRATA_OK;
}

strata_status st_questions_ask(const st_questions *questions, strata_error *err) {
    st_model *core = questions->model->core;
    round_room room = {.questions = questions, .stored = core->preparation};
    int crops = questions->options.crops;
    ST_FAIL_IF(crops != 0 && crops != 1 && crops != 5 && crops != 10, err, STRATA_INVALID,
               "crops must be 1, 5 or 10, found %d", crops);
    ST_TRY(st_arena_create(&room.arena, err));
    strata_status status = make_room(&room, err);
    if (status == STRATA_OK) {
        status = run_all(&room, err);
    }
    core->preparation = room.stored;
    for (int t = 0; room.readers != NULL && t < st_pool_threads(core->pool); t++) {
        st_reader_free(&room.readers[t]);
    }
    st_arena_free(room.arena);
    return status;
}
