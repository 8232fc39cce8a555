/* data: lists of pictures (CSV and TSV), good and bad. */
#include "data/list.h"
#include "data_case.h"

/* ---- pictures: grey, 4x4, every pixel the picture's number ---- */

static void put_picture(const char *name, int number) {
    char bytes[64];
    int head = snprintf(bytes, sizeof bytes, "P5 4 4 255\n");
    memset(bytes + head, number, 16);
    put_file(name, bytes, (size_t)head + 16);
}

static void put_pictures(int count) {
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "p%d.pgm", i);
        put_picture(name, i);
    }
}

static void put_text(const char *name, const char *text) {
    put_file(name, text, strlen(text));
}

static strata_dataset *open_at(const char *path) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (strata_dataset_open(&data, path, NULL, &err) != STRATA_OK) {
        fail_msg("%s:%d: %s", err.file, err.line, err.message);
    }
    return data;
}

/* Pictures of a part: "number:class" for each, with spaces between. */
static void expect(const strata_dataset *data, strata_part part, const char *wanted) {
    char all[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < strata_dataset_count(data, part); i++) {
        uint8_t pixels[16];
        int found = -1;
        assert_int_equal(strata_dataset_read(data, part, i, pixels, &found, NULL), STRATA_OK);
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%d:%s", i > 0 ? " " : "", pixels[0],
                                 strata_dataset_class(data, (size_t)found));
    }
    assert_string_equal(all, wanted);
}

static void expect_list(const char *name, const char *text, const char *wanted) {
    put_text(name, text);
    strata_dataset *data = open_at(in_folder(name));
    expect(data, STRATA_TRAIN, wanted);
    strata_dataset_free(data);
    unlink(in_folder(name));
}

static void refuse(const char *name, const char *text, int line, const char *message) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    put_text(name, text);
    strata_status status = strata_dataset_open(&data, in_folder(name), NULL, &err);
    assert_null(data);
    if (status != STRATA_FORMAT || err.line != line || strcmp(err.message, message) != 0 ||
        strcmp(err.file, in_folder(name)) != 0) {
        fail_msg("%d %s:%d: '%s'\nexpected %d: '%s'", (int)status, err.file, err.line, err.message, line, message);
    }
    unlink(in_folder(name));
}

/* ---- good lists ---- */

static void test_list_reads_every_form(void **state) {
    (void)state;
    put_pictures(3);
    static const char wanted[] = "2:cat 0:dog 1:cat";
    expect_list("a.csv", "file,class\np2.pgm,cat\np0.pgm,dog\np1.pgm,cat\n", wanted);
    expect_list("a.csv", "class;filename\r\ncat;p2.pgm\r\ndog;p0.pgm\r\n\r\ncat;p1.pgm", wanted);
    expect_list("a.tsv", "\xEF\xBB\xBFPath\tLabel\tother\np2.pgm\tcat\t1\np0.pgm\tdog\t\np1.pgm\tcat\t\n", wanted);
    expect_list("a.csv", "p2.pgm,cat\np0.pgm,dog\np1.pgm,cat\n", wanted);
    expect_list("a.csv", "file , class\n ./p2.pgm , cat\n././p0.pgm,dog \n\"p1.pgm\",\"cat\"\n", wanted);
    expect_list("a.csv", ",image,wnid\n0,p2.pgm,cat\n1,p0.pgm,dog\n2,p1.pgm,cat\n", wanted);
}

static void test_list_reads_quotes(void **state) {
    (void)state;
    put_picture("a, \"b\"\nc.pgm", 7);
    put_picture("d.pgm", 8);
    expect_list("a.csv", "file,class\r\n\"a, \"\"b\"\"\nc.pgm\",\" the \"\"cat\"\"\"\r\nd.pgm,6\" dog\r\n",
                "7: the \"cat\" 8:6\" dog");
    put_text("b.csv", "file,class\n\"a, \"\"b\"\"\nc.pgm\",cat\nd.pgm\n");
    strata_dataset *data = NULL;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, in_folder("b.csv"), NULL, &err), STRATA_FORMAT);
    assert_int_equal(err.line, 4); /* the line end within quotes was counted */
}

static void test_list_takes_numbers_as_indices(void **state) {
    (void)state;
    put_pictures(3);
    expect_list("a.csv", "p2.pgm,5\np0.pgm,0\np1.pgm,5\n", "2:5 0:0 1:5");
    expect_list("a.csv", "file,class_id\np2.pgm,2\np0.pgm,0\np1.pgm,1\n", "2:2 0:0 1:1");
    expect_list("a.csv", "file,class_name,class_id\np2.pgm,two,2\np0.pgm,zero,0\np1.pgm,two,2\n", "2:two 0:zero 1:two");
    put_text("a.tsv",
             "p2.pgm\t940\tn07716906\tsquash, no\np0.pgm\t0\tn01440764\ttench\np1.pgm\t940\tn07716906\tsquash, no\n");
    strata_dataset *data = open_at(in_folder("a.tsv"));
    expect(data, STRATA_TRAIN, "2:squash, no 0:tench 1:squash, no");
    assert_int_equal(strata_dataset_class_count(data), 941);
    assert_string_equal(strata_dataset_class(data, 17), "17");
    assert_string_equal(strata_dataset_kind(data), "TSV list of pictures");
    assert_true(st_data_is_numbered(data));
    strata_dataset_free(data);
    unlink(in_folder("a.tsv"));
}

static void test_list_finds_parts(void **state) {
    (void)state;
    put_pictures(6);
    put_text("labels.csv", "file,split,class\np0.pgm,train,a\np1.pgm,Validation,b\np2.pgm,test,c\np3.pgm,TRAINING,b\n");
    strata_dataset *data = open_at(folder);
    expect(data, STRATA_TRAIN, "0:a 3:b");
    expect(data, STRATA_VAL, "1:b");
    expect(data, STRATA_TEST, "2:c");
    assert_string_equal(strata_dataset_kind(data), "CSV list of pictures");
    strata_dataset_free(data);
    unlink(in_folder("labels.csv"));
    put_text("train.csv", "file,class\np0.pgm,b\np1.pgm,a\n");
    put_text("val.tsv", "class\tpath\nb\tp2.pgm\n");
    put_text("test.csv", "p3.pgm,c\n");
    data = open_at(folder);
    expect(data, STRATA_TRAIN, "0:b 1:a");
    expect(data, STRATA_VAL, "2:b");
    expect(data, STRATA_TEST, "3:c");
    assert_int_equal(strata_dataset_class_count(data), 3);
    strata_dataset_free(data);
    data = open_at(in_folder("test.csv"));
    expect(data, STRATA_TEST, "3:c");
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 0);
    strata_dataset_free(data);
}

static void test_list_reads_folders_below_it(void **state) {
    (void)state;
    assert_int_equal(mkdir(in_folder("deep"), 0700), 0);
    put_picture("deep/..x.pgm", 4);
    put_text("list.csv", "file,class\ndeep/..x.pgm,a\ndeep/./..x.pgm,b\n");
    strata_dataset *data = open_at(folder);
    expect(data, STRATA_TRAIN, "4:a 4:b");
    strata_dataset_free(data);
    put_picture("deep/y.pgm", 5);
    put_text("list.csv", "file,class\nnone,a\n"); /* about something else: the folders are the classes */
    data = open_at(folder);
    assert_string_equal(strata_dataset_kind(data), "folders of pictures");
    strata_dataset_free(data);
    empty_folder(NULL);
    assert_int_equal(rmdir(in_folder("deep")), 0);
}

static void test_list_leaves_out_what_cannot_be_read(void **state) {
    (void)state;
    put_pictures(20);
    char text[600];
    int used = snprintf(text, sizeof text, "file,class\nmissing.pgm,a\n");
    for (int i = 0; i < 20; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "p%d.pgm,a\n", i);
    }
    put_text("a.csv", text);
    strata_dataset *data = open_at(in_folder("a.csv"));
    const char *reason = NULL;
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 20);
    assert_int_equal(strata_dataset_broken_count(data), 1);
    assert_string_equal(strata_dataset_broken(data, 0, &reason), "missing.pgm");
    strata_dataset_free(data);
    strata_error err = {0};
    put_text("b.csv", "file,class\nmissing.pgm,a\nabsent.pgm,b\n");
    assert_int_equal(strata_dataset_open(&data, in_folder("b.csv"), NULL, &err), STRATA_FORMAT);
    assert_true(err.message[0] != '\0');
}

/* ---- bad lists: one clear line ---- */

static void test_list_refuses_bad_tables(void **state) {
    (void)state;
    put_pictures(3);
    refuse("a.csv", "", 0, "is empty, expected a line for each picture");
    refuse("a.csv", "\n\r\n", 0, "is empty, expected a line for each picture");
    refuse("a.csv", "file,class\n", 0, "names no pictures");
    refuse("a.csv", "file,colour\np0.pgm,red\n", 1,
           "no column for the classes (class, label, category or wnid), found file, colour");
    refuse("a.csv", "colour,class\nred,a\n", 1,
           "no column for the files (file, path, filename or image), found colour, class");
    refuse("a.csv", "file,class,Class\np0.pgm,a,b\n", 1, "two columns are called 'Class'");
    refuse("a.csv", "p0.pgm\n", 1, "1 column and no line of names above them; expected names, such as file,class");
    refuse("a.csv", "p0.pgm,a,train\n", 1,
           "3 columns and no line of names above them; expected names, such as file,class");
    refuse("a.csv", "file,class\np0.pgm,a\n\np1.pgm\n", 4, "1 fields, expected 2 as in line 1");
    refuse("a.csv", "file,class\np0.pgm,a,b\n", 2, "3 fields, expected 2 as in line 1");
    refuse("a.csv", "file,class\np0.pgm,\"a\np1.pgm,b\n", 2, "a quote is never closed");
    refuse("a.csv", "file,class\np0.pgm,\"a\"b\n", 2,
           "text after a closing quote; a quote within quotes is written twice");
    refuse("a.csv", "file,class,split\np0.pgm,a,train\np1.pgm,b,holdout\n", 3,
           "the part is 'holdout', expected train, val or test");
}

static void test_list_refuses_bad_rows(void **state) {
    (void)state;
    put_pictures(3);
    refuse("a.csv", "file,class\np0.pgm,a\np1.pgm,b\n./p0.pgm,a\n", 4, "'p0.pgm' stands in line 2 already");
    refuse("a.csv", "file,class\np0.pgm,\n", 2, "the class has no name");
    refuse("a.csv", "file,class\n,a\n", 2, "no file is named");
    refuse("a.csv", "file,class\n/etc/passwd,a\n", 2,
           "'/etc/passwd' is an absolute path, expected one below the list's folder");
    refuse("a.csv", "file,class\np0.pgm,a\na/../../b.pgm,a\n", 3, "'a/../../b.pgm' leaves the list's folder");
    refuse("a.csv", "file,class\n..,a\n", 2, "'..' leaves the list's folder");
    refuse("a.csv", "file,class\np0.pgm,0\np1.pgm,-1\n", 3, "class -1 is out of range, expected 0 to 99999");
    refuse("a.csv", "file,class\np0.pgm,0\np1.pgm,123456789012345\n", 3,
           "class 123456789012345 is out of range, expected 0 to 99999");
    refuse("a.csv", "file,class_id,class_name\np0.pgm,0,a\np1.pgm,0,b\n", 3, "class 0 is called 'b', 'a' in line 2");
    static const char nul[] = "file,class\np0.pgm,a\np1.\0pgm,b\n", utf16[] = "\xFF\xFE"
                                                                              "f\0i\0l\0e\0";
    strata_dataset *data = NULL;
    strata_error err = {0};
    put_file("a.csv", nul, sizeof nul - 1);
    assert_int_equal(strata_dataset_open(&data, in_folder("a.csv"), NULL, &err), STRATA_FORMAT);
    assert_int_equal(err.line, 3);
    assert_string_equal(err.message, "a byte of zero, expected text");
    put_file("a.csv", utf16, sizeof utf16 - 1);
    assert_int_equal(strata_dataset_open(&data, in_folder("a.csv"), NULL, &err), STRATA_UNSUPPORTED);
    assert_string_equal(err.message, "is written in UTF-16, expected UTF-8");
}

static void test_list_refuses_lists_that_differ(void **state) {
    (void)state;
    put_pictures(3);
    put_text("train.csv", "file,class\np0.pgm,a\n");
    put_text("test.csv", "file,class\np1.pgm,a\np0.pgm,a\n");
    strata_dataset *data = NULL;
    strata_error err = {0};
    char message[200];
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    snprintf(message, sizeof message, "'p0.pgm' stands in %s, line 2 already", in_folder("train.csv"));
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, in_folder("test.csv"));
    assert_int_equal(err.line, 3);
    put_text("test.csv", "file,class\np1.pgm,0\n");
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    snprintf(message, sizeof message, "gives classes in another way than %s", in_folder("train.csv"));
    assert_string_equal(err.message, message);
}

/* Any text: an error that names a line, or a table whose fields are all there. */
static void test_list_survives_any_bytes(void **state) {
    (void)state;
    static const char letters[] = "a,\"\n\r\t; b\xEF\xBB\xBF.";
    char bytes[128];
    for (uint64_t round = 0; round < 20000; round++) {
        size_t length = (size_t)(st_rng_bits(31, 0, round) % 40);
        char *own = malloc(length + 1); /* exactly as long: one byte too many would be seen */
        for (size_t i = 0; i < length; i++) {
            bytes[i] = letters[st_rng_bits(31, round + 1, i) % (sizeof letters - 1)];
        }
        memcpy(own, bytes, length);
        own[length] = '\0';
        st_arena *arena = NULL;
        st_table table;
        strata_error err = {0};
        assert_int_equal(st_arena_create(&arena, NULL), STRATA_OK);
        if (st_table_parse(&table, arena, "it", own, length, &err) == STRATA_OK) {
            size_t text = 0;
            for (size_t i = 0; i < table.rows * table.columns; i++) {
                text += strlen(table.fields[i]) + 1;
            }
            assert_true(text <= length + 1);
        } else {
            assert_true(err.line >= 1 && err.message[0] != '\0');
        }
        st_arena_free(arena);
        free(own);
    }
}

static void test_list_of_imagenet_50(void **state) {
    (void)state;
    char path[256];
    const char *root = getenv("STRATA_TEST_DATA");
    snprintf(path, sizeof path, "%s/imagenet-50", root != NULL ? root : "");
    if (root == NULL || access(path, R_OK) != 0) {
        print_message("skipped: no imagenet-50 below $STRATA_TEST_DATA\n");
        skip();
    }
    if (st_decoder_jpeg.lacking != NULL) {
        print_message("skipped: this build has no libjpeg-turbo\n");
        skip();
    }
    strata_dataset *data = open_at(path);
    char name[ST_DATA_NAME_BYTES];
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 50);
    assert_int_equal(strata_dataset_broken_count(data), 0);
    assert_int_equal(strata_dataset_class_count(data), 981);
    assert_string_equal(strata_dataset_class(data, 980), "volcano");
    assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, 20), 1);
    st_data_name(data, STRATA_TRAIN, 1, name);
    assert_string_equal(name, "n01601694_water_ouzel.JPEG");
    strata_dataset_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_list_reads_every_form, empty_folder),
        cmocka_unit_test_teardown(test_list_reads_quotes, empty_folder),
        cmocka_unit_test_teardown(test_list_takes_numbers_as_indices, empty_folder),
        cmocka_unit_test_teardown(test_list_finds_parts, empty_folder),
        cmocka_unit_test_teardown(test_list_reads_folders_below_it, empty_folder),
        cmocka_unit_test_teardown(test_list_leaves_out_what_cannot_be_read, empty_folder),
        cmocka_unit_test_teardown(test_list_refuses_bad_tables, empty_folder),
        cmocka_unit_test_teardown(test_list_refuses_bad_rows, empty_folder),
        cmocka_unit_test_teardown(test_list_refuses_lists_that_differ, empty_folder),
        cmocka_unit_test_teardown(test_list_survives_any_bytes, empty_folder),
        cmocka_unit_test_teardown(test_list_of_imagenet_50, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
