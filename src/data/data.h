/* data: labelled pictures, from files to batches. The public strata_dataset_* and strata_picture_* of strata.h are
 * defined in this folder; this header is the rest of its interface. */
#ifndef ST_DATA_H
#define ST_DATA_H

#include "exec/exec.h"

/* ---- kinds of data sets: one descriptor each, listed in table.c ---- */

enum {
    ST_DATA_MOST_CLASSES = 100000,
    ST_DATA_MOST_CHANNELS = 4,
    ST_DATA_MOST_SIDE = 16384,
    ST_DATA_MOST_PIXELS = 64 << 20,
    ST_DATA_NAME_BYTES = 256
};

/* How a picture was stored, before decoding made bytes of grey or RGB of it. */
typedef struct st_picture_about {
    const char *kind;                                            /* "JPEG"; NULL: not from a file of its own */
    strata_shape shape;                                          /* upright: as decoding in full gives it */
    int orientation;                                             /* EXIF's, 1 to 8, already applied; 0: none said */
    int bits;                                                    /* of a sample */
    uint64_t bytes;                                              /* of its file; 0: not known */
    bool is_grey, is_cmyk, has_alpha, is_palette, is_interlaced; /* the last: or progressive */
} st_picture_about;

typedef enum st_filter { ST_FILTER_BILINEAR, ST_FILTER_BICUBIC } st_filter;

typedef struct st_part_source st_part_source;

/* What one thread reads with; zeros at first. The rooms are used again. */
typedef struct st_reader {
    strata_picture picture; /* as its source gives it */
    strata_picture stage;   /* the same, reduced: see st_data_stage */
    unsigned char *file;    /* of an encoded picture */
    size_t file_capacity;
    int64_t least_side; /* a picture may come reduced, its shorter side still twice this; 0: in full */
} st_reader;
/* The whole of a regular file into reader->file. The error names no file: the caller does. */
strata_status st_reader_file(st_reader *reader, size_t *length, const char *path, strata_error *err);
void st_reader_free(st_reader *reader); /* twice does no harm, nor on zeros */

/* What a kind does with the pictures of a part. Several threads may call, each with its own reader. */
typedef struct st_source_calls {
    /* Picture `index`, in its own size, into with->picture. */
    strata_status (*read)(const st_part_source *source, size_t index, st_reader *with, strata_error *err);
    /* What is known of it without reading; NULL: as the part's shape says. */
    const st_picture_about *(*about)(const st_part_source *source, size_t index);
    /* The file of a picture, below the data's folder; "FILE:k" where a file holds many. */
    void (*name)(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]);
    void (*close)(st_part_source *source);
} st_source_calls;

/* One part, as its kind gives it. */
struct st_part_source {
    const st_source_calls *calls; /* NULL: nothing was opened */
    void *state;                  /* the kind's own, in the dataset's arena */
    size_t count;                 /* 0: there is no such part */
    strata_shape shape;           /* of every picture; height and width 0: they differ */
    bool is_encoded;              /* reading is work: worth keeping what came out, and more than one thread */
    const int32_t *labels;        /* [count], in the dataset's arena */
    const char *path;             /* names the pictures in errors */
    const char *labels_path;      /* names the labels in errors */
};

/* A picture that cannot be read. */
typedef struct st_broken {
    const char *name, *reason;
} st_broken;

/* What a kind finds; texts and lists live in the dataset's arena. */
enum { ST_DATA_MOST_NOTES = 4 };

typedef struct st_data_found {
    st_part_source parts[STRATA_PART_COUNT];
    const char *text;           /* such as "IDX, gzip" */
    const char *const *classes; /* NULL: labels are numbers, and are counted */
    size_t class_count;
    bool is_numbered;        /* the classes have names, but their numbers are the files' too: class c is output c */
    const st_broken *broken; /* left out of the parts */
    size_t broken_count;
    const char *notes[ST_DATA_MOST_NOTES]; /* sentences about what lies there and is not used */
    size_t note_count;
    bool examines; /* said before: whatever share is broken, see strata_data_options */
} st_data_found;

typedef struct st_data_kind {
    const char *name;
    const char *expected; /* what a folder must hold, for the message when no kind takes it */
    /* Whether a file or folder is of this kind, found by looking; never an error. */
    bool (*probe)(const char *path);
    /* Fills `out`, which is zeros but for `examines`. Parts that it has opened when it fails are closed by the caller.
     */
    strata_status (*open)(st_data_found *out, st_arena *arena, const char *path, strata_error *err);
} st_data_kind;

size_t st_data_kind_count(void);
const st_data_kind *st_data_kind_at(size_t index);
const st_data_kind *st_data_kind_find(const char *path); /* NULL: none takes it */
extern const st_data_kind st_data_idx, st_data_cifar, st_data_hdf5, st_data_list, st_data_folder;
bool st_data_is_called_picture(const char *name); /* by its ending */
bool st_data_is_folder(const char *path);
/* Of FILE in "FILE.h5:PICTURES:LABELS"; of any other path, its whole length. */
size_t st_data_file_length(const char *path);

/* A data set that is known by name, or by the name of its folder. */
typedef struct st_data_known {
    const char *name;
    const char *package;        /* of Debian that installs it, or NULL */
    const char *const *classes; /* where the files name none; NULL: numbers */
    size_t class_count;         /* 0: the files say it */
} st_data_known;
/* Compares without case, '-' and '_': the folder FashionMNIST is "fashion-mnist". NULL: not known. */
const st_data_known *st_data_known_find(const char *name);
/* The folder of a known data set: $STRATA_DATA/NAME or /usr/share/datasets/NAME. STRATA_MISSING says how to get it. */
strata_status st_data_known_folder(char out[256], const st_data_known *known, strata_error *err);
/* Joins with a '/'; STRATA_INVALID where the path would be too long. */
strata_status st_data_join(char out[256], const char *folder, const char *name, strata_error *err);

/* ---- pictures of one size that lie in one file, one after the other, from byte `first` on ---- */

typedef struct st_pictures {
    st_file file;          /* its path names it in errors, also when it was unpacked */
    unsigned char *memory; /* instead of the file where no temporary file could be had */
    size_t memory_bytes;
    uint64_t first;
    size_t count;
    strata_shape shape;
    size_t picture_bytes;
} st_pictures;

/* `count` pictures from `index` on into pixels [count][picture_bytes]. */
strata_status st_pictures_read(const st_pictures *pictures, size_t index, size_t count, uint8_t *pixels,
                               strata_error *err);
void st_pictures_close(st_pictures *pictures); /* twice does no harm, nor on zeros */
/* The source takes the pictures, also when it fails. */
strata_status st_pictures_source(st_part_source *out, st_pictures *pictures, st_arena *arena, strata_error *err);

/* One IDX file of pictures (rank 3 or 4) or of labels (rank 1), plain or gzip, checked whole. */
strata_status st_idx_pictures(st_pictures *out, const char *path, strata_error *err);
strata_status st_idx_labels(const int32_t **out, size_t *count, st_arena *arena, const char *path, strata_error *err);
bool st_idx_probe_file(const char *path);

/* ---- pictures in files of their own: what folders and lists are made of ---- */

typedef struct st_listed {
    const char *name; /* below the folder */
    int32_t label;
} st_listed;

typedef struct st_listing {
    st_listed *items;
    size_t count;
} st_listing;

/* Looks at every file, on all processors: what is no picture is passed over where its name does not end like one; what
 * cannot be decoded is left out and told; more than a tenth of it refuses. What was found of a file is kept in the
 * user's cache folder and holds as long as its size and time stay. Fills out->parts and out->broken; the listings and
 * `folder` are lent and must live in `arena`. */
strata_status st_files_open(st_data_found *out, st_arena *arena, const char *folder,
                            const st_listing listings[STRATA_PART_COUNT], strata_error *err);
/* Names for people and for JSON: bytes that are no UTF-8 become \xNN. */
strata_status st_name_printable(const char **out, st_arena *arena, const char *name, strata_error *err);

/* What was found of files the last time. */
typedef struct st_check {
    const char *name;
    int64_t size, seconds, nanoseconds; /* of the file; its last change */
    st_picture_about about;
    const char *reason; /* it cannot be read; NULL: it can */
    bool is_none;       /* no picture, and does not look like one */
    bool is_unread;     /* the system did not give it, which says nothing of the next time: not kept */
} st_check;
typedef struct st_checks {
    st_check *items; /* by name */
    size_t count;
} st_checks;
/* Nothing where there is no such file, or none that this build wrote. */
void st_checks_load(st_checks *out, st_arena *arena, const char *folder);
const st_check *st_checks_find(const st_checks *checks, const char *name);
/* Replaces what was kept of the folder. A cache that cannot be written is no error. */
void st_checks_save(const st_check *items, size_t count, const char *folder);
/* $XDG_CACHE_HOME/strata/KIND or ~/.cache/strata/KIND, made where it is not; false: there is none. */
bool st_cache_folder(char out[256], const char *kind);

/* ---- one picture from a file's bytes; the kind is seen from the content ---- */

/* Room for a picture of this shape, which must be within the limits; uses again what `picture` holds. */
strata_status st_picture_room(strata_picture *picture, strata_shape shape, strata_error *err);

/* What a picture is decoded from. */
typedef struct st_picture_file {
    const unsigned char *bytes;
    size_t length;
    const char *path;   /* names it in errors */
    int64_t least_side; /* a JPEG may be decoded at 1/2, 1/4, 1/8 while its shorter side stays twice this; 0: never */
} st_picture_file;

typedef struct st_decoder {
    const char *name;    /* "JPEG" */
    const char *lacking; /* what this build would need to read it; NULL: it can */
    bool (*is)(const unsigned char *bytes, size_t length);
    /* Into `out`, whose room is used again, as stored: what `about` says of the orientation is not applied yet. `about`
     * begins as zeros but for the kind; when decoding fails, it holds what was found before. */
    strata_status (*decode)(strata_picture *out, st_picture_about *about, const st_picture_file *from,
                            strata_error *err);
} st_decoder;
extern const st_decoder st_decoder_anymap, st_decoder_jpeg, st_decoder_png, st_decoder_webp;
/* Upright, 1 or 3 channels. STRATA_UNSUPPORTED for what is no picture, or none that this build reads. `about` may be
 * NULL. */
strata_status st_picture_decode(strata_picture *out, st_picture_about *about, const unsigned char *bytes, size_t length,
                                int64_t least_side, const char *path, strata_error *err);
bool st_picture_is(const unsigned char *bytes, size_t length); /* begins like a picture, of a kind served or not */

enum { ST_ORIENTATION_LYING = 5 }; /* from this one on, height and width change places */
/* EXIF's orientation, 1 to 8, in a block that begins with its TIFF header; 0 where the block is damaged or says none.
 */
int st_exif_orientation(const unsigned char *bytes, size_t length);
/* Turns and mirrors a picture so that it stands upright; orientations 0 and 1 do nothing. */
strata_status st_picture_upright(strata_picture *picture, int orientation, strata_error *err);

/* ---- resizing: the bytes of Pillow's Image.resize with the same filter and box (reducing_gap None) ---- */

/* A part of a picture, in pixels from its upper left corner; it counts in single precision, as Pillow's does. */
typedef struct st_box {
    double x0, y0, x1, y1;
} st_box;
/* Into `out`, whose room is used again; it must be another picture. */
strata_status st_picture_resize(strata_picture *out, const strata_picture *from, int64_t height, int64_t width,
                                st_filter filter, strata_error *err);
/* Of the part `box`, which must lie within the picture and not be empty. Pixels around it, within the filter's reach,
 * count too. */
strata_status st_picture_resize_box(strata_picture *out, const strata_picture *from, const st_box *box, int64_t height,
                                    int64_t width, st_filter filter, strata_error *err);

/* ---- what was unpacked or decoded: an unnamed temporary file, or memory where none can be had ---- */

typedef struct st_spill {
    int descriptor; /* -1: memory */
    unsigned char *memory;
    size_t capacity;
    uint64_t length; /* bytes added so far */
    size_t next;     /* folder to try */
} st_spill;
/* Finds a place for `expected` bytes; more may come. */
strata_status st_spill_begin(st_spill *out, uint64_t expected, strata_error *err);
strata_status st_spill_add(st_spill *spill, const void *bytes, size_t count, strata_error *err);
strata_status st_spill_at(const st_spill *spill, void *bytes, size_t count, uint64_t offset, strata_error *err);
/* Room for `bytes`, which are then put anywhere and in any order, from several threads; false: there is none. */
bool st_spill_reserve(st_spill *spill, uint64_t bytes);
bool st_spill_put(const st_spill *spill, const void *bytes, size_t count, uint64_t offset);
void st_spill_free(st_spill *spill); /* twice does no harm, nor on zeros with descriptor -1 */

/* ---- gzip, read as a stream ---- */

typedef struct st_gzip st_gzip;
strata_status st_gzip_probe(bool *is_gzip, const st_file *file, strata_error *err);
strata_status st_gzip_open(st_gzip **out, const st_file *file, strata_error *err); /* file is lent */
/* Up to `count` bytes; *got is less only where the content ends, and then the whole file was good. */
strata_status st_gzip_read(st_gzip *gzip, void *out, size_t count, size_t *got, strata_error *err);
/* STRATA_FORMAT unless the content ends here. */
strata_status st_gzip_end(st_gzip *gzip, strata_error *err);
void st_gzip_close(st_gzip *gzip); /* NULL is allowed */
/* The whole content, which must be exactly `length` bytes (not one more is kept), into an unnamed temporary file that
 * replaces `pictures->file`, or into pictures->memory where none can be had. */
strata_status st_gzip_unpack(st_pictures *pictures, uint64_t length, strata_error *err);

/* ---- reading pictures ---- */

/* ---- one preparation: pictures of any size become pictures of one size -------------------------------------------
 * Two steps. The first always gives the same and is kept: the stage picture (PAD: as it is; STRETCH: in the final size;
 * CROP: reduced or enlarged until it just covers the box, uncut). The second takes its centre, or what augmentation
 * draws. What comes out goes to the executor, which pads and computes numbers. */

typedef enum st_fit {
    ST_FIT_PAD,     /* all have one size already, not larger than the net's: the executor pads */
    ST_FIT_STRETCH, /* resized, whatever that does to the proportions */
    ST_FIT_CROP     /* resized in proportion, then the centre */
} st_fit;

typedef struct st_geometry {
    st_fit fit;
    st_filter filter;
    int64_t side;     /* CROP: the box's shorter side; the box has the proportions of `out` */
    strata_shape out; /* what every picture becomes */
} st_geometry;

extern const char *const st_fit_names[3], *const st_filter_names[2]; /* "pad", "stretch", "crop" */

/* What pictures go through that come in this size (height 0: in several) before the net sees them. `stored`: what a
 * checkpoint says, NULL: nothing; then the net's input line decides, then the sizes. */
strata_status st_geometry_choose(st_geometry *out, const st_graph *graph, const st_geometry *stored,
                                 strata_shape common, strata_error *err);
/* In words: "shorter side to 256, centre of 224x224; "; nothing for PAD. */
void st_geometry_words(const st_geometry *geometry, char *out, size_t capacity);
bool st_geometry_equals(const st_geometry *a, const st_geometry *b);
strata_shape st_geometry_stage(const st_geometry *geometry, strata_shape from);
/* The stage picture of `stage`'s size; grey is spread over colours, colours are weighed to grey (ITU-R 601). */
strata_status st_fit_stage(strata_picture *out, const strata_picture *from, const st_geometry *geometry,
                           strata_shape stage, strata_error *err);
/* Where the middle `part` of `whole` begins, rounded half to even; negative where it is larger. */
int64_t st_fit_offset(int64_t whole, int64_t part);
/* The centre of a stage picture, into out[height][width][channels] of geometry->out. */
void st_fit_centre(uint8_t *out, const strata_picture *stage, const st_geometry *geometry);
size_t st_geometry_bytes(const st_geometry *geometry); /* of one picture in the end */

/* ---- contact sheets ---- */

enum { ST_FONT_COLUMNS = 6, ST_FONT_ROWS = 11, ST_FONT_ADVANCE = 7 };
bool st_font_has_ink(char letter, int column, int row);
/* The whole sheet as a picture; `out` as in st_picture_room. */
strata_status st_sheet_draw(strata_picture *out, const strata_sheet *sheet, strata_error *err);
/* 1 or 3 channels; replaces the file as a whole or not at all. */
strata_status st_png_write(const char *path, const strata_picture *picture, strata_error *err);

/* Memory as libraries ask for it, by st_sys. */
void *st_block_take(size_t bytes); /* zeros; NULL when refused */
void *st_block_take_many(size_t count, size_t size);
void *st_block_take_again(void *memory, size_t bytes);
void st_block_give_back(void *memory); /* NULL is allowed */

/* ---- the doctor ---- */

enum { ST_LOOK_SIDE = 16 };

/* What a picture looks like, whatever its encoding and size: see look.c. */
typedef struct st_look {
    uint64_t bits[2];                               /* difference hash: left to right, top to bottom */
    uint8_t thumbnail[ST_LOOK_SIDE * ST_LOOK_SIDE]; /* mean luma of blocks */
    int32_t sum;                                    /* of the thumbnail */
    double spread;                                  /* of it: n times the sum of squares, minus the squared sum */
} st_look;
strata_status st_look_at(st_look *out, const strata_picture *picture, strata_error *err);
int st_look_distance(const st_look *a, const st_look *b); /* bits that differ, of 128 */
/* Correlation of the thumbnails, -1 to 1; 0 where one of them is of one colour. */
double st_look_correlation(const st_look *a, const st_look *b);
bool st_look_is_near(const st_look *a, const st_look *b);
/* A picture that looks like an earlier one gets that one's number in `leaders`, every other its own. Pictures that are
 * `skipped` (NULL: none) stay alone. */
strata_status st_look_group(uint32_t *leaders, const st_look *looks, const uint8_t *skipped, size_t count, int threads,
                            strata_error *err);

/* ---- batches ---- */

/* The files give the classes' numbers: class c is output c of a net that knows no names. */
bool st_data_is_numbered(const strata_dataset *data);
/* The file of a picture; see st_source_calls. */
void st_data_name(const strata_dataset *data, strata_part part, size_t index, char out[ST_DATA_NAME_BYTES]);
int32_t st_data_label(const strata_dataset *data, strata_part part, size_t index);
bool st_data_is_encoded(const strata_dataset *data, strata_part part);
/* What is known of a picture without reading it; zeros where its kind has nothing to say but the shape. */
st_picture_about st_data_about(const strata_dataset *data, strata_part part, size_t index);
/* The picture in its own size into with->picture. */
strata_status st_data_read(const strata_dataset *data, strata_part part, size_t index, st_reader *with,
                           strata_error *err);
/* The stage picture into with->stage. Those of encoded pictures are kept in a spill, so that each is made once. Safe
 * from several threads, each with its own reader. */
strata_status st_data_stage(const strata_dataset *data, strata_part part, size_t index, const st_geometry *geometry,
                            st_reader *with, strata_error *err);
/* The store of those that are kept; it changes behind a data set that does not. */
typedef struct st_stages st_stages;
strata_status st_stages_create(st_stages **out, strata_error *err);
void st_stages_free(st_stages *stages); /* NULL is allowed */
st_stages *st_data_stages(const strata_dataset *data);
/* The picture as evaluation sees it into `pixels`, st_geometry_bytes of them. */
strata_status st_data_fitted(const strata_dataset *data, strata_part part, size_t index, const st_geometry *geometry,
                             st_reader *with, uint8_t *pixels, strata_error *err);
/* Whole numbers, so the order of adding does not matter. */
typedef struct st_pixel_sums {
    uint64_t sum[ST_DATA_MOST_CHANNELS], squares[ST_DATA_MOST_CHANNELS], pixels;
} st_pixel_sums;
void st_pixel_sums_of(st_pixel_sums *out, const uint8_t *pixels, size_t count, size_t channels);
/* Those of grey count in each channel of a data set with colours. */
void st_pixel_sums_join(st_pixel_sums *to, const st_pixel_sums *from, size_t channels, size_t wanted);
/* Of bytes as 0 to 1; 0 and 0 of no pixels. */
void st_pixel_sums_result(double mean[4], double deviation[4], const st_pixel_sums *sums, size_t channels);
/* Mean and deviation of the training pictures as evaluation sees them, 0 to 1. */
strata_status st_data_statistics(const strata_dataset *data, const st_geometry *geometry, double mean[4],
                                 double deviation[4], strata_error *err);
/* The order of the training pictures in an epoch (from 0). */
void st_data_order(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);
/* The same with as many places for every class that has pictures: see balance.c. */
typedef struct st_balance st_balance;
strata_status st_balance_create(st_balance **out, st_arena *arena, const strata_dataset *data, strata_error *err);
void st_balance_order(st_balance *balance, uint32_t *order, uint64_t seed, uint64_t epoch);
/* SHA-256 over the labels of the training and val pictures in their order: another data set, or another split, differs.
 */
void st_data_fingerprint(const strata_dataset *data, char out[65]);
/* The folder or file that a part comes from. */
const char *st_data_place(const strata_dataset *data, strata_part part);
/* Adds names, sizes and times of the files of a part: other pictures, or other contents, differ. */
void st_data_stamp(const strata_dataset *data, strata_part part, st_sha256 *sha);

/* ---- augmentation: pictures changed at random, on bytes, as a pure function of seed, epoch and picture ---- */

enum { ST_AUGMENT_MOST_STEPS = 16, ST_AUGMENT_TEXT_BYTES = 512 };

typedef struct st_augment {
    int count; /* 0: none */
    struct {
        int word;         /* in augment_words.c's table */
        int64_t units[2]; /* its numbers, in millionths */
    } steps[ST_AUGMENT_MOST_STEPS];
    char text[ST_AUGMENT_TEXT_BYTES]; /* presets and defaults resolved: "crop=4,mirror"; "" for none */
} st_augment;
/* Words of augment_words.c's table with commas between them, "mirror,crop=4", or a preset, "cifar". NULL, "" and "none"
 * are none. */
strata_status st_augment_parse(st_augment *out, const char *text, strata_error *err);

/* STRATA_INVALID where pictures of this shape would often be moved out of sight, or have no colours for a word that
 * changes them. */
strata_status st_augment_fits(const st_augment *augment, strata_shape shape, strata_error *err);

/* Sums over pixels, exact, from which the axes of their colours follow; zeros at first. */
typedef struct st_colour_sums {
    uint64_t count, sums[ST_DATA_MOST_CHANNELS], products[ST_DATA_MOST_CHANNELS][ST_DATA_MOST_CHANNELS];
} st_colour_sums;
void st_colour_sums_add(st_colour_sums *sums, const uint8_t *pixels, size_t count, size_t channels);
/* Eigenvectors of the covariance, in bytes, each as long as its eigenvalue for pixels from 0 to 1. */
void st_colour_axes(double axes[ST_DATA_MOST_CHANNELS][ST_DATA_MOST_CHANNELS], const st_colour_sums *sums,
                    size_t channels);

typedef struct st_augmentation {
    st_augment augment;
    uint8_t fill[ST_DATA_MOST_CHANNELS]; /* a pixel outside of the picture: the mean, which preparation takes to 0 */
    double axes[ST_DATA_MOST_CHANNELS][ST_DATA_MOST_CHANNELS]; /* st_colour_axes, where st_augment_needs_axes */
    uint64_t seed, epoch;
    uint32_t turn; /* of a picture that comes several times in an epoch: how often it was there before */
} st_augmentation;
bool st_augment_needs_axes(const st_augment *augment);
/* Fills axes from the training pictures as evaluation sees them. */
strata_status st_augmentation_axes(st_augmentation *out, const strata_dataset *data, const st_geometry *geometry,
                                   strata_error *err);
/* What one thread works with; zeros at first. */
typedef struct st_augment_room {
    strata_picture whole, scratch;
    double *numbers;
    size_t number_count;
} st_augment_room;
void st_augment_room_free(st_augment_room *room);
/* Picture `index` from its stage picture into out[st_geometry_bytes]: what the words draw, else the centre. */
strata_status st_augment_picture(const st_augmentation *augmentation, size_t index, const strata_picture *stage,
                                 const st_geometry *geometry, st_augment_room *room, uint8_t *out, strata_error *err);

/* Whether whole batches have to be mixed when their pictures are done. */
bool st_augment_mixes(const st_augment *augment);
/* Mixes the pictures of a whole batch, `pixels` [n][bytes of shape], with each other in place. Picture i then shows
 * shares[i] of labels[i] and the rest of other_labels[i]. batch_number counts the batches of the whole training (the
 * step), so that a resume draws the same; a batch that is computed in parts is mixed before it is cut. Where
 * st_augment_mixes is false it must not be called. */
void st_augment_mix(const st_augmentation *augmentation, uint64_t batch_number, uint8_t *pixels, const int32_t *labels,
                    size_t n, strata_shape shape, int32_t *other_labels, float *shares);

/* One batch, lent until the next call. */
typedef struct st_batch {
    const uint8_t *pixels;       /* [n][bytes of geometry->out] */
    const int32_t *labels;       /* [n] */
    const int32_t *other_labels; /* [n], of mixed pictures; NULL: none are */
    const float *shares;         /* [n], of `labels`; NULL with other_labels */
    size_t n;                    /* 0: the pass is at its end */
} st_batch;

/* Reads the next batches in threads of its own while the caller works on this one. */
typedef struct st_batcher st_batcher;
enum { ST_BATCHER_BUFFERS = 3 };
/* threads: 0: as many as may be used where pictures are encoded, else one. */
strata_status st_batcher_create(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                const st_geometry *geometry, int threads, strata_error *err);
/* Begins a pass over order[first .. count - 1]; NULL: first .. count - 1 themselves. `order` is copied; a picture that
 * it holds several times is augmented otherwise each time. A pass that was not read to its end is given up. */
strata_status st_batcher_start(st_batcher *batcher, const uint32_t *order, size_t count, size_t first,
                               strata_error *err);
/* In the passes that are started from now on a batch ends, full or not, after every `step` pictures. Ends the pass that
 * is under way. */
void st_batcher_steps(st_batcher *batcher, size_t step);
/* The passes that are started from now on are augmented so; NULL: not at all. Ends the pass that is under way. */
void st_batcher_augment(st_batcher *batcher, const st_augmentation *augmentation);
/* The next batch. A failure is given in place of the batch it hit, and again until the next start. */
strata_status st_batcher_next(st_batcher *batcher, st_batch *out, strata_error *err);
void st_batcher_free(st_batcher *batcher); /* NULL is allowed */
/* What a batcher holds, for the plan's count of memory; 0 on overflow. */
size_t st_batcher_bytes(size_t picture_bytes, size_t batch);

#endif
