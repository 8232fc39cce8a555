/* span.c: one item of a value, as rows of neighbouring elements, and what most layers do with it. The same code serves
 * both layouts: an image of c channels in NHWC, a block of 16 images in LANES, which looks like one of 16 c channels.
 */
#include <string.h>

#include "layers/layers.h"

st_span st_span_of(const st_view *view, int64_t item) {
    int64_t lanes = st_layout_lanes(view->layout), pixels = view->dims.h * view->dims.w;
    int64_t stride = view->pixel_stride * lanes;
    return (st_span){.data = (st_real *)view->data + item * pixels * stride,
                     .rows = pixels,
                     .width = view->dims.c * lanes,
                     .stride = stride};
}

/* Without gaps: may be taken for one long row. */
static bool is_whole(st_span span) {
    return span.stride == span.width;
}

void st_span_copy(st_span to, st_span from) {
    if (to.data == from.data) {
        return;
    }
    if (is_whole(to) && is_whole(from)) {
        memcpy(to.data, from.data, (size_t)(to.rows * to.width) * sizeof(st_real));
        return;
    }
    for (int64_t row = 0; row < to.rows; row++) {
        memcpy(to.data + row * to.stride, from.data + row * from.stride, (size_t)to.width * sizeof(st_real));
    }
}

void st_span_zero(st_span span) {
    for (int64_t row = 0; row < span.rows; row++) {
        memset(span.data + row * span.stride, 0, (size_t)span.width * sizeof(st_real));
    }
}

void st_span_add(const st_kernels *kernels, st_span to, st_span a, st_span b) {
    bool is_one = is_whole(to) && is_whole(a) && is_whole(b);
    kernels->apply(&(st_apply){.rows = is_one ? 1 : to.rows,
                               .channels = is_one ? to.width * to.rows : to.width,
                               .lanes = 1,
                               .in = a.data,
                               .in_stride = a.stride,
                               .residual = b.data,
                               .residual_stride = b.stride,
                               .out = to.data,
                               .out_stride = to.stride});
}

bool st_view_streams(const st_call *call, const st_view *view) {
    int64_t lanes = st_layout_lanes(view->layout), images = st_layout_items(view->layout, call->run->n);
    int64_t row = view->pixel_stride * lanes, width = view->dims.c * lanes;
    size_t bytes = (size_t)(images * view->dims.h * view->dims.w * row) * sizeof(st_real);
    return bytes >= call->site->kernels->stream_bytes && (uintptr_t)view->data % 64 == 0 && row % ST_LANES == 0 &&
           width % ST_LANES == 0;
}

int64_t st_item_images(const st_call *call, const st_view *view, int64_t item) {
    if (view->layout != ST_LAYOUT_LANES) {
        return 1;
    }
    int64_t left = call->run->n - item * ST_LANES;
    return left < ST_LANES ? left : ST_LANES;
}

void st_item_scatter(const st_call *call, st_real *to, const st_real *from, int64_t item) {
    int64_t c = call->out.dims.c, images = st_item_images(call, &call->out, item);
    for (int64_t image = 0; image < images; image++) {
        for (int64_t i = 0; i < c; i++) {
            to[(item * ST_LANES + image) * c + i] = from[i * ST_LANES + image];
        }
    }
}

double st_sum_images(const st_real *of, int64_t pitch, int64_t count) {
    if (count == 1) {
        return (double)of[0];
    }
    int64_t half = 1;
    while (2 * half < count) {
        half *= 2;
    }
    return st_sum_images(of, pitch, half) + st_sum_images(of + half * pitch, pitch, count - half);
}

void st_item_apply(const st_call *call, const st_view *out, const st_view *in, const st_epilogue *epilogue,
                   int64_t item) {
    bool is_per_channel = epilogue->scale != NULL || epilogue->shift != NULL;
    st_span to = st_span_of(out, item), from = st_span_of(in, item), residual = {0};
    if (epilogue->residual.data != NULL) {
        residual = st_span_of(&epilogue->residual, item);
    }
    st_apply work = {.rows = to.rows,
                     .channels = out->dims.c,
                     .lanes = (int)st_layout_lanes(out->layout),
                     .in = from.data,
                     .residual = residual.data,
                     .out = to.data,
                     .in_stride = from.stride,
                     .residual_stride = residual.stride,
                     .out_stride = to.stride,
                     .scale = epilogue->scale,
                     .shift = epilogue->shift,
                     .activation = epilogue->activation,
                     .streams = to.data != from.data && to.data != residual.data && st_view_streams(call, out)};
    if (!is_per_channel && is_whole(to) && is_whole(from) && is_whole(residual)) {
        work.rows = 1;
        work.channels = to.width * to.rows;
        work.lanes = 1;
    }
    call->site->kernels->apply(&work);
    if (work.streams) {
        call->site->kernels->fence();
    }
}

void st_item_pass_back(const st_call *call, const st_view *din, bool add, int64_t item) {
    if (din->data == NULL) {
        return;
    }
    st_span to = st_span_of(din, item), from = st_span_of(&call->dout, item);
    if (add) {
        st_span_add(call->site->kernels, to, to, from);
    } else {
        st_span_copy(to, from);
    }
}

void st_item_activate_backward(const st_call *call, const st_view *target, bool add, st_activation activation,
                               int64_t item) {
    st_span out = st_span_of(&call->out, item), dout = st_span_of(&call->dout, item), to = st_span_of(target, item);
    st_activate_backward work = {.rows = out.rows,
                                 .width = out.width,
                                 .out = out.data,
                                 .dout = dout.data,
                                 .target = to.data,
                                 .out_stride = out.stride,
                                 .dout_stride = dout.stride,
                                 .target_stride = to.stride,
                                 .add = add,
                                 .activation = activation};
    if (is_whole(out) && is_whole(dout) && is_whole(to)) {
        work.rows = 1;
        work.width = out.width * out.rows;
    }
    call->site->kernels->activate_backward(&work);
}

void st_epilogue_backward(const st_call *call, st_activation activation, const st_view *dresidual, bool add,
                          int64_t item) {
    if (activation != ST_ACTIVATION_NONE) {
        st_item_activate_backward(call, &call->dout, false, activation, item);
    }
    if (dresidual != NULL) {
        st_item_pass_back(call, dresidual, add, item);
    }
}
