/* Values of a data set item by item, and the main of a child that has libhdf5. The library may load no plugins. */
#include "formats/hdf5.h"

#ifdef ST_WITH_HDF5

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "formats/hdf5_child.h"

enum { CACHE_SLOTS = 10007, READ_ONLY = 0 };

/* ---- reading ---- */

hid_t st_hdf5_open_set(const st_hdf5_listing *in, const st_hdf5_set *set) {
    hid_t access = st_libhdf5.H5Pcreate(st_libhdf5.opening_set);
    (void)st_libhdf5.H5Pset_chunk_cache(access, CACHE_SLOTS, (size_t)set->detail + ST_HDF5_PIECE_BYTES, 1.0);
    hid_t from = st_libhdf5.H5Dopen2(in->file, set->name, access);
    (void)st_hdf5_is_done(from);
    (void)st_libhdf5.H5Pclose(access);
    return from;
}

bool st_hdf5_begin(st_hdf5_reading *out, const st_hdf5_listing *in, const st_hdf5_question *asked, hid_t type,
                   size_t value_bytes) {
    const st_hdf5_set *set = &in->sets[asked->set];
    *out = (st_hdf5_reading){.set = set, .asked = asked, .type = type, .value_bytes = value_bytes, .values = 1};
    out->items = set->dims[asked->axis];
    for (uint32_t d = 0; d < set->rank; d++) {
        out->values *= d != asked->axis ? set->dims[d] : 1; /* as a whole it fits 64 bits */
    }
    uint64_t bytes = 0;
    if (out->values == 0 || __builtin_mul_overflow(out->values, (uint64_t)value_bytes, &bytes) ||
        bytes > SIZE_MAX / 2) {
        st_hdf5_say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
        return false;
    }
    out->step = bytes < ST_HDF5_PIECE_BYTES ? (size_t)(ST_HDF5_PIECE_BYTES / bytes) : 1;
    out->step = out->step < out->items ? out->step : (size_t)out->items;
    out->step_bytes = out->step * (size_t)bytes;
    out->buffer = st_sys.allocate(out->step_bytes);
    out->from = out->buffer != NULL ? st_hdf5_open_set(in, set) : -1;
    if (out->buffer == NULL || out->from < 0) {
        st_hdf5_say_trouble(out->buffer == NULL ? ST_HDF5_NO_MEMORY : ST_HDF5_NOT_READ, 0, 0);
        return false;
    }
    return true;
}

void st_hdf5_end(st_hdf5_reading *of) {
    if (of->from > 0) {
        (void)st_libhdf5.H5Dclose(of->from);
    }
    if (of->buffer != NULL) {
        st_sys.release(of->buffer, of->step_bytes);
    }
}

bool st_hdf5_read_step(st_hdf5_reading *of, uint64_t first, size_t count) {
    hsize_t start[ST_HDF5_MOST_RANK] = {0}, sides[ST_HDF5_MOST_RANK] = {0};
    int rank = (int)of->set->rank;
    for (int d = 0; d < rank; d++) {
        sides[d] = of->set->dims[d];
    }
    start[of->asked->axis] = first;
    sides[of->asked->axis] = count;
    hid_t space = st_libhdf5.H5Dget_space(of->from), memory = st_libhdf5.H5Screate_simple(rank, sides, NULL);
    bool is_read = st_libhdf5.H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, sides, NULL) >= 0 &&
                   st_hdf5_is_done(st_libhdf5.H5Dread(of->from, of->type, memory, space, H5P_DEFAULT, of->buffer));
    if (!is_read) {
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, first, 0);
    }
    (void)st_libhdf5.H5Sclose(memory);
    (void)st_libhdf5.H5Sclose(space);
    return is_read;
}

size_t st_hdf5_step_at(const st_hdf5_reading *of, uint64_t first) {
    return of->items - first < of->step ? (size_t)(of->items - first) : of->step;
}

/* ---- the child's main ---- */

/* Through the lent descriptor, and then nothing more can be opened, whatever the file names. */
static bool open_file(st_hdf5_listing *out) {
    char path[32];
    hid_t access = st_libhdf5.H5Pcreate(st_libhdf5.opening_file);
    (void)st_libhdf5.H5PLset_loading_state(0);
    (void)st_libhdf5.H5Pset_fapl_sec2(access);
#if H5_VERSION_GE(1, 10, 7)
    (void)st_libhdf5.H5Pset_file_locking(access, 0, 1);
#endif
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ST_CHILD_FILE);
    off_t bytes = lseek(ST_CHILD_FILE, 0, SEEK_END);
    out->file_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    out->file = st_libhdf5.H5Fopen(path, READ_ONLY, access);
    (void)st_hdf5_is_done(out->file);
    (void)st_libhdf5.H5Pclose(access);
    st_child_seal();
    return out->file >= 0;
}

_Noreturn void st_hdf5_serve(void (*answer)(st_hdf5_listing *in, const st_hdf5_question *asked)) {
    static st_hdf5_set sets[ST_HDF5_MOST_SETS];
    st_hdf5_listing all = {.sets = sets};
    st_hdf5_question asked;
    st_hdf5_answer opened;
    memset(&opened, 0, sizeof opened);
    if (!st_hdf5_load(opened.text)) {
        opened.trouble = ST_HDF5_NO_LIBRARY;
        st_hdf5_say(&opened, NULL);
    } else if (!open_file(&all)) {
        st_hdf5_say_trouble(ST_HDF5_NOT_OPENED, 0, 0);
    } else {
        st_hdf5_say(&opened, NULL);
        while (st_child_listen(&asked, sizeof asked)) {
            answer(&all, &asked);
        }
    }
    st_hdf5_stop();
}

#endif
