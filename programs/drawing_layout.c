/* How large everything is and where it stands. Boxes are of one width; a chain stands on an axis; lanes stand side by
 * side, or, where they are added, to the right of the longest. */
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* In thousandths of the size. Widths of DejaVu Sans, one of the widest fonts that a viewer may choose. */
double drawing_text_width(const char *s, double size, bool is_bold) {
    static const short widths[] = {318,  401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
                                   636,  636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
                                   1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
                                   603,  787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
                                   500,  613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
                                   635,  635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838};
    double sum = 0;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        bool is_continuation = (c & 0xC0) == 0x80;
        sum += is_continuation ? 0 : c >= 32 && c < 127 ? widths[c - 32] : 1000;
    }
    return sum * size / 1000 * (is_bold ? 1.1 : 1);
}

/* The words of a layer's text; a list in brackets is one word, and so is a text in quotes. */
static const char *next_word(const char *s, size_t *length) {
    int depth = 0;
    bool is_quoted = false;
    s += strspn(s, " ");
    for (*length = 0; s[*length] != '\0' && (s[*length] != ' ' || depth > 0 || is_quoted); ++*length) {
        char c = s[*length];
        is_quoted = is_quoted != (c == '"');
        depth += c == '[' || c == '(' ? 1 : c == ']' || c == ')' ? -1 : 0;
    }
    return s;
}

static bool is_one_of(const char *word, const char *const *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strncmp(word, keys[i], strlen(keys[i])) == 0) {
            return true;
        }
    }
    return false;
}

void layer_add_text(text *out, const strata_layer_info *layer) {
    enum { LONG = 20 };
    static const char *const unseen[] = {"bias=", "eps=",   "init=",  "scale=",  "momentum=", "mean=",
                                         "std=",  "range=", "order=", "resize=", "fit=",      "filter="};
    size_t length;
    const char *word = next_word(layer->text, &length), *blank = "";
    for (; length > 0; word = next_word(word + length, &length)) {
        if (!is_one_of(word, unseen, COUNT_OF(unseen))) {
            bool is_long = word[0] == '"' && length > LONG; /* a table of connections */
            text_add(out, "%s%.*s%s", blank, (int)(is_long ? LONG - 4 : length), word, is_long ? "...\"" : "");
            blank = " ";
        }
    }
}

/* Shorter, for a box: "conv 3x3 64 /2". */
static void add_operation(text *out, const strata_layer_info *layer) {
    enum { MOST = 40 };
    static const char *const unshown[] = {"pad=", "ceil=", "alpha=", "beta=", "k="};
    text words = {0};
    size_t begun = out->length, length;
    layer_add_text(&words, layer);
    const char *word = next_word(words.bytes, &length);
    for (size_t i = 0; length > 0 && out->length - begun < MOST; i++, word = next_word(word + length, &length)) {
        bool is_stride = strncmp(word, "stride=", 7) == 0;
        bool is_table = word[0] == '"'; /* of connections: too long for a box */
        if (is_table || is_one_of(word, unshown, COUNT_OF(unshown))) {
            continue;
        }
        text_add(out, "%s%s%.*s", i > 0 ? " " : "", is_stride ? "/" : "",
                 (int)(is_stride       ? length - 7
                       : length > MOST ? MOST
                                       : length),
                 is_stride ? word + 7 : word);
    }
    text_free(&words);
}

void drawing_operation(text *out, const drawing *d, const part *p, bool with_followers) {
    add_operation(out, &d->layers[p->layer]);
    for (int i = 1; i <= p->follower_count && with_followers; i++) {
        text_add(out, ", ");
        add_operation(out, &d->layers[p->layer + i]);
    }
}

int64_t drawing_parameters(const drawing *d, const part *p) {
    bool is_layer = p->kind == PART_LAYER || p->kind == PART_BRANCHES;
    int64_t sum = 0;
    for (int i = 0; i <= p->follower_count && is_layer; i++) {
        sum += d->layers[p->layer + i].parameters;
    }
    for (size_t i = 0; i < p->inside.count; i++) {
        sum += drawing_parameters(d, p->inside.parts[i]);
    }
    for (size_t k = 0; k < p->lane_count; k++) {
        for (size_t i = 0; i < p->lanes[k].count; i++) {
            sum += drawing_parameters(d, p->lanes[k].parts[i]);
        }
    }
    return sum * (int64_t)p->repeat;
}

int64_t drawing_work(const drawing *d, const part *p) {
    bool is_layer = p->kind == PART_LAYER || p->kind == PART_BRANCHES;
    int64_t sum = 0;
    for (int i = 0; i <= p->follower_count && is_layer; i++) {
        sum += d->layers[p->layer + i].multiply_adds;
    }
    for (size_t i = 0; i < p->inside.count; i++) {
        sum += drawing_work(d, p->inside.parts[i]);
    }
    for (size_t k = 0; k < p->lane_count; k++) {
        for (size_t i = 0; i < p->lanes[k].count; i++) {
            sum += drawing_work(d, p->lanes[k].parts[i]);
        }
    }
    return sum * (int64_t)p->repeat;
}

label drawing_shape(const drawing *d, const part *p) {
    return shape_text(d->layers[p->last].output, d->layers[p->last].is_flat);
}

bool drawing_is_bar(const drawing *d, const part *p) {
    return d->layers[p->layer].kind != STRATA_LAYER_ADD;
}

bool drawing_has_summary(const part *p) {
    enum { LANES = 8, LINES = 4 };
    const part *inner = p->inside.count == 1 ? p->inside.parts[0] : NULL;
    if (p->kind != PART_CLOSED || inner == NULL || inner->kind != PART_BRANCHES || inner->lane_count > LANES) {
        return false;
    }
    for (size_t k = 0; k < inner->lane_count; k++) {
        if (inner->lanes[k].count > LINES) {
            return false;
        }
        for (size_t i = 0; i < inner->lanes[k].count; i++) {
            if (inner->lanes[k].parts[i]->kind != PART_LAYER) {
                return false;
            }
        }
    }
    return true;
}

void drawing_title(text *out, const drawing *d, const part *p, bool is_right) {
    if (p->kind == PART_CLOSED || p->kind == PART_BLOCK) {
        if (!is_right) {
            text_add(out, "%s", safe_text(p->name).s);
            if (p->repeat > 1) {
                text_add(out, " to %s", safe_text(p->last_name).s);
            }
        } else {
            text_add(out, p->repeat > 1 ? "%s x %zu" : "%s", safe_text(p->word).s, p->repeat);
        }
    } else if (is_right) {
        bool is_number = p->name[strspn(p->name, "0123456789")] == '\0';
        text_add(out, "%s", is_number && drawing_parameters(d, p) == 0 ? "" : safe_text(p->name).s);
    } else {
        drawing_operation(out, d, p, true);
        if (p->repeat > 1) {
            text_add(out, "  x %zu", p->repeat);
        }
    }
}

double drawing_merge_width(const drawing *d, const part *p) {
    text words = {0};
    drawing_operation(&words, d, p, true);
    double width = drawing_text_width(words.bytes, 12, true) + drawing_text_width(drawing_shape(d, p).s, 11, false);
    text_free(&words);
    return width + 44;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static double larger(double a, double b) {
    return a > b ? a : b;
}

static double title_width(const drawing *d, const part *p) {
    text left = {0}, right = {0};
    drawing_title(&left, d, p, false);
    drawing_title(&right, d, p, true);
    double width = drawing_text_width(left.bytes, 12, true) + drawing_text_width(right.bytes, 10.5, false) + 34;
    text_free(&left);
    text_free(&right);
    return width;
}

static void widen(drawing *d, const chain *c) {
    enum { MOST = 330 };
    for (size_t i = 0; i < c->count; i++) {
        const part *p = c->parts[i];
        if ((p->kind == PART_LAYER && d->layers[p->layer].input_count > 0) || p->kind == PART_CLOSED) {
            double width = title_width(d, p);
            d->box_width = width > d->box_width ? (width < MOST ? width : MOST) : d->box_width;
        }
        if (p->kind != PART_CLOSED) {
            widen(d, &p->inside);
        }
        for (size_t k = 0; k < p->lane_count; k++) {
            widen(d, &p->lanes[k]);
        }
        for (const side *s = p->sides; s != NULL; s = s->next) {
            widen(d, &s->chain);
        }
    }
}

static double stack_of(const part *p) {
    return p->repeat > 1 ? 2 * CARD : 0;
}

static void measure_chain(drawing *d, chain *c);

size_t drawing_main_lane(const part *p) {
    size_t best = 0;
    for (size_t k = 1; k < p->lane_count; k++) {
        best = p->lanes[k].height > p->lanes[best].height ? k : best;
    }
    return best;
}

/* Lanes that end on a bar: centred. */
static void place_on_bar(const drawing *d, part *p) {
    double total = 0;
    for (size_t k = 0; k < p->lane_count; k++) {
        chain *lane = &p->lanes[k];
        if (lane->count == 0) {
            lane->left = lane->right = 12;
        }
        total += (k > 0 ? LANE_GAP : 0) + lane->left + lane->right;
    }
    double at = -total / 2, least = drawing_merge_width(d, p);
    for (size_t k = 0; k < p->lane_count; k++) {
        p->lanes[k].x = at + p->lanes[k].left;
        at += p->lanes[k].left + p->lanes[k].right + LANE_GAP;
    }
    p->left = p->right = larger(total, least) / 2;
}

/* Lanes that are added: the longest on the axis, the others to its right, shortcuts around all of them. */
static void place_added(const drawing *d, part *p) {
    size_t first = drawing_main_lane(p);
    double width = drawing_merge_width(d, p) / 2;
    p->left = larger(p->lanes[first].left, width);
    p->right = larger(p->lanes[first].right, width);
    p->lanes[first].x = 0;
    for (size_t k = 0; k < p->lane_count; k++) {
        chain *lane = &p->lanes[k];
        if (k != first && lane->count > 0) {
            lane->x = p->right + LANE_GAP + lane->left;
            p->right = lane->x + lane->right;
        }
    }
    for (size_t k = 0; k < p->lane_count; k++) {
        if (k != first && p->lanes[k].count == 0) {
            p->right += BYPASS;
            p->lanes[k].x = p->right;
        }
    }
    p->right += 2;
}

static void measure_branches(drawing *d, part *p) {
    double tallest = 0;
    for (size_t k = 0; k < p->lane_count; k++) {
        measure_chain(d, &p->lanes[k]);
        p->lanes[k].y = FORK;
        tallest = larger(tallest, p->lanes[k].height);
    }
    if (drawing_is_bar(d, p)) {
        place_on_bar(d, p);
    } else {
        place_added(d, p);
    }
    p->height = FORK + tallest + JOIN + BAR_HEIGHT;
}

size_t drawing_trunks(const drawing *d, const part *p, trunk **out, size_t *slot_count) {
    enum { SLOTS = 24 };
    size_t count = p->inside.count, kept = 0;
    trunk *list = take(NULL, (count + 1) * sizeof *list);
    int free_from[SLOTS] = {0};
    for (size_t i = 0; i <= count; i++) {
        list[i] = (trunk){.first = (int)i - 1, .last = -1};
    }
    for (size_t i = 0; i < count; i++) {
        const strata_layer_info *layer = &d->layers[p->inside.parts[i]->layer];
        for (size_t k = 0; k < layer->input_count; k++) {
            const part *from = d->owner[layer->inputs[k]];
            int first =
                from != NULL && (size_t)from->index < i && p->inside.parts[from->index] == from ? from->index : -1;
            if (first + 1 < (int)i && list[first + 1].last < (int)i) {
                list[first + 1].last = (int)i;
            }
        }
    }
    *slot_count = 0;
    for (size_t i = 0; i <= count; i++) {
        size_t slot = 0;
        while (slot < *slot_count && free_from[slot] > list[i].first && slot + 1 < SLOTS) {
            slot++;
        }
        if (list[i].last > list[i].first) {
            *slot_count = slot + 1 > *slot_count ? slot + 1 : *slot_count;
            free_from[slot] = list[i].last;
            list[kept] = list[i];
            list[kept++].slot = (int)slot;
        }
    }
    *out = list;
    return kept;
}

static void measure_tangle(drawing *d, part *p) {
    trunk *trunks;
    size_t slots;
    drawing_trunks(d, p, &trunks, &slots);
    free(trunks);
    measure_chain(d, &p->inside);
    p->inside.y = 8;
    p->left = p->inside.left;
    p->right = p->inside.right + (double)slots * SLOT + 14;
    p->height = p->inside.height + 8;
}

static void measure_block(drawing *d, part *p) {
    measure_chain(d, &p->inside);
    text left = {0}, right = {0};
    drawing_title(&left, d, p, false);
    drawing_title(&right, d, p, true);
    p->inside.y = FRAME_TITLE;
    p->left = larger(p->inside.left + FRAME_PAD, drawing_text_width(left.bytes, 11, false) + 18);
    p->right = larger(p->inside.right + FRAME_PAD, drawing_text_width(right.bytes, 11, true) + 18) + stack_of(p);
    p->height = FRAME_TITLE + p->inside.height + FRAME_PAD + stack_of(p);
    text_free(&left);
    text_free(&right);
}

static double summary_width(const drawing *d, const chain *lane) {
    double width = 0;
    for (size_t i = 0; i < lane->count; i++) {
        text words = {0};
        drawing_operation(&words, d, lane->parts[i], false);
        width = larger(width, drawing_text_width(words.bytes, 10.5, false) + 16);
        text_free(&words);
    }
    return width;
}

static void measure_summary(drawing *d, part *p) {
    const part *inner = p->inside.parts[0];
    double total = 12;
    size_t lines = 0;
    for (size_t k = 0; k < inner->lane_count; k++) {
        chain *lane = &inner->lanes[k];
        lane->x = total;
        lane->right = summary_width(d, lane);
        total += lane->right + 6;
        lines = lane->count > lines ? lane->count : lines;
    }
    total += 6;
    d->closed_width = larger(larger(total, d->box_width), d->closed_width);
    p->left = p->right = d->closed_width / 2;
    for (size_t k = 0; k < inner->lane_count; k++) {
        inner->lanes[k].x += p->left - total / 2;
    }
    p->height = SUMMARY_TOP + (double)lines * SUMMARY_LINE + 12;
}

static void measure_part(drawing *d, part *p) {
    p->left = p->right = d->box_width / 2;
    p->height = BOX_HEIGHT;
    if (p->kind == PART_BRANCHES) {
        measure_branches(d, p);
    } else if (p->kind == PART_BLOCK) {
        measure_block(d, p);
    } else if (p->kind == PART_TANGLE) {
        measure_tangle(d, p);
    } else if (p->kind == PART_OUTPUT || (p->kind == PART_LAYER && d->layers[p->layer].input_count == 0)) {
        p->height = BAR_HEIGHT;
    } else {
        if (drawing_has_summary(p)) {
            measure_summary(d, p);
        }
        p->right += stack_of(p);
        p->height += stack_of(p);
    }
}

/* How far down the heads of a part must begin so that they stand below those before them, rather than beside: made
 * room for where it is little. */
static double room_for_sides(drawing *d, const part *p, double y, double *until) {
    enum { MOST = 140 };
    double more = 0, begin = y + p->height + GAP;
    for (side *s = p->sides; s != NULL; s = s->next) {
        measure_chain(d, &s->chain);
        double missing = *until + GAP - begin;
        more = missing > more && missing < MOST ? missing : more;
    }
    for (const side *s = p->sides; s != NULL; s = s->next) {
        *until = larger(*until, begin + more + s->chain.height);
    }
    return more;
}

/* Heads stand to the right of what is beside them. From the last to the first: where two are beside each other, the
 * line to the earlier passes above the later. */
static void place_sides(chain *c) {
    double taken = 0, from = 0;
    bool is_first = true;
    for (size_t i = c->count; i-- > 0;) {
        const part *p = c->parts[i];
        for (side *s = p->sides; s != NULL; s = s->next) {
            s->chain.y = p->y + p->height + GAP;
            double bottom = s->chain.y + s->chain.height, right = p->right;
            for (size_t k = i; k < c->count && c->parts[k]->y < bottom; k++) {
                right = larger(right, c->parts[k]->right);
            }
            bool is_beside = !is_first && bottom + GAP > from;
            s->chain.x = (is_beside ? larger(right, taken) : right) + 2 * LANE_GAP + s->chain.left;
            taken = s->chain.x + s->chain.right;
            from = s->chain.y;
            is_first = false;
            c->right = larger(c->right, taken);
            c->height = larger(c->height, bottom);
        }
    }
}

static void measure_chain(drawing *d, chain *c) {
    double until = 0;
    c->left = c->right = c->height = 0;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        measure_part(d, p);
        bool is_near = i > 0 && p->kind == PART_BRANCHES && c->parts[i - 1]->sides == NULL;
        c->height += i == 0 ? 0 : is_near ? 4 : GAP;
        c->height += room_for_sides(d, p, c->height, &until);
        p->y = c->height;
        c->height += p->height;
        c->left = larger(c->left, p->left);
        c->right = larger(c->right, p->right);
    }
    place_sides(c);
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

static void place_chain(chain *c, double x, double y) {
    c->x = x;
    c->y = y;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        p->x = x;
        p->y += y;
        if (p->kind != PART_CLOSED) {
            place_chain(&p->inside, x, p->y + p->inside.y);
        }
        for (size_t k = 0; k < p->lane_count; k++) {
            place_chain(&p->lanes[k], x + p->lanes[k].x, p->y + p->lanes[k].y);
        }
        for (side *s = p->sides; s != NULL; s = s->next) {
            place_chain(&s->chain, x + s->chain.x, y + s->chain.y);
        }
    }
}

double drawing_entry(const part *p) {
    return p->kind == PART_BLOCK || p->kind == PART_TANGLE ? drawing_entry(p->inside.parts[0]) : p->y;
}

double drawing_exit(const part *p) {
    if (p->kind == PART_BLOCK || p->kind == PART_TANGLE) {
        return drawing_exit(p->inside.parts[p->inside.count - 1]);
    }
    return p->y + p->height - (p->kind == PART_BRANCHES ? 0 : stack_of(p));
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

/* The first part of the column after the one that begins at `begin` and may be `most` high. */
static size_t column_end(const chain *c, size_t begin, double most) {
    size_t end = begin;
    double until = 0;
    for (size_t i = begin; i < c->count; i++) {
        const part *p = c->parts[i];
        if (end > begin && p->y + p->height - c->parts[begin]->y > most) {
            return end;
        }
        for (const side *s = p->sides; s != NULL; s = s->next) {
            until = larger(until, s->chain.y + s->chain.height);
        }
        bool may_end = i + 1 < c->count && until <= c->parts[i + 1]->y && c->parts[i + 1]->kind != PART_OUTPUT;
        end = may_end ? i + 1 : end;
    }
    return c->count;
}

static size_t count_columns(const chain *c, double most) {
    size_t count = 0;
    for (size_t i = 0; i < c->count; i = column_end(c, i, most)) {
        count++;
    }
    return count;
}

/* Columns as equal in height as they can be: the least height with which so many are enough. */
static double column_height(const chain *c, size_t columns) {
    double low = c->height / (double)columns, high = c->height;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        *(count_columns(c, middle) <= columns ? &high : &low) = middle;
    }
    return high;
}

static void place_column(chain *c, size_t begin, size_t end, int number, double *x) {
    chain column = {.parts = c->parts + begin, .count = end - begin};
    double top = c->parts[begin]->y;
    for (size_t i = begin; i < end; i++) {
        part *p = c->parts[i];
        p->y -= top;
        p->column = number;
        column.left = larger(column.left, p->left);
        column.right = larger(column.right, p->right);
        column.height = larger(column.height, p->y + p->height);
        for (side *s = p->sides; s != NULL; s = s->next) {
            s->chain.y -= top;
            column.right = larger(column.right, s->chain.x + s->chain.right);
            column.height = larger(column.height, s->chain.y + s->chain.height);
        }
    }
    place_chain(&column, *x + column.left, 0);
    *x += column.left + column.right + COLUMN_GAP;
    c->height = larger(c->height, column.height);
}

/* A long chain stands in columns side by side, to be read one after the other. */
static void place_columns(chain *c) {
    enum { HIGH = 1800, WANTED = 1600, MOST = 6 };
    size_t columns = c->height <= HIGH ? 1 : (size_t)(c->height / WANTED) + 1;
    double whole = c->height, most = column_height(c, columns < MOST ? columns : MOST), x = 0;
    most = most > 0.8 * whole ? whole : most; /* what little would stand in another column stays */
    int number = 0;
    c->height = 0;
    for (size_t begin = 0, end; begin < c->count; begin = end) {
        end = column_end(c, begin, most);
        place_column(c, begin, end, number++, &x);
    }
    c->left = 0;
    c->right = x - COLUMN_GAP;
}

void drawing_layout(drawing *d) {
    enum { LEAST = 150 };
    d->box_width = LEAST;
    widen(d, &d->chain);
    measure_chain(d, &d->chain);
    if (d->closed_width > 0) {
        measure_chain(d, &d->chain); /* again: closed blocks are as wide as the widest of them */
    }
    place_columns(&d->chain);
}
