"""Makes `child_image/nas_child/data/digits.npz`, the data set that is built in.

Needs scikit-learn, which nothing else in the project does:

    python tools/make_digits.py

The images are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine
Learning Repository, 1998, CC BY 4.0), as scikit-learn (BSD-3-Clause) ships them: 1,797 digits of 8x8 pixels with values
from 0 to 16, here stretched to the usual 0 to 255. They come without a split into training and test set. The one made
here is fixed: 297 test images, as many of each digit as its share of the data asks for, chosen at random with seed 0.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TARGET = Path(__file__).parent.parent / "child_image" / "nas_child" / "data" / "digits.npz"


def main() -> None:
    """Writes the file."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=297, stratify=labels, random_state=0)
    np.savez_compressed(TARGET, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main()
