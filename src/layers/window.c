/* The geometry of a window that slides over an image, for convolution and pooling.
 *
 *   padding | image                | padding
 *   [o . o . o]     rows at distance `dilation`: a window of r rows covers (r - 1) * dilation + 1
 *       [o . o . o] the next one begins `stride` further
 *
 * Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285. The word `same` is
 * SAME_UPPER of the ONNX specification (operators Conv, MaxPool). */
#include <stdio.h>

#include "layers/layers.h"

/* One axis of the window. */
typedef struct axis {
    int64_t kernel, stride, dilation, before, after, count;
} axis;

static int64_t covered(int64_t kernel, int64_t dilation) {
    return (kernel - 1) * dilation + 1;
}

static axis axis_of(const st_window_params *params, int index, int64_t size) {
    axis a = {.kernel = params->kernel[index],
              .stride = params->stride[index],
              .dilation = params->dilation == NULL ? 1 : params->dilation[index]};
    int64_t extent = covered(a.kernel, a.dilation);
    if (params->pad[index] < 0) {
        a.count = (size + a.stride - 1) / a.stride;
        int64_t total = (a.count - 1) * a.stride + extent - size;
        a.before = total > 0 ? total / 2 : 0;
        a.after = total > 0 ? total - a.before : 0;
        return a;
    }
    a.before = a.after = params->pad[index];
    int64_t room = size + a.before + a.after - extent;
    if (room < 0) {
        return a;
    }
    a.count = (room + (params->is_ceil ? a.stride - 1 : 0)) / a.stride + 1;
    if ((a.count - 1) * a.stride >= size + a.before && a.count > 1) {
        a.count--; /* only ceil gets here: a window that begins in the padding at the end does not count */
    }
    return a;
}

st_window st_window_of(const st_window_params *params, st_dims in) {
    axis h = axis_of(params, 0, in.h), w = axis_of(params, 1, in.w);
    return (st_window){.r = h.kernel,
                       .s = w.kernel,
                       .stride_h = h.stride,
                       .stride_w = w.stride,
                       .pad_top = h.before,
                       .pad_bottom = h.after,
                       .pad_left = w.before,
                       .pad_right = w.after,
                       .dilation_h = h.dilation,
                       .dilation_w = w.dilation,
                       .p = h.count,
                       .q = w.count};
}

/* "a 5x5 window does not fit into 3x3", with what makes it larger or the image smaller. */
static strata_status does_not_fit(const st_infer *in, const st_window *window, strata_error *err) {
    int64_t rows = covered(window->r, window->dilation_h), columns = covered(window->s, window->dilation_w);
    char spread[96] = "", padded[64] = "";
    if (window->dilation_h > 1 || window->dilation_w > 1) {
        snprintf(spread, sizeof spread, " with dilation %lldx%lld covers %lldx%lld and", (long long)window->dilation_h,
                 (long long)window->dilation_w, (long long)rows, (long long)columns);
    }
    if (window->pad_top > 0 || window->pad_left > 0) {
        snprintf(padded, sizeof padded, " padded by %lldx%lld", (long long)window->pad_top,
                 (long long)window->pad_left);
    }
    strata_status status =
        st_infer_fail(in, err, "kernel", "a %lldx%lld window%s does not fit into %lldx%lld%s", (long long)window->r,
                      (long long)window->s, spread, (long long)in->in[0].h, (long long)in->in[0].w, padded);
    if (in->in[0].h < window->r || in->in[0].w < window->s) {
        st_error_hint(err, "a smaller window, fewer strides before this layer, or pad=same");
    } else {
        st_error_hint(err, "a smaller dilation, or pad=same");
    }
    return status;
}

strata_status st_window_infer(st_window *out, const st_infer *in, const st_window_params *params, strata_error *err) {
    if (in->in_flat[0]) {
        strata_status status = st_infer_fail(
            in, err, NULL, "needs rows and columns, but its input is a vector of %lld values", (long long)in->in[0].c);
        st_error_hint(err, "layers with windows come before the first fc or flatten");
        return status;
    }
    *out = st_window_of(params, in->in[0]);
    if (out->p < 1 || out->q < 1) {
        return does_not_fit(in, out, err);
    }
    return STRATA_OK;
}

bool st_layer_product(int64_t *out, const int64_t *factors, size_t count) {
    size_t product = 1;
    for (size_t i = 0; i < count; i++) {
        if (!st_size_mul(product, (size_t)factors[i], &product) || product > (size_t)INT64_MAX / 4) {
            return false;
        }
    }
    *out = (int64_t)product;
    return true;
}
