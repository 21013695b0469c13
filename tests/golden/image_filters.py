"""Blur, erosion, dilation, Lab, polygons, statistics and sharpness, by OpenCV 4.6 and NumPy.

Each array is a file image_NAME.bin: height, width, channels as int32, then float32 values."""
import sys

import cv2
import numpy as np

OUT = sys.argv[1]


def save(name, array):
    array = np.atleast_2d(np.asarray(array, np.float32))
    if array.ndim == 2:
        array = array[:, :, None]
    with open(f"{OUT}/image_{name}.bin", "wb") as f:
        f.write(np.array(array.shape, np.int32).tobytes())
        f.write(np.ascontiguousarray(array).tobytes())


def lab(rgb):
    """float64 sRGB to CIE L*a*b*, with OpenCV's matrix and white."""
    rgb = np.clip(rgb.astype(np.float64), 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
                             [0.019334, 0.119193, 0.950227]]).T / [0.950456, 1, 1.088754]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    y = xyz[..., 1]
    lightness = np.where(y > 0.008856, 116 * f[..., 1] - 16, 903.3 * y)
    return np.stack([lightness, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def disc(r):
    y, x = np.mgrid[-r:r + 1, -r:r + 1]
    return (x * x + y * y <= r * r).astype(np.uint8)


def inside(polygon, w, h):
    """1 inside, 0 outside, 0.5 within 1/1000 pixel of the outline, by winding angle."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    total, near = np.zeros((h, w)), np.full((h, w), np.inf)
    for a, b in zip(polygon, np.roll(polygon, -1, 0)):
        ax, ay, bx, by = a[0] - x, a[1] - y, b[0] - x, b[1] - y
        total += np.arctan2(ax * by - ay * bx, ax * bx + ay * by)
        t = np.clip(-(ax * (b[0] - a[0]) + ay * (b[1] - a[1])) / ((b - a) ** 2).sum(), 0, 1)
        near = np.minimum(near, np.hypot(ax + t * (b[0] - a[0]), ay + t * (b[1] - a[1])))
    odd = np.round(np.abs(total) / (2 * np.pi)) % 2
    return np.where(near < 1e-3, 0.5, odd)


def main():
    rng = np.random.default_rng(3)
    for c in (1, 3):
        src = rng.random((37, 53, c)).astype(np.float32)
        save(f"blur_src{c}", src)
        for sigma in (0.8, 2.5, 9.0):
            k = 2 * int(np.ceil(3 * sigma)) + 1
            save(f"blur_{int(sigma * 10)}_{c}", cv2.GaussianBlur(src, (k, k), sigma, borderType=cv2.BORDER_REFLECT_101))
    src = rng.random((61, 83)).astype(np.float32)
    src[20:40, 30:60] = 1
    save("disc_src", src)
    for r in (1, 2, 5, 12, 30):
        save(f"erode_{r}", cv2.erode(src, disc(r)))
        save(f"dilate_{r}", cv2.dilate(src, disc(r)))

    levels = np.array([0, 1, 2, 5, 10, 11, 30, 80, 127, 128, 200, 254, 255], np.float32) / 255
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(13 * 13, 13, 3)
    save("lab_rgb", cube)
    save("lab", lab(cube))
    save("lab_cv", cv2.cvtColor(cube, cv2.COLOR_RGB2Lab))
    outside = rng.uniform([0, -60, -60], [100, 60, 60], (40, 30, 3)).astype(np.float32)  # partly beyond sRGB
    save("lab_random", outside)
    save("lab_random_rgb", cv2.cvtColor(outside, cv2.COLOR_Lab2RGB))

    w, h = 64, 48
    for i in range(8):
        points = (rng.random((3 + i, 2)) * [90, 70] - [12, 10]).astype(np.float32)
        if i == 7:
            points = np.round(points)
        save(f"polygon_points{i}", points)
        save(f"polygon{i}", inside(points.astype(np.float64), w, h))
        hull = cv2.convexHull(points)[:, 0].astype(np.float64)
        save(f"hull{i}", inside(hull, w, h))

    picture = rng.random((31, 45, 3)).astype(np.float32)
    mask = np.clip(rng.random((31, 45)) * 1.5 - 0.5, 0, 1).astype(np.float32)
    save("stats_src", picture)
    save("stats_mask", mask)
    rows = []
    for m in (np.ones_like(mask), mask):
        weights = m.astype(np.float64).ravel()
        for c in range(3):
            v = picture[..., c].astype(np.float64).ravel()
            mean = np.average(v, weights=weights)
            rows.append([mean, np.sqrt(np.average((v - mean) ** 2, weights=weights))])
    save("stats", np.array(rows))
    gray = picture.astype(np.float64) @ [0.299, 0.587, 0.114] * 255
    laplacian = cv2.Laplacian(gray, cv2.CV_64F, ksize=1, borderType=cv2.BORDER_REFLECT_101)
    mean = np.average(laplacian, weights=mask)
    save("sharpness", [[laplacian.var(), np.average((laplacian - mean) ** 2, weights=mask)]])


main()
