/* The child's side of hdf5.h: libhdf5, which is opened here, by name, and so never gets into the parent: Debian's draws
 * in libcurl and its thirty libraries. No error is worded here: the parent gets numbers, and the library's own words.
 */
#ifndef ST_HDF5_CHILD_H
#define ST_HDF5_CHILD_H

#include <hdf5.h>

#include "formats/hdf5.h"

/* ---- the library ---- */

#define ST_HDF5_CALLS(X)                                                                                               \
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
    X(H5Pclose)                                                                                                        \
    X(H5Aexists)                                                                                                       \
    X(H5Aopen)                                                                                                         \
    X(H5Aclose)                                                                                                        \
    X(H5Aget_type)                                                                                                     \
    X(H5Aget_space)                                                                                                    \
    X(H5Aread)                                                                                                         \
    X(H5Dget_offset)                                                                                                   \
    X(H5Dvlen_reclaim)                                                                                                 \
    X(H5Lexists)                                                                                                       \
    X(H5Literate)                                                                                                      \
    X(H5Sget_simple_extent_npoints)                                                                                    \
    X(H5Tequal)                                                                                                        \
    X(H5Tget_ebias)                                                                                                    \
    X(H5Tget_fields)                                                                                                   \
    X(H5Tget_order)
#if H5_VERSION_GE(1, 10, 7)
#define ST_HDF5_LOCKING_CALLS(X) X(H5Pset_file_locking)
#else
#define ST_HDF5_LOCKING_CALLS(X)
#endif

typedef struct st_hdf5_library {
#define X(name) __typeof__(name) *name;
    ST_HDF5_CALLS(X)
    ST_HDF5_LOCKING_CALLS(X)
#undef X
    hid_t bytes, floats, doubles, text, opening_file, opening_set; /* its constants */
    hid_t stored[ST_STORED_COUNT];                                 /* types in files, -1: it has none */
} st_hdf5_library;
extern st_hdf5_library st_libhdf5;

/* False with the linker's or our own words in `text`. */
bool st_hdf5_load(char text[ST_HDF5_TEXT_BYTES]);
/* Whether a call did what it should; keeps the library's words, which every other call forgets. */
bool st_hdf5_is_done(hid_t result);

/* ---- answers ---- */

_Noreturn void st_hdf5_stop(void);
void st_hdf5_say(const st_hdf5_answer *answer, const void *bytes);
void st_hdf5_say_trouble(st_hdf5_trouble trouble, uint64_t place, double value);
void st_hdf5_say_bytes(const void *bytes, uint64_t count, uint64_t place);

/* ---- what there is ---- */

typedef struct st_hdf5_listing {
    hid_t file;
    uint64_t file_bytes;
    st_hdf5_set *sets;
    size_t count, links;
} st_hdf5_listing;

void st_hdf5_describe_set(st_hdf5_set *set, hid_t of, uint64_t file_bytes);
void st_hdf5_answer_list(st_hdf5_listing *to);

/* ---- reading ---- */

typedef struct st_hdf5_reading {
    const st_hdf5_set *set;
    const st_hdf5_question *asked;
    hid_t from;
    hid_t type;                           /* in memory */
    uint64_t items, values;               /* values of an item */
    size_t value_bytes, step, step_bytes; /* items at a time */
    unsigned char *buffer;
} st_hdf5_reading;

/* Its cache holds what one item touches, so that no chunk is unpacked twice. */
hid_t st_hdf5_open_set(const st_hdf5_listing *in, const st_hdf5_set *set);
/* False after an answer was given. */
bool st_hdf5_begin(st_hdf5_reading *out, const st_hdf5_listing *in, const st_hdf5_question *asked, hid_t type,
                   size_t value_bytes);
/* Items first .. first + count - 1 into the buffer; false after an answer was given. */
bool st_hdf5_read_step(st_hdf5_reading *of, uint64_t first, size_t count);
size_t st_hdf5_step_at(const st_hdf5_reading *of, uint64_t first); /* how many */
void st_hdf5_end(st_hdf5_reading *of);

/* A child's main: opens the library and the file, answers questions until the parent ends. */
_Noreturn void st_hdf5_serve(void (*answer)(st_hdf5_listing *in, const st_hdf5_question *asked));

#endif
