/* The loss in image lanes, as in sweep_lanes.c: cross entropy with and without smoothing, ties of the true class, lanes
 * without an image. */
#include "lanes_case.h"

typedef struct loss_case {
    tensor logits, gradient;
    int32_t *labels;
    int64_t n;
    bool add;
    double smoothing;
} loss_case;

typedef struct loss_results {
    tensor gradient;
    st_real *losses;
    int32_t ranks[80];
} loss_results;

static loss_results run_loss(const loss_case *it, const st_kernels *kernels) {
    stage scene;
    scene_begin(&scene, &st_cross_entropy_lanes, kernels, NULL, &it->logits, (st_dims){1, 1, 1}, it->add);
    loss_results out = {.gradient = tensor_copy(&it->gradient), .losses = get_reals(it->n)};
    memset(out.ranks, 0, sizeof out.ranks);
    scene.run.labels = it->labels;
    scene.run.label_smoothing = it->smoothing;
    scene.call.losses = out.losses;
    scene.call.ranks = out.ranks;
    scene.din = out.gradient.view;
    run_phases(&scene, st_cross_entropy_lanes.forward);
    run_phases(&scene, st_cross_entropy_lanes.backward);
    return out;
}

static void check_loss(const loss_case *it, const loss_results *found) {
    int64_t classes = it->logits.view.dims.c;
    for (int64_t n = 0; n < it->n; n++) {
        double sum = 0, all = 0, own = (double)*element(&it->logits, n, 0, it->labels[n]);
        int32_t rank = 0;
        for (int64_t c = 0; c < classes; c++) {
            double z = (double)*element(&it->logits, n, 0, c);
            sum += st_exp(z);
            all += z;
            rank += z > own || (z == own && c < it->labels[n]);
        }
        double loss = st_log(sum) - (1 - it->smoothing) * own - it->smoothing * all / (double)classes;
        near("loss", found->losses[n], loss, 20, classes);
        assert_int_equal(found->ranks[n], rank);
        for (int64_t c = 0; c < classes; c++) {
            double target = it->smoothing / (double)classes + (c == it->labels[n] ? 1 - it->smoothing : 0);
            double expected = (st_exp((double)*element(&it->logits, n, 0, c)) / sum - target) * 0.7 / (double)it->n;
            expected += it->add ? (double)*element(&it->gradient, n, 0, c) : 0;
            near("gradient", *element(&found->gradient, n, 0, c), expected, 2, classes);
        }
    }
    for (int64_t n = it->n; n % ST_LANES != 0; n++) { /* lanes without an image */
        for (int64_t c = 0; c < classes; c++) {
            assert_true(*element(&found->gradient, n, 0, c) == 0);
        }
    }
}

static void check_losses(int index, const st_kernels *reference, const st_kernels *kernels) {
    loss_case it = {.n = draw_images(), .add = index % 2 == 1, .smoothing = index % 3 == 0 ? 0 : 0.1};
    int64_t classes = index == 0 ? 1 : draw_int(2, 40);
    it.logits = tensor_draw((st_dims){1, 1, classes}, it.n, draw_int(0, 1));
    it.gradient = tensor_draw((st_dims){1, 1, classes}, it.n, draw_int(0, 1));
    int32_t labels[80];
    for (int64_t n = 0; n < it.n; n++) {
        labels[n] = (int32_t)draw_int(0, classes - 1);
        *element(&it.logits, n, 0, draw_int(0, classes - 1)) = *element(&it.logits, n, 0, labels[n]); /* ties */
    }
    it.labels = labels;
    loss_results portable = run_loss(&it, reference), found = run_loss(&it, kernels);
    snprintf(current, sizeof current, "loss %d: %s", index, kernels->name);
    check_loss(&it, &found);
    same_bytes("losses", found.losses, portable.losses, it.n);
    same_bytes("gradient", found.gradient.view.data, portable.gradient.view.data, it.gradient.count);
    assert_memory_equal(found.ranks, portable.ranks, sizeof found.ranks);
    loss_results *both[] = {&portable, &found};
    for (size_t i = 0; i < ST_COUNT_OF(both); i++) {
        drop_reals(both[i]->losses, it.n);
        tensor_drop(&both[i]->gradient);
    }
    tensor_drop(&it.logits);
    tensor_drop(&it.gradient);
}

void sweep_lanes_loss(const st_kernels *reference, const st_kernels *kernels) {
    for (int index = 0; index < CASES; index++) {
        check_losses(index, reference, kernels);
    }
}

void sweep_lanes_loss_backward(const st_kernels *reference, const st_kernels *kernels) {
    for (int index = CASES; index < 2 * CASES; index++) {
        check_losses(index, reference, kernels);
    }
}
