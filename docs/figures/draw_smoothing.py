"""Draw digits at five levels of smoothing: ``python docs/figures/draw_smoothing.py RUN [PICTURE]``.

RUN is the folder of a noise-conditioned model of images, as the study of ``docs/results/images.md`` trains them. The
rows are draws of its mixture with one seed, so that their codes are the same: smoothing 0, .25, .5, 1 and 2, from the
top.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from grammar_rae import ImageModel

SMOOTHINGS = (0.0, 0.25, 0.5, 1.0, 2.0)
MANY, SCALE, SEED = 16, 2, 0
PICTURE = Path(__file__).with_name("noise-conditioned-digits.png")


def main(run: Path, picture: Path) -> None:
    """Draw, and lay the rows below each other, dark on light."""
    model = ImageModel.load(run)
    rows = [np.concatenate(model.sample(MANY, smoothing=one, seed=SEED)[:, 0], axis=1) for one in SMOOTHINGS]
    pixels = np.rint(255 * (1 - np.concatenate(rows, axis=0))).astype(np.uint8)
    sheet = Image.fromarray(pixels)
    sheet.resize((SCALE * sheet.width, SCALE * sheet.height), Image.Resampling.BICUBIC).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURE)
