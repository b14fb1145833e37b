# %% [markdown]
# # 07 Inside a ResNet
#
# *50 minutes to read and run, 60 more for the exercises. All the training takes about 15 seconds on two cores.*
#
# The lessons so far trained nets and compared their errors. This one takes two nets that *have* been trained, one
# plain and one residual, and operates on them. Does a layer of a ResNet do something that the next layer depends
# on, as a layer of a plain net does? You will
#
# - measure how strongly each layer responds, and find the answer in the weights;
# - take single units out of the trained nets, and swap others;
# - count the paths through a ResNet, and split its gradient by their lengths, exactly;
# - make a trained net of 20 layers into one of 56 that computes the same, and see how the new layers begin to
#   learn.
#
# You should have read lessons [01](01_degradation.ipynb), [02](02_residual_blocks.ipynb) and
# [05](05_identity_mappings.ipynb). Every number is *computed* in a cell above it or *quoted* from a paper, and the
# text says which.

# %% [markdown]
# ## 1 Two trained nets
#
# The nets are plain-20 and its residual twin, ResNet-20 version 1: the same convolutions in the same places, and
# three units, or plain *pairs* of convolutions, in each of three stages. Their weights come from runs that ship
# with the package: 8,000 updates on CIFAR-10, or, where that is not at hand, 1,000 on `shapes10`. One run each, so
# nothing here has a spread over seeds. The pair of 56 layers ships for CIFAR-10 alone; where depth is the question,
# it is asked too. (Of the three recorded plain-56 it is the one with the lowest errors.)

# %%
from resnet_lessons import batches, data, recipes, training
from resnet_lessons.specs import Spec

SPECS = {"plain-20": Spec("plain", 20), "ResNet-20": Spec("v1", 20)}
dataset = data.load("cifar10")
recipe = recipes.get("short")
nets = {name: training.trained(spec, data=dataset.name) for name, spec in SPECS.items()}
for name, net in nets.items():
    print(f"{name}: {net.count_params():,} weights, batch norm's statistics included")

# %% [markdown]
# What should we show to the nets? The recorded runs held 5,000 training images back, and so does the recipe here:
# the same ones, as the split depends on their number alone. We take 500 of them. The test set stays closed; nothing
# that is looked at here chooses a net, but nothing needs it either.

# %% tags=["nbval-ignore-output"]
import numpy as np

_, held_back = batches.train_and_validation(dataset, recipe)
images, labels = held_back[0]  # 500 images, scaled and centred, and their labels


def error_of(net):
    """Return the share of the 500 images that a net classifies wrongly."""
    logits = [np.array(net(images[start : start + 25], training=False)) for start in range(0, 500, 25)]
    return np.mean(np.concatenate(logits).argmax(axis=1) != labels)


print(dataset.source)
intact = {name: error_of(net) for name, net in nets.items()}
for name, error in intact.items():
    print(f"{name}: {100 * error:.1f}% of 500 images wrong")
    assert 0 <= error < 0.9

# %% [markdown]
# One percent is five images here. Differences of a few percent say nothing, and those below are mostly larger.
#
# ## 2 How strongly does a layer respond?
#
# The **response** of a layer is what leaves its batch norm, before the ReLU or the addition. He et al. (2015, Sec.
# 4.2 and Fig. 7) measure its standard deviation. Here is the last layer of the first unit's branch, by hand.

# %% tags=["nbval-ignore-output"]
import keras

resnet = nets["ResNet-20"]
norm = resnet.get_layer("stage1_block1_bn2")
response = np.array(keras.Model(resnet.input, norm.output)(images[:100], training=False))
print(f"response {response.shape}: standard deviation {response.std():.3f}")
assert response.shape == (100, 32, 32, 16)

# %% [markdown]
# `diagnostics.layer_responses` does so for all 3x3 convolutions, image by image in batches.
#
# **Predict.** Which net has the smaller responses? And inside a residual unit: the first of its convolutions, or
# the second, whose output is added?

# %%
from resnet_lessons import diagnostics

names, responses = {}, {}
for name, net in nets.items():
    names[name], responses[name] = diagnostics.layer_responses(net, images)
position = names["ResNet-20"].index("stage1_block1_conv2")
first_hundred = diagnostics.layer_responses(resnet, images[:100])[1][position]
print("by hand and by the package the same:", np.isclose(response.std(), first_hundred, rtol=1e-3))
print("the same layers in both nets:", names["plain-20"] == names["ResNet-20"], len(names["plain-20"]))

# %%
from resnet_lessons import plots

fig, axes = plots.figure(2, width=9)
layers = np.arange(1, 20)
for number, (name, values) in enumerate(responses.items()):
    plots.line(axes[0], number, layers, values, name)
    plots.line(axes[1], number, layers, np.sort(values)[::-1], name)
for border in (7.5, 13.5):
    axes[0].axvline(border, color="0.8", linewidth=1)  # where stages 2 and 3 begin
axes[0].set(xlabel="convolution, in order", ylabel="standard deviation of its response", ylim=(0, None))
axes[1].set(xlabel="convolution, sorted by size")
axes[1].legend(loc="lower left")
for ax in axes:
    ax.set_xticks([1, 5, 10, 15, 19])
alt = "Standard deviation of the response of 19 convolutions of plain-20 and ResNet-20, in order and sorted by size."
plots.show(fig, alt, f"500 images of {dataset.title}")

# %% [markdown]
# **Figure.** The responses of the two nets, layer by layer on the left, with thin lines between the stages, and
# sorted on the right; in the stored run those of ResNet-20 lie below those of plain-20 in stages 1 and 2, and
# beside them in stage 3.

# %% tags=["nbval-ignore-output"]
inside = responses["ResNet-20"][1:].reshape(9, 2)  # nine units of two convolutions
for name, values in responses.items():
    print(f"{name}: {values.mean():.2f} on average, {values.min():.2f} to {values.max():.2f}")
print(f"ResNet-20: first in a unit {inside[:, 0].mean():.2f}, second {inside[:, 1].mean():.2f}")
print("first, second in each unit:", *(f"{first:.2f} {second:.2f}," for first, second in inside))
assert np.all(inside > 0)

# %% [markdown]
# In the stored run the residual net responds less on average, though not in its last stage. Inside its units nothing
# is settled: the second convolution responds less than the first in five of nine. He et al. expected small responses:
# a unit that has only to *correct* its input should say less than a plain layer that has to compute everything anew.
# *Quoted:* they find that ResNets of 20, 56 and 110 layers generally respond less than plain nets of 20 and 56, and
# the deeper ResNets less than the shallower (Fig. 7). Here are all four nets that ship, on 100 of the images.

# %% tags=["nbval-ignore-output"]
DEEP = {"plain-56": Spec("plain", 56), "ResNet-56": Spec("v1", 56)} if dataset.name == "cifar10" else {}
deep = {name: training.trained(spec, data=dataset.name) for name, spec in DEEP.items()}
for name, net in {**nets, **deep}.items():
    where, found = diagnostics.layer_responses(net, images[:100])
    stages = [found[[layer.startswith(f"stage{stage}") for layer in where]].mean() for stage in (1, 2, 3)]
    print(f"{name:9} {found.mean():.2f} on average; by stage", *(f"{value:.2f}" for value in stages))
    assert np.all(found > 0)

# %% [markdown]
# In the stored run ResNet-56 responds less than plain-56, and 2% less than ResNet-20, the most of it in stage 3.
# The sign is that of Fig. 7. But one seed of each net cannot carry 2%, and plain-56 lies below plain-20 by more.
#
# ### The answer is in the weights
#
# A response is not free to be of any size. Batch norm gives each channel mean 0 and variance 1, and then multiplies
# by $\gamma$ and adds $\beta$. So over many images a channel has the variance $\gamma^2$ and the mean $\beta$. The
# variance of all numbers of a layer is the mean of its channels' variances plus the variance of their means:
#
# $$ \sigma^2 = \overline{\gamma^2} + \operatorname{Var}(\beta) . $$
#
# **Predict.** How far is that from what was measured, if not a single image is used: a few percent, tens of
# percent, or anything?

# %% tags=["nbval-ignore-output"]
for name, net in nets.items():
    batch_norms = [net.get_layer(layer.replace("conv", "bn")) for layer in names[name]]
    pairs = [(layer.gamma.numpy(), layer.beta.numpy()) for layer in batch_norms]
    from_weights = np.sqrt([np.mean(gamma**2) + np.var(beta) for gamma, beta in pairs])
    off = np.abs(from_weights / responses[name] - 1)
    worst = names[name][off.argmax()]
    print(f"{name}: off by {100 * np.median(off):.1f}% in the median, at most {100 * off.max():.0f}%, in {worst}")
    assert np.median(off) < 0.5

# %% [markdown]
# In the stored run the formula is off by 3% and 7% in the median, and by 9% and 24% in the worst layer. It would be
# exact if these images had the means and variances that batch norm keeps, which are those of the last training
# batches, cropped and flipped. So the figure above is nearly a picture of the $\gamma$ and $\beta$ that training
# has chosen. It says how much the *next* addition or ReLU gets; it does not say how much a layer matters. For that,
# take it away.
#
# **Exercise 1** (10 minutes). `layer_responses` never holds all responses of a layer at once. This function does
# not either, but it is wrong:
#
# ```python
# def pooled_deviation(parts):
#     return np.mean([part.std() for part in parts])
# ```
#
# Try it on two arrays of equal deviations, one around 0 and one around 3. Then repair it: return the standard
# deviation of *all* numbers in a list of arrays of unequal sizes.

# %%
from resnet_lessons import checks


def pooled_deviation(parts):
    """Return the standard deviation of all numbers in a list of arrays."""
    return ...


checks.pooled_deviation(pooled_deviation)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which three sums of an array can be added to those of the next? $\operatorname{Var}(x) = \overline{x^2} - \bar
# x^2$.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pooled_deviation(parts):
#     count = sum(part.size for part in parts)
#     mean = sum(part.sum() for part in parts) / count
#     return np.sqrt(sum((part**2).sum() for part in parts) / count - mean**2)
# ```
#
# </details>

# %% [markdown]
# ### And what comes back?
#
# Lesson 01 measured the gradient of each kernel in *fresh* nets: the deep plain one exploded towards the first
# layer. Here are those of the trained nets, on 50 of the images.
#
# **Predict.** Do the first layers of the trained plain net get much more gradient than the last, or much less, or
# neither?

# %%
gradients = {}
for name, net in nets.items():
    _, gradients[name] = diagnostics.gradient_norms(net, images[:50], labels[:50])
fig, ax = plots.figure()
plots.layer_profile(ax, gradients.items(), "gradient norm")
ax.set(yscale="linear", ylim=(0, None))
alt = "Norm of the gradient for each of 19 convolution kernels of the trained plain-20 and ResNet-20."
plots.show(fig, alt, f"50 images of {dataset.title}")

# %% [markdown]
# **Figure.** Norm of the gradient for each convolution kernel of the two trained nets; in the stored run the two
# lines rise and fall together.

# %% tags=["nbval-ignore-output"]
for name, sizes in gradients.items():
    print(f"{name}: first over last {sizes[0] / sizes[-1]:.1f}, largest over smallest {sizes.max() / sizes.min():.1f}")
    assert np.all(sizes > 0)

# %% [markdown]
# In the stored run the first layer gets 0.9 times what the last one gets, in both nets, and no layer more than
# about three times what another does. Nothing vanishes or explodes here, not even in the plain net. (Fresh,
# plain-20 had 3.5 times as much gradient in its first layer as in its last, in the stored run of lesson 01. What
# exploded there was a fresh plain-56, and after 56 updates that was gone.) By their gradients the two trained nets
# can hardly be told apart. So what *do* they do differently?
#
# ## 3 Take a unit out
#
# Veit et al. (2016) ask what a trained net does without one of its units: a **lesion study**. In ResNet-20 the
# unit's branch must give zero, so that the shortcut alone is left. No layer has to be cut out for that. The last
# batch norm of the branch ends in $\gamma$ times something plus $\beta$: set both to zero, look, and put them back.

# %%
some = images[:50]
before = np.array(resnet(some, training=False))
norm = resnet.get_layer("stage2_block2_bn2")
saved = [weight.numpy().copy() for weight in (norm.gamma, norm.beta)]
for weight in (norm.gamma, norm.beta):
    weight.assign(np.zeros(weight.shape))
without = np.array(resnet(some, training=False))
for weight, value in zip((norm.gamma, norm.beta), saved, strict=True):
    weight.assign(value)
print("put back:", np.array_equal(before, np.array(resnet(some, training=False))))
print("the outputs were other ones:", not np.allclose(before, without, atol=1e-3))

# %% [markdown]
# `diagnostics.removed(net, unit)` does this for as long as a `with` block runs, and puts the weights back even if
# the block ends in an error.
#
# A plain net needs more care, or the comparison is unfair: if a pair of its layers gave zero, nothing at all would
# come through. The fair counterpart passes the pair's *input* on, as the shortcut would. Both kernels become the
# identity kernel of lesson 01, and the batch norms neither shift nor scale. The input has been through a ReLU, so
# the pair's own ReLUs do nothing to it. Where a stage begins, the strided kernel picks every second pixel and the
# new channels get zeros: just what shortcut A does.

# %%
with diagnostics.removed(resnet, "stage2_block2"):
    print("ResNet-20, as by hand:", np.allclose(np.array(resnet(some, training=False)), without, atol=1e-4))
plain = nets["plain-20"]
ends = [plain.get_layer(f"{unit}_relu2").output for unit in ("stage1_block3", "stage2_block1", "stage2_block2")]
signals = np.maximum(np.random.default_rng(0).normal(size=(4, 32, 32, 32)), 0).astype("float32")
with diagnostics.removed(plain, "stage2_block1"):
    passed = np.array(keras.Model(ends[0], ends[1])(signals[..., :16], training=False))
every_second = np.zeros((4, 16, 16, 32))
every_second[..., :16] = signals[:, ::2, ::2, :16]
print(
    "plain-20, the first pair of a stage, every second pixel and zeros:", np.allclose(passed, every_second, atol=1e-5)
)
with diagnostics.removed(plain, "stage2_block2"):
    passed = np.array(keras.Model(ends[1], ends[2])(signals[:, :16, :16], training=False))
print("plain-20, the next pair gives what it gets:", np.allclose(passed, signals[:, :16, :16], atol=1e-5))

# %% [markdown]
# **Predict.** Each net loses one of its nine units, and is not trained again. What does its error become, in the
# plain net and in the residual one: the same, twice as much, or that of guessing, 90%?

# %% tags=["nbval-ignore-output"]
lesions = {}
for name, net in nets.items():
    units, lesions[name], whole_net = diagnostics.lesion(net, images, labels)
    print(f"{name}: intact {100 * intact[name]:.1f}%, without one unit {np.round(100 * lesions[name]).astype(int)}%")
    assert len(units) == 9
    assert whole_net == intact[name]
    assert error_of(net) == intact[name]  # the net is as it was

# %%
fig, ax = plots.figure(width=7)
for number, (name, errors) in enumerate(lesions.items()):
    ax.plot(units, 100 * errors, plots.MARKERS[number], color=plots.COLOURS[number], label=name)
    ax.axhline(100 * intact[name], color=plots.COLOURS[number], linestyle=plots.DASHES[number], label=f"{name}, intact")
ax.set_xticks(range(9), [unit.replace("stage", "").replace("_block", ".") for unit in units])
ax.set(xlabel="unit removed (stage.unit)", ylabel="error (%)", ylim=(0, 100))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Error of plain-20 and ResNet-20 with each of nine units removed, beside the error of the intact nets."
plots.show(fig, alt, f"500 images of {dataset.title}")

# %% [markdown]
# **Figure.** The error with one unit removed; in the stored run any loss takes plain-20 to guessing, while
# ResNet-20 goes on classifying, worse without some units than without others.
#
# In the stored run the plain net without any one of its pairs guesses. ResNet-20 errs about two to five times as
# often as it did, but less than a net that guesses. It suffers most where the first unit of all is missing. In
# stage 2 the first unit, which changes the dimensions, counts for more than its two neighbours; in stage 3 the last
# is missed as much as the first.
#
# Nine units are few to share the work among. Is that why each one is missed? The pair of 56 layers has 27.
#
# **Predict.** Without one of its units, does ResNet-56 err as much more as ResNet-20 did, less, or not at all? And
# plain-56, does it still guess?

# %% tags=["nbval-ignore-output"]
for name, net in deep.items():
    _, errors, whole_net = diagnostics.lesion(net, images[:100], labels[:100])
    wrong = np.round(100 * errors).astype(int).reshape(3, 9)
    print(f"{name}: {100 * whole_net:.0f} of 100 images wrong, without one unit {np.median(wrong):.0f} in the median")
    print(wrong, "by stage")
    assert np.median(errors) > whole_net or name != "plain-56"

# %% [markdown]
# In the stored run ResNet-56 errs on 20 images in place of 18 in the median; the median unit of ResNet-20 took 12.6%
# to 34%. Only the first unit of stage 3 is missed much; that of stage 2, which changes the dimensions too, is not. So
# where there are three times as many units, most are hardly missed. *Quoted:* Veit et al. (2016, Sec. 4.1) remove
# units from a ResNet of 110 layers, 54 units, and see hardly any change for most of them, except where the dimensions
# change; a VGG net without one layer guesses. plain-56 is far worse without any of its pairs, though not always down
# to guessing. (One seed and 100 images: two or three of them more are no difference.)
#
# What this does **not** show: that the removed units are useless, or that a net *trained* without them would be as
# good. Nor how much of the loss is due to the batch norms behind the gap: their moving statistics are those of the
# whole net, and nothing is estimated anew ("Go further" does so).
#
# **Exercise 2** (5 minutes). At every unit a signal splits: one part goes through the branch, one by the shortcut.
# Choose one way at each of n units, and you have a *path*; there are $2^n$ of them. (The branches are not linear,
# so the output is no sum over paths. The gradient is: section 5.) Remove some units: which share of the paths is
# left?


# %%
def paths_left(n, removed):
    """Return the share of the paths through n residual units that is left when so many of them are removed."""
    return ...


checks.paths_left(paths_left)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A removed unit has its shortcut still. How many ways does it offer?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def paths_left(n, removed):
#     return 2 ** (n - removed) / 2**n
# ```
#
# </details>
#
# A plain net has one path, and every removed pair is on it. That is how Veit et al. explain the figure: a ResNet is
# a collection of paths, like an **ensemble**, several nets whose outputs are averaged, and loses half of them with
# a unit. It is an argument. The paths share their weights, and were never trained alone.

# %% [markdown]
# ## 4 Swap units
#
# If units only correct what comes along, does their order matter? Take two units of the same shape within a stage,
# and swap their weights. The first unit of stages 2 and 3 has another shape and stays, so stage 1 offers three
# units and the others two each: 3 + 1 + 1 = 5 pairs. **Kendall's rank correlation** says how far a new order is
# from the trained one:
#
# $$ \tau = \frac{\text{pairs in order} - \text{pairs out of order}}{\text{all pairs}} . $$
#
# With one pair out of order it is (4 - 1)/5 = 0.6; for the trained order it is 1 and for its reverse -1.
#
# **Predict.** One swap of two units: which error does each net have then?

# %%
shuffled = {name: [] for name in nets}
draws = [(0, 0)] + [(swaps, seed) for swaps in (1, 2, 4) for seed in range(4)]
for name, net in nets.items():
    for swaps, seed in draws:
        shuffled[name].append(diagnostics.shuffle_blocks(net, images[:200], labels[:200], swaps, seed))
orders = {name: [tau for _, tau in found] for name, found in shuffled.items()}
print("the same orders in both nets:", orders["plain-20"] == orders["ResNet-20"])
print("rank correlations:", *sorted({round(tau, 1) for tau in orders["plain-20"]}))

# %%
fig, ax = plots.figure(width=6.5)
for number, (name, found) in enumerate(shuffled.items()):
    errors, taus = np.transpose(found)
    ax.plot(taus, 100 * errors, plots.MARKERS[number], color=plots.COLOURS[number], label=name, alpha=0.7)
ax.set(xlabel="Kendall's rank correlation with the trained order", ylabel="error (%)", ylim=(0, 100))
ax.invert_xaxis()
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Error against the rank correlation of the units' order with the trained one, for plain-20 and ResNet-20."
plots.show(fig, alt, f"200 images of {dataset.title}")

# %% [markdown]
# **Figure.** The error after random swaps of units, the trained order on the left; in the stored run plain-20
# guesses after any change, and the error of ResNet-20 tends to grow with the distance from the trained order.

# %% tags=["nbval-ignore-output"]
seen = {}  # one line for each order, with the swaps that first led to it
for (swaps, _), *found in zip(draws, *shuffled.values(), strict=True):
    seen.setdefault((found[0][1], *(error for error, _ in found)), swaps)
print("swaps    tau " + "".join(f"{name:>11}" for name in shuffled))
for (tau, *errors), swaps in sorted(seen.items(), reverse=True):
    print(f"{swaps:5} {tau:6.1f} " + "".join(f"{100 * error:10.0f}%" for error in errors))
for name, net in nets.items():
    assert shuffled[name][0][1] == 1
    assert error_of(net) == intact[name]  # the net is as it was

# %% [markdown]
# There are only $3! \cdot 2 \cdot 2 = 24$ orders, so some draws give the same one, and a few swaps may even lead
# back to the trained one. In the stored run plain-20 guesses after one swap. In ResNet-20 a swap costs less.
# *Which* units were swapped matters as much as how far the order is from the trained one; that the error grows with
# the distance, as Veit et al. (2016, Sec. 4.3) find in 110 layers, is a tendency here. So the order matters in
# ResNet-20 too, but it does not decide everything, as it does in plain-20.
#
# ## 5 Through which paths does the gradient come?
#
# Call the number of branches on a path its **length**.
#
# **Exercise 3** (5 minutes). How many paths through n units have the length 0, 1, ..., n?


# %%
def path_counts(n):
    """Return how many paths through n residual units have 0, 1, ..., n branches."""
    return ...


checks.path_counts(path_counts)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Choose the units whose branch is taken. How many ways are there to choose k out of n? `math.comb` knows.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# import math
#
#
# def path_counts(n):
#     return [math.comb(n, k) for k in range(n + 1)]
# ```
#
# </details>
#
# For the 54 units of ResNet-110:

# %%
import math

of_length = np.array([math.comb(54, k) for k in range(55)]) / 2**54  # shares of all paths
print(f"paths: {2**54:.1e}, mean length {of_length @ np.arange(55):.0f}")
print(f"of length 19 to 35: {100 * of_length[19:36].sum():.1f}%")
print(f"of length 5 to 17: {100 * of_length[5:18].sum():.2f}%")

# %% [markdown]
# Nearly all paths go through about half of the units. But do they all carry the same? *Quoted:* most of the
# gradient of a ResNet of 110 layers comes by paths only 10 to 34 layers deep (Veit et al. 2016, abstract). That is
# 5 to 17 units of two layers: by the last line above, a small minority of the paths.
#
# ### Split it exactly
#
# Backwards, a unit turns the gradient at its output into that at its input. It is a sum: what comes by the shortcut
# plus what comes by the branch. (In version 1 the gradient passes the ReLU after the addition before it splits. For
# the images at hand that ReLU only sets some numbers to zero, a linear step.) So carry the gradient
# back not as one array but as several, sorted by how many branches they have been through. At each unit every part
# splits in two, and the one that goes through the branch moves on by one place. At the end the parts of all $2^n$
# paths are there, sorted by length, for the price of $n(n+1)/2$ passes through a branch.
#
# **Exercise 4** (40 minutes). Write that for linear units $x + Bx$ on vectors of C numbers. You get the (C, C)
# matrices B of the units, first to last, and the gradient g at the end, (C,). What a branch $Bx$ sends back is
# $B^\top g$.


# %%
def gradients_by_length(branches, upstream):
    """Return (n + 1, C): the gradient at the start by paths of 0, 1, ..., n branches."""
    return ...


checks.gradients_by_length(gradients_by_length)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Start with `parts = [upstream]` and go from the last unit to the first. Part k in front of a unit is the old part
# k plus what the branch sends back of the old part k - 1.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def gradients_by_length(branches, upstream):
#     parts = [upstream]
#     for branch in reversed(branches):
#         zero = np.zeros_like(upstream)
#         through = [branch.T @ part for part in parts]
#         parts = [a + b for a, b in zip([*parts, zero], [zero, *through])]
#     return np.array(parts)
# ```
#
# </details>
#
# `diagnostics.gradient_by_path_length` does the same in ResNet-20, with `backend.pull_back` in place of the
# matrices: `backend.pull_back(model, x, g)` takes a gradient g at a model's output back to its input x (lesson 05).
# The gradient is that of the mean loss, taken to the input of the first unit, in inference mode. At the logits it
# is the softmax minus 1 at the label, over the number of images. Do the parts add up to the whole gradient, taken
# back in one go?

# %%
from resnet_lessons import backend

few, few_labels = images[:4], labels[:4]
parts = diagnostics.gradient_by_path_length(resnet, few, few_labels)  # (10, 4, 32, 32, 16)
stem = resnet.get_layer("stem_relu1").output
entering = np.array(keras.Model(resnet.input, stem)(few, training=False))
rest = keras.Model(stem, resnet.output)
softmax = np.array(keras.ops.softmax(rest(entering, training=False)))
at_logits = (softmax - np.eye(10, dtype="float32")[few_labels]) / len(few)
whole = backend.pull_back(rest, entering, at_logits, training=False)
difference = np.linalg.norm(parts.sum(axis=0) - whole) / np.linalg.norm(whole)
print(f"{len(parts)} lengths, {2**9} paths; their sum is the whole gradient: {difference < 1e-3}")

# %% [markdown]
# Now single paths. Choose k of the nine units: the gradient goes through their branches alone and past all others,
# and the norm of what arrives is that of *one* path of length k. Veit et al. (2016) draw paths at random; nine
# units have so few that we take all 512. The sum of the norms of all paths of one length is the most they could
# bring together: if they all pointed the same way.
#
# **Predict.** Against the length: does the norm of one path fall, stay, or grow? And how much of the sum of their
# norms do the paths of one length bring together: nearly all, half, or a small part?


# %%
def norms(gradients):
    """Return the norm of each image's gradient; the last three axes are its shape."""
    return np.sqrt(np.sum(np.square(gradients), axis=(-3, -2, -1)))


def single(k):
    """Return the mean norm of one path of length k, image by image; two at a time, as many paths take much memory."""
    pairs = [(few[:2], few_labels[:2]), (few[2:], few_labels[2:])]
    found = [norms(diagnostics.path_gradients(resnet, *pair, k)).mean(axis=0) for pair in pairs]
    return np.concatenate(found) / 2  # each was of the mean loss of two images, not of four


counts = np.array([math.comb(9, k) for k in range(10)])
each = np.array([single(k) for k in range(10)])
one = each.mean(axis=1)  # of (10, 4): over the images
bound = counts * one
together = norms(parts).mean(axis=1)
print("one path of length 0, so one norm:", np.isclose(bound[0], together[0], rtol=1e-3))
print("never more than the sum of norms:", np.all(together <= bound * 1.001))

# %%
fig, ax = plots.figure(width=8)
curves = {"one path, mean": one, "sum of the norms of all": bound, "norm of all together": together}
for number, (label, values) in enumerate(curves.items()):
    plots.line(ax, number, np.arange(10), values, label)
ax.set_xticks(range(10), [f"{length}\n{count}" for length, count in enumerate(counts)])
ax.set(
    xlabel="branches on the path, and below how many such paths there are", ylabel="norm of the gradient", yscale="log"
)
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Against path length 0 to 9: the norm of one path, the sum of the norms of all, and the norm of all added up."
plots.show(fig, alt, f"4 images of {dataset.title}")

# %% [markdown]
# **Figure.** For each length, the norm of the gradient that one path brings, the sum of these norms over all paths,
# and the norm of what all of them bring together, means over four images. In the stored run the last stays far
# below the sum where there are many paths.

# %% tags=["nbval-ignore-output"]
means = {"paths": counts, "sum of all norms": bound, "all together": together}
for name, weights in means.items():
    print(f"{name}: mean length {np.average(np.arange(10), weights=weights):.2f}")
print("norm of one path:", *(f"{norm:.2g}" for norm in one))
print("all together over the sum of norms:", *(f"{ratio:.2f}" for ratio in together / bound))
image_by_image = {
    "part of the gradient": norms(parts).sum(axis=0) / norms(parts).sum(),
    "all together, mean length": [np.average(np.arange(10), weights=weights) for weights in norms(parts).T],
    "one path, nine over none": each[-1] / each[0],
}
for name, values in image_by_image.items():
    print(f"image by image: {name}", *(f"{value:.2f}" for value in values))
assert np.isfinite(bound).all()
assert difference < 1e-3

# %% [markdown]
# In the stored run the norm of one path falls with every branch, to a fifth at nine. And where there are many paths
# of one length, they bring together a fifth of the sum of their norms: they point in different directions, and
# cancel for the most part. By either measure the gradient comes by shorter paths than the count alone would say.
# But over the four images the shift is by half a branch at most: in nine units there is little room between short
# and long.
#
# Four images are few, and one of them brings half of these norms. Yet each by itself says the same: its mean length
# is 3.7 to 4.2, and nine branches leave a quarter of the norm at most.
#
# **Predict.** The paths through the 27 units of ResNet-56 have 13.5 branches on average. Through how many branches, on
# average, does the gradient come?

# %% tags=["nbval-ignore-output"]
if "ResNet-56" in deep:
    longer = norms(diagnostics.gradient_by_path_length(deep["ResNet-56"], few, few_labels))  # (28, 4)
    of_paths = np.array([math.comb(27, k) for k in range(28)]) / 2**27
    of_norms = longer.mean(axis=1) / longer.mean(axis=1).sum()
    alone = [np.average(np.arange(28), weights=weights) for weights in longer.T]
    print(f"mean length: {of_norms @ np.arange(28):.1f} all together, image by image", *np.round(alone, 1))
    shares = [100 * share[:10].sum() for share in (of_paths, of_norms)]
    print(f"up to 9 branches: {shares[0]:.0f}% of the paths, {shares[1]:.0f}% of the sum over lengths of these norms")
    assert np.isclose(of_paths @ np.arange(28), 13.5)

# %% [markdown]
# In the stored run by 4.7, hardly more than in ResNet-20. 97% of these norms belong to paths of up to 9 branches,
# and those are 6% of the paths. So by this measure, too, most of the gradient comes by a minority of short
# paths. (Veit et al., who find that in 110 layers, take the norm of single paths, times their number, so what cancels
# is not taken off. And ours is one net, and four images.) A small part of the gradient does not mean that a long path
# does not matter for the *output*.
#
# ## 6 Grow a net
#
# A unit whose branch is silent passes its input on: the input has been through a ReLU, so the ReLU after the
# addition does nothing to it. So a trained net of 20 layers can be made into one of 56: six more units at the end
# of each stage, with $\gamma = 0$ in their last batch norm. Lesson 05 added three such units; here we go on and
# train.

# %%
import dataclasses

brief = dataclasses.replace(recipes.for_lesson(), batch_size=32)
grown = training.compile_model(Spec("v1", 56), brief, 0, "float32")
old = {layer.name: layer for layer in resnet.layers}
added = [layer for layer in grown.layers if layer.weights and layer.name not in old]
for layer in grown.layers:
    if layer.name in old:
        layer.set_weights(old[layer.name].get_weights())
silent = [layer for layer in added if layer.name.endswith("_bn2")]
for layer in silent:
    layer.gamma.assign(np.zeros(layer.gamma.shape))
print(f"{len(silent)} units added, {sum(layer.count_params() for layer in added):,} weights")
outputs = [np.array(net(some, training=False)) for net in (resnet, grown)]
print("the same outputs:", np.allclose(*outputs, atol=1e-4))

# %% [markdown]
# `diagnostics.grow(net, larger)` does so for other pairs too, and refuses those whose added units cannot pass their
# input on unchanged.

# %%
from resnet_lessons import models

another = models.build(Spec("v1", 56))
added_units = diagnostics.grow(resnet, another)
print(f"units added: {len(added_units)}, from {added_units[0]} to {added_units[-1]}")
print("the same outputs:", np.allclose(outputs[0], np.array(another(some, training=False)), atol=1e-4))

# %% [markdown]
# **Predict.** Which of the new weights get a gradient from the first batch: all, none, or some? (We count arrays: a
# kernel, or the gammas of one layer, is one.)


# %%
def with_gradient(net):
    """Count those new weights whose gradient is not zero on 8 images: last gammas and betas apart, and all others."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    _, gradients = backend.gradients(net, images[:8], labels[:8], loss)
    found = {v.path: np.any(g != 0) for v, g in zip(net.trainable_variables, gradients, strict=True)}
    last = [variable for layer in silent for variable in (layer.gamma, layer.beta)]
    others = [v for layer in added for v in layer.trainable_variables if layer not in silent]
    return [sum(found[variable.path] for variable in group) for group in (others, last)]


others, last = with_gradient(grown)
print(f"with a gradient: {last} of 36 last gammas and betas, {others} of 72 other new weights")

# %% [markdown]
# The last $\gamma$ and $\beta$ alone. All that lies before them in the branch is multiplied by $\gamma = 0$ on the
# way back. Now make ten updates, on the training images, and look again after the first.

# %% tags=["nbval-ignore-output"]
training_part, _ = batches.train_and_validation(dataset, brief)
grown.optimizer.learning_rate = 0.01
for step in range(10):
    grown.train_on_batch(*training_part.at(0, step))
    if step == 0:
        others, last = with_gradient(grown)
old_ones = [layer for layer in resnet.layers if layer.name.endswith("_bn2")]
sizes, old_sizes = ([np.abs(layer.gamma.numpy()).mean() for layer in layers] for layers in (silent, old_ones))
print(f"last gammas: {np.mean(sizes):.1g} on average in the new units, {np.mean(old_sizes):.2f} in the old")
print(f"error: {100 * intact['ResNet-20']:.1f}% before growing, {100 * error_of(grown):.1f}% after ten updates")
assert np.mean(sizes) > 0

# %%
print(f"with a gradient after one update: {last} of 36 last gammas and betas, {others} of 72 other new weights")

# %% [markdown]
# So a silent branch is not dead: its last $\gamma$ wakes up first, and from the second update on every weight array
# gets a gradient. The error after ten updates is not below what it was; in the stored run seven more images of 500 are
# wrong. What this does *not* show is that the grown net becomes better than the small one, or as good as one that
# had 56 layers from the start. Ten updates are a beginning, and the last of "Go further" goes on.
#
# ## 7 Go further
#
# - *5 minutes.* Print the units in the order of their lesion error beside the response of their second convolution
#   (section 2). Do strong responses mark the units that are missed most?
# - *10 minutes.* `contextlib.ExitStack` can hold several `diagnostics.removed` at once. Remove two units, then
#   three. Does the error grow as the share of paths falls (exercise 2)?
# - *15 minutes.* Train a version 2 net for some seconds and look inside it: `training.fit(Spec("v2", 20,
#   block="basic"), brief, training_part).model`. It does little better than guess, so compare responses and
#   gradients rather than errors. Why does the formula of section 2 not fit it?
# - *20 minutes.* Is it the batch norms that lose their way behind a gap? Remove a unit, send ten training batches
#   through the net with `training=True`, which moves the statistics, and measure the error then. Keep the weights
#   with `get_weights()` first, and put them back.
# - *20 minutes.* Plot the gradients of section 2 for two fresh nets beside those of the trained ones. Which differ
#   more: plain from residual, or trained from fresh?
# - *30 minutes.* Train the grown net for as long as you can, and the small net for the same time. Which has the
#   lower validation error?
#
# ## 8 Summary
#
# - The responses of a residual net's layers are smaller on average than those of its plain twin, though not in
#   every stage *(computed, one seed)*, and in deeper ResNets smaller still *(quoted)*.
# - A response after batch norm can be foretold from $\gamma$ and $\beta$ without any image, to 3% and 7% in the
#   median *(computed)*.
# - Without any one of its pairs a trained plain-20 guesses, and plain-56 errs on 62% to 93%; ResNet-20 without a
#   unit errs more but goes on working, and of the 27 units of ResNet-56 most are hardly missed *(computed, one
#   seed)*.
# - After a swap of units the plain net guesses too; the ResNet's error depends on which units were swapped, and
#   tends to grow with the distance from the trained order *(computed)*.
# - n units make $2^n$ paths, and their lengths are binomial; of the paths through 54 units 98% have 19 to 35
#   branches *(computed)*.
# - The gradient splits exactly by path length. One path brings the less the longer it is, and paths of one length
#   cancel each other for the most part. In ResNet-56 97% of the norms, summed by length, belong to the shortest 6%
#   of the paths *(computed, four images)*. In 110 layers most of the gradient comes by paths of 10 to 34 layers
#   *(quoted)*.
# - A trained net can grow from 20 to 56 layers without changing its output; its new kernels get their first
#   gradient once the silent $\gamma$ has been updated *(computed)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015. A. Veit, M. Wilber, S. Belongie, *Residual Networks Behave Like Ensembles of Relatively Shallow Networks*,
# arXiv 1605.06431, 2016.
