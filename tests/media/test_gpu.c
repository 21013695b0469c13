/* NVDEC and NVENC, as far as they can be proven where there is no GPU: the processor steps in, and the frames are the same; what
 * a GPU would hand down becomes what the processor would have given, by ffmpeg's word; the encoder's options are those of this
 * FFmpeg. */
#include "clips.h"

#include "encoder.h"

#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>

static char line[600];
static int lines;

static void keep(lk_log_level level, const char *text, void *user) {
    (void)user;
    if (level != LK_LOG_WARN) return;
    snprintf(line, sizeof line, "%s", text);
    lines++;
}

#define TIMES  "ffprobe -v error -select_streams v -show_entries frame=pts_time,pkt_duration_time -of csv=p=0 $f"
#define PIXELS "ffmpeg -v error -i $f -map 0:v -f framemd5 - | grep -v '^#' | sed 's/.*,//'"

/* ---- NVDEC ------------------------------------------------------------------------------------------------------ */

static void make_clip(const char *folder) {
    ffmpeg(folder,
           "-f lavfi -i testsrc2=size=96x64:rate=30000/1001:duration=1 -c:v libx264 -bf 3 -g 12 -pix_fmt yuv420p "
           "in.mp4");
}

/* With a GPU, by it. */
static void asked_for_nvdec_frames_are_the_same(void **state) {
    (void)state;
    char *folder = test_folder();
    make_clip(folder);
    lk_log_to(keep, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(copy_video(folder, "in.mp4", "out.mp4", &(lk_reader_options){.nvdec = true},
                                    &(lk_writer_options){.lossless = true, .preset = "ultrafast"}),
                         30);
    lk_log_to(NULL, NULL);
    assert_same_output(folder, TIMES, "in.mp4", "out.mp4");
    assert_same_output(folder, PIXELS, "in.mp4", "out.mp4");
    if (!lk_cuda_device()) {
        assert_int_equal(lines, 1);
        assert_non_null(strstr(line, "no NVDEC: FFmpeg finds no NVIDIA GPU"));
    }
    test_remove_folder(folder);
}

static void assert_same_frames(const lk_frame *a, const lk_frame *b) {
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->duration, b->duration);
    assert_true(a->av->pts == b->av->pts);
    for (int p = 0; p < 3; p++)
        for (int y = 0; y < (p ? 32 : 64); y++)
            assert_memory_equal(a->av->data[p] + y * a->av->linesize[p], b->av->data[p] + y * b->av->linesize[p],
                                p ? 48 : 96);
}

/* A frame that does not come from the GPU is what all of its failures look like: libavcodec has taken the work back. */
static void where_a_gpu_fails_the_processor_goes_on(void **state) {
    (void)state;
    static const int failures[] = {0, 1, 17, 29, 30};
    char *folder = test_folder(), *path = lk_path_join(folder, "in.mp4", NULL);
    lk_error err = {0};
    make_clip(folder);
    lk_log_to(keep, NULL);
    for (size_t i = 0; i < LK_COUNT(failures); i++) {
        lk_decoder plain, other;
        test_ok(lk_decoder_open(&plain, path, 1, false, &err) && lk_decoder_open(&other, path, 2, false, &err), &err);
        for (int n = 0; n <= 30; n++) {
            if (n == failures[i]) other.nvdec = true;
            lk_frame *a = lk_decoder_next(&plain, &err), *b = lk_decoder_next(&other, &err);
            assert_int_equal(err.code, LK_OK);
            assert_int_equal(!a, n == 30);
            assert_int_equal(!b, n == 30);
            if (a && b) assert_same_frames(a, b);
            lk_frame_free(a);
            lk_frame_free(b);
        }
        if (failures[i] < 30) assert_non_null(strstr(line, "in.mp4: NVDEC fails at frame "));
        lk_decoder_close(&plain);
        lk_decoder_close(&other);
    }
    lk_log_to(NULL, NULL);
    free(path);
    test_remove_folder(folder);
}

static void which_decoders_and_formats_a_gpu_gets(void **state) {
    (void)state;
    const AVCodec *h264 = lk_nvdec_find(AV_CODEC_ID_H264);
    assert_non_null(h264);
    assert_string_equal(h264->name, "h264");
    const AVCodec *av1 = lk_nvdec_find(AV_CODEC_ID_AV1);
    if (av1) assert_null(av1->wrapper_name);
    assert_null(lk_nvdec_find(AV_CODEC_ID_FFV1));
    AVCodecContext *c = avcodec_alloc_context3(h264);
    AVBufferRef *gpu = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
    assert_true(c && gpu && lk_nvdec_attach(c, gpu));
    static const enum AVPixelFormat given[][5] = {
        {AV_PIX_FMT_VAAPI, AV_PIX_FMT_CUDA, AV_PIX_FMT_VDPAU, AV_PIX_FMT_YUV420P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_VAAPI, AV_PIX_FMT_VDPAU, AV_PIX_FMT_YUV420P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_YUV420P9, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_GRAY8, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_CUDA, AV_PIX_FMT_GBRP, AV_PIX_FMT_NONE},
    };
    static const enum AVPixelFormat taken[] = {AV_PIX_FMT_CUDA,     AV_PIX_FMT_YUV420P, AV_PIX_FMT_CUDA,
                                               AV_PIX_FMT_CUDA,     AV_PIX_FMT_CUDA,    AV_PIX_FMT_YUVJ422P,
                                               AV_PIX_FMT_YUV420P9, AV_PIX_FMT_GRAY8,   AV_PIX_FMT_GBRP};
    for (size_t i = 0; i < LK_COUNT(given); i++) assert_int_equal(c->get_format(c, given[i]), taken[i]);
    avcodec_free_context(&c);
    av_buffer_unref(&gpu);
}

/* ---- What a GPU hands down ---------------------------------------------------------------------------------------- */

enum { WIDTH = 194, HEIGHT = 130 };

/* Bytes of a file of raw video as a frame. */
static AVFrame *raw_frame(const char *folder, const char *name, enum AVPixelFormat format) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, NULL);
    void *data;
    size_t size;
    test_ok(lk_file_read(path, LK_MIB(1), &data, &size, &err), &err);
    AVFrame *av = lk_av_frame(format, WIDTH, HEIGHT, NULL, &err);
    test_ok(av != NULL, &err);
    const uint8_t *at = data;
    for (int p = 0; p < av_pix_fmt_count_planes(format); p++) {
        int bytes = av_image_get_linesize(format, WIDTH, p);
        int rows = p ? AV_CEIL_RSHIFT(HEIGHT, av_pix_fmt_desc_get(format)->log2_chroma_h) : HEIGHT;
        for (int y = 0; y < rows; y++, at += bytes)
            memcpy(av->data[p] + (ptrdiff_t)y * av->linesize[p], at, (size_t)bytes);
    }
    assert_true(at == (const uint8_t *)data + size);
    free(data);
    free(path);
    return av;
}

static void assert_same_pixels(const AVFrame *a, const AVFrame *b) {
    assert_int_equal(a->format, b->format);
    for (int p = 0; p < av_pix_fmt_count_planes(a->format); p++) {
        int bytes = av_image_get_linesize(a->format, WIDTH, p);
        int rows = p ? AV_CEIL_RSHIFT(HEIGHT, av_pix_fmt_desc_get(a->format)->log2_chroma_h) : HEIGHT;
        for (int y = 0; y < rows; y++)
            assert_memory_equal(a->data[p] + y * a->linesize[p], b->data[p] + y * b->linesize[p], bytes);
    }
}

/* A picture in one format, a.raw, and what ffmpeg makes of that in another, b.raw. */
static void make_both(const char *folder, enum AVPixelFormat a, enum AVPixelFormat b) {
    char command[400];
    snprintf(command, sizeof command,
             "-filter_complex 'testsrc2=size=%dx%d:duration=0.04,format=%s,split[a][b]' -map '[a]' -f rawvideo a.raw "
             "-map '[b]' -pix_fmt %s -f rawvideo b.raw",
             WIDTH, HEIGHT, av_get_pix_fmt_name(a), av_get_pix_fmt_name(b));
    ffmpeg(folder, command);
}

/* ffmpeg packs planes as a GPU gives them; back they must be what they were. */
static void samples_come_back_from_packed_formats(void **state) {
    (void)state;
    static const struct {
        enum AVPixelFormat plain, packed;
    } pairs[] = {{AV_PIX_FMT_YUV420P, AV_PIX_FMT_NV12},        {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_NV12},
                 {AV_PIX_FMT_YUV420P10, AV_PIX_FMT_P010},      {AV_PIX_FMT_YUV420P12, AV_PIX_FMT_P016},
                 {AV_PIX_FMT_YUV444P10, AV_PIX_FMT_YUV444P16}, {AV_PIX_FMT_YUV444P12, AV_PIX_FMT_YUV444P16},
                 {AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV444P}};
    char *folder = test_folder();
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(pairs); i++) {
        bool full = pairs[i].plain == AV_PIX_FMT_YUVJ420P; /* the same bytes by another name */
        make_both(folder, full ? AV_PIX_FMT_YUV420P : pairs[i].plain, pairs[i].packed);
        AVFrame *want = raw_frame(folder, "a.raw", pairs[i].plain),
                *given = raw_frame(folder, "b.raw", pairs[i].packed);
        given->pts = 7;
        given->color_range = AVCOL_RANGE_JPEG;
        given->colorspace = AVCOL_SPC_BT2020_NCL;
        AVFrame *got = lk_av_planes(given, pairs[i].plain, &err);
        test_ok(got != NULL, &err);
        assert_same_pixels(got, want);
        assert_true(got->pts == 7 && got->color_range == AVCOL_RANGE_JPEG && got->colorspace == AVCOL_SPC_BT2020_NCL);
        av_frame_free(&want);
        av_frame_free(&given);
        av_frame_free(&got);
    }
    AVFrame *given = lk_av_frame(AV_PIX_FMT_NV12, 32, 32, NULL, &err);
    static const enum AVPixelFormat wrong[] = {AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV444P, AV_PIX_FMT_GRAY8,
                                               AV_PIX_FMT_NONE};
    for (size_t i = 0; i < LK_COUNT(wrong); i++) assert_null(lk_av_planes(given, wrong[i], &err));
    av_frame_free(&given);
    test_remove_folder(folder);
}

/* Some decoders of the processor pack pixels, too: theirs become what ffmpeg makes of them. */
static void packed_formats_become_planar(void **state) {
    (void)state;
    static const enum AVPixelFormat formats[][2] = {
        {AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P},   {AV_PIX_FMT_NV21, AV_PIX_FMT_YUV420P},
        {AV_PIX_FMT_NV24, AV_PIX_FMT_YUV444P},   {AV_PIX_FMT_P010, AV_PIX_FMT_YUV420P10},
        {AV_PIX_FMT_P016, AV_PIX_FMT_YUV420P16}, {AV_PIX_FMT_P210, AV_PIX_FMT_YUV422P10}};
    char *folder = test_folder();
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(formats); i++) {
        make_both(folder, formats[i][0], formats[i][1]);
        AVFrame *want = raw_frame(folder, "b.raw", formats[i][1]);
        lk_frame got = {.av = raw_frame(folder, "a.raw", formats[i][0])};
        test_ok(lk_frame_normalize(&got, &err), &err);
        assert_same_pixels(got.av, want);
        av_frame_free(&want);
        av_frame_free(&got.av);
    }
    test_remove_folder(folder);
}

/* RGB of a frame from the GPU, by us and by ffmpeg from the same bytes. */
static void colours_of_packed_frames(void **state) {
    (void)state;
    static const struct {
        enum AVPixelFormat packed, plain;
        int space, range;
        const char *matrix, *said;
    } cases[] = {{AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED, "bt601", "tv"},
                 {AV_PIX_FMT_NV12, AV_PIX_FMT_YUVJ420P, AVCOL_SPC_BT709, AVCOL_RANGE_JPEG, "bt709", "pc"},
                 {AV_PIX_FMT_P010, AV_PIX_FMT_YUV420P10, AVCOL_SPC_BT2020_NCL, AVCOL_RANGE_MPEG, "bt2020", "tv"}};
    char *folder = test_folder(), command[500];
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        snprintf(command, sizeof command,
                 "-f lavfi -i gradients=size=%dx%d:n=4:seed=7:duration=0.04 -pix_fmt %s -f rawvideo in.raw", WIDTH,
                 HEIGHT, av_get_pix_fmt_name(cases[i].packed));
        ffmpeg(folder, command);
        snprintf(command, sizeof command,
                 "-f rawvideo -video_size %dx%d -pix_fmt %s -i in.raw -vf scale=in_color_matrix=%s:in_range=%s:"
                 "flags=neighbor+accurate_rnd+full_chroma_int,format=rgb24 -f rawvideo out.raw",
                 WIDTH, HEIGHT, av_get_pix_fmt_name(cases[i].packed), cases[i].matrix, cases[i].said);
        ffmpeg(folder, command);
        AVFrame *want = raw_frame(folder, "out.raw", AV_PIX_FMT_RGB24),
                *given = raw_frame(folder, "in.raw", cases[i].packed);
        given->colorspace = cases[i].space;
        given->color_range = cases[i].range;
        lk_frame f = {.av = lk_av_planes(given, cases[i].plain, &err)};
        lk_image rgb;
        test_ok(f.av && lk_frame_normalize(&f, &err) &&
                    lk_frame_rgb(&f, (lk_rect){0, 0, WIDTH, HEIGHT}, LK_U8, &rgb, &err),
                &err);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < 3 * WIDTH; x++) {
                int ours = lk_row_u8(&rgb, y)[x], theirs = want->data[0][y * want->linesize[0] + x];
                if (abs(ours - theirs) > 2) fail_msg("%d, not %d, at %d, %d", ours, theirs, x / 3, y);
            }
        lk_image_free(&rgb);
        av_frame_free(&f.av);
        av_frame_free(&want);
        av_frame_free(&given);
    }
    test_remove_folder(folder);
}

/* ---- NVENC ------------------------------------------------------------------------------------------------------ */

static void without_a_gpu_nvenc_says_so(void **state) {
    (void)state;
    if (lk_cuda_device() || !avcodec_find_encoder_by_name("h264_nvenc")) skip();
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL);
    lk_error err = {0};
    test_ok(lk_file_write(path, "old", 3, &err), &err);
    static const char *const codecs[] = {"h264_nvenc", "hevc_nvenc"};
    for (size_t i = 0; i < LK_COUNT(codecs); i++) {
        assert_null(lk_writer_open(path, NULL, &(lk_writer_options){.codec = codecs[i], .crf = 18}, &err));
        assert_int_equal(err.code, LK_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "a.mp4: --codec "));
        assert_non_null(strstr(err.message, codecs[i]));
        assert_non_null(strstr(err.message, "needs an NVIDIA GPU with its driver, and FFmpeg finds none; leave"));
        lk_writer_options alpha = {.codec = codecs[i], .crf = 18, .alpha = true};
        assert_null(lk_writer_open(path, NULL, &alpha, &err));
        assert_non_null(strstr(err.message, "has no place for alpha"));
    }
    char *left = output_of("cd '%s' && ls -A && cat a.mp4", folder);
    assert_string_equal(left, "a.mp4\nold");
    free(left);
    free(path);
    test_remove_folder(folder);
}

/* libavcodec takes every option by its name and value, and none is left over. */
static void options_of_nvenc_are_known(void **state) {
    (void)state;
    static const struct {
        lk_writer_options options;
        const char *set[3][2];
    } cases[] = {
        {{.crf = 18}, {{"rc", "vbr"}, {"cq", "18"}, {"b", "0"}}},
        {{.crf = 0, .preset = "p7"}, {{"preset", "p7"}, {"cq", "1"}}},
        {{.lossless = true}, {{"tune", "lossless"}}},
    };
    static const char *const codecs[] = {"h264_nvenc", "hevc_nvenc"};
    for (size_t k = 0; k < LK_COUNT(codecs); k++)
        for (size_t i = 0; i < LK_COUNT(cases); i++) {
            lk_encoder e = {.options = cases[i].options, .av_codec = avcodec_find_encoder_by_name(codecs[k])};
            if (!e.av_codec) skip();
            AVDictionary *d = NULL;
            assert_true(lk_encoder_quality(&e, &d) >= 0);
            for (int s = 0; s < 3 && cases[i].set[s][0]; s++) {
                const AVDictionaryEntry *found = av_dict_get(d, cases[i].set[s][0], NULL, 0);
                assert_non_null(found);
                assert_string_equal(found->value, cases[i].set[s][1]);
            }
            AVCodecContext *c = avcodec_alloc_context3(e.av_codec);
            assert_non_null(c);
            assert_true(av_opt_set_dict2(c, &d, AV_OPT_SEARCH_CHILDREN) >= 0);
            assert_int_equal(av_dict_count(d), 0);
            av_dict_free(&d);
            avcodec_free_context(&c);
        }
}

static void formats_of_nvenc(void **state) {
    (void)state;
    static const struct {
        const char *codec;
        enum AVPixelFormat in;
        int width;
        bool lossless;
        enum AVPixelFormat out;
    } cases[] = {
        {"h264_nvenc", AV_PIX_FMT_YUV420P, 96, false, AV_PIX_FMT_YUV420P},
        {"h264_nvenc", AV_PIX_FMT_YUV420P, 96, true, AV_PIX_FMT_YUV420P},
        {"h264_nvenc", AV_PIX_FMT_YUV420P, 97, false, AV_PIX_FMT_YUV444P},
        {"h264_nvenc", AV_PIX_FMT_YUV420P10, 96, false, AV_PIX_FMT_YUV420P},
        {"hevc_nvenc", AV_PIX_FMT_YUV420P10, 96, false, AV_PIX_FMT_P010},
        {"hevc_nvenc", AV_PIX_FMT_YUV420P12, 96, false, AV_PIX_FMT_P010},
        {"hevc_nvenc", AV_PIX_FMT_YUV422P10, 96, false, AV_PIX_FMT_P010},
        {"hevc_nvenc", AV_PIX_FMT_YUV422P10, 96, true, AV_PIX_FMT_YUV444P16},
        {"hevc_nvenc", AV_PIX_FMT_YUV444P, 96, false, AV_PIX_FMT_YUV444P},
        {"hevc_nvenc", AV_PIX_FMT_YUV444P10, 96, false, AV_PIX_FMT_YUV444P16},
        {"hevc_nvenc", AV_PIX_FMT_RGB24, 96, false, AV_PIX_FMT_YUV420P},
        {"hevc_nvenc", AV_PIX_FMT_RGB24, 96, true, AV_PIX_FMT_GBRP},
        {"hevc_nvenc", AV_PIX_FMT_GBRP10, 96, true, AV_PIX_FMT_GBRP16},
        {"h264_nvenc", AV_PIX_FMT_GRAY8, 96, false, AV_PIX_FMT_YUV420P},
    };
    AVFrame *av = av_frame_alloc();
    assert_non_null(av);
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        lk_encoder e = {.av_codec = avcodec_find_encoder_by_name(cases[i].codec),
                        .options = {.lossless = cases[i].lossless}};
        if (!e.av_codec) break;
        av->format = cases[i].in;
        av->width = cases[i].width;
        av->height = 64;
        enum AVPixelFormat got = lk_encoder_format(&e, av);
        if (got != cases[i].out)
            fail_msg("%s gets %s as %s, not as %s", cases[i].codec, av_get_pix_fmt_name(cases[i].in),
                     av_get_pix_fmt_name(got), av_get_pix_fmt_name(cases[i].out));
        bool listed = false;
        for (const enum AVPixelFormat *p = e.av_codec->pix_fmts; *p != AV_PIX_FMT_NONE; p++) listed |= *p == got;
        assert_true(listed);
    }
    av_frame_free(&av);
}

/* What goes to NVENC in words of 16 bits holds all bits of what came. */
static void deep_frames_go_whole_to_nvenc(void **state) {
    (void)state;
    static const enum AVPixelFormat pairs[][2] = {{AV_PIX_FMT_YUV420P10, AV_PIX_FMT_P010},
                                                  {AV_PIX_FMT_YUV444P10, AV_PIX_FMT_YUV444P16}};
    char *folder = test_folder(), command[300];
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(pairs); i++) {
        snprintf(command, sizeof command,
                 "-f lavfi -i testsrc2=size=%dx%d:duration=0.04 -pix_fmt %s -f rawvideo in.raw", WIDTH, HEIGHT,
                 av_get_pix_fmt_name(pairs[i][0]));
        ffmpeg(folder, command);
        AVFrame *want = raw_frame(folder, "in.raw", pairs[i][0]);
        lk_frame f = {.av = av_frame_clone(want)};
        test_ok(f.av && lk_frame_reformat(&f, pairs[i][1], &err), &err);
        AVFrame *back = lk_av_planes(f.av, pairs[i][0], &err);
        test_ok(back != NULL, &err);
        assert_same_pixels(back, want);
        av_frame_free(&back);
        av_frame_free(&want);
        av_frame_free(&f.av);
    }
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_for_nvdec_frames_are_the_same),
        cmocka_unit_test(where_a_gpu_fails_the_processor_goes_on),
        cmocka_unit_test(which_decoders_and_formats_a_gpu_gets),
        cmocka_unit_test(samples_come_back_from_packed_formats),
        cmocka_unit_test(packed_formats_become_planar),
        cmocka_unit_test(colours_of_packed_frames),
        cmocka_unit_test(without_a_gpu_nvenc_says_so),
        cmocka_unit_test(options_of_nvenc_are_known),
        cmocka_unit_test(formats_of_nvenc),
        cmocka_unit_test(deep_frames_go_whole_to_nvenc),
    };
    return cmocka_run_group_tests_name("media: GPU", tests, NULL, NULL);
}
