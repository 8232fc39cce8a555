/* strata convert: a model into the file of another program, which proves itself before it gets its name. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *net, *map, *preprocess, *check;
    int64_t limit;
    bool no_check, skip_self_test;
} arguments;

typedef struct work {
    const arguments *a;
    const char *in, *out;
    char *file;       /* with the weights; NULL: `in` is a net alone */
    char *beside;     /* of a .net: where its weights go */
    bool stays;       /* they are there already */
    bool is_prepared; /* the file or its publisher says how its pictures were */
    strata_runtime *runtime;
    strata_net *net;
    strata_weights *weights;
    strata_weights_info info;
    strata_dataset *data;
    strata_conversion done;
} work;

/* ---- what goes in ----------------------------------------------------------------------------------------------- */

/* The net that the file brings along, or --for. Exit status. */
static int open_net(work *w) {
    strata_error err;
    const arguments *a = w->a;
    if (w->info.has_net && a->net == NULL && a->common.settings.length > 0) {
        return refuse("--set changes a network; %s has one with weights that fit it", w->in);
    }
    if (!w->info.has_net && a->net == NULL) {
        int status = refuse("%s holds weights without a net: --for NET names it", w->in);
        hint("%s weights %s shows what is inside", program_name(), w->in);
        return status;
    }
    const char *from = a->net != NULL ? a->net : w->file;
    if (strata_net_load(&w->net, from, a->net != NULL ? a->common.settings.bytes : NULL, &err) != STRATA_OK) {
        return report(&err);
    }
    return DONE;
}

/* How its pictures are prepared: as it was asked for, as the file or its publisher says, else as the net says. Exit
 * status. */
static int prepare_net(work *w) {
    const arguments *a = w->a;
    if (a->preprocess != NULL) {
        return preparation_set(&w->net, a->preprocess);
    }
    if (w->weights == NULL || (w->info.has_net && a->net == NULL && strata_net_is_prepared(w->net))) {
        return DONE;
    }
    if (w->info.has_preparation) { /* and --for's net does not contradict it in the same file */
        w->is_prepared = true;
        return strata_net_is_prepared(w->net) ? preparation_set(&w->net, NULL) : DONE;
    }
    return preparation_take(&w->is_prepared, &w->net, w->weights, w->file, &a->common);
}

static int open_weights(work *w) {
    strata_error err;
    int status = open_net(w);
    if (status == DONE && w->a->map != NULL && strata_weights_map(w->weights, w->net, &err) != STRATA_OK) {
        status = report(&err);
    }
    return status;
}

static int open_input(work *w) {
    strata_error err;
    int status = DONE;
    if (w->weights != NULL) {
        status = open_weights(w);
    } else if (w->a->net != NULL || w->a->map != NULL) {
        status = refuse("%s is a network without weights: --%s is for a file of weights", w->in,
                        w->a->net != NULL ? "for" : "map");
    } else if (strata_net_load(&w->net, w->in, w->a->common.settings.bytes, &err) != STRATA_OK) {
        status = report(&err);
    }
    return status == DONE ? prepare_net(w) : status;
}

/* ---- where it goes ---------------------------------------------------------------------------------------------- */

/* A .net and the weights beside it. Where these are what goes in, only the text is written. Exit status. */
static int check_output(work *w) {
    const char *const inputs[] = {w->in, w->file, w->a->net};
    size_t length = strlen(w->out), end = strlen(".net");
    if (w->file != NULL && length > end && strcmp(w->out + length - end, ".net") == 0) {
        text path = {0};
        text_add_bytes(&path, w->out, length - end);
        text_add(&path, ".safetensors");
        w->beside = path.bytes;
        w->stays = is_same_file(w->beside, w->file);
    }
    int status = output_check(w->out, inputs, COUNT_OF(inputs));
    if (status == DONE && w->beside != NULL && !w->stays) {
        status = output_check(w->beside, inputs, COUNT_OF(inputs));
    }
    if (status == DONE && w->beside != NULL && !w->stays && path_exists(w->beside) && !path_exists(w->out)) {
        status = refuse("the weights would go into %s, which is there already: name another file", w->beside);
    }
    if (status == DONE && w->stays && (w->a->map != NULL || w->a->preprocess != NULL)) {
        status = refuse("%s is read and would have to change: name another file for the result", w->beside);
    }
    return status;
}

/* ---- what is said ----------------------------------------------------------------------------------------------- */

static const char *const proofs[STRATA_PROOF_COUNT] = {"none", "noise", "pictures"};

static void print_json(const work *w) {
    strata_net_info net;
    strata_net_info_get(w->net, false, &net);
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "net", net.name);
    json_text(&j, "in", w->in);
    json_text(&j, "from", w->weights != NULL ? w->info.format : "net");
    json_text(&j, "out", w->out);
    json_text(&j, "format", w->done.format);
    json_count(&j, "tensors", (int64_t)w->done.tensor_count);
    json_count(&j, "bytes", (int64_t)w->done.bytes);
    if (w->done.weights[0] != '\0') {
        json_text(&j, "weights", w->done.weights);
        json_count(&j, "weights_bytes", (int64_t)w->done.weights_bytes);
    }
    json_text(&j, "proof", proofs[w->done.proof]);
    if (w->done.proof != STRATA_PROOF_NONE) {
        json_count(&j, "pictures", (int64_t)w->done.pictures);
        json_number(&j, "largest_difference", w->done.largest);
        json_number(&j, "relative_difference", w->done.relative);
        json_number(&j, "limit", w->done.limit);
        json_count(&j, "changed_answers", (int64_t)w->done.changed);
    }
    json_count(&j, "peak_rss_bytes", (int64_t)memory_peak());
    json_close(&j, '}');
    json_print(&j);
}

static void print_proof(const work *w) {
    const strata_conversion *done = &w->done;
    text what = {0};
    if (done->proof == STRATA_PROOF_NONE) {
        if (w->weights != NULL) {
            print_fact("proof", "none: the file was not read again (--no-check)");
        }
        return;
    }
    if (done->proof == STRATA_PROOF_PICTURES) {
        text_add(&what, "%s pictures of %s", count_text((int64_t)done->pictures).s, strata_dataset_name(w->data));
    } else {
        text_add(&what, "%s pictures of noise (--check D: of a data set)", count_text((int64_t)done->pictures).s);
    }
    if (done->largest == 0.0) {
        print_fact("proof", "read again, the same numbers for %s, bit for bit", what.bytes);
    } else {
        print_fact("proof", "read again, %s: numbers before softmax differ by at most %.2g, %.2g of the norm; %s %s",
                   what.bytes, done->largest, done->relative, count_text((int64_t)done->changed).s,
                   done->changed == 1 ? "answer changed" : "answers changed");
    }
    text_free(&what);
}

static void print_before(const work *w) {
    strata_net_info net;
    strata_net_info_get(w->net, false, &net);
    print_fact("net", "%s, %s parameters", net.name, count_text(net.parameters).s);
    if (w->weights != NULL) {
        print_fact("weights", "%s, %s", safe_text(w->file).s, w->info.format);
        if (!w->is_prepared && !w->info.has_net && w->a->preprocess == NULL && strata_net_is_prepared(w->net)) {
            print_fact("pictures", "as %s says, since the file does not: %s", net.name, net.preparation);
        }
    }
}

static void print_after(const work *w) {
    print_proof(w);
    if (w->done.weights[0] != '\0') {
        print_fact("wrote", "%s: %s; %s", safe_text(w->out).s, w->done.format, bytes_text(w->done.bytes).s);
        print_fact("", "%s: %zu tensors; %s", safe_text(w->done.weights).s, w->done.tensor_count,
                   bytes_text(w->done.weights_bytes).s);
    } else if (w->stays) {
        print_fact("wrote", "%s: %s; %s; its weights stay in %s", safe_text(w->out).s, w->done.format,
                   bytes_text(w->done.bytes).s, safe_text(w->beside).s);
    } else if (w->weights == NULL) {
        print_fact("wrote", "%s: %s; %s", safe_text(w->out).s, w->done.format, bytes_text(w->done.bytes).s);
    } else {
        print_fact("wrote", "%s: %s, %zu tensors; %s", safe_text(w->out).s, w->done.format, w->done.tensor_count,
                   bytes_text(w->done.bytes).s);
    }
}

/* ---- the work --------------------------------------------------------------------------------------------------- */

static int convert(work *w) {
    strata_error err;
    const arguments *a = w->a;
    strata_options runtime = runtime_options(&a->common);
    int status = check_output(w);
    status = status == DONE ? open_input(w) : status;
    if (status != DONE) {
        return status;
    }
    if (strata_runtime_create(&w->runtime, &runtime, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_data_options data = {.seed = (uint64_t)a->common.seed};
    if (a->check != NULL && strata_dataset_open(&w->data, a->check, &data, &err) != STRATA_OK) {
        return report(&err);
    }
    print_before(w);
    if (w->weights != NULL && !a->no_check) {
        status = memory_check("checking", w->runtime, w->net, &(strata_build_options){.batch = 8});
    }
    if (status != DONE) {
        return status;
    }
    strata_convert_options options = {.check = w->data,
                                      .limit = (size_t)a->limit,
                                      .no_check = a->no_check,
                                      .seed = (uint64_t)a->common.seed,
                                      .weights = w->stays ? w->beside : NULL,
                                      .preprocess = a->preprocess != NULL,
                                      .skip_self_test = a->skip_self_test};
    if (strata_convert(&w->done, w->runtime, w->net, w->weights, w->out, &options, &err) != STRATA_OK) {
        return report(&err);
    }
    if (a->common.json) {
        print_json(w);
    } else {
        print_after(w);
    }
    return DONE;
}

/* Weights without a net, and none named: the same tensors in another file. */
static bool is_rewrite(const work *w) {
    return w->weights != NULL && !w->info.has_net && w->a->net == NULL && w->a->map == NULL && w->a->check == NULL;
}

/* What is known of a file by its bytes would be lost with them: its publisher's word goes into the new one. */
static int rewrite(work *w) {
    strata_error err;
    strata_weights_publication known = {.preprocess = ""};
    const char *preprocess = w->a->preprocess;
    int status = output_check(w->out, (const char *const[]){w->in}, 1);
    if (status != DONE) {
        return status;
    }
    bool is_said = preprocess != NULL || preparation_is_said(&w->info);
    if (!is_said && strata_weights_publication_get(&known, w->weights, &err) != STRATA_OK) {
        return report(&err);
    }
    if (known.preprocess[0] != '\0') {
        preprocess = known.preprocess;
        print_fact("pictures", "as %s published them: --preprocess \"%s\", written into the file", known.by,
                   preprocess);
    }
    if (strata_weights_save(w->weights, preprocess, w->out, &err) != STRATA_OK) {
        return report(&err);
    }
    if (w->a->common.json) {
        json j = {0};
        json_open(&j, NULL, '{');
        json_text(&j, "in", w->in);
        json_text(&j, "out", w->out);
        json_count(&j, "tensors", (int64_t)w->info.tensor_count);
        json_close(&j, '}');
        json_print(&j);
    } else {
        print_fact("proof", "read again, every tensor bit for bit");
        print_fact("wrote", "%s: %s tensors", safe_text(w->out).s, count_text((int64_t)w->info.tensor_count).s);
    }
    return DONE;
}

/* The file with the weights, opened once; a net of another program without any (a .cfg alone) is a net. Exit status. */
static int open_file(work *w) {
    strata_error err;
    w->file = weights_of(w->in);
    if (w->file == NULL) {
        return DONE;
    }
    if (strata_weights_open(&w->weights, w->file, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_weights_info_get(w->weights, &w->info);
    if (w->info.has_net && w->info.tensor_count == 0) {
        strata_weights_free(w->weights);
        free(w->file);
        w->weights = NULL;
        w->file = NULL;
    }
    return DONE;
}

static int run(void *all) {
    const arguments *a = all;
    work w = {.a = a, .in = a->common.items[0], .out = a->common.items[1]};
    if (a->no_check && a->check != NULL) {
        return refuse("--check and --no-check exclude each other");
    }
    int status = open_file(&w);
    if (status == DONE) {
        status = is_rewrite(&w) ? rewrite(&w) : convert(&w);
    }
    if (w.weights != NULL) {
        strata_weights_free(w.weights);
    }
    if (w.net != NULL) {
        strata_net_free(w.net);
    }
    if (w.data != NULL) {
        strata_dataset_free(w.data);
    }
    if (w.runtime != NULL) {
        strata_runtime_free(w.runtime);
    }
    free(w.file);
    free(w.beside);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "for", "NET", "the net of weights that bring none", offsetof(arguments, net), 0, 0},
    {OPTION_CHOICE, 0, "map", "order", "weights by order and shape, where names differ", offsetof(arguments, map), 0,
     0},
    {OPTION_TEXT, 0, "preprocess", "P", "writes in how pictures are prepared", offsetof(arguments, preprocess), 0, 0},
    {OPTION_TEXT, 0, "check", "D", "prove it with pictures of a data set (noise)", offsetof(arguments, check), 0, 0},
    {OPTION_COUNT, 0, "limit", "N", "so many of them (256, of noise 16)", offsetof(arguments, limit), 1, 1e9},
    {OPTION_FLAG, 0, "no-check", NULL, "write the file and do not look at it", offsetof(arguments, no_check), 0, 0},
    {OPTION_FLAG, 0, "no-self-test", NULL, "do not check the checkpoint's own test; make it anew",
     offsetof(arguments, skip_self_test), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

const command command_convert = {
    .name = "convert",
    .summary = "a model as a file of another program: ONNX, PyTorch, safetensors, .net",
    .usage = "convert RUN OUT\nconvert CHECKPOINT OUT\nconvert WEIGHTS OUT --for NET\nconvert NET OUT.net",
    .about = "OUT's ending names the format: .safetensors, .onnx, .pth, or .net, the text in one\n"
             "piece, with its weights in a .safetensors beside it. Weights keep their bits; ONNX\n"
             "has 32-bit numbers, to which smaller ones widen without loss.\n"
             "The file proves itself: it is read again and asked the same pictures. Where numbers\n"
             "differ by more than 1e-4 of the norm (ONNX) or at all (the others), no file is left.",
    .examples = "convert runs/lenet5-1 lenet5.onnx --check mnist | for ONNX Runtime\n"
                "convert runs/lenet5-1 lenet5.pth | for torch.load\n"
                "convert resnet18.pth resnet18.onnx --for resnet18 --preprocess torchvision\n"
                "convert resnet18 resnet18.net | the zoo's text, to change it",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 2,
    .most_items = 2,
    .items = "a model and the file to write",
    .run = run,
};
