/* What data sets a file has, in the child, and which of them are plain: those that hard links lead to, with contiguous,
 * compact or chunked storage in the file itself and no filters but deflate, shuffle and fletcher32. Everything else is
 * listed with the reason. HDF5 file format specification, version 3. */
#include "formats/hdf5.h"

#ifdef ST_WITH_HDF5

#include <stdio.h>
#include <string.h>

#include "formats/hdf5_child.h"

enum { MOST_DEPTH = 4, MOST_LINKS = 1000, MOST_FILTERS = 8 };

/* ---- one ---- */

/* IEEE 754 binary16 in little-endian order. */
static bool is_half(hid_t type) {
    size_t sign = 0, exponent_at = 0, exponent = 0, fraction_at = 0, fraction = 0;
    return st_libhdf5.H5Tget_order(type) == H5T_ORDER_LE &&
           st_libhdf5.H5Tget_fields(type, &sign, &exponent_at, &exponent, &fraction_at, &fraction) >= 0 && sign == 15 &&
           exponent_at == 10 && exponent == 5 && fraction_at == 0 && fraction == 10 &&
           st_libhdf5.H5Tget_ebias(type) == 15;
}

static st_stored find_stored(hid_t type, size_t bytes) {
    if (bytes == 2 && st_libhdf5.H5Tget_class(type) == H5T_FLOAT) {
        return is_half(type) ? ST_STORED_F16 : ST_STORED_COUNT;
    }
    for (int t = 0; t < ST_STORED_COUNT; t++) {
        if (st_libhdf5.stored[t] >= 0 && st_libhdf5.H5Tequal(type, st_libhdf5.stored[t]) > 0) {
            return (st_stored)t;
        }
    }
    return ST_STORED_COUNT;
}

static void describe_type(st_hdf5_set *set, hid_t of) {
    hid_t type = st_libhdf5.H5Dget_type(of);
    size_t bytes = st_libhdf5.H5Tget_size(type);
    set->item_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    switch (st_libhdf5.H5Tget_class(type)) {
    case H5T_INTEGER:
        set->type = bytes == 1 && st_libhdf5.H5Tget_sign(type) == H5T_SGN_NONE ? ST_HDF5_BYTES : ST_HDF5_INTEGERS;
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
    set->stored = (uint32_t)find_stored(type, bytes);
    (void)st_libhdf5.H5Tclose(type);
}

/* Its rank and sides; *all, the number of values. */
static bool describe_sides(st_hdf5_set *set, hid_t of, uint64_t *all) {
    hsize_t dims[H5S_MAX_RANK] = {0};
    hid_t space = st_libhdf5.H5Dget_space(of);
    H5S_class_t kind = st_libhdf5.H5Sget_simple_extent_type(space);
    int rank = st_libhdf5.H5Sget_simple_extent_ndims(space);
    bool is_good = space >= 0 && kind != H5S_NO_CLASS && rank >= 0 && rank <= H5S_MAX_RANK &&
                   (rank == 0 || st_libhdf5.H5Sget_simple_extent_dims(space, dims, NULL) == rank);
    (void)st_libhdf5.H5Sclose(space);
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
    int rank = st_libhdf5.H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
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
    int count = st_libhdf5.H5Pget_nfilters(plist);
    if (count < 0 || count > MOST_FILTERS) {
        set->fault = ST_HDF5_DAMAGED;
        return;
    }
    for (unsigned i = 0; i < (unsigned)count; i++) {
        unsigned flags = 0, values[8], config = 0;
        size_t value_count = ST_COUNT_OF(values);
        char name[2];
        H5Z_filter_t id = st_libhdf5.H5Pget_filter2(plist, i, &flags, &value_count, values, sizeof name, name, &config);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32) {
            set->fault = ST_HDF5_FILTER;
            set->detail = id > 0 ? (uint64_t)id : 0;
        }
    }
}

/* How it is stored, and whether that is plain. */
static void check_storage(st_hdf5_set *set, hid_t of, uint64_t bytes, uint64_t file_bytes) {
    hid_t plist = st_libhdf5.H5Dget_create_plist(of);
    H5D_layout_t layout = st_libhdf5.H5Pget_layout(plist);
    uint64_t stored = st_libhdf5.H5Dget_storage_size(of);
    if (plist < 0 || layout == H5D_LAYOUT_ERROR) {
        set->fault = ST_HDF5_DAMAGED;
    } else if (layout == H5D_VIRTUAL) {
        set->fault = ST_HDF5_VIRTUAL;
    } else if (st_libhdf5.H5Pget_external_count(plist) != 0) {
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
    if (layout == H5D_CONTIGUOUS && set->fault == ST_HDF5_SOUND && bytes > 0 && stored == bytes) {
        set->offset = st_libhdf5.H5Dget_offset(of); /* HADDR_UNDEF is UINT64_MAX */
    }
    set->detail = set->fault == ST_HDF5_SOUND || set->fault == ST_HDF5_BAND ? band : set->detail;
    (void)st_libhdf5.H5Pclose(plist);
}

void st_hdf5_describe_set(st_hdf5_set *set, hid_t of, uint64_t file_bytes) {
    uint64_t all = 0, bytes = 0;
    set->offset = UINT64_MAX;
    describe_type(set, of);
    if (!describe_sides(set, of, &all)) {
        set->fault = ST_HDF5_DAMAGED;
    } else if (set->rank <= ST_HDF5_MOST_RANK) { /* others are never read */
        bool is_small = !__builtin_mul_overflow(all, (uint64_t)set->item_bytes, &bytes);
        check_storage(set, of, is_small ? bytes : UINT64_MAX, file_bytes);
    }
}

/* ---- all ---- */

static void walk(st_hdf5_listing *to, hid_t group, const char *above, int depth);

static void visit(st_hdf5_listing *to, hid_t group, const char *name, const char *path, int depth) {
    H5L_info_t link;
    st_hdf5_set *set = &to->sets[to->count];
    memset(set, 0, sizeof *set);
    memcpy(set->name, path, strlen(path) + 1);
    set->type = ST_HDF5_OTHER;
    if (st_libhdf5.H5Lget_info(group, name, &link, H5P_DEFAULT) < 0) {
        set->fault = ST_HDF5_DAMAGED;
        to->count++;
        return;
    }
    if (link.type != H5L_TYPE_HARD) {
        set->fault = link.type == H5L_TYPE_SOFT ? ST_HDF5_SOFT_LINK : ST_HDF5_EXTERNAL_LINK;
        to->count++;
        return;
    }
    hid_t object = st_libhdf5.H5Oopen(group, name, H5P_DEFAULT);
    H5I_type_t kind = object >= 0 ? st_libhdf5.H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_DATASET) {
        st_hdf5_describe_set(set, object, to->file_bytes);
        to->count++;
    } else if (kind == H5I_GROUP && depth < MOST_DEPTH) {
        walk(to, object, path, depth + 1);
    } else if (object < 0) {
        set->fault = ST_HDF5_DAMAGED;
        to->count++;
    }
    if (object >= 0) {
        (void)st_libhdf5.H5Oclose(object);
    }
}

/* Groups may hold each other in a circle: depth and the number of links end it. */
static void walk(st_hdf5_listing *to, hid_t group, const char *above, int depth) {
    H5G_info_t about;
    if (st_libhdf5.H5Gget_info(group, &about) < 0) {
        return;
    }
    for (hsize_t i = 0; i < about.nlinks && to->links < MOST_LINKS && to->count < ST_HDF5_MOST_SETS; i++) {
        char name[ST_HDF5_NAME_BYTES] = "", path[ST_HDF5_NAME_BYTES];
        ssize_t length =
            st_libhdf5.H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        to->links++;
        int used = snprintf(path, sizeof path, "%s%s%s", above, above[0] != '\0' ? "/" : "", name);
        if (length > 0 && length < (ssize_t)sizeof name && used > 0 && used < (int)sizeof path) {
            visit(to, group, name, path, depth);
        }
    }
}

void st_hdf5_answer_list(st_hdf5_listing *to) {
    hid_t root = st_libhdf5.H5Gopen2(to->file, "/", H5P_DEFAULT);
    if (!st_hdf5_is_done(root)) {
        st_hdf5_say_trouble(ST_HDF5_NOT_OPENED, 0, 0);
        return;
    }
    walk(to, root, "", 0);
    (void)st_libhdf5.H5Oclose(root);
    st_hdf5_say_bytes(to->sets, to->count * sizeof *to->sets, 0);
}

#endif
