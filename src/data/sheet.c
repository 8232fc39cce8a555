/* Contact sheets: many pictures, small, with a line or two below each, as one PNG. Not a page layout: pictures go from
 * left to right in columns of one width, a new row begins where the columns are full or where the caller says so.
 *
 * Each picture is reduced when it is added, so a sheet needs the memory of its tiles, whatever it is made from. A
 * picture that is smaller than its tile is enlarged by a whole factor, so that its pixels can be seen. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"

enum {
    DEFAULT_COLUMNS = 8,
    MOST_COLUMNS = 64,
    DEFAULT_TILE = 128,
    LEAST_TILE = 16,
    MOST_TILE = 512,
    MARGIN = 18,
    GAP = 14, /* between tiles, and between rows; a frame lies in it */
    FRAME = 3,
    FRAME_GAP = 2, /* between a frame and its picture */
    LINE = 14,     /* from one line of text to the next */
    LINES = 2,
    TEXT_GAP = 7, /* between a picture and its caption */
    TEXT_BYTES = 128,
    TITLE_SCALE = 2,
    CHANNELS = 3
};

static const uint32_t PAGE = 0xFFFFFF, INK = 0x202020, PALE_INK = 0x707070, EDGE = 0xD8D8D8;

typedef struct entry {
    strata_picture small; /* pixels NULL: no picture, the place stays empty */
    char lines[LINES][TEXT_BYTES];
    uint32_t frame;
    bool begins_row;
    char heading[TEXT_BYTES]; /* over the row that begins here */
} entry;

struct strata_sheet {
    st_arena *arena;
    int64_t columns, tile;
    char title[TEXT_BYTES];
    entry *entries;
    size_t count, capacity;
    bool row_is_due;
    char heading[TEXT_BYTES]; /* of the row that is due */
    strata_picture resized;   /* room */
};

/* ---- text ---- */

/* Printable ASCII; every other character, and every byte that is none, becomes '?'. */
static void take_text(char out[TEXT_BYTES], const char *text) {
    size_t used = 0;
    for (size_t at = 0; text != NULL && text[at] != '\0' && used + 1 < TEXT_BYTES;) {
        unsigned char byte = (unsigned char)text[at];
        size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        length = strnlen(text + at, length) == length && st_text_is_utf8(text + at, length) ? length : 1;
        out[used++] = (char)(byte >= ' ' && byte <= '~' ? byte : '?');
        at += length;
    }
    out[used] = '\0';
}

/* The beginning and the end with two dots between, where all of it is too long: names differ at their ends. */
static void shorten(char out[TEXT_BYTES], const char *text, size_t most) {
    size_t length = strlen(text);
    if (length <= most) {
        memcpy(out, text, length + 1);
        return;
    }
    size_t dots = most >= 5 ? 2 : 0, tail = dots > 0 ? (most - dots) / 2 : 0, head = most - dots - tail;
    memcpy(out, text, head);
    memcpy(out + head, "..", dots);
    memcpy(out + head + dots, text + length - tail, tail);
    out[most] = '\0';
}

static int64_t text_width(const char *text, int64_t scale) {
    int64_t length = (int64_t)strlen(text);
    return length > 0 ? (length * ST_FONT_ADVANCE - (ST_FONT_ADVANCE - ST_FONT_COLUMNS)) * scale : 0;
}

/* ---- adding ---- */

strata_status strata_sheet_create(strata_sheet **out, const strata_sheet_options *options, strata_error *err) {
    static const strata_sheet_options none;
    st_arena *arena = NULL;
    strata_sheet *sheet = NULL;
    options = options != NULL ? options : &none;
    *out = NULL;
    int64_t columns = options->columns != 0 ? options->columns : DEFAULT_COLUMNS;
    int64_t tile = options->tile != 0 ? options->tile : DEFAULT_TILE;
    ST_FAIL_IF(columns < 1 || columns > MOST_COLUMNS, err, STRATA_INVALID, "a sheet has 1 to %d columns, found %lld",
               MOST_COLUMNS, (long long)columns);
    ST_FAIL_IF(tile < LEAST_TILE || tile > MOST_TILE, err, STRATA_INVALID, "a tile has %d to %d pixels, found %lld",
               LEAST_TILE, MOST_TILE, (long long)tile);
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&sheet, arena, 1, sizeof *sheet, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    sheet->arena = arena;
    sheet->columns = columns;
    sheet->tile = tile;
    take_text(sheet->title, options->title);
    *out = sheet;
    return STRATA_OK;
}

void strata_sheet_free(strata_sheet *sheet) {
    if (sheet != NULL) {
        strata_picture_free(&sheet->resized);
        st_arena_free(sheet->arena);
    }
}

void strata_sheet_row(strata_sheet *sheet, const char *heading) {
    sheet->row_is_due = true;
    take_text(sheet->heading, heading);
}

size_t strata_sheet_count(const strata_sheet *sheet) {
    return sheet->count;
}

static strata_status make_room(strata_sheet *sheet, strata_error *err) {
    entry *entries = NULL;
    if (sheet->count < sheet->capacity) {
        return STRATA_OK;
    }
    size_t capacity = sheet->capacity * 2 + 16;
    ST_TRY(st_arena_alloc(&entries, sheet->arena, capacity, sizeof *entries, err));
    if (sheet->count > 0) {
        memcpy(entries, sheet->entries, sheet->count * sizeof *entries);
    }
    sheet->entries = entries;
    sheet->capacity = capacity;
    return STRATA_OK;
}

/* Pixel (y, x) as RGB: grey is spread, of two channels the first is shown, of four the first three. */
static void put_rgb(uint8_t *to, const strata_picture *from, int64_t y, int64_t x) {
    const uint8_t *pixel = from->pixels + (y * from->shape.width + x) * from->shape.channels;
    for (int64_t c = 0; c < CHANNELS; c++) {
        to[c] = pixel[from->shape.channels >= CHANNELS ? c : 0];
    }
}

/* Height and width on the sheet. */
static strata_shape small_size(const strata_sheet *sheet, strata_shape from) {
    int64_t longer = from.height > from.width ? from.height : from.width, tile = sheet->tile;
    strata_shape to = {from.height, from.width, CHANNELS};
    if (longer > tile) {
        to.height = (2 * from.height * tile + longer) / (2 * longer);
        to.width = (2 * from.width * tile + longer) / (2 * longer);
        to.height = to.height > 0 ? to.height : 1;
        to.width = to.width > 0 ? to.width : 1;
    } else {
        to.height *= tile / longer;
        to.width *= tile / longer;
    }
    return to;
}

static strata_status reduce(strata_picture *out, strata_sheet *sheet, const strata_picture *from, strata_error *err) {
    strata_shape to = small_size(sheet, from->shape);
    const strata_picture *source = from;
    if (to.height < from->shape.height || to.width < from->shape.width) {
        ST_TRY(st_picture_resize(&sheet->resized, from, to.height, to.width, ST_FILTER_BILINEAR, err));
        source = &sheet->resized;
    }
    ST_TRY(st_arena_alloc(&out->pixels, sheet->arena, (size_t)(to.height * to.width), CHANNELS, err));
    out->shape = to;
    for (int64_t y = 0; y < to.height; y++) {
        for (int64_t x = 0; x < to.width; x++) {
            put_rgb(out->pixels + (y * to.width + x) * CHANNELS, source, y * source->shape.height / to.height,
                    x * source->shape.width / to.width);
        }
    }
    return STRATA_OK;
}

strata_status strata_sheet_add(strata_sheet *sheet, const strata_picture *picture, const char *caption,
                               const char *note, uint32_t frame, strata_error *err) {
    ST_FAIL_IF(sheet->count >= STRATA_SHEET_MOST, err, STRATA_UNSUPPORTED, "a sheet holds at most %d pictures",
               STRATA_SHEET_MOST);
    ST_TRY(make_room(sheet, err));
    entry *to = &sheet->entries[sheet->count];
    *to = (entry){.frame = frame, .begins_row = sheet->row_is_due};
    if (picture != NULL) {
        strata_shape shape = picture->shape;
        ST_FAIL_IF(shape.height < 1 || shape.width < 1 || shape.channels < 1, err, STRATA_INVALID,
                   "a picture of %lldx%lldx%lld cannot be shown", (long long)shape.height, (long long)shape.width,
                   (long long)shape.channels);
        ST_TRY(reduce(&to->small, sheet, picture, err));
    }
    take_text(to->lines[0], caption);
    take_text(to->lines[1], note);
    memcpy(to->heading, sheet->heading, sizeof to->heading);
    sheet->heading[0] = '\0';
    sheet->row_is_due = false;
    sheet->count++;
    return STRATA_OK;
}

/* ---- drawing ---- */

static void put_pixel(strata_picture *page, int64_t y, int64_t x, uint32_t color) {
    if (y >= 0 && x >= 0 && y < page->shape.height && x < page->shape.width) {
        uint8_t *to = page->pixels + (y * page->shape.width + x) * CHANNELS;
        to[0] = (uint8_t)(color >> 16);
        to[1] = (uint8_t)(color >> 8);
        to[2] = (uint8_t)color;
    }
}

static void fill_box(strata_picture *page, int64_t top, int64_t left, int64_t height, int64_t width, uint32_t color) {
    for (int64_t y = top; y < top + height; y++) {
        for (int64_t x = left; x < left + width; x++) {
            put_pixel(page, y, x, color);
        }
    }
}

/* bold: every stroke one pixel wider. */
static void draw_text(strata_picture *page, int64_t top, int64_t left, const char *text, int64_t scale, bool bold,
                      uint32_t color) {
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (int row = 0; row < ST_FONT_ROWS; row++) {
            for (int column = 0; column < ST_FONT_COLUMNS; column++) {
                if (st_font_has_ink(text[i], column, row)) {
                    fill_box(page, top + row * scale, left + ((int64_t)i * ST_FONT_ADVANCE + column) * scale, scale,
                             scale + (bold ? 1 : 0), color);
                }
            }
        }
    }
}

static void draw_picture(strata_picture *page, int64_t top, int64_t left, const entry *of) {
    int64_t height = of->small.shape.height, width = of->small.shape.width, around = FRAME + FRAME_GAP;
    if (of->frame != 0) {
        fill_box(page, top - around, left - around, height + 2 * around, width + 2 * around, of->frame);
        fill_box(page, top - FRAME_GAP, left - FRAME_GAP, height + 2 * FRAME_GAP, width + 2 * FRAME_GAP, PAGE);
    } else {
        fill_box(page, top - 1, left - 1, height + 2, width + 2, EDGE); /* a white picture ends somewhere too */
    }
    for (int64_t y = 0; y < height; y++) {
        memcpy(page->pixels + ((top + y) * page->shape.width + left) * CHANNELS,
               of->small.pixels + y * width * CHANNELS, (size_t)width * CHANNELS);
    }
}

/* One row of pictures: entries first .. first + count - 1. */
typedef struct row {
    size_t first, count;
    int64_t picture_height, height; /* of the highest picture; of all with heading and captions */
} row;

static row find_row(const strata_sheet *sheet, size_t first) {
    row out = {.first = first};
    int64_t lines = 0;
    for (size_t i = first; i < sheet->count && out.count < (size_t)sheet->columns; i++) {
        const entry *of = &sheet->entries[i];
        if (i > first && of->begins_row) {
            break;
        }
        int64_t height = of->small.pixels != NULL ? of->small.shape.height : 0;
        out.picture_height = height > out.picture_height ? height : out.picture_height;
        for (int64_t k = 0; k < LINES; k++) {
            lines = of->lines[k][0] != '\0' && k + 1 > lines ? k + 1 : lines;
        }
        out.count++;
    }
    bool has_heading = sheet->entries[first].heading[0] != '\0';
    out.height = out.picture_height + (lines > 0 ? TEXT_GAP + lines * LINE : 0) + (has_heading ? LINE + TEXT_GAP : 0);
    return out;
}

static void draw_row(strata_picture *page, const strata_sheet *sheet, const row *of, int64_t top) {
    char text[TEXT_BYTES];
    const entry *first = &sheet->entries[of->first];
    if (first->heading[0] != '\0') {
        shorten(text, first->heading, (size_t)((page->shape.width - 2 * MARGIN) / ST_FONT_ADVANCE));
        draw_text(page, top, MARGIN, text, 1, true, INK);
        top += LINE + TEXT_GAP;
    }
    for (size_t i = 0; i < of->count; i++) {
        const entry *one = first + i;
        int64_t left = MARGIN + (int64_t)i * (sheet->tile + GAP);
        if (one->small.pixels != NULL) {
            draw_picture(page, top + (of->picture_height - one->small.shape.height) / 2,
                         left + (sheet->tile - one->small.shape.width) / 2, one);
        }
        for (int64_t k = 0; k < LINES; k++) {
            shorten(text, one->lines[k], (size_t)((sheet->tile + GAP / 2) / ST_FONT_ADVANCE));
            draw_text(page, top + of->picture_height + TEXT_GAP + k * LINE,
                      left + (sheet->tile - text_width(text, 1)) / 2, text, 1, false, k == 0 ? INK : PALE_INK);
        }
    }
}

static strata_shape page_size(const strata_sheet *sheet) {
    size_t widest = 1;
    int64_t height = 2 * MARGIN - GAP;
    for (size_t i = 0; i < sheet->count;) {
        row of = find_row(sheet, i);
        widest = of.count > widest ? of.count : widest;
        height += of.height + GAP;
        i += of.count;
    }
    int64_t width = 2 * MARGIN + (int64_t)widest * (sheet->tile + GAP) - GAP;
    return (strata_shape){height, width, CHANNELS};
}

/* The title takes one line, two or three where the sheet is narrow: it may break between words. */
static size_t title_line(char out[TEXT_BYTES], const char *title, size_t most) {
    size_t length = strlen(title), end = length;
    if (length > most) {
        for (end = most; end > 0 && title[end] != ' '; end--) {
        }
        end = end > 0 ? end : most;
    }
    memcpy(out, title, end);
    out[end] = '\0';
    return end + (title[end] == ' ' ? 1 : 0);
}

enum { TITLE_LINE = (ST_FONT_ROWS + 4) * TITLE_SCALE };

static int64_t draw_title(strata_picture *page, const strata_sheet *sheet, strata_shape size) {
    char line[TEXT_BYTES];
    int64_t top = MARGIN;
    size_t most = (size_t)((size.width - 2 * MARGIN) / (ST_FONT_ADVANCE * TITLE_SCALE));
    for (size_t at = 0; sheet->title[at] != '\0' && most > 0; top += TITLE_LINE) {
        at += title_line(line, sheet->title + at, most);
        if (page != NULL) {
            draw_text(page, top, MARGIN, line, TITLE_SCALE, false, INK);
        }
    }
    return top > MARGIN ? top - MARGIN + GAP / 2 : 0; /* what it takes */
}

strata_status st_sheet_draw(strata_picture *out, const strata_sheet *sheet, strata_error *err) {
    ST_FAIL_IF(sheet->count == 0, err, STRATA_INVALID, "a sheet without pictures cannot be drawn");
    strata_shape size = page_size(sheet);
    size.height += draw_title(NULL, sheet, size);
    ST_FAIL_IF(size.height > ST_DATA_MOST_PIXELS / size.width, err, STRATA_UNSUPPORTED,
               "the sheet would have %lldx%lld pixels, at most %d in all: fewer pictures, or smaller tiles",
               (long long)size.width, (long long)size.height, ST_DATA_MOST_PIXELS);
    ST_TRY(st_picture_room(out, size, err));
    fill_box(out, 0, 0, size.height, size.width, PAGE);
    int64_t top = MARGIN + draw_title(out, sheet, size);
    for (size_t i = 0; i < sheet->count;) {
        row of = find_row(sheet, i);
        draw_row(out, sheet, &of, top);
        top += of.height + GAP;
        i += of.count;
    }
    return STRATA_OK;
}

strata_status strata_sheet_write(const strata_sheet *sheet, const char *path, strata_error *err) {
    strata_picture page = {0};
    strata_status status = st_sheet_draw(&page, sheet, err);
    status = status == STRATA_OK ? st_png_write(path, &page, err) : status;
    strata_picture_free(&page);
    return status;
}
