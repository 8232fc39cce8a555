/* What the columns of a list of pictures hold: by the names in its first line, or by their number. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/list.h"

/* ---- words ---- */

bool st_list_word(const char *word, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(word, words) st_list_word(word, words, ST_COUNT_OF(words))

static bool is_file_word(const char *word) {
    static const char *const words[] = {"file",  "path", "filename",   "file_name",  "filepath",   "file_path",
                                        "image", "img",  "image_path", "image_name", "image_file", "picture"};
    return IS_ONE_OF(word, words);
}

static bool is_class_word(const char *word) {
    static const char *const words[] = {"class",    "label",       "category",    "target",     "wnid",
                                        "synset",   "y",           "class_index", "class_id",   "label_index",
                                        "label_id", "class index", "class_label", "category_id"};
    return IS_ONE_OF(word, words);
}

static bool is_name_word(const char *word) {
    static const char *const words[] = {"words",      "name",          "names",     "class_name",
                                        "label_name", "category_name", "class name"};
    return IS_ONE_OF(word, words);
}

static bool is_part_word(const char *word) {
    static const char *const words[] = {"part", "split", "set", "subset", "usage"};
    return IS_ONE_OF(word, words);
}

bool st_list_part(strata_part *out, const char *word) {
    static const char *const train[] = {"train", "training"}, *const test[] = {"test", "testing"};
    static const char *const val[] = {"val", "valid", "validation", "dev"};
    *out = IS_ONE_OF(word, train) ? STRATA_TRAIN : IS_ONE_OF(word, val) ? STRATA_VAL : STRATA_TEST;
    return *out != STRATA_TEST || IS_ONE_OF(word, test);
}

static bool is_integer(const char *text) {
    const char *digits = text + (text[0] == '-');
    return digits[0] != '\0' && digits[strspn(digits, "0123456789")] == '\0';
}

/* ---- columns ---- */

static bool is_numbers(const st_picture_list *of, int column) {
    for (size_t row = of->first; row < of->table.rows; row++) {
        if (!is_integer(st_list_field(of, row, column))) {
            return false;
        }
    }
    return of->table.rows > of->first;
}

/* Whether the first line is names: a class may be called "label", but no column of files "cat.jpg". */
static bool has_names(const st_table *table) {
    bool has_class = false;
    for (size_t c = 0; table->rows > 0 && c < table->columns; c++) {
        if (is_file_word(table->fields[c])) {
            return true;
        }
        has_class = has_class || is_class_word(table->fields[c]);
    }
    return has_class && strchr(table->fields[0], '.') == NULL;
}

/* The names in the first line, for messages. */
static void show_names(char out[200], const st_picture_list *of) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t c = 0; c < of->table.columns && used < 150; c++) {
        int put = snprintf(out + used, 200 - used, "%s%.40s", c > 0 ? ", " : "", st_list_field(of, 0, (int)c));
        used += put > 0 ? (size_t)put : 0;
    }
}

static strata_status check_twice(const st_picture_list *of, strata_error *err) {
    for (size_t c = 0; c < of->table.columns; c++) {
        for (size_t d = 0; d < c; d++) {
            if (st_list_field(of, 0, (int)c)[0] != '\0' &&
                strcasecmp(st_list_field(of, 0, (int)c), st_list_field(of, 0, (int)d)) == 0) {
                return st_table_fail(&of->table, 0, err, "two columns are called '%.100s'",
                                     st_list_field(of, 0, (int)c));
            }
        }
    }
    return STRATA_OK;
}

/* Numbers among the columns of classes are the index; its names are those of a column of words, or of another class. */
static void name_class_columns(st_picture_list *of) {
    int words = ST_LIST_NONE, texts = ST_LIST_NONE;
    for (int c = 0; c < (int)of->table.columns; c++) {
        const char *word = st_list_field(of, 0, c);
        bool is_class = is_class_word(word), is_name = is_name_word(word);
        bool is_number = (is_class || is_name) && is_numbers(of, c);
        if (is_class && is_number) {
            of->index = of->index == ST_LIST_NONE ? c : of->index;
        } else if (is_name && !is_number) {
            words = words == ST_LIST_NONE ? c : words;
        } else if (is_class) {
            texts = texts == ST_LIST_NONE ? c : texts;
        }
    }
    of->name = of->index != ST_LIST_NONE || texts == ST_LIST_NONE ? words : texts;
    of->name = of->name == ST_LIST_NONE ? texts : of->name;
}

static strata_status find_named(st_picture_list *of, strata_error *err) {
    char names[200];
    of->first = 1;
    ST_TRY(check_twice(of, err));
    for (int c = (int)of->table.columns - 1; c >= 0; c--) {
        of->file = is_file_word(st_list_field(of, 0, c)) ? c : of->file;
        of->part = is_part_word(st_list_field(of, 0, c)) ? c : of->part;
    }
    name_class_columns(of);
    show_names(names, of);
    if (of->file == ST_LIST_NONE) {
        return st_table_fail(&of->table, 0, err, "no column for the files (file, path, filename or image), found %s",
                             names);
    }
    if (of->index == ST_LIST_NONE && of->name == ST_LIST_NONE) {
        return st_table_fail(&of->table, 0, err, "no column for the classes (class, label, category or wnid), found %s",
                             names);
    }
    return STRATA_OK;
}

/* FILE and CLASS; or FILE, a column of numbers, and perhaps others of which the last are the words. */
static strata_status find_unnamed(st_picture_list *of, strata_error *err) {
    int last = (int)of->table.columns - 1;
    of->file = 0;
    for (int c = 1; c <= last && of->index == ST_LIST_NONE; c++) {
        of->index = is_numbers(of, c) ? c : ST_LIST_NONE;
    }
    of->name = of->index != last && last > 0 ? last : ST_LIST_NONE;
    if (last == 0 || (last > 1 && of->index == ST_LIST_NONE)) {
        return st_table_fail(&of->table, 0, err,
                             "%zu column%s and no line of names above them; expected names, such as file,class",
                             of->table.columns, last == 0 ? "" : "s");
    }
    return STRATA_OK;
}

strata_status st_list_columns(st_picture_list *of, strata_error *err) {
    of->file = of->index = of->name = of->part = ST_LIST_NONE;
    of->first = 0;
    if (of->table.rows == 0) {
        return st_fail_file(err, STRATA_FORMAT, of->table.path, "is empty, expected a line for each picture");
    }
    ST_TRY(has_names(&of->table) ? find_named(of, err) : find_unnamed(of, err));
    if (of->table.rows == of->first) {
        return st_fail_file(err, STRATA_FORMAT, of->table.path, "names no pictures");
    }
    return STRATA_OK;
}
