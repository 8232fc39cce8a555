/* Writing zip archives of stored members, as PyTorch writes its own: checksum and sizes follow the bytes, and a field
 * of padding ('FB') in the header lets the bytes begin at a round place. No zip64: 4 GiB at most. */
#include <string.h>
#include <zlib.h>

#include "formats/table.h"
#include "formats/zip.h"

enum {
    HEADER_BYTES = 30,
    ENTRY_BYTES = 46,
    END_BYTES = 22,
    DESCRIPTOR_BYTES = 16,
    FLAGS = 1 << 3 | 1 << 11, /* the sizes follow the bytes; names are UTF-8 */
    FIRST_DAY = 1 << 5 | 1,   /* 1 January 1980: no time, so that the same weights make the same file */
    PADDING_FIELD = 0x4246,   /* "FB" */
    MOST_MEMBERS = 0xFFFE,
    MOST_ALIGNMENT = 64
};

static void put(unsigned char *bytes, size_t at, size_t size, uint64_t value) {
    st_stored_put(bytes + at, size, value);
}

static strata_status write_bytes(st_zip_writer *zip, const void *bytes, size_t count, strata_error *err) {
    ST_FAIL_IF(count > UINT32_MAX - zip->at, err, STRATA_UNSUPPORTED,
               "PyTorch files of more than 4 GiB are not written");
    zip->at += count;
    return st_writer_add(zip->writer, bytes, count, err);
}

strata_status st_zip_begin(st_zip_writer *zip, const char *name, size_t alignment, strata_error *err) {
    unsigned char header[HEADER_BYTES] = {0}, padding[4 + MOST_ALIGNMENT];
    size_t length = strlen(name);
    char *copy = NULL;
    ST_FAIL_IF(length > ST_ZIP_LONGEST_NAME || alignment > MOST_ALIGNMENT, err, STRATA_INVALID,
               "no member of an archive: '%.64s'", name);
    ST_FAIL_IF(zip->count == MOST_MEMBERS, err, STRATA_UNSUPPORTED, "more than %d tensors in a PyTorch file",
               MOST_MEMBERS);
    ST_TRY(st_format_grow(&zip->members, zip->count, sizeof *zip->members, zip->arena, err));
    ST_TRY(st_arena_text(&copy, zip->arena, name, length, err));
    zip->members[zip->count++] = (st_zip_member){.name = copy, .header = zip->at};
    size_t extra = 4 + (alignment - (zip->at + HEADER_BYTES + length + 4) % alignment) % alignment;
    put(header, 0, 4, 0x04034b50u);
    put(header, 4, 2, 10); /* version needed: 1.0 */
    put(header, 6, 2, FLAGS);
    put(header, 12, 2, FIRST_DAY);
    put(header, 26, 2, length);
    put(header, 28, 2, extra);
    memset(padding, 'Z', sizeof padding);
    put(padding, 0, 2, PADDING_FIELD);
    put(padding, 2, 2, extra - 4);
    ST_TRY(write_bytes(zip, header, sizeof header, err));
    ST_TRY(write_bytes(zip, name, length, err));
    return write_bytes(zip, padding, extra, err);
}

strata_status st_zip_add(st_zip_writer *zip, const void *bytes, size_t count, strata_error *err) {
    st_zip_member *member = &zip->members[zip->count - 1];
    ST_TRY(write_bytes(zip, bytes, count, err));
    member->checksum = (uint32_t)crc32_z(member->checksum, bytes, count);
    member->size += count;
    return STRATA_OK;
}

strata_status st_zip_end(st_zip_writer *zip, strata_error *err) {
    const st_zip_member *member = &zip->members[zip->count - 1];
    unsigned char descriptor[DESCRIPTOR_BYTES];
    put(descriptor, 0, 4, 0x08074b50u);
    put(descriptor, 4, 4, member->checksum);
    put(descriptor, 8, 4, member->size);
    put(descriptor, 12, 4, member->size);
    return write_bytes(zip, descriptor, sizeof descriptor, err);
}

strata_status st_zip_finish(st_zip_writer *zip, strata_error *err) {
    uint64_t start = zip->at;
    for (size_t i = 0; i < zip->count; i++) {
        const st_zip_member *member = &zip->members[i];
        unsigned char entry[ENTRY_BYTES] = {0};
        put(entry, 0, 4, 0x02014b50u);
        put(entry, 4, 2, 10);
        put(entry, 6, 2, 10);
        put(entry, 8, 2, FLAGS);
        put(entry, 14, 2, FIRST_DAY);
        put(entry, 16, 4, member->checksum);
        put(entry, 20, 4, member->size);
        put(entry, 24, 4, member->size);
        put(entry, 28, 2, strlen(member->name));
        put(entry, 42, 4, member->header);
        ST_TRY(write_bytes(zip, entry, sizeof entry, err));
        ST_TRY(write_bytes(zip, member->name, strlen(member->name), err));
    }
    unsigned char end[END_BYTES] = {0};
    put(end, 0, 4, 0x06054b50u);
    put(end, 8, 2, zip->count);
    put(end, 10, 2, zip->count);
    put(end, 12, 4, zip->at - start);
    put(end, 16, 4, start);
    return write_bytes(zip, end, sizeof end, err);
}
