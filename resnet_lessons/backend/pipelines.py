"""How batches come to the model: on TensorFlow by a tf.data pipeline that is not tuned while it runs."""

from resnet_lessons.backend.loading import BACKEND, tf

AHEAD = 2  # batches made while the model computes


def pipeline(batches):
    """Return what Keras's ``fit`` and ``evaluate`` are to be given for batches.

    Keras's own pipeline for a PyDataset has TensorFlow tune it, in a thread that sleeps for twice as long each time, up
    to a minute. When the pipeline ends, after each epoch, that thread is to be woken; in TensorFlow 2.21 it often sees
    too early that nothing has been cancelled yet, sleeps on, and is waited for. There is nothing to tune here.

    Args:
        batches: a keras.utils.PyDataset whose batches are (images, labels).

    Returns:
        On TensorFlow a tf.data.Dataset of the same length, each pass over which is an epoch of ``batches`` and tells
        them so, as Keras does; on JAX the batches as they are.
    """
    if BACKEND != "tensorflow":
        return batches

    def an_epoch():
        batches.on_epoch_begin()
        try:
            for index in range(len(batches)):
                yield batches[index]
        finally:
            batches.on_epoch_end()

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in batches[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    served = tf.data.Dataset.from_generator(an_epoch, output_signature=signature)
    served = served.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return served.prefetch(AHEAD).with_options(options)
