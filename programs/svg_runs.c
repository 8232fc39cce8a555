/* The curves of several runs over one another: error against iterations, as in He, Zhang, Ren, Sun 2015,
 * arXiv:1512.03385, figure 6. Which run is which is said at the end of each line, by name and by the shape of its mark:
 * colour is an addition. */
#include <math.h>
#include <string.h>

#include "program.h"

enum { LEFT = 62, TOP = 112, HEIGHT = 330, BOTTOM = 58, LABELS = 212, SHAPES = 5, COLORS = 7 };

/* Okabe and Ito's palette, darkened for white and lightened for black where it needs it. */
static const char style[] =
    "<style>\n"
    ".strong, .thin { fill: none; stroke-linejoin: round; stroke-linecap: round }\n"
    ".strong { stroke-width: 2.6 } .thin { stroke-width: 1.3; stroke-dasharray: 5 3.5 }\n"
    ".lead { fill: none; stroke-width: 0.8; opacity: 0.55 } .mark { stroke-width: 1.5 }\n"
    ".axis { stroke: #818b98; fill: none } .drop { stroke: #818b98; stroke-dasharray: 2 4; fill: none }\n"
    "text.end { font-weight: 400 } text.bold { font-weight: 700 } .hollow { fill: #ffffff }\n"
    ".c0 { stroke: #0072b2 } .c1 { stroke: #c04d00 } .c2 { stroke: #00795a } .c3 { stroke: #a3427b }\n"
    ".c4 { stroke: #8a6d00 } .c5 { stroke: #2f80b5 } .c6 { stroke: #3d444d }\n"
    ".f0 { fill: #0072b2 } .f1 { fill: #c04d00 } .f2 { fill: #00795a } .f3 { fill: #a3427b }\n"
    ".f4 { fill: #8a6d00 } .f5 { fill: #2f80b5 } .f6 { fill: #3d444d }\n"
    "@media (prefers-color-scheme: dark) {\n"
    ".hollow { fill: #0d1117 } .axis, .drop { stroke: #656c76 }\n"
    ".c0 { stroke: #56a8e8 } .c1 { stroke: #f08c4a } .c2 { stroke: #3fc79a } .c3 { stroke: #e08cc0 }\n"
    ".c4 { stroke: #d9b23c } .c5 { stroke: #8ccbf2 } .c6 { stroke: #d1d7e0 }\n"
    ".f0 { fill: #56a8e8 } .f1 { fill: #f08c4a } .f2 { fill: #3fc79a } .f3 { fill: #e08cc0 }\n"
    ".f4 { fill: #d9b23c } .f5 { fill: #8ccbf2 } .f6 { fill: #d1d7e0 } }\n"
    "</style>\n";

typedef struct chart {
    const svg_run *runs;
    size_t count;
    const double *drops;
    size_t drop_count;
    double left, width;             /* of the panel at hand */
    double high, step, all, x_step; /* per cent and iterations */
} chart;

/* Per cent. */
static double error_of(const run_epoch *e, bool is_test) {
    double top1 = !is_test ? e->top1 : e->has_test ? e->test_top1 : e->val_top1;
    return 100 * (1 - top1);
}

static bool is_measured(const run_epoch *e) {
    return e->has_test || e->has_val;
}

/* The first epochs, far above what the rest differs by, may leave the chart at the top, as in the paper. */
static void choose_axes(chart *c) {
    double high = 0;
    c->all = 1;
    for (size_t r = 0; r < c->count; r++) {
        const svg_run *run = &c->runs[r];
        c->all = fmax(c->all, (double)(run->epochs * run->epoch_steps));
        for (size_t i = 0; i < run->log->epoch_count; i++) {
            const run_epoch *e = &run->log->epochs[i];
            bool is_early = e->epoch * 5 < run->epochs && i + 1 < run->log->epoch_count;
            if (!is_early) {
                high = fmax(high, error_of(e, false));
                high = is_measured(e) ? fmax(high, error_of(e, true)) : high;
            }
        }
    }
    high = high > 0 ? high : 1;
    c->step = svg_step(high, 6);
    c->high = fmin(100, c->step * ceil(1.02 * high / c->step));
    c->x_step = svg_step(c->all, c->width < 350 ? 4 : 6);
}

static double x_of(const chart *c, double iteration) {
    return c->left + c->width * iteration / c->all;
}

static double y_of(const chart *c, double error) {
    return TOP + HEIGHT * (1 - error / c->high);
}

/* ---- axes ------------------------------------------------------------------------------------------------------- */

static void draw_axes(text *out, const chart *c, bool is_first) {
    double right = c->left + c->width, bottom = TOP + HEIGHT;
    int ticks = (int)(c->high / c->step + 1e-6);
    for (int i = 0; i <= ticks; i++) {
        double y = y_of(c, i * c->step);
        text_add(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", c->left, y, right);
        if (is_first) {
            text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", c->left - 8, y + 4,
                     number_text(i * c->step).s);
        }
    }
    if (is_first) {
        text_add(out, "<text class=\"name\" x=\"%.1f\" y=\"%d\">error (%%)</text>\n", c->left - 38, TOP - 16);
    }
    for (size_t i = 0; i < c->drop_count; i++) {
        double x = x_of(c, c->drops[i]);
        text_add(out, "<path class=\"drop\" d=\"M%.1f %dV%.1f\"/>", x, TOP, bottom);
        text_add(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" style=\"font-size:10px\">rate drops</text>\n",
                 x, TOP - 5);
    }
    for (int i = 0; i * c->x_step <= c->all * (1 + 1e-9); i++) {
        double x = x_of(c, i * c->x_step);
        text_add(out, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>", x, bottom);
        text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x, bottom + 20,
                 count_text((int64_t)(i * c->x_step + 0.5)).s);
    }
    text_add(out, "<path class=\"axis\" d=\"M%.1f %dV%.1fH%.1f\"/>\n", c->left, TOP, bottom, right);
    text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">iterations</text>\n", c->left + c->width / 2,
             bottom + 40);
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* A run's own shape; hollow for training. */
static void draw_mark(text *out, size_t run, bool is_test, double x, double y) {
    static const char *const shapes[SHAPES] = {
        "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0z",
        "M-3.3 -3.3h6.6v6.6h-6.6z",
        "M0 -4.3L4.2 3.2H-4.2z",
        "M0 -4.6L4.6 0L0 4.6L-4.6 0z",
        "M0 4.3L4.2 -3.2H-4.2z",
    };
    text_add(out, "<path class=\"mark c%zu %s%zu\" transform=\"translate(%.1f %.1f)\" d=\"%s\"/>", run % COLORS,
             is_test ? "f" : "hollow h", run % COLORS, x, y, shapes[run % SHAPES]);
}

static void draw_line(text *out, const chart *c, size_t run, bool is_test) {
    const svg_run *r = &c->runs[run];
    bool is_begun = false;
    text_add(out, "<path class=\"%s c%zu\" d=\"", is_test ? "strong" : "thin", run % COLORS);
    for (size_t i = 0; i < r->log->epoch_count; i++) {
        const run_epoch *e = &r->log->epochs[i];
        if (is_test && !is_measured(e)) {
            continue;
        }
        text_add(out, "%c%.1f %.1f", is_begun ? 'L' : 'M', x_of(c, (double)(e->epoch * r->epoch_steps)),
                 y_of(c, error_of(e, is_test)));
        is_begun = true;
    }
    text_add(out, "\"/>\n");
}

typedef struct line_end {
    size_t run;
    bool is_test;
    double x, y, error;
} line_end;

static size_t find_ends(line_end *out, const chart *c, size_t first, size_t end) {
    size_t count = 0;
    for (size_t r = first; r < end; r++) {
        const run_log *log = c->runs[r].log;
        for (int is_test = 0; is_test < 2 && log->epoch_count > 0; is_test++) {
            const run_epoch *e = &log->epochs[log->epoch_count - 1];
            if (is_test == 0 || is_measured(e)) {
                double error = error_of(e, is_test);
                out[count++] =
                    (line_end){r, is_test, x_of(c, (double)(e->epoch * c->runs[r].epoch_steps)), y_of(c, error), error};
            }
        }
    }
    return count;
}

/* Name and last figure of each line, at its height as far as the others allow, and a thin line from one to the other.
 */
static void draw_ends(text *out, const chart *c, size_t first, size_t end) {
    line_end ends[2 * SVG_RUNS];
    double wanted[2 * SVG_RUNS] = {0}, heights[2 * SVG_RUNS], right = c->left + c->width, lowest = TOP + HEIGHT + 8,
                      over = 0;
    size_t count = find_ends(ends, c, first, end);
    for (size_t i = 0; i < count; i++) {
        wanted[i] = ends[i].y;
    }
    svg_spread(heights, wanted, count, 18);
    for (size_t i = 0; i < count; i++) {
        over = fmax(over, heights[i] - lowest);
    }
    for (size_t i = 0; i < count; i++) {
        const line_end *e = &ends[i];
        double y = heights[i] - over;
        size_t color = e->run % COLORS;
        text_add(out, "<path class=\"lead c%zu\" d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1f\"/>", color, e->x, e->y,
                 fmax(right + 4, e->x), e->y, right + 20, y);
        draw_mark(out, e->run, e->is_test, e->x, e->y);
        draw_mark(out, e->run, e->is_test, right + 26, y);
        text_add(out, "<text class=\"end %s f%zu\" x=\"%.1f\" y=\"%.1f\">", e->is_test ? "bold" : "", color, right + 36,
                 y + 4);
        svg_add_text(out, c->runs[e->run].name);
        text_add(out, " %s %.1f%%</text>\n",
                 !e->is_test                                                                  ? "training"
                 : c->runs[e->run].log->epochs[c->runs[e->run].log->epoch_count - 1].has_test ? "test"
                                                                                              : "val",
                 e->error);
    }
}

static void draw_panel(text *out, const chart *c, size_t first, size_t end, bool is_first) {
    draw_axes(out, c, is_first);
    text_add(out, "<clipPath id=\"p%zu\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/></clipPath>\n", first,
             c->left, TOP, c->width + 3, HEIGHT + 3);
    text_add(out, "<g clip-path=\"url(#p%zu)\">\n", first);
    for (int is_test = 0; is_test < 2; is_test++) {
        for (size_t r = first; r < end; r++) {
            draw_line(out, c, r, is_test);
        }
    }
    text_add(out, "</g>\n");
    draw_ends(out, c, first, end);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* What the picture shows, for those who do not see it. */
static void add_description(text *out, const chart *c) {
    text_add(out, "<desc>Error in per cent against iterations.");
    for (size_t r = 0; r < c->count; r++) {
        const run_log *log = c->runs[r].log;
        text_add(out, " ");
        svg_add_text(out, c->runs[r].name);
        if (log->epoch_count == 0) {
            text_add(out, ": no epoch yet.");
            continue;
        }
        const run_epoch *e = &log->epochs[log->epoch_count - 1];
        text_add(out, ": training %.2f", error_of(e, false));
        if (is_measured(e)) {
            text_add(out, ", %s %.2f", e->has_test ? "test" : "val", error_of(e, true));
        }
        text_add(out, " after %lld iterations.", (long long)(e->epoch * c->runs[r].epoch_steps));
    }
    text_add(out, "</desc>\n");
}

static void draw_key(text *out, const chart *c) {
    bool has_test = false, has_val = false;
    for (size_t r = 0; r < c->count; r++) {
        for (size_t i = 0; i < c->runs[r].log->epoch_count; i++) {
            const run_epoch *e = &c->runs[r].log->epochs[i];
            has_test = has_test || e->has_test;
            has_val = has_val || (e->has_val && !e->has_test);
        }
    }
    text_add(out,
             "<path class=\"strong c6\" d=\"M24 53h30\"/><text x=\"62\" y=\"57\">%s error</text>\n"
             "<path class=\"thin c6\" d=\"M190 53h30\"/><text x=\"228\" y=\"57\">training error, "
             "measured while learning</text>\n",
             has_test && has_val ? "test or val"
             : has_val           ? "val"
                                 : "test");
}

strata_status svg_runs(const char *path, const char *title, const svg_run *runs, size_t count, int64_t panels,
                       const double *drops, size_t drop_count, strata_error *err) {
    chart c = {.runs = runs, .count = count, .drops = drops, .drop_count = drop_count};
    c.width = panels == 1 ? 520 : 340;
    choose_axes(&c);
    text out = {0};
    double each = c.width + LABELS + 26;
    svg_begin(&out, LEFT + (int)(each * (double)panels), TOP + HEIGHT + BOTTOM, title);
    text_add(&out, "%s", style);
    add_description(&out, &c);
    draw_key(&out, &c);
    for (size_t p = 0, n = (size_t)panels; p < n; p++) {
        c.left = LEFT + each * (double)p;
        draw_panel(&out, &c, p * count / n, (p + 1) * count / n, p == 0);
    }
    return svg_end(&out, path, err);
}
