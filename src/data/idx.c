/* IDX (LeCun, Cortes, Burges, "The MNIST database", section "file formats"): a big-endian head, then the values.
 *
 *     | 0 0 | type: 08 = unsigned byte | rank | one u32 per side | values, last side fastest |
 *
 * Pictures have rank 3 [n][h][w] or 4 [n][h][w][c], labels rank 1 [n]. Plain or gzip, which is seen from the content.
 * Limits: a side of at most 16384 pixels, 4 channels. A plain file is read in place; a packed one is unpacked once. */
#include "data/data.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_RANK = 4, MOST_HEAD = 4 + 4 * MOST_RANK };

/* An open file with its head read and checked; of the rest only the promised size is known. */
typedef struct idx {
    st_file file;
    bool is_gzip;
    int rank;
    uint64_t dims[MOST_RANK];
    uint64_t head_bytes, whole_bytes;
    size_t item_bytes; /* of one picture or label */
} idx;

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The first bytes of the content, at most MOST_HEAD. */
static strata_status read_first(const idx *from, unsigned char bytes[MOST_HEAD], size_t *count, strata_error *err) {
    st_gzip *gzip = NULL;
    if (!from->is_gzip) {
        *count = from->file.length < MOST_HEAD ? (size_t)from->file.length : MOST_HEAD;
        return st_file_at(&from->file, bytes, *count, 0, err);
    }
    ST_TRY(st_gzip_open(&gzip, &from->file, err));
    strata_status status = st_gzip_read(gzip, bytes, MOST_HEAD, count, err);
    st_gzip_close(gzip);
    return status;
}

static strata_status check_magic(const idx *from, uint32_t magic, bool labels, strata_error *err) {
    const char *path = from->file.path;
    int rank = (int)(magic & 0xFFu);
    if (magic >> 8 > 0x08 && magic >> 8 <= 0x0E && rank >= 1 && rank <= MOST_RANK) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "byte 2: found values of type 0x%02x, expected 0x08 (bytes)",
                            magic >> 8);
    }
    if (labels && magic != 0x0801) {
        return st_fail_file(err, STRATA_FORMAT, path, "byte 0: found magic 0x%08x, expected 0x00000801 (labels)",
                            magic);
    }
    if (!labels && magic != 0x0803 && magic != 0x0804) {
        return st_fail_file(err, STRATA_FORMAT, path,
                            "byte 0: found magic 0x%08x, expected 0x00000803 or 0x00000804 (pictures)", magic);
    }
    return STRATA_OK;
}

/* Sides within the limits, the size of a picture and of the whole. */
static strata_status check_sides(idx *from, strata_error *err) {
    static const uint64_t most[MOST_RANK] = {UINT32_MAX, ST_DATA_MOST_SIDE, ST_DATA_MOST_SIDE, ST_DATA_MOST_CHANNELS};
    uint64_t bytes = 1;
    for (int d = 0; d < from->rank; d++) {
        if (from->dims[d] == 0 || from->dims[d] > most[d]) {
            return st_fail_file(err, STRATA_FORMAT, from->file.path,
                                "byte %d: found a side of %llu, expected 1 to %llu", 4 + 4 * d,
                                (unsigned long long)from->dims[d], (unsigned long long)most[d]);
        }
        bytes *= d > 0 ? from->dims[d] : 1; /* at most 2^14 * 2^14 * 2^2 */
    }
    from->item_bytes = (size_t)bytes;
    from->whole_bytes = from->head_bytes + from->dims[0] * bytes; /* below 2^63 */
    return STRATA_OK;
}

static void describe_sides(const idx *from, char out[64]) {
    size_t used = 0;
    for (int d = 0; d < from->rank; d++) {
        int length = snprintf(out + used, 64 - used, d > 0 ? "x%llu" : "%llu", (unsigned long long)from->dims[d]);
        used += length > 0 ? (size_t)length : 0;
    }
}

static strata_status read_head(idx *from, bool labels, strata_error *err) {
    unsigned char bytes[MOST_HEAD] = {0};
    size_t count = 0;
    ST_TRY(read_first(from, bytes, &count, err));
    if (count < 8) {
        return st_fail_file(err, STRATA_FORMAT, from->file.path, "holds %zu bytes, too few for IDX", count);
    }
    ST_TRY(check_magic(from, big_endian(bytes), labels, err));
    from->rank = bytes[3];
    from->head_bytes = 4 + 4 * (uint64_t)from->rank;
    if (count < from->head_bytes) {
        return st_fail_file(err, STRATA_FORMAT, from->file.path, "holds %zu bytes, its head alone has %llu", count,
                            (unsigned long long)from->head_bytes);
    }
    for (int d = 0; d < from->rank; d++) {
        from->dims[d] = big_endian(bytes + 4 + 4 * d);
    }
    ST_TRY(check_sides(from, err));
    if (!from->is_gzip && from->file.length != from->whole_bytes) {
        char sides[64];
        describe_sides(from, sides);
        return st_fail_file(err, STRATA_FORMAT, from->file.path, "holds %llu bytes, its header promises %llu (%s)",
                            (unsigned long long)from->file.length, (unsigned long long)from->whole_bytes, sides);
    }
    return STRATA_OK;
}

static strata_status open_idx(idx *out, const char *path, bool labels, strata_error *err) {
    *out = (idx){.file.descriptor = -1};
    ST_TRY(st_file_open(&out->file, path, err));
    strata_status status = st_gzip_probe(&out->is_gzip, &out->file, err);
    status = status == STRATA_OK ? read_head(out, labels, err) : status;
    if (status != STRATA_OK) {
        st_error_file(err, path);
        st_file_close(&out->file);
    }
    return status;
}

/* Takes the file from `from`. */
static strata_status keep_pictures(st_pictures *out, idx *from, strata_error *err) {
    bool has_channels = from->rank == 4;
    *out = (st_pictures){
        .file = from->file,
        .first = from->head_bytes,
        .count = (size_t)from->dims[0],
        .shape = {(int64_t)from->dims[1], (int64_t)from->dims[2], has_channels ? (int64_t)from->dims[3] : 1},
        .picture_bytes = from->item_bytes};
    from->file.descriptor = -1;
    strata_status status = from->is_gzip ? st_gzip_unpack(out, from->whole_bytes, err) : STRATA_OK;
    if (status != STRATA_OK) {
        st_error_file(err, out->file.path);
        st_pictures_close(out);
    }
    return status;
}

static strata_status unpack_labels(uint8_t *labels, const idx *from, strata_error *err) {
    unsigned char head[MOST_HEAD];
    st_gzip *gzip = NULL;
    size_t got = 0, count = (size_t)from->dims[0];
    ST_TRY(st_gzip_open(&gzip, &from->file, err));
    strata_status status = st_gzip_read(gzip, head, (size_t)from->head_bytes, &got, err);
    status = status == STRATA_OK ? st_gzip_read(gzip, labels, count, &got, err) : status;
    if (status == STRATA_OK && got < count) {
        status =
            st_fail_file(err, STRATA_FORMAT, from->file.path, "unpacked it holds %llu bytes, its header promises %llu",
                         (unsigned long long)(from->head_bytes + got), (unsigned long long)from->whole_bytes);
    }
    status = status == STRATA_OK ? st_gzip_end(gzip, err) : status;
    st_gzip_close(gzip);
    return status;
}

/* One byte each in the file. */
static strata_status keep_labels(const int32_t **out, st_arena *arena, const idx *from, strata_error *err) {
    int32_t *labels = NULL;
    size_t count = (size_t)from->dims[0];
    *out = NULL;
    if (from->is_gzip && count / 1032 > from->file.length) { /* deflate's best ratio */
        return st_fail_file(err, STRATA_FORMAT, from->file.path,
                            "its header promises %zu labels, more than its %llu bytes of gzip can hold", count,
                            (unsigned long long)from->file.length);
    }
    ST_TRY(st_arena_alloc(&labels, arena, count, sizeof *labels, err));
    uint8_t *bytes = (uint8_t *)labels + 3 * count; /* the last quarter: it is overtaken at the last label only */
    ST_TRY(from->is_gzip ? unpack_labels(bytes, from, err)
                         : st_file_at(&from->file, bytes, count, from->head_bytes, err));
    for (size_t i = 0; i < count; i++) {
        labels[i] = bytes[i];
    }
    *out = labels;
    return STRATA_OK;
}

/* ---- one file ---- */

strata_status st_idx_pictures(st_pictures *out, const char *path, strata_error *err) {
    idx from;
    *out = (st_pictures){.file.descriptor = -1};
    ST_TRY(open_idx(&from, path, false, err));
    return keep_pictures(out, &from, err);
}

strata_status st_idx_labels(const int32_t **out, size_t *count, st_arena *arena, const char *path, strata_error *err) {
    idx from;
    *out = NULL;
    ST_TRY(open_idx(&from, path, true, err));
    strata_status status = keep_labels(out, arena, &from, err);
    *count = (size_t)from.dims[0];
    if (status != STRATA_OK) {
        st_error_file(err, path);
    }
    st_file_close(&from.file);
    return status;
}

bool st_idx_probe_file(const char *path) {
    idx from = {.file.descriptor = -1};
    unsigned char bytes[MOST_HEAD] = {0};
    size_t count = 0;
    if (st_file_open(&from.file, path, NULL) != STRATA_OK) {
        return false;
    }
    bool is = st_gzip_probe(&from.is_gzip, &from.file, NULL) == STRATA_OK &&
              read_first(&from, bytes, &count, NULL) == STRATA_OK && count >= 4 && bytes[0] == 0 && bytes[1] == 0 &&
              bytes[2] >= 0x08 && bytes[2] <= 0x0E && bytes[3] >= 1 && bytes[3] <= MOST_RANK;
    st_file_close(&from.file);
    return is;
}

/* ---- a folder with the usual names, or one of its files ---- */

static const struct {
    strata_part part;
    const char *pictures, *labels; /* before the ending */
} usual[] = {
    {STRATA_TRAIN, "train-images", "train-labels"},
    {STRATA_TEST, "t10k-images", "t10k-labels"},
};

/* "-idx3-ubyte" in LeCun's files, ".idx3-ubyte" where the dot was kept; packed or not. */
static const char *const picture_endings[] = {"-idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte", ".idx3-ubyte.gz",
                                              "-idx4-ubyte", "-idx4-ubyte.gz", ".idx4-ubyte", ".idx4-ubyte.gz"};
static const char *const label_endings[] = {"-idx1-ubyte", "-idx1-ubyte.gz", ".idx1-ubyte", ".idx1-ubyte.gz"};

/* The first of the names that is there. */
static bool find_file(char out[256], const char *folder, const char *start, const char *const *endings, size_t count) {
    char name[64];
    struct stat about;
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%s", start, endings[i]);
        if (st_data_join(out, folder, name, NULL) == STRATA_OK && stat(out, &about) == 0) {
            return true;
        }
    }
    return false;
}

static bool find_pictures(char out[256], const char *folder, size_t which) {
    return find_file(out, folder, usual[which].pictures, picture_endings, ST_COUNT_OF(picture_endings));
}

static bool find_labels(char out[256], const char *folder, size_t which) {
    return find_file(out, folder, usual[which].labels, label_endings, ST_COUNT_OF(label_endings));
}

/* Pictures and labels of one part, whose counts are compared before anything is unpacked. */
static strata_status open_pair(st_part_source *out, bool *is_gzip, st_arena *arena, const char *pictures,
                               const char *labels, strata_error *err) {
    idx of_pictures, of_labels;
    char *labels_path = NULL;
    ST_TRY(st_arena_text(&labels_path, arena, labels, strlen(labels), err));
    out->labels_path = labels_path;
    ST_TRY(open_idx(&of_pictures, pictures, false, err));
    strata_status status = open_idx(&of_labels, labels, true, err);
    if (status == STRATA_OK && of_pictures.dims[0] != of_labels.dims[0]) {
        status =
            st_fail_file(err, STRATA_FORMAT, labels, "byte 4: found %llu labels, expected %llu, one a picture of %s",
                         (unsigned long long)of_labels.dims[0], (unsigned long long)of_pictures.dims[0], pictures);
    }
    if (status == STRATA_OK) {
        status = keep_labels(&out->labels, arena, &of_labels, err);
    }
    if (status == STRATA_OK) {
        *is_gzip = *is_gzip || of_pictures.is_gzip || of_labels.is_gzip;
        st_pictures kept;
        status = keep_pictures(&kept, &of_pictures, err);
        status = status == STRATA_OK ? st_pictures_source(out, &kept, arena, err) : status;
    }
    st_file_close(&of_pictures.file); /* both may be taken or closed already */
    st_file_close(&of_labels.file);
    return status;
}

static strata_status open_folder(st_part_source sources[STRATA_PART_COUNT], bool *is_gzip, st_arena *arena,
                                 const char *folder, strata_error *err) {
    char pictures[256], labels[256];
    for (size_t i = 0; i < ST_COUNT_OF(usual); i++) {
        bool has_pictures = find_pictures(pictures, folder, i), has_labels = find_labels(labels, folder, i);
        if (has_pictures != has_labels) {
            return st_fail_file(err, STRATA_MISSING, has_pictures ? pictures : labels,
                                "beside it %s%s is missing (plain or .gz)",
                                has_pictures ? usual[i].labels : usual[i].pictures,
                                has_pictures ? label_endings[0] : picture_endings[0]);
        }
        if (has_pictures) {
            ST_TRY(open_pair(&sources[usual[i].part], is_gzip, arena, pictures, labels, err));
        }
    }
    return STRATA_OK;
}

/* One file of a part: that part alone. */
static strata_status open_file(st_part_source sources[STRATA_PART_COUNT], bool *is_gzip, st_arena *arena,
                               const char *path, strata_error *err) {
    char folder[256], pictures[256], labels[256];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    int length = slash != NULL ? (int)(slash - path) : 0;
    snprintf(folder, sizeof folder, "%.*s%s", length, path, slash == NULL ? "." : length == 0 ? "/" : "");
    for (size_t i = 0; i < ST_COUNT_OF(usual); i++) {
        bool is_pictures = strncmp(name, usual[i].pictures, strlen(usual[i].pictures)) == 0;
        bool is_labels = strncmp(name, usual[i].labels, strlen(usual[i].labels)) == 0;
        if (!is_pictures && !is_labels) {
            continue;
        }
        bool has_pictures = find_pictures(pictures, folder, i), has_labels = find_labels(labels, folder, i);
        if (is_pictures ? !has_labels : !has_pictures) {
            return st_fail_file(err, STRATA_MISSING, path, "beside it %s%s is missing (plain or .gz)",
                                is_pictures ? usual[i].labels : usual[i].pictures,
                                is_pictures ? label_endings[0] : picture_endings[0]);
        }
        return open_pair(&sources[usual[i].part], is_gzip, arena, is_pictures ? path : pictures,
                         is_pictures ? labels : path, err);
    }
    return st_fail_file(err, STRATA_UNSUPPORTED, path,
                        "an IDX file, but its name does not say of what: expected train-images..., train-labels..., "
                        "t10k-images... or t10k-labels...");
}

/* A damaged file with such a name is a damaged IDX file, not an unknown one. */
static bool has_usual_name(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    bool is = false;
    for (size_t i = 0; i < ST_COUNT_OF(usual); i++) {
        is = is || strncmp(name, usual[i].pictures, strlen(usual[i].pictures)) == 0;
        is = is || strncmp(name, usual[i].labels, strlen(usual[i].labels)) == 0;
    }
    return is;
}

static bool probe(const char *path) {
    char found[256];
    if (!st_data_is_folder(path)) {
        return has_usual_name(path) || st_idx_probe_file(path);
    }
    for (size_t i = 0; i < ST_COUNT_OF(usual); i++) {
        if (find_pictures(found, path, i) || find_labels(found, path, i)) {
            return true;
        }
    }
    return false;
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    bool is_gzip = false;
    ST_TRY(st_data_is_folder(path) ? open_folder(out->parts, &is_gzip, arena, path, err)
                                   : open_file(out->parts, &is_gzip, arena, path, err));
    out->text = is_gzip ? "IDX, gzip" : "IDX";
    return STRATA_OK;
}

const st_data_kind st_data_idx = {
    .name = "IDX",
    .expected = "IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., plain or .gz)",
    .probe = probe,
    .open = open_kind,
};
