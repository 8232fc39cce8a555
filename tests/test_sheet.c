/* Contact sheets: what stands where, to the pixel; captions of any bytes; sheets of one picture and of many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/data.h"

static void hash_page(char out[65], const strata_picture *page) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    st_sha256_add(&sha, page->pixels, (size_t)(page->shape.height * page->shape.width * page->shape.channels));
    st_sha256_end(&sha, out);
}

/* Height and width as given, a ramp in each channel. */
static strata_picture make_picture(int64_t height, int64_t width, int64_t channels) {
    strata_picture out = {0};
    strata_error err;
    assert_int_equal(st_picture_room(&out, (strata_shape){height, width, channels}, &err), STRATA_OK);
    for (int64_t i = 0; i < height * width * channels; i++) {
        out.pixels[i] = (uint8_t)(i * 255 / (height * width * channels));
    }
    return out;
}

static strata_sheet *make_sheet(const char *title, int columns, int tile) {
    strata_sheet *sheet;
    strata_error err;
    strata_sheet_options options = {.title = title, .columns = columns, .tile = tile};
    assert_int_equal(strata_sheet_create(&sheet, &options, &err), STRATA_OK);
    return sheet;
}

static void add(strata_sheet *sheet, const strata_picture *picture, const char *caption, const char *note,
                uint32_t frame) {
    strata_error err;
    assert_int_equal(strata_sheet_add(sheet, picture, caption, note, frame, &err), STRATA_OK);
}

static strata_picture draw(const strata_sheet *sheet) {
    strata_picture page = {0};
    strata_error err;
    assert_int_equal(st_sheet_draw(&page, sheet, &err), STRATA_OK);
    assert_int_equal(page.shape.channels, 3);
    return page;
}

static const uint8_t *pixel_at(const strata_picture *page, int64_t y, int64_t x) {
    return page->pixels + (y * page->shape.width + x) * 3;
}

static size_t count_ink(const strata_picture *page, int64_t top, int64_t height) {
    size_t count = 0;
    for (int64_t y = top; y < top + height; y++) {
        for (int64_t x = 0; x < page->shape.width; x++) {
            count += pixel_at(page, y, x)[0] < 0x80;
        }
    }
    return count;
}

static void test_font_draws_every_letter(void **state) {
    (void)state;
    for (int a = ' ' + 1; a <= '~'; a++) {
        for (int b = ' '; b < a; b++) {
            bool differs = false;
            for (int row = 0; row < ST_FONT_ROWS; row++) {
                for (int column = 0; column < ST_FONT_COLUMNS; column++) {
                    differs = differs || st_font_has_ink((char)a, column, row) != st_font_has_ink((char)b, column, row);
                }
            }
            if (!differs) {
                fail_msg("'%c' looks like '%c'", a, b);
            }
        }
    }
    /* Whatever else comes is a question mark; nothing is drawn beside a letter. */
    for (int code = 0; code < 256; code++) {
        if (code < ' ' || code > '~') {
            for (int row = 0; row < ST_FONT_ROWS; row++) {
                for (int column = 0; column < ST_FONT_COLUMNS; column++) {
                    assert_int_equal(st_font_has_ink((char)code, column, row), st_font_has_ink('?', column, row));
                }
            }
        }
    }
    assert_false(st_font_has_ink('#', -1, 3) || st_font_has_ink('#', 6, 3) || st_font_has_ink('#', 2, 11));
}

/* Places are derived from the sizes of sheet.c: a margin of 18, tiles 14 apart. */
static void test_sheet_puts_one_picture(void **state) {
    (void)state;
    strata_sheet *sheet = make_sheet(NULL, 0, 32);
    strata_picture picture = make_picture(2, 4, 3);
    add(sheet, &picture, NULL, NULL, 0);
    assert_int_equal(strata_sheet_count(sheet), 1);
    strata_picture page = draw(sheet);
    assert_int_equal(page.shape.width, 18 + 32 + 18);
    assert_int_equal(page.shape.height, 18 + 16 + 18); /* enlarged by 8 */
    for (int64_t y = 0; y < 16; y++) {
        for (int64_t x = 0; x < 32; x++) {
            assert_memory_equal(pixel_at(&page, 18 + y, 18 + x), picture.pixels + (y / 8 * 4 + x / 8) * 3, 3);
        }
    }
    assert_memory_equal(pixel_at(&page, 17, 17), "\330\330\330", 3); /* its edge */
    assert_memory_equal(pixel_at(&page, 16, 16), "\377\377\377", 3);
    strata_picture_free(&page);
    strata_picture_free(&picture);
    strata_sheet_free(sheet);
}

static void test_sheet_shows_any_size(void **state) {
    (void)state;
    static const strata_shape shapes[] = {{1, 1, 1},    {1, 1, 3},     {1, 2000, 3}, {2000, 1, 1}, {128, 128, 3},
                                          {129, 64, 1}, {640, 480, 3}, {65, 128, 2}, {33, 128, 4}};
    strata_sheet *sheet = make_sheet("All sizes", 4, 0);
    for (size_t i = 0; i < ST_COUNT_OF(shapes); i++) {
        strata_picture picture = make_picture(shapes[i].height, shapes[i].width, shapes[i].channels);
        add(sheet, &picture, "caption", i % 2 == 0 ? "note" : NULL, i % 3 == 0 ? 0xFF0000 : 0);
        strata_picture_free(&picture);
    }
    add(sheet, NULL, "none", NULL, 0);
    strata_picture page = draw(sheet);
    assert_int_equal(page.shape.width, 2 * 18 + 4 * 128 + 3 * 14);
    strata_picture_free(&page);
    strata_sheet_free(sheet);
}

static void test_sheet_frames(void **state) {
    (void)state;
    strata_sheet *sheet = make_sheet(NULL, 1, 16);
    strata_picture picture = make_picture(16, 16, 1);
    add(sheet, &picture, NULL, NULL, 0x2040C0);
    strata_picture page = draw(sheet);
    for (int64_t out = 1; out <= 6; out++) { /* two of the page, three of the frame, page again */
        assert_memory_equal(pixel_at(&page, 18 - out, 20), out >= 3 && out <= 5 ? "\x20\x40\xC0" : "\377\377\377", 3);
        assert_memory_equal(pixel_at(&page, 20, 33 + out), out >= 3 && out <= 5 ? "\x20\x40\xC0" : "\377\377\377", 3);
    }
    strata_picture_free(&page);
    strata_picture_free(&picture);
    strata_sheet_free(sheet);
}

/* A caption as the page shows it must be that of `as`. */
static void assert_shown_as(const char *caption, const char *as) {
    strata_picture picture = make_picture(64, 64, 1);
    strata_picture pages[2];
    for (int i = 0; i < 2; i++) {
        strata_sheet *sheet = make_sheet(NULL, 1, 64);
        add(sheet, &picture, i == 0 ? caption : as, NULL, 0);
        pages[i] = draw(sheet);
        strata_sheet_free(sheet);
    }
    char hashes[2][65];
    hash_page(hashes[0], &pages[0]);
    hash_page(hashes[1], &pages[1]);
    assert_string_equal(hashes[0], hashes[1]);
    strata_picture_free(&pages[0]);
    strata_picture_free(&pages[1]);
    strata_picture_free(&picture);
}

static void test_sheet_takes_hostile_captions(void **state) {
    (void)state;
    assert_shown_as("a\nb\t\033[31m\177", "a?b??[31m?");
    assert_shown_as("\303\244\342\202\254\360\237\230\200", "???"); /* two, three and four bytes: one each */
    assert_shown_as("\377\303", "??");
    assert_shown_as("\303(x", "?(x");
    assert_shown_as("abcdefghijklmn", "abcd..klmn"); /* 71 pixels: ten letters */
    assert_shown_as("abcdefghij", "abcdefghij");
    char much[5000];
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    strata_sheet *sheet = make_sheet(much, 1, 16);
    strata_sheet_row(sheet, much);
    strata_picture picture = make_picture(1, 1, 1);
    add(sheet, &picture, much, much, 0);
    strata_picture page = draw(sheet);
    strata_picture_free(&page);
    strata_picture_free(&picture);
    strata_sheet_free(sheet);
}

static void test_sheet_begins_rows(void **state) {
    (void)state;
    strata_picture picture = make_picture(16, 16, 3);
    strata_sheet *sheet = make_sheet(NULL, 3, 16);
    strata_sheet_row(sheet, "first");
    for (int i = 0; i < 4; i++) { /* three and one */
        add(sheet, &picture, NULL, NULL, 0);
    }
    strata_sheet_row(sheet, NULL);
    strata_sheet_row(sheet, "third"); /* counts; the one before began no row */
    add(sheet, &picture, NULL, NULL, 0);
    strata_sheet_row(sheet, "nothing follows");
    strata_picture page = draw(sheet);
    assert_int_equal(page.shape.width, 2 * 18 + 3 * 16 + 2 * 14);
    assert_int_equal(page.shape.height, 2 * 18 + 3 * 16 + 2 * 14 + 2 * 21);
    assert_true(count_ink(&page, 18, 11) > 30);
    assert_int_equal(pixel_at(&page, 18 + 21, 18)[0], picture.pixels[0]);
    strata_picture_free(&page);
    strata_picture_free(&picture);
    strata_sheet_free(sheet);
}

/* Any change of a drawn sheet shows here: look at the picture, then take the new sum. */
static void test_sheet_is_golden(void **state) {
    (void)state;
    static const char *const golden = "708f6c8a9222541c45d7f9ed2c9d4c041c0b1c2fb62e1b73655aa5db8eef5c38";
    strata_sheet *sheet = make_sheet("The quick brown fox, 1,234 pictures", 4, 96);
    strata_picture large = make_picture(300, 200, 3), small = make_picture(28, 28, 1);
    strata_sheet_row(sheet, "Sphinx of black quartz   train 30, val 7");
    for (int i = 0; i < 6; i++) {
        add(sheet, i % 2 == 0 ? &large : &small, "train/hat/0012.jpg", i < 3 ? "hat 71.2%" : NULL,
            i == 1   ? 0xD03A2F
            : i == 4 ? 0x2E9E4F
                     : 0);
    }
    strata_picture page = draw(sheet);
    char hash[65];
    hash_page(hash, &page);
    assert_string_equal(hash, golden);
    strata_picture_free(&page);
    strata_picture_free(&large);
    strata_picture_free(&small);
    strata_sheet_free(sheet);
}

static void test_sheet_is_bounded(void **state) {
    (void)state;
    strata_error err;
    strata_sheet *sheet = make_sheet(NULL, 64, 512);
    strata_picture picture = make_picture(1, 1, 1), page = {0};
    assert_int_equal(st_sheet_draw(&page, sheet, &err), STRATA_INVALID);
    for (int i = 0; i < STRATA_SHEET_MOST; i++) {
        add(sheet, i == 0 ? &picture : NULL, "x", NULL, 0);
    }
    assert_int_equal(strata_sheet_add(sheet, &picture, NULL, NULL, 0, &err), STRATA_UNSUPPORTED);
    assert_int_equal(strata_sheet_count(sheet), STRATA_SHEET_MOST);
    strata_sheet_free(sheet);
    sheet = make_sheet(NULL, 64, 512);
    for (int i = 0; i < 400; i++) {
        add(sheet, &picture, NULL, NULL, 0);
    }
    assert_int_equal(st_sheet_draw(&page, sheet, &err), STRATA_UNSUPPORTED);
    assert_non_null(strstr(err.message, "at most 67108864 in all"));
    strata_sheet_free(sheet);
    strata_picture_free(&picture);
    for (int i = 0; i < 4; i++) {
        static const strata_sheet_options wrong[] = {{.columns = -1}, {.columns = 65}, {.tile = 15}, {.tile = 513}};
        assert_int_equal(strata_sheet_create(&sheet, &wrong[i], &err), STRATA_INVALID);
        assert_null(sheet);
    }
    strata_sheet_free(NULL);
}

#ifdef ST_WITH_PNG

static void test_sheet_writes_what_it_draws(void **state) {
    (void)state;
    strata_error err;
    char folder[] = "/tmp/strata-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sheet.png", folder);
    strata_sheet *sheet = make_sheet("A sheet", 2, 64);
    strata_picture pictures[] = {make_picture(100, 50, 3), make_picture(5, 5, 1)};
    add(sheet, &pictures[0], "one", NULL, 0);
    add(sheet, &pictures[1], "two", NULL, 0);
    assert_int_equal(strata_sheet_write(sheet, path, &err), STRATA_OK);
    strata_picture page = draw(sheet), read = {0};
    assert_int_equal(strata_picture_open(&read, path, &err), STRATA_OK);
    assert_int_equal(read.shape.height, page.shape.height);
    assert_int_equal(read.shape.width, page.shape.width);
    assert_memory_equal(read.pixels, page.pixels, (size_t)(page.shape.height * page.shape.width * 3));
    /* A file that cannot be replaced is named, and nothing is left beside it. */
    assert_int_equal(strata_sheet_write(sheet, folder, &err), STRATA_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    strata_picture_free(&page);
    strata_picture_free(&read);
    strata_picture_free(&pictures[0]);
    strata_picture_free(&pictures[1]);
    strata_sheet_free(sheet);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_font_draws_every_letter),
        cmocka_unit_test(test_sheet_puts_one_picture),
        cmocka_unit_test(test_sheet_shows_any_size),
        cmocka_unit_test(test_sheet_frames),
        cmocka_unit_test(test_sheet_takes_hostile_captions),
        cmocka_unit_test(test_sheet_begins_rows),
        cmocka_unit_test(test_sheet_is_golden),
        cmocka_unit_test(test_sheet_is_bounded),
#ifdef ST_WITH_PNG
        cmocka_unit_test(test_sheet_writes_what_it_draws),
#endif
    };
    return cmocka_run_group_tests_name("data: contact sheets", tests, NULL, NULL);
}
