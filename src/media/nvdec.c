/* Decoding by the decoder of an NVIDIA GPU (NVDEC), through libavcodec. What it decodes comes down into the computer's
 * memory as the very format that the processor would have given. */
#include "internal.h"

#include <libavutil/hwcontext.h>
#include <pthread.h>

static AVBufferRef *device;

/* Its own context, for the whole process: FFmpeg asks of the CUDA runtime's one how it waits, and refuses it when a network
 * was there first. */
static void open_device(void) {
    if (av_hwdevice_ctx_create(&device, AV_HWDEVICE_TYPE_CUDA, NULL, NULL, 0) < 0) device = NULL;
}

AVBufferRef *lk_cuda_device(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    lk_libav_begin();
    pthread_once(&once, open_device);
    return device;
}

/* libavcodec's own decoder, whose work a GPU may do; not one that wraps another library. */
static bool lends_its_work(const AVCodec *codec) {
    const AVCodecHWConfig *config;
    if (!av_codec_is_decoder(codec) || codec->wrapper_name) return false;
    for (int i = 0; (config = avcodec_get_hw_config(codec, i)) != NULL; i++)
        if (config->device_type == AV_HWDEVICE_TYPE_CUDA && config->pix_fmt == AV_PIX_FMT_CUDA &&
            config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX)
            return true;
    return false;
}

const AVCodec *lk_nvdec_find(enum AVCodecID id) {
    void *at = NULL;
    for (const AVCodec *codec; (codec = av_codec_iterate(&at)) != NULL;)
        if (codec->id == id && lends_its_work(codec)) return codec;
    return NULL;
}

static void tell_missing(void) {
    lk_log(LK_LOG_WARN, "no NVDEC: FFmpeg finds no NVIDIA GPU with its driver; the processor decodes");
}

const AVCodec *lk_nvdec_begin(enum AVCodecID id, const char *path) {
    static pthread_once_t told = PTHREAD_ONCE_INIT;
    if (!lk_cuda_device()) {
        pthread_once(&told, tell_missing);
        return NULL;
    }
    const AVCodec *codec = lk_nvdec_find(id);
    if (!codec) lk_log(LK_LOG_WARN, "%s: NVDEC does not decode %s; the processor does", path, avcodec_get_name(id));
    return codec;
}

/* The formats of which the GPU keeps all: it gives 4:2:2 with half the chroma. */
static bool is_kept(enum AVPixelFormat plain) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(plain);
    if (!d || d->nb_components != 3 || d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_ALPHA)) return false;
    int depth = d->comp[0].depth;
    return d->log2_chroma_w == d->log2_chroma_h && d->log2_chroma_w <= 1 && (depth == 8 || depth == 10 || depth == 12);
}

/* libavcodec offers what the GPU may give first, the processor's format last; and asks again, without the former, when the
 * GPU does not take the video. */
static enum AVPixelFormat choose(AVCodecContext *codec, const enum AVPixelFormat *offered) {
    (void)codec;
    bool cuda = false;
    enum AVPixelFormat plain = AV_PIX_FMT_NONE;
    for (; *offered != AV_PIX_FMT_NONE; offered++) {
        cuda |= *offered == AV_PIX_FMT_CUDA;
        plain = *offered;
    }
    return cuda && is_kept(plain) ? AV_PIX_FMT_CUDA : plain;
}

bool lk_nvdec_attach(AVCodecContext *codec, AVBufferRef *gpu) {
    codec->hw_device_ctx = av_buffer_ref(gpu);
    codec->get_format = choose;
    codec->thread_count = 1; /* the work is the GPU's, and each thread would want surfaces of it */
    /* What is not as it should be is for the processor, which knows better what can be made of it. */
    codec->err_recognition |= AV_EF_EXPLODE;
    return codec->hw_device_ctx != NULL;
}

bool lk_nvdec_download(const AVCodecContext *codec, AVFrame **av, lk_error *err) {
    if ((*av)->format != AV_PIX_FMT_CUDA) return lk_fail(err, LK_ERR_UNSUPPORTED, "the GPU does not take such video");
    if ((*av)->decode_error_flags || (*av)->flags & AV_FRAME_FLAG_CORRUPT)
        return lk_fail(err, LK_ERR_FORMAT, "a frame is damaged");
    AVFrame *down = av_frame_alloc(), *planes = NULL;
    int code = down ? av_hwframe_transfer_data(down, *av, 0) : AVERROR(ENOMEM);
    if (code >= 0) code = av_frame_copy_props(down, *av);
    /* The left and the upper edge, which the GPU does not cut off. */
    if (code >= 0) code = av_frame_apply_cropping(down, AV_FRAME_CROP_UNALIGNED);
    if (code < 0)
        lk_fail_av(err, code, "a frame does not come down from the GPU");
    else
        planes = lk_av_planes(down, codec->sw_pix_fmt, err);
    av_frame_free(&down);
    if (!planes) return false;
    av_frame_free(av);
    *av = planes;
    return true;
}
