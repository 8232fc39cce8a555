/* gzip (RFC 1952) as a stream, on zlib, and unpacking into an unnamed temporary file. Several members in a row are one
 * content. How much is unpacked is decided by the caller, from the head of the content, before it is unpacked: a small
 * file cannot fill a disk. Not for ZIP archives. */
#include "data/data.h"

#include <string.h>
#include <zlib.h>

enum { PACKED_BYTES = 64 << 10, PIECE_BYTES = 64 << 10 };

/* deflate cannot do better than 1032 to 1. */
enum { BEST_RATIO = 1032 };

struct st_gzip {
    z_stream stream;
    const st_file *file;
    uint64_t taken; /* bytes of the file given to zlib so far */
    uint64_t given; /* bytes of content */
    bool ended;
    unsigned char packed[PACKED_BYTES];
};

/* ---- zlib's memory comes through the one door too; the size is kept in front ---- */

enum { BLOCK_HEAD = 64 };

static void *zlib_allocate(void *user, unsigned items, unsigned size) {
    size_t bytes = 0, whole = 0;
    (void)user;
    if (!st_size_mul(items, size, &bytes) || !st_size_add(bytes, BLOCK_HEAD, &whole)) {
        return NULL;
    }
    unsigned char *block = st_sys.allocate(whole);
    if (block == NULL) {
        return NULL;
    }
    memset(block, 0, whole); /* zlib's tables are read before they are written, which analysers report */
    memcpy(block, &whole, sizeof whole);
    return block + BLOCK_HEAD;
}

static void zlib_release(void *user, void *memory) {
    size_t whole;
    (void)user;
    unsigned char *block = (unsigned char *)memory - BLOCK_HEAD;
    memcpy(&whole, block, sizeof whole);
    st_sys.release(block, whole);
}

strata_status st_gzip_probe(bool *is_gzip, const st_file *file, strata_error *err) {
    unsigned char magic[2] = {0, 0};
    *is_gzip = false;
    if (file->length >= sizeof magic) {
        ST_TRY(st_file_at(file, magic, sizeof magic, 0, err));
        *is_gzip = magic[0] == 0x1F && magic[1] == 0x8B;
    }
    return STRATA_OK;
}

strata_status st_gzip_open(st_gzip **out, const st_file *file, strata_error *err) {
    *out = NULL;
    st_gzip *gzip = st_sys.allocate(sizeof *gzip);
    ST_FAIL_IF(gzip == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", sizeof *gzip);
    memset(gzip, 0, sizeof *gzip);
    gzip->file = file;
    gzip->stream.zalloc = zlib_allocate;
    gzip->stream.zfree = zlib_release;
    if (inflateInit2(&gzip->stream, 15 + 16) != Z_OK) { /* the largest window; gzip only */
        st_sys.release(gzip, sizeof *gzip);
        return st_fail(err, STRATA_MEMORY, "no memory to unpack gzip");
    }
    *out = gzip;
    return STRATA_OK;
}

void st_gzip_close(st_gzip *gzip) {
    if (gzip != NULL) {
        inflateEnd(&gzip->stream);
        st_sys.release(gzip, sizeof *gzip);
    }
}

static unsigned long long place(const st_gzip *gzip) {
    return (unsigned long long)(gzip->taken - gzip->stream.avail_in);
}

/* More of the file for zlib, if it has used up what it had. */
static strata_status refill(st_gzip *gzip, strata_error *err) {
    uint64_t left = gzip->file->length - gzip->taken;
    if (gzip->stream.avail_in > 0 || left == 0) {
        return STRATA_OK;
    }
    size_t step = left < PACKED_BYTES ? (size_t)left : PACKED_BYTES;
    ST_TRY(st_file_at(gzip->file, gzip->packed, step, gzip->taken, err));
    gzip->taken += step;
    gzip->stream.next_in = gzip->packed;
    gzip->stream.avail_in = (unsigned)step;
    return STRATA_OK;
}

/* A member has ended: another follows, or the file ends too. */
static strata_status next_member(st_gzip *gzip, strata_error *err) {
    ST_TRY(refill(gzip, err));
    if (gzip->stream.avail_in == 0) {
        gzip->ended = true;
        return STRATA_OK;
    }
    if (gzip->stream.next_in[0] != 0x1F) {
        return st_fail_file(err, STRATA_FORMAT, gzip->file->path,
                            "byte %llu: %llu bytes of garbage after the gzip data", place(gzip),
                            (unsigned long long)gzip->file->length - place(gzip));
    }
    inflateReset(&gzip->stream);
    return STRATA_OK;
}

strata_status st_gzip_read(st_gzip *gzip, void *out, size_t count, size_t *got, strata_error *err) {
    *got = 0;
    while (*got < count && !gzip->ended) {
        size_t step = count - *got < (1u << 30) ? count - *got : (1u << 30);
        ST_TRY(refill(gzip, err));
        bool at_end = gzip->stream.avail_in == 0;
        gzip->stream.next_out = (unsigned char *)out + *got;
        gzip->stream.avail_out = (unsigned)step;
        int result = inflate(&gzip->stream, Z_NO_FLUSH);
        size_t made = step - gzip->stream.avail_out;
        *got += made;
        gzip->given += made;
        if (result == Z_STREAM_END) {
            ST_TRY(next_member(gzip, err));
        } else if (result == Z_MEM_ERROR) {
            return st_fail(err, STRATA_MEMORY, "no memory to unpack gzip");
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return st_fail_file(err, STRATA_FORMAT, gzip->file->path, "byte %llu: the gzip data is damaged (%s)",
                                place(gzip), gzip->stream.msg != NULL ? gzip->stream.msg : "no dictionary expected");
        } else if (made == 0 && at_end) {
            return st_fail_file(err, STRATA_FORMAT, gzip->file->path,
                                "cut: the file ends at byte %llu, the gzip data does not (%llu bytes unpacked)",
                                (unsigned long long)gzip->file->length, (unsigned long long)gzip->given);
        }
    }
    return STRATA_OK;
}

strata_status st_gzip_end(st_gzip *gzip, strata_error *err) {
    unsigned char one;
    size_t got = 0;
    unsigned long long expected = (unsigned long long)gzip->given;
    ST_TRY(st_gzip_read(gzip, &one, 1, &got, err));
    if (got > 0) {
        return st_fail_file(err, STRATA_FORMAT, gzip->file->path,
                            "unpacked it holds more than the %llu bytes that its header promises", expected);
    }
    return STRATA_OK;
}

/* ---- into a temporary file ---- */

static strata_status unpack_into(st_spill *spill, const st_file *file, uint64_t length, strata_error *err) {
    st_gzip *gzip = NULL;
    unsigned char *piece = st_sys.allocate(PIECE_BYTES);
    ST_FAIL_IF(piece == NULL, err, STRATA_MEMORY, "no memory for %d bytes", PIECE_BYTES);
    strata_status status = st_gzip_open(&gzip, file, err);
    while (status == STRATA_OK && spill->length < length) {
        uint64_t left = length - spill->length;
        size_t want = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, got = 0;
        status = st_gzip_read(gzip, piece, want, &got, err);
        if (status == STRATA_OK && got < want) {
            status =
                st_fail_file(err, STRATA_FORMAT, file->path, "unpacked it holds %llu bytes, its header promises %llu",
                             (unsigned long long)(spill->length + got), (unsigned long long)length);
        }
        status = status == STRATA_OK ? st_spill_add(spill, piece, got, err) : status;
    }
    if (status == STRATA_OK) {
        status = st_gzip_end(gzip, err);
    }
    st_gzip_close(gzip);
    st_sys.release(piece, PIECE_BYTES);
    return status;
}

strata_status st_gzip_unpack(st_pictures *pictures, uint64_t length, strata_error *err) {
    st_file *file = &pictures->file;
    st_spill spill;
    if (length / BEST_RATIO > file->length) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "its header promises %llu bytes, more than its %llu bytes of gzip can hold",
                            (unsigned long long)length, (unsigned long long)file->length);
    }
    ST_TRY(st_spill_begin(&spill, length, err));
    strata_status status = unpack_into(&spill, file, length, err);
    if (status != STRATA_OK) {
        st_spill_free(&spill);
        return status;
    }
    st_file_close(file);
    file->descriptor = spill.descriptor;
    file->length = length;
    pictures->memory = spill.memory;
    pictures->memory_bytes = spill.capacity;
    return STRATA_OK;
}
