/* strata trace: one batch through a network, and every value and gradient of it into a file that other programs read.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *weights, *batch, *out, *mode;
    bool activations, gradients;
} arguments;

typedef struct work {
    const arguments *a;
    strata_runtime *runtime;
    strata_net *net;
    char *weights; /* of the run or checkpoint; NULL: --weights or the seed */
    strata_trace_options options;
    strata_batch_info batch;
    strata_memory memory;
    strata_trace_info info;
    uint64_t bytes;
} work;

static strata_status trace_need(strata_memory *out, const void *of, int64_t batch, strata_error *err) {
    const work *w = of;
    return strata_trace_memory(out, w->runtime, w->net, batch, &w->options, err);
}

static int check_memory(work *w) {
    strata_net_info info;
    strata_net_info_get(w->net, w->options.train, &info);
    return memory_ask(
        &(memory_question){.need = trace_need, .of = w, .batch = w->batch.count, .doing = "tracing", .net = info.name},
        &w->memory);
}

static label weights_text(const work *w) {
    label out;
    if (w->options.weights != NULL) {
        return safe_text(w->options.weights);
    }
    snprintf(out.s, sizeof out.s, "drawn from seed %lld", (long long)w->options.seed);
    return out;
}

static void print_before(const work *w) {
    strata_net_info net;
    strata_net_info_get(w->net, w->options.train, &net);
    print_fact("net", "%s, %s parameters", net.name, count_text(net.parameters).s);
    print_fact("weights", "%s", weights_text(w).s);
    print_fact("batch", "%s images of %s%s", count_text(w->batch.count).s, shape_text(net.input, false).s,
               w->batch.has_labels ? " with labels" : ", no labels");
    print_fact("mode", "%s",
               w->options.train ? "train: statistics of the batch, side heads"
                                : "infer: stored statistics, no side heads");
    print_fact("memory", "%s predicted of %s free", bytes_text(w->memory.total_bytes).s, bytes_text(memory_free()).s);
}

static void print_json(const work *w) {
    strata_net_info net;
    strata_net_info_get(w->net, w->options.train, &net);
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "net", net.name);
    json_text(&j, "weights", weights_text(w).s);
    json_text(&j, "batch", w->a->batch);
    json_text(&j, "mode", w->options.train ? "train" : "infer");
    json_count(&j, "images", w->info.count);
    if (w->info.has_loss) {
        json_number(&j, "loss", w->info.loss);
    }
    json_count(&j, "outputs", (int64_t)w->info.output_count);
    json_count(&j, "activations", (int64_t)w->info.activation_count);
    json_count(&j, "gradients", (int64_t)w->info.gradient_count);
    json_text(&j, "out", w->a->out);
    json_count(&j, "bytes", (int64_t)w->bytes);
    json_count(&j, "peak_rss_bytes", (int64_t)memory_peak());
    json_close(&j, '}');
    json_print(&j);
}

static void print_after(const work *w) {
    text what = {0};
    text_add(&what, "%s", w->info.output_count == 1 ? "logits" : "");
    if (w->info.output_count > 1) {
        text_add(&what, "%s outputs", count_text((int64_t)w->info.output_count).s);
    }
    if (w->info.has_loss) {
        print_fact("loss", "%.6g", w->info.loss);
        text_add(&what, ", loss");
    }
    if (w->a->activations) {
        text_add(&what, ", %s activations", count_text((int64_t)w->info.activation_count).s);
    }
    if (w->a->gradients) {
        text_add(&what, ", %s gradients", count_text((int64_t)w->info.gradient_count).s);
    }
    print_fact("wrote", "%s: %s; %s", safe_text(w->a->out).s, what.bytes, bytes_text(w->bytes).s);
    text_free(&what);
    text next = {0};
    text_add(&next, "diff ");
    text_add_shell(&next, w->a->out);
    text_add(&next, " OTHER.safetensors");
    const char *const commands[] = {next.bytes}, *const reasons[] = {"which tensor differs first, and by how much"};
    print_next(commands, reasons, 1);
    text_free(&next);
}

static int trace(work *w) {
    const arguments *a = w->a;
    strata_error err;
    strata_options runtime = runtime_options(&a->common);
    int status = net_open(&w->net, a->common.items[0], &a->common);
    if (status != DONE) {
        return status;
    }
    w->weights = a->weights == NULL ? weights_of(a->common.items[0]) : NULL;
    w->options = (strata_trace_options){.weights = a->weights != NULL ? a->weights : w->weights,
                                        .seed = (uint64_t)a->common.seed,
                                        .train = strcmp(a->mode, "train") == 0,
                                        .activations = a->activations,
                                        .gradients = a->gradients};
    if (w->weights != NULL && a->common.settings.length > 0) {
        return refuse("--set changes a network; %s has one with weights that fit it", a->common.items[0]);
    }
    if (strata_batch_look(&w->batch, a->batch, w->net, &err) != STRATA_OK ||
        strata_runtime_create(&w->runtime, &runtime, &err) != STRATA_OK) {
        return report(&err);
    }
    status = check_memory(w);
    if (status != DONE) {
        return status;
    }
    print_before(w);
    if (strata_trace(&w->info, w->runtime, w->net, a->batch, a->out, &w->options, &err) != STRATA_OK) {
        return report(&err);
    }
    struct stat file;
    w->bytes = stat(a->out, &file) == 0 ? (uint64_t)file.st_size : 0;
    if (a->common.json) {
        print_json(w);
    } else {
        print_after(w);
    }
    return DONE;
}

static int run(void *all) {
    const arguments *a = all;
    work w = {.a = a};
    if (a->batch == NULL || a->out == NULL) {
        int status = refuse("trace needs --%s", a->batch == NULL ? "batch B.safetensors" : "out T.safetensors");
        hint("%s trace --help says what a batch file holds", program_name());
        return status;
    }
    const char *const inputs[] = {a->common.items[0], a->batch, a->weights};
    int status = output_check(a->out, inputs, COUNT_OF(inputs));
    status = status == DONE ? trace(&w) : status;
    if (w.net != NULL) {
        strata_net_free(w.net);
    }
    if (w.runtime != NULL) {
        strata_runtime_free(w.runtime);
    }
    free(w.weights);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "batch", "FILE", "`images` [N,C,H,W] and `labels` [N]", offsetof(arguments, batch), 0, 0},
    {OPTION_TEXT, 0, "out", "FILE", "where the tensors go", offsetof(arguments, out), 0, 0},
    {OPTION_CHOICE, 0, "mode", "infer|train", "train: batch statistics, side heads (infer)", offsetof(arguments, mode),
     0, 0},
    {OPTION_FLAG, 0, "activations", NULL, "each layer's output, under its path", offsetof(arguments, activations), 0,
     0},
    {OPTION_FLAG, 0, "gradients", NULL, "each weight's gradient, under its name", offsetof(arguments, gradients), 0, 0},
    {OPTION_TEXT, 0, "weights", "FILE", "of the network (without: drawn from --seed)", offsetof(arguments, weights), 0,
     0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.mode = "infer"};

const command command_trace = {
    .name = "trace",
    .summary = "one batch: every value and gradient, for comparing with other programs",
    .usage = "trace NET --batch B --out T\ntrace CHECKPOINT --batch B --out T",
    .about = "Runs one batch and writes what came of it, to compare with another program layer\n"
             "by layer. Both files are safetensors. The batch: `images`, F32 [N,C,H,W], already\n"
             "normalised; `labels`, I64 [N], which only a loss needs. The result, F32, axes in\n"
             "the published order, in the order in which it was computed:\n"
             "  PATH           the output of a layer, [N,C,H,W] or [N,C]   --activations\n"
             "  logits         the network's output, [N,C]\n"
             "  NAME.logits    the output of a side head                   --mode train\n"
             "  loss           weighted sum of the losses, mean over the images\n"
             "  PATH.weight    the gradient of the loss, last layer first  --gradients\n"
             "Paths are those of `describe --unfold`: labels joined by dots; in each group steps\n"
             "without a label are numbered from 0 (features.3, layer1.0.conv2), add and concat\n"
             "are called so. A layer that is called logits or loss gets .value behind it. In\n"
             "both modes dropout is the identity and no running statistic moves.",
    .examples = "trace resnet18 --batch b.safetensors --out t.safetensors\n"
                "trace runs/lenet5-1 --batch b --out t --activations | every layer\n"
                "trace googlenet --weights w --batch b --out t --mode train --gradients",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network, checkpoint or run",
    .run = run,
};
