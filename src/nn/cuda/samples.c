/* Training samples, drawn into the inputs before a run. */
#include "gpu.h"

/* *p has room for so many bytes afterwards; what was there is lost. */
static bool make_room(void **p, size_t *room, size_t bytes, lk_error *err) {
    if (*p && bytes <= *room) return true;
    lk_gpu_deallocate(*p);
    *room = bytes;
    return (*p = lk_gpu_allocate(bytes, err)) != NULL;
}

static bool take_in(lk_gpu *gpu, int place, lk_gpu_sheet *to, const lk_nn_sample *samples, size_t count,
                    size_t resolution, const void *bytes, size_t size, lk_error *err) {
    size_t spans = count * 2 * resolution * LK_NN_SHAPES * 2;
    return make_room(&to->samples, &to->sample_room, count * sizeof *samples, err) &&
           make_room(&to->bytes, &to->byte_room, size, err) &&
           make_room(&to->spans, &to->span_room, spans * sizeof(int), err) &&
           lk_gpu_ahead_upload(gpu, place, to->samples, samples, count * sizeof *samples, err) &&
           lk_gpu_ahead_upload(gpu, place, to->bytes, bytes, size, err) && lk_gpu_ahead_wait(gpu, place, err);
}

static bool fits(const lk_nn_exec *e, lk_nn_t t, lk_nn_shape wanted) {
    return t >= 0 && t < e->g.tensor_count && e->g.tensors[t].kind == LK_INPUT &&
           lk_same_shape(lk_gpu_shape(e, t), wanted);
}

bool lk_gpu_draw(lk_nn_exec *e, const lk_nn_canvas *canvas, const lk_nn_sample *samples, const void *bytes, size_t size,
                 lk_error *err) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    const lk_nn_t at[4] = {canvas->warped, canvas->target, canvas->mask, canvas->features};
    if (at[2] < 0 || at[2] >= e->g.tensor_count) return lk_fail(err, LK_ERR_USAGE, "samples are drawn with a mask");
    lk_nn_shape mask = lk_gpu_shape(e, at[2]), picture = lk_shape(mask.n, 3, mask.h, mask.h);
    mask = lk_shape(mask.n, 1, mask.h, mask.h);
    for (int i = 0; i < 4; i++)
        if (!fits(e, at[i], i < 2 ? picture : mask) && (i < 3 || at[i] >= 0))
            return lk_fail(err, LK_ERR_USAGE, "samples are drawn into square inputs of one size");
    size_t count = (size_t)mask.n, side = (size_t)mask.h;
    int place = s->sheet;
    lk_gpu_sheet *sheet = &s->sheets[place];
    s->sheet = !place;
    if (!take_in(s->gpu, place, sheet, samples, count, side, bytes, size, err)) return false;
    lk_samples_args a = {.samples = sheet->samples,
                         .bytes = sheet->bytes,
                         .spans = sheet->spans,
                         .warped = lk_gpu_ref_of(e, at[0]),
                         .target = lk_gpu_ref_of(e, at[1]),
                         .mask = lk_gpu_ref_of(e, at[2]),
                         .resolution = (uint32_t)side};
    if (at[3] >= 0) a.features = lk_gpu_ref_of(e, at[3]);
    for (int i = 0; i < 4; i++)
        if (at[i] >= 0) s->drawn[at[i]] = true;
    return lk_gpu_sample_spans(s->gpu, &a, count * 2 * side, err) &&
           lk_gpu_samples(s->gpu, &a, count * side * side, err) && lk_gpu_ahead_used(s->gpu, place, err);
}

void lk_gpu_sheet_free(lk_gpu_sheet *s) {
    lk_gpu_deallocate(s->samples);
    lk_gpu_deallocate(s->bytes);
    lk_gpu_deallocate(s->spans);
}
