/* augment: what the files of augmentation share. augment.c reads a user's text, augment_words.c has the table of words
 * and walks through the steps; the others each have a family of words. Nothing outside of them includes this. */
#ifndef ST_AUGMENT_H
#define ST_AUGMENT_H

#include "data/data.h"

/* The draws of one step for one picture: each is a function of seed, epoch, picture, step and its own number. */
typedef struct st_draws {
    uint64_t seed, stream, place;
} st_draws;
st_draws st_draws_of(const st_augmentation *augmentation, size_t index, int step);
st_draws st_draws_of_batch(const st_augmentation *augmentation, uint64_t batch_number, int step);
uint64_t st_draw_bits(const st_draws *draws, uint32_t number);
double st_draw_between(const st_draws *draws, uint32_t number, double low, double high);
double st_draw_normal(const st_draws *draws, uint32_t number);
int64_t st_draw_below(uint64_t half, int64_t bound); /* from the lower 32 bits: 0 to bound - 1 */

/* ---- words: one row each in augment_words.c ---- */

typedef struct st_canvas st_canvas;

/* Where a pixel of the result comes from: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5], from the middle. */
typedef struct st_affine {
    double m[6];
} st_affine;

typedef enum st_word_kind {
    ST_WORD_CHANGES, /* the picture, not its size */
    ST_WORD_SIZES,   /* any size becomes the net's */
    ST_WORD_AFFINE,  /* those side by side, and an elastic behind them, are one resampling */
    ST_WORD_ELASTIC,
    ST_WORD_MIXUP, /* pictures of a batch */
    ST_WORD_CUTMIX
} st_word_kind;

/* A number after '='. */
typedef struct st_word_number {
    double least, most;
    bool is_whole;
    const char *standard; /* where the number may be left out, else NULL */
} st_word_number;

typedef struct st_word {
    const char *name;
    const char *shown; /* in lists: "crop=N" */
    const char *help;
    st_word_kind kind;
    int count; /* of numbers, with ':' between them */
    st_word_number numbers[2];
    const char *example;
    /* CHANGES: in place or by way of canvas->next. */
    strata_status (*change)(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err);
    /* SIZES: `from`, which may be canvas->now, into canvas->next, then swapped. */
    strata_status (*size)(st_canvas *canvas, const strata_picture *from, const st_geometry *geometry,
                          const double *numbers, const st_draws *draws, strata_error *err);
    /* AFFINE: `before`, then this. */
    st_affine (*affine)(st_affine before, strata_shape shape, const double *numbers, const st_draws *draws);
} st_word;
size_t st_word_count(void);
const st_word *st_word_at(size_t index);
const st_word *st_word_of(const st_augment *augment, int step);
void st_word_numbers(double numbers[2], const st_augment *augment, int step);

/* A picture that is being changed. */
struct st_canvas {
    strata_picture *now, *next; /* of the room; a step that cannot work in place writes `next` and swaps */
    st_augment_room *room;
    const st_augmentation *with;
};
void st_canvas_swap(st_canvas *canvas);

/* ---- affine.c: one resampling for all affine words that stand side by side, and an elastic that follows them ---- */

st_affine st_affine_none(void);
st_affine st_affine_turned(st_affine before, double degrees);
st_affine st_affine_sheared(st_affine before, double along_x, double along_y); /* tangents */
st_affine st_affine_scaled(st_affine before, double factor);
st_affine st_affine_moved(st_affine before, double right, double down); /* pixels */

/* Displacements on a grid of cells, in pixels: point (x, y) is moved by what stands at (x, y) / cell. */
typedef struct st_field {
    const double *right, *down; /* [rows][columns] */
    int64_t rows, columns;
    double cell;
} st_field;
strata_status st_warp(st_canvas *canvas, const st_affine *affine, const st_field *field, strata_error *err);

/* ---- elastic.c ---- */

strata_status st_elastic_draw(st_field *out, st_canvas *canvas, double alpha, const st_draws *draws, strata_error *err);

/* ---- colour.c: in place, one byte after the other ---- */

void st_colour_table(strata_picture *picture, const uint8_t *table, int64_t channel); /* -1: all channels */
void st_colour_brightness(strata_picture *picture, double factor);
void st_colour_contrast(strata_picture *picture, double factor);
void st_colour_saturation(strata_picture *picture, double factor); /* nothing where there are not 3 channels */
void st_colour_hue(strata_picture *picture, double turn);          /* of the whole circle; the same */
void st_colour_shift(strata_picture *picture, const double *amounts);

/* ---- crop.c, erase.c, randaugment.c, mix.c ---- */

strata_status st_crop_border(st_canvas *canvas, const strata_picture *from, strata_shape shape, int64_t border,
                             const st_draws *draws, strata_error *err);
strata_status st_crop_resized(st_canvas *canvas, const strata_picture *from, const st_geometry *geometry,
                              double least_area, const st_draws *draws, strata_error *err);
void st_crop_mirror(strata_picture *picture);
void st_erase_square(st_canvas *canvas, int64_t side, const st_draws *draws);
void st_erase_noise(st_canvas *canvas, const st_draws *draws);
strata_status st_randaugment(st_canvas *canvas, int count, double magnitude, const st_draws *draws, strata_error *err);
double st_mix_share(double alpha, const st_draws *draws); /* from the beta distribution of alpha and alpha */

#endif
