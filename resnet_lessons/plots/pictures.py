"""Pictures of a data set."""

import numpy as np


def images(ax, pictures, labels=(), columns=10):
    """Draw images in a grid, each under its label.

    Args:
        ax: where to draw.
        pictures: (N, H, W, 3) uint8.
        labels: N strings; none: no labels.
        columns: images a row.

    Returns:
        ``ax``.
    """
    count, height, width, channels = pictures.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = 10 if len(labels) else 2
    canvas = np.full((rows * (height + gap), columns * (width + 2), channels), 255, "uint8")
    for number, picture in enumerate(pictures):
        top, left = (number // columns) * (height + gap) + gap, (number % columns) * (width + 2)
        canvas[top : top + height, left : left + width] = picture
        if len(labels):
            ax.text(left + width / 2, top - 1, labels[number], fontsize=8, ha="center", va="bottom")
    ax.imshow(canvas)
    ax.axis("off")
    return ax
