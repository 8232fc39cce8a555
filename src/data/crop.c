/* Words that choose which part of the stage picture the net sees, and the mirror.
 *
 * The random part of the paper that brought Inception (Szegedy et al. 2014, "Going deeper with convolutions", section
 * 6): 8% to 100% of the area, sides of 3/4 to 4/3, then resized. */
#include "data/augment.h"

#include <string.h>

/* A window of the net's size into the picture with `border` pixels of fill on each side. */
strata_status st_crop_border(st_canvas *canvas, const strata_picture *from, strata_shape shape, int64_t border,
                             const st_draws *draws, strata_error *err) {
    int64_t channels = shape.channels;
    int64_t room_y = from->shape.height - shape.height + 2 * border;
    int64_t room_x = from->shape.width - shape.width + 2 * border;
    uint64_t bits = st_draw_bits(draws, 0);
    int64_t down = st_draw_below(bits, room_y + 1) - border, right = st_draw_below(bits >> 32, room_x + 1) - border;
    ST_TRY(st_picture_room(canvas->next, shape, err));
    for (int64_t y = 0; y < shape.height; y++) {
        uint8_t *to = canvas->next->pixels + y * shape.width * channels;
        int64_t from_y = y + down, first = right < 0 ? -right : 0, last = from->shape.width - right;
        last = last < shape.width ? last : shape.width;
        bool is_inside = from_y >= 0 && from_y < from->shape.height && first < last;
        first = is_inside ? first : shape.width; /* [first, last) lies inside the picture */
        last = is_inside ? last : shape.width;
        for (int64_t i = 0; i < shape.width; i++) {
            if (i < first || i >= last) {
                memcpy(to + i * channels, canvas->with->fill, (size_t)channels);
            }
        }
        if (first < last) {
            memcpy(to + first * channels, from->pixels + (from_y * from->shape.width + first + right) * channels,
                   (size_t)((last - first) * channels));
        }
    }
    st_canvas_swap(canvas);
    return STRATA_OK;
}

enum { TRIES = 10, DRAWS_A_TRY = 3 };

/* The middle of the picture, with sides that are allowed. */
static st_box middle_of(strata_shape shape) {
    double width = (double)shape.width, height = (double)shape.height;
    width = width > height * 4 / 3 ? height * 4 / 3 : width;
    height = height > width * 4 / 3 ? width * 4 / 3 : height;
    double left = ((double)shape.width - width) / 2, top = ((double)shape.height - height) / 2;
    return (st_box){left, top, left + width, top + height};
}

static st_box draw_part(strata_shape shape, double least_area, const st_draws *draws) {
    const double most = 0.28768207245178093; /* log(4/3) */
    for (uint32_t i = 0; i < TRIES; i++) {
        uint32_t first = i * DRAWS_A_TRY;
        double area = (double)(shape.height * shape.width) * st_draw_between(draws, first, least_area, 1);
        double ratio = st_exp(st_draw_between(draws, first + 1, -most, most));
        int64_t wide = (int64_t)(st_sqrt(area * ratio) + 0.5), high = (int64_t)(st_sqrt(area / ratio) + 0.5);
        if (wide >= 1 && high >= 1 && wide <= shape.width && high <= shape.height) {
            uint64_t bits = st_draw_bits(draws, first + 2);
            int64_t top = st_draw_below(bits, shape.height - high + 1);
            int64_t left = st_draw_below(bits >> 32, shape.width - wide + 1);
            return (st_box){(double)left, (double)top, (double)(left + wide), (double)(top + high)};
        }
    }
    return middle_of(shape);
}

strata_status st_crop_resized(st_canvas *canvas, const strata_picture *from, const st_geometry *geometry,
                              double least_area, const st_draws *draws, strata_error *err) {
    st_box part = draw_part(from->shape, least_area, draws);
    ST_TRY(st_picture_resize_box(canvas->next, from, &part, geometry->out.height, geometry->out.width, geometry->filter,
                                 err));
    st_canvas_swap(canvas);
    return STRATA_OK;
}

void st_crop_mirror(strata_picture *picture) {
    int64_t width = picture->shape.width, channels = picture->shape.channels;
    for (int64_t y = 0; y < picture->shape.height; y++) {
        uint8_t *row = picture->pixels + y * width * channels;
        for (int64_t left = 0, right = width - 1; left < right; left++, right--) {
            for (int64_t c = 0; c < channels; c++) {
                uint8_t kept = row[left * channels + c];
                row[left * channels + c] = row[right * channels + c];
                row[right * channels + c] = kept;
            }
        }
    }
}
