# %% [markdown]
# # 01 Degradation
#
# *40 minutes to read and run, 25 more for the exercises. All the training takes about 70 seconds on two cores with
# 16-bit instructions in fast mode, some minutes on old ones; half an hour in full mode (estimated).*
#
# Does a network get better when it gets deeper? This lesson trains a net of 20 layers and one of 56 on the same
# images, by the same recipe, and compares them. You will
#
# - predict how they compare, and measure it;
# - test three explanations, one after the other;
# - build a 56-layer net by hand, weight by weight;
# - change one thing in both nets and measure again.
#
# You should know Python and have trained a small network in Keras. Run the cells from top to bottom with
# <kbd>Shift</kbd>+<kbd>Enter</kbd>.
#
# **Where a number comes from.** Every number in this course is *computed* in a cell above it, *recorded* from a long
# run that ships with the package, or *quoted* from a paper, and the text says which.

# %% [markdown]
# ## 1 Two nets, and your prediction
#
# He et al. (2015, Sec. 4.2) built a family of simple networks for CIFAR-10, images of 32x32 pixels in ten classes.
# One 3x3 convolution comes first. Three stages follow, on feature maps of 32x32, 16x16 and 8x8 pixels with 16, 32 and
# 64 channels. Each stage has *n* pairs of 3x3 convolutions. Then the feature map is averaged, and a dense layer
# classifies. Each convolution is followed by batch norm and a ReLU. The layers with weights are
#
# $$ 1 + 3 \cdot 2n + 1 = 6n + 2 . $$
#
# They call these nets *plain*: each layer feeds the next, and there is no other path.

# %%
from resnet_lessons import widgets

widgets.plain_net_table([3, 5, 7, 9])

# %% [markdown]
# Choose n. A multiply-add is one multiplication and one addition inside a convolution or the classifier; it is the
# unit in which the paper counts work. (Without a running kernel the controls do nothing: the table above holds the
# nets of the paper.)

# %%
widgets.plain_net_picker(n=9)

# %% [markdown]
# Now compare n = 3 and n = 9, that is plain-20 and plain-56. The deep net has three times the parameters. It could
# even *contain* the shallow net, if its other 36 layers let the signal pass.
#
# The *error* is the share of images that a net classifies wrongly, one minus the accuracy. The *training error* is
# that on the images it learns from; we measure it batch by batch, as training goes.
#
# **Predict.** After the same number of updates, which of the two has the lower training error? An update is one step
# of the optimizer, on one batch. Write your guess into the next cell before you go on.

# %%
prediction = None  # "plain-20" or "plain-56"

# %% [markdown]
# ## 2 A plain net in twenty lines
#
# The whole family is one function. A strided convolution halves the feature map where a stage begins. It is padded by
# one pixel on each side. Its windows are then centred on pixels 0, 2, 4, ...; Keras's `padding="same"` would centre
# them on 1, 3, 5, ...

# %%
import keras
from keras import layers


def conv_bn_relu(x, filters, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters)."""
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x)


# %%
def plain_net(n):
    """Build the plain net of 6n+2 layers: (B, 32, 32, 3) to (B, 10) logits."""
    inputs = keras.Input((32, 32, 3))
    x = conv_bn_relu(inputs, 16)
    for stage, filters in enumerate([16, 32, 64]):
        for pair in range(n):
            x = conv_bn_relu(x, filters, stride=2 if stage > 0 and pair == 0 else 1)
            x = conv_bn_relu(x, filters)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


plain_20 = plain_net(3)
f"{plain_20.count_params():,} weights, batch norm's moving statistics included"

# %% [markdown]
# The package has the same nets in `resnet_lessons.models`. Each layer has a name that says where it stands, and batch
# norm runs on a faster kernel. Is it really the same network? Give both the same weights and compare their outputs,
# as they are in use (*inference*) and as they are while training, when batch norm works differently.

# %%
import numpy as np
from resnet_lessons import models

noise = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
packaged = models.plain(20)
packaged.set_weights(plain_20.get_weights())
for training in (False, True):
    same = np.allclose(packaged(noise, training=training), plain_20(noise, training=training), atol=1e-3)
    print("training:" if training else "inference:", "same outputs" if same else "different outputs")
[layer.name for layer in packaged.layers[1:9]]

# %% [markdown]
# From here on we build with `models`.
#
# **Exercise 1** (3 minutes). The other way round: how many pairs a stage has the net with so many layers? Return
# `None` for a depth that no net of the family has. Replace the `...` and run the cell.

# %%
from resnet_lessons import checks


def pairs_of(depth):
    """Return the n of the plain net with this many layers, or None."""
    return ...


checks.pairs_of(pairs_of)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Solve depth = 6n + 2 for n. Which depths give a whole number? Is there a net with n = 0?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pairs_of(depth):
#     n, rest = divmod(depth - 2, 6)
#     return n if n > 0 and rest == 0 else None
# ```
#
# </details>
#
# **Exercise 2** (10 minutes). Count the trainable parameters by hand, as a function of n. Batch norm has two for each
# channel, a scale and a shift. The convolutions have no bias, because batch norm's shift takes its place. The
# classifier has biases.


# %%
def plain_parameters(n):
    """Return how many trainable parameters the plain net with n pairs a stage has."""
    return ...


checks.plain_parameters(plain_parameters)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A 3x3 convolution from C to F channels has 9·C·F weights, and its batch norm 2·F. In stages 2 and 3 the first
# convolution comes from the stage before, so it has half as many channels coming in as going out.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def plain_parameters(n):
#     def conv(channels, filters):
#         return 9 * channels * filters + 2 * filters
#
#     total = conv(3, 16)
#     channels = 16
#     for filters in (16, 32, 64):
#         total += conv(channels, filters) + (2 * n - 1) * conv(filters, filters)
#         channels = filters
#     return total + 64 * 10 + 10
# ```
#
# </details>

# %% [markdown]
# ## 3 Data and recipe
#
# If CIFAR-10 is at hand, we use it. If not, the package draws a stand-in, `shapes10`: images of ten shapes in the
# same format. The next cell says which it is, and so does every plot. Lesson 00 says how to get CIFAR-10.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import data

dataset = data.load("cifar10")
print(dataset.source)
assert dataset.x_train.shape == (50_000, 32, 32, 3)

# %%
from resnet_lessons import plots

first = [np.flatnonzero(dataset.y_train == label)[:2] for label in range(10)]
chosen = np.stack(first, axis=1).ravel()  # (20,): two rows of ten classes
fig, ax = plots.figure(height=2.2)
plots.images(ax, dataset.x_train[chosen], [dataset.class_names[y] for y in dataset.y_train[chosen]])
plots.show(fig, "Twenty training images, two of each class, under their class names.", dataset.title)

# %% [markdown]
# **Figure.** Two training images of each class.
#
# The recipe is fixed before anything runs, and it is the same for all nets of this lesson: stochastic gradient
# descent with momentum, at one rate and for one number of updates. Fast mode makes 56 updates at a rate of 0.03. Full
# mode makes 1,600 at 0.1, with larger batches, and divides the rate by ten after half and after three quarters of
# them, as the paper does in its 64,000.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import recipes

recipe = recipes.for_lesson()
print("mode:", recipes.mode())
for field in ("steps", "batch_size", "learning_rate", "drops", "momentum", "weight_decay", "augment", "validation"):
    print(f"{field:14}{getattr(recipe, field)}")
assert recipe.augment == "pad-crop-flip"
assert recipe.validation > 0

# %% [markdown]
# `steps` counts updates. `drops` are the parts of them after which the rate is divided by ten. `validation` images of
# the training set are held back, the same number from each class. The test set is not touched in this lesson: nothing
# here needs it.
#
# `recipe.lr_at(step)` gives the rate of every update. Here it is for the recipes that lessons and recorded runs use.
# "he2015" is the first paper's, and "short" has its shape in an eighth of the updates. "keras-example" is that of a
# well-known script, and "fast-accuracy" is made for two cores.

# %%
fig, ax = plots.figure(width=8.5)
plots.learning_rates(ax, [recipes.get(name) for name in ("he2015", "short", "keras-example", "fast-accuracy")])
alt = "Learning rate against updates: three recipes go down in steps, fast-accuracy climbs and then falls to near 0."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The learning rate over a run, on a logarithmic scale. The lines of "he2015" and "short" lie on each other:
# the drops of both come after half and three quarters of the updates. "keras-example" uses another optimizer, Adam,
# whose rates cannot be compared with the others'.
#
# One function trains a net. `Batches` shuffles the images, crops and flips each at random, scales the pixels and
# subtracts the mean image. It does so differently in each pass, but reproducibly for a given seed. So all nets see
# the same batches in the same order.

# %%
from resnet_lessons import batches, training
from resnet_lessons.specs import Spec


def train(family, depth, recipe=recipe):
    """Train a net of the family by the recipe, on the data at hand."""
    training_part, held_back = batches.train_and_validation(dataset, recipe, seed=0)
    return training.fit(Spec(family, depth), recipe, training_part, held_back, seed=0)


# %% [markdown]
# ## 4 Train both
#
# The next cell trains plain-20, then plain-56. In fast mode it takes some 25 seconds on two cores.

# %% tags=["nbval-ignore-output"]
runs = {"plain-20": train("plain", 20), "plain-56": train("plain", 56)}
for name, run in runs.items():
    print(f"{name}: {recipe.steps} updates in {run.seconds:.0f} s, {run.precision}")
    assert len(run.step_error) == recipe.steps
    assert np.isfinite(run.step_loss).all()

# %%
fig, ax = plots.figure()
plots.error_curves(ax, runs.items())
alt = "Error against updates for plain-20 and plain-56: a line for the training error, marks for the validation error."
plots.show(fig, alt, dataset.title)

# %% [markdown]
# **Figure.** Training error (lines, a mean over ten updates) and validation error (marks) of the two plain nets while
# they train; 90% is guessing among ten classes. Mind that the scale does not begin at zero.

# %% tags=["nbval-ignore-output"]
final = {name: 100 * run.epochs[-1]["train_error"] for name, run in runs.items()}
for name, error in final.items():
    print(f"{name}: {error:.1f}% training error, mean over the last {recipe.steps_per_epoch} updates")
print(f"Lower: {min(final, key=final.get)}. You predicted: {prediction or 'nothing, yet'}.")
for run in runs.values():
    assert np.isclose(run.epochs[-1]["train_error"], np.mean(run.step_error[-recipe.steps_per_epoch :]), atol=0.01)

# %% [markdown]
# In the runs stored here, the deep net has the *higher* training error. If you predicted plain-56, you are in good
# company: He et al. call it unexpected.
#
# ### What a minute can show, and what it cannot
#
# In fast mode each net has seen 56 batches of 64 images, each image at most once, in a training set of 49,000. It has
# just started. A gap after a minute is **slow optimisation, not yet degradation**. Perhaps the deep net only needs
# more time. To speak of degradation, the training error of the deep net must stay higher when both nets have stopped
# improving.
#
# - **Quoted.** He et al. (2015, Fig. 6, left) trained plain nets of 20, 32, 44 and 56 layers for 64,000 updates. The
#   deeper the net, the higher its training error, to the end. On ImageNet plain-34 has a higher training error than
#   plain-18 throughout (Fig. 4, left), and a higher top-1 validation error: 28.54% against 27.94% (Table 2).
# - **Full mode.** Set the environment variable `RESNET_LESSONS_MODE=full` before you start JupyterLab. Then this
#   lesson makes 1,600 updates, about four and a half passes over the images. The gap is clearer there, but the nets
#   have not stopped improving.
# - **Recorded.** Runs of 8,000 updates ship with the package, of the paper's four depths. Their recipe, "short", has
#   the shape of the paper's in an eighth of its updates: batches of 128, and a rate of 0.1 that falls to a tenth after
#   4,000 updates and again after 6,000.
#
# **Predict.** Is plain-32 nearer to plain-20 or to plain-56? And plain-44?

# %%
from resnet_lessons import results

nets = [Spec("plain", depth) for depth in (20, 32, 44, 56)]
recorded = results.groups(data="cifar10", recipe="short", specs=nets)  # a group is all seeds of one net
fig, ax = plots.figure(width=9)
plots.recorded_curves(ax, [(group.spec.name, group) for group in recorded])
alt = "Recorded training error of plain nets against updates, a line a net; it falls where the rate falls."
plots.show(fig, alt, next((group.data_title for group in recorded), None))

# %% [markdown]
# **Figure.** Recorded training error of the plain nets that ship: over each pass the part of the images that the net
# got wrong while it was learning. It falls when the rate falls, and little after the second time. The legend says how
# many seeds a line is the mean of. One seed has no band, and says nothing of how far another would be from it.

# %%
columns = ["network", "train", "recorded", "recipe", "data"]
results.table(recorded, columns=columns, recorded_only=True, tablefmt="html")

# %% [markdown]
# In brackets stands the number of seeds; of several, the figures are mean ± standard deviation. Both errors are on the
# images of the last column. If that says "JPEG re-encoding", the images have lost detail, and the same net has a
# higher error on them than on the original: the table can be compared with itself, and neither reaches nor misses a
# figure of the paper.
#
# Degradation is a statement about the *training* errors: that of plain-56 stays above that of plain-20 after both
# lines have become flat. The first row and the last say so: 39.9% against 15.6%, means of three seeds *(recorded)*.
# Between them stand 20.7% with 32 layers and 33.1% with 44, one seed each. The seeds of plain-20 lie half a point
# apart, those of plain-56 at 35.0, 40.2 and 44.5%, so one seed of plain-44 does not tell how far it is from plain-56.
# Some of the seeds were trained on another machine than others, and by JAX; what of the spread is due to that, three
# runs cannot say. (A part of the gap may be a late start that the short schedule froze: lesson 09.) What you measure
# in a minute is how the two nets start.
#
# ## 5 The usual suspects
#
# Why should a deeper net train worse? Three explanations come to mind. Each can be tested.
#
# | suspect | what it predicts | what we measure |
# |---|---|---|
# | overfitting | low training error, high validation error | both errors; and training on images that never repeat |
# | vanishing gradients | the kernels get next to no gradient | the gradient's norm, layer by layer |
# | the deep net is too small, or *cannot* do it | no weights of 56 layers match plain-20 | a solution built by hand |
#
# ### Overfitting?
#
# Overfitting means to fit the training images well and new images badly. In the figure above it is the training error
# itself that is high in the deep net. That alone rules out overfitting. In fast mode there is not even a chance to
# overfit, since no image came twice. In full mode images do repeat, and there a second test helps: train on images
# that **never repeat**. `shapes10` draws as many new ones as we like.

# %%
fresh_images, _ = data.shapes10.draw(20, seed=0)
fig, ax = plots.figure(height=1.9)
plots.images(ax, fresh_images)
plots.show(fig, "Twenty drawn images of shapes such as discs, stars and crosses on coloured ground.", "shapes10")

# %% [markdown]
# **Figure.** Twenty images of `shapes10`, one of ten shapes in each, drawn by the package.


# %% tags=["nbval-ignore-output"]
def train_on_fresh(family, depth):
    """Train on shapes10 images, none of which is seen twice."""
    stream = batches.FreshShapes(recipe.batch_size, recipe.steps_per_epoch, seed=0)
    return training.fit(Spec(family, depth), recipe, stream, seed=0)


fresh = {"plain-20": train_on_fresh("plain", 20), "plain-56": train_on_fresh("plain", 56)}
for name, run in fresh.items():
    print(f"{name}: {100 * run.epochs[-1]['train_error']:.1f}% error at the end, {run.seconds:.0f} s")
    assert np.isfinite(run.step_loss).all()

# %%
fig, ax = plots.figure()
plots.error_curves(ax, fresh.items())
plots.show(
    fig, "Training error of plain-20 and plain-56 on shapes10 images that never repeat.", "shapes10, never repeated"
)

# %% [markdown]
# **Figure.** Training error of the two plain nets on images that never repeat. On such a stream every image is new,
# so training error and test error are the same thing, and overfitting is impossible.
#
# In the stored run the deep net is behind here too: it is no better than guessing. After so few updates another seed,
# or another machine, may show it otherwise; full mode gives both nets the time to start. What holds in any case:
# overfitting is impossible here.
#
# **Exercise 3** (5 minutes). Write the diagnosis down as a function. It gets four errors in percent, measured when
# both nets have stopped improving, and says what is the matter with the deep net compared with the shallow one:
# `"degradation"`, `"overfitting"` or `"neither"`. Differences below 1 mean nothing.


# %%
def diagnose(shallow_train, shallow_val, deep_train, deep_val):
    """Return "degradation", "overfitting" or "neither"."""
    return ...


checks.diagnose(diagnose)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Look at the training errors first. If the deep net's is higher, its validation error does not matter any more.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def diagnose(shallow_train, shallow_val, deep_train, deep_val):
#     if deep_train > shallow_train + 1:
#         return "degradation"
#     if deep_val > shallow_val + 1:
#         return "overfitting"
#     return "neither"
# ```
#
# </details>

# %% [markdown]
# ### Vanishing gradients?
#
# In a net without normalisation the signal can shrink from layer to layer on its way forward, and the gradient on its
# way back, until the kernels get next to none. He et al. say (Sec. 4.1) that batch norm prevents this. Let us look:
# the norm of the loss's gradient for every convolution kernel, on one batch, before any training.
#
# To know what vanishing looks like, we also build a net that has it: plain-56 **without** batch norm and with Keras's
# default weights, which are too small for ReLUs. Where the number of channels stays the same, each layer halves the
# mean square of the signal on the way forward, and of the gradient on the way back. A kernel's gradient is a product
# of the two. So it is tiny *everywhere*, not only in the first layers: expect a low, flat line.
#
# **Predict.** And the lines of plain-20 and plain-56? How do their first layers compare with their last?


# %%
def plain_net_without_norm(n):
    """Build a plain net with Keras's default weights and no batch norm."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    for stage, filters in enumerate([16, 32, 64]):
        for number in range(2 * n):
            stride = 2 if stage > 0 and number == 0 else 1
            x = layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


# %%
from resnet_lessons import diagnostics

keras.utils.set_random_seed(0)
_, held_back = batches.train_and_validation(dataset, recipe)
images, labels = (array[:32] for array in held_back[0])  # 32 images, scaled and centred, and their labels

nets = {"plain-20": models.plain(20), "plain-56": models.plain(56), "plain-56 without norm": plain_net_without_norm(9)}
norms = {}
for name, net in nets.items():
    layer_names, norms[name] = diagnostics.gradient_norms(net, images, labels)
    print(f"{name}: {len(norms[name])} convolutions")

# %%
fig, ax = plots.figure()
plots.layer_profile(ax, norms.items(), "gradient norm")
alt = "Gradient norm of each convolution, on a logarithmic scale, from the first layer to the last, for three nets."
plots.show(fig, alt, f"32 images of {dataset.title}, before training")

# %% [markdown]
# **Figure.** Norm of the gradient for each convolution kernel at the start, from the first layer to the last: two
# plain nets with batch norm, and one without, whose gradients vanish.

# %%
print("without norm, all gradients below 1e-6:", norms["plain-56 without norm"].max() < 1e-6)
print("with norm, all gradients above 1e-3:", min(norms["plain-20"].min(), norms["plain-56"].min()) > 1e-3)
print("plain-56, first layer above ten times the last:", norms["plain-56"][0] > 10 * norms["plain-56"][-1])

# %% [markdown]
# Before training the gradients do not vanish. With batch norm the first layers get *more* gradient than the last, in
# plain-56 far more. Is it so after training too? Measure the nets of section 4.

# %% tags=["nbval-ignore-output"]
for name in ("plain-20", "plain-56"):
    _, after = diagnostics.gradient_norms(runs[name].model, images, labels)
    ratios = norms[name][0] / norms[name][-1], after[0] / after[-1]
    print(f"{name}: first over last {ratios[0]:.3g} before training, {ratios[1]:.3g} after; smallest {after.min():.1e}")
    assert after.min() > 1e-5

# %% [markdown]
# Vanishing gradients are not the reason, neither before training nor after it. What plain-56 has at the start is the
# opposite: gradients that *explode* on the way back, by a factor of hundreds to thousands. Yang et al. (2019, arXiv
# 1902.08129) derive such growth, exponential in depth, for wide fully connected nets with batch norm, and report that
# it shrinks drastically after the first updates, as it does here. So "the gradients vanish" is the wrong story for
# these nets. Whether the explosion at the start slows the deep net down is another question, and this lesson does not
# measure it.
#
# ### Is the deep net unable to do it?
#
# Too small it is not: it has 853,018 parameters against 269,722 (computed in section 1). Perhaps 56 layers of this
# kind cannot do what 20 can. They can, and He et al. (Sec. 1) give the argument: take the trained plain-20, and
# insert 36 layers that do nothing. They *say* it. We **build** it.
#
# A layer is convolution, batch norm, ReLU. For all three together to do nothing,
#
# - the convolution has a *Dirac kernel*: one at its centre, from each channel to itself, and zero elsewhere;
# - batch norm in inference computes $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$. It is the identity for
#   $\gamma = 1$, $\beta = 0$, a moving mean $\mu = 0$ and a moving variance $\sigma^2 = 1 - \epsilon$;
# - the ReLU passes what is not negative, and everything that arrives has been through a ReLU before.
#
# **Exercise 4** (7 minutes). Write the Dirac kernel. The code below the exercise needs one too, so do it before you
# read on.


# %%
def dirac_kernel(channels):
    """Return the kernel (3, 3, channels, channels) of a convolution that changes nothing."""
    return ...


checks.dirac_kernel(dirac_kernel)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Start from `np.zeros((3, 3, channels, channels))`. Which of the nine places looks at the pixel itself? What matrix
# maps each channel to itself?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def dirac_kernel(channels):
#     kernel = np.zeros((3, 3, channels, channels))
#     kernel[1, 1] = np.eye(channels)
#     return kernel
# ```
#
# </details>
#
# The layers of the two nets have the same names, as far as plain-20 goes: each stage of plain-20 has blocks 1 to 3,
# each stage of plain-56 blocks 1 to 9. So blocks 4 to 9 are the ones to fill with identities.


# %%
def make_identity(layer, epsilon=1e-5):
    """Set a layer's weights so that it changes nothing in inference."""
    if isinstance(layer, layers.Conv2D):
        kernel = np.zeros(layer.kernel.shape)
        kernel[1, 1] = np.eye(kernel.shape[-1])
        layer.set_weights([kernel])
    elif isinstance(layer, layers.BatchNormalization):
        ones, zeros = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
        layer.set_weights([ones, zeros, zeros, ones - epsilon])  # scale, shift, mean, variance


# %%
trained = models.plain(20)  # in float32, whatever precision it was trained in
trained.set_weights(runs["plain-20"].model.get_weights())

deep = models.plain(56)
shallow_layers = {layer.name: layer for layer in trained.layers}
inserted = [layer for layer in deep.layers if layer.name not in shallow_layers]
for layer in deep.layers:
    if layer in inserted:
        make_identity(layer)
    else:
        layer.set_weights(shallow_layers[layer.name].get_weights())
print("inserted convolutions:", sum(isinstance(layer, layers.Conv2D) for layer in inserted))

# %% [markdown]
# No layer is skipped or replaced: this is `models.plain(56)`, all 56 layers at work. Compare its outputs with those
# of plain-20, in inference.

# %%
logits_20, logits_56 = trained(images), deep(images)
print("56 layers, the same outputs:", np.allclose(logits_20, logits_56, rtol=1e-4, atol=1e-4))

# %% tags=["nbval-ignore-output"]
difference = np.abs(logits_20 - logits_56).max()
print(f"largest difference of a logit: {difference:.1e}; largest logit: {np.abs(logits_20).max():.2f}")
assert difference < 1e-3

# %% [markdown]
# And its error? Count the mistakes of both on a thousand training images.

# %% tags=["nbval-ignore-output"]
some = batches.Batches(dataset.x_train[:1000], dataset.y_train[:1000], 500, mean=held_back.mean)
errors = {}
for name, net in {"plain-20": trained, "56 layers by hand": deep, "plain-56": runs["plain-56"].model}.items():
    wrong = [net.predict(x, verbose=0).argmax(axis=1) != y for x, y in (some[0], some[1])]
    errors[name] = 100 * np.mean(wrong)
    print(f"{name}: {errors[name]:.1f}% wrong")
assert abs(errors["plain-20"] - errors["56 layers by hand"]) < 1

# %% [markdown]
# So a 56-layer net **as good as** plain-20 exists; we are holding it. The deep net is able to do it. From random
# weights, and in as many updates, gradient descent did not get there. He et al. make this very argument. Where it
# lasts to the end of training, they call it the **degradation problem**: a failure not of the model but of the
# optimisation.
#
# ### And in training mode?
#
# **Predict.** What happens to the 56-layer net's outputs if you call it in training mode?

# %%
# Training mode moves the moving statistics, so `deep` and `trained` are of no use after this cell.
in_training, reference = deep(images, training=True), trained(images, training=True)
print("the same outputs in training mode:", np.allclose(reference, in_training, rtol=0.01, atol=0.01))

# %% [markdown]
# In training mode batch norm ignores the moving statistics. It subtracts the mean of the batch and divides by its
# standard deviation. The activations have neither mean 0 nor variance 1, so the inserted layers change them: with
# *these* weights they are the identity in inference only. For training mode each would need other weights: a scale
# equal to the standard deviation of its input, and a shift equal to its mean.
#
# ## 6 The same nets with shortcuts
#
# He et al. *conjecture* that solvers find it hard to make several non-linear layers do nothing. We have not shown
# that. But it suggests a remedy: make doing nothing the *default*. A **shortcut** adds a pair's input to its output,
# and the two convolutions learn only what to add to it. If they add nothing, the pair passes its input on (here
# through one more ReLU, which leaves it as it is).

# %%
fig, axes = plots.figure(2, width=6, height=3.2)
plots.unit_diagram(axes[0], ["conv 3x3", "batch norm, ReLU", "conv 3x3", "batch norm", "ReLU"])
plots.unit_diagram(axes[1], ["conv 3x3", "batch norm, ReLU", "conv 3x3", "batch norm", "+", "ReLU"], shortcut="solid")
axes[0].set_title("plain pair")
axes[1].set_title("residual unit")
alt = "Left: a plain pair of convolutions. Right: the same with an arrow from its input around it to an addition."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** A plain pair, and the residual unit made of it: the shortcut carries x around the two convolutions, and
# the two are added.
#
# The family `"v1"` of the package is the plain family with these shortcuts. Where the dimensions change, the shortcut
# takes every second pixel and fills the missing channels with zeros, so it has no parameters. Lesson 02
# takes it apart.

# %%
from resnet_lessons import accounting

for depth in (20, 56):
    plain, residual = accounting.count(Spec("plain", depth)), accounting.count(Spec("v1", depth))
    print(f"{depth} layers: {plain.parameters:,} parameters plain, {residual.parameters:,} with shortcuts")
    print(f"           {plain.multiply_adds:,} multiply-adds plain, {residual.multiply_adds:,} with shortcuts")

# %% [markdown]
# Before we train them, the gradients again. **Predict.** Will they explode in the 56-layer net with shortcuts as they
# do in plain-56?

# %%
keras.utils.set_random_seed(0)
_, norms["v1-56"] = diagnostics.gradient_norms(models.resnet_v1(56), images, labels)
fig, ax = plots.figure()
plots.layer_profile(ax, [(name, norms[name]) for name in ("plain-56", "v1-56")], "gradient norm")
alt = "Gradient norm of each convolution for plain-56 and for the same net with shortcuts."
plots.show(fig, alt, f"32 images of {dataset.title}, before training")

# %% [markdown]
# **Figure.** Norm of the gradient for each convolution kernel before training: plain-56, and the same net with
# shortcuts.

# %%
growth = {name: norms[name][0] / norms[name][-1] for name in ("plain-56", "v1-56")}
print(
    "growth towards the first layer, plain above ten times that with shortcuts:",
    growth["plain-56"] > 10 * growth["v1-56"],
)

# %% [markdown]
# With shortcuts the gradients neither vanish nor explode. Now train.
#
# **Predict.** Same parameters, same recipe, same batches. Which of the four nets will be best after the same updates,
# and will the residual nets show a gap between 20 and 56?

# %% tags=["nbval-ignore-output"]
runs |= {"v1-20": train("v1", 20), "v1-56": train("v1", 56)}
for name, run in runs.items():
    last = run.epochs[-1]
    print(f"{name:9} training error {100 * last['train_error']:.1f}%, validation {100 * last['val_error']:.1f}%")
    assert np.isfinite(run.step_loss).all()

# %%
fig, axes = plots.figure(2)
for ax, family in zip(axes, ["plain", "v1"], strict=True):
    plots.error_curves(ax, [(name, run) for name, run in runs.items() if name.startswith(family)])
    ax.set_title({"plain": "plain nets", "v1": "the same with shortcuts"}[family])
alt = "Left: error of plain-20 and plain-56 against updates. Right: the same for the nets with shortcuts."
plots.show(fig, alt, dataset.title)

# %% [markdown]
# **Figure.** Left the plain nets of section 4, right the same nets with shortcuts, by the same recipe.

# %% tags=["nbval-ignore-output"]
counted = recipe.steps_per_epoch * recipe.batch_size
for family in ("plain", "v1"):
    shallow, deeper = (100 * runs[f"{family}-{depth}"].epochs[-1]["train_error"] for depth in (20, 56))
    print(f"{family}: 20 layers {shallow:.1f}%, 56 layers {deeper:.1f}%, difference {deeper - shallow:+.1f} points")
    assert max(shallow, deeper) < 90 + 5 * 30 / np.sqrt(counted)  # guessing: 90%, and five standard errors
print(f"Each figure counts {counted:,} images; its standard error is {50 / np.sqrt(counted):.1f} points or less.")

# %% [markdown]
# In the stored run each net with shortcuts is ahead of its plain twin, and the 56-layer one is still behind the
# 20-layer one. Mind the standard error, and that this is one seed: a gap of a few points means nothing. After a
# minute it is no surprise that a deeper net is behind; it needs more updates. At the paper's full length the order
# reverses for residual nets, not for plain nets (*quoted*, He et al. 2015, Fig. 6; Table 6: 8.75% test error with 20
# residual layers, 6.97% with 56).
#
# What a minute supports: at this rate a net with shortcuts starts to learn sooner than its plain twin, with the same
# parameters and the same multiply-adds.
#
# ## 7 Go further
#
# - *10 minutes.* Train the four nets at another rate: `train("v1", 56, dataclasses.replace(recipe,
#   learning_rate=0.1))`, with `import dataclasses`. Guess first which net suffers most. Does the advantage of the
#   shortcuts survive?
# - *10 minutes.* Measure `gradient_norms` of plain nets of 8, 20, 32, 44 and 56 layers before training. How does the
#   ratio of first to last grow with depth?
# - *30 minutes.* Build `deep` again, and give the inserted layers the scale and shift that make them the identity in
#   training mode for one batch. Then train on: `deep.compile(training.SGD(0.01, momentum=0.9),
#   keras.losses.SparseCategoricalCrossentropy(from_logits=True))`, and `deep.train_on_batch(x, y)` for some batches.
#   Does the solution last?
#
# ## 8 Summary
#
# - plain-56 starts to learn more slowly than plain-20: its *training* error is higher *(computed)*. At full length it
#   stays higher *(quoted)*: that is degradation. A minute of training shows only the start; after 8,000 updates it is
#   39.9% against 15.6%, means of three seeds; 32 and 44 layers, one seed each, lie between, in this order
#   *(recorded)*.
# - It is not overfitting: the training error itself is worse, where no image came twice.
# - It is not vanishing gradients: before training the first layers' are larger than the last's, in plain-56 by far,
#   and after it none is near zero.
# - It is not that 56 layers cannot do it: a 56-layer net equal to plain-20 can be built by hand. Gradient descent did
#   not get there in the same number of updates.
# - The same nets with shortcuts, at the same cost, start to learn sooner, and their gradients are nearly even from
#   the first layer to the last.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015. G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein, S. S. Schoenholz, *A Mean Field Theory of Batch
# Normalization*, arXiv 1902.08129, 2019.
