/* zip archives, as far as PyTorch's files need them: members that are stored, not compressed, so that a value's place
 * in the archive is its place in the file (APPNOTE 6.3.9 of PKWARE, with zip64). Nothing is ever unpacked: members may
 * be compressed, but whoever asks for the bytes of one is refused. Private to formats. */
#ifndef ST_FORMATS_ZIP_H
#define ST_FORMATS_ZIP_H

#include "formats/formats.h"

enum { ST_ZIP_LONGEST_DIRECTORY = 64 << 20, ST_ZIP_LONGEST_NAME = 1024 };

typedef struct st_zip_member {
    const char *name; /* NUL-terminated, UTF-8 */
    uint64_t header;  /* place of its own header in the file */
    uint64_t offset;  /* of its first byte */
    uint64_t size;
    uint64_t packed;   /* bytes that it takes in the file: `size` where it is stored */
    uint32_t checksum; /* CRC-32 */
    uint16_t flags, method;
} st_zip_member;

typedef struct st_zip {
    const st_zip_member *members; /* sorted by name */
    size_t count;
} st_zip;

/* Reads the directory and compares it with every member's own header; members lie apart and inside the file, each name
 * is there once and a plain relative path. Checksums are for st_zip_check. */
strata_status st_zip_read(st_zip *out, const st_file *file, st_arena *arena, strata_error *err);
const st_zip_member *st_zip_find(const st_zip *zip, const char *name); /* NULL: none */
/* Fails where a member is compressed or encrypted. */
strata_status st_zip_is_stored(const st_zip_member *member, const st_file *file, strata_error *err);
/* The bytes of a member, checked, with a NUL behind them; more than `limit` is STRATA_FORMAT. */
strata_status st_zip_take(char **out, const st_zip_member *member, const st_file *file, size_t limit, st_arena *arena,
                          strata_error *err);
/* The checksum of a member whose bytes are not needed now. */
strata_status st_zip_check(const st_zip_member *member, const st_file *file, strata_error *err);

/* ---- writing ---- */

/* An archive being written, member by member. */
typedef struct st_zip_writer {
    st_writer *writer; /* lent */
    st_arena *arena;   /* names and directory */
    st_zip_member *members;
    size_t count;
    uint64_t at; /* bytes written */
} st_zip_writer;

/* Begins a member whose bytes begin at a multiple of `alignment` in the file. */
strata_status st_zip_begin(st_zip_writer *zip, const char *name, size_t alignment, strata_error *err);
strata_status st_zip_add(st_zip_writer *zip, const void *bytes, size_t count, strata_error *err);
strata_status st_zip_end(st_zip_writer *zip, strata_error *err);    /* of the member */
strata_status st_zip_finish(st_zip_writer *zip, strata_error *err); /* the directory; the file is the caller's */

#endif
