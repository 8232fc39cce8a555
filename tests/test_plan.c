/* Plans: what is fused, which gradients are left out, and that no two pieces of memory that live at the same time
 * overlap, on every net of the zoo and on small nets made for one rule each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "lab.h"
#include "plan/plan.h"

typedef struct planned {
    st_arena *arena;
    const st_graph *graph;
    const st_plan *plan;
} planned;

static planned plan_tree(st_arena *arena, const st_tree *tree, st_mode mode, int64_t batch, const char *freeze) {
    planned p = {.arena = arena};
    strata_error err = {0};
    must(st_graph_build(&p.graph, arena, tree, NULL, freeze, &err), &err);
    st_plan_options options = {.mode = mode, .batch = batch, .threads = 2, .kernels = st_kernels_at(0)};
    must(st_plan_build(&p.plan, arena, p.graph, &options, &err), &err);
    return p;
}

static planned plan_text(const char *text, st_mode mode, int64_t batch, const char *freeze) {
    st_arena *arena = NULL;
    const st_tree *tree = NULL;
    strata_error err = {0};
    must(st_arena_create(&arena, &err), &err);
    must(st_lang_parse(&tree, arena, "test.net", text, strlen(text), &err), &err);
    return plan_tree(arena, tree, mode, batch, freeze);
}

static void check_pair(const st_piece *a, const st_piece *b, const char *what) {
    bool lives_together = a->bytes > 0 && b->bytes > 0 && a->first <= a->last && b->first <= b->last &&
                          a->first <= b->last && b->first <= a->last;
    if (lives_together && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes) {
        fail_msg("%s: two pieces overlap at %zu and %zu", what, a->offset, b->offset);
    }
}

static void check_memory(const planned *p) {
    enum { MOST = 8192 };
    static const st_piece *pieces[MOST];
    size_t count = 0, sum = 0;
    for (int i = 0; i < p->graph->node_count; i++) {
        if (p->plan->slots[i].parent < 0) {
            pieces[count++] = &p->plan->slots[i].data;
            pieces[count++] = &p->plan->slots[i].gradient;
        }
    }
    for (int s = 0; s < p->plan->step_count; s++) {
        pieces[count++] = &p->plan->steps[s].kept;
        pieces[count++] = &p->plan->steps[s].shared_forward;
        pieces[count++] = &p->plan->steps[s].shared_backward;
        pieces[count++] = &p->plan->steps[s].affine_data;
        assert_true(count + 4 < MOST);
    }
    for (size_t i = 0; i < count; i++) {
        sum += pieces[i]->first <= pieces[i]->last ? pieces[i]->bytes : 0;
        assert_true(pieces[i]->first > pieces[i]->last || pieces[i]->bytes == 0 ||
                    pieces[i]->offset + pieces[i]->bytes <= p->plan->arena_bytes);
        for (size_t k = 0; k < i; k++) {
            check_pair(pieces[i], pieces[k], p->graph->name);
        }
    }
    assert_true(p->plan->arena_bytes <= sum);
}

static void test_memory_of_the_zoo_never_overlaps(void **state) {
    (void)state;
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        if (strchr(st_zoo_files[i].path, '/') != NULL) {
            continue;
        }
        for (int mode = ST_MODE_INFER; mode <= ST_MODE_TRAIN; mode++) {
            st_arena *arena = NULL;
            const st_tree *tree = NULL;
            strata_error err = {0};
            must(st_arena_create(&arena, &err), &err);
            must(st_lang_load(&tree, arena, st_zoo_files[i].name, &err), &err);
            planned p = plan_tree(arena, tree, (st_mode)mode, 3, NULL);
            check_memory(&p);
            st_arena_free(p.arena);
        }
    }
}

static void test_small_channels_run_in_image_lanes(void **state) {
    (void)state;
    planned p = plan_text("network n {\ninput 12x12x1\nconv 3x3 8, relu\navgpool global\nfc 10\noutput logits "
                          "loss=cross_entropy\n}\n",
                          ST_MODE_TRAIN, 5, NULL);
    assert_int_equal(p.plan->layout, ST_LAYOUT_LANES);
    st_arena_free(p.arena);
    p = plan_text("network n {\ninput 12x12x1\nconv 3x3 17, relu\navgpool global\nfc 10\noutput logits "
                  "loss=cross_entropy\n}\n",
                  ST_MODE_TRAIN, 5, NULL);
    assert_int_equal(p.plan->layout, ST_LAYOUT_NHWC);
    st_arena_free(p.arena);
}

static const char *const RESIDUAL =
    "network n {\ninput 8x8x32\nstem: { conv 3x3 32 pad=1, bn, relu }\nadd {\n| conv 3x3 32 pad=1, bn\n| identity\n}\n"
    "relu\nconcat {\n| conv 1x1 8, relu\n| conv 3x3 24 pad=1\n}\navgpool global\nfc 10\n"
    "output logits loss=cross_entropy\n}\n";

static void test_inference_fuses_norm_add_and_activation(void **state) {
    (void)state;
    planned p = plan_text(RESIDUAL, ST_MODE_INFER, 4, NULL);
    /* four convolutions, avgpool, fc, loss: everything else is part of them */
    assert_int_equal(p.plan->step_count, 7);
    const st_step *second = &p.plan->steps[1];
    assert_non_null(second->affine);
    assert_true(second->residual >= 0);
    assert_int_equal(second->activation, ST_ACTIVATION_RELU);
    assert_true(p.plan->slots[p.plan->steps[2].value].parent >= 0);
    assert_int_equal(p.plan->slots[p.plan->steps[3].value].channel_offset, 8);
    check_memory(&p);
    st_arena_free(p.arena);
}

/* The shortcut of a block whose size does not change costs nothing; where it does, the sum is its own epilogue. */
static void test_subsample_of_equal_size_is_a_view(void **state) {
    (void)state;
    for (int mode = ST_MODE_INFER; mode <= ST_MODE_TRAIN; mode++) {
        planned p = plan_text("network n {\ninput 8x8x32\nstem: conv 3x3 32 pad=1\n"
                              "add {\n| conv 3x3 32 pad=1\n| subsample 32\n}\nrelu\n"
                              "add {\n| conv 3x3 64 stride=2 pad=1\n| subsample 64 stride=2\n}\nrelu\n"
                              "avgpool global\nfc 10\noutput logits loss=cross_entropy\n}\n",
                              (st_mode)mode, 4, NULL);
        /* three convolutions, one subsample, avgpool, fc, loss */
        assert_int_equal(p.plan->step_count, 7);
        assert_true(p.plan->steps[1].residual >= 0);
        assert_int_equal(p.plan->steps[1].activation, ST_ACTIVATION_RELU);
        assert_string_equal(p.plan->steps[3].node->op->name, "subsample");
        assert_true(p.plan->steps[3].residual >= 0);
        assert_int_equal(p.plan->steps[3].activation, ST_ACTIVATION_RELU);
        check_memory(&p);
        st_arena_free(p.arena);
    }
}

static void test_training_keeps_norm_as_a_step(void **state) {
    (void)state;
    planned p = plan_text(RESIDUAL, ST_MODE_TRAIN, 4, NULL);
    assert_int_equal(p.plan->step_count, 9);
    assert_true(p.plan->steps[3].residual >= 0); /* the second batch norm */
    assert_true(p.plan->steps[3].residual_needed);
    assert_false(p.plan->steps[0].din_needed[0]); /* nobody asks for the picture's gradient */
    check_memory(&p);
    st_arena_free(p.arena);
}

static void test_frozen_front_has_no_backward(void **state) {
    (void)state;
    planned p = plan_text(RESIDUAL, ST_MODE_TRAIN, 4, "stem");
    assert_false(p.plan->steps[0].runs_backward);
    assert_false(p.plan->steps[1].runs_backward);
    assert_true(p.plan->steps[2].runs_backward);
    assert_false(p.plan->steps[2].din_needed[0]);
    st_arena_free(p.arena);
}

static void test_gradient_of_a_shared_value_is_added(void **state) {
    (void)state;
    planned p = plan_text("network n {\ninput 8x8x32\na: conv 1x1 32\nadd {\n| conv 3x3 32 pad=1\n| conv 1x1 32\n| "
                          "identity\n}\navgpool global\nfc 10\noutput logits loss=cross_entropy\n}\n",
                          ST_MODE_TRAIN, 2, NULL);
    int writes = 0, adds = 0;
    for (int s = 0; s < p.plan->step_count; s++) {
        const st_step *step = &p.plan->steps[s];
        for (int k = 0; k < step->site.in_count; k++) {
            if (step->in[k] == p.plan->steps[0].value && step->din_needed[k]) {
                writes += !step->din_add[k];
                adds += step->din_add[k];
            }
        }
    }
    assert_int_equal(writes, 1);
    assert_int_equal(adds, 2);
    st_arena_free(p.arena);
}

static const st_step *step_at(const planned *p, const char *path) {
    for (int s = 0; s < p->plan->step_count; s++) {
        if (p->plan->steps[s].output < 0 && strcmp(p->plan->steps[s].node->path, path) == 0) {
            return &p->plan->steps[s];
        }
    }
    fail_msg("no step is called %s", path);
    return NULL;
}

static int segment_of(const planned *p, const st_step *step) {
    int t = 0;
    while (p->plan->tasks[t].kind != ST_TASK_FORWARD || p->plan->tasks[t].step != step - p->plan->steps) {
        t++;
    }
    return p->plan->tasks[t].segment;
}

static void test_lanes_of_a_module_run_side_by_side(void **state) {
    (void)state;
    planned p =
        plan_text("network n {\ninput 8x8x32\nconcat {\n| a: conv 1x1 32\n| b: conv 1x1 32, c: conv 3x3 48 pad=1\n| "
                  "d: maxpool 3x3 stride=1 pad=1\n}\ne: conv 1x1 32\noutput logits\n}\n",
                  ST_MODE_INFER, 1, NULL);
    int first = segment_of(&p, step_at(&p, "a"));
    assert_int_equal(segment_of(&p, step_at(&p, "b")), first);
    assert_int_equal(segment_of(&p, step_at(&p, "d")), first);
    assert_true(segment_of(&p, step_at(&p, "c")) > first);
    assert_true(segment_of(&p, step_at(&p, "e")) > segment_of(&p, step_at(&p, "c")));
    check_memory(&p);
    st_arena_free(p.arena);
}

static void test_gradients_take_over_memory(void **state) {
    (void)state;
    planned p =
        plan_text("network n {\ninput 8x8x32\na: conv 3x3 32 pad=1\nadd {\n| b: conv 3x3 32 pad=1 bias=no, c: bn, "
                  "relu, d: conv 3x3 32 pad=1 bias=no, e: bn\n| identity\n}\nrelu\nf: fc 10\noutput logits "
                  "loss=cross_entropy\n}\n",
                  ST_MODE_TRAIN, 4, NULL);
    const st_step *norm = step_at(&p, "c"), *last = step_at(&p, "e"), *front = step_at(&p, "a");
    assert_true(norm->site.activates_backward && !norm->backward_reads_out);
    assert_int_equal(p.plan->slots[norm->in[0]].gradient_of, norm->value);
    assert_true(last->residual == front->value && last->residual_shared && last->backward_reads_out);
    assert_int_equal(p.plan->slots[front->value].gradient_of, last->value);
    assert_int_equal(p.plan->slots[last->in[0]].gradient_of, -1);
    st_view shortcut, sum;
    assert_int_equal(st_plan_locate(p.plan, front->value, true, &shortcut),
                     st_plan_locate(p.plan, last->value, true, &sum));
    check_memory(&p);
    st_arena_free(p.arena);
}

static void test_sizes_beyond_memory_are_refused(void **state) {
    (void)state;
    st_arena *arena = NULL;
    const st_tree *tree = NULL;
    const st_graph *graph = NULL;
    const st_plan *plan = NULL;
    strata_error err = {0};
    const char *text = "network n {\ninput 100000x100000x8\nconv 1x1 1000000\navgpool global\nfc 2\n"
                       "output logits loss=cross_entropy\n}\n";
    must(st_arena_create(&arena, &err), &err);
    must(st_lang_parse(&tree, arena, "test.net", text, strlen(text), &err), &err);
    strata_status status = st_graph_build(&graph, arena, tree, NULL, NULL, &err);
    if (status == STRATA_OK) {
        st_plan_options options = {.mode = ST_MODE_TRAIN, .batch = 1 << 20, .threads = 1, .kernels = st_kernels_at(0)};
        status = st_plan_build(&plan, arena, graph, &options, &err);
    }
    assert_int_not_equal(status, STRATA_OK);
    assert_true(strlen(err.message) > 10);
    st_arena_free(arena);
}

/* ---- deep nets ---- */

/* A chain of this many layers of each kind that takes part in a pass of the planner: nothing there may look at all
 * layers for each layer. Far more than a second here means that something does. */
static void test_twenty_thousand_layers_are_planned(void **state) {
    (void)state;
    static const char *const chains[] = {"conv 3x3 32 pad=1", "conv 1x1 32 bias=no, bn, relu",
                                         "add { | bn, relu, conv 1x1 32 | identity }",
                                         "concat { | conv 1x1 16 | conv 1x1 16 }"};
    static const int repeats[] = {20000, 6600, 5000, 6600};
    for (size_t i = 0; i < ST_COUNT_OF(chains); i++) {
        for (int mode = ST_MODE_INFER; mode <= ST_MODE_TRAIN; mode++) {
            st_text text = {0}; /* written out, as a short text may not become as many */
            st_text_add(&text, "network n {\ninput 8x8x32\n");
            for (int k = 0; k < repeats[i]; k++) {
                st_text_add(&text, "%s\n", chains[i]);
            }
            st_text_add(&text, "fc 10\noutput logits loss=cross_entropy\n}\n");
            assert_false(text.failed);
            planned p = plan_text(text.bytes, (st_mode)mode, 2, NULL);
            st_text_free(&text);
            assert_true(p.graph->node_count > 19000 && p.plan->step_count >= 5000);
            assert_true(p.plan->arena_bytes >= 2 * 8 * 8 * 32 * sizeof(st_real));
            st_arena_free(p.arena);
        }
    }
}

static bool lives_with(const st_piece *a, const st_piece *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset of all, found the slow way: it is 0 or the end of a piece. */
static size_t lowest_offset(const st_piece *pieces, size_t count, const st_piece *next) {
    size_t lowest = SIZE_MAX;
    for (size_t i = 0; i <= count; i++) {
        size_t offset = i < count ? pieces[i].offset + pieces[i].bytes : 0;
        bool is_free = true;
        for (size_t k = 0; k < count && is_free; k++) {
            is_free = !lives_with(&pieces[k], next) || offset >= pieces[k].offset + pieces[k].bytes ||
                      offset + next->bytes <= pieces[k].offset;
        }
        lowest = is_free && offset < lowest ? offset : lowest;
    }
    return lowest;
}

static void test_pieces_get_the_lowest_free_offset(void **state) {
    (void)state;
    enum { COUNT = 150, SEGMENTS = 37 };
    for (uint64_t round = 0; round < 20; round++) {
        st_piece pieces[COUNT], *list[COUNT];
        st_arena *arena = NULL;
        strata_error err = {0};
        for (size_t i = 0; i < COUNT; i++) {
            uint64_t bits = st_rng_bits(round, st_rng_stream_name(ST_STREAM_TEST, "pieces"), i);
            int first = (int)(bits % SEGMENTS), longest = round < 10 ? 3 : SEGMENTS;
            int last = first + (int)(bits / SEGMENTS % (uint64_t)longest);
            pieces[i] = (st_piece){
                .bytes = 64 * (1 + bits / 10000 % 9), .first = first, .last = last < SEGMENTS ? last : SEGMENTS - 1};
            list[i] = &pieces[i];
        }
        must(st_arena_create(&arena, &err), &err);
        must(st_plan_place(list, COUNT, SEGMENTS, arena, &err), &err);
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(pieces[i].offset, lowest_offset(pieces, i, &pieces[i]));
        }
        st_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_the_zoo_never_overlaps),
        cmocka_unit_test(test_small_channels_run_in_image_lanes),
        cmocka_unit_test(test_inference_fuses_norm_add_and_activation),
        cmocka_unit_test(test_subsample_of_equal_size_is_a_view),
        cmocka_unit_test(test_training_keeps_norm_as_a_step),
        cmocka_unit_test(test_frozen_front_has_no_backward),
        cmocka_unit_test(test_gradient_of_a_shared_value_is_added),
        cmocka_unit_test(test_lanes_of_a_module_run_side_by_side),
        cmocka_unit_test(test_gradients_take_over_memory),
        cmocka_unit_test(test_sizes_beyond_memory_are_refused),
        cmocka_unit_test(test_twenty_thousand_layers_are_planned),
        cmocka_unit_test(test_pieces_get_the_lowest_free_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
