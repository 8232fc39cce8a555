/* The SVG of a network. Plain shapes on a white page: no script, no font, nothing from outside. Three layers are
 * written apart and put together at the end, so that a frame never covers a line and a line never a box. */
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

enum { MARGIN = 28, HEADER = 92, CORNER = 8, TURN = 20 /* above the columns, below their feet */ };

typedef struct canvas {
    const drawing *d;
    text frames, lines, dashes, heads, boxes; /* lines, dashes, heads: the data of one path each */
} canvas;

static size_t scope_length(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL ? (size_t)(dot - name) : 0;
}

bool layer_joins(const strata_layer_info *layer, const strata_layer_info *before) {
    size_t scope = scope_length(layer->name);
    return layer->is_attached && layer->follows && before->input_count > 0 &&
           layer->is_train_only == before->is_train_only && scope == scope_length(before->name) &&
           strncmp(layer->name, before->name, scope) == 0;
}

label work_text(int64_t multiply_adds) {
    label out;
    double n = (double)multiply_adds;
    if (n < 9999.5) {
        return count_text(multiply_adds);
    }
    double scaled = n < 999.5e3 ? n / 1e3 : n < 999.5e6 ? n / 1e6 : n / 1e9;
    snprintf(out.s, sizeof out.s, "%.*f %c",
             scaled < 9.995   ? 2
             : scaled < 99.95 ? 1
                              : 0,
             scaled,
             n < 999.5e3   ? 'K'
             : n < 999.5e6 ? 'M'
                           : 'G');
    return out;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static text *line_of(canvas *v, bool is_dashed) {
    return is_dashed ? &v->dashes : &v->lines;
}

/* Arrow heads, their points at x, y. */
static void head_down(canvas *v, double x, double y) {
    text_add(&v->heads, "M%.1f %.1fl-4-7h8z", x, y);
}

static void head_left(canvas *v, double x, double y) {
    text_add(&v->heads, "M%.1f %.1fl7-4v8z", x, y);
}

static bool has_head(const part *p) {
    return p->kind == PART_BLOCK || p->kind == PART_TANGLE ? has_head(p->inside.parts[0]) : p->kind != PART_BRANCHES;
}

/* From where a line already is, straight down into a part. */
static void down_into(canvas *v, double x, const part *p, bool is_dashed) {
    double y = drawing_entry(p);
    text_add(line_of(v, is_dashed), "V%.1f", has_head(p) ? y - 4 : y);
    if (has_head(p)) {
        head_down(v, x, y);
    }
}

/* From x, y sideways to `to`, then down; the pen stays there. */
static void sideways(text *line, double x, double y, double to) {
    double way = to > x ? to - x : x - to, corner = way < CORNER ? way : CORNER, sign = to > x ? 1 : -1;
    text_add(line, "M%.1f %.1f", x, y);
    if (way > 0.05) {
        text_add(line, "H%.1fq%.1f 0 %.1f %.1f", to - sign * corner, sign * corner, sign * corner, corner);
    }
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

static const char *colour_of(const drawing *d, const part *p) {
    static const char *const colours[] = {
        [STRATA_LAYER_OTHER] = "other", [STRATA_LAYER_INPUT] = "end",   [STRATA_LAYER_CONV] = "conv",
        [STRATA_LAYER_DENSE] = "fc",    [STRATA_LAYER_POOL] = "pool",   [STRATA_LAYER_NORM] = "norm",
        [STRATA_LAYER_ADD] = "merge",   [STRATA_LAYER_CONCAT] = "merge"};
    return p->kind == PART_CLOSED || p->kind == PART_GAP ? "block"
           : p->kind == PART_OUTPUT                      ? "end"
                                                         : colours[d->layers[p->layer].kind];
}

/* Cut to the width, with an ellipsis. */
static void add_fitting(text *out, const char *words, double width, double size, bool is_bold) {
    label safe = safe_text(words);
    size_t length = strlen(safe.s);
    bool is_cut = false;
    while (length > 1 && drawing_text_width(safe.s, size, is_bold) > width) {
        is_cut = true;
        do {
            length--;
        } while (length > 0 && ((unsigned char)safe.s[length] & 0xC0) == 0x80);
        safe.s[length] = '\0';
        width -= safe.s[0] != '\0' && length == strlen(words) - 1 ? size : 0;
    }
    svg_add_text(out, safe.s);
    text_add(out, is_cut ? "\xE2\x80\xA6" : "");
}

static void add_text(text *out, const char *style, double x, double y, const char *words, double width, double size) {
    text_add(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", style, x, y);
    add_fitting(out, words, width, size, style[0] == 'b');
    text_add(out, "</text>");
}

/* What a viewer shows when the mouse rests there. */
static void add_tooltip(canvas *v, const part *p) {
    const strata_layer_info *layer = &v->d->layers[p->layer];
    text_add(&v->boxes, "<title>");
    svg_add_text(&v->boxes, layer->name);
    text_add(&v->boxes, ": ");
    svg_add_text(&v->boxes, layer->text);
    if (drawing_work(v->d, p) > 0) {
        text_add(&v->boxes, "; %s multiply-adds", count_text(drawing_work(v->d, p)).s);
    }
    if (layer->receptive_field > 1) {
        text_add(&v->boxes, "; sees %lldx%lld pixels, every %lld", (long long)layer->receptive_field,
                 (long long)layer->receptive_field, (long long)layer->receptive_stride);
    }
    text_add(&v->boxes, "</title>");
}

static void add_rectangle(text *out, double x, double y, double width, double height, double corner) {
    text_add(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"/>", x, y, width, height,
             corner);
}

static void draw_cards(text *out, const part *p, double width, double height, double corner) {
    for (int i = p->repeat > 1 ? 2 : 0; i > 0; i--) {
        add_rectangle(out, p->x - p->left + i * CARD, p->y + i * CARD, width, height, corner);
    }
}

/* The lanes of a closed block, a column each. */
static void draw_summary(canvas *v, const part *p, double left) {
    const part *inner = p->inside.parts[0];
    for (size_t k = 0; k < inner->lane_count; k++) {
        const chain *lane = &inner->lanes[k];
        double x = left + lane->x, y = p->y + SUMMARY_TOP + 2;
        text_add(&v->boxes, "<g class=\"lane\">");
        add_rectangle(&v->boxes, x, y, lane->right, (double)(lane->count > 0 ? lane->count : 1) * SUMMARY_LINE + 5, 3);
        for (size_t i = 0; i < lane->count; i++) {
            text words = {0};
            drawing_operation(&words, v->d, lane->parts[i], false);
            add_text(&v->boxes, "small middle", x + lane->right / 2, y + SUMMARY_LINE * (double)i + 13, words.bytes,
                     lane->right, 10.5);
            text_free(&words);
        }
        text_add(&v->boxes, "</g>");
    }
}

static void draw_box(canvas *v, const part *p) {
    double stack = p->repeat > 1 ? 2 * CARD : 0, width = p->left + p->right - stack, height = p->height - stack;
    double left = p->x - p->left;
    text first = {0}, name = {0};
    text_add(&v->boxes, "<g class=\"%s%s\">", colour_of(v->d, p), v->d->layers[p->layer].is_train_only ? " train" : "");
    add_tooltip(v, p);
    draw_cards(&v->boxes, p, width, height, 6);
    add_rectangle(&v->boxes, left, p->y, width, height, 6);
    drawing_title(&first, v->d, p, false);
    drawing_title(&name, v->d, p, true);
    double room = drawing_text_width(name.bytes, 10.5, false), most = width * 0.45;
    room = room < most ? room : most;
    add_text(&v->boxes, "bold", left + 10, p->y + 18, first.bytes, width - room - 26, 12);
    add_text(&v->boxes, "small end", left + width - 10, p->y + 18, name.bytes, room + 2, 10.5);
    int64_t parameters = drawing_parameters(v->d, p);
    add_text(&v->boxes, "plain", left + 10, p->y + 34, drawing_shape(v->d, p).s, width, 11);
    if (parameters > 0) {
        add_text(&v->boxes, "plain end", left + width - 10, p->y + 34, count_text(parameters).s, width, 11);
    }
    if (drawing_has_summary(p)) {
        draw_summary(v, p, left);
    }
    text_add(&v->boxes, "</g>\n");
    text_free(&first);
    text_free(&name);
}

/* One line in the middle: what it is, in bold, and a shape. */
static void draw_bar(canvas *v, const part *p, const char *words, const char *shape, double x, double width, double y,
                     double corner) {
    double wide = drawing_text_width(words, 12, true),
           all = wide + (shape[0] != '\0' ? 12 : 0) + drawing_text_width(shape, 11, false);
    bool is_train_only = v->d->layers[p->layer].is_train_only;
    text_add(&v->boxes, "<g class=\"%s%s\">", colour_of(v->d, p), is_train_only ? " train" : "");
    add_tooltip(v, p);
    add_rectangle(&v->boxes, x - width / 2, y, width, BAR_HEIGHT, corner);
    text_add(&v->boxes, "<text x=\"%.1f\" y=\"%.1f\" class=\"middle\"><tspan class=\"bold\">", x, y + 18);
    add_fitting(&v->boxes, words, width - (all - wide) - 4, 12, true);
    text_add(&v->boxes, "</tspan>");
    if (shape[0] != '\0') {
        text_add(&v->boxes, "<tspan class=\"plain\" dx=\"10\">%s</tspan>", shape);
    }
    text_add(&v->boxes, "</text></g>\n");
}

static void draw_output(canvas *v, const part *p) {
    const strata_layer_info *layer = &v->d->layers[p->layer];
    text words = {0};
    text_add(&words, "%s", safe_text(layer->output_name).s);
    text weight = {0};
    text_add(&weight, "%s", "");
    if (layer->is_train_only && layer->loss_weight > 0) {
        text_add(&weight, "loss weight %s", number_text(layer->loss_weight).s);
    }
    draw_bar(v, p, words.bytes, weight.bytes, p->x, p->left + p->right, p->y, BAR_HEIGHT / 2.0);
    text_free(&weight);
    text_free(&words);
}

static void draw_gap(canvas *v, const part *p) {
    text words = {0};
    text_add(&words, "%s layers more", count_text(p->layer_count).s);
    add_text(&v->boxes, "plain middle", p->x, p->y + 26, words.bytes, p->left + p->right, 11);
    text_free(&words);
    for (int i = 0; i < 3; i++) {
        text_add(&v->boxes, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"1.8\"/>", p->x, p->y + 33 + 4.5 * i);
    }
    text_add(&v->boxes, "\n");
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static void draw_chain(canvas *v, const chain *c);

/* Ways that go round: from the fork, to the right, down, back to where they are added. */
static void draw_shortcut(canvas *v, const part *p, double right, bool is_dashed) {
    double top = p->y + 8, bottom = p->y + p->height - BAR_HEIGHT / 2.0, end = p->x + drawing_merge_width(v->d, p) / 2;
    double corner = 16;
    text_add(line_of(v, is_dashed), "M%.1f %.1fH%.1fq%.1f 0 %.1f %.1fV%.1fq0 %.1f-%.1f %.1fH%.1f", p->x, top,
             right - corner, corner, corner, corner, bottom - corner, corner, corner, corner, end + 4);
    head_left(v, end, bottom);
}

/* A lane that is added from the right. */
static void draw_joining(canvas *v, const part *p, const chain *lane, bool is_dashed) {
    double y = p->y + p->height - BAR_HEIGHT / 2.0, end = p->x + drawing_merge_width(v->d, p) / 2;
    text_add(line_of(v, is_dashed), "M%.1f %.1fV%.1fq0 %d-%d %dH%.1f", lane->x,
             drawing_exit(lane->parts[lane->count - 1]), y - CORNER, CORNER, CORNER, CORNER, end + 4);
    head_left(v, end, y);
}

/* How much a lane computes, beside its last arrow. */
static void draw_lane_work(canvas *v, const chain *lane, double y) {
    int64_t sum = 0;
    for (size_t i = 0; i < lane->count; i++) {
        sum += drawing_work(v->d, lane->parts[i]);
    }
    text words = {0};
    double room = lane->right + LANE_GAP - 10;
    text_add(&words, "%s multiply-adds", work_text(sum).s);
    if (drawing_text_width(words.bytes, 10, false) > room) {
        words.bytes[strlen(work_text(sum).s)] = '\0';
    }
    if (sum > 0 && drawing_text_width(words.bytes, 10, false) < room) {
        add_text(&v->boxes, "tiny", lane->x + 8, y, words.bytes, room, 10);
    }
    text_free(&words);
}

static void draw_branches(canvas *v, const part *p) {
    bool is_bar = drawing_is_bar(v->d, p), is_dashed = v->d->layers[p->layer].is_train_only;
    double merge = p->y + p->height - BAR_HEIGHT, fork = p->y + 8;
    size_t main_lane = drawing_main_lane(p);
    text *line = line_of(v, is_dashed);
    text_add(line, "M%.1f %.1fV%.1f", p->x, p->y, fork);
    text_add(&v->boxes, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\"/>", p->x, fork);
    for (size_t k = 0; k < p->lane_count; k++) {
        const chain *lane = &p->lanes[k];
        if (lane->count == 0 && !is_bar && k != main_lane) {
            draw_shortcut(v, p, lane->x, is_dashed);
            continue;
        }
        sideways(line, p->x, fork, lane->x);
        if (lane->count > 0) {
            down_into(v, lane->x, lane->parts[0], is_dashed);
            draw_chain(v, lane);
        }
        if (!is_bar && k != main_lane) {
            draw_joining(v, p, lane, is_dashed);
            continue;
        }
        if (lane->count > 0) {
            text_add(line, "M%.1f %.1f", lane->x, drawing_exit(lane->parts[lane->count - 1]));
        }
        text_add(line, "V%.1f", merge - 4);
        head_down(v, lane->x, merge);
        if (is_bar) {
            draw_lane_work(v, lane, merge - 9);
        }
    }
    if (p->lanes_left_out > 0) {
        text words = {0};
        text_add(&words, "and %s branches more", count_text((int64_t)p->lanes_left_out).s);
        add_text(&v->boxes, "plain", p->x - p->left, p->y + 2, words.bytes, p->left, 11);
        text_free(&words);
    }
    text words = {0};
    drawing_operation(&words, v->d, p, true);
    draw_bar(v, p, words.bytes, drawing_shape(v->d, p).s, p->x,
             is_bar ? p->left + p->right : drawing_merge_width(v->d, p), merge, is_bar ? 6 : BAR_HEIGHT / 2.0);
    text_free(&words);
}

static void draw_block(canvas *v, const part *p) {
    double stack = p->repeat > 1 ? 2 * CARD : 0, width = p->left + p->right - stack, height = p->height - stack;
    text name = {0}, word = {0};
    text_add(&v->frames, "<g class=\"frame\">");
    draw_cards(&v->frames, p, width, height, 8);
    add_rectangle(&v->frames, p->x - p->left, p->y, width, height, 8);
    drawing_title(&name, v->d, p, false);
    drawing_title(&word, v->d, p, true);
    add_text(&v->frames, "plain", p->x - p->left + 10, p->y + 16, name.bytes, p->left, 11);
    add_text(&v->frames, "bold end", p->x - p->left + width - 10, p->y + 16, word.bytes, p->right, 11);
    text_add(&v->frames, "</g>\n");
    text_free(&name);
    text_free(&word);
    draw_chain(v, &p->inside);
}

/* The layers, and a line beside them for each value that is used further down. */
static void draw_tangle(canvas *v, const part *p) {
    trunk *trunks;
    size_t slots, count = drawing_trunks(v->d, p, &trunks, &slots);
    draw_chain(v, &p->inside);
    for (size_t i = 0; i < count; i++) {
        const trunk *t = &trunks[i];
        const part *from = t->first >= 0 ? p->inside.parts[t->first] : NULL;
        double x = p->x + p->inside.right + 10 + (double)t->slot * SLOT;
        double y = from != NULL ? from->y + from->height - 10 : p->y + 2;
        const part *to = p->inside.parts[t->last];
        text_add(&v->lines, "M%.1f %.1fH%.1fq%d 0 %d %dV%.1f", from != NULL ? from->x + v->d->box_width / 2 : p->x, y,
                 x - CORNER, CORNER, CORNER, CORNER, to->y + 10 - CORNER);
        for (int k = t->first + 2; k <= t->last; k++) {
            const part *user = p->inside.parts[k];
            const strata_layer_info *layer = &v->d->layers[user->layer];
            bool uses = false;
            for (size_t j = 0; j < layer->input_count && !uses; j++) {
                const part *owner = v->d->owner[layer->inputs[j]];
                uses = from != NULL ? owner == from : owner == NULL || p->inside.parts[owner->index] != owner;
            }
            if (uses) {
                text_add(&v->lines, "M%.1f %.1fq0 %d-%d %dH%.1f", x, user->y + 10 - CORNER, CORNER, CORNER, CORNER,
                         user->x + v->d->box_width / 2 + 4);
                head_left(v, user->x + v->d->box_width / 2, user->y + 10);
            }
        }
    }
    free(trunks);
}

static void draw_part(canvas *v, const part *p) {
    switch (p->kind) {
    case PART_LAYER:
        if (v->d->layers[p->layer].input_count == 0) {
            text words = {0};
            drawing_operation(&words, v->d, p, true);
            draw_bar(v, p, words.bytes, "", p->x, p->left + p->right, p->y, BAR_HEIGHT / 2.0);
            text_free(&words);
            break;
        }
        draw_box(v, p);
        break;
    case PART_CLOSED:
        draw_box(v, p);
        break;
    case PART_BRANCHES:
        draw_branches(v, p);
        break;
    case PART_BLOCK:
        draw_block(v, p);
        break;
    case PART_TANGLE:
        draw_tangle(v, p);
        break;
    case PART_GAP:
        draw_gap(v, p);
        break;
    case PART_OUTPUT:
        draw_output(v, p);
        break;
    }
}

/* In a tangle a layer need not take the value of the one above it. */
static bool is_joined(const drawing *d, const part *above, const part *p) {
    const strata_layer_info *layer = &d->layers[p->layer];
    if (p->kind != PART_LAYER || above->kind != PART_LAYER || above->last == p->layer) {
        return true;
    }
    for (size_t k = 0; k < layer->input_count; k++) {
        if (layer->inputs[k] == above->last) {
            return true;
        }
    }
    return above->repeat > 1 || layer->input_count == 0;
}

/* From the foot of a column to the head of the next. */
static void draw_turn(canvas *v, const part *from, const part *to) {
    double foot = drawing_exit(from), left = to->x - to->left, corner = CORNER;
    for (size_t i = 0; i < v->d->chain.count; i++) {
        const part *p = v->d->chain.parts[i];
        left = p->column == to->column && p->x - p->left < left ? p->x - p->left : left;
    }
    double way = left - COLUMN_GAP / 2.0;
    text_add(&v->lines, "M%.1f %.1fV%.1fq0 %.1f %.1f %.1fH%.1fq%.1f 0 %.1f-%.1fV%dq0-%.1f %.1f-%.1f", from->x, foot,
             from->y + from->height + 14 - corner, corner, corner, corner, way - corner, corner, corner, corner,
             8 - TURN, corner, corner, corner);
    text_add(&v->lines, "H%.1fq%.1f 0 %.1f %.1f", to->x - corner, corner, corner, corner);
    down_into(v, to->x, to, false);
}

static void draw_chain(canvas *v, const chain *c) {
    for (size_t i = 0; i < c->count; i++) {
        const part *p = c->parts[i];
        bool is_dashed = v->d->layers[p->layer].is_train_only;
        if (i > 0 && c->parts[i - 1]->column != p->column) {
            draw_turn(v, c->parts[i - 1], p);
        } else if (i > 0 && is_joined(v->d, c->parts[i - 1], p)) {
            text_add(line_of(v, is_dashed), "M%.1f %.1f", p->x, drawing_exit(c->parts[i - 1]));
            down_into(v, p->x, p, is_dashed);
        }
        draw_part(v, p);
        for (const side *s = p->sides; s != NULL; s = s->next) {
            const part *first = s->chain.parts[0];
            bool is_head = v->d->layers[first->layer].is_train_only;
            double y = drawing_exit(p), bend = p->y + p->height + GAP / 2.0 - 3;
            text_add(line_of(v, is_head), "M%.1f %.1fV%.1f", p->x, y, bend);
            sideways(line_of(v, is_head), p->x, bend, s->chain.x);
            down_into(v, s->chain.x, first, is_head);
            draw_chain(v, &s->chain);
        }
    }
}

/* ---- the page --------------------------------------------------------------------------------------------------- */

static const char style[] =
    "<style>\n"
    "text { font: 11px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #57606a }\n"
    ".bold { font-weight: 600; font-size: 12px; fill: #1f2328 } .small { font-size: 10.5px } .tiny { font-size: 10px "
    "}\n"
    ".title { font-weight: 600; font-size: 20px; fill: #1f2328 } .fact { font-size: 12.5px; fill: #1f2328 }\n"
    ".end { text-anchor: end } .middle { text-anchor: middle }\n"
    "rect { stroke-width: 1.2 } .page { fill: #ffffff } circle { fill: #818b98 }\n"
    ".frame rect { fill: #f6f8fa; stroke: #d1d9e0 } .frame .bold { font-size: 11px }\n"
    ".conv rect { fill: #ddeeff; stroke: #4a90d9 } .pool rect { fill: #dcf3e1; stroke: #4ca866 }\n"
    ".fc rect { fill: #eae3fb; stroke: #8f6fd1 } .norm rect { fill: #d8f1f1; stroke: #3fa3a3 }\n"
    ".merge rect { fill: #fff0c9; stroke: #d4a72c } .other rect { fill: #f3f3f3; stroke: #8c959f }\n"
    ".end rect { fill: #ffffff; stroke: #57606a } .block rect { fill: #e6ebf1; stroke: #8593a3 }\n"
    ".block .lane rect { fill: #ffffff; stroke: #c4ccd6 } .train rect { stroke-dasharray: 5 3 }\n"
    ".line { fill: none; stroke: #818b98; stroke-width: 1.4 } .dash { stroke-dasharray: 5 3 }\n"
    ".head { fill: #818b98 }\n"
    "</style>\n";

static void add_facts(text *out, const drawing *d) {
    text_add(out, "%s parameters", count_text(d->info.parameters).s);
    if (d->for_training != d->info.parameters) {
        text_add(out, " (%s in training)", count_text(d->for_training).s);
    }
    text_add(out, ", %s multiply-adds", work_text(d->info.multiply_adds).s);
}

static void write_page(text *out, const canvas *v) {
    static const char legend[] = "Each box: what it does and its name; below, what comes out and its parameters.";
    const char *more = v->dashes.length > 0 ? " Dashed: in training only." : "";
    const chain *c = &v->d->chain;
    text facts = {0};
    add_facts(&facts, v->d);
    double width = c->left + c->right,
           least = drawing_text_width(legend, 11, false) + drawing_text_width(more, 11, false);
    double wide = drawing_text_width(facts.bytes, 12.5, false);
    least = wide > least ? wide : least;
    wide = drawing_text_width(v->d->info.name, 20, true);
    least = wide > least ? wide : least;
    double shift = MARGIN + c->left + (width < least ? (least - width) / 2 : 0);
    width = 2 * MARGIN + (width > least ? width : least);
    int top = HEADER;
    double height = HEADER + c->height + MARGIN;
    if (c->count > 0 && c->parts[c->count - 1]->column > 0) {
        top += TURN;
        height += 2 * TURN;
    }
    text_add(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
             "role=\"img\">\n<title>",
             width, height, width, height);
    svg_add_text(out, v->d->info.name);
    text_add(out, "</title>\n%s<rect class=\"page\" width=\"%.0f\" height=\"%.0f\"/>\n", style, width, height);
    text_add(out, "<text class=\"title\" x=\"%d\" y=\"36\">", MARGIN);
    svg_add_text(out, v->d->info.name);
    text_add(out, "</text>\n<text class=\"fact\" x=\"%d\" y=\"56\">%s</text>\n", MARGIN, facts.bytes);
    text_add(out, "<text x=\"%d\" y=\"74\">%s%s</text>\n", MARGIN, legend, more);
    text_add(out, "<g transform=\"translate(%.1f %d)\">\n%s", shift, top,
             v->frames.bytes != NULL ? v->frames.bytes : "");
    if (v->lines.length > 0) {
        text_add(out, "<path class=\"line\" d=\"%s\"/>\n", v->lines.bytes);
    }
    if (v->dashes.length > 0) {
        text_add(out, "<path class=\"line dash\" d=\"%s\"/>\n", v->dashes.bytes);
    }
    if (v->heads.length > 0) {
        text_add(out, "<path class=\"head\" d=\"%s\"/>\n", v->heads.bytes);
    }
    text_add(out, "%s</g>\n</svg>\n", v->boxes.bytes != NULL ? v->boxes.bytes : "");
    text_free(&facts);
}

strata_status drawing_write(const char *path, const strata_net *net, bool unfold, strata_error *err) {
    drawing d = {.unfold = unfold};
    canvas v = {.d = &d};
    text out = {0};
    drawing_read(&d, net);
    drawing_fold(&d);
    drawing_layout(&d);
    draw_chain(&v, &d.chain);
    write_page(&out, &v);
    strata_status status = strata_file_write(path, out.bytes, out.length, err);
    text *texts[] = {&v.frames, &v.lines, &v.dashes, &v.heads, &v.boxes, &out};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        text_free(texts[i]);
    }
    while (d.memory != NULL) {
        void *next = *(void **)d.memory;
        free(d.memory);
        d.memory = next;
    }
    return status;
}
