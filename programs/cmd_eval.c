/* strata eval: how often models are right on labelled pictures, on which classes they are not, how sure one can be of
 * that, and whether one is better than another. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "evaluation.h"

static const char *const part_names[STRATA_PART_COUNT] = {"train", "val", "test"};

/* ---- data ------------------------------------------------------------------------------------------------------- */

/* --part, or the test part, or what is there. Exit status. */
static int choose_part(evaluation *e) {
    static const strata_part order[] = {STRATA_TEST, STRATA_VAL, STRATA_TRAIN};
    const char *wanted = e->a->part;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        bool is_wanted = wanted == NULL || strcmp(wanted, part_names[order[i]]) == 0;
        if (is_wanted && strata_dataset_count(e->data, order[i]) > 0) {
            e->part = order[i];
            e->part_name = part_names[order[i]];
            return DONE;
        }
    }
    return fail("%s has no %s part", strata_dataset_name(e->data), wanted != NULL ? wanted : "labelled");
}

static bool is_same_place(const char *a, const char *b) {
    struct stat x, y;
    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* What a run says of the data it learned from, where that is what is asked about. */
static strata_data_options options_of(const evaluation *e, const subject *s, const char *path) {
    if (s->is_run && (path == NULL || is_same_place(path, s->plan.data))) {
        return (strata_data_options){.hold_out = s->plan.hold_out,
                                     .seed = (uint64_t)s->plan.seed,
                                     .limit = (size_t)s->plan.limit,
                                     .strict = e->a->strict};
    }
    return (strata_data_options){.seed = (uint64_t)e->a->common.seed, .strict = e->a->strict};
}

/* The first note of data with broken pictures is about them. */
static void warn_of_broken(const strata_dataset *data) {
    if (strata_dataset_broken_count(data) > 0) {
        warn("%s", strata_dataset_note(data, 0));
    }
}

static int open_data(evaluation *e, const subject *s) {
    strata_error err;
    const char *path = e->a->data != NULL ? e->a->data : s->is_run ? s->plan.data : NULL;
    if (path == NULL) {
        return refuse("eval needs --data D: %s does not say which pictures", e->members[0].what);
    }
    e->data_options = options_of(e, s, e->a->data);
    e->data_path = take_copy(path, strlen(path));
    if (strata_dataset_open(&e->data, path, &e->data_options, &err) != STRATA_OK) {
        return report(&err);
    }
    warn_of_broken(e->data);
    return choose_part(e);
}

/* The first model decides about the data; what another one learned from may be in a part that was held out for the
 * first. */
static void check_split(evaluation *e, const subject *s, const char *what) {
    strata_data_options own = options_of(e, s, e->data_path);
    bool same = s->is_run && is_same_place(e->data_path, s->plan.data) && own.hold_out == e->data_options.hold_out &&
                own.seed == e->data_options.seed && own.limit == e->data_options.limit;
    if (same || !strata_dataset_was_held_out(e->data)) {
        return;
    }
    e->val_is_mixed = true;
    if (s->is_run && e->part != STRATA_TEST) {
        warn("%s held other pictures out than %s: it may have learned from some of these", what, e->members[0].what);
    }
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

/* Said before the start; refused where pictures cannot be counted. Exit status. */
static int match_classes(evaluation *e, const strata_model *model, const char *what) {
    strata_error err;
    strata_class_match *m = &e->match;
    if (strata_class_match_get(m, model, e->data, e->part, &err) != STRATA_OK) {
        return report(&err);
    }
    if (m->unknown > 0 && (!e->a->skip_unknown || m->known == 0)) {
        int status = fail("%s does not know %zu of the classes of %s: %s", what, m->unknown,
                          strata_dataset_name(e->data), m->unknown_names);
        if (m->known > 0) {
            hint("--skip-unknown leaves out what is of them: %s of %s pictures",
                 count_text((int64_t)m->unknown_pictures).s,
                 count_text((int64_t)strata_dataset_count(e->data, e->part)).s);
        }
        return status;
    }
    if (what != e->members[0].what) { /* an ensemble's members are alike */
        return DONE;
    }
    if (m->unknown > 0) {
        print_fact("classes", "%zu that the model does not know %s left out, with %s of %s pictures: %s", m->unknown,
                   m->unknown == 1 ? "is" : "are", count_text((int64_t)m->unknown_pictures).s,
                   count_text((int64_t)strata_dataset_count(e->data, e->part)).s, m->unknown_names);
    }
    if (m->by_number) {
        print_fact("classes", "by number, since names are missing: class 0 of the data is output 0 of the model");
    }
    if (m->absent > 0) {
        print_fact("classes", "%zu of the model's %s not in this part: %s", m->absent, m->absent == 1 ? "is" : "are",
                   m->absent_names);
    }
    return DONE;
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static strata_status ask(strata_predictions **out, const evaluation *e, strata_model *model, strata_part part,
                         bool skip_unknown, strata_error *err) {
    strata_predict_options options = {.crops = atoi(e->a->crops), .flip = e->a->flip, .skip_unknown = skip_unknown};
    live line;
    live_begin(&line);
    strata_status status = strata_predictions_create(out, model, e->data, part, &options, live_progress, &line, err);
    live_clear(&line);
    return status;
}

/* A temperature is fitted on pictures that chose nothing and test nothing: the val part. */
static bool wants_val(const evaluation *e) {
    return !e->a->compare && !e->a->common.quiet && !e->val_is_mixed && strata_dataset_count(e->data, STRATA_VAL) > 0;
}

static int check_room(const evaluation *e, const strata_model *model) {
    uint64_t need = strata_predictions_bytes(model, e->data, e->part), have = memory_free();
    need += wants_val(e) && e->part != STRATA_VAL ? strata_predictions_bytes(model, e->data, STRATA_VAL) : 0;
    if (need > have) {
        return fail("the answers for %s pictures need %s, this machine has %s free",
                    count_text((int64_t)strata_dataset_count(e->data, e->part)).s, bytes_text(need).s,
                    bytes_text(have).s);
    }
    if (need >= UINT64_C(100) << 20) {
        print_fact("memory", "%s for the answers, of %s free", bytes_text(need).s, bytes_text(have).s);
    }
    return DONE;
}

static int ask_model(evaluation *e, member *m, strata_model *model) {
    strata_error err;
    int status = class_names_give(model, e->a->classes);
    if (status == DONE) {
        status = match_classes(e, model, m->what);
    }
    if (status == DONE) {
        status = check_room(e, model);
    }
    if (status != DONE) {
        return status;
    }
    double begun = now();
    if (ask(&m->answers, e, model, e->part, e->a->skip_unknown, &err) != STRATA_OK) {
        return report(&err);
    }
    m->seconds = now() - begun;
    strata_predictions_measure(&m->metrics, m->answers, 0, NULL);
    if (wants_val(e) && e->part != STRATA_VAL && ask(&m->val, e, model, STRATA_VAL, true, &err) != STRATA_OK &&
        err.status != STRATA_MISSING) { /* a val part of unknown classes alone fits nothing */
        return report(&err);
    }
    return DONE;
}

/* One model after the other, so that only one needs memory at a time. */
static int ask_member(evaluation *e, size_t index) {
    member *m = &e->members[index];
    subject s;
    subject_wish wish = {.weights = e->a->weights,
                         .preprocess = e->a->preprocess,
                         .skip_self_test = e->a->skip_self_test,
                         .arguments = &e->a->common,
                         .batch = e->a->batch,
                         .doing = "evaluating"};
    int status = subject_open(&s, m->what, &wish);
    if (status != DONE) {
        return status;
    }
    if (index == 0) {
        strata_net_info net;
        strata_net_info_get(strata_model_net(s.model), false, &net);
        snprintf(e->net, sizeof e->net, "%s", net.name);
        status = open_data(e, &s);
        e->is_run = status == DONE && s.is_run && is_same_place(e->data_path, s.plan.data);
    } else {
        check_split(e, &s, m->what);
    }
    if (status == DONE) {
        status = ask_model(e, m, s.model);
    }
    subject_close(&s);
    return status;
}

/* ---- what follows from the answers ------------------------------------------------------------------------------ */

static strata_status join(strata_predictions **out, const evaluation *e, bool of_val, strata_error *err) {
    const strata_predictions **list = take(NULL, e->count * sizeof *list);
    bool all_there = true;
    for (size_t i = 0; i < e->count; i++) {
        list[i] = of_val ? e->members[i].val : e->members[i].answers;
        all_there = all_there && list[i] != NULL;
    }
    strata_status status = STRATA_OK;
    if (all_there) {
        status = strata_predictions_average(out, list, e->count, err);
    }
    free(list);
    return status;
}

static int join_members(evaluation *e) {
    strata_error err;
    if (e->count == 1) {
        e->answers = e->members[0].answers;
        e->val = e->members[0].val;
    } else if (join(&e->answers, e, false, &err) != STRATA_OK || join(&e->val, e, true, &err) != STRATA_OK) {
        return report(&err);
    }
    for (size_t i = 0; i < e->count; i++) {
        e->seconds += e->members[i].seconds;
    }
    e->class_count = strata_predictions_class_count(e->answers);
    e->confusion = take(NULL, e->class_count * e->class_count * sizeof *e->confusion);
    strata_predictions_measure(&e->metrics, e->answers, 0, e->confusion);
    return DONE;
}

static void calibrate(evaluation *e) {
    strata_metrics at;
    e->val = e->val_is_mixed ? NULL : e->part == STRATA_VAL ? e->answers : e->val;
    e->has_temperature = e->val != NULL && strata_predictions_temperature(&e->temperature, e->val);
    if (e->has_temperature) {
        strata_predictions_measure(&at, e->answers, e->temperature, NULL);
        e->calibrated_error = at.calibration_error;
    }
}

static const char *name_of_class(const void *predictions, size_t index) {
    return strata_predictions_class((strata_predictions *)(uintptr_t)predictions, index);
}

/* A run's folder gets the drawing by itself, and does without it where it cannot be written; a file that was asked for
 * must be there in the end. Exit status. */
static int draw(evaluation *e) {
    strata_error err;
    const char *asked = e->a->drawing;
    if (asked == NULL && (!e->is_run || e->count > 1)) {
        return DONE;
    }
    text title = {0};
    text_add(&title, "%s%s on %s, %s: %s right", e->net, e->count > 1 ? " and others" : "",
             strata_dataset_name(e->data), e->part_name, share_text(e->metrics.top1).s);
    char *path = asked != NULL ? take_copy(asked, strlen(asked)) : path_join(e->members[0].what, "confusion.svg");
    strata_status status =
        svg_confusion(path, title.bytes, e->confusion, e->class_count, name_of_class, e->answers, &err);
    text_free(&title);
    if (status == STRATA_OK) {
        e->drawing = path;
        return DONE;
    }
    if (asked == NULL) {
        warn("%s is not written: %s", path, err.message);
    }
    free(path);
    return asked != NULL ? report(&err) : DONE;
}

/* ---- the work --------------------------------------------------------------------------------------------------- */

static int compare(evaluation *e) {
    strata_error err;
    if (strata_predictions_compare(&e->pairing, e->members[0].answers, e->members[1].answers, &err) != STRATA_OK) {
        return report(&err);
    }
    if (e->a->common.json) {
        print_evaluation_json(e);
    } else {
        show_comparison(e);
    }
    return DONE;
}

static int evaluate(evaluation *e) {
    int status = DONE;
    for (size_t i = 0; i < e->count && status == DONE; i++) {
        status = ask_member(e, i);
    }
    if (status == DONE && e->a->compare) {
        return compare(e);
    }
    if (status == DONE) {
        status = join_members(e);
    }
    if (status != DONE) {
        return status;
    }
    calibrate(e);
    status = draw(e);
    if (e->a->common.json) {
        print_evaluation_json(e);
    } else {
        show_evaluation(e);
    }
    int drawn = e->a->mistakes != NULL ? draw_mistakes(e) : DONE;
    return status != DONE ? status : drawn;
}

static int check_line(const eval_arguments *a) {
    const common *c = &a->common;
    if (a->compare && c->item_count != 2) {
        return refuse("--compare takes two models, found %d", c->item_count);
    }
    if (a->compare && (a->drawing != NULL || a->mistakes != NULL || a->matrix)) {
        return refuse("--compare says which of two is better; the rest is about one model or an ensemble");
    }
    if (a->weights != NULL && c->item_count > 1) {
        return refuse("--weights is for one network; checkpoints in its place make an ensemble");
    }
    const char *outputs[] = {a->drawing, a->mistakes};
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        for (int k = 0; k < c->item_count; k++) {
            const char *inputs[] = {c->items[k], a->weights, a->classes};
            int status = output_check(outputs[i], inputs, COUNT_OF(inputs));
            if (status != DONE) {
                return status;
            }
        }
    }
    return DONE;
}

static void forget(evaluation *e) {
    if (e->count > 1) {
        strata_predictions_free(e->answers);
        strata_predictions_free(e->val != e->answers ? e->val : NULL);
    }
    for (size_t i = 0; i < e->count; i++) {
        strata_predictions_free(e->members[i].answers);
        strata_predictions_free(e->members[i].val);
    }
    if (e->data != NULL) {
        strata_dataset_free(e->data);
    }
    free(e->members);
    free(e->data_path);
    free(e->confusion);
    free(e->drawing);
}

static int run(void *all) {
    const eval_arguments *a = all;
    int status = check_line(a);
    if (status != DONE) {
        return status;
    }
    evaluation e = {.a = a, .count = (size_t)a->common.item_count};
    e.members = memset(take(NULL, e.count * sizeof *e.members), 0, e.count * sizeof *e.members);
    for (size_t i = 0; i < e.count; i++) {
        e.members[i].what = a->common.items[i];
    }
    status = evaluate(&e);
    forget(&e);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "data", "D", "labelled pictures (a run: those it was trained on)", offsetof(eval_arguments, data),
     0, 0},
    {OPTION_CHOICE, 0, "part", "test|val|train", "which of them (test, or what is there)",
     offsetof(eval_arguments, part), 0, 0},
    {OPTION_TEXT, 0, "weights", "FILE", "weights for a network without any", offsetof(eval_arguments, weights), 0, 0},
    {OPTION_TEXT, 0, "classes", "FILE", "names for classes without: one a line", offsetof(eval_arguments, classes), 0,
     0},
    {OPTION_FLAG, 0, "strict", NULL, "refuse where a picture cannot be read", offsetof(eval_arguments, strict), 0, 0},
    {OPTION_FLAG, 0, "skip-unknown", NULL, "leave out classes that the model does not know",
     offsetof(eval_arguments, skip_unknown), 0, 0},
    {OPTION_CHOICE, 0, "crops", "1|5|10", "windows of a picture to average (1)", offsetof(eval_arguments, crops), 0, 0},
    {OPTION_FLAG, 0, "flip", NULL, "average with the mirror image", offsetof(eval_arguments, flip), 0, 0},
    {OPTION_FLAG, 0, "compare", NULL, "is one of two models better? McNemar's exact test",
     offsetof(eval_arguments, compare), 0, 0},
    {OPTION_FLAG, 0, "matrix", NULL, "the confusion matrix as a table", offsetof(eval_arguments, matrix), 0, 0},
    {OPTION_TEXT, 0, "confusion", "FILE.svg", "the confusion matrix as a drawing", offsetof(eval_arguments, drawing), 0,
     0},
    {OPTION_TEXT, 0, "mistakes", "FILE.png", "the worst mistakes as a contact sheet",
     offsetof(eval_arguments, mistakes), 0, 0},
    {OPTION_COUNT, 0, "top", "N", "--json: so many classes of each picture (5)", offsetof(eval_arguments, top), 1, 1e6},
    {OPTION_COUNT, 0, "batch", "N", "pictures at once (64); no result depends on it", offsetof(eval_arguments, batch),
     1, 1e6},
    {OPTION_TEXT, 0, "preprocess", "P", "how pictures are prepared: torchvision, caffe, ...",
     offsetof(eval_arguments, preprocess), 0, 0},
    {OPTION_FLAG, 0, "no-self-test", NULL, "do not check the checkpoint's own test",
     offsetof(eval_arguments, skip_self_test), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const eval_arguments defaults = {.batch = 64, .top = 5, .crops = "1"};

const command command_eval = {
    .name = "eval",
    .summary = "how often trained models are right, and which classes they confuse",
    .usage = "eval RUN\neval CHECKPOINT --data D\neval NET --weights FILE --data D\neval RUN RUN... [--compare]",
    .about = "Asks trained models about every picture of a part: top-1 with its 95% interval\n"
             "(Wilson), top-5, loss, the classes from the worst to the best, how far the\n"
             "probabilities are from the hits, and the temperature that would mend it. Several\n"
             "models are an ensemble: their probabilities are averaged. docs/evaluation.md has\n"
             "the definitions. On its own data a run's folder also gets confusion.svg.",
    .examples = "eval runs/lenet5-1 | the test part\n"
                "eval runs/lenet5-1 --part val | where it was chosen\n"
                "eval runs/lenet5-1 --flip --mistakes worst.png\n"
                "eval runs/lenet5-1 runs/lenet5-2 | an ensemble\n"
                "eval runs/lenet5-1 runs/lenet5-2 --compare | which is better?\n"
                "eval runs/lenet5-1 --json | every answer, for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(eval_arguments),
    .least_items = 1,
    .most_items = 64,
    .items = "runs, checkpoints or a network",
    .run = run,
};
