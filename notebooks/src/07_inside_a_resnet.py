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
# You should have read [lesson 02](02_residual_blocks.ipynb). Every number is *computed* in a cell above it or
# *quoted* from a paper, and the text says which.

# %% [markdown]
# ## 1 Two trained nets
#
# The nets are plain-20 and its residual twin, ResNet-20 version 1: the same convolutions in the same places, and
# three units, or plain *pairs* of convolutions, in each of three stages. Their weights come from runs that ship
# with the package: 8,000 updates on CIFAR-10, or, where that is not at hand, 1,000 on `shapes10`. One run each, so
# nothing here has a spread over seeds.

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
    logits = [np.array(net(images[start : start + 100], training=False)) for start in range(0, 500, 100)]
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
# 4.2 and Fig. 7) measure its standard deviation. Their thought: if a unit has only to *correct* its input, its
# branch should say less than a plain layer that has to compute everything anew. Here is the last layer of the first
# unit's branch, by hand.

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
axes[0].set(xlabel="convolution, in order", ylabel="standard deviation of its response", ylim=(0, None))
axes[1].set(xlabel="convolution, sorted by size")
axes[1].legend(loc="lower left")
alt = "Standard deviation of the response of 19 convolutions of plain-20 and ResNet-20, in order and sorted by size."
plots.show(fig, alt, f"500 images of {dataset.title}")

# %% [markdown]
# **Figure.** The responses of the two nets, layer by layer on the left and sorted on the right; in the stored run
# those of ResNet-20 lie below those of plain-20 nearly everywhere.

# %% tags=["nbval-ignore-output"]
inside = responses["ResNet-20"][1:].reshape(9, 2)  # nine units of two convolutions
for name, values in responses.items():
    print(f"{name}: {values.mean():.2f} on average, {values.min():.2f} to {values.max():.2f}")
print(f"ResNet-20: first in a unit {inside[:, 0].mean():.2f}, second {inside[:, 1].mean():.2f}")
assert np.all(inside > 0)

# %% [markdown]
# In the stored run the residual net responds less. *Quoted:* He et al. find the same in nets of 20, 56 and 110
# layers, and the deeper of their ResNets responds less in each layer (Fig. 7). Two nets of one depth and one seed,
# as here, cannot show the latter.
#
# ### The answer is in the weights
#
# A response is not free to be of any size. Batch norm gives each channel mean 0 and variance 1, and then multiplies
# by $\gamma$ and adds $\beta$. So over many images a channel has the deviation $\gamma$ and the mean $\beta$, and
# over all channels together
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
    print(f"{name}: off by {100 * np.median(off):.1f}% in the median, at most {100 * off.max():.0f}%")
    assert np.median(off) < 0.5

# %% [markdown]
# So the figure above is a picture of the $\gamma$ and $\beta$ that training has chosen. It says how much the *next*
# addition or ReLU gets; it does not say how much a layer matters. For that, take it away.
#
# **Exercise 1** (10 minutes). `layer_responses` never holds all responses of a layer at once. This function does
# not either, but it is wrong:
#
# ```python
# def pooled_deviation(batches):
#     return np.mean([batch.std() for batch in batches])
# ```
#
# Repair it: return the standard deviation of *all* numbers in a list of arrays of unequal sizes.

# %%
from resnet_lessons import checks


def pooled_deviation(batches):
    """Return the standard deviation of all numbers in a list of arrays."""
    return ...


checks.pooled_deviation(pooled_deviation)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which three sums of a batch can be added to those of the next? $\operatorname{Var}(x) = \overline{x^2} - \bar
# x^2$.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pooled_deviation(batches):
#     count = sum(batch.size for batch in batches)
#     mean = sum(batch.sum() for batch in batches) / count
#     return np.sqrt(sum((batch**2).sum() for batch in batches) / count - mean**2)
# ```
#
# </details>

# %% [markdown]
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
ends = [plain.get_layer(f"stage2_block{number}_relu2").output for number in (1, 2)]
pair = keras.Model(*ends)
rectified = np.maximum(np.random.default_rng(0).normal(size=(4, 16, 16, 32)), 0).astype("float32")
with diagnostics.removed(plain, "stage2_block2"):
    passed = np.array(pair(rectified, training=False))
print("plain-20, the pair gives what it gets:", np.allclose(passed, rectified, atol=1e-5))

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
# In the stored run the plain net without any one of its pairs guesses. Each pair is trained to read what the pair
# before writes, and nothing else. ResNet-20 errs more than it did, two to six times as often, but stays far from
# guessing. It suffers most where the first unit of all is missing; in stage 2 the first unit, which changes the
# dimensions, counts for more than its two neighbours.
#
# *Quoted:* Veit et al. (2016, Sec. 4.1) remove units from a ResNet of 110 layers, 54 units, and see hardly any
# change for most of them, except where the dimensions change; a VGG net without one layer guesses. Nine units are
# fewer to share the work among, so here each one is missed.
#
# What this does **not** show: that the removed units are useless, or that a net *trained* without them would be as
# good.
#
# **Exercise 2** (5 minutes). A signal that goes through a residual net takes, at every unit, the branch or the
# shortcut. So there are $2^n$ paths through n units. Remove some units: which share of the paths is left?


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
# and swap their weights. The first unit of stages 2 and 3 has another shape and stays. **Kendall's rank
# correlation** $\tau$ says how far the new order is from the old: of all pairs that could be swapped, those in
# order less those out of order, over their number. It is 1 for the trained order and -1 for its reverse.
#
# **Predict.** One swap of two units: which error does each net have then?

# %%
shuffled = {name: [] for name in nets}
draws = [(swaps, seed) for swaps in (0, 1, 2, 4) for seed in range(3)][2:]  # no swaps: once
for name, net in nets.items():
    for swaps, seed in draws:
        shuffled[name].append(diagnostics.shuffle_blocks(net, images[:300], labels[:300], swaps, seed))
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
plots.show(fig, alt, f"300 images of {dataset.title}")

# %% [markdown]
# **Figure.** The error after random swaps of units, the trained order on the left; in the stored run plain-20
# guesses after any change, and the error of ResNet-20 grows the further the order is from the trained one.

# %% tags=["nbval-ignore-output"]
for name, found in shuffled.items():
    moved = [error for error, tau in found if tau < 1]
    print(f"{name}: {100 * found[0][0]:.0f}% in order, {100 * min(moved):.0f}% to {100 * max(moved):.0f}% out of order")
    assert found[0][1] == 1
    assert error_of(nets[name]) == intact[name]  # the net is as it was

# %% [markdown]
# In ResNet-20 a swap costs something, and more swaps cost more, as Veit et al. (2016, Sec. 4.3) find in 110 layers.
# So the units do read one another, but not only their neighbour.
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
# plus what comes by the branch. (In version 1 both meet the ReLU after the addition first.) So carry the gradient
# back not as one array but as several, sorted by how many branches they have been through. At each unit every part
# splits in two, and the one that goes through the branch moves on by one place. At the end the parts of all $2^n$
# paths are there, sorted by length, for the price of $n(n+1)/2$ passes through a branch.
#
# **Exercise 4** (40 minutes). Write that for linear units $x + Bx$. You get the matrices B of the units, first to
# last, and the gradient at the end.


# %%
def gradients_by_length(branches, upstream):
    """Return (n + 1, C): the gradient at the start by paths of 0, 1, ..., n branches, for units x + B x."""
    return ...


checks.gradients_by_length(gradients_by_length)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Start with `parts = [upstream]` and go from the last unit to the first. The gradient of $g \cdot Bx$ with respect
# to x is $B^\top g$. Part k behind a unit is the old part k plus the branch's share of the old part k - 1.
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
# matrices. The gradient is that of each image's loss, taken to the input of the first unit, in inference mode. Do
# the parts add up to the whole gradient, taken back in one go?

# %%
from resnet_lessons import backend

few, few_labels = images[:16], labels[:16]
parts = diagnostics.gradient_by_path_length(resnet, few, few_labels)  # (10, 16, 32, 32, 16)
stem = resnet.get_layer("stem_relu1").output
entering = np.array(keras.Model(resnet.input, stem)(few, training=False))
rest = keras.Model(stem, resnet.output)
softmax = np.array(keras.ops.softmax(rest(entering, training=False)))
whole = backend.pull_back(rest, entering, softmax - np.eye(10, dtype="float32")[few_labels], training=False)
difference = np.linalg.norm(parts.sum(axis=0) - whole) / np.linalg.norm(whole)
print(f"{len(parts)} lengths, {2**9} paths; their sum is the whole gradient: {difference < 1e-3}")

# %% [markdown]
# Now single paths, as Veit et al. measure them (Sec. 4.2). Draw k of the nine units at random; the gradient goes
# through their branches alone and past all others. The norm of what arrives is that of *one* path of length k.
# Times the number of such paths it gives the sum of their norms, an upper bound on what they can bring together.
#
# **Predict.** Against the length: does the norm of one path fall, stay, or grow? And at which length is the sum
# largest: below the middle, 4.5, or above it?


# %%
def norms(gradients):
    """Return the norm of each image's gradient; the last three axes are its shape."""
    return np.sqrt(np.sum(np.square(gradients), axis=(-3, -2, -1)))


counts = np.array([math.comb(9, k) for k in range(10)])
one = np.array([norms(diagnostics.path_gradients(resnet, few[:8], few_labels[:8], k, 8)).mean() for k in range(10)])
bound = counts * one
together = norms(parts).mean(axis=1)

# %%
fig, ax = plots.figure(width=7.5)
plots.line(ax, 0, np.arange(10), counts / counts.sum(), "paths")
plots.line(ax, 1, np.arange(10), one / one.sum(), "norm of one path")
plots.line(ax, 2, np.arange(10), bound / bound.sum(), "paths times norm of one")
plots.line(ax, 3, np.arange(10), together / together.sum(), "norm of their sum, exact")
ax.set(xlabel="branches on the path", ylabel="share of the total", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Against path length 0 to 9: share of paths, norm of one path, their product, and the exact norm of their sum."
plots.show(fig, alt, f"16 images of {dataset.title}")

# %% [markdown]
# **Figure.** How many paths have each length, how much of the gradient one of them carries, and how much all of
# them carry; in the stored run one long path carries less than one short path.

# %% tags=["nbval-ignore-output"]
means = {"paths": counts, "paths times norm of one": bound, "norm of their sum": together}
for name, weights in means.items():
    print(f"{name}: mean length {np.average(np.arange(10), weights=weights):.2f}")
print(f"norm of one path: {one[0]:.2g} at length 0, {one[3]:.2g} at 3, {one[6]:.2g} at 6, {one[9]:.2g} at 9")
assert np.isfinite(bound).all()
assert difference < 1e-3

# %% [markdown]
# In the stored run a path through all nine branches brings several times less than one of the short ones, and the
# gradient comes by shorter paths than the count alone would say. But the shift is by less than one branch: in nine
# units there is little room between short and long. The claim about 110 layers is quoted, and this net cannot test
# it. Nor does a small part of the gradient mean that a long path does not matter for the *output*.
#
# ## 6 Grow a net
#
# A unit whose branch is silent passes its input on. So a trained net of 20 layers can be made into one of 56: six
# more units at the end of each stage, with $\gamma = 0$ in their last batch norm. Lesson 05 added two such units;
# here we go on and train.

# %%
grown = training.compile_model(Spec("v1", 56), recipes.for_lesson(), 0, "float32")
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
# **Predict.** Which of the new weights get a gradient from the first batch: all, none, or some?


# %%
def with_gradient(net):
    """Count the new kernels and the new last gammas whose gradient is not zero, on one batch of 32 images."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    _, gradients = backend.gradients(net, images[:32], labels[:32], loss)
    found = {v.path: np.any(g != 0) for v, g in zip(net.trainable_variables, gradients, strict=True)}
    kernels = [layer.kernel for layer in added if "_conv" in layer.name]
    return [sum(found[v.path] for v in some) for some in (kernels, [layer.gamma for layer in silent])]


kernels, gammas = with_gradient(grown)
print(f"new kernels with a gradient: {kernels} of 36, new last gammas: {gammas} of 18")

# %% [markdown]
# The last $\gamma$ alone, with its $\beta$. All that lies before them in the branch is multiplied by $\gamma = 0$
# on the way back. Now make ten updates, on the training images, and look again.

# %% tags=["nbval-ignore-output"]
training_part, _ = batches.train_and_validation(dataset, recipes.for_lesson())
grown.optimizer.learning_rate = 0.01
for step in range(10):
    grown.train_on_batch(*training_part.at(0, step))
sizes = [np.abs(layer.gamma.numpy()).mean() for layer in silent]
print(f"new gammas: {np.mean(sizes):.1g} on average, the trained ones {np.abs(norm.gamma.numpy()).mean():.2f}")
print(f"error: {100 * intact['ResNet-20']:.1f}% before growing, {100 * error_of(grown):.1f}% after ten updates")
assert np.mean(sizes) > 0

# %%
kernels, gammas = with_gradient(grown)
print(f"new kernels with a gradient: {kernels} of 36, new last gammas: {gammas} of 18")

# %% [markdown]
# So a silent branch is not dead: its last $\gamma$ wakes up first, and from then on every kernel gets a gradient.
# What this does *not* show is that the grown net becomes better than the small one, or as good as one that had 56
# layers from the start. Ten updates are a beginning, and the last of "Go further" goes on.
#
# ## 7 Go further
#
# - *5 minutes.* Print the units in the order of their lesion error beside the response of their second convolution
#   (section 2). Do strong responses mark the units that are missed most?
# - *10 minutes.* `contextlib.ExitStack` can hold several `diagnostics.removed` at once. Remove two units, then
#   three. Does the error grow as the share of paths falls (exercise 2)?
# - *15 minutes.* Put `Spec("v2", 20, block="basic")` into `SPECS`. It ships without weights, so it is trained for
#   seconds. Which sections still work, and what do its lesions say?
# - *20 minutes.* Plot `diagnostics.gradient_norms` (lesson 01) of the two trained nets and of two fresh ones. Which
#   differ more: plain from residual, or trained from fresh?
# - *30 minutes.* Train the grown net for as long as you can, and the small net for the same time. Which has the
#   lower validation error?
#
# ## 8 Summary
#
# - The responses of a residual net's layers are smaller than those of its plain twin *(computed, one seed)*, and in
#   deeper ResNets smaller still *(quoted)*.
# - A response after batch norm can be read off $\gamma$ and $\beta$ without any image *(computed)*.
# - Without any one of its pairs a trained plain net guesses; a ResNet without a unit errs more but goes on working
#   *(computed)*.
# - After a swap of units the plain net guesses too, and the ResNet's error grows with the distance from the trained
#   order *(computed)*.
# - n units make $2^n$ paths, and their lengths are binomial; of the paths through 54 units 98% have 19 to 35
#   branches *(computed)*.
# - The gradient splits exactly by path length, and one long path carries less than one short path *(computed)*. In
#   110 layers most of it comes by 10 to 34 layers *(quoted)*.
# - A trained net can grow from 20 to 56 layers without changing its output; its new kernels get their first
#   gradient after one update of the silent $\gamma$ *(computed)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015. A. Veit, M. Wilber, S. Belongie, *Residual Networks Behave Like Ensembles of Relatively Shallow Networks*,
#       arXiv 1605.06431, 2016.
