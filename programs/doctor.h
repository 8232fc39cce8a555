/* What the files of `strata data` share: cmd_data.c is the command, doctor_text.c and doctor_json.c tell what was
 * found, doctor_sheet.c shows it, augment_sheet.c shows what a net will see. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "program.h"

typedef struct patient {
    const strata_dataset *data;
    const strata_checkup *checkup;
    const char *path;  /* as it was typed */
    const char *sheet; /* the file with the contact sheet, or NULL */
} patient;

enum { FEW_PICTURES = 20, UNEVEN_FACTOR = 4 };

const char *part_name(strata_part part);
/* The name of a picture's file, printable and at most `most` bytes: shortened in the middle. */
void text_add_file(text *out, const strata_dataset *data, strata_place place, size_t most);

void doctor_print(const patient *of, bool is_quiet);
void doctor_print_json(const patient *of);
/* Some pictures of every class, and what was found more than once or is blank or odd. Exit status. */
int doctor_write_sheet(const patient *of);

/* Some training pictures, and beside each what the words make of it in one pass after the other. Exit status. */
int augment_write_sheet(const strata_dataset *data, const char *words, uint64_t seed, const char *sheet, bool is_json);

#endif
