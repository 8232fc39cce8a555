/* Memory for libraries that want malloc's shape, through the one door; the size is kept in front. */
#include <string.h>

#include "data/data.h"

enum { BLOCK_HEAD = 64 };

static size_t size_of(const unsigned char *block) {
    size_t whole;
    memcpy(&whole, block, sizeof whole);
    return whole;
}

void *st_block_take(size_t bytes) {
    size_t whole = 0;
    unsigned char *block = st_size_add(bytes, BLOCK_HEAD, &whole) ? st_sys.allocate(whole) : NULL;
    if (block == NULL) {
        return NULL;
    }
    memset(block, 0, whole);
    memcpy(block, &whole, sizeof whole);
    return block + BLOCK_HEAD;
}

void st_block_give_back(void *memory) {
    if (memory != NULL) {
        unsigned char *block = (unsigned char *)memory - BLOCK_HEAD;
        st_sys.release(block, size_of(block));
    }
}

void *st_block_take_many(size_t count, size_t size) {
    size_t bytes = 0;
    return st_size_mul(count, size, &bytes) ? st_block_take(bytes) : NULL;
}

void *st_block_take_again(void *memory, size_t bytes) {
    void *taken = st_block_take(bytes);
    if (taken != NULL && memory != NULL) {
        size_t before = size_of((unsigned char *)memory - BLOCK_HEAD) - BLOCK_HEAD;
        memcpy(taken, memory, before < bytes ? before : bytes);
        st_block_give_back(memory);
    }
    return taken;
}
