/* Arenas: memory that is freed as a whole. Small requests are cut from chunks of 64 KiB; a request of 16 KiB or more
 * has a chunk of its own, so that big tensors waste nothing. Not thread-safe: one arena belongs to one object. */
#include "base/base.h"

#include <string.h>

typedef struct chunk {
    struct chunk *next;
    size_t bytes, used; /* both with this head */
} chunk;

struct st_arena {
    chunk *open; /* the one that small requests are cut from */
    chunk *full; /* all others */
};

enum { CHUNK_BYTES = 64 << 10, OWN_CHUNK_FROM = 16 << 10, HEAD_BYTES = 64 };
_Static_assert(sizeof(chunk) <= HEAD_BYTES, "the head of a chunk keeps its first block aligned");

strata_status st_arena_create(st_arena **out, strata_error *err) {
    st_arena *arena = st_sys.allocate(sizeof *arena);
    *out = arena;
    ST_FAIL_IF(arena == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", sizeof *arena);
    *arena = (st_arena){.open = NULL, .full = NULL};
    return STRATA_OK;
}

static chunk *add_chunk(chunk **list, size_t bytes) {
    chunk *added = st_sys.allocate(bytes);
    if (added != NULL) {
        *added = (chunk){.next = *list, .bytes = bytes, .used = HEAD_BYTES};
        *list = added;
    }
    return added;
}

/* `bytes` from the open chunk, or NULL when it has not so many left. */
static void *cut(chunk *from, size_t bytes) {
    if (from == NULL) {
        return NULL;
    }
    size_t alignment = bytes >= 64 ? 64 : 16;
    size_t start = (from->used + alignment - 1) & ~(alignment - 1);
    if (start > from->bytes || from->bytes - start < bytes) {
        return NULL;
    }
    from->used = start + bytes;
    return (unsigned char *)from + start;
}

strata_status st_arena_alloc(void *out, st_arena *arena, size_t count, size_t size, strata_error *err) {
    void *block = NULL;
    memcpy(out, &block, sizeof block);
    size_t bytes = 0, whole = 0;
    ST_FAIL_IF(!st_size_mul(count, size, &bytes) || !st_size_add(bytes, HEAD_BYTES, &whole), err, STRATA_MEMORY,
               "no memory for %zu things of %zu bytes", count, size);
    if (bytes >= OWN_CHUNK_FROM) {
        chunk *own = add_chunk(&arena->full, whole);
        block = own != NULL ? (unsigned char *)own + HEAD_BYTES : NULL;
    } else {
        block = cut(arena->open, bytes);
        if (block == NULL) {
            chunk *before = arena->open;
            if (add_chunk(&arena->open, CHUNK_BYTES) != NULL) {
                if (before != NULL) {
                    arena->open->next = NULL;
                    before->next = arena->full;
                    arena->full = before;
                }
                block = cut(arena->open, bytes);
            }
        }
    }
    ST_FAIL_IF(block == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", bytes);
    memset(block, 0, bytes);
    memcpy(out, &block, sizeof block);
    return STRATA_OK;
}

strata_status st_arena_text(char **out, st_arena *arena, const char *text, size_t length, strata_error *err) {
    size_t bytes = 0;
    *out = NULL;
    ST_FAIL_IF(!st_size_add(length, 1, &bytes), err, STRATA_MEMORY, "no memory for a text of %zu bytes", length);
    ST_TRY(st_arena_alloc(out, arena, bytes, 1, err));
    if (length > 0) {
        memcpy(*out, text, length);
    }
    return STRATA_OK;
}

strata_status st_arena_printf(char **out, st_arena *arena, strata_error *err, const char *format, ...) {
    st_text text = {0};
    va_list arguments;
    *out = NULL;
    va_start(arguments, format);
    st_text_add_arguments(&text, format, arguments);
    va_end(arguments);
    strata_status status = text.failed ? st_fail(err, STRATA_MEMORY, "no memory for a text")
                                       : st_arena_text(out, arena, text.bytes, text.length, err);
    st_text_free(&text);
    return status;
}

static void free_chunks(chunk *list) {
    while (list != NULL) {
        chunk *next = list->next;
        st_sys.release(list, list->bytes);
        list = next;
    }
}

void st_arena_free(st_arena *arena) {
    if (arena != NULL) {
        free_chunks(arena->open);
        free_chunks(arena->full);
        st_sys.release(arena, sizeof *arena);
    }
}
