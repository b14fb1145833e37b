"""Gradients of models, and compiled functions of tensors."""

import contextlib

from resnet_lessons.backend.loading import BACKEND, jax, tf

import keras


def gradients(model, x, y, loss):
    """Return the loss of one batch in training mode, and its gradient for each trainable weight.

    The model is left as it was, moving statistics included. Weight decay and other penalties are not part of the loss.

    Args:
        model: a built keras.Model.
        x: inputs, (B, ...).
        y: labels, as ``loss`` takes them.
        loss: a function (y, outputs) -> scalar or per-example losses; their mean is differentiated.

    Returns:
        The loss, a float, and a list of arrays in the order of ``model.trainable_variables``.
    """
    value, gradient = (_tensorflow_gradients if BACKEND == "tensorflow" else _jax_gradients)(model, x, y, loss)
    return float(value), [keras.ops.convert_to_numpy(g) for g in gradient]


@contextlib.contextmanager
def _put_back(model):
    """Give a model back the moving statistics, and the state of dropout, that it had before."""
    before = [v.numpy() for v in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, saved in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(saved)


def _tensorflow_gradients(model, x, y, loss):
    with _put_back(model), tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(y, model(x, training=True)))
    weights = [v.value for v in model.trainable_variables]
    return value, tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax_gradients(model, x, y, loss):
    state = [v.value for v in model.non_trainable_variables]

    def value(trainable):
        outputs, _ = model.stateless_call(trainable, state, x, training=True)
        return keras.ops.mean(loss(y, outputs))

    return jax.value_and_grad(value)([v.value for v in model.trainable_variables])


def pull_back(model, x, upstream, *, training=True):
    """Return ``upstream`` times the Jacobian of the model's output by its input, as an array.

    If ``upstream`` is the gradient of a loss by the output, this is its gradient by the input. The model is left as it
    was, moving statistics included.

    Args:
        model: a built keras.Model of one input and one output.
        x: its input, (B, ...).
        upstream: an array in the shape of its output.
        training: the mode; in training mode a batch norm's statistics depend on the input too.

    Returns:
        An array in the shape of ``x``.

    Raises:
        ValueError: for an ``upstream`` of another shape than the output.
    """
    x, upstream = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(upstream)
    pulled = (_tensorflow_pull_back if BACKEND == "tensorflow" else _jax_pull_back)(model, x, upstream, training)
    return keras.ops.convert_to_numpy(pulled)


def _tensorflow_pull_back(model, x, upstream, training):
    with _put_back(model), tf.GradientTape() as tape:
        tape.watch(x)
        output = model(x, training=training)
    _check_upstream(upstream, output)
    return tape.gradient(output, x, output_gradients=upstream)


def _jax_pull_back(model, x, upstream, training):
    weights, state = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    output, pull = jax.vjp(lambda inputs: model.stateless_call(weights, state, inputs, training=training)[0], x)
    _check_upstream(upstream, output)
    return pull(upstream)[0]


def _check_upstream(upstream, output):
    received, allowed = tuple(upstream.shape), tuple(output.shape)
    if received != allowed:
        raise ValueError(f"upstream must have the shape of the model's output, {allowed}. Received: {received}.")


def compiled(function, *examples):
    """Return ``function`` of tensors, compiled for arguments like ``examples``.

    It must be pure: a model inside it is called by ``stateless_call``, which takes the weights as arguments. XLA is for
    JAX alone: on a processor it makes TensorFlow's convolutions slower.

    Args:
        function: of tensors, or lists of them; it returns tensors.
        examples: arguments of the shapes and dtypes that it will be given.
    """
    if BACKEND == "jax":
        return jax.jit(function)
    # Traced here, once: tf.function counts its tracings by line of code, and warns at the fifth slice of a lesson.
    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), examples)
    return tf.function(function, autograph=False).get_concrete_function(*specs)
