"""Optimizers whose weight decay is a term of the gradient, as in the papers.

He et al. 2015, Sec. 4.2. Keras's own ``weight_decay`` shrinks every weight beside the update, batch norm's too, which
is another method.
"""

import resnet_lessons.backend  # noqa: F401 - loads Keras without its start-up messages

import keras


class _GradientDecay:
    """Add ``decay`` times the weight to the gradient of some weights, before the optimizer sees it."""

    def __init__(self, *args, decay=0.0, decay_on="kernels", **kwargs):
        super().__init__(*args, **kwargs)
        if decay_on not in _DECAYS:
            raise ValueError(f"decay_on must be one of {', '.join(map(repr, _DECAYS))}. Received: {decay_on!r}.")
        self.decay, self.decay_on = decay, decay_on

    def build(self, variables):
        """Create the optimizer's state, and note which variables decay."""
        super().build(variables)
        self._decays = [self.decay > 0 and _DECAYS[self.decay_on](variable) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight. On TensorFlow it comes as a tf.Variable, whose name is another one."""
        if self._decays[self._get_variable_index(variable)]:
            gradient = gradient + keras.ops.cast(self.decay, gradient.dtype) * keras.ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Sum gradients over the devices, if there are several. Only Keras on TensorFlow calls this.

        For one device too, Keras would call a function with a gradient of its own; TensorFlow registers that for the
        life of the process, and with it the graph of the update and all its variables, of every net ever trained.
        """
        if self._distribution_strategy.num_replicas_in_sync == 1:
            return list(grads_and_vars)
        return super()._all_reduce_sum_gradients(grads_and_vars)

    def get_config(self):
        """Return what ``__init__`` needs, for saving."""
        return super().get_config() | {"decay": self.decay, "decay_on": self.decay_on}


def _is_kernel(variable):
    return variable.name == "kernel"


def _is_convolution(variable):
    return _is_kernel(variable) and len(variable.shape) == 4  # (height, width, in, out)


_DECAYS = {"kernels": _is_kernel, "convolutions": _is_convolution}


@keras.saving.register_keras_serializable(package="resnet_lessons")
class SGD(_GradientDecay, keras.optimizers.SGD):
    """Gradient descent with momentum whose weight decay is a term of the gradient.

    Args:
        decay: the gradient of a weight w that decays becomes g + decay * w.
        decay_on: "kernels", of convolutions and of the classifier, or "convolutions" alone. Batch norm and biases
            never decay.
        **kwargs: as for keras.optimizers.SGD.
    """


@keras.saving.register_keras_serializable(package="resnet_lessons")
class Adam(_GradientDecay, keras.optimizers.Adam):
    """Adam with the same decay: what an L2 penalty does in the Keras example, half as large a factor there.

    Args:
        decay: as for ``SGD``.
        decay_on: as for ``SGD``.
        **kwargs: as for keras.optimizers.Adam.
    """


def optimizer_for(recipe):
    """Return the optimizer that a ``recipes.Recipe`` asks for."""
    common = {"learning_rate": recipe.lr_at(0), "decay": recipe.weight_decay, "decay_on": recipe.decay_on}
    if recipe.optimizer == "adam":
        return Adam(**common)
    return SGD(**common, momentum=recipe.momentum, nesterov=recipe.nesterov)
