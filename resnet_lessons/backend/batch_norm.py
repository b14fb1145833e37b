"""Batch normalization on TensorFlow's fused kernel."""

from resnet_lessons.backend.loading import BACKEND, tf

import keras


def _fused(inputs, gamma, beta, mean, variance, epsilon, training):
    """Call the fused kernel: (B, H, W, C) in and out; the statistics are float32 of shape (C,)."""
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon, is_training=training
    )


@keras.saving.register_keras_serializable(package="resnet_lessons")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization on TensorFlow's fused kernel, which Keras's own layer does not use.

    Same weights, same results to float tolerance, trains ResNet-20 1.5 to 2 times as fast on a CPU. Inputs that the
    kernel does not take (not four-dimensional, masked, another axis, float64) and other backends go to Keras's own
    layer.
    """

    def build(self, input_shape):
        """Create the weights. Copies of a model on several devices share one batch, and its statistics."""
        super().build(input_shape)
        if BACKEND == "tensorflow" and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            self.synchronized = True

    def call(self, inputs, training=None, mask=None):
        """Normalize ``inputs`` (B, H, W, C) per channel; in training by the batch, updating the moving statistics."""
        if mask is not None or not self._kernel_takes(inputs):
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if training and self.trainable:
            empty = tf.zeros([0])  # the kernel computes the statistics itself
            outputs, mean, variance, *_ = _fused(inputs, gamma, beta, empty, empty, self.epsilon, True)
            self._update_moving_statistics(mean, variance, tf.size(inputs) // tf.shape(inputs)[-1])
            return outputs
        mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
        return _fused(inputs, gamma, beta, mean, variance, self.epsilon, False)[0]

    def _kernel_takes(self, inputs):
        plain = self.scale and self.center and not self.renorm and not self.synchronized
        images = len(inputs.shape) == 4 and self.axis in (-1, 3)
        dtypes = self.variable_dtype == "float32" and self.compute_dtype in ("float32", "bfloat16", "float16")
        return BACKEND == "tensorflow" and plain and images and dtypes

    def _update_moving_statistics(self, mean, variance, samples):
        # The kernel returns the unbiased variance, m/(m-1) times the batch's own that Keras averages.
        m = tf.cast(samples, "float32")
        variance = variance * (m - 1) / m
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
