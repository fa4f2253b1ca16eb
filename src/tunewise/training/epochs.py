"""How long a training is: its epochs, the steps of one, and when dev is answered meanwhile.

What a forecast needs of a training, without the libraries that train.
"""

import math

EPOCHS = 3
MIN_STEPS = 60
"""Small data gets more epochs, until the optimiser has made this many steps."""
MAX_EPOCHS = 20
STEPS_PER_EPOCH = 100
"""What `batch_tokens` aims at: many small steps learn more from the same rows than few large ones
(docs/results.md)."""
MIN_BATCH, MAX_BATCH = 512, 8192
"""Tokens of a step."""
DEV_POINTS = 3
"""Times in a full training that dev is answered, evenly spaced, the end included."""
EMBEDDING_EPOCHS = 6
"""Of a tuned embedding model."""


def dev_points(epochs: int, times: int = DEV_POINTS) -> list[int]:
    """The epochs after which dev is answered, the last one included.

    Args:
        epochs: of the training.
        times: that dev is answered, where there are as many epochs.
    """
    return sorted({math.ceil(epochs * n / times) for n in range(1, times + 1)})
