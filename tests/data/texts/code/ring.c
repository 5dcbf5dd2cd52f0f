#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RING_MIN_SIZE 64u

struct ring {
    uint8_t *data;
    size_t size;   /* always a power of two */
    size_t head;
    size_t tail;
};

int ring_init(struct ring *r, size_t size)
{
    size_t rounded = RING_MIN_SIZE;

    while (rounded < size) {
        if (rounded > SIZE_MAX / 2)
            return -EOVERFLOW;
        rounded <<= 1;
    }
    r->data = malloc(rounded);
    if (r->data == NULL)
        return -ENOMEM;
    r->size = rounded;
    r->head = r->tail = 0;
    return 0;
}

size_t ring_write(struct ring *r, const void *src, size_t len)
{
    size_t room = r->size - (r->head - r->tail);
    size_t at = r->head & (r->size - 1);
    size_t first;

    if (len > room)
        len = room;
    first = len < r->size - at ? len : r->size - at;
    memcpy(r->data + at, src, first);
    memcpy(r->data, (const uint8_t *)src + first, len - first);
    r->head += len;
    return len;
}
