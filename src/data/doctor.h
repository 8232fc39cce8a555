/* What the files of the doctor share: doctor.c reads, alike.c finds what is there twice, odd.c what stands out. */
#ifndef ST_DATA_DOCTOR_H
#define ST_DATA_DOCTOR_H

#include "data/data.h"

/* What is noted of a picture when it is read. */
typedef struct st_note {
    strata_place place;
    strata_shape shape;
    uint64_t hash[2]; /* of the pixels */
    double luma;      /* its mean, 0 to 255 */
    bool is_plain;    /* of one colour */
    bool is_blank;    /* of one colour or nearly */
} st_note;

typedef struct st_doctor {
    const strata_dataset *data;
    st_arena *arena, *scratch; /* of the findings; for the time of the work */
    int threads;               /* 0: as many as the process may use */
    size_t count;
    st_note *notes; /* [count], in the order of parts and pictures */
    st_look *looks; /* [count] */
    strata_checkup *out;
} st_doctor;

strata_status st_doctor_find_alike(st_doctor *doctor, strata_error *err);
strata_status st_doctor_find_odd(st_doctor *doctor, strata_error *err);

#endif
