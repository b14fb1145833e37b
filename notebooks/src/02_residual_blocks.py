# %% [markdown]
# # 02 Residual blocks
#
# *45 minutes to read and run, 35 more for the exercises. All the training takes about 80 seconds on two cores in fast
# mode, 20 minutes in full mode (estimated).*
#
# In lesson 01 a shortcut around each pair of convolutions changed how a net of 56 layers trains. What does a shortcut
# do, and which of the explanations in circulation hold? You will
#
# - see when it helps to learn what has to be *added* to x, and when it hurts;
# - build the residual unit of He et al. (2015), and a net of 56 layers that starts as the identity;
# - scale the shortcut down and measure what is left of the signal;
# - compare one layer with a shortcut and two;
# - count what the three kinds of shortcut cost, and repair a block from a tutorial;
# - test popular claims about residual nets.
#
# You should have read [lesson 01](01_degradation.ipynb). Every number is *computed* in a cell above it, *recorded* in
# a run that ships with the package or *quoted* from a paper, and the text says which.

# %% [markdown]
# ## 1 From H to F
#
# Let $H(x)$ be the mapping that a few layers should learn. In a plain net they must produce $H(x)$ itself. With a
# **shortcut** around them their output $F(x)$ is added to $x$,
#
# $$ y = F(x) + x , $$
#
# so they must produce the rest, the **residual**. Both can represent the same mappings, but the work differs: if the
# best $H$ is close to $x$, then $F$ is close to zero. He et al. (2015, Sec. 3.1) suppose that this is the easier task:
# weights of zero give zero. We try it below.
#
# **Exercise 1** (3 minutes). Write the residual of any mapping: a function that takes `h` and returns `f`.

# %%
from resnet_lessons import checks


def residual_of(h):
    """Return the function f with f(x) + x = h(x)."""
    return ...


checks.residual_of(residual_of)

# %% [markdown]
# <details><summary>Hint</summary>
#
# What you return is a function of x itself: `lambda x: ...`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def residual_of(h):
#     return lambda x: h(x) - x
# ```
#
# </details>
#
# ### Two toys, one task
#
# Try it on the smallest net that has a residual unit: two dense layers, 16 numbers in, 32 hidden, 16 out, once
# without a shortcut and once with one. With 32 hidden units both *can* do what they will be asked: $x$ is relu(x) -
# relu(-x). Both start from the same weights, at *He's scale*: normal, with variance 2 / (inputs of the layer). The 2
# makes up for what a ReLU takes from a signal, half of its mean square.

# %%
from resnet_lessons import models  # it loads Keras without its start-up messages

import keras
import numpy as np
from keras import layers, ops


def toy(residual):
    """Build two dense layers, (B, 16) to (B, 16), with or without a shortcut around them."""
    inputs = keras.Input((16,))
    y = layers.Dense(32, activation="relu", use_bias=False)(inputs)
    y = layers.Dense(16, use_bias=False)(y)
    return keras.Model(inputs, layers.Add()([y, inputs]) if residual else y)


rng = np.random.default_rng(0)
points = rng.normal(size=(512, 16)).astype("float32")
start = [rng.normal(scale=np.sqrt(2 / shape[0]), size=shape).astype("float32") for shape in [(16, 32), (32, 16)]]

# %% [markdown]
# The task is to give back what comes in, $H(x) = x$. The loss is the mean squared error, and every update sees all
# 512 points.
#
# **Predict.** Which of the two has the lower loss after 300 updates? And which one if the task is the *opposite*,
# $H(x) = -x$?

# %%
predictions = {"H(x) = x": None, "H(x) = -x": None}  # "plain" or "residual"


# %%
def learn(target, residual, updates=300):
    """Train a toy from the weights ``start``; return its loss before each update, (updates,)."""
    net = toy(residual)
    net.set_weights(start)
    net.compile(keras.optimizers.SGD(0.1), "mse")
    return [net.train_on_batch(points, target) for _ in range(updates)]


tasks = {"H(x) = x": points, "H(x) = -x": -points}
losses = {
    task: {"plain": learn(target, residual=False), "residual": learn(target, residual=True)}
    for task, target in tasks.items()
}

# %%
from resnet_lessons import plots

fig, axes = plots.figure(2)
for ax, (task, curves) in zip(axes, losses.items(), strict=True):
    for number, (kind, loss) in enumerate(curves.items()):
        plots.line(ax, number, np.arange(len(loss)), loss, kind)
    ax.set(title=task, xlabel="update", ylabel="mean squared error", yscale="log")
    ax.legend()
alt = "Two panels. Learning x, the residual toy has the lower loss throughout; learning minus x, the plain toy has."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** Where the task is the identity (left) the residual toy leads throughout; where it is the opposite (right)
# the plain one does. The scale is logarithmic.

# %%
for task, curves in losses.items():
    for kind, loss in curves.items():
        print(f"{task:9} {kind:8} loss {loss[0]:.1f} at the start, {loss[-1]:.2f} after 299 updates")

# %% [markdown]
# The plain toy finds both tasks equally hard: neither is nearer to where it starts. The residual toy starts nearer to
# one of the two. It is ahead *before* its first update where the task is the identity, and behind where it is the
# opposite, and then has to undo it. With the identity it is also the faster: its loss falls to about a fiftieth, on the
# opposite task to a twelfth or so; that of the plain toy falls to a sixteenth on either. (An argument: any weights lead
# to $F = 0$ if they shrink; those for another $F$ must be found.) So a shortcut is not a better net. It is a **guess**
# that the answer is near $x$. He et al. (2015, Sec. 3.1) do not expect the identity itself to be best. Their guess is
# that the best mapping is closer to the identity than to zero.
#
# ### Where small weights lead
#
# *Weight decay* pulls all weights a little towards zero at each update. **Predict.** What does each toy compute when
# its weights are zero? Scale the starting weights down and see.

# %%
print("weights times   toy        mean square of output   of output minus input")
for scale in (1, 0.3, 0):
    for residual in (False, True):
        net = toy(residual)
        net.set_weights([scale * weights for weights in start])
        outputs = ops.convert_to_numpy(net(points))
        size, distance = np.mean(outputs**2), np.mean((outputs - points) ** 2)
        kind = "residual" if residual else "plain"
        print(f"{scale:13}   {kind:8} {size:23.2f} {distance:23.2f}")

# %% [markdown]
# The plain toy tends to zero and forgets its input. The residual toy tends to the identity. (At full scale the plain
# toy's output has a mean square of about 2, where the points have 1: no ReLU follows its last layer.) So decay pulls
# the two to different places. In a real net it is not as plain: batch norm follows each convolution and undoes any
# scale of its kernel. There it is the scale of the batch norm that makes a branch loud or silent; section 3 uses
# that.
#
# ## 2 The residual unit
#
# The unit of He et al. (2015, Fig. 2 and Sec. 3.4) has two 3x3 convolutions, each with batch norm, and a shortcut
# around them. The second ReLU comes after the addition. The convolutions with their norms are called the **branch**.
# The package calls nets of such units `v1`, version 1; the second paper's, of lesson 05, are `v2`.


# %%
def conv_bn(x, filters, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters) by a 3x3 convolution and batch norm."""
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def pad_channels(x, filters, stride):
    """Keep every ``stride``-th pixel and append channels of zeros: shortcut A of the paper."""
    kept = x[:, ::stride, ::stride]
    return ops.pad(kept, [(0, 0), (0, 0), (0, 0), (0, filters - x.shape[-1])])


# %%
def residual_unit(x, filters, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters): relu(F(x) + x)."""
    y = layers.ReLU()(conv_bn(x, filters, stride))
    y = conv_bn(y, filters)
    shortcut = x if stride == 1 else pad_channels(x, filters, stride)
    return layers.ReLU()(layers.Add()([y, shortcut]))


# %%
fig, axes = plots.figure(2, width=6, height=3.4)
boxes = ["conv 3x3", "batch norm, ReLU", "conv 3x3", "batch norm", "+", "ReLU"]
plots.unit_diagram(axes[0], boxes, shortcut="solid")
plots.unit_diagram(axes[1], ["conv 3x3, stride 2", *boxes[1:]], shortcut="dotted")
axes[0].set_title("dimensions stay")
axes[1].set_title("dimensions change")
alt = (
    "Two residual units: a solid shortcut where dimensions stay, a dotted one where the first convolution has stride 2."
)
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The residual unit. The shortcut is solid where it carries x as it is, and dotted where the unit changes
# the dimensions of x, as in Fig. 3 of the paper.
#
# A net is a chain of units. A `residual_unit` now stands where lesson 01's `plain_net` had a pair of convolutions.


# %%
def residual_net(n):
    """Build the residual net of 6n+2 layers: (B, 32, 32, 3) to (B, 10) logits."""
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(conv_bn(inputs, 16))
    for stage, filters in enumerate([16, 32, 64]):
        for unit in range(n):
            x = residual_unit(x, filters, stride=2 if stage > 0 and unit == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


# %%
fig, ax = plots.figure(width=8, height=1.7)
plots.chain_diagram(ax, [("16 channels, 32x32 pixels", 3), ("32 channels, 16x16", 3), ("64 channels, 8x8", 3)])
alt = "Eighteen convolutions in three stages, an arc over each pair; the arcs into stages 2 and 3 are dotted."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The convolutions of ResNet-20 between the first one and the classifier, and its nine shortcuts, two of
# which are dotted. Plain-20 is the same without them.
#
# The package has the net in `models.resnet_v1`. Give both the same weights and compare, as in lesson 01.

# %%
by_hand, packaged = residual_net(3), models.resnet_v1(20)
packaged.set_weights(by_hand.get_weights())
noise = np.random.default_rng(1).normal(size=(8, 32, 32, 3)).astype("float32")
for training in (False, True):
    same = np.allclose(packaged(noise, training=training), by_hand(noise, training=training), atol=1e-3)
    print("training:" if training else "inference:", "same outputs" if same else "different outputs")

# %% [markdown]
# From here on we use the package's.
#
# ## 3 A net that starts as the identity
#
# If doing nothing is the default of a unit, a net can start with *all* its units doing nothing. The last layer of
# each branch is a batch norm. It normalizes, multiplies by a scale $\gamma$ and adds a shift $\beta$, which is zero in
# a new net.
# Set the scales to zero as well, and every branch is **silent**: it gives zero.

# %%
deep = models.resnet_v1(56)
last_norms = [layer for layer in deep.layers if layer.name.endswith("_bn2")]
for layer in last_norms:
    layer.gamma.assign(np.zeros(layer.gamma.shape))
print(len(last_norms), "branches")

# %% [markdown]
# What arrives at the end should then be what left the first convolution (the package calls it the *stem*), apart from
# the two units that change the dimensions: each keeps every second pixel and appends channels of zeros.
#
# **Predict.** In inference, in training mode, in both, or in neither? (In lesson 01 the 56-layer net built by hand
# was equal to plain-20 in one of them.)

# %%
ends = keras.Model(deep.input, [deep.get_layer("stem_relu1").output, deep.get_layer("pool").input])
for training in (False, True):
    first, last = (ops.convert_to_numpy(x) for x in ends(noise, training=training))
    expected = np.pad(first[:, ::4, ::4], [(0, 0), (0, 0), (0, 0), (0, 48)])  # 16 channels and 48 of zeros
    print("training:" if training else "inference:", first.shape, "to", last.shape, np.array_equal(last, expected))

# %% [markdown]
# In both, to the last bit. All 54 convolutions of the branches are computed, and zero times whatever batch norm gives
# is zero. No weights had to be tuned, as they had in lesson 01.
#
# Does such a net learn? Look at the gradients of the kernels.
#
# **Predict.** Which of the 55 convolutions get a gradient at the first update?

# %%
from resnet_lessons import batches, data, diagnostics, recipes

dataset = data.load("cifar10")
recipe = recipes.for_lesson()
_, held_back = batches.train_and_validation(dataset, recipe)
images, labels = (array[:32] for array in held_back[0])  # 32 images, scaled and centred, and their labels
names, before = diagnostics.gradient_norms(deep, images, labels)
print("convolutions with a gradient:", [name for name, norm in zip(names, before, strict=True) if norm > 0])

# %% [markdown]
# Only the stem has one. For the kernels of a branch its scale of zero is a wall. The stem is reached *through the
# shortcuts*, which go around all 27 walls.
#
# So 54 of 55 gradients have vanished. Does that stop the net? The scales $\gamma$ themselves get a gradient, and one
# update moves them off zero:

# %%
from resnet_lessons import training

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
deep.compile(training.SGD(0.1, momentum=0.9), loss, run_eagerly=True)  # for one update no graph is worth making
deep.train_on_batch(images, labels)
_, after = diagnostics.gradient_norms(deep, images, labels)
print(f"convolutions with a gradient: {np.count_nonzero(before)} before the update, {np.count_nonzero(after)} after it")

# %% [markdown]
# The lack of gradients lasts for one update. So "the gradient of a layer is zero" and "the layer cannot learn" are
# two things. Whether such a start is a *better* one is not shown here; section 9 lets you try. Goyal et al. (2017,
# arXiv 1706.02677, Sec. 5.1) start their ResNet-50 so. He et al. (2015) do not, nor does the package.
#
# ## 4 Why x, and not x/2?
#
# The shortcut adds $x$ itself. Suppose it added $\lambda x$. In a chain of $L$ units whose branches are silent,
#
# $$ x_L = \lambda^L x_0 . $$
#
# Build the 27 units of a 56-layer net, all of one width, with silent branches, and measure what comes out.
# `blocks.Unit` describes a unit of the package: `width` is its number of channels, `skip` what happens on the
# shortcut. With `skip="constant-scaling"` both the shortcut and the branch are halved; the branch is silent here, so
# its half does not matter.
#
# **Predict.** How much of the signal is left after 27 such units: a tenth, a thousandth, a millionth, less?

# %%
from resnet_lessons import blocks


def signal_left(skip, units=27):
    """Return the norm of the output over that of the input, for a chain of units with silent branches."""
    x = inputs = keras.Input((8, 8, 16))
    for number in range(units):
        x = blocks.unit(x, blocks.Unit(f"block{number}", width=16, shortcut="A", skip=skip))
    chain = keras.Model(inputs, x)
    for layer in chain.layers:
        if layer.name.endswith("_bn2"):
            layer.gamma.assign(np.zeros(layer.gamma.shape))
    signal = np.maximum(np.random.default_rng(2).normal(size=(4, 8, 8, 16)), 0).astype("float32")  # as after a ReLU
    return np.linalg.norm(chain(signal)) / np.linalg.norm(signal)


# %%
for skip in ("identity", "constant-scaling"):
    print(f"{skip:17} {signal_left(skip):.3g} of the signal left after 27 units")
print(f"{'computed: 2^-27':17} {2**-27:.3g}")

# %% [markdown]
# Where $x_0$ is positive no ReLU changes anything, so the derivative is the same factor: with silent branches the
# gradient is halved 27 times on its way back. What the shortcuts lose, the branches would have to carry, as in a
# plain net; lesson 05 measures nets whose branches speak. *Quoted:* ResNet-110 with both halved had 12.35% test
# error on CIFAR-10 against 6.61% with the identity (He et al. 2016, Table 1). Lesson 05 is about such variants.
#
# ### What if the branches are loud?
#
# With the identity, each branch *adds* to the signal. Chain 27 units of two dense layers at He's scale, as in section
# 1, once as they are and once with the branch's output normalized, each number to mean 0 and variance 1 over the
# points, as batch norm does.
#
# **Predict.** The mean square is 1 at the start. How large is it after 27 units, in either case?

# %%
rng = np.random.default_rng(4)
for normalized in (False, True):
    signal = rng.normal(size=(512, 16))
    for units in range(1, 28):
        first, second = (rng.normal(scale=np.sqrt(2 / shape[0]), size=shape) for shape in [(16, 32), (32, 16)])
        branch = np.maximum(signal @ first, 0) @ second
        if normalized:
            branch = (branch - branch.mean(axis=0)) / branch.std(axis=0)
        signal = signal + branch
        if units in (1, 9, 27):
            print(
                f"{'normalized' if normalized else 'as it is':10} {units:2} units: mean square {np.mean(signal**2):.2g}"
            )

# %% [markdown]
# As they are, the branches give on average about twice the mean square that they get, so the sum grows about
# threefold with *each* unit, beyond all bounds. Normalized, a branch adds about 1, whatever it gets, and after $L$
# units the mean square is about $1 + L$. So with shortcuts alone the signal of a deep net can explode: the size of
# the branch must be held. ResNets do it by the batch norm inside the branch; silent branches at the start are
# another way.
#
# ## 5 Is one layer enough?
#
# "A block needs at least two layers", many tutorials say. He et al. (2015, Sec. 3.2) say it with more care: with a
# single layer, $y = W_1 x + x$, a unit is similar to a linear layer, and they saw no advantage.
#
# **Exercise 2** (3 minutes). In Keras, points are rows, so the layer computes `x @ kernel + x`. Return the kernel of
# the one dense layer that does the same.


# %%
def merged_layer(kernel):
    """Return the kernel (C, C) of the dense layer that equals x @ kernel + x."""
    return ...


checks.merged_layer(merged_layer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.eye(len(kernel))` maps every x to itself.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def merged_layer(kernel):
#     return kernel + np.eye(len(kernel))
# ```
#
# </details>
#
# $W_1 x + x = (W_1 + I)\,x$, where $W_1$ is the kernel, transposed: the two layers are equal before training. Give
# both the same task and the same start, and let them learn by gradient descent.
#
# **Predict.** Do they stay equal? And with weight decay?

# %%
x, target = np.random.default_rng(3).normal(size=(2, 64, 4))


def learned(shortcut, decay, updates=100):
    """Fit x @ kernel, with + x or without, to the target; return the matrix (4, 4) that the layer then applies to x."""
    kernel = np.zeros((4, 4)) if shortcut else np.eye(4)  # the same layer at first, the identity
    for _ in range(updates):
        error = x @ kernel + shortcut * x - target
        kernel -= 0.1 * (x.T @ error / len(x) + decay * kernel)
    return kernel + shortcut * np.eye(4)


for decay in (0, 0.1):
    with_x, without = learned(True, decay), learned(False, decay)
    print(f"decay {decay}: entries of the two matrices differ by at most {np.abs(with_x - without).max():.2f}")

# %% [markdown]
# Under plain gradient descent they stay equal. The gradient with respect to $W_1$ and to $W_1 + I$ is the same, so
# each update changes both by the same amount. With weight decay they part: it pulls the one to $W_1 = 0$, which is
# the identity, and the other to zero.
#
# Now chain such layers, and let them learn to tell four classes of points apart, which no linear classifier separates.
# Six nets: the classifier alone; 30 dense layers with ReLUs from He's weights; 30 units of one layer and a shortcut,
# without and with a ReLU after the addition; plain layers that start at the identity plus the same small noise; and 15
# units of *two* layers.

# %%
rng = np.random.default_rng(5)
samples = rng.normal(size=(1024, 16)).astype("float32")
hidden = np.maximum(samples @ rng.normal(size=(16, 64)), 0)  # the ReLU makes the classes more than linear
classes = ((hidden - hidden.mean(axis=0)) @ rng.normal(size=(64, 4))).argmax(axis=1)  # (1024,) of 0 to 3


def dense(x, draws, scale, start=0):
    """Map (B, 16) to (B, 16), from ``start`` times the identity plus noise of this scale out of ``draws``."""
    layer = layers.Dense(16, use_bias=False)
    y = layer(x)
    layer.set_weights([start * np.eye(16) + draws.normal(scale=scale, size=(16, 16))])
    return y


# %%
HE = np.sqrt(2 / 16)


def two_layers(x, draws):
    """Build a unit of two layers: relu(F(x) + x) with one ReLU inside F."""
    y = dense(layers.ReLU()(dense(x, draws, HE)), draws, 0.05)
    return layers.ReLU()(layers.Add()([x, y]))


UNITS = {
    "classifier alone": (0, None),
    "plain": (30, lambda x, draws: layers.ReLU()(dense(x, draws, HE))),
    "one layer + x": (30, lambda x, draws: layers.Add()([x, dense(x, draws, 0.05)])),
    "one layer + x, ReLU": (30, lambda x, draws: layers.ReLU()(layers.Add()([x, dense(x, draws, 0.05)]))),
    "plain, from the identity": (30, lambda x, draws: layers.ReLU()(dense(x, draws, 0.05, start=1))),
    "two layers + x, ReLU": (15, two_layers),
}

# %% [markdown]
# **Predict.** Order the six by their accuracy on the points that they learn from.


# %% tags=["nbval-ignore-output"]
def accuracy_of(units, unit, passes=80):
    """Train a chain of units and a classifier on the samples; return the accuracy in each pass, (passes,)."""
    keras.utils.set_random_seed(0)
    draws = np.random.default_rng(6)
    x = inputs = keras.Input((16,))
    for _ in range(units):
        x = unit(x, draws)
    net = keras.Model(inputs, layers.Dense(4, kernel_initializer="zeros")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"])
    return net.fit(samples, classes, batch_size=128, epochs=passes, verbose=0).history["accuracy"]


accuracy = {name: accuracy_of(*units) for name, units in UNITS.items()}
for name, values in accuracy.items():
    print(f"{name:25} {100 * values[-1]:.0f}% of the samples right in the last pass")
assert all(0 <= value <= 1 for values in accuracy.values() for value in values)

# %%
fig, ax = plots.figure(width=8.5)
for number, (name, values) in enumerate(accuracy.items()):
    plots.line(ax, number, np.arange(1, len(values) + 1), 100 * np.array(values), name)
ax.set(xlabel="pass over the samples", ylabel="accuracy (%)")
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
alt = "Accuracy over 80 passes: two layers + x end highest, the two that start near the identity next, plain lowest."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** Two layers + x end highest. One layer + x and a ReLU learns along nearly the same line as plain layers
# that start near the identity. Plain layers from He's weights come last, below the classifier alone.

# %%
last = {name: 100 * values[-1] for name, values in accuracy.items()}
alone, single, twin = (last[name] for name in ("classifier alone", "one layer + x, ReLU", "plain, from the identity"))
print("one layer + x, no ReLU, ends within 8 points of the classifier alone:", abs(last["one layer + x"] - alone) < 8)
print("one layer + x, ReLU, ends within 5 points of its plain twin:", abs(single - twin) < 5)
print("both are over 10 points ahead of plain layers from He's weights:", min(single, twin) > last["plain"] + 10)

# %% [markdown]
# - *Without* a ReLU the chain is linear, whatever its depth, and does about what the linear classifier does alone.
#   Here the claim holds.
# - *With* a ReLU after the addition, a unit is relu((W + I) x): a plain layer. The control shows it: plain layers from
#   the same start do the same. What helps them is the **start near the identity**, not the form.
# - *Two* layers put a ReLU inside the branch, and x passes around it, untouched up to the last ReLU. No plain layer
#   computes that. In the stored run they end highest, with as many layers and weights.
#
# The nets are toys and this is one seed, as `draws` gives it; section 9 has you try others.
#
# ## 6 Where the dimensions change
#
# Twice in the net the feature map halves and the channels double, and x no longer fits. He et al. (2015) have two
# ways for that, A and B (Sec. 3.3), and compare them with a third, C (Sec. 4.1):
#
# - **A**: take every second pixel and append channels of zeros. No parameters.
# - **B**: a *projection*, a 1x1 convolution with stride 2, where the dimensions change. In version 1 batch norm
#   follows.
# - **C**: a projection in *every* unit.
#
# **Exercise 3** (10 minutes). Write shortcut A in NumPy for a stride of 2.


# %%
def zero_padded(x, filters):
    """Map (B, H, W, C) to (B, ceil(H/2), ceil(W/2), filters) without weights."""
    return ...


checks.zero_padded(zero_padded)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A slice with a step takes every second pixel. `np.pad` takes a pair (before, after) for each axis.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def zero_padded(x, filters):
#     kept = x[:, ::2, ::2]
#     return np.pad(kept, [(0, 0), (0, 0), (0, 0), (0, filters - x.shape[-1])])
# ```
#
# </details>
#
# **Predict.** ResNet-20 has 269,722 parameters with A, those of plain-20 (lesson 01). How many more with B, and with
# C?
#
# A projection from C to F channels has C·F weights, and its batch norm 2·F. Count them by hand, and let the package
# count the nets.

# %%
from resnet_lessons import accounting
from resnet_lessons.specs import Spec


def projection(channels, filters):
    """Count the parameters of a 1x1 convolution and its batch norm."""
    return channels * filters + 2 * filters


extra_b = projection(16, 32) + projection(32, 64)  # where stages 2 and 3 begin
extra_c = extra_b + 3 * projection(16, 16)  # all units of stage 1
extra_c += 2 * projection(32, 32) + 2 * projection(64, 64)  # the other two of stages 2 and 3
for option, extra in {"A": 0, "B": extra_b, "C": extra_c}.items():
    counted = accounting.count(Spec("v1", 20, shortcut=option)).parameters
    print(f"{option}: {counted:,} parameters; 269,722 + {extra:,} = {269_722 + extra:,} by hand")

# %% [markdown]
# And what comes out of them, on a feature map as a ReLU leaves it?

# %%
feature_map = np.maximum(np.random.default_rng(7).normal(size=(1, 32, 32, 16)), 0).astype("float32")
for option in ("A", "B"):
    inputs = keras.Input((32, 32, 16))
    unit = blocks.Unit("unit", width=32, stride=2, shortcut=option)
    shortcut = ops.convert_to_numpy(keras.Model(inputs, blocks.shortcut(inputs, inputs, unit))(feature_map))
    silent = int((shortcut == 0).all(axis=(0, 1, 2)).sum())
    kept = np.array_equal(shortcut[..., :16], feature_map[:, ::2, ::2])
    print(f"{option}: {shortcut.shape}, {silent} channels of zeros, every second pixel kept: {kept}")

# %% [markdown]
# And C, in a unit that changes nothing about the dimensions, where A and B leave x as it is?

# %%
inputs = keras.Input((32, 32, 16))
for option in ("A", "B", "C"):
    unit = blocks.Unit("unit", width=16, shortcut=option)
    shortcut = ops.convert_to_numpy(keras.Model(inputs, blocks.shortcut(inputs, inputs, unit))(feature_map))
    print(f"{option}: x as it was: {np.array_equal(shortcut, feature_map)}")

# %% [markdown]
# A carries every second pixel of x on, unchanged, into half of the channels. In the other half there is no shortcut at
# all: those channels see only the branch. B mixes all channels and so has a shortcut into each, but it is a layer like
# any other: it no longer carries x. With B such a layer stands where stages 2 and 3 begin, and within a stage x still
# passes. With C it stands in every unit, and x passes nowhere. *Quoted:* ResNet-34 on ImageNet has 25.03% top-1 error
# with A, 24.52% with B and 24.19% with C (He et al. 2015, Table 3). The authors call the differences small and
# projections not essential. On CIFAR-10 they use A.
#
# ### Every second pixel, or the largest of four?
#
# Another way to halve a map without parameters is **max pooling**. Compare the two on images.
#
# **Predict.** Which of the two changes the mean of what passes, and in which direction?

# %%
pictures = dataset.x_train[:8]
largest = pictures.reshape(8, 16, 2, 16, 2, 3).max(axis=(2, 4))
rows = [pictures, *(half.repeat(2, axis=1).repeat(2, axis=2) for half in (pictures[:, ::2, ::2], largest))]
labels_of_rows = ["original", "every second", "largest"]
fig, ax = plots.figure(height=4)
plots.images(ax, np.concatenate(rows), [text for row in labels_of_rows for text in [row, *[""] * 7]], columns=8)
plots.show(fig, "Eight images, the same halved by taking every second pixel, and by max pooling.", dataset.title)

# %% [markdown]
# **Figure.** Eight training images; below each the same with every second pixel, and with the largest of each four:
# max pooling makes them brighter.

# %% tags=["nbval-ignore-output"]
means = [dataset.x_train[:1000, ::step, ::step].mean() for step in (1, 2)]
means.append(dataset.x_train[:1000].reshape(1000, 16, 2, 16, 2, 3).max(axis=(2, 4)).mean())
after_relu = [feature_map.mean(), feature_map[:, ::2, ::2].mean()]  # of section 6
after_relu.append(feature_map.reshape(1, 16, 2, 16, 2, 16).max(axis=(2, 4)).mean())
for name, *both in zip(["all pixels", "every second", "largest of four"], means, after_relu, strict=True):
    print("{:16} mean {:.1f} in images, {:.2f} in the feature map above".format(name, *both))
assert abs(means[1] - means[0]) < abs(means[2] - means[0])

# %% [markdown]
# The slice keeps the mean to within a fraction of a level in the stored run. Max pooling raises it, by an eighth in
# images, whose pixels resemble their neighbours, and more than twofold in the random feature map: what it passes on is
# no longer x on a coarser grid.
#
# ## 7 A block from a tutorial
#
# The next cell is a Keras version of a `residual_block` as a TensorFlow 1 tutorial has it. (We cannot name its source:
# we have a description of it.) Read it with Fig. 2 and
# Sec. 3.3 of the paper in mind. It has faults.


# %%
def tutorial_block(x, filters, downsample=False, project=False):
    """Map (B, H, W, C) to (B, H/2 or H, W/2 or W, filters)."""
    if downsample:
        x = layers.MaxPooling2D(2)(x)
    y = layers.ReLU()(conv_bn(x, filters))
    y = conv_bn(y, filters)
    if project:
        x = layers.Conv2D(filters, 1, strides=2, use_bias=False)(x)
    elif x.shape[-1] != filters:
        x = pad_channels(x, filters, stride=1)
    return layers.Add()([y, x])


# %% [markdown]
# **Predict.** Three calls follow. For each: does it run, with which output shape, and can an output be negative?

# %%
calls = {
    "same dimensions": {"filters": 16},
    "down, zeros": {"filters": 32, "downsample": True},
    "down, projection": {"filters": 32, "downsample": True, "project": True},
}
inputs = keras.Input((32, 32, 16))
for name, arguments in calls.items():
    try:
        net = keras.Model(inputs, tutorial_block(inputs, **arguments))
    except ValueError:
        print(f"{name}: the two sides of the addition have different shapes")
        continue
    outputs = ops.convert_to_numpy(net(feature_map))
    print(f"{name}: {outputs.shape}, negative outputs: {outputs.min() < 0}")

# %% [markdown]
# - The **projection is strided again**, after the pooling has halved the map: the shortcut arrives with 8x8 pixels
#   where the branch has 16x16. So this path cannot ever have run. And it strides even where nothing is to be halved.
# - The **projection has no batch norm**, which the paper puts after every convolution.
# - **No ReLU follows the addition.** Nothing breaks, so a run does not show it. It is close to the *second* paper's
#   unit (lesson 05), but there a norm and a ReLU begin the branch; here they do not, and the block is neither
#   version.
# - **Max pooling stands before the branch** as well. The paper gives its first convolution the stride, whose windows
#   still see every pixel.
#
# The tutorial chains such blocks by a `residual_group`, of which the first may halve the map:


# %%
def tutorial_group(x, filters, blocks, downsample):
    """Chain blocks, (B, H, W, C) to (B, H/2 or H, W/2 or W, filters)."""
    for number in range(blocks):
        x = tutorial_block(x, filters, downsample=downsample and number == 0)
    return x


net = keras.Model(inputs, tutorial_group(inputs, filters=32, blocks=3, downsample=True))
outputs = ops.convert_to_numpy(net(feature_map))
print(f"{outputs.shape}, negative outputs: {outputs.min() < 0}")

# %% [markdown]
# The group is right as it stands, but for what its blocks do: without a ReLU after the additions, sums of both signs
# go on to the next block.
#
# **Exercise 4** (15 minutes). Repair the block: the paper's block with projections (option B), wherever stride *or*
# channels change. `conv_bn` above is for 3x3 kernels; the projection is a 1x1 convolution with the stride, and a
# batch norm.


# %%
def residual_block(x, filters, stride):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters); project where stride or channels change."""
    return ...


checks.residual_block(residual_block)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The stride belongs to the first 3x3 convolution and to the projection. Start from `residual_unit` of section 2 and
# replace `pad_channels`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# from keras import layers
#
#
# def conv_norm(x, filters, *, kernel=3, stride=1):
#     x = layers.ZeroPadding2D(kernel // 2)(x)  # windows centred on pixels 0, 2, 4, as the projection's
#     x = layers.Conv2D(filters, kernel, strides=stride, use_bias=False)(x)
#     return layers.BatchNormalization()(x)
#
#
# def residual_block(x, filters, stride):
#     y = layers.ReLU()(conv_norm(x, filters, stride=stride))
#     y = conv_norm(y, filters)
#     if stride > 1 or x.shape[-1] != filters:
#         x = conv_norm(x, filters, kernel=1, stride=stride)
#     return layers.ReLU()(layers.Add()([y, x]))
# ```
#
# </details>
#
# ## 8 Plain and residual, side by side
#
# Now the real nets: 20 and 56 layers, plain and residual, by the recipe of lesson 01, with another seed. Two claims
# are to be measured: that residual blocks "speed up training greatly", and that they help "because they avoid
# vanishing gradients".
#
# **Predict.** How much longer does an update take with shortcuts? And is the residual net ahead after a minute: at 20
# layers, at 56, at both?

# %% tags=["nbval-ignore-output"]
training_part, held_back = batches.train_and_validation(dataset, recipe, seed=1)
runs = {}
for family in ("plain", "v1"):
    for depth in (20, 56):
        run = training.fit(Spec(family, depth), recipe, training_part, held_back, seed=1)
        runs[f"{family}-{depth}"] = run
        print(f"{family}-{depth}: {recipe.steps} updates in {run.seconds:.0f} s, start included")
assert all(np.isfinite(run.step_loss).all() for run in runs.values())

# %%
fig, axes = plots.figure(2)
for ax, depth in zip(axes, (20, 56), strict=True):
    plots.error_curves(ax, [(name, run) for name, run in runs.items() if name.endswith(str(depth))])
    ax.set_title(f"{depth} layers")
alt = "Error against updates, 20 layers and 56: in the stored run the nets with shortcuts end lower."
plots.show(fig, alt, dataset.title)

# %% [markdown]
# **Figure.** In the stored run the net with shortcuts ends lower at both depths, in training error (lines, a mean
# over ten updates) and in validation error (marks).


# %% tags=["nbval-ignore-output"]
def recent(run):
    """Average the loss over ten updates, (updates - 9,)."""
    return np.convolve(run.step_loss, np.full(10, 0.1), "valid")


for depth in (20, 56):
    plain, residual = runs[f"plain-{depth}"], runs[f"v1-{depth}"]
    lead = 100 * (plain.epochs[-1]["train_error"] - residual.epochs[-1]["train_error"])
    below = np.flatnonzero(recent(residual) < recent(plain)[-1])
    when = f"{below[0] + 10} of {recipe.steps} updates" if len(below) else f"more than {recipe.steps} updates"
    print(f"{depth} layers: lead in training error {lead:.1f} points; the plain net's last loss reached after {when}")
    assert np.isfinite([*recent(plain), *recent(residual)]).all()

# %% [markdown]
# And the time? Two runs one after the other on a busy machine say little, so the next cell times updates of plain-20
# and v1-20 in turns.

# %% tags=["nbval-ignore-output"]
times = training.time_in_turns([Spec("plain", 20), Spec("v1", 20)], batch_size=64, turns=5)
plain, residual = (min(seconds) for seconds in times)  # the least disturbed turn of each
ratio = residual / plain
print(f"an update with shortcuts takes {ratio:.2f} times as long as one without")
assert 0.3 < ratio < 3

# %% [markdown]
# A shortcut adds no parameters and no multiplications, only an addition. In the stored run an update takes about as
# long with it as without. What differs is what an update achieves. At both depths the residual net has left its plain
# twin behind after part of the updates. (Plain-56 has hardly left guessing by then, so its row says little about
# speed.) How large the lead is at which depth varies from seed to seed; lesson 01 had another seed, so compare. A
# minute says nothing about the end of training.
#
# ### Greatly?
#
# Recorded runs of these four nets ship with the package. They made 8,000 updates by the recipe "short" (lesson 01);
# after 4,000 the rate falls to a tenth. Take the training error at which the plain net ends, and look up when its
# residual twin has reached it.
#
# **Predict.** At 20 layers and at 56, after how many of the 8,000 updates?

# %%
from resnet_lessons import results

nets = [Spec(family, depth) for depth in (20, 56) for family in ("plain", "v1")]
recorded = results.groups(data="cifar10", recipe="short", specs=nets)  # a group is all seeds of one net
by_name = {group.spec.name: group for group in recorded}
for depth in (20, 56):
    plain, residual = by_name[f"plain-{depth}"], by_name[f"v1-{depth}"]
    best = min(100 * record.log[-1].train_error for record in plain.records)  # %, in the last epoch
    for what, goal in {"mean of its seeds": plain.train_error[0], "best of them": best}.items():
        steps = [next(e.step for e in record.log if 100 * e.train_error <= goal) for record in residual.records]
        print(f"plain-{depth} ends at {goal:.1f}% ({what}),")
        print(f"  v1-{depth} is there after", *(f"{step:,}" for step in steps), "updates")
results.table(recorded, columns=["network", "parameters", "recipe", "data"], recorded_only=True, tablefmt="html")

# %% [markdown]
# At 20 layers after 4,576 updates with each of three seeds, a little more than half, when the rate has just fallen for
# the first time: that drop decides this figure, and an earlier one would give another. At 56 after 1,408 or 1,760, and
# at the error of the best plain seed after 2,112 at most: about a quarter *(recorded: a line of the log every 352
# updates)*. So "greatly" depends on the depth. And at 56 layers it may be more than speed: plain-56 comes to rest at an
# error that its twin passes early. (Part of that may be a late start, which the falling rate froze: lesson 09.)
#
# And the explanation by gradients? Lesson 01 measured them: with batch norm the gradients of plain-56 do not vanish,
# before training or after. *Before* training they grow towards the first layer, by a factor of hundreds to thousands,
# and shortcuts make them nearly even. After a minute of training that growth is gone from plain-56 as well.
#
# ### Popular claims, measured
#
# | claim | what came out |
# |---|---|
# | residual blocks avoid vanishing gradients | with batch norm they do not vanish in a plain net either (lesson 01) |
# | residual blocks avoid exploding gradients | before training they grow in plain-56 and not in v1-56 (lesson 01) |
# | residual blocks speed training up greatly | at 56 layers yes, at 20 less than twofold (recorded) |
# | a block needs at least two layers | without a ReLU yes; with one, a plain layer starts near x too (section 5) |
#
# That the gradients are *why* residual nets can be deeper, neither lesson shows. Another claim, that a block "can be
# added in the middle or at the end of a net without harm", is tested in lesson 05.
#
# ## 9 Go further
#
# - *10 minutes.* Try other tasks in section 1: `np.abs(points)`, or `points @ q` with a random orthogonal matrix, `q =
#   np.linalg.qr(rng.normal(size=(16, 16)))[0]` (a rotation, perhaps with a reflection). On which side of the border
#   between help and harm is each? Then give the residual toy a last layer of zeros to start from.
# - *10 minutes.* Give `accuracy_of` in section 5 a seed for `draws`, and run it for five. Which of the differences
#   hold?
# - *10 minutes.* Chain the units of section 4 with `skip="exclusive-gating"` or `"shortcut-gating"`. How much of the
#   signal is left? Lesson 05 says why.
# - *30 minutes.* Does starting as the identity help? Train ResNet-56 from silent branches: build
#   `models.resnet_v1(56)`, set the scales to zero as in section 3, compile it as there, but with the rate of `recipe`
#   and without `run_eagerly`, and call `train_on_batch(*training_part.at(0, i))` for every `i` in
#   `range(recipe.steps)`: these are the batches that v1-56 was trained on. Compare its losses with
#   `runs["v1-56"].step_loss`. Then train both with two more seeds. What else do you have to keep equal to make the
#   comparison fair?
#
# ## 10 Summary
#
# - A shortcut makes the unit learn F(x) = H(x) - x. It is a guess: it helps where H is near the identity and hurts
#   where it is far from it *(computed)*.
# - Small weights lead a plain toy to zero and a residual toy to the identity *(computed)*.
# - A net of 56 layers can start as the exact identity, in training mode too. The kernels of its branches then have no
#   gradient at the first update, and one from the second on *(computed)*.
# - Halving the shortcut leaves 2^-27 of the signal after 27 units *(computed)*; halving shortcut and branch costs
#   ResNet-110 about six points of error *(quoted)*. Loud branches make the signal's mean square grow about
#   threefold with each unit; normalized ones add about 1 to it *(computed)*.
# - One layer with a shortcut is linear, or with a ReLU a plain layer that starts near the identity. Two layers are
#   something new *(computed, toys, one seed)*.
# - Shortcut A costs nothing, B 2,752 parameters at 20 layers and C 14,240 *(computed)*.
# - With shortcuts an update takes about as long and achieves more *(computed, one seed, a minute)*. What plain-56
#   ends at after 8,000 updates v1-56 has after 1,760 at most; for 20 layers that is 4,576 *(recorded, three seeds)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015. The same, *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016. P. Goyal et al., *Accurate,
# Large Minibatch SGD: Training ImageNet in 1 Hour*, arXiv 1706.02677, 2017.
