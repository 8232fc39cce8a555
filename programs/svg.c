/* What drawings share, and the course of a training run. Plain SVG with a style of its own for light and dark
 * surroundings; no script, no font, nothing from outside. */
#include <math.h>
#include <string.h>

#include "program.h"

/* Colours are plain values, once for light and once for dark: not every program that draws SVG knows variables. */
static const char style[] =
    "<style>\n"
    "text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e }\n"
    ".title { font-size: 17px; font-weight: 600; fill: #1f2328 } .name { font-size: 13px; fill: #1f2328 }\n"
    ".back { fill: #ffffff } .grid { stroke: #d8dee4; fill: none }\n"
    ".best { stroke: #818b98; stroke-dasharray: 3 4; fill: none }\n"
    "path.train, path.val, path.test { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round }\n"
    "path.train { stroke: #0969da } path.val, circle.ring { stroke: #bc4c00 } path.test { stroke: #6639ba }\n"
    ".train, .right { fill: #0969da } .val, .wrong { fill: #bc4c00 } .test { fill: #6639ba }\n"
    "circle.ring { fill: #ffffff; stroke-width: 2.2 } text.train, text.val, text.test { font-weight: 600 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #9198a1 } .title, .name { fill: #e6edf3 } .back, circle.ring { fill: #0d1117 }\n"
    ".grid { stroke: #30363d } .best { stroke: #656c76 }\n"
    "path.train { stroke: #58a6ff } path.val, circle.ring { stroke: #f0883e } path.test { stroke: #bc8cff }\n"
    ".train, .right { fill: #58a6ff } .val, .wrong { fill: #f0883e } .test { fill: #bc8cff }\n"
    "path.train, path.val, path.test { fill: none }\n"
    "circle.ring { fill: #0d1117 } }\n"
    "</style>\n";

void svg_add_text(text *out, const char *foreign) {
    label safe = safe_text(foreign);
    for (const char *c = safe.s; *c != '\0'; c++) {
        const char *entity = *c == '&'   ? "&amp;"
                             : *c == '<' ? "&lt;"
                             : *c == '>' ? "&gt;"
                             : *c == '"' ? "&quot;"
                                         : NULL;
        text_add_bytes(out, entity != NULL ? entity : c, entity != NULL ? strlen(entity) : 1);
    }
}

void svg_begin(text *out, int width, int height, const char *title) {
    text_add(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n",
        width, height, width, height);
    text_add(out, "<title>");
    svg_add_text(out, title);
    text_add(out, "</title>\n%s<rect class=\"back\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", style, width, height);
    text_add(out, "<text class=\"title\" x=\"24\" y=\"34\">");
    svg_add_text(out, title);
    text_add(out, "</text>\n");
}

strata_status svg_end(text *out, const char *path, strata_error *err) {
    text_add(out, "</svg>\n");
    strata_status status = strata_file_write(path, out->bytes, out->length, err);
    text_free(out);
    return status;
}

double svg_step(double range, int count) {
    double raw = range / count, power = pow(10, floor(log10(raw))), rest = raw / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

/* Isotonic regression: neighbours that would touch become a group around the middle of where they want to be. */
void svg_spread(double *out, const double *wanted, size_t count, double gap) {
    size_t order[SVG_LABELS] = {0}, size[SVG_LABELS] = {0}, groups = 0;
    double middle[SVG_LABELS] = {0};
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && wanted[order[at - 1]] > wanted[i]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (size_t i = 0; i < count; i++) {
        middle[groups] = wanted[order[i]] - gap * (double)i;
        size[groups++] = 1;
        while (groups > 1 && middle[groups - 2] > middle[groups - 1]) {
            double a = (double)size[groups - 2], b = (double)size[groups - 1];
            middle[groups - 2] = (a * middle[groups - 2] + b * middle[groups - 1]) / (a + b);
            size[groups - 2] += size[groups - 1];
            groups--;
        }
    }
    for (size_t g = 0, i = 0; g < groups; g++) {
        for (size_t end = i + size[g]; i < end; i++) {
            out[order[i]] = middle[g] + gap * (double)i;
        }
    }
}

/* ---- the training curve ----------------------------------------------------------------------------------------- */

typedef enum figure { FIGURE_LOSS, FIGURE_TOP1 } figure;

typedef enum series { SERIES_TRAIN, SERIES_VAL, SERIES_TEST, SERIES_COUNT } series;

static const char *const series_names[SERIES_COUNT] = {"train", "val", "test"};

typedef struct panel {
    figure figure;
    const char *name;
    double left, top, width, height;
    double low, high, step; /* of the vertical axis */
    int64_t epochs;
} panel;

static double value_of(const run_epoch *e, figure f, series s) {
    const double values[2][SERIES_COUNT] = {{e->loss, e->val_loss, e->test_loss}, {e->top1, e->val_top1, e->test_top1}};
    return values[f][s];
}

static bool has_series(const run_epoch *e, series s) {
    return s == SERIES_TRAIN || (s == SERIES_VAL && e->has_val) || (s == SERIES_TEST && e->has_test);
}

static void choose_axis(panel *p, const run_log *log) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < log->epoch_count; i++) {
        for (series s = SERIES_TRAIN; s < SERIES_COUNT; s++) {
            if (!has_series(&log->epochs[i], s)) {
                continue;
            }
            double v = value_of(&log->epochs[i], p->figure, s);
            low = v < low ? v : low;
            high = v > high && isfinite(v) ? v : high;
        }
    }
    if (!(low <= high)) {
        low = 0;
        high = 1;
    }
    double least = p->figure == FIGURE_LOSS ? 0.02 : 0.01;
    if (high - low < least) {
        high += least / 2;
        low -= least / 2;
    }
    p->step = svg_step(high - low, 5);
    p->low = floor(low / p->step) * p->step;
    p->high = ceil(high / p->step) * p->step;
    p->low = p->low < 0 ? 0 : p->low;
    if (p->figure == FIGURE_TOP1 && p->high > 1) {
        p->high = 1;
    }
}

static double x_of(const panel *p, double epoch) {
    return p->epochs > 1 ? p->left + p->width * (epoch - 1) / (double)(p->epochs - 1) : p->left + p->width / 2;
}

static double y_of(const panel *p, double value) {
    double share = (value - p->low) / (p->high - p->low);
    return p->top + p->height * (share >= 0 ? 1 - fmin(share, 1) : 1); /* what is no number lies at the bottom */
}

static label axis_text(const panel *p, double value) {
    label out;
    if (p->figure == FIGURE_LOSS) {
        snprintf(out.s, sizeof out.s, "%.*f",
                 p->step < 0.0095  ? 3
                 : p->step < 0.095 ? 2
                 : p->step < 0.95  ? 1
                                   : 0,
                 value);
    } else {
        snprintf(out.s, sizeof out.s, "%.*f%%", p->step < 0.0095 ? 1 : 0, 100 * value);
    }
    return out;
}

static void draw_axes(text *out, const panel *p) {
    text_add(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", p->left - 38, p->top - 16, p->name);
    int ticks = (int)((p->high - p->low) / p->step + 0.5);
    for (int i = 0; i <= ticks; i++) {
        double value = p->low + i * p->step, y = y_of(p, value);
        text_add(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", p->left, y, p->left + p->width);
        text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", p->left - 8, y + 4,
                 axis_text(p, value).s);
    }
    int64_t every = (int64_t)ceil(svg_step((double)p->epochs, 8));
    every = every < 1 ? 1 : every;
    for (int64_t e = every > 1 ? every : 1; e <= p->epochs; e += every) {
        text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%lld</text>\n", x_of(p, (double)e),
                 p->top + p->height + 20, (long long)e);
    }
    text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">epoch</text>\n", p->left + p->width / 2,
             p->top + p->height + 38);
}

/* Returns the height of its last point. */
static double draw_line(text *out, const panel *p, const run_log *log, series s) {
    const char *name = series_names[s];
    double y = 0;
    text dots = {0};
    text_add(out, "<path class=\"%s\" d=\"", name);
    for (size_t i = 0; i < log->epoch_count; i++) {
        double x = x_of(p, (double)log->epochs[i].epoch);
        y = y_of(p, value_of(&log->epochs[i], p->figure, s));
        text_add(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x, y);
        if (p->epochs <= 40) {
            text_add(&dots, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>", name, x, y);
        }
    }
    text_add(out, "\"/>%s\n", dots.bytes != NULL ? dots.bytes : "");
    text_free(&dots);
    return y;
}

static void draw_end(text *out, const panel *p, const run_epoch *last, series s, double y) {
    double v = value_of(last, p->figure, s);
    const char *name = series_names[s];
    label value = share_text(v);
    if (p->figure == FIGURE_LOSS) {
        snprintf(value.s, sizeof value.s, "%.3f", v);
    }
    text_add(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s %s</text>\n", name, x_of(p, (double)last->epoch) + 9,
             y + 4, name, value.s);
}

static void draw_panel(text *out, const panel *p, const run_log *log, const run_epoch *best) {
    draw_axes(out, p);
    if (log->epoch_count == 0) {
        return;
    }
    const run_epoch *last = &log->epochs[log->epoch_count - 1];
    if (best != NULL && best->has_val) {
        text_add(out, "<path class=\"best\" d=\"M%.1f %.1fV%.1f\"/>\n", x_of(p, (double)best->epoch), p->top,
                 p->top + p->height);
    }
    double heights[SERIES_COUNT], wanted[SERIES_COUNT];
    series drawn[SERIES_COUNT];
    size_t count = 0;
    for (series s = SERIES_TRAIN; s < SERIES_COUNT; s++) {
        if (has_series(last, s)) {
            drawn[count] = s;
            wanted[count++] = draw_line(out, p, log, s);
        }
    }
    if (best != NULL && best->has_val) {
        text_add(out, "<circle class=\"ring val\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>\n", x_of(p, (double)best->epoch),
                 y_of(p, value_of(best, p->figure, SERIES_VAL)));
    }
    svg_spread(heights, wanted, count, 15);
    for (size_t i = 0; i < count; i++) {
        draw_end(out, p, last, drawn[i], heights[i]);
    }
}

strata_status svg_curve(const char *path, const char *title, const run_log *log, int64_t epochs, double test_top1,
                        strata_error *err) {
    const run_epoch *best = NULL;
    for (size_t i = 0; i < log->epoch_count; i++) {
        best = log->epochs[i].is_best ? &log->epochs[i] : best;
    }
    panel panels[] = {
        {.figure = FIGURE_LOSS, .name = "loss", .left = 62, .top = 104, .width = 250, .height = 230, .epochs = epochs},
        {.figure = FIGURE_TOP1,
         .name = "top-1",
         .left = 462,
         .top = 104,
         .width = 250,
         .height = 230,
         .epochs = epochs},
    };
    text out = {0};
    svg_begin(&out, 820, 390, title);
    text_add(&out, "<text x=\"24\" y=\"56\">");
    if (best != NULL && best->has_val) {
        text_add(&out, "val %s at epoch %lld, the best of %lld", share_text(best->val_top1).s, (long long)best->epoch,
                 (long long)log->epoch_count);
    } else {
        text_add(&out, "%lld of %lld epochs", (long long)log->epoch_count, (long long)epochs);
    }
    if (test_top1 >= 0) {
        text_add(&out, "; test %s", share_text(test_top1).s);
    }
    text_add(&out, "</text>\n");
    for (size_t i = 0; i < COUNT_OF(panels); i++) {
        choose_axis(&panels[i], log);
        draw_panel(&out, &panels[i], log, best);
    }
    return svg_end(&out, path, err);
}
