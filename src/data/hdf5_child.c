/* What runs in the child: libhdf5 lists the data sets of one file and reads them, as the parent asks. It is the only
 * file that knows the library, which is opened here, by name, and so never gets into the parent: Debian's draws in
 * libcurl and its thirty libraries. No error is worded here: the parent gets numbers, and the library's own words.
 *
 * Read are data sets that hard links lead to, with plain contiguous, compact or chunked storage in the file itself and
 * no filters but deflate, shuffle and fletcher32; the library may load no plugins. Everything else is listed with the
 * reason. HDF5 file format specification, version 3. */
#include "data/hdf5.h"

#ifdef ST_WITH_HDF5

#include <dlfcn.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_DEPTH = 4, MOST_LINKS = 1000, MOST_FILTERS = 8, CACHE_SLOTS = 10007, READ_ONLY = 0 };

/* ---- the library ---- */

#define CALLS(X)                                                                                                       \
    X(H5open)                                                                                                          \
    X(H5get_libversion)                                                                                                \
    X(H5Eset_auto2)                                                                                                    \
    X(H5Ewalk2)                                                                                                        \
    X(H5PLset_loading_state)                                                                                           \
    X(H5Pcreate)                                                                                                       \
    X(H5Pset_fapl_sec2)                                                                                                \
    X(H5Fopen)                                                                                                         \
    X(H5Gopen2)                                                                                                        \
    X(H5Gget_info)                                                                                                     \
    X(H5Lget_name_by_idx)                                                                                              \
    X(H5Lget_info)                                                                                                     \
    X(H5Oopen)                                                                                                         \
    X(H5Oclose)                                                                                                        \
    X(H5Iget_type)                                                                                                     \
    X(H5Dopen2)                                                                                                        \
    X(H5Dclose)                                                                                                        \
    X(H5Dget_space)                                                                                                    \
    X(H5Dget_type)                                                                                                     \
    X(H5Dget_create_plist)                                                                                             \
    X(H5Dget_storage_size)                                                                                             \
    X(H5Dread)                                                                                                         \
    X(H5Sget_simple_extent_type)                                                                                       \
    X(H5Sget_simple_extent_ndims)                                                                                      \
    X(H5Sget_simple_extent_dims)                                                                                       \
    X(H5Screate_simple)                                                                                                \
    X(H5Sselect_hyperslab)                                                                                             \
    X(H5Sclose)                                                                                                        \
    X(H5Tget_class)                                                                                                    \
    X(H5Tget_size)                                                                                                     \
    X(H5Tget_sign)                                                                                                     \
    X(H5Tget_cset)                                                                                                     \
    X(H5Tset_cset)                                                                                                     \
    X(H5Tset_size)                                                                                                     \
    X(H5Tis_variable_str)                                                                                              \
    X(H5Tcopy)                                                                                                         \
    X(H5Tclose)                                                                                                        \
    X(H5Pget_layout)                                                                                                   \
    X(H5Pget_external_count)                                                                                           \
    X(H5Pget_nfilters)                                                                                                 \
    X(H5Pget_filter2)                                                                                                  \
    X(H5Pget_chunk)                                                                                                    \
    X(H5Pset_chunk_cache)                                                                                              \
    X(H5Pclose)
#if H5_VERSION_GE(1, 10, 7)
#define LOCKING_CALLS(X) X(H5Pset_file_locking)
#else
#define LOCKING_CALLS(X)
#endif

/* The header gives some names a version; what stands in the library is the name as it is after that. */
#define WORDS(x) #x
#define TEXT(x) WORDS(x)

static struct {
#define X(name) __typeof__(name) *name;
    CALLS(X)
    LOCKING_CALLS(X)
#undef X
    hid_t bytes, doubles, text, opening_file, opening_set; /* its constants */
} hdf5;

static bool find_constant(hid_t *out, void *library, const char *name) {
    hid_t *found = dlsym(library, name);
    *out = found != NULL ? *found : -1;
    return found != NULL;
}

/* False with the linker's or our own words in `text`. */
static bool load(char text[ST_HDF5_TEXT_BYTES]) {
    unsigned major = 0, minor = 0, release = 0;
    void *library = dlopen(ST_WITH_HDF5, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s", dlerror());
        return false;
    }
    bool is_whole = true;
#define X(name)                                                                                                        \
    hdf5.name = (__typeof__(name) *)dlsym(library, TEXT(name));                                                        \
    is_whole = is_whole && hdf5.name != NULL;
    CALLS(X)
    LOCKING_CALLS(X)
#undef X
    if (!is_whole || hdf5.H5open() < 0 || hdf5.H5get_libversion(&major, &minor, &release) < 0 ||
        major != H5_VERS_MAJOR || minor != H5_VERS_MINOR) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s has version %u.%u, expected %d.%d", ST_WITH_HDF5, major, minor,
                       H5_VERS_MAJOR, H5_VERS_MINOR);
        return false;
    }
    (void)hdf5.H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return find_constant(&hdf5.bytes, library, "H5T_NATIVE_UCHAR_g") &&
           find_constant(&hdf5.doubles, library, "H5T_NATIVE_DOUBLE_g") &&
           find_constant(&hdf5.text, library, "H5T_C_S1_g") &&
           find_constant(&hdf5.opening_file, library, "H5P_CLS_FILE_ACCESS_ID_g") &&
           find_constant(&hdf5.opening_set, library, "H5P_CLS_DATASET_ACCESS_ID_g");
}

/* The innermost of the library's words; every other call forgets them. */
static char words[ST_HDF5_TEXT_BYTES];

static herr_t take_words(unsigned depth, const H5E_error2_t *error, void *text) {
    if (depth == 0) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s", error->desc != NULL ? error->desc : "");
    }
    return 0;
}

static bool is_done(hid_t result) {
    if (result < 0) {
        words[0] = '\0';
        (void)hdf5.H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, words);
    }
    return result >= 0;
}

/* ---- answers ---- */

static _Noreturn void stop(void) {
    _exit(0); /* not exit: what the parent has registered is the parent's */
}

static void say(const st_hdf5_answer *answer, const void *bytes) {
    if (!st_child_say(answer, sizeof *answer) || (answer->bytes > 0 && !st_child_say(bytes, answer->bytes))) {
        stop();
    }
}

static void say_trouble(st_hdf5_trouble trouble, uint64_t place, double value) {
    st_hdf5_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.trouble = (uint32_t)trouble;
    answer.place = place;
    answer.low = value;
    if (trouble == ST_HDF5_NOT_READ || trouble == ST_HDF5_NOT_OPENED) {
        memcpy(answer.text, words, sizeof words);
    }
    say(&answer, NULL);
}

static void say_bytes(const void *bytes, uint64_t count, uint64_t place) {
    st_hdf5_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.bytes = count;
    answer.place = place;
    say(&answer, bytes);
}

/* ---- what there is ---- */

typedef struct listing {
    hid_t file;
    uint64_t file_bytes;
    st_hdf5_set *sets;
    size_t count, links;
} listing;

static void describe_type(st_hdf5_set *set, hid_t of) {
    hid_t type = hdf5.H5Dget_type(of);
    size_t bytes = hdf5.H5Tget_size(type);
    set->item_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    switch (hdf5.H5Tget_class(type)) {
    case H5T_INTEGER:
        set->type = bytes == 1 && hdf5.H5Tget_sign(type) == H5T_SGN_NONE ? ST_HDF5_BYTES : ST_HDF5_INTEGERS;
        break;
    case H5T_FLOAT:
        set->type = ST_HDF5_FLOATS;
        break;
    case H5T_STRING:
        set->type = ST_HDF5_TEXTS;
        break;
    default:
        set->type = ST_HDF5_OTHER;
        break;
    }
    set->fault = type < 0 || bytes == 0 ? ST_HDF5_DAMAGED : set->fault;
    (void)hdf5.H5Tclose(type);
}

/* Its rank and sides; *all, the number of values. */
static bool describe_sides(st_hdf5_set *set, hid_t of, uint64_t *all) {
    hsize_t dims[H5S_MAX_RANK] = {0};
    hid_t space = hdf5.H5Dget_space(of);
    H5S_class_t kind = hdf5.H5Sget_simple_extent_type(space);
    int rank = hdf5.H5Sget_simple_extent_ndims(space);
    bool is_good = space >= 0 && kind != H5S_NO_CLASS && rank >= 0 && rank <= H5S_MAX_RANK &&
                   (rank == 0 || hdf5.H5Sget_simple_extent_dims(space, dims, NULL) == rank);
    (void)hdf5.H5Sclose(space);
    *all = kind == H5S_NULL ? 0 : 1;
    set->rank = is_good ? (uint32_t)rank : 0;
    for (int d = 0; is_good && d < rank; d++) {
        is_good = !__builtin_mul_overflow(*all, (uint64_t)dims[d], all);
        if (d < ST_HDF5_MOST_RANK) {
            set->dims[d] = dims[d];
        }
    }
    return is_good;
}

/* The bytes that are unpacked before the first item is there: all chunks that hold a part of it. */
static uint64_t find_band(const st_hdf5_set *set, hid_t plist) {
    hsize_t chunk[H5S_MAX_RANK] = {0};
    uint64_t band = set->item_bytes;
    int rank = hdf5.H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
    if (rank < 1 || rank > ST_HDF5_MOST_RANK || (uint32_t)rank != set->rank) {
        return UINT64_MAX;
    }
    for (int d = 0; d < rank; d++) {
        uint64_t side = d == 0 ? chunk[0] : chunk[d] == 0 ? 0 : (set->dims[d] + chunk[d] - 1) / chunk[d] * chunk[d];
        if (side == 0 || __builtin_mul_overflow(band, side, &band)) {
            return UINT64_MAX;
        }
    }
    return band;
}

static void check_filters(st_hdf5_set *set, hid_t plist) {
    int count = hdf5.H5Pget_nfilters(plist);
    if (count < 0 || count > MOST_FILTERS) {
        set->fault = ST_HDF5_DAMAGED;
        return;
    }
    for (unsigned i = 0; i < (unsigned)count; i++) {
        unsigned flags = 0, values[8], config = 0;
        size_t value_count = ST_COUNT_OF(values);
        char name[2];
        H5Z_filter_t id = hdf5.H5Pget_filter2(plist, i, &flags, &value_count, values, sizeof name, name, &config);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32) {
            set->fault = ST_HDF5_FILTER;
            set->detail = id > 0 ? (uint64_t)id : 0;
        }
    }
}

/* How it is stored, and whether that is plain. */
static void check_storage(st_hdf5_set *set, hid_t of, uint64_t bytes, uint64_t file_bytes) {
    hid_t plist = hdf5.H5Dget_create_plist(of);
    H5D_layout_t layout = hdf5.H5Pget_layout(plist);
    uint64_t stored = hdf5.H5Dget_storage_size(of);
    if (plist < 0 || layout == H5D_LAYOUT_ERROR) {
        set->fault = ST_HDF5_DAMAGED;
    } else if (layout == H5D_VIRTUAL) {
        set->fault = ST_HDF5_VIRTUAL;
    } else if (hdf5.H5Pget_external_count(plist) != 0) {
        set->fault = ST_HDF5_EXTERNAL_STORAGE;
    } else {
        check_filters(set, plist);
    }
    uint64_t band = layout == H5D_CHUNKED && set->fault == ST_HDF5_SOUND ? find_band(set, plist) : 0;
    if (set->fault == ST_HDF5_SOUND && stored > file_bytes) {
        set->fault = ST_HDF5_BEYOND;
        set->detail = stored;
    } else if (set->fault == ST_HDF5_SOUND && bytes / ST_HDF5_MOST_SAVING > stored) {
        set->fault = ST_HDF5_SPARSE;
        set->detail = stored;
    } else if (set->fault == ST_HDF5_SOUND && band > ST_HDF5_MOST_BAND) {
        set->fault = ST_HDF5_BAND;
    }
    set->detail = set->fault == ST_HDF5_SOUND || set->fault == ST_HDF5_BAND ? band : set->detail;
    (void)hdf5.H5Pclose(plist);
}

static void describe(st_hdf5_set *set, hid_t of, uint64_t file_bytes) {
    uint64_t all = 0, bytes = 0;
    describe_type(set, of);
    if (!describe_sides(set, of, &all)) {
        set->fault = ST_HDF5_DAMAGED;
    } else if (set->rank <= ST_HDF5_MOST_RANK) { /* others are never read */
        bool is_small = !__builtin_mul_overflow(all, (uint64_t)set->item_bytes, &bytes);
        check_storage(set, of, is_small ? bytes : UINT64_MAX, file_bytes);
    }
}

static void walk(listing *to, hid_t group, const char *above, int depth);

static void visit(listing *to, hid_t group, const char *name, const char *path, int depth) {
    H5L_info_t link;
    st_hdf5_set *set = &to->sets[to->count];
    memset(set, 0, sizeof *set);
    memcpy(set->name, path, strlen(path) + 1);
    set->type = ST_HDF5_OTHER;
    if (hdf5.H5Lget_info(group, name, &link, H5P_DEFAULT) < 0) {
        set->fault = ST_HDF5_DAMAGED;
        to->count++;
        return;
    }
    if (link.type != H5L_TYPE_HARD) {
        set->fault = link.type == H5L_TYPE_SOFT ? ST_HDF5_SOFT_LINK : ST_HDF5_EXTERNAL_LINK;
        to->count++;
        return;
    }
    hid_t object = hdf5.H5Oopen(group, name, H5P_DEFAULT);
    H5I_type_t kind = object >= 0 ? hdf5.H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_DATASET) {
        describe(set, object, to->file_bytes);
        to->count++;
    } else if (kind == H5I_GROUP && depth < MOST_DEPTH) {
        walk(to, object, path, depth + 1);
    } else if (object < 0) {
        set->fault = ST_HDF5_DAMAGED;
        to->count++;
    }
    if (object >= 0) {
        (void)hdf5.H5Oclose(object);
    }
}

/* Groups may hold each other in a circle: depth and the number of links end it. */
static void walk(listing *to, hid_t group, const char *above, int depth) {
    H5G_info_t about;
    if (hdf5.H5Gget_info(group, &about) < 0) {
        return;
    }
    for (hsize_t i = 0; i < about.nlinks && to->links < MOST_LINKS && to->count < ST_HDF5_MOST_SETS; i++) {
        char name[ST_HDF5_NAME_BYTES] = "", path[ST_HDF5_NAME_BYTES];
        ssize_t length =
            hdf5.H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        to->links++;
        int used = snprintf(path, sizeof path, "%s%s%s", above, above[0] != '\0' ? "/" : "", name);
        if (length > 0 && length < (ssize_t)sizeof name && used > 0 && used < (int)sizeof path) {
            visit(to, group, name, path, depth);
        }
    }
}

static void list(listing *to) {
    hid_t root = hdf5.H5Gopen2(to->file, "/", H5P_DEFAULT);
    if (!is_done(root)) {
        say_trouble(ST_HDF5_NOT_OPENED, 0, 0);
        return;
    }
    walk(to, root, "", 0);
    (void)hdf5.H5Oclose(root);
    say_bytes(to->sets, to->count * sizeof *to->sets, 0);
}

/* ---- reading ---- */

typedef struct reading {
    const st_hdf5_set *set;
    const st_hdf5_question *asked;
    hid_t from;
    hid_t type;                           /* in memory */
    uint64_t items, values;               /* values of an item */
    size_t value_bytes, step, step_bytes; /* items at a time */
    unsigned char *buffer;
} reading;

/* Its cache holds what one item touches, so that no chunk is unpacked twice. */
static hid_t open_set(const listing *in, const st_hdf5_set *set) {
    hid_t access = hdf5.H5Pcreate(hdf5.opening_set);
    (void)hdf5.H5Pset_chunk_cache(access, CACHE_SLOTS, (size_t)set->detail + ST_HDF5_PIECE_BYTES, 1.0);
    hid_t from = hdf5.H5Dopen2(in->file, set->name, access);
    (void)is_done(from);
    (void)hdf5.H5Pclose(access);
    return from;
}

/* False after an answer was given. */
static bool begin(reading *out, const listing *in, const st_hdf5_question *asked, hid_t type, size_t value_bytes) {
    const st_hdf5_set *set = &in->sets[asked->set];
    *out = (reading){.set = set, .asked = asked, .type = type, .value_bytes = value_bytes, .values = 1};
    out->items = set->dims[asked->axis];
    for (uint32_t d = 0; d < set->rank; d++) {
        out->values *= d != asked->axis ? set->dims[d] : 1; /* as a whole it fits 64 bits */
    }
    uint64_t bytes = 0;
    if (out->values == 0 || __builtin_mul_overflow(out->values, (uint64_t)value_bytes, &bytes) ||
        bytes > SIZE_MAX / 2) {
        say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
        return false;
    }
    out->step = bytes < ST_HDF5_PIECE_BYTES ? (size_t)(ST_HDF5_PIECE_BYTES / bytes) : 1;
    out->step = out->step < out->items ? out->step : (size_t)out->items;
    out->step_bytes = out->step * (size_t)bytes;
    out->buffer = st_sys.allocate(out->step_bytes);
    out->from = out->buffer != NULL ? open_set(in, set) : -1;
    if (out->buffer == NULL || out->from < 0) {
        say_trouble(out->buffer == NULL ? ST_HDF5_NO_MEMORY : ST_HDF5_NOT_READ, 0, 0);
        return false;
    }
    return true;
}

static void end(reading *of) {
    if (of->from > 0) {
        (void)hdf5.H5Dclose(of->from);
    }
    if (of->buffer != NULL) {
        st_sys.release(of->buffer, of->step_bytes);
    }
}

/* Items first .. first + count - 1 into the buffer. */
static bool read_step(reading *of, uint64_t first, size_t count) {
    hsize_t start[ST_HDF5_MOST_RANK] = {0}, sides[ST_HDF5_MOST_RANK] = {0};
    int rank = (int)of->set->rank;
    for (int d = 0; d < rank; d++) {
        sides[d] = of->set->dims[d];
    }
    start[of->asked->axis] = first;
    sides[of->asked->axis] = count;
    hid_t space = hdf5.H5Dget_space(of->from), memory = hdf5.H5Screate_simple(rank, sides, NULL);
    bool is_read = hdf5.H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, sides, NULL) >= 0 &&
                   is_done(hdf5.H5Dread(of->from, of->type, memory, space, H5P_DEFAULT, of->buffer));
    if (!is_read) {
        say_trouble(ST_HDF5_NOT_READ, first, 0);
    }
    (void)hdf5.H5Sclose(memory);
    (void)hdf5.H5Sclose(space);
    return is_read;
}

static size_t step_at(const reading *of, uint64_t first) {
    return of->items - first < of->step ? (size_t)(of->items - first) : of->step;
}

/* ---- questions ---- */

static bool is_whole(double value) {
    return value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value;
}

static void answer_range(const listing *in, const st_hdf5_question *asked) {
    st_hdf5_answer answer;
    reading of;
    bool has_nan = false;
    memset(&answer, 0, sizeof answer);
    answer.low = INFINITY;
    answer.high = -INFINITY;
    if (!begin(&of, in, asked, hdf5.doubles, sizeof(double))) {
        end(&of);
        return;
    }
    for (uint64_t i = 0; i < of.items; i += of.step) {
        size_t count = step_at(&of, i) * (size_t)of.values;
        const double *values = (const double *)(const void *)of.buffer;
        if (!read_step(&of, i, step_at(&of, i))) {
            end(&of);
            return;
        }
        for (size_t k = 0; k < count; k++) {
            answer.low = values[k] < answer.low ? values[k] : answer.low;
            answer.high = values[k] > answer.high ? values[k] : answer.high;
            has_nan = has_nan || values[k] != values[k];
        }
    }
    end(&of);
    answer.low = has_nan ? NAN : answer.low;
    say(&answer, NULL);
}

/* Values to bytes; the parent has asked for their range before. */
static void scale_values(const double *values, uint8_t *out, size_t count, double scale) {
    for (size_t k = 0; k < count; k++) {
        double value = values[k] * scale + 0.5;
        out[k] = value >= 255.0 ? 255 : value > 0.0 ? (uint8_t)value : 0;
    }
}

/* (c, h, w) to (h, w, c). */
static void turn(const uint8_t *from, uint8_t *to, const st_hdf5_set *set) {
    size_t channels = (size_t)set->dims[1], area = (size_t)(set->dims[2] * set->dims[3]);
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < area; p++) {
            to[p * channels + c] = from[c * area + p];
        }
    }
}

static bool send_pixels(reading *of, uint8_t *bytes, uint8_t *turned, bool is_bytes) {
    for (uint64_t i = 0; i < of->items; i += of->step) {
        size_t step = step_at(of, i), one = (size_t)of->values, all = step * one;
        if (!read_step(of, i, step)) {
            return false;
        }
        uint8_t *pixels = of->buffer;
        if (!is_bytes) {
            scale_values((const double *)(const void *)of->buffer, bytes, all, of->asked->scale);
            pixels = bytes;
        }
        if (turned != NULL) {
            for (size_t k = 0; k < step; k++) {
                turn(pixels + k * one, turned + k * one, of->set);
            }
            pixels = turned;
        }
        say_bytes(pixels, all, i);
    }
    return true;
}

static void answer_pixels(const listing *in, const st_hdf5_question *asked) {
    bool is_bytes = in->sets[asked->set].type == ST_HDF5_BYTES, turns = asked->channels_first != 0;
    uint8_t *bytes = NULL, *turned = NULL;
    reading of;
    bool is_begun =
        is_bytes ? begin(&of, in, asked, hdf5.bytes, 1) : begin(&of, in, asked, hdf5.doubles, sizeof(double));
    size_t room = is_begun ? of.step * (size_t)of.values : 0;
    bytes = is_begun && !is_bytes ? st_sys.allocate(room) : NULL;
    turned = is_begun && turns ? st_sys.allocate(room) : NULL;
    if (is_begun && ((!is_bytes && bytes == NULL) || (turns && turned == NULL))) {
        say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
    } else if (is_begun) {
        (void)send_pixels(&of, bytes, turned, is_bytes);
    }
    if (bytes != NULL) {
        st_sys.release(bytes, room);
    }
    if (turned != NULL) {
        st_sys.release(turned, room);
    }
    end(&of);
}

/* The number of an item: its one value, or the place of the 1 among zeros. */
static bool find_number(int32_t *out, const double *values, size_t count, uint64_t place) {
    size_t ones = 0;
    if (count == 1) {
        if (!is_whole(values[0]) || values[0] < INT32_MIN || values[0] > INT32_MAX) {
            say_trouble(ST_HDF5_BAD_VALUE, place, values[0]);
            return false;
        }
        *out = (int32_t)values[0];
        return true;
    }
    for (size_t k = 0; k < count; k++) {
        if (values[k] == 1.0) {
            *out = (int32_t)k;
            ones++;
        } else if (values[k] != 0.0) {
            ones = 2;
            break;
        }
    }
    if (ones != 1) {
        say_trouble(ST_HDF5_BAD_ROW, place, 0);
    }
    return ones == 1;
}

static void answer_numbers(const listing *in, const st_hdf5_question *asked) {
    enum { MOST_AT_ONCE = 4096 };
    int32_t numbers[MOST_AT_ONCE];
    reading of;
    bool goes_on = begin(&of, in, asked, hdf5.doubles, sizeof(double));
    of.step = of.step < MOST_AT_ONCE ? of.step : MOST_AT_ONCE; /* the buffer keeps its size */
    for (uint64_t i = 0; goes_on && i < of.items; i += of.step) {
        size_t count = step_at(&of, i);
        goes_on = read_step(&of, i, count);
        for (size_t k = 0; goes_on && k < count; k++) {
            const double *values = (const double *)(const void *)of.buffer + k * (size_t)of.values;
            goes_on = find_number(&numbers[k], values, (size_t)of.values, i + k);
        }
        if (goes_on) {
            say_bytes(numbers, count * sizeof *numbers, i);
        }
    }
    end(&of);
}

/* Texts of any length and form, each cut to ST_HDF5_CLASS_BYTES. */
static void answer_classes(const listing *in, const st_hdf5_question *asked) {
    reading of;
    hid_t from = open_set(in, &in->sets[asked->set]);
    hid_t stored = hdf5.H5Dget_type(from), type = hdf5.H5Tcopy(hdf5.text);
    bool is_variable = hdf5.H5Tis_variable_str(stored) > 0;
    (void)hdf5.H5Tset_size(type, is_variable ? H5T_VARIABLE : ST_HDF5_CLASS_BYTES);
    (void)hdf5.H5Tset_cset(type, hdf5.H5Tget_cset(stored));
    (void)hdf5.H5Tclose(stored);
    (void)hdf5.H5Dclose(from);
    bool goes_on = begin(&of, in, asked, type, is_variable ? sizeof(char *) : ST_HDF5_CLASS_BYTES);
    for (uint64_t i = 0; goes_on && i < of.items; i += of.step) {
        size_t count = step_at(&of, i);
        goes_on = read_step(&of, i, count);
        for (size_t k = 0; goes_on && k < count; k++) {
            char text[ST_HDF5_CLASS_BYTES] = "";
            const char *found = (const char *)of.buffer + k * ST_HDF5_CLASS_BYTES;
            if (is_variable) {
                memcpy(&found, of.buffer + k * sizeof found, sizeof found);
            }
            if (found != NULL) {
                memcpy(text, found, strnlen(found, sizeof text - 1));
            }
            say_bytes(text, sizeof text, i + k);
        }
    }
    (void)hdf5.H5Tclose(type);
    end(&of);
}

static void answer(const listing *in, const st_hdf5_question *asked) {
    switch (asked->what) {
    case ST_HDF5_RANGE:
        answer_range(in, asked);
        break;
    case ST_HDF5_PIXELS:
        answer_pixels(in, asked);
        break;
    case ST_HDF5_NUMBERS:
        answer_numbers(in, asked);
        break;
    case ST_HDF5_CLASSES:
        answer_classes(in, asked);
        break;
    default:
        stop();
    }
}

/* ---- the child's main ---- */

/* Through the lent descriptor, and then nothing more can be opened, whatever the file names. */
static bool open_file(listing *out) {
    char path[32];
    hid_t access = hdf5.H5Pcreate(hdf5.opening_file);
    (void)hdf5.H5PLset_loading_state(0);
    (void)hdf5.H5Pset_fapl_sec2(access);
#if H5_VERSION_GE(1, 10, 7)
    (void)hdf5.H5Pset_file_locking(access, 0, 1);
#endif
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ST_CHILD_FILE);
    off_t bytes = lseek(ST_CHILD_FILE, 0, SEEK_END);
    out->file_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    out->file = hdf5.H5Fopen(path, READ_ONLY, access);
    (void)is_done(out->file);
    (void)hdf5.H5Pclose(access);
    st_child_seal();
    return out->file >= 0;
}

void st_hdf5_serve(void) {
    static st_hdf5_set sets[ST_HDF5_MOST_SETS];
    listing all = {.sets = sets};
    st_hdf5_question asked;
    st_hdf5_answer none;
    memset(&none, 0, sizeof none);
    if (!load(none.text)) {
        none.trouble = ST_HDF5_NO_LIBRARY;
        say(&none, NULL);
    } else if (!open_file(&all)) {
        say_trouble(ST_HDF5_NOT_OPENED, 0, 0);
    } else {
        list(&all);
        while (st_child_listen(&asked, sizeof asked) && asked.set < all.count) {
            answer(&all, &asked);
        }
    }
    stop();
}

#endif
