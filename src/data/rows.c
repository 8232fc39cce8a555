/* Pictures of one size that lie in one file, one after the other: reading them, and as a part of a data set. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"

strata_status st_pictures_read(const st_pictures *pictures, size_t index, size_t count, uint8_t *pixels,
                               strata_error *err) {
    uint64_t place = pictures->first + (uint64_t)index * pictures->picture_bytes; /* the opener saw that both fit */
    size_t bytes = count * pictures->picture_bytes;
    if (pictures->memory != NULL) {
        memcpy(pixels, pictures->memory + place, bytes);
        return STRATA_OK;
    }
    return st_file_at(&pictures->file, pixels, bytes, place, err);
}

void st_pictures_close(st_pictures *pictures) {
    if (pictures->picture_bytes > 0) { /* else nothing was opened */
        st_file_close(&pictures->file);
    }
    if (pictures->memory != NULL) {
        st_sys.release(pictures->memory, pictures->memory_bytes);
    }
    *pictures = (st_pictures){.file.descriptor = -1};
}

/* ---- as a part ---- */

static strata_status read_row(const st_part_source *source, size_t index, st_reader *with, strata_error *err) {
    ST_TRY(st_picture_room(&with->picture, source->shape, err));
    return st_pictures_read(source->state, index, 1, with->picture.pixels, err);
}

static void name_row(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]) {
    const st_pictures *pictures = source->state;
    const char *slash = strrchr(pictures->file.path, '/');
    (void)snprintf(out, ST_DATA_NAME_BYTES, "%.230s:%zu", slash != NULL ? slash + 1 : pictures->file.path, index);
}

static void close_rows(st_part_source *source) {
    st_pictures_close(source->state);
}

strata_status st_pictures_source(st_part_source *out, st_pictures *pictures, st_arena *arena, strata_error *err) {
    static const st_source_calls calls = {.read = read_row, .name = name_row, .close = close_rows};
    st_pictures *own = NULL;
    strata_status status = st_arena_alloc(&own, arena, 1, sizeof *own, err);
    if (status != STRATA_OK) {
        st_pictures_close(pictures);
        return status;
    }
    *own = *pictures;
    pictures->file.descriptor = -1;
    out->calls = &calls;
    out->state = own;
    out->count = own->count;
    out->shape = own->shape;
    out->path = own->file.path;
    return STRATA_OK;
}
