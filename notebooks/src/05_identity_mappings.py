# %% [markdown]
# # 05 Identity mappings: ResNet v2
#
# *60 minutes to read and run, 55 more for the exercises. All the training takes about 120 seconds on two cores in
# fast mode, half an hour in full mode (estimated).*
#
# The shortcut of a residual unit carries x. But what leaves the unit of the first paper is not x plus something: a
# ReLU comes after the addition. Does that matter, and what if the shortcut itself does something to x? He et al.
# (2016) answer with two equations and two tables. You will
#
# - measure both equations, in a net that keeps to them and in one that does not;
# - build the unit of the second paper, *version 2*, from that of the first;
# - send a signal through six kinds of shortcut, and through gates whose bias you choose;
# - train eleven small nets, and see what 56 updates can say about such variants;
# - build a net of 1001 layers;
# - find out which network a published "ResNet" number belongs to.
#
# You should have read [lesson 02](02_residual_blocks.ipynb). Every number is *computed* in a cell above it,
# *recorded* in a run that ships with the package or *quoted* from a paper, and the text says which.

# %% [markdown]
# ## 1 Two equations
#
# Number the units of a net 1, 2, 3, ... and let $x_l$ be what goes into unit $l$. He et al. (2016, Eq. 1 and 2) write
# the unit in a general form,
#
# $$ x_{l+1} = f\bigl(h(x_l) + \mathcal F(x_l)\bigr) , $$
#
# with a branch $\mathcal F$, a shortcut $h$, and $f$ for whatever comes after the addition. Now let **both** $h$ and
# $f$ be the identity, so that $x_{l+1} = x_l + \mathcal F(x_l)$. Then, over any stretch of units from $l$ to $L$ (Eq.
# 4),
#
# $$ x_L = x_l + \sum_{i=l}^{L-1} \mathcal F(x_i) . $$
#
# The signal is the early signal plus a sum. In a plain net it would be a product of matrices, with batch norms and
# ReLUs left out. Differentiate the loss $\mathcal E$ by the chain rule (Eq. 5):
#
# $$ \frac{\partial \mathcal E}{\partial x_l} = \frac{\partial \mathcal E}{\partial x_L}
#    \Bigl( 1 + \frac{\partial}{\partial x_l} \sum_{i=l}^{L-1} \mathcal F(x_i) \Bigr) . $$
#
# The gradient at $x_L$ arrives at $x_l$ **as it is**, through no weights at all, and the branches add to it.
#
# That is algebra. Is it what the nets compute? The unit of the first paper has $h(x) = x$, but its $f$ is a ReLU. The
# second paper's unit has no layer after its addition; section 2 builds it. The package has both, in nets of 56 layers
# with the same two 3x3 convolutions a unit.
#
# **Predict.** By how much does the first paper's unit miss the two equations, over eight units: by rounding, by a
# percent or so, or by tens of percent?

# %% tags=["nbval-ignore-output"]
from resnet_lessons import batches, data, models, recipes
from resnet_lessons.specs import Spec

dataset = data.load("cifar10")
recipe = recipes.for_lesson()
_, held_back = batches.train_and_validation(dataset, recipe)
images, labels = (array[:16] for array in held_back[0])  # 16 images, scaled and centred, and their labels
print(dataset.source)
assert images.shape == (16, 32, 32, 3)

# %%
import keras
import numpy as np


def output_of(net, unit):
    """Return what leaves a unit such as "stage2_block1", a symbolic tensor."""
    return [layer for layer in net.layers if layer.name.startswith(f"{unit}_")][-1].output


def stretch(net, units=9):
    """Return symbolic tensors of stage 2, after its first unit: x_l, x_L, and the branches' outputs between."""
    additions = [net.get_layer(f"stage2_block{number}_add") for number in range(2, units + 1)]
    ends = output_of(net, "stage2_block1"), output_of(net, f"stage2_block{units}")
    return *ends, [addition.input[1] for addition in additions]


# %% [markdown]
# The first unit of stages 2 and 3 changes the dimensions, so it has no identity shortcut; the eight after it do.
# `addition.input` holds the two terms of a unit's addition, the shortcut's first. They are **symbolic tensors**, what a
# Keras layer returns while a net is built: shapes without values. A `keras.Model` from one to another is the part of
# the net between them. Send 16 images through both nets, with fresh weights and in
# training mode, and compare the two sides of the first equation.


# %% tags=["nbval-ignore-output"]
def relative_error(found, expected):
    """Return the norm of the difference over that of ``found``."""
    return np.linalg.norm(found - expected) / np.linalg.norm(found)


nets, starts, missed = {}, {}, {}
for name, spec in {"version 1": Spec("v1", 56), "version 2": Spec("v2", 56, block="basic")}.items():
    keras.utils.set_random_seed(0)
    nets[name] = net = models.build(spec)
    start, end, branches = stretch(net)
    starts[name] = x_l = np.array(keras.Model(net.input, start)(images, training=True))
    x_L, *outputs = (np.array(x) for x in keras.Model(start, [end, *branches])(x_l, training=True))
    missed[name] = relative_error(x_L, x_l + sum(outputs))
    print(f"{name}: x_L and x_l + sum of branches differ by {missed[name]:.1g} of x_L")
assert missed["version 1"] > 0.1 > 1e-4 > missed["version 2"]

# %% [markdown]
# Now the gradient. `backend.pull_back(model, x, upstream)` takes the gradient at a model's output back to its input.
# It starts at the **logits**, the scores that a softmax turns into probabilities. There the gradient of the mean
# cross-entropy (minus the logarithm of the label's probability) has a closed form: the softmax, less one at the label,
# divided by the number of images. From there it is taken to $x_L$, and from $x_L$ to $x_l$. The right side
# of the equation needs the same through the sum of the branches alone.

# %%
from resnet_lessons import backend


def gradients_at(net, x_l):
    """Return the loss's gradients at x_L and at x_l, and the part of the latter that came through the branches."""
    start, end, branches = stretch(net)
    to_end, to_sum = keras.Model(start, end), keras.Model(start, keras.layers.Add()(branches))
    head = keras.Model(end, net.output)
    x_L = to_end(x_l, training=True)
    probabilities = keras.ops.softmax(head(x_L, training=True))
    at_logits = (probabilities - keras.ops.one_hot(labels, 10)) / len(labels)
    at_x_L = backend.pull_back(head, x_L, at_logits)
    return at_x_L, backend.pull_back(to_end, x_l, at_x_L), backend.pull_back(to_sum, x_l, at_x_L)


# %% tags=["nbval-ignore-output"]
found = {name: gradients_at(net, starts[name]) for name, net in nets.items()}
for name, (at_x_L, at_x_l, through_branches) in found.items():
    missed[name] = relative_error(at_x_l, at_x_L + through_branches)
    print(f"{name}: the two sides differ by {missed[name]:.1g} of the gradient at x_l")
assert missed["version 1"] > 0.1 > 1e-4 > missed["version 2"]

# %% [markdown]
# Version 2 obeys both equations up to rounding. Version 1 misses both, in the stored run by more than half of the
# signal and of the gradient. Its shortcuts carry x as it is, too, but only from the start of a unit to its end. There
# a ReLU cuts the signal on the way forward, and where it has cut, it stops the gradient on the way back.
#
# What the equations do **not** say is that the gradient keeps its size. The 1 in the brackets is exact, but the
# branches' part may be larger than it, or may cancel it. Look at the sizes in version 2.

# %% tags=["nbval-ignore-output"]
for name, array in zip(["at x_L", "at x_l", "through branches"], found["version 2"], strict=True):
    print(f"norm of the gradient {name:17} {np.linalg.norm(array):.2e}")
    assert np.isfinite(array).all()

# %% [markdown]
# In the stored run the branches bring more of the gradient than the shortcuts do. He et al. (2016, Sec. 2) argue that
# it is unlikely to *vanish*: the derivative of the sum would have to be -1 for all images of a batch. That it cannot
# grow they do not claim.
#
# ## 2 Version 2: move the ReLU
#
# So the addition should be the last thing in a unit. But the branch needs its batch norms and ReLUs. The second paper
# puts both of them *before* each convolution and calls this **pre-activation**.

# %%
from resnet_lessons import plots

fig, axes = plots.figure(2, width=6, height=3.6)
first = ["conv 3x3", "batch norm, ReLU", "conv 3x3", "batch norm", "+", "ReLU"]
second = ["batch norm, ReLU", "conv 3x3", "batch norm, ReLU", "conv 3x3", "+"]
plots.unit_diagram(axes[1], second, "solid")
plots.unit_diagram(axes[0], first, "solid")  # the longer one last, as the two share a scale
axes[0].set_title("version 1")
axes[1].set_title("version 2")
alt = "Left: the unit of version 1, with a ReLU below the addition. Right: version 2, where the addition comes last."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The units of the two papers have the same layers in another order; in version 2 none follows the
# addition.
#
# **Exercise 1** (10 minutes). Here is a "pre-activated unit" with three faults. `norm1`, `conv1`, `norm2` and `conv2`
# are functions that take an array and return one in the same shape.
#
# ```python
# def unit(x, norm1, conv1, norm2, conv2):
#     x = np.maximum(x, 0)
#     y = conv1(norm1(x))
#     y = conv2(norm2(np.maximum(y, 0)))
#     return np.maximum(x + y, 0)
# ```
#
# Write it as the drawing on the right has it.

# %%
from resnet_lessons import checks


def preactivated(x, norm1, conv1, norm2, conv2):
    """Return the output of a pre-activated unit for x."""
    return ...


checks.preactivated(preactivated)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which x is added in the drawing? What comes after the addition? On which side of a ReLU does batch norm stand?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def preactivated(x, norm1, conv1, norm2, conv2):
#     y = conv1(np.maximum(norm1(x), 0))
#     y = conv2(np.maximum(norm2(y), 0))
#     return x + y
# ```
#
# </details>
#
# Two details come with the order (He et al. 2016, appendix). The first convolution of the net keeps its batch norm
# and ReLU, so the very first unit needs none of its own before `conv1`. And the sum that leaves the last unit has
# been through no ReLU, so a last batch norm and ReLU stand before the average.

# %%
from keras import layers


def norm_relu(x):
    """Normalize and rectify; the shape stays."""
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))


def conv(x, filters, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters) by a 3x3 convolution."""
    x = layers.ZeroPadding2D(1)(x)
    return layers.Conv2D(filters, 3, strides=stride, use_bias=False, kernel_initializer="he_normal")(x)


def preactivated_unit(x, filters, stride=1, activated=False):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters): x + F(x)."""
    y = conv(x if activated else norm_relu(x), filters, stride)
    y = conv(norm_relu(y), filters)
    if stride > 1:  # shortcut A of lesson 02
        x = keras.ops.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (0, filters - x.shape[-1])])
    return layers.Add()([x, y])


# %%
def preactivated_net(n):
    """Build the version 2 net of 6n+2 layers: (B, 32, 32, 3) to (B, 10) logits."""
    image = keras.Input((32, 32, 3))
    x = norm_relu(conv(image, 16))
    for stage, filters in enumerate([16, 32, 64]):
        for unit in range(n):
            first = unit == 0
            x = preactivated_unit(x, filters, 2 if stage > 0 and first else 1, activated=stage == 0 and first)
    x = layers.GlobalAveragePooling2D()(norm_relu(x))
    return keras.Model(image, layers.Dense(10)(x))


# %% [markdown]
# `models.resnet_v2` has the same net. By default it takes bottlenecks, as the second paper does for its deepest nets;
# section 6 comes to them.

# %%
by_hand, packaged = preactivated_net(3), models.resnet_v2(20, block="basic")
packaged.set_weights(by_hand.get_weights())
noise = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
for training in (False, True):
    same = np.allclose(packaged(noise, training=training), by_hand(noise, training=training), atol=1e-3)
    print("training:" if training else "inference:", "same outputs" if same else "different outputs")

# %% [markdown]
# ### How the signal grows
#
# Each branch adds something to the signal, so it will not keep its size.
#
# **Predict.** How does the mean square of the signal grow from unit to unit in a fresh net: not at all, by an equal
# amount, or by an equal factor?

# %%
mean_squares = {}
for name, net in nets.items():
    units = [f"stage{stage}_block{number}" for stage in (1, 2, 3) for number in range(1, 10)]
    signals = keras.Model(net.input, [output_of(net, unit) for unit in units])(images, training=True)
    mean_squares[name] = np.array([np.mean(np.square(x)) for x in signals])

# %%
fig, ax = plots.figure()
for number, (name, values) in enumerate(mean_squares.items()):
    plots.line(ax, number, np.arange(1, 28), values, name)
ax.set(xlabel="unit", ylabel="mean square of its output", ylim=(0, None))
ax.legend()
alt = "Mean square of the signal after each of 27 units: two saw-tooth lines that climb evenly in each stage."
plots.show(fig, alt, f"16 images of {dataset.title}, before training")

# %% [markdown]
# **Figure.** In a fresh net of 56 layers the mean square of the signal climbs along a straight line within each
# stage. It falls where stages 2 and 3 begin: there the shortcut is zero in half of the channels.

# %% tags=["nbval-ignore-output"]
for name, values in mean_squares.items():
    growth = (values[8::9] - values[::9]) / 8  # from the first unit of a stage to its ninth
    print(f"{name}: {growth.round(2)} more with each unit of stages 1, 2, 3")
    assert np.all(np.abs(growth - 1) < 0.7)

# %% [markdown]
# By an equal amount, in version 2 about one a unit and in version 1 (in the stored run) about 0.8, where a chain of
# units without norms made it threefold each time (lesson 02). In version 2 a branch begins with a batch norm, so what
# it adds does not depend on how large the signal is. And the amount can be foreseen: a normalized channel has mean
# square 1, its ReLU about one half, and He's initial weights double it. (In version 1 the branch ends in a batch norm,
# so it brings 1; the ReLU after the addition takes some of it away.) So unit 100 adds as much as unit 1, to a signal
# that is larger by then: the deeper a unit stands, the smaller is the part of its output that is its own.
#
# ### What tells the two apart?
#
# **Predict.** Version 2 has moved layers, added a batch norm at the end, and dropped one from the very first unit.
# Does it have more parameters than version 1, fewer, or as many?

# %%
from resnet_lessons import accounting

for depth in (20, 56, 110):
    first, second = (accounting.count(Spec(family, depth, block="basic")) for family in ("v1", "v2"))
    print(f"{depth} layers: version 1 {first.parameters:,} parameters, version 2 {second.parameters:,}")

# %% [markdown]
# As many. Each convolution's channels still meet one batch norm: the one after a unit's last convolution has moved
# past the addition to the start of the next unit, and behind the last unit it stands before the average. **A
# parameter count does not tell version 1 from version 2.** What they do with a signal tells them apart. Set the last
# convolution of every branch to zero. Then each branch is *silent*, as in lesson 02, and only the shortcuts speak.
# Send numbers of both signs through the eight units of the stretch.
#
# **Predict.** What comes out of each net: the numbers as they were, the numbers with the negative ones set to zero,
# or others?


# %%
def silence(net):
    """Set the last convolution of every branch to zero."""
    for layer in net.layers:
        if layer.name.startswith("stage") and layer.name.endswith("_conv2"):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    return net


def through(net, x, training=True):
    """Send x through the stretch of eight units; return what comes out."""
    start, end, _ = stretch(net)
    return np.array(keras.Model(start, end)(x, training=training))


# %%
signal = np.random.default_rng(0).normal(size=(16, 16, 16, 32)).astype("float32")
for name, net in nets.items():
    passed = through(silence(net), signal)
    untouched, rectified = np.array_equal(passed, signal), np.array_equal(passed, np.maximum(signal, 0))
    print(f"{name}: untouched {untouched}, rectified {rectified}")

# %% [markdown]
# Bit for bit. You can put this test to any "ResNet v2" you meet: a net that fails it is not version 2. Section 7
# makes use of it.
#
# ## 3 What if the shortcut does something?
#
# Let $h(x) = \lambda x$. Then Eq. 4 and 5 become (Eq. 7 and 8)
#
# $$ x_L = \lambda^{L-l} x_l + \ldots , \qquad
#    \frac{\partial \mathcal E}{\partial x_l} = \frac{\partial \mathcal E}{\partial x_L}
#    \bigl( \lambda^{L-l} + \ldots \bigr) . $$
#
# With $\lambda$ above 1 the power explodes, between 0 and 1 it vanishes. Other shortcuts do similar things in less
# simple ways. He et al. (2016, Table 1) tried the following on ResNet-110; the package puts each on every shortcut of
# a net, the resized ones too:
#
# | shortcut | shortcut times | branch times | test error of ResNet-110, % |
# |---|---|---|---|
# | identity | 1 | 1 | 6.61 |
# | constant scaling | 0 | 1 | fail |
# | constant scaling | 0.5 | 1 | fail |
# | constant scaling | 0.5 | 0.5 | 12.35 |
# | exclusive gating, bias 0 to -5 | 1 - g(x) | g(x) | fail |
# | exclusive gating, bias -6 | 1 - g(x) | g(x) | 8.70 |
# | exclusive gating, bias -7 | 1 - g(x) | g(x) | 9.81 |
# | shortcut-only gating, bias 0 | 1 - g(x) | 1 | 12.86 |
# | shortcut-only gating, bias -6 | 1 - g(x) | 1 | 6.91 |
# | 1x1 convolution | a matrix | 1 | 12.22 |
# | dropout, half of the values | 0 at random | 1 | fail |
#
# All figures are *quoted*; "fail" is an error above 20%. A gate $g(x) = \sigma(Wx + b)$ is a 1x1 convolution with a
# sigmoid, $\sigma(z) = 1 / (1 + e^{-z})$; its bias $b$ has the given value at the start and is then learned. One of
# them in code, exclusive gating in the unit of section 2. Its gate sees what the branch sees, x after the unit's
# first batch norm and ReLU.


# %%
def gated_unit(x, filters, bias):
    """Map (B, H, W, C) to the same shape: g F(x) + (1 - g) x, with a gate g that begins at this bias."""
    activated = norm_relu(x)
    y = conv(norm_relu(conv(activated, filters)), filters)
    initial = {"kernel_initializer": "he_normal", "bias_initializer": keras.initializers.Constant(bias)}
    g = layers.Conv2D(filters, 1, activation="sigmoid", **initial)(activated)
    return layers.Add()([g * y, (1 - g) * x])


# %% [markdown]
# The package's unit with the same weights, and a gate with a bias at which shortcut and branch both count:

# %%
from resnet_lessons import blocks

x = keras.Input((16, 16, 32))
by_hand = keras.Model(x, gated_unit(x, 32, bias=-1))
unit = blocks.Unit("unit", width=32, shortcut="A", skip="exclusive-gating", order="full-pre")
packaged = keras.Model(x, blocks.unit(x, unit))
packaged.set_weights(by_hand.get_weights())
noise = np.random.default_rng(1).normal(size=(8, 16, 16, 32)).astype("float32")
for training in (False, True):
    same = np.allclose(packaged(noise, training=training), by_hand(noise, training=training), atol=1e-3)
    print("training:" if training else "inference:", "same outputs" if same else "different outputs")

# %% [markdown]
# One builder makes all six: the `skip` of a `Spec`. For constant scaling the package scales shortcut and branch by
# 0.5, and it starts gates at a bias of -6. Silence the branches again, and see what the shortcuts alone carry through
# eight units. The equations are tested on version 2, where they hold.
#
# **Predict.** For each of the six: is what comes out the signal, a smaller or larger copy of it, or something else?

# %%
from resnet_lessons import specs


def silent(skip):
    """Build a version 2 net of 56 layers with silent branches and one of the six shortcuts."""
    keras.utils.set_random_seed(0)
    return silence(models.build(Spec("v2", 56, block="basic", skip=skip)))


def size(x):
    """Return the root of the mean square."""
    return np.sqrt(np.mean(np.square(x)))


# %% tags=["nbval-ignore-output"]
out = {skip: through(silent(skip), signal) for skip in specs.SKIPS}
print(f"{'shortcut':18}{'size':>10}{'correlation':>13}{'zeros':>8}")
for skip, x in out.items():
    correlation = np.corrcoef(x.ravel(), signal.ravel())[0, 1]
    print(f"{skip:18}{size(x) / size(signal):10.5f}{correlation:13.3f}{np.mean(x == 0):8.3f}")
assert all(np.isfinite(x).all() for x in out.values())

# %% [markdown]
# The size is that of the output over that of the input; the correlation is between the two; zeros are a share of the
# output's values. Three rows can be held to an exact formula.

# %%
print("identity: the signal, bit for bit:", np.array_equal(out["identity"], signal))
print("constant scaling: 2^-8 of it, bit for bit:", np.array_equal(out["constant-scaling"], signal / 2**8))
kept = out["dropout"] != 0
print("dropout: what is left is 2^8 times as large:", np.allclose(out["dropout"][kept], signal[kept] * 2**8))
assert 0.5 < np.mean(kept) * 2**8 < 2  # of the values, about 2^-8 are left

# %% [markdown]
# - **Constant scaling** halves the signal eight times. Over the 54 units of ResNet-110 it would be $2^{-54}$.
# - **Dropout** keeps a value through eight units in one case of 256. Keras divides what it keeps by the share kept,
#   so the *mean* is preserved, and the few values left are 256 times as large. The paper counts dropout as a scaling
#   by 0.5 on average; with this division it is not one, and what destroys the signal is the noise.
# - **The 1x1 convolution** keeps the size of the signal, and none of its values: what comes out has next to no
#   correlation with what went in. In version 2 it follows the unit's first batch norm and ReLU. So the eight
#   shortcuts are themselves a plain net of eight random layers.
# - **Gates** with a bias of -6 let nearly everything pass. That is no property of gates, but of the bias.
#
# ### Why -6?
#
# If its weights $W$ are zero, a gate is $\sigma(b)$ everywhere. ResNet-110 has 54 units.
#
# **Predict.** How low must the bias be so that half of a signal passes 54 gated shortcuts: about -1, -2, -4 or -8?
#
# **Exercise 2** (5 minutes). How much is left after so many units?


# %%
def passed_share(bias, units):
    """Return the share of the signal, 0 to 1, that passes so many gated shortcuts."""
    return ...


checks.passed_share(passed_share)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\sigma(b) = 1 / (1 + e^{-b})$. One unit leaves $1 - \sigma(b)$. The next leaves the same share of what is left.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def passed_share(bias, units):
#     return (1 - 1 / (1 + np.exp(-bias))) ** units
# ```
#
# </details>
#
# Here is the share for six biases.

# %%
fig, ax = plots.figure()
count = np.arange(1, 55)
for number, bias in enumerate((0, -2, -4, -5, -6, -7)):
    plots.line(ax, number, count, (1 / (1 + np.exp(bias))) ** count, f"bias {bias}")
ax.set(xlabel="units", ylabel="share of the signal left", ylim=(0, 1.02))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plots.show(fig, "Share of the signal left against units for six biases: from near 0 at bias 0 to 0.95 at bias -7.")

# %% [markdown]
# **Figure.** Half of a signal passes 54 gated shortcuts (weights zero) at a bias between -4 and -5; at -6 most of it
# does.
#
# Check the formula with the package's gates, over eight units and with weights of zero, and then ask what a bias
# costs: in *exclusive* gating the same gate weighs the branch.

# %%
net = silent("exclusive-gating")
for bias in (0, -3, -6):
    for layer in net.layers:
        if layer.name.endswith("_gate"):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
            layer.bias.assign(np.full(layer.bias.shape, bias))
    measured = size(through(net, signal)) / size(signal)
    print(f"bias {bias:2}: measured {measured:.3f}, computed {(1 / (1 + np.exp(bias))) ** 8:.3f}")

# %%
print("bias   passes 54 shortcuts   weight of a branch")
for bias in (0, -2, -4, -5, -6, -7, -10):
    print(f"{bias:4}{(1 / (1 + np.exp(bias))) ** 54:22.3g}{1 / (1 + np.exp(-bias)):21.2g}")

# %% [markdown]
# The formula holds. For a bias of -6 it says 0.980, where the table of the six shortcuts has less (0.969 in the
# stored run): the gates' weights are random there, not zero.
#
# At -6 the shortcuts of ResNet-110 carry 87% of the signal, at -4 only 38%, at 0 nothing. But in exclusive gating a
# branch starts with the weight that its shortcut lacks: 0.0025 at -6, and almost nothing at -10. So the bias must be
# low enough for the shortcuts and high enough for the branches. Of the paper's gates those with a bias of -6 do best
# (*quoted*); our computation says why the best cannot lie near 0, nor very low, but not that it is -6 and not -5: that
# took training. In *shortcut-only* gating the branch has no gate, and -6 brings the unit close to the identity's: 6.91%
# against 6.61% (*quoted*).
#
# The share is not everything. Shortcut-only gating with bias 0 passes $2^{-54}$ of the signal at the start, and still
# trained to 12.86% (*quoted*): the branches carried it, as in a plain net, and the gates are free to learn.
#
# **Exercise 3** (10 minutes). The other way round: which bias lets a given share pass so many units? It tells you
# what a gated ResNet-1001, with 333 units, would need.


# %%
def gate_bias(units, share):
    """Return the bias at which ``share`` of the signal, 0 to 1, passes so many gated shortcuts."""
    return ...


checks.gate_bias(gate_bias)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Let $q$ be the share that one unit leaves, so that $q^L$ is the given share. Then $1 - \sigma(b) = q$; solve it for
# $b$.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def gate_bias(units, share):
#     q = share ** (1 / units)
#     return np.log((1 - q) / q)
# ```
#
# </details>
#
# ### And the gradient?
#
# Eq. 8 says that the shortcuts halve the gradient in each unit, too.
#
# **Predict.** In a 56-layer net with halved shortcuts, will the kernels of the first layers get smaller gradients
# than those of the last layers, equal ones or larger ones?
#
# For this, and for the trainings below, take version 1, as Table 1 of the paper does.

# %%
from resnet_lessons import diagnostics

shortcuts = {skip: Spec("v1", 56, skip=skip) for skip in ("identity", "constant-scaling", "conv")}
norms = {}
for name, spec in (shortcuts | {"no shortcut": Spec("plain", 56)}).items():
    keras.utils.set_random_seed(0)
    _, norms[name] = diagnostics.gradient_norms(models.build(spec), images, labels)

# %%
fig, ax = plots.figure()
plots.layer_profile(ax, norms.items(), "gradient norm")
alt = (
    "Gradient norm of each convolution, three kinds of shortcut and none. In the stored run it varies within a factor "
    "of ten with the identity, and grows 300- to 1,200-fold towards the first layer with the others."
)
plots.show(fig, alt, f"16 images of {dataset.title}, before training")

# %% [markdown]
# **Figure.** Norm of the gradient for each convolution kernel before training, the first convolution's and the
# branches', 56 layers. In the stored run it varies within a factor of ten with the identity, and grows 300- to
# 1,200-fold towards the first layer with the others.

# %% tags=["nbval-ignore-output"]
for name, values in norms.items():
    print(f"{name:17} first layer {values[0] / values[-1]:6.0f} times the last")
    assert (values[0] > 30 * values[-1]) == (name != "identity")

# %% [markdown]
# *Larger*, as in the plain net of lesson 01. Eq. 8 does not say otherwise: it has a second term. How large is the
# first, the one that the shortcuts carry? Over our stretch of eight units it is $\lambda^8$ times the gradient at
# $x_L$. Here we are back at version 2, where Eq. 8 holds.

# %% tags=["nbval-ignore-output"]
for skip, factor in {"identity": 1, "constant-scaling": 2**-8}.items():
    keras.utils.set_random_seed(0)
    net = models.build(Spec("v2", 56, block="basic", skip=skip))
    x_l = np.array(keras.Model(net.input, stretch(net)[0])(images, training=True))
    at_x_L, at_x_l, _ = gradients_at(net, x_l)
    at_x_L, at_x_l = np.linalg.norm(at_x_L), np.linalg.norm(at_x_l)
    print(f"{skip:17} at x_l {at_x_l / at_x_L:.1f} times that at x_L, the shortcuts' part {factor:.3f} times")
    assert at_x_l > 100 * factor * at_x_L or skip == "identity"

# %% [markdown]
# With halved shortcuts next to nothing of the gradient comes by the direct path; what arrives has been through the
# branches. Why it grows there can be argued, though we do not measure it: the halved signal is small, the batch norms
# scale it up, and what scales a signal up scales its gradient up as well. In this respect the net is a plain net.
#
# ### A short training for each
#
# Now train ResNet-20 with each of the six, by the recipe of lesson 01. One net alone tells nothing about how much is
# chance, so the identity is trained twice, from two seeds.
#
# **Predict.** Which of the five others will differ from the first identity run in training error by more than the
# second identity run does?

# %%
import dataclasses

from resnet_lessons import training

halves = dataclasses.replace(recipe, steps_per_epoch=recipe.steps // 2)  # validate after each half: it takes time


def train(seed=0, **choice):
    """Train 20 layers of basic units with this skip or order by the recipe."""
    training_part, held_back = batches.train_and_validation(dataset, halves, seed=seed)
    return training.fit(Spec("v1", 20, **choice), halves, training_part, held_back, seed=seed)


# %% tags=["nbval-ignore-output"]
again = train(seed=1)
by_skip = {skip: train(skip=skip) for skip in specs.SKIPS}
print(f"{recipe.steps} updates each, {again.seconds + sum(run.seconds for run in by_skip.values()):.0f} s in all")
assert all(np.isfinite(run.step_loss).all() for run in by_skip.values())

# %%
fig, ax = plots.figure()
plots.loss_curves(ax, by_skip.items())
alt = "Training loss of ResNet-20 with six kinds of shortcut: in the stored run five fall, that of dropout stays high."
plots.show(fig, alt, dataset.title)

# %% [markdown]
# **Figure.** Training loss of ResNet-20, a mean over ten updates. In the stored run all but the net with dropout get
# below the loss of guessing; those with halved shortcuts or exclusive gates fall the least. The
# second run of the identity would be a seventh line, more than a reader can tell apart; it is in the table.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import results


def last_errors(run):
    """Return training and validation error of the last epoch, percent."""
    return tuple(100 * run.epochs[-1][part] for part in ("train_error", "val_error"))


def show_errors(runs, paper_nets):
    """Print the errors of our short runs, and beside them those quoted for the paper's nets."""
    print(f"{'':18}ours, 20 layers, {recipe.steps} updates     quoted, ResNet-110, 64,000 updates")
    for name, run in runs.items():
        quoted = results.published(paper_nets[name]) if name in paper_nets else ()
        test = f"test {quoted[0].error:5.2f}" if quoted else ""
        print("{:18}training {:.1f}, validation {:.1f}    {}".format(name, *last_errors(run), test))


paper_nets = {skip: Spec("v1", 110, skip=skip) for skip in specs.SKIPS}
show_errors(by_skip | {"identity, again": again}, paper_nets)
assert all(len(run.step_error) == recipe.steps for run in by_skip.values())

# %% [markdown]
# All are errors in percent. Ours are those of a net that has just started, in training the mean over the second half of
# the run. The quoted ones are test errors of a net more than five times as deep after the whole recipe, medians of five
# runs. (For dropout the paper says "fail".) They share the rows, not a scale.
#
# Compare the two runs of the identity first: same net, another seed. In the stored run their training errors are 2.6
# points apart. From the first of them four of the five differ by more: dropout by 7.9, halving by 6.7, exclusive
# gating by 4.7 and 1x1 convolutions by 3.2; gates on the shortcut alone by 0.1. By the loss curves exclusive gating
# starts more slowly than 1x1 convolutions; the validation errors of the two are nearly equal (81.4 and 81.2). That is
# one seed each and 56 updates of 64,000: **no ranking follows from this table**. Nor can it show what Table 1 shows,
# for two more reasons. A signal halved nine times is not halved 54 times, and Table 1 is about where training ends,
# not how it starts.
#
# One row stands apart: with dropout the validation error is that of guessing. While training, half of each shortcut
# is dropped; in inference nothing is, and the batch norms may meet a signal that is not the one whose statistics they
# have kept. If that is the reason, the same weights must do better on the same images *in training mode*, and gain
# more by it than those of the net with identity shortcuts.

# %% tags=["nbval-ignore-output"]
some_images, some_labels = held_back[0]  # images that no net was trained on
for skip in ("identity", "dropout"):
    net = models.build(by_skip[skip].spec)  # a copy: training mode moves the statistics
    net.set_weights(by_skip[skip].model.get_weights())
    for mode in (False, True):
        outputs = [np.array(net(part, training=mode)) for part in np.split(some_images, 10)]
        chosen = np.concatenate(outputs).argmax(axis=1)
        error = 100 * np.mean(chosen != some_labels)
        name = "training" if mode else "inference"
        print(f"{skip:9} {name:9} mode: {error:.1f}% of {len(chosen)} images wrong, ", end="")
        print(f"most often chosen: one class for {np.bincount(chosen).max()} images")
        assert np.isfinite(outputs).all()

# %% [markdown]
# In the stored run the error falls by 6 points with dropout and by 3 with the identity, on 500 images, where its
# standard error is about 2: that fits, but settles nothing. The guesses fit too: with dropout 495 of 500 go to one
# class in inference and 195 in training mode; with the identity 161 and 149. But dropping at random spreads guesses by
# itself. So the net with dropout is near guessing in inference, and a little better, perhaps, in training mode. (The
# "fail" of Table 1 stands after the whole training. Whether it has the same reason, the paper does not say.)
#
# ## 4 Where the activations stand
#
# By Table 1 the shortcut is settled (*quoted*): the identity. What about $f$, and the order inside the branch? He et
# al. (2016, Fig. 4 and Table 2) compare five orders of the same layers. The package keeps them in one small table, from
# which these drawings are made.

# %%
fig, axes = plots.figure(5, width=10, height=4.2)
for ax, (name, order) in zip(axes, blocks.ORDERS.items(), strict=True):
    parts = [order.before, "conv", order.between, "conv", order.last, "+", order.after]
    plots.unit_diagram(ax, " ".join(parts).split(), "solid")
    ax.set_title(name, fontsize=10)
alt = "Five units, each with two convolutions, norms and ReLUs around a shortcut, in the five orders of the text."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The five orders that the second paper compares differ in where batch norm (bn), ReLU and addition stand;
# in three of them nothing follows the addition.
#
# | order | test error of ResNet-110, % | of ResNet-164, % |
# |---|---|---|
# | original | 6.61 | 5.93 |
# | batch norm after the addition | 8.17 | 6.50 |
# | ReLU before the addition | 7.84 | 6.14 |
# | ReLU-only pre-activation | 6.71 | 5.91 |
# | full pre-activation (version 2) | 6.37 | 5.46 |
#
# All *quoted* from Table 2. Two questions can be put to fresh nets without training: what do the shortcuts do to a
# signal if the branches are silent, and of which sign is what a branch adds?
#
# **Predict.** Which of the five pass a signal of both signs untouched? Which have a branch that can only add?

# %%
for order in specs.ORDERS:
    keras.utils.set_random_seed(0)
    net = models.build(Spec("v1", 56, order=order))
    start, _, branches = stretch(net)
    added = keras.Model(start, branches)(signal, training=True)
    only_adds = min(np.min(x) for x in added) >= 0
    passed = through(silence(net), signal)
    fates = {"untouched": signal, "rectified": np.maximum(signal, 0)}
    fate = next((name for name, x in fates.items() if np.array_equal(passed, x)), "changed")
    print(f"{order:16} signal {fate:10} branch only adds: {only_adds}")

# %% [markdown]
# - **original**: this signal is rectified once, and then passes all other ReLUs. In the net, where what arrives has
#   been through a ReLU already, silent branches lose nothing; it is the *sums* of section 1 that each ReLU cuts.
# - **bn-after-add**: batch norm stands in the way of the signal itself, in every unit, and changes it each time.
# - **relu-before-add**: the shortcuts are clean, but the branch gives nothing below zero. The signal can only grow.
# - **relu-pre**: both are clean. But its first convolution sees a signal that no batch norm has seen, whatever its
#   size.
# - **full-pre**: both are clean, and each convolution sees a normalized input.
#
# The paper's errors fit these remarks in part. Worst are the order with a batch norm on the signal's path and the one
# whose branch only adds, and full pre-activation is best. But ReLU-only pre-activation, whose path is clean, is no
# better than the original at 110 layers. Train the four that are new; the original is the identity's run above.
# (`Spec("v1", 20, order="full-pre")` is the same net as `Spec("v2", 20, block="basic")`, as lesson 03 shows.)

# %% tags=["nbval-ignore-output"]
by_order = {"original": by_skip["identity"]} | {order: train(order=order) for order in specs.ORDERS[1:]}
paper_nets = {order: Spec("v1", 110, order=order) for order in specs.ORDERS}
paper_nets["full-pre"] = Spec("v2", 110, block="basic")
show_errors(by_order, paper_nets)
print(f"{sum(run.seconds for run in list(by_order.values())[1:]):.0f} s")
assert all(np.isfinite(run.step_loss).all() for run in by_order.values())

# %%
fig, ax = plots.figure()
plots.loss_curves(ax, by_order.items())
alt = (
    "Training loss of 20 layers in five orders: relu-before-add starts above the loss of guessing, the others near it."
)
plots.show(fig, alt, dataset.title)

# %% [markdown]
# **Figure.** Training loss of 20 layers, a mean over ten updates. In the stored run the net with a ReLU before the
# addition starts above the loss of guessing and comes down to it; the other four fall below it.
#
# In the stored run the training errors of the five lie within six points, twice what two seeds of one net differ by.
# Nothing is to be ranked. That one loss starts high may come from the branches that only add: the sums, and with them
# the logits, start larger. That is an argument and not measured here; section 8 has you measure it. The paper's own
# differences are a tenth of a point to two points, after 64,000 updates.
#
# ## 5 Is a unit added without harm?
#
# Some tutorials claim that a residual unit can be added in the middle or at the end of a net without harm. Test it on
# the two nets just trained: version 1 (`original`) and version 2 (`full-pre`). Give each a fourth unit at the end of
# every stage: two in the middle of the net and one at its end. Either the new branches are silent, or they have the
# fresh weights that the package gives them.
#
# **Predict.** What happens to the outputs of the trained net in the four cases?


# %%
def extended(trained, order, depth, silent):
    """Build the net of this depth with the weights of a trained one of 20 layers, where it has the same layers."""
    keras.utils.set_random_seed(1)
    net = models.build(Spec("v1", depth, order=order))
    known = {layer.name: layer for layer in trained.layers}
    if silent:
        silence(net)
    for layer in net.layers:
        if layer.name in known:
            layer.set_weights(known[layer.name].get_weights())
    return net


# %%
def add_units(trained, order, images, labels):
    """Add three units to a trained net of 20 layers; print errors, and return by how much the outputs change."""
    before, changes = extended(trained, order, 20, silent=False).predict(images, verbose=0), {}
    print(f"{order}: {100 * np.mean(before.argmax(axis=1) != labels):.1f}% of {len(labels)} images wrong")
    for kind in ("silent", "fresh"):
        after = extended(trained, order, 26, silent=kind == "silent").predict(images, verbose=0)
        changes[kind] = relative_error(before, after)
        print(f"  {kind} units added: {100 * np.mean(after.argmax(axis=1) != labels):.1f}% wrong, ", end="")
        print(f"outputs changed by {changes[kind]:.2g} of their size")
    return changes


# %% tags=["nbval-ignore-output"]
for order in ("original", "full-pre"):
    changes = add_units(by_order[order].model, order, some_images, some_labels)
    assert changes["silent"] < 1e-4 < 0.1 < changes["fresh"]

# %% [markdown]
# These nets have little to lose after 56 updates. The ResNet-20 that ships trained has more: it has made 8,000
# updates by the recipe "short" (1,000 on shapes10, if CIFAR-10 is not at hand). The images are some that its
# run held back.

# %% tags=["nbval-ignore-output"]
_, unseen = batches.train_and_validation(dataset, recipes.get("short"))
changes = add_units(training.trained(Spec("v1", 20), dataset.name), "original", *unseen[0])
assert changes["silent"] < 1e-4 < 0.1 < changes["fresh"]

# %% [markdown]
# In the middle *or* at the end, the claim says. Leave two of the three silent, and give one its fresh weights.

# %% tags=["nbval-ignore-output"]
shipped = training.trained(Spec("v1", 20), dataset.name)
fresh, before = extended(shipped, "original", 26, silent=False), shipped.predict(unseen[0][0], verbose=0)
for stage in (1, 2, 3):
    net = extended(shipped, "original", 26, silent=True)
    for layer in fresh.layers:
        if layer.name.startswith(f"stage{stage}_block4"):
            net.get_layer(layer.name).set_weights(layer.get_weights())
    after = net.predict(unseen[0][0], verbose=0)
    wrong = 100 * np.mean(after.argmax(axis=1) != unseen[0][1])
    print(f"a fresh unit at the end of stage {stage}: {wrong:.1f}% wrong")
    assert relative_error(before, after) > 0.1

# %% [markdown]
# So the claim holds on one condition: the new unit must start **silent**. Then the outputs are the same, whichever
# the version. In version 2 that is the identity shortcut alone. In version 1 a ReLU comes after it, and it changes
# nothing only because what arrives has been through a ReLU before, as in lesson 01's 56-layer net.
#
# With the weights that a unit gets by default the outputs change. In the stored run the short-trained nets lose some
# points, and the trained one nearly all it had learned: 88.4% wrong in place of 12.6%. A single fresh unit leaves 81.0,
# 48.0 or 36.2% wrong: it does harm in the middle and at the end, and the less the nearer to the end. A branch with
# random weights adds random numbers, and a shortcut does not keep them out. (Nor does batch norm hold them down: in
# inference a fresh one has mean 0 and variance 1, and normalizes nothing. How much of the harm that makes is not
# measured.) Whether a few further updates would undo the harm is not tested here.
#
# ## 6 A thousand layers
#
# For its deepest nets the second paper takes **bottleneck** units: a 1x1 convolution down to fewer channels, the 3x3,
# and a 1x1 up again (lesson 04). With three convolutions a unit and n units a stage the net has $9n + 2$ layers.
# Inside a unit there are 16, 32, 64 channels; four times that leaves it.
#
# **Predict.** ResNet-110 of basic units has 1,727,962 parameters (section 2). How many has ResNet-1001, about: 2, 10
# or 50 million?

# %%
from resnet_lessons import tables

rows = []
for n in (2, 3, 6, 12, 18, 111):
    spec = Spec("v2", specs.depth_for("v2", n))
    count = accounting.count(spec)
    rows.append([n, spec.depth, f"{count.parameters:,}", f"{count.multiply_adds / 1e6:,.0f} million"])
header = ["n", "layers 9n+2", "parameters", "multiply-adds per image"]
tables.html_table(rows, header, ["right"] * 4)

# %% [markdown]
# The last two are the paper's ResNet-164 and ResNet-1001. The latter has nine times the layers of the paper's
# ResNet-110, which has basic units, and six times its parameters. (The 110 layers of this table are bottlenecks, a
# net that the paper does not have.) *Quoted* (Table 3, median test error on CIFAR-10 of 5 runs):
#
# | layers | version 1 | version 2 |
# |---|---|---|
# | 110 (basic units) | 6.61 | 6.37 |
# | 164 | 5.93 | 5.46 |
# | 1001 | 7.61 | 4.92 |
#
# At 110 layers the two differ by a quarter of a point, at 1001 by 2.7. (The first paper prints the same 6.61 as a mean
# of five runs.) The paper's reading (Sec. 4.2): in nets of 164 layers the ReLU after the addition does little harm, for
# after some training it seldom has anything to cut; in 1001 layers it cuts more often. What version 2 gains in the
# shallower nets the paper puts down to regularization by its batch norms.
#
# Training the last one takes three times its 1,488 million multiply-adds (once forward, about twice back) for each of
# 128 images, in each of 64,000 updates. At the rate of ResNet-20 in lesson 03's stored run, on two cores, that is about
# five days; bottlenecks get less out of each second (lesson 04), so longer (estimated). Building it takes less than a
# minute. Let go of the other nets first, to have room for it. (What draws or prints them above then has to be run again
# from its training on.)

# %%
import gc

again = by_skip = by_order = nets = net = shipped = fresh = layer = start = branches = None
_ = gc.collect()  # the layers of a net refer to each other, so nets that are gone wait for this

# %% tags=["nbval-ignore-output"]
import time

began = time.perf_counter()
keras.utils.set_random_seed(0)
thousand = models.resnet_v2(1001)
print(f"built in {time.perf_counter() - began:.0f} s")
convolutions = [layer for layer in thousand.layers if isinstance(layer, layers.Conv2D)]
assert len(convolutions) == 1 + 9 * 111 + 3  # the first, the units', and three projections

# %%
spec = Spec("v2", 1001)
total = accounting.account(thousand).total
print(f"{len(thousand.layers):,} layers of all kinds, {total.parameters:,} parameters")
print("read off the net as by arithmetic:", total == accounting.count(spec))

# %% [markdown]
# And the direct path, in the largest net of this course: silence its branches, and send a signal of both signs
# through the 110 units of stage 3 that have an identity shortcut, 330 convolutions.

# %%
for layer in thousand.layers:
    if layer.name.startswith("stage3") and layer.name.endswith("_conv3"):
        layer.kernel.assign(np.zeros(layer.kernel.shape))
deepest = keras.Model(output_of(thousand, "stage3_block1"), output_of(thousand, "stage3_block111"))
wide = np.random.default_rng(0).normal(size=(2, 8, 8, 256)).astype("float32")
print("110 units, untouched:", np.array_equal(np.array(deepest(wide, training=True)), wide))

# %% [markdown]
# **Exercise 4** (30 minutes). Count the trainable parameters of the net of 9n+2 layers by hand. You need: bottlenecks
# 1x1, 3x3, 1x1 in pre-activation order; widths 16, 32, 64 inside and 64, 128, 256 outside; no biases but the
# classifier's; a bare 1x1 projection in the first unit of *each* stage, the first included, where 16 channels come
# in; a batch norm after the first convolution of the net and at its end; none before `conv1` of the very first unit.


# %%
def bottleneck_parameters(n):
    """Return how many trainable parameters the version 2 net of 9n+2 layers has."""
    return ...


checks.bottleneck_parameters(bottleneck_parameters)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A unit with $C$ channels in, $w$ inside and $4w$ out has $Cw + 9w^2 + 4w^2$ weights in its convolutions. Its batch
# norms stand before them, so they have $C$, $w$ and $w$ channels, two parameters for each. Count the first unit of a
# stage apart from the others.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def bottleneck_parameters(n):
#     def unit(channels, width):
#         kernels = channels * width + 9 * width**2 + width * 4 * width
#         return kernels + 2 * (channels + width + width)
#
#     total = 3 * 3 * 3 * 16 + 2 * 16  # the first convolution and its batch norm
#     channels = 16
#     for width in (16, 32, 64):
#         total += unit(channels, width) + channels * 4 * width  # the projection
#         channels = 4 * width
#         total += (n - 1) * unit(channels, width)
#     total -= 2 * 16  # the very first unit has no batch norm before conv1
#     return total + 2 * 256 + 256 * 10 + 10
# ```
#
# </details>
#
# ### Recorded: small nets
#
# Table 3 begins at 110 layers. The runs shown here have at most 56, and 8,000 updates where the paper has 64,000 (the
# recipe "short": batches of 128, the rate 0.1 divided by 10 after 4,000 and after 6,000). Version 1 has
# basic units here and version 2 bottlenecks, the package's defaults. (Table 3 compares like with like: basic units at
# 110 layers, bottlenecks at 164 and 1001.)
#
# **Predict.** Of the two versions at 20 layers, which has more units on its direct path? And which ends with the lower
# test error?

# %%
nets = [Spec(family, depth) for family in ("v1", "v2") for depth in (20, 56)]
recorded = results.groups(data="cifar10", recipe="short", specs=nets)  # a group is all seeds of one net
seeds = {group.spec: len(group.seeds) for group in recorded}
for spec in nets:
    parameters = accounting.count(spec).parameters
    recordings = f"seeds recorded: {seeds.get(spec, 'none yet')}"
    print(f"{spec.name}: {3 * spec.n:2} units, {parameters:7,} parameters, {recordings}")

# %% [markdown]
# The basic one has nine units, the one of bottlenecks six, where the nets of Table 3 have 54 to 333. So a pair of
# equal depth differs in more than the order of the layers, and a difference between its test errors cannot be put
# down to the order alone. Of version 2 one run ships, 20 layers from seed 0, and none of 56 layers.

# %%
fig, ax = plots.figure(width=9)
plots.recorded_curves(ax, [(group.spec.name, group) for group in recorded], validation=True)
names = " and ".join(spec.name for spec in seeds)
alt = f"Recorded errors against updates of {names}: training error as lines, validation error as marks."
plots.show(fig, alt, next((group.data_title for group in recorded), None))

# %% [markdown]
# **Figure.** Recorded errors, training as lines and validation as marks: the 20 and the 56 layers of version 1 end
# with nearly the same errors, the 20 layers of version 2 above both. The marks scatter from pass to pass while the
# rate is high, and settle where it drops. The legend says how many seeds a line is the mean of; the band spans
# them.

# %%
variants = [Spec("v1", 20, skip=skip) for skip in specs.SKIPS] + [Spec("v1", 20, order=order) for order in specs.ORDERS]
recorded = results.groups(data="cifar10", recipe="short", specs=nets + variants)
columns = ["network", "exactly", "parameters", "train", "recorded"]
[title] = {group.data_title for group in recorded}
print("all on", title)
results.table(recorded, columns=columns, recorded_only=True, tablefmt="html")

# %% [markdown]
# In brackets: the number of seeds; of several, mean ± standard deviation. The table lists what is recorded of the
# four nets, of the six shortcuts and of the five orders at 20 layers. Of a net without a row all that this lesson
# says of its test error is *quoted*. On re-encoded images, which have lost detail, errors are higher than on the
# original CIFAR-10; a recorded figure neither reaches nor misses a quoted one.
#
# At 20 layers version 2 ends at 17.35%, version 1 at 16.04 *(recorded)*: 1.3 points, many times what version 1's
# seeds differ by. Nothing follows for the order of the layers. Version 2 has bottlenecks here, three units fewer, a
# fifth fewer parameters and a quarter fewer multiply-adds; it has one seed; and it was trained in float32, the others
# in bfloat16. Which of these it is, nobody has measured here. Table 3 compares nets that differ in the order alone,
# and deep ones.
#
# Four of the six shortcuts have a row, the identity of three seeds, the others of one; of the five orders only the
# original has *(recorded)*. The identity has the lowest error, as in Table 1: 16.04%, with a standard deviation of
# 0.07. Shortcut-only gating has 0.4 points more. That is five of these deviations, but three seeds estimate a deviation
# badly (that of ResNet-56 is 0.28), and gating has one seed: too little to tell. Constant scaling has 1.3 more and
# exclusive gating 6. These two stand in the other order in Table 1: at a bias of -6 exclusive gating has 8.70% there,
# constant scaling 12.35% (*quoted*). There the net has 110 layers and makes 64,000 updates; these have 20 layers and
# 8,000. In exclusive gating the branch is multiplied by a gate that begins at $\sigma(-6) = 0.0025$. It is all but mute
# at first, and the gate has to open. Whether the short training is the reason, this table cannot say.
#
# ## 7 Which ResNet is this?
#
# You read "ResNet-20" or "ResNet-164 v2, 94.5%". Which network is that? The depth does not say. Any depth of the form
# $18k + 2$ is both 6n+2 and 9n+2, so 20, 56, 110 and 164 layers exist with basic units and with bottlenecks. Here are
# eight nets of 20 layers, each counted.

# %%
twenty = {
    "first paper: basic, zero padding (A)": Spec("v1", 20),
    "second paper's order, basic, A": Spec("v2", 20, block="basic"),
    "second paper's order, basic, bare projections (B)": Spec("v2", 20, block="basic", shortcut="B"),
    "basic, projections with batch norm (B)": Spec("v1", 20, shortcut="B"),
    "basic, projections everywhere (C)": Spec("v1", 20, shortcut="C"),
    "Keras example, v1": Spec("v1", 20, style="keras-example"),
    "second paper: bottlenecks": Spec("v2", 20),
    "Keras example, v2": Spec("v2", 20, style="keras-example"),
}
rows = []
for name, spec in twenty.items():
    count = accounting.count(spec)
    rows.append([name, f"{count.parameters:,}", f"{count.parameters + count.statistics:,}"])
header = ["ResNet-20", "trained", "with batch norm's statistics"]
tables.html_table(rows, header, ["left", "right", "right"])

# %% [markdown]
# The last column is what Keras's `count_params` and its summary call "total params": two numbers for one net, both of
# them right. The **Keras example** is a well-known script (`examples/cifar10_resnet.py`).
#
# Its tables give, for each version and depth, the accuracy that the script reached and a "paper" accuracy to compare it
# with. In nine places there are both a net that the script builds and a paper accuracy. (In three of them, ResNet164
# v1, ResNet164 v2 and ResNet1001 v2, the script's own accuracy is a dash.) The package knows which network has each
# paper accuracy. Count the parameters of both.
#
# **Predict.** In how many of the nine places has the script's net more than one and a half times the parameters of the
# net it is compared with?

# %%
rows = []
for network, figure in results.QUOTED_BY_KERAS_EXAMPLE.items():
    theirs, papers = (accounting.count(spec).parameters for spec in (network, figure.network))
    row = f"ResNet{network.depth} {network.family}"
    owner = f"{figure.network.family}-{figure.network.depth}, {figure.network.block}"
    accuracy = f"{100 - figure.error:.2f}"
    rows.append([row, network.block, f"{theirs:,}", accuracy, owner, f"{papers:,}", f"{theirs / papers:.2f}"])
header = ["its row", "its block", "its parameters", "quoted %", "the network that has it", "parameters", "ratio"]
align = ["left", "left", "right", "right", "left", "right", "right"]
tables.html_table(rows, header, align)

# %% [markdown]
# In four, the last ones. And in no row are the two the same network. The accuracies are *quoted* (He et al. 2015,
# Table 6; 2016, Table 3), the parameters *computed*. The script's v1 has conv biases and projections without batch
# norm. Its v2 has bottlenecks whose widths inside are 16, 64, 128, where the paper has 16, 32, 64.
#
# - The first five rows are near misses: the same units and widths, and up to 1.2% more parameters, from biases and
#   projections.
# - **ResNet164 v1** has *basic* units; the 94.07% are those of a net of *bottlenecks* with two thirds of its
#   parameters.
# - **ResNet110 v2** has *bottlenecks*; the 93.63% are those of *basic* units with half of its parameters.
# - **ResNet164 v2** and **ResNet1001 v2** have bottlenecks like the paper's, but wider ones: nearly three times the
#   parameters.
#
# So far both counts are arithmetic. The package's other way is to build a net and read its layers. Build the rows,
# all but the net of 1001 layers, and for the last three also the paper's net; each is let go before the next is
# built.

# %%
thousand = deepest = convolutions = layer = None  # a layer would keep its whole net


def built(spec):
    """Build the net, and return the parameters read off its layers."""
    gc.collect()
    return accounting.account(models.build(spec)).total.parameters


rows = [network for network in results.QUOTED_BY_KERAS_EXAMPLE if network.depth < 1001]
papers = [results.QUOTED_BY_KERAS_EXAMPLE[network].network for network in rows[-3:]]
for spec in rows + papers:
    parameters = built(spec)
    print(f"{spec.name:20} {parameters:9,} parameters, as counted: {parameters == accounting.count(spec).parameters}")

# %% [markdown]
# Counts say nothing about the version. But section 2 has a test for it. Put it to the nets of 20 layers: silence the
# last convolution of a branch, and send numbers of both signs through a unit with an identity shortcut. (With
# projections everywhere there is none, so that net is left out.) The test sees that nothing follows the addition. Two
# orders of section 4 that are not version 2 pass it as well; what tells these is what the branch begins and ends with.


# %%
def version(spec):
    """Tell version 1 from 2 by what stage 2's second unit does to a signal if its branch is silent."""
    net = models.build(spec)
    last = "conv3" if spec.block == "bottleneck" else "conv2"
    kernel = net.get_layer(f"stage2_block2_{last}").kernel
    kernel.assign(np.zeros(kernel.shape))
    unit = keras.Model(output_of(net, "stage2_block1"), output_of(net, "stage2_block2"))
    x = np.random.default_rng(0).normal(size=(2, 16, 16, unit.input.shape[-1])).astype("float32")
    return 2 if np.array_equal(np.array(unit(x)), x) else 1


for name, spec in twenty.items():
    if spec.shortcut != "C":
        print(f"{name:50} version {version(spec)}")

# %% [markdown]
# So to say which ResNet it is, say: version and order; block; widths; the shortcut where dimensions change, and
# whether batch norm follows it; biases; and whether a count includes the statistics. `Spec` holds all of this but the
# last, and `Spec.name` says what is not usual. With an accuracy go the recipe, the data, and how many seeds.
#
# ## 8 Go further
#
# - *5 minutes.* Take the bias at which half of the signal passes ResNet-1001's 333 units (exercise 3). What is the
#   weight of a branch in exclusive gating then?
# - *15 minutes.* Plot the mean square of the signal (section 2) for the five orders. Which one does not grow? Which
#   grows fastest, and what does that have to do with the sign of its branch? Look at the fresh net's logits, too.
# - *10 minutes.* Section 5 adds fresh units to the net that ships, `training.trained(Spec("v1", 20), dataset.name)`.
#   Add them with `extended`, and make ten more updates with `compile` and `train_on_batch` as in lesson 02, section 3.
#   Does the error come back?
# - *20 minutes.* Repeat the two errors of section 3's table for five seeds of `identity` and of `shortcut-gating`:
#   `train(seed=...)`. How many seeds would you need to tell the two apart after 56 updates?
# - *30 minutes.* Take a public "ResNet v2" that you have used. Write down what section 7 lists, build its `Spec`, and
#   compare the counts. If they differ, find the layer.
#
# ## 9 Summary
#
# - If shortcut and addition are both identities, the signal is an early signal plus a sum, and the gradient a late
#   gradient plus a sum. Version 2 keeps to this to rounding, version 1 misses it by more than a tenth *(computed)*.
# - Version 1 and 2 of basic units have the same parameters. With silent branches version 2 passes a signal untouched
#   and version 1 rectifies it *(computed)*.
# - In a fresh net the mean square of the signal grows by an equal amount a unit, in version 2 by about one, not by a
#   factor *(computed)*.
# - Of six shortcuts only the identity passes the signal as it is. Halving leaves $2^{-8}$ after eight units, dropout
#   $2^{-8}$ of the values, a 1x1 convolution nothing recognizable, gates $(1 - \sigma(b))^8$ *(computed)*.
# - Halved shortcuts do not make the gradients vanish here: with batch norm they grow, as in a plain net *(computed)*.
# - At a bias of -6 gated shortcuts pass 87% of a signal through ResNet-110 *(computed)*; it is the best bias of Table
#   1 *(quoted)*.
# - Of five orders only those with nothing after the addition pass a signal of both signs, and of these one has a
#   branch that only adds *(computed)*. Full pre-activation has the lowest error, at 1001 layers by 2.7 points
#   *(quoted)*.
# - 56 updates cannot rank such variants: two seeds of one are points apart *(computed, one pair of seeds)*.
# - A unit can be added without harm if it starts silent, not with fresh weights *(computed)*.
# - ResNet-1001 has 10,327,706 parameters, and is built in less than a minute *(computed)*.
# - No row of the Keras example's table has the network whose accuracy it quotes; four have 1.5 to 2.9 times its
#   parameters *(computed)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016.
# The same, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385, 2015. F. Chollet et al., the Keras
# example `cifar10_resnet.py`.
