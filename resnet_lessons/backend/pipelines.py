"""How batches come to the model: on TensorFlow by a tf.data pipeline that is not tuned while it runs.

Every training and test of ``training`` uses it. docs/performance.md, "Between two epochs", has what it brings.
"""

from resnet_lessons.backend.loading import BACKEND, tf

import keras

AHEAD = 2  # batches made while the model computes


def pipeline(batches):
    """Return what Keras's ``fit`` and ``evaluate`` are to be given for batches.

    Keras's own pipeline for a PyDataset has TensorFlow tune it, in a thread that sleeps for twice as long each time, up
    to a minute. When the pipeline ends, after each epoch, the thread is woken and waited for; in TensorFlow 2.21 it can
    wake before it is noted that it is to stop, and sleeps its whole time. There is nothing to tune here.

    Args:
        batches: a keras.utils.PyDataset with ``at(epoch, index)``, such as ``batches.Batches``; its batches are
            (images, labels), all of one shape but for their number of images. None for no batches.

    Returns:
        On TensorFlow a tf.data.Dataset of the same length, each pass over which is an epoch of ``batches`` and tells
        them so, as Keras does; to be given to Keras with ``shuffle=False``. On JAX the batches as they are. None for
        None.

    Raises:
        TypeError: for anything else.
    """
    if batches is None:
        return None
    if not isinstance(batches, keras.utils.PyDataset) or not hasattr(batches, "at"):
        raise TypeError(
            "batches must be batches.Batches or batches.FreshShapes, such as batches.train_and_validation returns. "
            f"Received: a {type(batches).__name__}."
        )
    if BACKEND != "tensorflow":
        return batches

    def an_epoch():
        batches.on_epoch_begin()
        epoch = batches.epoch
        try:
            for index in range(len(batches)):
                yield batches.at(epoch, index)
        finally:
            batches.on_epoch_end()

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in batches[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    served = tf.data.Dataset.from_generator(an_epoch, output_signature=signature)
    served = served.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return served.prefetch(AHEAD).with_options(options)
