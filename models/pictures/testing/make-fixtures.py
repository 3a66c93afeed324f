"""
Makes models/pictures/fixtures: one small picture in every form that is read, by Pillow (13.0.0), and what Pillow makes of each as a
square of 16 x 16: laid on white, cropped to the middle, each pixel the mean of the area it covers.

Run in models/pictures: python testing/make-fixtures.py
"""
import json, struct, zlib
from base64 import b64encode
from io import BytesIO
from pathlib import Path
import numpy as np
from PIL import Image, ImageOps, ImageDraw

OUT, SIDE = Path('fixtures'), 16
OUT.mkdir(exist_ok=True)


def drawing(width, height, alpha=False):
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 5 + y / 7)], -1).astype(np.uint8)
    image = Image.fromarray(rgb, 'RGB')
    pen = ImageDraw.Draw(image)
    pen.ellipse([width * .1, height * .1, width * .45, height * .6], fill=(230, 40, 30))
    pen.rectangle([width * .6, height * .5, width * .9, height * .95], fill=(20, 60, 200))
    if alpha:
        mask = Image.fromarray((255 * np.clip((x + y) / (width + height) * 1.6 - .3, 0, 1)).astype(np.uint8), 'L')
        image.putalpha(mask)
    return image


def square(image):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16') or image.mode == 'I':
        image = Image.fromarray(np.round(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8), 'L')
    rgba = np.asarray(image.convert('RGBA'), dtype=np.float64)
    alpha = rgba[..., 3:] / 255
    rgb = rgba[..., :3] * alpha + 255 * (1 - alpha)
    height, width = rgb.shape[:2]
    edge = min(width, height)

    def weights(length):
        matrix, start = np.zeros((SIDE, length)), (length - edge) / 2
        for i in range(SIDE):
            a, b = start + i * edge / SIDE, start + (i + 1) * edge / SIDE
            for k in range(length): matrix[i, k] = max(0, min(b, k + 1) - max(a, k)) / (b - a)
        return matrix
    mean = np.einsum('ij,jkc,lk->ilc', weights(height), rgb, weights(width))
    return np.round(np.round(mean, 9)).astype(np.uint8)


expected = {}


def keep(name, image, tolerance=0, **options):
    buffer = BytesIO()
    image.save(buffer, name.rsplit('.', 1)[1].replace('jpg', 'jpeg'), **options)
    keep_bytes(name, buffer.getvalue(), tolerance)


def keep_bytes(name, content, tolerance=0, like=None):
    (OUT / name).write_bytes(content)
    opened = Image.open(BytesIO(content)) if like is None else like
    pixels = square(opened)
    shown = ImageOps.exif_transpose(opened)
    expected[name] = {'width': shown.width, 'height': shown.height, 'tolerance': tolerance, 'pixels': b64encode(pixels.tobytes()).decode()}


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, interlace=0, extra=b''):
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, interlace)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra + chunk(b'IDAT', zlib.compress(rows, 9)) + chunk(b'IEND', b'')


def interlaced(array):
    """array [h, w, c] uint8 as Adam7's seven filtered passes."""
    rows = b''
    for left, top, right, down in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = array[top::down, left::right]
        if part.size: rows += b''.join(b'\0' + row.tobytes() for row in part)
    return rows


plain, clear = drawing(41, 30), drawing(30, 41, alpha=True)
keep('rgb.png', plain)
keep('rgba.png', clear)
keep('grey.png', plain.convert('L'))
keep('grey-alpha.png', clear.convert('LA'))
keep('bits.png', plain.convert('1'))
keep('palette-4-bits.png', plain.quantize(13), bits=4)
keep('palette.png', plain.quantize(200))
keep('palette-clear.png', plain.quantize(40), transparency=bytes(range(0, 240, 6)))
keep('rgb-clear-colour.png', drawing(20, 20).point(lambda v: v // 64 * 64), transparency=(64, 64, 128))
keep('small.png', drawing(5, 3))
wide = np.asarray(plain.convert('L'), dtype=np.uint16) * 200 + 77
keep('grey-16-bits.png', Image.fromarray(wide))
rgb16 = np.asarray(plain, dtype=np.uint16) * 251 + 13
keep_bytes('rgb-16-bits.png', png(41, 30, 16, 2, b''.join(b'\0' + r.astype('>u2').tobytes() for r in rgb16)),
           like=Image.fromarray(np.round(rgb16 / 257).astype(np.uint8)))
keep_bytes('interlaced.png', png(30, 41, 8, 6, interlaced(np.asarray(clear)), interlace=1))

# Other programs' jpg transforms and upsampling differ in the last bits.
keep('444.jpg', plain, 3, quality=92, subsampling=0)
keep('420.jpg', plain, 6, quality=92, subsampling=2)
keep('422.jpg', plain, 6, quality=80, subsampling=1)
keep('grey.jpg', plain.convert('L'), 3, quality=90)
keep('progressive.jpg', plain, 6, quality=85, progressive=True)
keep('cmyk.jpg', plain.convert('CMYK'), 4, quality=92)
keep('restart.jpg', plain, 6, quality=85, restart_marker_blocks=2)
keep('restart-grey.jpg', plain.convert('L'), 3, quality=85, restart_marker_blocks=4)
# Read at an eighth: each target pixel is 4.6 blocks wide, so edges as sharp as these are off where they cross one.
keep('large.jpg', drawing(512, 611), 18, quality=60)
keep('large-progressive.jpg', drawing(611, 523), 18, quality=60, progressive=True)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112], exif[0x010f] = orientation, 'Secret Camera'
    keep(f'turned-{orientation}.jpg', drawing(40, 24), 6, quality=75, exif=exif)

keep('lossy.webp', plain, quality=80)
keep('lossless.webp', clear, lossless=True, exact=True)
keep('lossy-alpha.webp', clear, quality=60)

frames = [drawing(16, 16), drawing(16, 16).rotate(90)]
frames[0].save(OUT / 'animated.png', save_all=True, append_images=frames[1:])
frames[0].save(OUT / 'animated.webp', save_all=True, append_images=frames[1:])
frames[0].save(OUT / 'picture.gif')
frames[0].save(OUT / 'picture.bmp')
frames[0].save(OUT / 'picture.avif')
(OUT / 'expected.json').write_text(json.dumps(expected, indent=1) + '\n')
