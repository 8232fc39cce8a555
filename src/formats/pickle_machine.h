/* The machine that runs pickles, between the file that reads opcodes (pickle.c) and the one that does what they say
 * (pickle_opcodes.c). */
#ifndef ST_FORMATS_PICKLE_MACHINE_H
#define ST_FORMATS_PICKLE_MACHINE_H

#include "formats/pickle.h"

typedef struct st_pickle_machine {
    st_pickle *pickle;
    st_pickle_value *stack, *memo;
    size_t depth, memo_count;
    size_t floor; /* index behind the topmost mark */
    size_t start; /* of the opcode, in bytes */
    int opcode;
    bool is_done;
} st_pickle_machine;

typedef enum st_pickle_form {
    ST_PICKLE_BARE,
    ST_PICKLE_U1,
    ST_PICKLE_U2,
    ST_PICKLE_U4,
    ST_PICKLE_I4,
    ST_PICKLE_U8,
    ST_PICKLE_COUNTED1, /* bytes with their count in front */
    ST_PICKLE_COUNTED4,
    ST_PICKLE_COUNTED8,
    ST_PICKLE_LINES /* two lines */
} st_pickle_form;

typedef struct st_pickle_argument {
    uint64_t number;
    const char *text, *second;
    size_t length, second_length;
} st_pickle_argument;

typedef struct st_pickle_opcode {
    const char *name;
    st_pickle_form form;
    strata_status (*run)(st_pickle_machine *, const st_pickle_argument *, strata_error *);
} st_pickle_opcode;

/* By its byte; name NULL: no opcode; run NULL: known and refused. */
extern const st_pickle_opcode st_pickle_opcodes[256];

/* "byte 17, REDUCE: ...": the opcode that runs. */
strata_status st_pickle_fail(const st_pickle_machine *m, strata_error *err, strata_status status, const char *format,
                             ...) ST_PRINTF(4, 5);

#endif
