# %% [markdown]
# # 08 Loss landscapes
#
# *40 minutes to read and run, 35 more for the exercises. Nothing is trained. The slices take about 50 seconds on
# two cores in fast mode, about two hours in full mode (estimated).*
#
# What does the loss look like around a trained net, and does a shortcut change it? Pictures of such landscapes are
# well known: smooth bowls with shortcuts, jagged mountains without. This lesson draws such slices of nets that you
# can train in an hour or two, looks for the mountains, and finds out what has to be right before two pictures may be
# compared. You will
#
# - cut slices through the loss, along one random direction and along two;
# - write one function with other weights, and compare its slices along two kinds of directions;
# - see what batch norm's statistics do to the picture;
# - compare plain nets of 20 and of 56 layers with their residual twins, and ask what the picture leaves out.
#
# You should have read [lesson 02](02_residual_blocks.ipynb): a **plain** net has no shortcuts, its **residual
# twin** has the same convolutions and shortcuts around each pair. The recipe "short" makes 8,000 updates of 128
# images, which is 23 passes over the 45,000 images that are not held back. Every number is *computed* in a cell
# above it or *quoted* from a paper, and the text says which. The nets, and how well they do on the test images, are
# *recorded*: they ship with the package, one seed each.

# %% [markdown]
# ## 1 A slice
#
# A net of 20 layers has some 270,000 weights $w$, and its loss $L(w)$ is a function of all of them. Nobody can draw
# that. But choose a **direction** $d$, one number for each weight, walk along it from the trained net, and measure
# the loss on the way:
#
# $$ \ell(\alpha) = L(w + \alpha d) . $$
#
# That is a **slice**. With a second direction, $L(w + \alpha a + \beta b)$ is a surface over a plane.
#
# Sections 1 to 3 are about the tool and use one net, v1-20. That is the package's name for what lesson 07 calls
# ResNet-20. Section 4 puts its plain twin and the two nets of 56 layers beside it.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import batches, data, recipes, training
from resnet_lessons.specs import Spec

dataset = data.load("cifar10")
net = training.trained(Spec("v1", 20), data=dataset.name)
print(dataset.source)
assert net.name == "v1_20"

# %% [markdown]
# The loss that training made small is that on the training images. Take 64 of them, as they are: without the
# random crops and flips, which would change the picture from point to point.

# %%
chosen, _ = batches.split(dataset.y_train, recipes.get("short").validation)  # what the nets were trained on
mean = batches.pixel_mean(dataset.x_train, chosen)


def some_images(count):
    """Return so many training images, (count, 32, 32, 3), and their labels."""
    return batches.normalize(dataset.x_train[chosen[:count]], mean), dataset.y_train[chosen[:count]]


x, y = some_images(64)
print(x.shape, y.shape)

# %% [markdown]
# Now a direction. The first that comes to mind is one Gaussian random number for each weight of a **kernel**, the
# array of a convolution or of the dense layer. How long should it be? Let it be as long as all kernels together, so
# that at $\alpha = 1$ there is as much noise as net. Biases and batch norm's scales and shifts stay where they are;
# section 2 comes back to them.

# %%
import numpy as np


def norm(arrays):
    """Return the Euclidean norm of a list of arrays, taken as one vector."""
    return np.sqrt(sum(np.sum(np.square(array)) for array in arrays))


def random_direction(net, seed):
    """Return Gaussian noise for the kernels and zeros for all else, as long as the kernels."""
    rng = np.random.default_rng(seed)
    weights = [variable.numpy() for variable in net.trainable_variables]
    noise = [rng.normal(size=w.shape) if w.ndim > 1 else np.zeros(w.shape) for w in weights]
    length = norm([w.astype("float64") for w in weights if w.ndim > 1])
    return [part * length / norm(noise) for part in noise]


# %% [markdown]
# To measure a point, move the weights, compute the loss, and put everything back. `training=True` lets batch norm
# divide by the statistics of these images. It also changes the moving statistics, so they are put back, too.

# %%
import keras


def loss_at(net, direction, alpha, training=True):
    """Return the mean cross-entropy at w + alpha * direction; the net is left as it was."""
    before = net.get_weights()
    for variable, part in zip(net.trainable_variables, direction, strict=True):
        variable.assign_add(alpha * part)
    losses = keras.losses.sparse_categorical_crossentropy(y, net(x, training=training), from_logits=True)
    net.set_weights(before)
    return float(keras.ops.mean(losses))


# %% [markdown]
# The package has the same. `diagnostics.loss_surface` calls the net as a pure function of its weights, compiled at
# its first slice, so the net is never changed. Does it find the same?

# %%
from resnet_lessons import diagnostics

ours = random_direction(net, seed=0)
raw = diagnostics.raw_direction(net, seed=0)
print("the same direction:", all(np.allclose(a, b, atol=1e-5) for a, b in zip(ours, raw, strict=True)))
by_hand = [loss_at(net, raw, alpha) for alpha in (-0.5, 0, 0.5)]
surface = diagnostics.loss_surface(net, x, y, [raw], alphas=(-0.5, 0, 0.5))
print("the same losses:", np.allclose(surface.loss, by_hand, rtol=1e-3))

# %% [markdown]
# ## 2 How long is a step?
#
# A slice of one net looks wide, that of another narrow. Is the wide one flatter? Try it on nets of which you know
# the answer. Multiply all weights of a convolution of v1-20 by a factor. A batch norm follows and divides by the
# standard deviation, so that the factor is gone again. In inference mode it divides by moving statistics, which we
# scale, too.


# %%
import itertools


def rescaled(factors):
    """Return v1-20 with each convolution's kernel multiplied by one of the factors, which take turns."""
    twin = training.trained(Spec("v1", 20), data=dataset.name)
    convolutions = [layer for layer in twin.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer, factor in zip(convolutions, itertools.cycle(factors)):  # after each "conv1" comes a "bn1"
        layer.kernel.assign(factor * layer.kernel)
        batch_norm = twin.get_layer(layer.name.replace("conv", "bn"))
        batch_norm.moving_mean.assign(factor * batch_norm.moving_mean)
        batch_norm.moving_variance.assign(factor**2 * batch_norm.moving_variance)
    return twin


# %% [markdown]
# One twin gets the factor 4 in all convolutions. The other, the *uneven* twin, gets 4 and 1/4 in turn.

# %% tags=["nbval-ignore-output"]
twin, uneven = rescaled([4]), rescaled([4, 1 / 4])
logits, *others = (np.array(model(x, training=False)) for model in (net, twin, uneven))
print(f"logits from {logits.min():.1f} to {logits.max():.1f}")
for name, found in zip(("twin", "uneven twin"), others, strict=True):
    print(f"{name}: differs by at most {np.abs(found - logits).max():.0e}")
    assert np.abs(found - logits).max() < 0.1 * np.ptp(logits)

# %% [markdown]
# So the three are one function, written with other numbers. What difference there is comes from rounding, and from
# the small constant inside batch norm's root, 1e-5, which does not grow with the weights.
#
# **Predict.** Walk from net and twin along the *same* raw direction, with the same steps. Do you get the same
# slice, a wider one for the twin, or a narrower one?

# %% tags=["nbval-ignore-output"]
alphas = np.linspace(-1, 1, 7)
walks = {"v1-20": (net, raw), "times 4, the direction of v1-20": (twin, raw)}
slices = {name: diagnostics.loss_surface(model, x, y, [step], alphas) for name, (model, step) in walks.items()}
for name, found in slices.items():
    print(f"{name:31}", found.loss.round(2))
rise = [np.mean(found.loss[[0, -1]]) - found.loss[3] for found in slices.values()]  # at alpha = -1 and 1
assert rise[0] > 2 * rise[1]

# %% [markdown]
# The twin looks much flatter. But is the comparison fair? By the rule of section 1 a direction is as long as all
# kernels together, so the twin's own raw direction is nearly four times as long.
#
# **Predict.** Does each net's *own* raw direction make the slices of all three the same?

# %% tags=["nbval-ignore-output"]
for name, model in {"times 4": twin, "times 4 and 1/4 in turn": uneven}.items():
    slices[name] = diagnostics.loss_surface(model, x, y, [diagnostics.raw_direction(model, seed=0)], alphas)
    print(f"{name:31}", slices[name].loss.round(2))
own, _, twins, unevens = (found.loss for found in slices.values())
assert np.abs(unevens - own).max() > 2 * np.abs(twins - own).max()

# %%
from resnet_lessons import plots

fig, ax = plots.figure()
for number, (name, found) in enumerate(slices.items()):
    plots.line(ax, number, alphas, found.loss, name)
ax.set(xlabel="alpha, along each net's own raw direction but for one line", ylabel="loss", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss along raw directions. Of the twin: level along the net's, steeper than v1-20 along its own. Uneven: most."
plots.show(fig, alt, f"{len(x)} training images of {dataset.title}")

# %% [markdown]
# **Figure.** One function, four slices: flat with a common factor and the old direction, closer to the old slice
# with a direction of its own, though its rise is up to two thirds larger, and far steeper with uneven factors,
# although each of those directions follows one rule.
#
# The twin's own slice is not quite that of v1-20, as its dense layer was not multiplied and gets noise four times
# as long, too (an argument).
#
# A step that is long against small weights is short against large ones. One common factor is cancelled by the
# overall length already; factors that differ from layer to layer are not. And this is no trick that only a lesson
# plays: weight decay shrinks the weights in front of a batch norm, updates make them longer, and the length that is
# left says nothing about the function. So along raw directions two trained nets must not be compared.
#
# ### Filter normalization
#
# Li et al. (2018, Sec. 4) measure the step in units of the weights themselves, one **filter** at a time. A filter
# is what computes one channel: `kernel[..., c]`. Each filter of the direction gets the length (the Euclidean norm)
# of the net's own filter.
#
# **Exercise 1** (10 minutes). Do it for one kernel. It may be that of a convolution, with four axes, or that of a
# dense layer, with two; the channels that come out are the last axis of both.

# %%
from resnet_lessons import checks


def filter_normalized(direction, kernel):
    """Return the direction, in the shape of the kernel, with each filter as long as the kernel's."""
    return ...


checks.filter_normalized(filter_normalized)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.sum(..., axis=..., keepdims=True)` over all axes but the last. First bring each filter of the direction to
# length 1.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def filter_normalized(direction, kernel):
#     others = tuple(range(kernel.ndim - 1))
#     wanted, found = (np.sqrt(np.sum(array**2, axis=others, keepdims=True)) for array in (kernel, direction))
#     return direction * wanted / found
# ```
#
# </details>
#
# Biases and batch norm's scales and shifts get no direction here, as in the authors' code (`ignore=biasbn`). Each
# of them is a single number for its channel. A direction normalized to the length of a single number is that number
# or its negative: a step of 1 then doubles a scale or sets it to zero, and nothing about it is random but the sign.
#
# `diagnostics.filter_direction` draws such a direction for a whole net.
#
# **Predict.** Net and uneven twin again, each along the filter-normalized direction that belongs to its own
# weights, from the same random numbers. The same slice, or two?

# %%
filtered = {
    name: diagnostics.loss_surface(model, x, y, [diagnostics.filter_direction(model, seed=0)], alphas)
    for name, model in (("v1-20", net), ("times 4 and 1/4 in turn", uneven))
}
one, other = (found.loss for found in filtered.values())
print("the same slice, to 2% of its height:", bool(np.abs(one - other).max() < 0.02 * np.ptp(one)))

# %%
fig, ax = plots.figure()
for number, (name, found) in enumerate(filtered.items()):
    plots.line(ax, number, alphas, found.loss, name)
ax.set(xlabel="alpha, along each net's own filter-normalized direction", ylabel="loss", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss of the net and of its uneven twin along their filter-normalized directions: the two lines coincide."
plots.show(fig, alt, f"{len(x)} training images of {dataset.title}")

# %% [markdown]
# **Figure.** Along filter-normalized directions the net and its uneven twin have one slice: the dashes lie on the
# line.
#
# The direction has grown and shrunk with the weights, so the factors cancel. What filter normalization does *not*
# cancel is all that is no factor in front of a batch norm. Multiply the dense layer by 2: the logits are others,
# and so is the loss, in the middle too. The same holds for batch norm's scales and shifts. It makes slices
# comparable where filters differ by factors, and no further.
#
# **Exercise 2** (15 minutes). So what was wrong with the slice along the raw direction? At $\alpha = 1$ each filter
# has moved by some share of its own length. Find the filter that moves by the largest share, over all layers.


# %%
def most_moved(direction, kernels):
    """Return (layer, filter, ratio) for the largest ratio; both arguments are lists of arrays, one a layer."""
    return ...


checks.most_moved(most_moved)

# %% [markdown]
# <details><summary>Hint</summary>
#
# For each layer, the lengths of all filters of the direction over those of the kernel: an array of one ratio a
# filter. Then the largest of the largest.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def most_moved(direction, kernels):
#     best = (0, 0, -1.0)
#     for layer, (step, kernel) in enumerate(zip(direction, kernels)):
#         others = tuple(range(kernel.ndim - 1))
#         ratios = np.sqrt(np.sum(step**2, axis=others) / np.sum(kernel**2, axis=others))
#         if ratios.max() > best[2]:
#             best = (layer, int(ratios.argmax()), ratios.max())
#     return best
# ```
#
# </details>
#
# Here are the ratios of all filters, for both kinds of direction.


# %%
def lengths(arrays):
    """Return the lengths of all filters of all kernels, in one array."""
    kernels = [np.array(array, "float64") for array in arrays if array.ndim > 1]
    return np.concatenate([np.sqrt(np.sum(k**2, axis=tuple(range(k.ndim - 1)))) for k in kernels])


# %% tags=["nbval-ignore-output"]
own = lengths([variable.numpy() for variable in net.trainable_variables])
for kind, direction in {"raw": raw, "filter": diagnostics.filter_direction(net, seed=0)}.items():
    share = lengths(direction) / own
    print(f"{kind:6} a step of 1 moves a filter by {share.min():.2f} to {share.max():.2f} of its length")
    assert share.max() > 3 * share.min() if kind == "raw" else np.allclose(share, 1, rtol=1e-3)

# %% [markdown]
# One step along the raw direction moves some filters by more than their own length and others by a small part of
# it. (In the stored run the ratios differ by a factor of 18.) We expect the loss to be mostly that of the filters
# that have moved most: an argument, not measured here. Along the filter-normalized direction all filters move
# alike.
#
# ## 3 Whose statistics?
#
# In use, a batch norm divides by **moving statistics**, which training has gathered. They belong to the weights in
# the middle of the slice. At another point the activations have other means and deviations, and there are two ways
# to go on:
#
# - keep the moving statistics of the middle. Then a point of the slice is a net whose batch norms do not normalize;
# - **re-estimate** them at each point. One forward pass in training mode does that, with the statistics of the
#   images at hand. Then each point is a net with those weights whose batch norms do normalize.
#
# **Predict.** In the middle the two differ by a fifth (stored run). Which slice rises faster to the sides?

# %% tags=["nbval-ignore-output"]
direction = diagnostics.filter_direction(net, seed=0)
moving = diagnostics.loss_surface(net, x, y, [direction], alphas, statistics="moving")
kinds = {"batch": filtered["v1-20"], "moving": moving}
for kind, found in kinds.items():
    print(f"{kind:7}", found.loss.round(2))
assert moving.loss[[0, -1]].mean() > 1.3 * kinds["batch"].loss[[0, -1]].mean()

# %%
fig, ax = plots.figure()
names = {"batch": "re-estimated at each point", "moving": "those of the middle"}
for number, (kind, found) in enumerate(kinds.items()):
    plots.line(ax, number, found.alphas, found.loss, names[kind])
ax.set(xlabel="alpha, along one filter-normalized direction", ylabel="loss", ylim=(0, None))
ax.legend(title="statistics", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss of v1-20 along one direction, twice: with the statistics of the middle it rises more steeply on both sides."
plots.show(fig, alt, f"{len(x)} training images of {dataset.title}")

# %% [markdown]
# **Figure.** With the statistics of the middle the slice rises three to four times as high.
#
# That slice measures two things at once: how fast the statistics go out of date, and how the loss changes (an
# argument).
#
# Neither is wrong; they answer different questions. The authors' code evaluates in inference mode (quoted:
# `net.eval()` in its `evaluation.py`), so with the statistics of the middle. We **re-estimate from here on**, for
# two reasons. Training does: the loss that an update descends is that with the statistics of the batch. And with
# those of the middle a net is punished for being moved at all: its layers receive inputs off their scale, which the
# next updates would mend (an argument). The price: the statistics come from 64 images (in full mode from 128 at a
# time), not from all, so the loss in the middle is not exactly that of the net in use.
#
# ## 4 With and without shortcuts, along a line
#
# Now the comparison, of nets whose architectures differ in their shortcuts alone: the plain nets of 20 and 56
# layers and their residual twins. Each was trained by the recipe "short" from seed 0 (on shapes10 by "short" over
# 1,000 updates); of the three recorded plain-56 that is the one with the lowest errors (lesson 09). Each gets
# directions that are normalized to its own filters, and they share images and steps. (On the images that the
# package draws, "shapes10", the pair of 20 layers alone ships, and is drawn here and in section 5.)

# %% tags=["nbval-ignore-output"]
from resnet_lessons import results

short = [run for run in results.load() if run.data["name"] == dataset.name and run.recipe["name"].startswith("short")]
shipped = {run.spec: run for run in short if run.seed == 0}
pairs = {depth: [Spec("plain", depth), Spec("v1", depth)] for depth in (20, 56)}
pairs = {depth: pair for depth, pair in pairs.items() if set(pair) <= shipped.keys()}
nets = {spec.name: training.trained(spec, data=dataset.name) for pair in pairs.values() for spec in pair}
for spec in itertools.chain(*pairs.values()):
    updates, error = shipped[spec].recipe["steps"], shipped[spec].result["test_error"]
    print(f"{spec.name}: {updates:,} updates, {100 * error:.1f}% of the test images wrong (recorded)")
assert 20 in pairs

# %% [markdown]
# **Predict.** Two random directions for each net. Compare how the loss *rises* from the middle. Will the two slices
# of one net differ more, or those of a plain net and its twin? And does the answer change from 20 to 56 layers?

# %% tags=["nbval-ignore-output"]
steps, lines = np.linspace(-1, 1, 11), {}
for name, model in nets.items():
    for seed in (0, 1):
        direction = diagnostics.filter_direction(model, seed)
        lines[name, seed] = diagnostics.loss_surface(model, x, y, [direction], steps)
for (name, seed), found in lines.items():
    print(f"{name:9} direction {seed}: loss {found.loss[5]:.2f} in the middle, {found.loss.max():.2f} at most")
assert all(found.loss[5] < found.loss[[0, -1]].min() for found in lines.values())

# %%
fig, axes = plots.figure(len(pairs))
for ax, pair in zip(np.atleast_1d(axes), pairs.values(), strict=True):
    for number, (spec, seed) in enumerate(itertools.product(pair, (0, 1))):
        plots.line(ax, number, steps, lines[spec.name, seed].loss, f"{spec.name}, direction {seed}")
    ax.set(xlabel="alpha", ylim=(0, None))
    ax.legend(frameon=False, loc="upper center", fontsize=8)
np.atleast_1d(axes)[0].set_ylabel("loss")
alt = "Loss along two filter-normalized directions a net, 20 layers left, 56 right: valleys, that of plain-56 high up."
plots.show(fig, alt, f"{len(x)} training images of {dataset.title}")

# %% [markdown]
# **Figure.** Along both directions every net lies in a valley; that of plain-56 is high up and flat in the middle.
# At steps of 0.2 nothing jagged shows.
#
# Which is the sharper one? That should be a number. A simple one is the width of the valley: how far can you walk
# until the loss has risen by a given amount?
#
# **Exercise 3** (10 minutes). Read it from a slice. Take straight lines between the points, and only the stretch
# around $\alpha = 0$; the alphas always contain 0. Where the slice ends before the loss has risen that far, the
# stretch ends there.


# %%
def slice_width(alphas, losses, rise):
    """Return the width of the stretch around alpha = 0 whose loss is at most ``rise`` above that at 0."""
    return ...


checks.slice_width(slice_width)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write a function for one side that walks from the middle to the first point above the limit. `np.interp` finds the
# crossing between that point and the one before. For the left side, turn both arrays round.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def slice_width(alphas, losses, rise):
#     middle = int(np.argmin(np.abs(alphas)))
#     limit = losses[middle] + rise
#
#     def reach(distances, values):
#         for k in range(1, len(values)):
#             if values[k] > limit:
#                 return np.interp(limit, values[k - 1 : k + 1], distances[k - 1 : k + 1])
#         return distances[-1]
#
#     right = reach(alphas[middle:], losses[middle:])
#     return right + reach(-alphas[middle::-1], losses[middle::-1])
# ```
#
# </details>
#
# `diagnostics.slice_width` does the same. Here are the widths for a rise of 0.5, and for a rise as large as the
# loss in the middle, that is, until the loss has doubled. Below them the answer to the question above: the largest
# difference between the rises of two slices, over all points.

# %% tags=["nbval-ignore-output"]
for (name, seed), found in lines.items():
    widths = [diagnostics.slice_width(steps, found.loss, rise) for rise in (0.5, found.loss[5])]
    print(f"{name:9} direction {seed}: width {widths[0]:.2f} for a rise of 0.5, {widths[1]:.2f} until doubled")
    assert 0 < min(widths) <= max(widths) <= 2


def apart(one, other):
    """Return the largest difference between two slices, each less its loss in the middle."""
    rises = [lines[key].loss - lines[key].loss[5] for key in (one, other)]
    return np.abs(rises[0] - rises[1]).max()


for name in nets:
    print(f"{name}, two directions: up to {apart((name, 0), (name, 1)):.2f} apart")
for plain, residual in pairs.values():
    both = [apart((plain.name, seed), (residual.name, seed)) for seed in (0, 1)]
    print(f"{plain.name} and {residual.name}: up to {both[0]:.2f} and {both[1]:.2f} apart along the two directions")

# %% [markdown]
# In the stored run the rises of the two slices of v1-20 are up to 0.80 apart, those of plain-20 0.21, and those of
# the twins 0.84 along one direction and 0.66 along the other. With 56 layers these numbers are 0.94, 0.27, 1.17 and
# 0.67. So at both depths the twins differ 2.5 to 4.3 times as much as two directions of the plain net, and about as
# much as two directions of the residual net.
#
# The widths are not what the well-known pictures make one expect: at both depths the *plain* net has the wider
# valleys, along either direction. For a rise of 0.5 they are 1.11 and 1.03 against 0.81 and 0.99 at 20 layers, and
# 1.29 and 1.31 against 1.00 and 1.15 at 56. But the two directions of v1-20 differ by more (0.18) than the nearest
# two of the twins (0.04), and those of v1-56 by about as much (0.15 and 0.14). Two directions of one seed do not
# say that a shortcut makes a valley narrower. Still less do they say that it makes it wider.
#
# The loss of plain-56 does not double within 1.94 and 1.95 of the 2 units walked. That says less of the slopes than
# of the **floor**, the loss in the middle: that of plain-56 is 1.10, half of that of guessing, and twice as much is
# nearly what a ruined net has. A net that has learnt little has little to lose. What sets plain-56 apart in these
# slices, along any direction, is how high its valley lies.
#
# ## 5 Over a plane
#
# With two directions the slice is a surface. Fast mode takes 7x7 points and 64 images, full mode 51x51 points and 512
# images, which take hours. So there `out=` names a file that gets each row as soon as it is finished. If in full mode
# you interrupt the cell, or lose the kernel, run it again: it goes on where it was. Once the file is complete the
# cell only reads it. A file of another net, other directions or other images is refused.
#
# **Predict.** Will the contours of one net be round, and those of the other not?

# %% tags=["nbval-ignore-output"]
full = recipes.mode() == "full"
points, count = (51, 512) if full else (7, 64)
grid, images, surfaces = np.linspace(-1, 1, points), some_images(count), {}
for name in list(nets)[-2:]:  # the pair of 56 layers
    directions = [diagnostics.filter_direction(nets[name], seed) for seed in (0, 1)]
    file = f"../runs/landscape/{name}-{dataset.digest[:8]}-{points}x{points}-{count}-{keras.backend.backend()}.npz"
    out = file if full else None
    surfaces[name] = diagnostics.loss_surface(nets[name], *images, directions, grid, grid, out=out)
    lowest, highest = surfaces[name].loss.min(), surfaces[name].loss.max()
    print(f"{name:9} {points}x{points} points: loss from {lowest:.2f} to {highest:.2f}")
    assert lowest < 0.8 * highest

# %% [markdown]
# Two maps can be compared only on one scale. These share their levels and colours. The levels grow by equal
# *ratios*, as the loss differs by a factor from the middle to the corners; on a linear scale the middle would be
# one flat spot. What lies above 5 is drawn as 5 (in the stored maps nothing does): nobody needs to know how bad a
# ruined net is.

# %%
levels = plots.loss_levels(list(surfaces.values()), count=9, top=5)
fig, axes = plots.figure(2, height=4.4)
plots.contours(axes, list(surfaces.items()), levels)
alt = "Contour maps of the loss over two random directions, on one scale: two bowls; the plain net's has fewer rings."
plots.show(fig, alt, f"{count} training images of {dataset.title}")

# %% [markdown]
# **Figure.** Around both nets (the crosses) the loss rises towards the edges of the plane; the inner rings are
# closed, the outer ones leave the map. Downwards of plain-56 it is flat for a third of the way.
#
# Are they round? Neither's are: in the stored run both are stretched from upper left to lower right. That the rings
# are polygons comes from the map's 7 points a side. What differs is the number of rings: v1-56 has all of them,
# plain-56 only those from 1.1 on.
#
# A ring is one loss, not one rise, and the floors of the two nets differ: for widths as in section 4, subtract the
# floor first.

# %%
fig = plots.hills(list(surfaces.items()), levels)
alt = "The same two surfaces in three dimensions; their height is the logarithm of the loss."
plots.show(fig, alt, f"{count} training images of {dataset.title}")

# %% [markdown]
# **Figure.** The same surfaces as bowls, whose height is the logarithm of the loss. A picture in three dimensions
# impresses more and tells less: what lies behind a rim cannot be read.
#
# Neither net has a jagged surface, as far as points 1/3 apart can tell. Where do the well-known mountains come
# from, then? Li et al. (2018, Fig. 1) draw ResNet-56 with and without shortcuts in three dimensions. The height
# seems to be a logarithm there, too: the names of the figure's files contain "Log", and the authors' README makes
# such a picture with the option `--log`. Their contour maps go by depth (Fig. 5): without shortcuts that of 20
# layers is benign, those of 56 and 110 are not; with shortcuts all three are (*quoted*). At 20 layers our slices
# agree. At 56 layers, without shortcuts, ours is a wide bowl with a high floor and theirs is rugged. Three of the
# things that differ could make it so:
#
# - their nets had 300 passes over the images, ours 23, and plain-56 has learnt little;
# - their code keeps the statistics of the middle, and section 3 has shown for v1-20 how much that alone adds;
# - the commands of their README take 51x51 points, and 7x7 can miss what lies between.
#
# The second and the third can be tried at once, along a line: the statistics of the middle, at 41 points.
#
# **Predict.** A smooth slice has one lowest point and no other that is lower than its neighbours. How many such
# *dips* has that of plain-56, and how many that of its twin?

# %% tags=["nbval-ignore-output"]
fine = np.linspace(-1, 1, 41)
for name in list(nets)[-2:]:
    direction = diagnostics.filter_direction(nets[name], seed=0)
    loss = diagnostics.loss_surface(nets[name], x, y, [direction], fine, statistics="moving").loss
    dips = (loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])
    print(f"{name:9} dips: {dips.sum()}, loss {loss[20]:.2f} in the middle, {loss.max():.2f} at most")
    assert dips.sum() >= 1

# %% [markdown]
# In the stored run each slice has one dip. So along this direction neither the statistics nor the coarse steps hide
# a ruggedness of plain-56: it is smooth at steps of 0.05, too, and only steeper. That is one direction, and the
# plane may have others. The number of passes is left; the last of "Go further" takes it up.
#
# ## 6 What the picture does not show
#
# Two directions of 850,000, or of 270,000 in the nets of 20 layers. A random direction is nearly orthogonal to any
# given one, so a random plane holds next to nothing of the one direction that training looks at: the gradient.
# Compare, with v1-20 again.
#
# **Predict.** Make a direction of the gradient: scale it like the others, filter by filter, and walk along it. Is
# that slice as wide as the random ones?

# %%
from resnet_lessons import backend


def scaled(part, kernel):
    """Return an array with each filter as long as the kernel's; zeros for what is no kernel."""
    if part.ndim == 1:
        return np.zeros_like(part)
    others = tuple(range(part.ndim - 1))
    return part * np.sqrt(np.sum(kernel**2, axis=others) / np.maximum(np.sum(part**2, axis=others), 1e-30))


def cosine(one, other):
    """Return the cosine of the angle between two directions."""
    return sum(np.vdot(a, b) for a, b in zip(one, other, strict=True)) / norm(one) / norm(other)


def reach(found, side):
    """Return how far the loss stays within 0.5 of that in the middle, to the right (side 1) or to the left (-1)."""
    kept = side * found.alphas >= 0
    return diagnostics.slice_width(found.alphas[kept], found.loss[kept], rise=0.5)


# %% [markdown]
# The scaling turns the direction: a filter with a small gradient gets as much weight as one with a large. How much
# of the gradient is left is told by the cosine of the angle between the two: 1 for the same direction, 0 for
# orthogonal ones. How far is near? We do not know before, so each step is half as long as the one before it, from
# 1/2 to 1/1024.

# %% tags=["nbval-ignore-output"]
model = nets["v1-20"]
_, gradient = backend.gradients(model, x, y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
uphill = [scaled(part, v.numpy()) for part, v in zip(gradient, model.trainable_variables, strict=True)]
random = diagnostics.filter_direction(model, seed=0)
print(f"cosine with the gradient: {cosine(uphill, gradient):.2f} after scaling, {cosine(random, gradient):.4f} random")
near = np.array([-(2.0**-k) for k in range(1, 11)] + [0] + [2.0**-k for k in range(10, 0, -1)])
along = {"uphill": diagnostics.loss_surface(model, x, y, [uphill], near), "random": lines["v1-20", 0]}
for name, found in along.items():
    lowest = found.loss.argmin()
    print(f"{name}: 0.5 above the middle at {-reach(found, -1):.3f} and at {reach(found, 1):.3f}", end=", ")
    print(f"lowest {found.loss[lowest]:.2f} at {found.alphas[lowest]:.3f}")
assert abs(cosine(random, gradient)) < 0.05

# %%
fig, ax = plots.figure()
names = {"uphill": "along the gradient,\nrescaled filter by filter", "random": "along a random direction"}
for number, (name, found) in enumerate(along.items()):
    plots.line(ax, number, found.alphas, found.loss, names[name])
ax.set(xlabel="alpha", ylabel="loss", xlim=(-0.5, 0.5), ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss of v1-20 along a random direction, and along the rescaled gradient: a dip on the left, then steep walls."
plots.show(fig, alt, f"{len(x)} training images of {dataset.title}")

# %% [markdown]
# **Figure.** Along the gradient on these 64 images, rescaled filter by filter, the loss first falls to the left,
# and then rises on both sides far more steeply than along a random direction, although each filter moves by the
# same share of its length.
#
# In the stored run the loss along the rescaled gradient is 0.5 above the middle at -0.094 and at 0.007, along the
# random direction at -0.41 and 0.40. So this valley is eight times narrower, and uphill the wall is more than fifty
# times nearer, between the steps of 1/256 and 1/128. A random plane would hardly have shown it: the cosine of the
# random direction with the gradient is below 0.001. The rescaling left most of the gradient, with a cosine of 0.92.
# A 64th to the left the loss is 0.04, against 0.28 in the middle: the net is not at the bottom of this slice. That
# is the loss of these 64 images, whose gradient was taken; other images may gain less.
#
# So before you conclude from such a picture, remember what is not in it.
#
# - **Nearly all directions.** A plane has two of 850,000. A valley that narrows in some directions and a bowl that
#   is round in all can look the same in a random plane.
# - **Curvature near the net.** A random direction adds noise to all layers at once, and at $\alpha = 1$ as much
#   noise as there is net. Then most of what the net has learnt is gone: the sixteen ends of section 4 have losses
#   from 1.8 to 3.3 (its figure), and guessing has $\ln 10 = 2.3$. So slices rise towards their ends, whatever the
#   landscape is like near the net, and a bowl in the picture may say no more than that (an argument).
# - **Comparable scales.** Widths can be compared along filter-normalized directions, on the same images, with the
#   same kind of statistics. The twin of section 2 is a reminder of what happens otherwise.
# - **Training.** That one landscape is smoother than another does not say how training finds its way in it, nor how
#   well the net does on new images. Neither was measured here.
# - **Chance.** One seed for each net, 64 images in fast mode. Two slices that differ by as much as two directions
#   of one net do not tell two nets apart.
#
# ## 7 Go further
#
# - *10 minutes.* Draw the slices whose dips section 5 counts, and those along three more directions. Is one of them
#   rugged? (Cut the axis, `ylim=(0, 5)`.)
# - *5 minutes.* Take the widths of v1-20 along the directions of seeds 2 to 5. How much do they vary?
# - *10 minutes.* Repeat one slice with images that were held back: `batches.train_and_validation(dataset,
#   recipes.get("short"))[1].at(0, 0)` returns 500 with their labels; take 64. Does the valley move, or only its
#   floor rise?
# - *15 minutes.* Walk on a straight line from fresh weights to trained ones: `from resnet_lessons import models`,
#   `fresh = models.build(Spec("v1", 20))`, and as direction the difference, trained less fresh, of *all* trainable
#   variables, scales and shifts included; `loss_surface(fresh, x, y, [difference], alphas)` accepts it, with alphas
#   from 0 to 1. Use `statistics="batch"` and then `"moving"`. Why are a fresh net's moving statistics of no use
#   halfway?
# - *20 minutes.* plain-20 and v1-20 have weights of the same shapes. Compute a slice of v1-20 from its own weights
#   to those of plain-20. What would you need instead, to say something about the way between two minima?
# - *5 minutes.* In section 5 write `out = file`, run the cell and interrupt it after a few seconds. Run it again:
#   how long does it take? And once more?
# - *About two hours, on two cores.* Start the kernel with `RESNET_LESSONS_MODE=full` and hang the result on a wall.
# - *Some nights.* Li et al. had 300 passes over the data, our nets had 23. Train plain-56 for longer:
#   `resnet-lessons train plain --depth 56 --recipe he2015 --out runs/plain-56` in a terminal, in the folder of the
#   README, makes 182. Read it with `training.resume("../runs/plain-56", dataset).model`. Is its valley still
#   smooth?
#
# ## 8 Summary
#
# - A slice shows the loss along one direction or two of some 270,000, or 850,000 *(computed)*.
# - Convolutions multiplied by 4 in front of batch norms leave the function as it is and make its slice along one
#   raw direction flatter; multiplied by 4 and 1/4 in turn, they change its own raw slice *(computed)*. Along
#   filter-normalized directions the slice stays the same, to 2% of its height *(computed)*.
# - With the statistics of the middle a slice rises more steeply than with re-estimated ones *(computed)*. The
#   authors' code takes those of the middle *(quoted)*, this lesson re-estimates them.
# - At 20 layers and at 56 a plain net and its residual twin lie in valleys without a ruggedness that 11 points
#   would show, nor at 56 layers 41 points with the statistics of the middle. Their rises differ by about as much as
#   two directions of the residual net, and so do their widths: which valley is the wider is not settled. The floor
#   of plain-56 is high *(computed, one seed each, after 23 passes)*. That plain nets of 56 layers look rugged and
#   residual ones smooth, after 300 passes, is *quoted*; this lesson has not shown it.
# - Along its own gradient, rescaled filter by filter, the loss rises more steeply than along a random direction
#   *(computed)*.
#
# **Sources.** H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, *Visualizing the Loss Landscape of Neural Nets*,
# arXiv 1712.09913, NeurIPS 2018, and the code that its authors published (`tomgoldstein/loss-landscape`). K. He, X.
# Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385, 2015. For interpolation:
# I. Goodfellow, O. Vinyals, A. Saxe, *Qualitatively characterizing neural network optimization problems*, ICLR
# 2015.
