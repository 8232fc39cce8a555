/* Lists of pictures: what csv.c reads, what list_columns.c sees in its columns, and what list.c makes of it. */
#ifndef ST_LIST_H
#define ST_LIST_H

#include "data/data.h"

/* Values with a separator between them, a record a line, all with as many fields. */
typedef struct st_table {
    const char *path;
    size_t columns, rows; /* the first record is row 0, whatever it is */
    const char **fields;  /* [rows][columns], each ends with NUL */
    uint32_t *lines;      /* [rows]: where it begins, from 1 */
    char separator;
} st_table;

enum { ST_TABLE_MOST_COLUMNS = 64 };

/* The whole of a file; `bytes` (length of them and a NUL) are changed in place and must live in `arena`. */
strata_status st_table_parse(st_table *out, st_arena *arena, const char *path, char *bytes, size_t length,
                             strata_error *err);
/* An error of a row: names file and line. */
strata_status st_table_fail(const st_table *table, size_t row, strata_error *err, const char *format, ...)
    ST_PRINTF(4, 5);

enum { ST_LIST_NONE = -1 };

typedef struct st_picture_list {
    st_table table;
    size_t first;                /* row: 1 below a line of names, else 0 */
    int file, index, name, part; /* columns, or ST_LIST_NONE */
    strata_part all;             /* the part where no column says it */
} st_picture_list;

static inline const char *st_list_field(const st_picture_list *of, size_t row, int column) {
    return of->table.fields[row * of->table.columns + (size_t)column];
}
/* Finds the columns of a table, and whether its first line names them. */
strata_status st_list_columns(st_picture_list *of, strata_error *err);
/* The part that a word means; false: none. */
bool st_list_part(strata_part *out, const char *word);
/* Whether the word is one of these, in letters of either kind. */
bool st_list_word(const char *word, const char *const *words, size_t count);

/* Beside folders of classes: which list is no list of the pictures there, and why. NULL: there is none. */
strata_status st_list_beside(const char **out, st_arena *arena, const char *folder, strata_error *err);

#endif
