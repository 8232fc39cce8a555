/* The search for a learning rate as a drawing: loss of each step and its average against the rate, which rises by one
 * factor from step to step, so its axis is logarithmic. */
#include <math.h>

#include "program.h"

enum { LEFT = 62, TOP = 104, WIDTH = 560, HEIGHT = 260, RIGHT = 150, BOTTOM = 60 };

typedef struct chart {
    const strata_rate_search *found;
    double first, last; /* logarithms of the rate */
    double low, high, step;
} chart;

/* The lowest average is at the bottom; what lies far above the beginning leaves at the top. */
static void choose_axes(chart *c) {
    const strata_rate_search *found = c->found;
    double low = found->trials[found->lowest].smooth, high = low;
    for (size_t i = 0; i < found->count; i++) {
        double smooth = found->trials[i].smooth;
        bool is_before = i <= found->lowest || smooth <= 1.5 * found->trials[0].smooth;
        high = is_before && isfinite(smooth) ? fmax(high, smooth) : high;
    }
    high = high > low ? high : low + 1;
    c->first = log10(found->trials[0].rate);
    c->last = log10(found->trials[found->count - 1].rate);
    c->last = c->last > c->first ? c->last : c->first + 1;
    c->step = svg_step(high - low, 5);
    c->low = fmax(0, floor(low / c->step) * c->step);
    c->high = ceil(high / c->step) * c->step;
}

static double x_of(const chart *c, double rate) {
    return LEFT + WIDTH * (log10(rate) - c->first) / (c->last - c->first);
}

static double y_of(const chart *c, double loss) {
    double share = (loss - c->low) / (c->high - c->low);
    return TOP + HEIGHT * (1 - fmin(fmax(share, 0), 1.05)); /* above the top where it is no number */
}

static void draw_axes(text *out, const chart *c) {
    text_add(out, "<text class=\"name\" x=\"%d\" y=\"%d\">loss</text>\n", LEFT - 38, TOP - 16);
    int ticks = (int)((c->high - c->low) / c->step + 0.5);
    for (int i = 0; i <= ticks; i++) {
        double loss = c->low + i * c->step;
        text_add(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y_of(c, loss), LEFT + WIDTH);
        text_add(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", LEFT - 8, y_of(c, loss) + 4, loss);
    }
    for (double power = ceil(c->first - 1e-9); power <= c->last + 1e-9; power++) {
        double x = x_of(c, pow(10, power));
        text_add(out, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x, TOP, TOP + HEIGHT);
        text_add(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.3g</text>\n", x, TOP + HEIGHT + 20,
                 pow(10, power));
    }
    text_add(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">learning rate</text>\n", LEFT + WIDTH / 2,
             TOP + HEIGHT + 40);
}

static void draw_line(text *out, const chart *c, bool is_smooth) {
    text_add(out, "<path class=\"%s\" d=\"", is_smooth ? "train" : "grid");
    for (size_t i = 0; i < c->found->count; i++) {
        const strata_rate_trial *trial = &c->found->trials[i];
        text_add(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x_of(c, trial->rate),
                 y_of(c, is_smooth ? trial->smooth : trial->loss));
    }
    text_add(out, "\"/>\n");
}

static void draw_suggested(text *out, const chart *c) {
    const strata_rate_trial *lowest = &c->found->trials[c->found->lowest];
    if (c->found->suggested > 0) {
        double x = x_of(c, c->found->suggested);
        text_add(out, "<path class=\"best\" d=\"M%.1f %dV%d\"/>", x, TOP, TOP + HEIGHT);
        text_add(out, "<text class=\"val\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">suggested %.2g</text>\n", x,
                 TOP - 5, c->found->suggested);
    }
    text_add(out, "<circle class=\"ring val\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>\n", x_of(c, lowest->rate),
             y_of(c, lowest->smooth));
    double below = y_of(c, lowest->smooth) + 22;
    text_add(out, "<text class=\"val\" x=\"%.1f\" y=\"%.1f\">lowest: %.3f at %.2g</text>\n", x_of(c, lowest->rate) + 4,
             below < TOP + HEIGHT ? below : below - 32, lowest->smooth, lowest->rate);
}

strata_status svg_rates(const char *path, const char *title, const strata_rate_search *found, strata_error *err) {
    chart c = {.found = found};
    text out = {0};
    choose_axes(&c);
    svg_begin(&out, LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, title);
    text_add(&out, "<text x=\"24\" y=\"56\">loss of %s step%s at a rising learning rate, and their average</text>\n",
             count_text((int64_t)found->count).s, found->count == 1 ? "" : "s");
    text_add(&out, "<clipPath id=\"panel\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n", LEFT,
             TOP, WIDTH + 3, HEIGHT + 3);
    draw_axes(&out, &c);
    text_add(&out, "<g clip-path=\"url(#panel)\">\n");
    draw_line(&out, &c, false);
    draw_line(&out, &c, true);
    text_add(&out, "</g>\n");
    draw_suggested(&out, &c);
    return svg_end(&out, path, err);
}
