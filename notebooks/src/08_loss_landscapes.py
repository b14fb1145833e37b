# %% [markdown]
# # 08 Loss landscapes
#
# *40 minutes to read and run, 35 more for the exercises. Nothing is trained. The slices take about a minute on two
# cores in fast mode, half an hour in full mode (estimated).*
#
# What does the loss look like around a trained net, and does a shortcut change it? Pictures of such landscapes are
# well known: smooth bowls with shortcuts, jagged mountains without. This lesson draws them, and finds out what has
# to be right before two of them may be compared. You will
#
# - cut slices through the loss, along one random direction and along two;
# - make a net look flat without changing what it computes, and see which direction is not fooled;
# - see what batch norm's statistics do to the picture;
# - compare a plain net of 20 layers with its residual twin, and ask what the picture leaves out.
#
# You should have read [lesson 02](02_residual_blocks.ipynb). Every number is *computed* in a cell above it or
# *quoted* from a paper, and the text says which. The nets are *recorded*: they ship with the package, one seed
# each.

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
# Here are two trained nets that differ in their shortcuts alone.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import batches, data, recipes, training
from resnet_lessons.specs import Spec

dataset = data.load("cifar10")
DEPTH = 20
nets = {spec.name: training.trained(spec, data=dataset.name) for spec in (Spec("plain", DEPTH), Spec("v1", DEPTH))}
print(dataset.source)
assert list(nets) == ["plain-20", "v1-20"]

# %% [markdown]
# The loss that training made small is that on the training images. Take 128 of them, as they are: without the
# random crops and flips, which would change the picture from point to point.

# %%
chosen, _ = batches.split(dataset.y_train, recipes.get("short").validation)  # what the nets were trained on
mean = batches.pixel_mean(dataset.x_train, chosen)


def some_images(count):
    """Return so many training images, (count, 32, 32, 3), and their labels."""
    return batches.normalize(dataset.x_train[chosen[:count]], mean), dataset.y_train[chosen[:count]]


x, y = some_images(128)
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
# The package has the same. `diagnostics.loss_surface` calls the net as a pure function of its weights, compiled
# once for all points, so the net is never changed. It took half the processor time of a loop like ours when we
# measured it (56 layers, 128 images, two cores). Does it find the same?

# %%
from resnet_lessons import diagnostics

net = nets["v1-20"]
ours = random_direction(net, seed=0)
raw = diagnostics.raw_direction(net, seed=0)
print("the same direction:", all(np.allclose(a, b, atol=1e-5) for a, b in zip(ours, raw, strict=True)))
by_hand = [loss_at(net, raw, alpha) for alpha in (-0.5, 0, 0.5)]
surface = diagnostics.loss_surface(net, x, y, [raw], alphas=(-0.5, 0, 0.5))
print("the same losses:", np.allclose(surface.loss, by_hand, rtol=1e-3))

# %% [markdown]
# ## 2 How long is a step?
#
# A slice of one net looks wide, that of another narrow. Is the wide one flatter? Try it on two nets of which you
# know the answer. Multiply all weights of every convolution of v1-20 by 4. A batch norm follows each convolution
# and divides by the standard deviation, so that the factor is gone again.


# %%
def rescaled(factor):
    """Return v1-20 with the kernel of each convolution multiplied by a factor."""
    twin = training.trained(Spec("v1", DEPTH), data=dataset.name)
    for layer in twin.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(factor * layer.kernel)
    return twin


twin = rescaled(4)
outputs = [np.array(model(x, training=True)) for model in (net, rescaled(1), twin)]
print("the same outputs:", np.allclose(outputs[0], outputs[2], atol=0.01 * np.abs(outputs[0]).max()))

# %% [markdown]
# So net and twin are one function, written with other numbers. (The small constant inside batch norm's root, 1e-5,
# makes a difference in the last digits.)
#
# **Predict.** Walk from both along the *same* raw direction, with the same steps. Do you get the same slice, a
# wider one for the twin, or a narrower one?

# %% tags=["nbval-ignore-output"]
alphas = np.linspace(-1, 1, 9)
slices = {name: diagnostics.loss_surface(m, x, y, [raw], alphas) for name, m in (("net", net), ("twin", twin))}
for name, found in slices.items():
    print(f"{name:5}", found.loss.round(2))
rise = {name: np.mean(found.loss[[0, -1]]) - found.loss[4] for name, found in slices.items()}  # at alpha = -1 and 1
assert rise["net"] > 2 * rise["twin"]

# %%
from resnet_lessons import plots

fig, ax = plots.figure()
for number, (name, found) in enumerate(slices.items()):
    plots.line(ax, number, found.alphas, found.loss, {"net": "v1-20", "twin": "v1-20, convolutions times 4"}[name])
ax.set(xlabel="alpha, along one raw direction", ylabel="loss", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss along a raw direction: the net's slice rises on both sides, that of its rescaled twin is nearly level."
plots.show(fig, alt, f"128 training images of {dataset.title}")

# %% [markdown]
# **Figure.** The same function looks flat or sharp, depending on the scale in which its weights happen to be
# written.
#
# A step that is long against small weights is short against large ones. Whoever multiplies the weights by 100 gets
# a slice as flat as they like. And this is no trick that only a lesson plays: weight decay shrinks the weights in
# front of a batch norm, a larger learning rate lets them grow, and neither says anything about the function. So
# along a raw direction two trained nets must not be compared.
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
# **Predict.** Net and twin again, each along the filter-normalized direction that belongs to its own weights, from
# the same random numbers. The same slice, wider, or narrower?

# %%
slices = [
    diagnostics.loss_surface(model, x, y, [diagnostics.filter_direction(model, seed=0)], alphas)
    for model in (net, twin)
]
difference = np.abs(slices[0].loss - slices[1].loss).max()
print("the same slice, to 2% of its height:", bool(difference < 0.02 * np.ptp(slices[0].loss)))

# %% [markdown]
# The same. The direction has grown with the weights, so the factor cancels. What filter normalization does *not*
# cancel: the scales and shifts of batch norm, the size of the logits, and everything else that is no factor of one
# filter. It makes slices comparable where filters differ by factors, and no further.
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
# it. The loss is then mostly that of the filters that have moved most. (In the stored run the ratios differ by a
# factor of nearly 20.) Along the filter-normalized direction all filters move alike.
#
# ## 3 Whose statistics?
#
# In use, a batch norm divides by **moving statistics**, which training has gathered. They belong to the weights in
# the middle of the slice. At another point the activations have other means and deviations, and there are two ways
# to go on:
#
# - keep the moving statistics of the middle. Then a point of the slice is a net whose batch norms do not normalize;
# - **re-estimate** them at each point. One forward pass in training mode does that, with the statistics of the
#   images at hand. Then a point is the net that has these weights and batch norms that do what they are for.
#
# **Predict.** In the middle the two nearly agree. Which slice rises faster to the sides?

# %% tags=["nbval-ignore-output"]
direction = diagnostics.filter_direction(net, seed=0)
kinds = {
    kind: diagnostics.loss_surface(net, x, y, [direction], alphas, statistics=kind) for kind in ("batch", "moving")
}
for kind, found in kinds.items():
    print(f"{kind:7}", found.loss.round(2))
assert np.all(kinds["moving"].loss[[0, -1]] > 1.3 * kinds["batch"].loss[[0, -1]])

# %%
fig, ax = plots.figure()
names = {"batch": "re-estimated at each point", "moving": "those of the middle"}
for number, (kind, found) in enumerate(kinds.items()):
    plots.line(ax, number, found.alphas, found.loss, names[kind])
ax.set(xlabel="alpha, along one filter-normalized direction", ylabel="loss", ylim=(0, None))
ax.legend(title="statistics", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss of v1-20 along one direction, twice: with the statistics of the middle it rises more steeply on both sides."
plots.show(fig, alt, f"128 training images of {dataset.title}")

# %% [markdown]
# **Figure.** With the statistics of the middle the slice rises far more steeply: it measures how fast the
# statistics go out of date, together with how the loss changes.
#
# Neither is wrong; they answer different questions. The authors' code evaluates in inference mode (quoted:
# `net.eval()` in its `evaluation.py`), so with the statistics of the middle. We **re-estimate from here on**, for
# two reasons. Training does: the loss that an update descends is that with the statistics of the batch. And with
# those of the middle a net is punished for being moved at all: its layers receive inputs off their scale, which the
# next update would mend. The price: the statistics come from 128 images, not from all, so the loss in the middle is
# not exactly that of the net in use.
#
# ## 4 With and without shortcuts, along a line
#
# Now the comparison. The same random numbers, a direction for each net that is normalized to its own filters, the
# same images, the same steps.
#
# **Predict.** Two random directions, two nets. Will the two slices of one net differ more, or the slices of the two
# nets?

# %% tags=["nbval-ignore-output"]
fine, lines = np.linspace(-1, 1, 17), {}
for name, model in nets.items():
    for seed in (0, 1):
        direction = diagnostics.filter_direction(model, seed)
        lines[name, seed] = diagnostics.loss_surface(model, x, y, [direction], fine)
for (name, seed), found in lines.items():
    print(f"{name:9} direction {seed}: loss {found.loss[8]:.2f} in the middle, {found.loss.max():.2f} at most")
assert all(found.loss[8] < found.loss[[0, -1]].min() for found in lines.values())

# %%
fig, ax = plots.figure()
for number, ((name, seed), found) in enumerate(lines.items()):
    plots.line(ax, number, found.alphas, found.loss, f"{name}, direction {seed}")
ax.set(xlabel="alpha", ylabel="loss", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss along two filter-normalized directions for plain-20 and v1-20: four valleys, each with its bottom near 0."
plots.show(fig, alt, f"128 training images of {dataset.title}")

# %% [markdown]
# **Figure.** Along both directions both nets lie at the bottom of a valley, and at 20 layers no valley is jagged.
#
# Which is the sharper one? That should be a number. A simple one is the width of the valley: how far can you walk
# until the loss has risen by a given amount?
#
# **Exercise 3** (10 minutes). Read it from a slice. Take straight lines between the points, and only the stretch
# that holds $\alpha = 0$, which is among the alphas. Where the slice ends before the loss has risen that far, the
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
# `diagnostics.slice_width` does the same. Here are the widths for a rise of 0.5.

# %% tags=["nbval-ignore-output"]
for (name, seed), found in lines.items():
    width = diagnostics.slice_width(found.alphas, found.loss, rise=0.5)
    print(f"{name:9} direction {seed}: width {width:.2f}")
    assert 0 < width <= 2

# %% [markdown]
# In the stored run v1-20 has the narrower valleys, 0.88 and 1.06 against 1.12 and 1.13. But its own two directions
# differ by more than its wider valley differs from plain-20's. So these slices do not say that a shortcut makes the
# valley of a 20-layer net wider; nor do two directions of one seed say that it makes it narrower. And a width
# leaves out how deep the valley is: v1-20 has the lower floor.
#
# ## 5 Over a plane
#
# With two directions the slice is a surface. Fast mode takes 9x9 points and 128 images, full mode 51x51 points and
# 512 images. In full mode `out=` names a file that gets each row as soon as it is finished. If you interrupt the
# cell, or lose the kernel, run it again: it goes on where it was. A file of another net, other directions or other
# images is refused.
#
# **Predict.** Will the contours of one net be round, and those of the other not?

# %% tags=["nbval-ignore-output"]
points, count = {"fast": (9, 128), "full": (51, 512)}[recipes.mode()]
grid, images, surfaces = np.linspace(-1, 1, points), some_images(count), {}
for name, model in nets.items():
    directions = [diagnostics.filter_direction(model, seed) for seed in (0, 1)]
    out = f"runs/{dataset.name}-{name}-{points}.npz" if recipes.mode() == "full" else None
    surfaces[name] = diagnostics.loss_surface(model, *images, directions, grid, grid, out=out)
    lowest, highest = surfaces[name].loss.min(), surfaces[name].loss.max()
    print(f"{name:9} {points}x{points} points: loss from {lowest:.2f} to {highest:.2f}")
    assert lowest < 0.5 * highest

# %% [markdown]
# Two maps can be compared only on one scale. These share their levels and colours. The levels grow by equal
# *ratios*, as the loss differs by a factor from the middle to the corners; on a linear scale the middle would be
# one flat spot. What lies above 5 is drawn as 5: nobody needs to know how bad a ruined net is.

# %%
levels = plots.loss_levels(list(surfaces.values()), count=9, top=5)
fig, axes = plots.figure(2, height=3.9)
plots.contours(axes, list(surfaces.items()), levels)
alt = "Contour maps of the loss of plain-20 and v1-20 over the same two random directions: closed rings around 0."
plots.show(fig, alt, f"{count} training images of {dataset.title}")

# %% [markdown]
# **Figure.** Around both nets of 20 layers the loss rises in every direction of the plane, in closed rings with the
# trained net (the cross) near their middle.

# %%
fig = plots.hills(list(surfaces.items()), levels)
alt = "The same two surfaces in three dimensions: two bowls, whose height is the logarithm of the loss, cut at 5."
plots.show(fig, alt, f"{count} training images of {dataset.title}")

# %% [markdown]
# **Figure.** The same surfaces as bowls. A picture in three dimensions impresses more and tells less: what lies
# behind a rim cannot be read.
#
# Neither net has a jagged surface. Where do the well-known mountains come from, then? Li et al. (2018, Fig. 5) show
# them for plain nets of 56 and 110 layers; at 20 layers their plain net has a benign surface, too, and with
# shortcuts the deeper ones stay benign (*quoted*). So the claim is about depth, and a pair of 20 layers agrees with
# it without testing it: a pair of trained 56-layer nets does not ship yet. Nor does a picture of ours compare
# directly with one of theirs. Their code keeps the statistics of the middle, and section 3 has shown how much that
# alone adds. Whether their mountains would stand with re-estimated statistics is not measured here.
#
# ## 6 What the picture does not show
#
# Two directions of 270,000. A random direction is nearly orthogonal to any given one, so a random plane holds next
# to nothing of the one direction that training looks at: the gradient. Compare.
#
# **Predict.** Make a direction of the gradient, scale it like the others, filter by filter, and walk along it. Is
# that slice as wide as the random ones?

# %%
from resnet_lessons import backend


def scaled(part, kernel):
    """Return an array with each filter as long as the kernel's; zeros for what is no kernel."""
    if part.ndim == 1:
        return np.zeros_like(part)
    others = tuple(range(part.ndim - 1))
    return part * np.sqrt(np.sum(kernel**2, axis=others) / np.sum(part**2, axis=others))


def gradient_direction(net):
    """Return the loss's gradient as a direction, each filter scaled to the length of the net's."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    _, gradients = backend.gradients(net, x, y, loss)
    return [scaled(part, v.numpy()) for part, v in zip(gradients, net.trainable_variables, strict=True)]


# %% tags=["nbval-ignore-output"]
uphill = gradient_direction(net)
random = diagnostics.filter_direction(net, seed=0)
cosine = sum(np.vdot(a, b) for a, b in zip(uphill, random, strict=True)) / norm(uphill) / norm(random)
print(f"cosine of the angle between the two: {cosine:.4f}")
assert abs(cosine) < 0.05

# %% tags=["nbval-ignore-output"]
near = np.linspace(-0.5, 0.5, 17)
along = {"uphill": uphill, "random": random}
along = {name: diagnostics.loss_surface(net, x, y, [direction], near) for name, direction in along.items()}
for name, found in along.items():
    print(f"{name}: width {diagnostics.slice_width(near, found.loss, rise=0.5):.2f}, highest {found.loss.max():.1f}")
assert along["uphill"].loss.max() > 1.5 * along["random"].loss.max()

# %%
fig, ax = plots.figure()
names = {"uphill": "along the gradient", "random": "along a random direction"}
for number, (name, found) in enumerate(along.items()):
    plots.line(ax, number, near, found.loss, names[name])
ax.set(xlabel="alpha", ylabel="loss", ylim=(0, None))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Loss of v1-20 along the gradient and along a random direction: the first rises far more steeply."
plots.show(fig, alt, f"128 training images of {dataset.title}")

# %% [markdown]
# **Figure.** Along its gradient the loss rises far more steeply than along a random direction, although each filter
# moves by the same share of its length.
#
# In the stored run the valley along the gradient is nearly nine times narrower. It takes one step of about 0.05 to
# be 0.5 above the floor, and no random plane would have shown it: the cosine of the angle between the two
# directions is below 0.01. The lowest point lies a little to the left of the middle, downhill. That is where the
# next update on these images would go.
#
# So before you conclude from such a picture, remember what is not in it.
#
# - **Nearly all directions.** A plane has two of 270,000. A valley that narrows in some directions and a bowl that
#   is round in all can look the same in a random plane.
# - **Convexity.** Around any trained net a random direction adds noise to all layers at once, and at $\alpha = 1$
#   as much noise as there is net. The loss of a ruined net is about that of guessing or above. So far from the
#   middle the slice rises whatever the landscape is like near it: this is an argument, and no evidence of a bowl.
# - **Comparable scales.** Widths can be compared along filter-normalized directions, on the same images, with the
#   same kind of statistics. The twin of section 2 is a reminder of what happens otherwise.
# - **Training.** That one landscape is smoother than another does not say how training finds its way in it, nor how
#   well the net does on new images. Neither was measured here.
# - **Chance.** One seed for each net, 128 images in fast mode. Two slices that differ by as much as two directions
#   of one net do not tell two nets apart.
#
# ## 7 Go further
#
# - *5 minutes.* Draw section 4 again with the directions of seeds 2 and 3. How much does the width of one net vary?
# - *10 minutes.* Repeat one slice with the images held back, `batches.train_and_validation(...)[1]`. Does the
#   valley move, or only its floor rise?
# - *15 minutes.* Walk on a straight line from fresh weights to trained ones. Build a fresh v1-20 and take as
#   direction the difference of *all* trainable variables, scales and shifts included; `directions=[difference]`
#   accepts it. Use `statistics="batch"` and then `"moving"`. Why are a fresh net's moving statistics of no use
#   halfway?
# - *20 minutes.* plain-20 and v1-20 have weights of the same shapes. Compute a slice of v1-20 from its own weights
#   to those of plain-20. What would you need instead, to say something about the way between two minima?
# - *30 minutes, on two cores.* Start the kernel with `RESNET_LESSONS_MODE=full` and hang the result on a wall.
#   Interrupt section 5 once, and run it again.
# - *A night.* Train plain-56 and v1-56 with `resnet-lessons train` (the recipe "short") and compare them as in
#   section 5. Li et al. had 300 passes over the data; how does the picture change with training?
#
# ## 8 Summary
#
# - A slice shows the loss along one direction or two of some 270,000 *(computed)*.
# - Convolutions multiplied by 4 in front of batch norms leave the function as it is and make its raw slice flatter
#   *(computed)*. Along filter-normalized directions the slice stays the same, to 2% of its height *(computed)*.
# - With the statistics of the middle a slice rises more steeply than with re-estimated ones *(computed)*. The
#   authors' code takes those of the middle *(quoted)*, this lesson re-estimates them.
# - At 20 layers a plain net and its residual twin lie in bowls of a similar kind *(computed, one seed each)*. That
#   plain nets of 56 layers look rugged and residual ones smooth is *quoted*; this lesson has not shown it.
# - Along its own gradient the loss rises more steeply than along a random direction *(computed)*.
#
# **Sources.** H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, *Visualizing the Loss Landscape of Neural Nets*,
# arXiv 1712.09913, NeurIPS 2018, and the code that its authors published (`tomgoldstein/loss-landscape`). K. He, X.
# Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385, 2015. For interpolation:
# I. Goodfellow, O. Vinyals, A. Saxe, *Qualitatively characterizing neural network optimization problems*, ICLR
# 2015.
