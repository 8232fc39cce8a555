/* What strata describe --json says. */
#include "description.h"

static void add_memory(json *j, const strata_memory *m) {
    json_count(j, "memory_bytes", (int64_t)m->total_bytes);
    json_count(j, "weights_bytes", (int64_t)m->weights_bytes);
    json_count(j, "gradients_bytes", (int64_t)m->gradients_bytes);
    json_count(j, "optimizer_bytes", (int64_t)m->optimizer_bytes);
    json_count(j, "activations_bytes", (int64_t)m->activations_bytes);
    json_count(j, "scratch_bytes", (int64_t)m->scratch_bytes);
    json_count(j, "batch_bytes", (int64_t)m->batch_bytes);
}

static void add_knobs(json *j, const strata_net *net) {
    json_open(j, "knobs", '[');
    for (size_t i = 0; i < strata_net_knob_count(net); i++) {
        strata_knob knob;
        strata_net_knob(net, i, &knob);
        json_open(j, NULL, '{');
        json_text(j, "name", knob.name);
        json_text(j, "value", knob.value);
        json_text(j, "default", knob.standard);
        json_text(j, "comment", knob.comment);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void print_description_json(const subject_net *s, const describe_arguments *a, const char *plan) {
    json j = {0};
    int64_t field = 0;
    json_open(&j, NULL, '{');
    json_text(&j, "name", s->info.name);
    json_text(&j, "description", s->info.description);
    json_open(&j, "input", '[');
    json_count(&j, NULL, s->info.input.height);
    json_count(&j, NULL, s->info.input.width);
    json_count(&j, NULL, s->info.input.channels);
    json_close(&j, ']');
    json_count(&j, "classes", s->info.class_count);
    json_count(&j, "parameters", s->info.parameters);
    json_count(&j, "statistics", s->info.statistics);
    json_count(&j, "multiply_adds", s->info.multiply_adds);
    json_count(&j, "batch", a->batch);
    json_bool(&j, "training", a->train);
    add_memory(&j, a->train ? &s->train : &s->infer);
    add_knobs(&j, s->net);
    json_open(&j, "layers", '[');
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        field = layer.receptive_field > field ? layer.receptive_field : field;
        if (layer.is_train_only && !a->train) {
            continue;
        }
        json_open(&j, NULL, '{');
        json_text(&j, "name", layer.name);
        json_text(&j, "op", layer.op);
        json_text(&j, "text", layer.text);
        json_open(&j, "output", '[');
        json_count(&j, NULL, layer.output.height);
        json_count(&j, NULL, layer.output.width);
        json_count(&j, NULL, layer.output.channels);
        json_close(&j, ']');
        json_count(&j, "parameters", layer.parameters);
        json_count(&j, "statistics", layer.statistics);
        json_count(&j, "multiply_adds", layer.multiply_adds);
        json_count(&j, "receptive_field", layer.receptive_field);
        json_count(&j, "receptive_stride", layer.receptive_stride);
        json_open(&j, "inputs", '[');
        for (size_t k = 0; k < layer.input_count; k++) {
            strata_layer_info input;
            strata_net_layer(s->net, (size_t)layer.inputs[k], &input);
            json_text(&j, NULL, input.name);
        }
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_count(&j, "receptive_field", field);
    if (plan != NULL) {
        json_text(&j, "plan", plan);
    }
    json_close(&j, '}');
    json_print(&j);
}
