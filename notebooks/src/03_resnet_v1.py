# %% [markdown]
# # 03 ResNet v1 on CIFAR-10
#
# *50 minutes to read and run, 60 more for the exercises. All the training takes about 60 seconds on two cores in
# fast mode, a quarter of an hour in full mode (estimated).*
#
# What turns a residual unit into a trained network, and its test error into a number you may print? This lesson
# assembles the ResNets of He et al. (2015, Sec. 4.2), takes their training recipe apart, and trains one by it. You
# will
#
# - build the family of 6n+2 layers and compare its sizes with the paper's;
# - choose a network, and know beforehand how long it trains on your machine;
# - look at each piece of the recipe: split, mean, augmentation, schedule, decay, order of the layers;
# - train in a folder, stop, go on, and read the test set once;
# - take pieces away and see which of them is missed.
#
# You should have read [lesson 01](01_degradation.ipynb) and [lesson 02](02_residual_blocks.ipynb). Every number is
# *computed* in a cell above it, *recorded* in a run that ships with the package or *quoted* from a paper, and the
# text says which.

# %% [markdown]
# ## 1 From units to a network
#
# A residual unit computes $\mathrm{ReLU}(x + F(x))$, where $F$ is two 3x3 convolutions, each followed by batch
# norm, with a ReLU between them. Where a stage halves the feature map and doubles the channels, x has to follow.
# Shortcut A takes every second pixel and appends channels of zeros, so it has no weights (lesson 02). On a map of
# 4x4 pixels and one channel:

# %%
import numpy as np
from resnet_lessons import blocks

small_map = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
shortcut_a = np.array(blocks.ZeroPadShortcut(filters=2, stride=2)(small_map))  # (1, 2, 2, 2)
print("channel 1:", shortcut_a[0, :, :, 0].tolist(), " channel 2:", shortcut_a[0, :, :, 1].tolist())

# %% [markdown]
# The residual unit of lesson 02 is `blocks.unit` in the package. It takes x and a `blocks.Unit`, which says what
# the unit is made of: its name, its channels (`width`), its stride, its shortcut. A stage is a chain of n such
# units. The first unit of stages 2 and 3 has stride 2, and in every stage after the first the channels double.


# %%
def stage(x, number, n):
    """Chain the n units of stage 1, 2 or 3."""
    for block in range(1, n + 1):
        stride = 2 if number > 1 and block == 1 else 1
        name = f"stage{number}_block{block}"
        unit = blocks.Unit(name, width=16 * 2 ** (number - 1), stride=stride, shortcut="A")
        x = blocks.unit(x, unit)
    return x


# %% [markdown]
# Before the first stage stands one more convolution, and after the last the mean over all pixels and a dense layer.

# %%
import keras
from keras import layers


def resnet(n):
    """Build the residual net of 6n+2 layers: (B, 32, 32, 3) to (B, 10) logits."""
    inputs = keras.Input((32, 32, 3))
    x = blocks.conv(inputs, 16, kernel=3, stride=1, style="paper", name="first_conv")
    x = layers.ReLU()(blocks.batch_norm(x, style="paper", name="first_bn"))
    for number in (1, 2, 3):
        x = stage(x, number, n)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


# %% [markdown]
# Each unit has two convolutions, there are 3n units, and with the first convolution and the dense layer that makes
# 6n+2 layers with weights. It is the package's `models.resnet_v1`: with the same weights it gives the same outputs,
# in use and in training.

# %%
from resnet_lessons import models

noise = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
assembled, packaged = resnet(3), models.resnet_v1(20)
packaged.set_weights(assembled.get_weights())
for training_mode in (False, True):
    outputs = [np.array(net(noise, training=training_mode)) for net in (assembled, packaged)]
    same = np.allclose(*outputs, rtol=1e-3, atol=1e-3)
    print("training:" if training_mode else "inference:", "same outputs" if same else "different outputs")

# %% [markdown]
# From here on we build with `models`. A `Spec` names a network: `Spec("v1", 20)` is the ResNet of the first paper
# with 20 layers with weights. Its drawing, each stage as tall as its feature maps:

# %%
from resnet_lessons import plots
from resnet_lessons.specs import Spec

resnet_20 = Spec("v1", 20)
fig, ax = plots.figure(width=8.5, height=2.2)
plots.network_diagram(ax, resnet_20)
plots.show(fig, plots.network_in_words(resnet_20))

# %% [markdown]
# **Figure.** Of the nine shortcuts of ResNet-20 (arcs) seven carry x itself (solid); only the first of stages 2 and
# 3 has to change its dimensions (dotted).
#
# **Exercise 1** (3 minutes). Write the rule behind the numbers under the stages: the side of the feature map in
# pixels, and the channels.

# %%
from resnet_lessons import checks


def stage_output(stage):
    """Return side and channels of what stage 1, 2 or 3 puts out."""
    return ...


checks.stage_output(stage_output)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Stage 1 keeps the 32 pixels of the image and the 16 channels of the first convolution. Each further stage halves
# the one and doubles the other.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def stage_output(stage):
#     return 32 // 2 ** (stage - 1), 16 * 2 ** (stage - 1)
# ```
#
# </details>
#
# ### Where the parameters are, and where the work is
#
# From stage to stage the channels double, and the side of the feature map halves.
#
# **Predict.** Which of the three stages has the most parameters? Which makes the most multiply-adds (one
# multiplication and one addition in a convolution), or do they all make about as many?
#
# `accounting.account` reads both off a built model, layer by layer. We add them up by the shape of the output.

# %%
from resnet_lessons import accounting

rows = {}
for layer in accounting.account(models.build(resnet_20)).layers:
    if layer.kind == "Conv2D":
        rows.setdefault(layer.output_shape, []).append(layer.count)
for (height, width, channels), counts in rows.items():
    parameters, work = (sum(getattr(c, field) for c in counts) for field in ("parameters", "multiply_adds"))
    shape = f"{height}x{width}x{channels}"
    print(f"{shape:9} {len(counts)} convolutions  {parameters:8,} weights  {work:11,} multiply-adds")

# %% [markdown]
# This is the layer table of the paper (Sec. 4.2): 1+2n layers on maps of 32x32, 2n on 16x16, and 2n on 8x8. The
# weights grow about fourfold from stage to stage, so the last stage has three quarters of them. The work is nearly
# the same in each: four times the weights, on a quarter of the pixels.
#
# **Exercise 2** (10 minutes). Count the multiply-adds for one image as a function of n: kernel weights times output
# pixels, for each convolution, and the classifier.


# %%
def multiply_adds(n):
    """Return the multiply-adds of the net with n units a stage, for one image."""
    return ...


checks.multiply_adds(multiply_adds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A 3x3 convolution from C to F channels, on an output of S x S pixels, makes 9·C·F·S·S. What does that give for 16
# to 16 at 32 pixels, for 32 to 32 at 16, for 64 to 64 at 8? Which convolutions have half as many channels coming
# in?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def multiply_adds(n):
#     full = 9 * 16 * 16 * 32 * 32  # the same in each stage
#     first = 9 * 3 * 16 * 32 * 32
#     halves = 2 * full // 2  # the first convolutions of stages 2 and 3
#     return first + (6 * n - 2) * full + halves + 64 * 10
# ```
#
# </details>
#
# ### The sizes the paper prints
#
# Table 6 of the paper lists six nets with their number of parameters. In the next cell the third column is
# *computed* from the `Spec`, the fourth is *quoted*.

# %%
from resnet_lessons import results

print(" n  layers  parameters  the paper")
for n in (3, 5, 7, 9, 18, 200):
    spec = Spec("v1", 6 * n + 2)
    parameters, printed = accounting.count(spec).parameters, results.published(spec)[0].parameters
    decimals = len(printed.removesuffix("M").partition(".")[2])
    verdict = "rounds to it" if f"{parameters / 1e6:.{decimals}f}M" == printed else "differs"
    print(f"{n:3} {spec.depth:6} {parameters:11,} {printed:>7}  {verdict}")
print(f"ResNet-20 with projections: {accounting.count(Spec('v1', 20, shortcut='B')).parameters:,}")

# %% [markdown]
# All six round to the printed figure, counted without convolution biases, with two numbers a channel for batch
# norm, and with shortcut A. A rounded figure cannot tell more: with projections (shortcut B) ResNet-20 has 0.27M
# parameters too. Other counts of "ResNet-20" are in circulation; lesson 05 sorts them.
#
# ## 2 Choose a network
#
# Published errors belong to one network each. The last column of the table is *quoted* and holds a figure only if
# it was published for exactly the network of its row; all others are *computed*.

# %%
from resnet_lessons import widgets

networks = [Spec("v1", depth) for depth in (20, 32, 44, 56, 110, 1202)]
networks += [Spec("v2", 110, block="basic"), Spec("v2", 110), Spec("v2", 164)]
widgets.model_table(networks)

# %% [markdown]
# `v2` is the version of the second paper (He et al., 2016), which lesson 05 builds; its usual unit is the
# bottleneck of three convolutions (lesson 04), so its depths are 9n+2. Two nets of the table are called "ResNet-110
# v2". One has 6.37% to its name, the other nothing.
#
# **Predict.** How long does the paper's training, 64,000 updates of 128 images, take for ResNet-20 on the machine
# in front of you: minutes, hours or days?
#
# Now choose: version, unit, and units a stage. All controls work with the arrow keys. The button trains the chosen
# net for a few updates on random images, and says how long it would take by two recipes: that of this lesson
# (`minute` in fast mode), and the paper's, `he2015`. (Without a running kernel nothing moves; the table above and
# the figure in section 1 show the same.)

# %%
from resnet_lessons import recipes

recipe = recipes.for_lesson()
picker = widgets.ModelPicker(resnet_20, recipes=[recipe, recipes.get("he2015")])
picker

# %% [markdown]
# `picker.spec` is the network you have chosen. Section 4 trains it. The button's measurement as code:

# %% tags=["nbval-ignore-output"]
from resnet_lessons import training

timing = training.time_updates(picker.spec, batch_size=64)
print(
    f"{picker.spec.name}: {timing[0]:.1f} s to build and start, then {1000 * timing[1]:.0f} ms an update of 64 images"
)
assert timing[0] > 0
assert timing[1] > 0
widgets.time_table([recipe, recipes.get("he2015")], timing, batch_size=64)

# %% [markdown]
# In the stored run, on two cores, it is a matter of hours. The estimate counts neither validation nor test. If the
# first line of the table says more than you want to wait, choose a smaller n and run the cell again.
#
# ## 3 The recipe, piece by piece
#
# The paper's recipe fills one paragraph. The package has it as plain data, `recipes.get("he2015")`, and each piece
# of it is a field that can be changed. The last column says what a well-known script, Keras's `cifar10_resnet.py`,
# has for it: a switch, a function that one would have to change, or a habit.
#
# | piece | the paper | switched off here by | in the Keras example |
# |---|---|---|---|
# | split | 45,000 to train on, 5,000 to validate | `validation=0` | the test set is the validation set |
# | mean | per-pixel mean subtracted | `subtract_mean=False` | `subtract_pixel_mean` |
# | augmentation | pad 4, crop, flip | `augment="none"` | `data_augmentation` |
# | schedule | 0.1, divided by 10 twice | `drops=()` | `lr_schedule` |
# | decay | 1e-4 | `weight_decay=0.0` | `kernel_regularizer` |
# | order | convolution, batch norm, ReLU | `Spec(..., order="full-pre")` | `conv_first` |
# | weights kept | not said; here those after the last update | nothing is chosen, so no switch | best on the test set |
#
# First, the data.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import data

dataset = data.load("cifar10")
print(dataset.source)
assert dataset.x_test.shape == (10_000, 32, 32, 3)

# %% [markdown]
# ### The honest split
#
# While you develop, you look at results and decide: another rate, another depth, another epoch's weights. Whatever
# you look at when you decide is part of the training. So a part of the training set is held back for looking, the
# *validation* images, and the test set stays closed until there is nothing left to decide. `batches.split` holds
# back as many images of each class as of any other.

# %%
from resnet_lessons import batches

train_part, validation_part = batches.split(dataset.y_train, 5000)
print(len(train_part), "to train on,", len(validation_part), "to validate on")
print("validation images of each class:", np.bincount(dataset.y_train[validation_part]).tolist())
print("on both sides:", len(np.intersect1d(train_part, validation_part)))

# %% [markdown]
# What happens if the test set chooses? The Keras example tests after each of its 200 epochs and keeps the weights
# of the best. Suppose someone reports that best. And suppose the true error of the net is 8.75% in every epoch, so
# that there is nothing to choose. A reading on 10,000 images still varies.
#
# **Predict.** What is the best of 200 such readings, on average, in percent?

# %%
rng = np.random.default_rng(0)
wrong = rng.binomial(10_000, 0.0875, size=(1000, 200))  # 1,000 trainings of 200 epochs: images classified wrongly
print(f"one reading: {wrong.mean() / 100:.2f}%, best of 200: {wrong.min(axis=1).mean() / 100:.2f}%")

# %% [markdown]
# Nearly 0.8 points for nothing: more than lies between ResNet-32 and ResNet-56 in the paper's Table 6 (0.54). In
# this simulation the readings are independent. In a real training the epochs are tested on the same images, and
# late ones have similar weights, so the gain by choosing is smaller; but it is never a loss, and it cannot be told
# from progress. Here, nothing is chosen: the weights after the last update are the ones that are tested, and once.
#
# **Exercise 3** (10 minutes). A repair. Here is a split with three faults:
#
# ```python
# def honest_split(labels, validation, seed):
#     order = np.argsort(labels)
#     return order, order[:validation]
# ```
#
# Find them, and write one without: at random, but the same for the same seed, and of each class as many validation
# images as of any other. (The number of validation images is a multiple of the number of classes.)


# %%
def honest_split(labels, validation, seed):
    """Return two arrays of indices: to train on, and ``validation`` others to validate on."""
    return ...


checks.honest_split(honest_split)

# %% [markdown]
# <details><summary>Hint</summary>
#
# What is on both sides? Which classes are held back? What does the seed do? `np.flatnonzero(labels == c)` are the
# indices of class c, and `rng.choice(indices, count, replace=False)` draws some.
# `np.setdiff1d` gives the others.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def honest_split(labels, validation, seed):
#     rng = np.random.default_rng(seed)
#     classes = np.unique(labels)
#     share = validation // len(classes)
#     chosen = [rng.choice(np.flatnonzero(labels == c), share, replace=False) for c in classes]
#     held_back = np.concatenate(chosen)
#     return np.setdiff1d(np.arange(len(labels)), held_back), held_back
# ```
#
# </details>
#
# ### The mean
#
# From every image the paper subtracts the *per-pixel mean*: the mean image of the training set. It must come from
# the images that are trained on and no others, or validation images leak into training.

# %%
training_part, held_back = batches.train_and_validation(dataset, recipe)
mean = training_part.mean  # (32, 32, 3), of the training part alone
some = batches.normalize(dataset.x_train[training_part.indices[:4]])  # (4, 32, 32, 3), between 0 and 1
pictures = [*some, mean, *(some - mean + 0.5)]  # 0.5: a difference of zero is shown as grey
labels = ["image"] * 4 + ["mean"] + ["less the mean"] * 4
fig, ax = plots.figure(height=1.6)
plots.images(ax, (255 * np.clip(pictures, 0, 1)).astype("uint8"), labels)
plots.show(fig, "Four training images, the mean image, and the four less the mean, drawn on grey.", dataset.title)

# %% [markdown]
# **Figure.** The mean of all training images is a blur of nearly one colour, so what subtracting it does is hard to
# see (right; grey is zero).
#
# What does that do for the net? Its first layer is a convolution, and batch norm follows it.
#
# **Predict.** Subtract one colour from every pixel, in place of the mean image, and leave out the padding. By how
# much does that change what comes out of the first batch norm: not at all, by a few percent, or by more?

# %%
conv = layers.Conv2D(16, 3, use_bias=False)  # without padding, for now
norm = layers.BatchNormalization(epsilon=1e-5)


def first_layer(images):
    """Return what the first convolution and batch norm make of (B, H, W, 3) while training."""
    return np.array(norm(conv(images), training=True))


images = batches.normalize(dataset.x_train[:256])
colour = mean.mean(axis=(0, 1))  # (3,): the mean colour
change = np.abs(first_layer(images - colour) - first_layer(images)).max()
print(f"largest change: {change:.2f}, where the spread is {first_layer(images).std():.2f}")

# %% [markdown]
# Not at all. The convolution is linear: a constant added to its input adds a constant to each channel of its
# output, and batch norm subtracts each channel's mean. What can matter is how the mean image *differs* from one
# colour, and the border of the image, where the padding's zeros are black, or after the subtraction the mean
# colour.

# %% tags=["nbval-ignore-output"]
variation = mean.std(axis=(0, 1)).mean()  # of the mean image over its pixels
spread = images.std(axis=(0, 1, 2)).mean()  # of the images
change = (first_layer(images - mean) - first_layer(images)).std() / first_layer(images).std()
print(f"the mean image varies by {variation:.3f} over its pixels, the images by {spread:.3f}")
print(f"subtracting it changes what batch norm puts out by {100 * change:.0f}% of its spread")
assert variation < spread

# %% [markdown]
# So before training, the border not counted, what batch norm puts out changes by a small part of its spread. The
# habit is older than batch norm: Krizhevsky et al. (2012, Sec. 2) subtract the mean image too. Section 5 trains
# with and without.
#
# ### Augmentation
#
# Each time an image is served, it is padded by four pixels of zeros on each side; a window of 32x32 is cut out at
# random; and half of the windows are mirrored. Without the random numbers that is:


# %%
def version_of(image, top, left, mirrored):
    """Return a version (32, 32, 3) of an image: the window at (top, left) of the padded image, mirrored or not."""
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))  # (40, 40, 3)
    window = padded[top : top + 32, left : left + 32]
    return window[:, ::-1] if mirrored else window


# %% [markdown]
# In the package `batches.pad_crop_flip` draws the three numbers for each image of a batch. The Keras example shifts
# by up to a tenth instead, and repeats the pixels at the border.

# %%
image = dataset.x_train[training_part.indices[1]]
nine = np.repeat(image[None], 9, axis=0)  # (9, 32, 32, 3): the same image
rows = [image[None], batches.pad_crop_flip(nine, np.random.default_rng(0))]
rows += [image[None], batches.shift_flip(nine, np.random.default_rng(0))]
fig, ax = plots.figure(height=2.2)
labels = ["image"] + ["pad, crop, flip"] * 9 + ["image"] + ["shift, flip"] * 9
plots.images(ax, np.concatenate(rows), labels)
plots.show(fig, "One training image and nine random versions of it, for two ways of augmentation.", dataset.title)

# %% [markdown]
# **Figure.** No two of the nine versions of an image are alike. The paper's way (above) leaves black bars of
# padding, the Keras example's (below) smears the border.
#
# **Predict.** How many versions of an image are there by the paper's way? And how often does the net see an image
# in 64,000 updates of 128, if there are 45,000? Two numbers.

# %%
he2015 = recipes.get("he2015")
passes = he2015.steps * he2015.batch_size / 45_000
versions = 9 * 9 * 2
print(f"{passes:.0f} passes over the images, {versions} versions of each")
print(f"different versions seen, on average: {versions * (1 - (1 - 1 / versions) ** passes):.0f}")

# %% [markdown]
# A window begins at one of 9 x 9 places, and is mirrored or not. In the whole training the net sees an image 182
# times, and a given version of it about once; without augmentation, it sees the same picture 182 times.
#
# Is what the package serves always one of these, and does it serve them all? Ask it for 4,000 versions of the image.

# %%
places = [(top, left, mirrored) for top in range(9) for left in range(9) for mirrored in (False, True)]
possible = {version_of(image, *place).tobytes() for place in places}
served = batches.pad_crop_flip(np.repeat(image[None], 4000, axis=0), np.random.default_rng(1))
served = {version.tobytes() for version in served}
print(f"{len(possible)} possible, {len(served)} served, the same ones: {served == possible}")

# %% [markdown]
# Keras has a layer for this. **Predict.** Nine copies of an image go through it as one batch. How many different
# crops come out?

# %%
cropped = np.array(keras.layers.RandomCrop(24, 24)(nine.astype("float32"), training=True))
print("nine copies of an image, different crops:", len(np.unique(cropped, axis=0)))

# %% [markdown]
# It draws one window for the whole batch. (It does not pad either.) Exercise 5 asks you to write an augmentation in
# which each image gets a window of its own, for a whole batch at once.
#
# ### The schedule
#
# The rate is 0.1 for 32,000 updates, 0.01 until 48,000, and 0.001 until 64,000. For 110 layers the authors found
# 0.1 slightly too large to start with, so they *warm* the net *up*: 0.01 until the training error is below 80%,
# about 400 updates. The package does so for 400 updates, from 110 layers up.

# %%
import dataclasses

deep = dataclasses.replace(recipes.get("he2015", depth=110), name="he2015 from 110 layers up")
fig, ax = plots.figure(width=8.5, height=2.8)
plots.learning_rates(ax, [he2015, deep], points=1000)
alt = "Learning rate against updates: 0.1, 0.01, 0.001 in steps; for deep nets a short start at 0.01."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The learning rate of the paper's recipe falls twice, to a tenth each time; very deep nets differ in
# their first 400 updates only (left edge).
#
# **Exercise 4** (5 minutes). Write the schedule as a function. Updates are counted from 0.


# %%
def learning_rate(step, depth):
    """Return the rate of update number ``step`` for a net of this depth."""
    return ...


checks.learning_rate(learning_rate)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Before update number 32,000, counted from 0, exactly 32,000 updates have been made.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def learning_rate(step, depth):
#     if depth >= 110 and step < 400:
#         return 0.01
#     return 0.1 if step < 32_000 else 0.01 if step < 48_000 else 0.001
# ```
#
# </details>
#
# ### Decay
#
# *Weight decay* adds $10^{-4} w$ to the gradient of each weight w of a convolution or of the classifier, so it
# pulls them towards zero. (In the package batch norm and biases have none.) One reads that this keeps the function
# simple. But every convolution here is followed by batch norm.
#
# **Predict.** Double the weights of *all* convolutions of a ResNet-20. What happens to its outputs in training
# mode, and to the norms of its gradients: do they grow, shrink or stay, and by what factor?

# %%
from resnet_lessons import diagnostics

net, answers = models.build(resnet_20), np.arange(8)  # any labels will do
outputs, (_, gradients) = np.array(net(noise, training=True)), diagnostics.gradient_norms(net, noise, answers)
for layer in net.layers:
    if isinstance(layer, layers.Conv2D):
        layer.set_weights([2 * kernel for kernel in layer.get_weights()])
_, doubled = diagnostics.gradient_norms(net, noise, answers)
change = np.abs(outputs - np.array(net(noise, training=True))).max()
print(f"largest change of an output: {change / np.abs(outputs).max():.2f} of the largest output")
print(f"gradient norms, after over before: {(doubled / gradients).min():.2f} to {(doubled / gradients).max():.2f}")

# %% [markdown]
# The outputs stay, and the gradients halve. The length of these kernels means nothing to the function, so decay
# cannot make the function simpler by making them shorter. What it changes is the *step*: a kernel of half the
# length gets a gradient twice as long, so one update turns it four times as far, relative to its length. Decay
# keeps the kernels short, and so the steps large: that is the argument of van Laarhoven (2017, *quoted*), and we do
# not measure it. A training of a minute could not show it. At a rate of 0.1 decay takes $0.1 \cdot 10^{-4} =
# 10^{-5}$ of a weight in an update, and ten times that with a momentum of 0.9, which adds up ten updates.
#
# Mind the factor two when you compare recipes. `keras.regularizers.L2(1e-4)` adds $10^{-4} w^2$ to the loss, and
# the gradient of that is $2 \cdot 10^{-4} w$. So the $10^{-4}$ of the Keras example is twice the paper's.

# %%
penalty = keras.regularizers.L2(1e-4)
weight, step = np.float64(3.0), 1e-3
slope = (float(penalty(weight + step)) - float(penalty(weight - step))) / (2 * step)
print(f"slope of the penalty over the weight: {slope / weight:.1e}; the paper's decay: {he2015.weight_decay:.1e}")

# %% [markdown]
# ### The order of the layers
#
# The Keras example has a switch `conv_first`: convolution, batch norm, activation, or the three the other way
# round, batch norm, activation, convolution. In a plain stack of layers it would only shift where one group ends.
# In a residual unit it moves the addition: what comes last in the unit stands before it, or after it.
#
# **Predict.** Where do the batch norms of a unit stand in the other order, and how many channels does each have?
# What does that do to the parameters of the net? (The package calls the orders `"original"` and `"full-pre"`.)

# %%
turned = dataclasses.replace(resnet_20, order="full-pre")
for spec in (resnet_20, turned):
    names = [
        layer.name.removeprefix("stage1_block2_") for layer in models.build(spec).layers if "1_block2" in layer.name
    ]
    print(f"{spec.name:16}", " ".join(names))
    print(" " * 16, f"{accounting.count(spec).parameters:,} parameters")

# %%
fig, axes = plots.figure(2, width=7, height=3.4)
pre = ["batch norm, ReLU", "conv 3x3", "batch norm, ReLU", "conv 3x3", "+"]
post = ["conv 3x3", "batch norm, ReLU", "conv 3x3", "batch norm", "+", "ReLU"]
plots.unit_diagram(axes[1], pre, shortcut="solid")
plots.unit_diagram(axes[0], post, shortcut="solid")  # the longer one last, as the two share a scale
axes[0].set_title('order="original"')
axes[1].set_title('order="full-pre"')
plots.show(fig, "Two residual units: left a ReLU follows the addition; right nothing does, and batch norm comes first.")

# %% [markdown]
# **Figure.** In the first paper's unit (left) a ReLU follows the addition; in the other order (right) nothing
# stands on the way from one addition to the next.
#
# The parameters are the same, to the last one. The very first unit has one norm less (16 channels), since the first
# convolution of the net keeps its own; where stages 2 and 3 begin, the unit's first norm has 16 and 32 channels
# instead of 32 and 64; and one of 64 channels comes at the end. That is -16 - 16 - 32 + 64 = 0. The right one is
# the unit of the second paper, *full pre-activation*. A net of basic units in this order *is* the package's `v2`
# with basic units:

# %%
other = models.resnet_v2(20, block="basic")
net = models.build(turned)
other.set_weights(net.get_weights())
print("the same network:", np.allclose(net(noise), other(noise), rtol=1e-3, atol=1e-3))
original = models.build(resnet_20)
print("as many parameters as v1:", original.count_params() == net.count_params())

# %% [markdown]
# So a count alone does not tell version 1 from version 2. What the order is good for is the subject of lesson 05.
#
# ### What a well-known script gets wrong
#
# The Keras example has all these pieces, and some faults. The package's recipe "keras-example" trains as the script
# does, with all faults mended but the last. The recipe's list:

# %%
import textwrap

for number, entry in enumerate(recipes.KERAS_EXAMPLE_MENDED, start=1):
    print(textwrap.fill(f"{number}. {entry.fault}", 72, subsequent_indent="   "))
    print(textwrap.fill(f"-> {entry.mended} {entry.reason}", 72, initial_indent="   ", subsequent_indent="      "))

# %% [markdown]
# ## 4 Train it
#
# `training.train` takes a network, a recipe and a data set. It sets the seed, builds, trains, validates after each
# epoch and reads the test set once, after the last update. Given a folder, it keeps the run there: `run.json` says
# what is run, with which versions and on which machine; `log.jsonl` gets a line an epoch; `checkpoint.npz` holds
# all that is needed to go on.
#
# All of it means: weights, moving statistics, the optimizer's momentum, and the place in the shuffled images. A
# resume that forgets one of them goes on with another training or wrong statistics, without telling you (lesson 09
# measures both). We test it with the smallest net and 20 updates. One run goes through. The other is stopped in the
# middle, and resumed from its folder. (Both read the test set at their end. We do not look at what they found
# there.)
#
# **Predict.** Do both end with the same weights: to the last bit, nearly, or not?

# %% tags=["nbval-ignore-output"]
import tempfile
import threading

folder = tempfile.TemporaryDirectory()  # gone when the kernel ends; name a folder of yours to keep a run
tiny, brief = Spec("v1", 8), recipes.get("minute-smoke")
through = training.train(tiny, brief, dataset, progress=None)

stop = threading.Event()
after_first_epoch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: stop.set())
stopped = training.train(
    tiny, brief, dataset, f"{folder.name}/tiny", stop=stop, callbacks=[after_first_epoch], progress=None
)
resumed = training.resume(f"{folder.name}/tiny", dataset, progress=None)
print("stopped:", not stopped.finished, "- resumed to its end:", resumed.finished)
assert resumed.finished
assert [line["step"] for line in resumed.epochs] == [line["step"] for line in through.epochs]

# %% tags=["nbval-ignore-output"]
pairs = list(zip(through.model.get_weights(), resumed.model.get_weights(), strict=True))
print("the same weights, bit for bit:", all(np.array_equal(one, other) for one, other in pairs))
assert all(np.allclose(one, other, atol=0.01) for one, other in pairs)

# %% [markdown]
# In the stored run, on a processor, the two end in the same weights, to the last bit. (A GPU may add numbers in an
# order that varies; `training.train(..., deterministic=True)` asks it not to.)
#
# Now the network you have chosen, by the recipe of this lesson. It has the paper's pieces, in a size for a lesson.
# In fast mode one piece is missing, the schedule: the rate is lower and does not drop.

# %% tags=["nbval-ignore-output"]
print(f"{'':15}{'this lesson':16}the paper")
for field in (
    "steps",
    "batch_size",
    "learning_rate",
    "drops",
    "weight_decay",
    "augment",
    "subtract_mean",
    "validation",
):
    print(f"{field:15}{getattr(recipe, field)!s:16}{getattr(he2015, field)}")
assert (recipe.augment, recipe.weight_decay) == (he2015.augment, he2015.weight_decay)

# %% [markdown]
# Each line of the log is an epoch, here not a pass over the images but as many updates as the recipe puts between
# two lines.
#
# **Predict.** Which test error will it have, in percent? The paper's ResNet-20 ends at 8.75%, after 64,000 updates;
# guessing among ten classes is at 90%.

# %% tags=["nbval-ignore-output"]
chosen = picker.spec
out = f"{folder.name}/{chosen.name}"
run = training.train(chosen, recipe, dataset, out)
expected = timing[0] + timing[1] * recipe.steps * recipe.batch_size / 64
print(f"{chosen.name}: {run.seconds:.0f} s with validation, {expected:.0f} s expected without; {run.precision}")
assert run.finished
assert len(run.step_error) == recipe.steps

# %%
fig, ax = plots.figure()
plots.error_curves(ax, [(chosen.name, run)])
plots.show(fig, "Training error against updates, with marks for the validation error.", dataset.title)

# %% [markdown]
# **Figure.** Training error (line, a mean over ten updates) and validation error (marks) of the run; both leave the
# level of guessing and are still falling at the end in the stored run.
#
# (`mixed_bfloat16` is 16-bit arithmetic, lesson 00.) The time that was expected leaves out validation and test. The
# two errors are not measured alike: the training error is that of augmented images, batch by batch, while the net
# is in training mode; the validation error is that of images as they are, with batch norm's moving statistics.
#
# The same call again does not train: it finds the finished run and reads it. And the folder refuses another run.

# %%
from pathlib import Path

again = training.train(chosen, recipe, dataset, out)
print("the same test error:", again.test_error == run.test_error, "- updates made:", len(again.step_error))
try:
    training.train(chosen, recipe, dataset, out, seed=1)
except training.FolderError as refusal:
    print("another seed:", type(refusal).__name__)
print(sorted(path.name for path in Path(out).iterdir() if not path.name.startswith(".")))

# %% [markdown]
# The checkpoint is gone, the weights are there. The log is a text file, one line of JSON an epoch, so that anything
# can read it:

# %% tags=["nbval-ignore-output"]
import json

lines = [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]
for line in lines:
    print({key: round(line[key], 3) for key in ("epoch", "step", "train_error", "val_error", "lr", "seconds")})
assert lines[-1]["step"] == recipe.steps

# %% [markdown]
# And the test set, read once. With 10,000 images a test error of p has a standard error of
# $\sqrt{p (1 - p) / 10\,000}$; that is the part of the uncertainty that comes from the images. The part that comes
# from the seed you only see by training again.

# %% tags=["nbval-ignore-output"]
error = run.test_error
standard_error = np.sqrt(error * (1 - error) / len(dataset.y_test))
print(f"{chosen.name}, {recipe.steps} updates, seed {run.seed}, {dataset.title}:")
print(f"test error {100 * error:.1f}%, standard error {100 * standard_error:.1f} points; {run.precision}")
assert 0 <= error <= 1

# %% [markdown]
# This is how a number is reported: the network, the length of the training, the seed, the data, the test error and
# its uncertainty. In the stored run it is 79%, after a two-thousandth of the paper's training (56 updates of 64
# images against 64,000 of 128).
#
# ## 5 Take a piece away
#
# What is each piece worth? Take one away, leave the rest, train again: an **ablation**. To see an effect within
# seconds we make the problem smaller: ResNet-8, and so few images that the net passes over them 24 times. Rate 0.1
# and two drops, as in the paper.

# %%
few = np.random.default_rng(0).choice(training_part.indices, 8 * recipe.steps, replace=False)
batch = max(32, recipe.batch_size // 2)
steps = 24 * len(few) // batch  # 24 passes
whole = dataclasses.replace(
    recipe, steps=steps, batch_size=batch, learning_rate=0.1, drops=(0.5, 0.75), steps_per_epoch=steps // 6
)
WITHOUT = {
    "nothing": (tiny, whole),
    "augmentation": (tiny, dataclasses.replace(whole, augment="none")),
    "mean": (tiny, dataclasses.replace(whole, subtract_mean=False)),
    "schedule": (tiny, dataclasses.replace(whole, drops=())),
    "decay": (tiny, dataclasses.replace(whole, weight_decay=0.0)),
    "conv first": (dataclasses.replace(tiny, order="full-pre"), whole),
}


# %%
def train_without(piece, seed=0):
    """Train on the few images with one piece of the recipe switched off; validate on the images held back."""
    spec, recipe = WITHOUT[piece]
    common = {"x": dataset.x_train, "y": dataset.y_train, "mean": mean if recipe.subtract_mean else None}
    images = batches.Batches(
        **common,
        batch_size=recipe.batch_size,
        augment=recipe.augment,
        seed=seed,
        indices=few,
        steps_per_epoch=recipe.steps_per_epoch,
    )
    validation = batches.Batches(**common, batch_size=500, indices=held_back.indices)
    return training.fit(spec, recipe, images, validation, seed=seed)


# %% [markdown]
# Before any comparison, the noise: the same images and the same recipe with two seeds.
#
# **Predict.** By how many points will their validation errors differ?

# %% tags=["nbval-ignore-output"]
ablations = {"whole": train_without("nothing"), "whole, seed 1": train_without("nothing", seed=1)}


def report(name):
    """Print the errors at the end of a run."""
    last = ablations[name].epochs[-1]
    print(f"{name:22} training error {100 * last['train_error']:.1f}%, validation {100 * last['val_error']:.1f}%")


for name in ablations:
    report(name)
assert all(len(run.step_loss) == whole.steps for run in ablations.values())

# %% [markdown]
# In the stored run the two differ by 1.0 points in training error and by 1.8 in validation error. The latter counts
# 1,000 images, so its standard error is 1.5 points. That of a difference of two is at most 1.5 times the root of 2, or
# 2.1; less, in so far as both nets err on the same images. Less than twice that, 4 points, we do not call a difference.
#
# **Predict.** Without augmentation, is the training error higher or lower? And the validation error? By how much?

# %% tags=["nbval-ignore-output"]
ablations["without augmentation"] = train_without("augmentation")
report("without augmentation")
assert len(ablations["without augmentation"].step_loss) == whole.steps

# %%
fig, ax = plots.figure()
plots.error_curves(ax, [(name, ablations[name]) for name in ("whole", "without augmentation")])
plots.show(
    fig,
    "Errors against updates with and without augmentation: lines for training, marks for validation.",
    dataset.title,
)

# %% [markdown]
# **Figure.** Without augmentation (dashed) the training error falls well below the validation error (squares). The
# latter is below that of the whole recipe (dots) on the way, and near it at the end.
#
# In the stored run the training error ends at 22% without augmentation and at 53% with it. The validation error is
# 61.8%, against 64.8% with the same seed and 66.6% with the other: lower by 3.0 and by 4.8 points, on either side
# of our 4. It is no higher. So in 24 passes augmentation has not made the net better. It has kept the problem hard:
# with it there is more left to learn from the same images. Whether that pays depends on how long you train, and
# this experiment is too short to say. Over a full training it does: a ResNet-110 has 13.63% test error on CIFAR-10
# without augmentation and 6.41% with it (*quoted*: Huang et al., 2017, Table 2).
#
# A detail: around the first drop of the rate, at update 168, both training errors of the stored run *rise* for some
# twenty updates before they fall. They have risen elsewhere too, so this run does not show the cause. One candidate
# is the momentum. Keras's carries a velocity that already contains the rate:
#
# $$ v \leftarrow 0.9 \, v - \mathrm{rate} \cdot g , \qquad w \leftarrow w + v . $$
#
# When the rate drops to a tenth, the old velocity is ten times too large for it, and the weights coast on for about
# ten updates. Goyal et al. (2017, Sec. 3) correct the velocity whenever the rate changes, but say that it matters
# most where the rate *rises*, and less where it falls (*quoted*). So this is a candidate and no more. Section 7 has
# you test whether the drop is the cause at all.
#
# ### Two more pieces
#
# Choose pieces for the next cell. The stored run has the mean and the order: "without conv first", batch norm and
# ReLU come first.
#
# **Predict.** Does the validation error change by more than 4 points? In which direction?

# %% tags=["nbval-ignore-output"]
for piece in ("mean", "conv first"):  # or "schedule", "decay"
    ablations[f"without {piece}"] = train_without(piece)
for name in ablations:
    report(name)
assert all(np.isfinite(run.step_loss).all() for run in ablations.values())

# %% [markdown]
# In the stored run the validation error is 64.7% without the mean, against 64.8% with it and the same seed: as
# section 3 led us to expect. In the other order it is 67.8%: three points above one seed of the whole recipe, one
# above the other. Both are less than 4 points, so we call neither a difference. This experiment does not show an
# effect of a point or two. To see one takes more images and several seeds of each, and an honest report says how
# many.

# %%
fig, ax = plots.figure(height=2.4)
for number, name in enumerate(list(ablations)[:6]):
    last = ablations[name].epochs[-1]
    x, y = 100 * last["train_error"], 100 * last["val_error"]
    ax.plot(x, y, plots.MARKERS[number], color=plots.COLOURS[number], label=name)
ax.margins(0.05, 0.2)
ax.set(xlabel="training error (%)", ylabel="validation error (%)")
ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plots.show(fig, "Validation error against training error at the end: one mark a run.", dataset.title)

# %% [markdown]
# **Figure.** Of the five runs one stands apart, that without augmentation, and what sets it apart is its training
# error; in the stored run all validation errors lie within six points.
#
# ## 6 From here to the paper's figure
#
# The recipe of the paper makes 64,000 updates of 128 images. Section 2 has measured how long that would take here.
# In a terminal, `resnet-lessons train v1 --depth 20 --recipe he2015` does it, and `resnet-lessons resume` continues
# it where it stopped. The recipe "fast-accuracy" is meant to come as far in 14,080 updates. On re-encoded images it
# ends 0.23 points above: 13.10 ± 0.12% against 12.87% of test error *(recorded, three seeds and one)*. One seed of
# `he2015` cannot say whether that is a difference (lesson 09).
#
# Long runs are recorded with the package, each with its data, its seed and its machine. These are by the recipe
# "short": the paper's shape in 8,000 updates, the rate divided by 10 after 4,000 and after 6,000. Beside ResNet-20
# and ResNet-56 stand the plain nets of the same depth, the same convolutions without shortcuts.
#
# **Predict.** Which of the four has the lowest *training* error at the end, and do the two pairs agree on whether
# depth helps?

# %%
nets = [Spec(family, depth) for family in ("plain", "v1") for depth in (20, 56)]
recorded = results.groups(data="cifar10", recipe="short", specs=nets)  # a group is all seeds of one net
fig, ax = plots.figure(width=9)
plots.recorded_curves(ax, [(group.spec.name, group) for group in recorded])
alt = "Recorded training error against updates: a line a net, plain and with shortcuts, of 20 and of 56 layers."
plots.show(fig, alt, next((group.data_title for group in recorded), None))

# %% [markdown]
# **Figure.** Recorded training error of four nets that ship, plain and with shortcuts. A line is the mean of three
# seeds, and its band reaches from the lowest to the highest. In the second half three bands are hardly wider than
# their lines; that of plain-56 stays ten points wide. At the start the seeds of ResNet-56 differ by up to ten points
# too.

# %%
columns = ["network", "train", "recorded", "paper", "recipe", "data"]
between = [Spec("v1", 32), Spec("v1", 44)]
recorded = results.groups(data="cifar10", recipe="short", specs=nets + between)
results.table(recorded, columns=columns, recorded_only=True, tablefmt="html")

# %% [markdown]
# In brackets: the number of seeds; of several, mean ± standard deviation. Without shortcuts 56 layers end with a
# training error of 39.9%, 20 layers with 15.6%. With shortcuts these are 12.5% and 12.3% *(recorded, three seeds of
# each)*. So with shortcuts the gap of 24 points shrinks to 0.2, less than the seeds of either net span. That depth
# *helps*, as the paper finds, these four do not show: in an eighth of the paper's updates both ResNets have a test
# error of 16.04%. Two depths between them came out lower: ResNet-32 and ResNet-44 end with training errors of 10.9
# and 11.7% and test errors of 15.4 and 15.5% *(recorded, one seed each)*. So from 32 layers to 56 the training
# error rises again, by 1.7 points. Whether it still would after more updates, these runs cannot say.
#
# The recorded columns can be compared with each other, row by row. The column of the paper (*quoted*) stands for
# another problem: the original images, and eight times the updates. On re-encoded images, which have lost detail,
# the same net has a higher error, so no row reaches or misses the paper's.
#
# No run on the original CIFAR-10 ships. If you have it, `resnet-lessons reproduce v1-20-short-seed0` makes one.
# What the paper prints for these nets is in the table of section 2: 8.75% at 20 layers, 6.97% at 56, and, for the
# net of 1202 layers and 19.4M parameters, 7.93%: more than with 110 layers. Since both have a similar training
# error, the authors put that down to overfitting (*quoted*, Sec. 4.2).
#
# ## 7 Go further
#
# - *10 minutes.* Run section 5 with `"schedule"`. Draw both with `plots.error_curves`. Does the training error rise
#   after update 168 without the drop too? What does the drop do to the validation error?
# - *10 minutes.* Train `train_without("mean")` and `train_without("nothing")` with three more seeds each. Can you
#   tell the two apart now?
# - *15 minutes.* Choose another network in section 2 and run sections 4 and 5 with it, `tiny = picker.spec`. How
#   close did the expected time come?
# - *30 minutes.* The exercise below.
#
# **Exercise 5** (30 minutes). `version_of` of section 3 makes one version of one image. Write the augmentation for a
# whole batch, *without a loop over the images*: every image gets a window of its own, and about half are mirrored.
# Draw all random numbers from `rng`, leave the images you are given as they are, and return uint8. (The check cannot
# see a loop. Write one too, and time both on 1,000 images.)


# %%
def pad_crop_flip(images, rng):
    """Return (B, 32, 32, C) uint8, each image cropped and mirrored on its own; rng is a numpy.random.Generator."""
    return ...


checks.pad_crop_flip(pad_crop_flip)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `padded[i, row, column]` takes arrays for all three, and broadcasts them: shapes (B, 1, 1), (B, 32, 1) and (B, 1,
# 32) give (B, 32, 32, C). Which rows does image number i take if its window begins at `top[i]`? In which order does
# a mirrored image take its columns?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pad_crop_flip(images, rng):
#     count = len(images)
#     padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
#     rows, columns = rng.integers(0, 9, (2, count, 1)) + np.arange(32)  # (B, 32) each
#     mirrored = rng.random(count) < 0.5
#     columns[mirrored] = columns[mirrored, ::-1]
#     return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
# ```
#
# </details>
#
# ## 8 Summary
#
# - The CIFAR-10 ResNets are 6n+2 layers in three stages, on maps of 32, 16 and 8 pixels with 16, 32 and 64
#   channels. Each stage makes about the same number of multiply-adds, and the last has three quarters of the
#   weights *(computed)*.
# - All six parameter counts round to the paper's, 0.27M to 19.4M *(computed, quoted)*.
# - The best of 200 readings on the test set flatters a net by nearly 0.8 points on average *(computed, for
#   independent readings)*.
# - Batch norm undoes the subtraction of one colour, the border of the image aside. Without the mean, a short
#   training came out the same, within the noise of two seeds *(computed)*.
# - Twice the weights before batch norm, the same outputs and half the gradient: the length of a kernel matters to
#   the step, not to the function *(computed)*. That decay acts through the step is an argument *(quoted)*.
# - Augmentation keeps the training error up. In 24 passes over few images it did not lower the validation error
#   *(computed)*; over a full training it halves the test error of a ResNet-110 *(quoted)*.
# - In another order of the same layers, v1 is v2: a count does not tell them apart *(computed)*.
# - A run that is stopped and resumed from its folder ends in the same weights *(computed)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015; *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016. A. Krizhevsky, I. Sutskever, G.
# Hinton, *ImageNet Classification with Deep Convolutional Neural Networks*, NIPS 2012. T. van Laarhoven, *L2
# Regularization versus Batch and Weight Normalization*, arXiv 1706.05350, 2017. G. Huang, Z. Liu, L. van der
# Maaten, K. Q. Weinberger, *Densely Connected Convolutional Networks*, arXiv 1608.06993, 2017. P. Goyal and others,
# *Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour*, arXiv 1706.02677, 2017. The Keras example is
# `examples/cifar10_resnet.py` of Keras 2.
