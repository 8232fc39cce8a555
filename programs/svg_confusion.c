/* A confusion matrix as a drawing: a row is a true class, a column what it was taken for. Right answers are blue and on
 * the diagonal, wrong ones orange: the two differ for every kind of colour vision, and in print by their place. Few
 * mistakes must still be seen, so their shade grows with the root of their share. Names are left out where they could
 * not be read; every cell says what it is when it is pointed at, and beside many classes stand the pairs that are mixed
 * up most often. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct matrix {
    const int64_t *counts;
    size_t class_count; /* of the counts */
    size_t *shown;      /* classes that are drawn */
    size_t count;
    char **names; /* [count], cut */
    double left, top, cell, side;
    int font; /* of names; 0: none */
} matrix;

static int64_t count_at(const matrix *m, size_t row, size_t column) {
    return m->counts[m->shown[row] * m->class_count + m->shown[column]];
}

static int64_t row_total(const matrix *m, size_t row) {
    int64_t total = 0;
    for (size_t k = 0; k < m->class_count; k++) {
        total += m->counts[m->shown[row] * m->class_count + k];
    }
    return total;
}

/* ---- what is drawn, and how large ------------------------------------------------------------------------------- */

/* Of many classes those that occur, as what is or as what it was taken for. */
static void choose_classes(matrix *m) {
    enum { ALL_UP_TO = 40 };
    m->shown = take(NULL, m->class_count * sizeof *m->shown);
    for (size_t i = 0; i < m->class_count; i++) {
        bool is_used = m->class_count <= ALL_UP_TO;
        for (size_t k = 0; k < m->class_count && !is_used; k++) {
            is_used = m->counts[i * m->class_count + k] > 0 || m->counts[k * m->class_count + i] > 0;
        }
        if (is_used) {
            m->shown[m->count++] = i;
        }
    }
}

static double cell_size(size_t count) {
    return count <= 3    ? 96
           : count <= 6  ? 64
           : count <= 12 ? 44
           : count <= 24 ? 30
           : count <= 48 ? 18
           : count <= 72 ? 13
                         : fmax(2, fmin(10, 1100 / (double)count));
}

static double text_room(const matrix *m) {
    size_t widest = 0;
    for (size_t i = 0; i < m->count; i++) {
        size_t width = text_width(m->names[i]);
        widest = width > widest ? width : widest;
    }
    return 0.58 * m->font * (double)widest; /* of a letter, on average */
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static void draw_names(text *out, const matrix *m, size_t row) {
    double middle = m->cell * ((double)row + 0.5), third = m->font / 3.0;
    int64_t total = row_total(m, row);
    text_add(out, "<text style=\"font-size:%dpx\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", m->font, m->left - 8,
             m->top + middle + third);
    svg_add_text(out, m->names[row]);
    if (m->cell >= 24) {
        text_add(out, "</text>\n<text style=\"font-size:%dpx\" transform=\"translate(%.1f %.1f) rotate(45)\">", m->font,
                 m->left + middle - third, m->top + m->side + 16);
    } else { /* side by side there is no room for a slope */
        text_add(out, "</text>\n<text style=\"font-size:%dpx\" transform=\"translate(%.1f %.1f) rotate(90)\">", m->font,
                 m->left + middle - third, m->top + m->side + 8);
    }
    svg_add_text(out, m->names[row]);
    text_add(out, "</text>\n");
    if (total > 0) {
        text_add(out, "<text class=\"train\" style=\"font-size:%dpx\" x=\"%.1f\" y=\"%.1f\">%.*f%%</text>\n", m->font,
                 m->left + m->side + 8, m->top + middle + third, m->cell >= 24 ? 1 : 0,
                 100 * (double)count_at(m, row, row) / (double)total);
    }
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static void draw_cell(text *out, const matrix *m, size_t row, size_t column, int64_t total) {
    int64_t count = count_at(m, row, column);
    bool is_right = row == column;
    double share = (double)count / (double)total, gap = m->cell >= 12 ? 1 : m->cell >= 6 ? 0.5 : 0;
    double x = m->left + m->cell * (double)column, y = m->top + m->cell * (double)row;
    text_add(out,
             "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill-opacity=\"%.2f\"><title>",
             is_right ? "right" : "wrong", x + gap / 2, y + gap / 2, m->cell - gap, m->cell - gap,
             is_right ? 0.15 + 0.6 * share : 0.08 + 0.87 * sqrt(share));
    svg_add_text(out, m->names[row]);
    text_add(out, is_right ? " right" : " taken for ");
    svg_add_text(out, is_right ? "" : m->names[column]);
    text_add(out, ": %s of %s, %s</title></rect>", count_text(count).s, count_text(total).s, share_text(share).s);
    double font = m->cell >= 40 ? 13 : 10;
    if (0.62 * font * (double)strlen(count_text(count).s) < m->cell - 2 && m->cell >= 18) {
        text_add(out,
                 "<text class=\"name\" style=\"font-size:%.0fpx;pointer-events:none\" x=\"%.1f\" y=\"%.1f\" "
                 "text-anchor=\"middle\">%s</text>",
                 font, x + m->cell / 2, y + m->cell / 2 + font / 3, count_text(count).s);
    }
}

static void draw_row(text *out, const matrix *m, size_t row) {
    int64_t total = row_total(m, row);
    for (size_t column = 0; column < m->count; column++) {
        if (count_at(m, row, column) > 0) {
            draw_cell(out, m, row, column, total);
        }
    }
    text_add(out, "\n");
}

/* ---- the pairs that are mixed up most often --------------------------------------------------------------------- */

typedef struct pair {
    size_t row, column;
    int64_t count;
} pair;

enum { MOST_PAIRS = 14, PAIRS_WIDTH = 300 };

static size_t find_pairs(pair out[MOST_PAIRS], const matrix *m) {
    size_t count = 0;
    for (size_t i = 0; i < m->count * m->count; i++) {
        pair p = {i / m->count, i % m->count, 0};
        p.count = count_at(m, p.row, p.column);
        if (p.row == p.column || p.count == 0 || (count == MOST_PAIRS && p.count <= out[count - 1].count)) {
            continue;
        }
        size_t at = count < MOST_PAIRS ? count++ : count - 1;
        for (; at > 0 && out[at - 1].count < p.count; at--) {
            out[at] = out[at - 1];
        }
        out[at] = p;
    }
    return count;
}

static void draw_pairs(text *out, const matrix *m, double x) {
    enum { LINE = 38 };
    pair pairs[MOST_PAIRS];
    size_t count = find_pairs(pairs, m);
    if (count == 0) {
        return;
    }
    text_add(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" style=\"font-weight:600\">mixed up most often</text>\n",
             x, m->top + 10);
    for (size_t i = 0; i < count; i++) {
        double y = m->top + 36 + LINE * (double)i;
        text_add(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", x, y);
        svg_add_text(out, m->names[pairs[i].row]);
        text_add(out, "</text><text x=\"%.1f\" y=\"%.1f\">taken for ", x, y + 15);
        svg_add_text(out, m->names[pairs[i].column]);
        text_add(out, "</text><text class=\"val\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                 x + PAIRS_WIDTH - 40, y, count_text(pairs[i].count).s);
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void choose_names(matrix *m, const char *(*class_name)(const void *names, size_t index), const void *names) {
    enum { WIDEST = 28 };
    m->names = take(NULL, m->count * sizeof *m->names);
    for (size_t i = 0; i < m->count; i++) {
        label name = narrow_text(class_name(names, m->shown[i]), WIDEST, false);
        m->names[i] = take_copy(name.s, strlen(name.s));
    }
}

static void draw_all(text *out, const matrix *m, const char *title, double width, double height, bool has_pairs) {
    svg_begin(out, (int)width, (int)height, title);
    text_add(out, "<text x=\"24\" y=\"56\">rows: what it is; columns: what it was taken for%s</text>\n",
             m->count < m->class_count ? "; classes that do not occur are left out" : "");
    text_add(out, "<rect class=\"right\" x=\"24\" y=\"68\" width=\"11\" height=\"11\" fill-opacity=\"0.75\"/>"
                  "<text x=\"40\" y=\"78\">right</text>"
                  "<rect class=\"wrong\" x=\"84\" y=\"68\" width=\"11\" height=\"11\" fill-opacity=\"0.75\"/>"
                  "<text x=\"100\" y=\"78\">wrong; the deeper, the larger the share of the row</text>\n");
    for (size_t row = 0; row < m->count; row++) {
        if (m->font > 0) {
            draw_names(out, m, row);
        }
        draw_row(out, m, row);
    }
    text_add(out, "<rect class=\"grid\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", m->left, m->top,
             m->side, m->side);
    if (has_pairs) {
        draw_pairs(out, m, m->left + m->side + (m->font > 0 ? 72 : 32));
    }
}

strata_status svg_confusion(const char *path, const char *title, const int64_t *confusion, size_t class_count,
                            const char *(*class_name)(const void *names, size_t index), const void *names,
                            strata_error *err) {
    enum { PAIRS_FROM = 13, LEAST_WIDTH = 460, PAIRS_HEIGHT = 620 };
    matrix m = {.counts = confusion, .class_count = class_count, .top = 104};
    choose_classes(&m);
    choose_names(&m, class_name, names);
    m.cell = cell_size(m.count);
    m.side = m.cell * (double)m.count;
    m.font = m.cell >= 16 ? 12 : m.cell >= 9 ? (int)m.cell - 1 : 0;
    double room = text_room(&m);
    m.left = fmax(40, 24 + room + 8);
    bool has_pairs = m.count >= PAIRS_FROM;
    double slope = m.cell >= 24 ? 0.71 : 1;
    double width = m.left + m.side + fmax(72, slope < 1 ? slope * room + 24 : 0) + (has_pairs ? PAIRS_WIDTH : 0);
    double height = m.top + m.side + 28 + slope * room + 16;
    text out = {0};
    draw_all(&out, &m, title, fmax(width, LEAST_WIDTH), fmax(height, has_pairs ? PAIRS_HEIGHT : 0), has_pairs);
    for (size_t i = 0; i < m.count; i++) {
        free(m.names[i]);
    }
    free(m.names);
    free(m.shown);
    return svg_end(&out, path, err);
}
