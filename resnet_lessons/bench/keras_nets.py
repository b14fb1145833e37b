"""The contenders that run on Keras: the example as published, this package's training, and a plain matrix product."""

from resnet_lessons import backend, batches, models, recipes, training

import keras


class _Tick(keras.callbacks.Callback):
    """Count the updates of a ``fit``; Keras reads loss and metrics first, so an update that is counted is finished."""

    def __init__(self, turns):
        super().__init__()
        self._turns = turns

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
        self._turns.tick()


def _fit(model, data, turns, **kwargs):
    model.fit(data, epochs=10**6, verbose=0, callbacks=[_Tick(turns)], **kwargs)


def example(contender, settings, turns):
    """Train as ``keras/examples/cifar10_resnet.py`` does: its network, Keras's own layers, its augmentation, Adam."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    turns.facts.update(precision="float32", versions=backend.versions())
    x, y = settings.arrays(contender.batch_size)
    x = x.astype("float32") / 255
    x -= x.mean(axis=0)
    generator = ImageDataGenerator(width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True)
    generator.fit(x)  # computes nothing here, but the script calls it, and it copies the data
    flow = generator.flow(x, keras.utils.to_categorical(y, 10), batch_size=contender.batch_size)
    flow.workers = 4  # the script's own number of threads
    model = stock(models.build(settings.spec("keras-example")))
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"])
    _fit(model, flow, turns)


def stock(model):
    """Return the same network with Keras's own batch norm, and the example's L2 penalty on the convolutions."""

    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Conv2D):
            config["kernel_regularizer"] = keras.regularizers.L2(1e-4)
        kind = keras.layers.BatchNormalization if isinstance(layer, backend.BatchNormalization) else type(layer)
        return kind.from_config(config)

    return keras.models.clone_model(model, clone_function=clone)


def ours(contender, settings, turns):
    """Train as this package does: fused batch norm, the precision of this machine, batches of uint8 images."""
    precision = training.choose_precision(settings.precision)
    turns.facts.update(precision=precision.removeprefix("mixed_"), versions=backend.versions())
    recipe = recipes.get("he2015")
    x, y = settings.arrays(contender.batch_size)
    mean = batches.pixel_mean(x, range(len(x)))
    data = batches.Batches(x, y, contender.batch_size, recipe.augment, seed=0, mean=mean)
    model = training.compile_model(settings.spec(), recipe, 0, precision)
    _fit(model, backend.pipeline(data), turns, shuffle=False)


def matmul(contender, settings, turns):
    """Multiply two square matrices, again and again: what the machine can do at best in this precision."""
    turns.facts.update(precision=contender.precision, versions=backend.versions())
    shape = (settings.matmul, settings.matmul)
    a, b = (keras.ops.cast(keras.random.normal(shape, seed=seed), contender.precision) for seed in (0, 1))
    while True:
        product = keras.ops.matmul(a, b)
        keras.ops.convert_to_numpy(keras.ops.cast(product[0, 0], "float32"))  # waits until it is there
        turns.tick()
