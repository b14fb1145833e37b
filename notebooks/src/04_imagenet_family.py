# %% [markdown]
# # 04 Bottlenecks and the ImageNet family
#
# *45 minutes to read and run, 50 more for the exercises. Nothing is trained; the lesson runs in about a minute on two
# cores.*
#
# VGG-19 has 19 layers with weights, ResNet-152 has 152. Which of the two costs more? This lesson rebuilds the
# networks of the first paper's ImageNet experiments and counts them. You will
#
# - count a bottleneck by hand, and time it against two 3x3 convolutions;
# - rebuild the paper's Table 1, and find out where it was rounded and where it was not;
# - copy the weights of `keras.applications.ResNet50` into our own network, layer by layer, and get the same outputs;
# - find out which published "ResNet-50" is which.
#
# You should know the residual unit and its shortcuts A, B and C ([lesson 02](02_residual_blocks.ipynb)). No data set
# is needed. Every number in this lesson is *computed* in a cell above it or *quoted* from a paper or from published
# code, and the text says which.
#
# **Predict.** Which of the two needs more multiply-adds for one image of 224x224 pixels? Which has more parameters?
# Write two names; section 3 counts.

# %%
prediction = None  # such as ("VGG-19", "ResNet-152"): more multiply-adds, more parameters

# %% [markdown]
# ## 1 Three convolutions instead of two
#
# The residual unit of lesson 02 has two 3x3 convolutions. Such a *basic* unit is costly where there are many
# channels. For their nets of 50 and more layers He et al. (2015, Fig. 5) replace the two by three: a 1x1 convolution
# that reduces the channels to a quarter, a 3x3 convolution on those few, and a 1x1 convolution that restores them.
# They call it a **bottleneck**. We call the channels at its ends its *outer* width, and those of its 3x3 convolution
# its *inner* width.
#
# **Predict.** How many times as many weights does the basic unit in the drawing have: 2, 4, 17 or 64 times?

# %%
from resnet_lessons import plots

drawings = {
    "basic unit": ["conv 3x3, 256 to 256", "ReLU", "conv 3x3, 256 to 256", "+", "ReLU"],
    "bottleneck unit": [
        *("conv 1x1, 256 to 64", "ReLU", "conv 3x3, 64 to 64", "ReLU"),
        *("conv 1x1, 64 to 256", "+", "ReLU"),
    ],
}
fig, axes = plots.figure(2, width=7, height=3.6)
for ax, (title, boxes) in zip(axes, drawings.items(), strict=True):
    plots.unit_diagram(ax, boxes, shortcut="solid").set_title(title)
alt = "Left: a unit of two 3x3 convolutions on 256 channels. Right: 1x1 to 64 channels, 3x3, and 1x1 back to 256."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The basic unit has two 3x3 convolutions on all 256 channels, the bottleneck unit has one, on 64 (batch
# norm is left out of the drawing).
#
# By hand, the kernels alone:
#
# $$ \underbrace{3 \cdot 3 \cdot 256 \cdot 256}_{\text{first 3x3}} +
# \underbrace{3 \cdot 3 \cdot 256 \cdot 256}_{\text{second 3x3}} = 1{,}179{,}648 $$
#
# $$ \underbrace{256 \cdot 64}_{\text{reduce}} + \underbrace{3 \cdot 3 \cdot 64 \cdot 64}_{\text{3x3}} +
# \underbrace{64 \cdot 256}_{\text{restore}} = 69{,}632 $$
#
# By code: build both from Keras layers and let Keras count.

# %%
from resnet_lessons import accounting
import keras
from keras import layers


def branch(channels, convolutions):
    """Chain convolutions, given as (kernel size, filters), on maps with so many channels."""
    x = inputs = keras.Input((56, 56, channels))
    for kernel, filters in convolutions:
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
    return keras.Model(inputs, x)


basic = branch(256, [(3, 256), (3, 256)])
bottleneck = branch(256, [(1, 64), (3, 64), (1, 256)])
wide, slim = (accounting.account(model).total for model in (basic, bottleneck))
print(f"weights: {wide.parameters:,} and {slim.parameters:,}, ratio {wide.parameters / slim.parameters:.2f}")
print(f"multiply-adds: {wide.multiply_adds:,} and {slim.multiply_adds:,}")

# %% [markdown]
# Each weight takes part in one multiply-add for each of the map's 56·56 pixels, so the multiply-adds have the same
# ratio.
#
# The drawing in the paper compares something else: a bottleneck on 256 channels beside a basic unit on **64**. The
# last row of the next table has that one. So there are two ways to say what a bottleneck does. It makes a unit of the
# same width 17 times cheaper. Or: for about the same multiply-adds it carries a signal of four times the width.

# %%
from resnet_lessons import widgets

widgets.bottleneck_table(outer=256, inner=64, side=56)

# %% [markdown]
# *Values put out* are the numbers that the convolutions write for one image, all channels and pixels together. Keep an
# eye on that column: section 2 needs it.
#
# Choose other widths, with the mouse or with the arrow keys. (Without a running kernel nothing moves; the table above
# holds the paper's case.) How wide may the inside get before the bottleneck costs as much as two 3x3 convolutions of
# its outer width? And which columns do not change with the map's side?

# %%
widgets.bottleneck_calculator(outer=256, inner=64, side=56)

# %% [markdown]
# (The widths are lists and not sliders, because a screen reader reads out the width in a list, and of a slider the
# position.)
#
# **Exercise 1** (5 minutes). The factor of 17 belongs to an *expansion* of 4: the outer width is 4 times the inner
# one. It is the same at every width. What is it for another expansion? Replace the `...` and run the cell.

# %%
from resnet_lessons import checks


def bottleneck_saving(expansion):
    """Return the weights of two 3x3 convolutions of the outer width, divided by those of the bottleneck."""
    return ...


checks.bottleneck_saving(bottleneck_saving)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Call the inner width w; the outer width is then expansion · w. Write both counts, and divide: w² cancels.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def bottleneck_saving(expansion):
#     basic = 2 * 9 * expansion**2  # in units of w * w
#     bottleneck = expansion + 9 + expansion
#     return basic / bottleneck
# ```
#
# </details>
#
# And the widget's two questions? With 256 channels outside the break-even lies between 256 and 512 inside: such a
# "bottleneck" would be wider than its ends. Weights, and multiply-adds for each value, do not depend on the side.
#
# ## 2 When does it save time?
#
# A multiply-add is not a second. **Predict.** With an expansion of 4 the basic unit has 17 times the multiply-adds of
# the bottleneck of the same width. How many times as long does it take with 256 channels? And with 16? Two numbers.
#
# We time whole units as the package builds them, batch norm, ReLU and shortcut included, on eight images at a time
# and in turns: the forward pass alone; training is not timed here. What counts is processor time, that of all cores
# added up: other programs change it less than they change the time on the clock.

# %%
import time
import numpy as np
from resnet_lessons import blocks


def unit(block, channels, width, side=56):
    """Build one residual unit on maps of side x side pixels; ``width`` is that of its first convolution."""
    inputs = keras.Input((side, side, channels))
    return keras.Model(inputs, blocks.unit(inputs, blocks.Unit("unit", width, block=block, shortcut="B")))


def processor_seconds(models, images=8, rounds=6):
    """Time models in turns; return the median of each over all rounds but the first, which compiles."""
    spent = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            x, runs, start = np.ones((images, *model.input_shape[1:]), "float32"), 0, time.process_time()
            while runs == 0 or time.process_time() - start < 0.1:
                model.predict_on_batch(x)
                runs += 1
            spent[name].append((time.process_time() - start) / runs)
    return {name: np.median(values[1:]) for name, values in spent.items()}


# %% tags=["nbval-ignore-output"]
timed = {}
for channels in (16, 64, 256):
    timed["basic", channels] = unit("basic", channels, channels)
    timed["bottleneck", channels] = unit("bottleneck", channels, channels // 4)
times = processor_seconds(timed)
for channels in (16, 64, 256):
    slow, fast = 1000 * times["basic", channels], 1000 * times["bottleneck", channels]
    print(f"{channels:3} channels: basic {slow:6.1f} ms, bottleneck {fast:5.1f} ms, ratio {slow / fast:.1f}")
ratio = times["bottleneck", 256] / times["basic", 64]
print(f"The bottleneck on 256 channels takes {ratio:.2f} times as long as the basic unit on 64.")
assert all(0 < value < 60 for value in times.values())

# %% [markdown]
# In the stored run the ratio is above ten with 256 channels, and about two or less with 16: there a 17th of the
# multiply-adds still takes half the time or more. And of the pair that the paper draws the bottleneck takes longer,
# though its multiply-adds are a little fewer. When He et al. say that these two have similar time complexity, they
# speak of multiply-adds.
#
# What differs between the units that gain much and those that gain little? Not only the multiply-adds: count the
# values that the convolutions put out too.

# %%
adds = {("basic", c): 18 * c**2 for c in (16, 64, 256)}  # for a pixel: two kernels of 9 places
adds |= {("bottleneck", c): 2 * c * (c // 4) + 9 * (c // 4) ** 2 for c in (16, 64, 256)}
values = {("basic", c): 2 * c for c in (16, 64, 256)}  # for a pixel: what each convolution puts out
values |= {("bottleneck", c): c // 4 + c // 4 + c for c in (16, 64, 256)}
for key in timed:
    print(f"{key[0]:10} {key[1]:3} channels: {adds[key]:9,} multiply-adds, {values[key]:3} values; ratio ", end="")
    print(f"{adds[key] / values[key]:.0f}")

# %%
beside = {"basic": (6, -12, "left"), "bottleneck": (-6, 6, "right")}  # where the label stands, in points
fig, ax = plots.figure()
for number, block in enumerate(("basic", "bottleneck")):
    keys = [(block, channels) for channels in (16, 64, 256)]
    each = [adds[key] / values[key] for key in keys]
    rate = [8 * 56**2 * adds[key] / times[key] / 1e9 for key in keys]  # eight images of 56x56 pixels
    plots.line(ax, number, each, rate, f"{block} unit").lines[-1].set_marker(plots.MARKERS[number])
    for (_, channels), *point in zip(keys, each, rate, strict=True):
        ax.annotate(channels, point, beside[block][:2], textcoords="offset points", ha=beside[block][2], fontsize=9)
ax.set(xscale="log", ylim=(0, None), xlabel="multiply-adds for each value put out")
ax.set_ylabel("1e9 multiply-adds a second\nof processor time")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Rate of multiply-adds against multiply-adds per value for six units: the rate rises from left to right."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** The more multiply-adds a unit has for each value that its convolutions put out, the faster it works
# through them; the numbers at the points are the channels (times of the stored run).
#
# In the stored run the rates of the six units rise with this ratio, basic and bottleneck alike. Compare the basic unit
# on 16 channels with the bottleneck on 256: they are alike in this ratio, 144 and 181, and in little else, and their
# rates are of one order, where those of the six range over more than a factor of ten. In these six units the rate
# follows this ratio better than the kind of unit. A bottleneck has a 17th of the multiply-adds, but three quarters of
# the values.
#
# Here is an argument why that should matter. Each value must be written, normalised, rectified and read again by the
# next layer, whatever it cost to compute. With 11 multiply-adds a value that is much of the work, with 2,304 it is
# little. (We have not timed the two kinds of work apart. Nor have we taken off what each call of `predict_on_batch`
# costs, whatever the unit: of the smallest units' few milliseconds that may be a good part.) So
#
# - a bottleneck whose ends are four times as wide as its inside saves **parameters** at any width;
# - it saves **time** too where channels are many, as in the ImageNet nets, and much less of it where they are few.
#
# Times depend on the machine and on the library, and differ on a GPU. The counts are the same everywhere.
#
# ## 3 Table 1, rebuilt
#
# The ImageNet nets have one plan. A 7x7 convolution with stride 2 and a 3x3 max pooling with stride 2 bring the image
# from 224x224 pixels to 56x56 with 64 channels. Four stages of units follow, on maps of 56, 28, 14 and 7 pixels a
# side; each time the map's side is halved, the width doubles. Averaging and a dense layer with 1,000 outputs end it.
# The nets differ in the kind of unit and in the number of units in each stage.

# %%
from resnet_lessons import models, tables

rows = []
for depth, (block, units) in models.IMAGENET.items():
    convolutions = {"basic": 2, "bottleneck": 3}[block] * sum(units)
    rows.append([f"ResNet-{depth}", block, *units, f"1 + {convolutions} + 1 = {convolutions + 2}"])
header = ["network", "unit", "56x56", "28x28", "14x14", "7x7", "layers"]
tables.html_table(rows, header, ["left", "left"] + 4 * ["right"] + ["left"])

# %% [markdown]
# The layers are those with weights on the longest path: the first convolution, those of the units, and the dense
# layer. The projections on the shortcuts are not counted. The part before the stages is called the *stem*.
#
# ### ResNet-50 from scratch
#
# The whole net is one short function, once the unit is written. Where the shapes of input and output differ, the
# shortcut is a projection (option B). Convolutions are padded alike on all sides, as in lesson 01.


# %%
def conv_bn(x, filters, kernel, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, filters)."""
    x = layers.ZeroPadding2D(kernel // 2)(x)
    x = layers.Conv2D(filters, kernel, strides=stride, use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def bottleneck_unit(x, width, stride=1):
    """Map (B, H, W, C) to (B, H/stride, W/stride, 4 * width)."""
    y = layers.ReLU()(conv_bn(x, width, 1, stride))
    y = layers.ReLU()(conv_bn(y, width, 3))
    y = conv_bn(y, 4 * width, 1)
    if x.shape != y.shape:
        x = conv_bn(x, 4 * width, 1, stride)
    return layers.ReLU()(layers.Add()([x, y]))


# %%
def resnet_50(input_shape=(224, 224, 3)):
    """Build ResNet-50: images to logits (B, 1000)."""
    inputs = keras.Input(input_shape)
    x = layers.ReLU()(conv_bn(inputs, 64, 7, stride=2))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, units in enumerate([3, 4, 6, 3]):
        for number in range(units):
            x = bottleneck_unit(x, 64 * 2**stage, stride=2 if stage > 0 and number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000)(x))


# %% [markdown]
# The package has it as `models.imagenet(50)`. The same weights must give the same outputs; images of 64x64 pixels
# show it as well as large ones, for a convolutional net takes any size.


# %%
def difference(a, b):
    """Return the largest difference of two outputs, in standard deviations of the second."""
    a, b = keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
    return np.abs(a - b).max() / b.std()


own, ours = resnet_50((64, 64, 3)), models.imagenet(50, input_shape=(64, 64, 3))
ours.set_weights(own.get_weights())
images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
print(f"difference: {difference(own(images), ours(images)):.2f} standard deviations")
print("convolutions:", sum(isinstance(layer, layers.Conv2D) for layer in ours.layers))
del own  # 100 MB

# %% [markdown]
# There are 53 convolutions, not 49: four of them are projections.
#
# ### Counting without weights
#
# ResNet-152 and VGG-19 would take 800 MB together, and we only want to count them. Counting needs the weights' shapes,
# not their values. In a *stateless scope* Keras notes the shapes and makes no values.

# %%
with keras.StatelessScope(initialize_variables=False):
    counted = accounting.account(resnet_50()).total
print("ours:", counted, sep="\n  ")
print("the package:", accounting.planned(models.imagenet, 50).total, sep="\n  ")

# %% [markdown]
# `accounting.planned` does the same for any function that builds a model. `parameters` are what gradient descent
# trains, `statistics` are batch norm's moving means and variances. Now all of them, beside the multiply-adds that the
# paper prints in its Table 1, and for VGG-19 in its Fig. 3.

# %%
networks = {  # name: the function that builds it, its arguments, and what the paper prints, in 1e9 multiply-adds
    "VGG-19": (models.vgg19, {}, 19.6),
    "plain-34": (models.imagenet, {"depth": 34, "plain": True}, 3.6),
    "ResNet-18 B": (models.imagenet, {"depth": 18}, 1.8),
    "ResNet-34 A": (models.imagenet, {"depth": 34, "shortcut": "A"}, 3.6),
    "ResNet-34 B": (models.imagenet, {"depth": 34}, 3.6),
    "ResNet-50": (models.imagenet, {"depth": 50}, 3.8),
    "ResNet-101": (models.imagenet, {"depth": 101}, 7.6),
    "ResNet-152": (models.imagenet, {"depth": 152}, 11.3),
}
accounts = {name: accounting.planned(build, **arguments) for name, (build, arguments, _) in networks.items()}

# %%
rows = []
for name, (_, _, printed) in networks.items():
    total = accounts[name].total
    billions = total.multiply_adds / 1e9
    match = "yes" if f"{billions:.1f}" == str(printed) else "no"
    rows.append([name, f"{total.parameters:,}", f"{total.multiply_adds:,}", f"{billions:.3f}", printed, match])
header = ["network", "parameters (computed)", "multiply-adds (computed)", "in 1e9 (computed)"]
header += ["in 1e9, the paper (quoted)", "does ours round to it?"]
tables.html_table(rows, header, ["left"] + 5 * ["right"])

# %% [markdown]
# Look back at your guesses. ResNet-152 has eight times the layers of VGG-19, with 57% of its multiply-adds and 42% of
# its parameters.
#
# Most of the paper's figures are ours, rounded. Two are not, for different reasons.
#
# - **34 layers.** Option B adds three projections. The paper compares plain-34 and ResNet-34 with option A, which adds
#   no weights (its Table 2); for that net 3.6 is right.
# - **50 layers.** 3.858 would be rounded to 3.9, and the paper prints 3.8. Option B is what the paper says it uses
#   here, and leaving out the classifier, 0.002, does not help. 3.8 is 3.858 with the rest cut off; but 7.570 was not
#   cut to 7.5. We have no better explanation. Section 4 finds our count in another implementation too.
#
# ### Where does the work go?
#
# Sum the multiply-adds by the side of the feature map that they write; a dense layer writes a single pixel.
#
# **Predict.** On maps of which side does VGG-19 spend most of its multiply-adds: 224, 112, 56, 28, 14 or 7? And
# ResNet-152? Name more than one if they share the first place.


# %%
def by_side(account):
    """Sum multiply-adds, in 1e9, by the side of the map that a layer puts out."""
    sums = {"224": 0, "112": 0, "56": 0, "28": 0, "14": 0, "7 or less": 0}
    for layer in account.layers:
        side = str(layer.output_shape[0]) if layer.kind == "Conv2D" else "1"
        sums[side if side in sums else "7 or less"] += layer.count.multiply_adds / 1e9
    return sums


shares = {name: by_side(accounts[name]) for name in ("VGG-19", "ResNet-34 A", "ResNet-50", "ResNet-152")}
fig, ax = plots.figure(height=3)
plots.stacked_bars(ax, shares.items(), "multiply-adds for one image, in 1e9")
ax.legend(title="side of the map", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
alt = "Bars of multiply-adds for VGG-19, ResNet-34, ResNet-50 and ResNet-152, divided by the side of the feature map."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** VGG-19 spends most of its multiply-adds on maps of 56 and of 28 pixels, on both as much: four times the
# weights, on a quarter of the pixels. ResNet-152 spends most on maps of 14.

# %%
for name, parts in shares.items():
    percent = {side: 100 * part / sum(parts.values()) for side, part in parts.items()}
    print(f"{name:12}" + "  ".join(f"{side}: {value:2.0f}%" for side, value in percent.items()))
dense = sum(layer.count.parameters for layer in accounts["VGG-19"].layers if layer.kind == "Dense")
print(f"VGG-19: {dense:,} of {accounts['VGG-19'].total.parameters:,} parameters in its three dense layers")

# %% [markdown]
# Two things make VGG-19 costly. A quarter of its multiply-adds goes into maps of 112 pixels and more, which the
# ResNets leave behind after one convolution. And on maps of 56 pixels it has 256 channels where ResNet-34 has 64: a
# layer with a quarter of the channels costs a sixteenth. As to its parameters, six of seven sit in the three dense
# layers; the ResNets average instead and have one dense layer.
#
# ### What the depth bought
#
# The letters in the next table are the shortcuts of lesson 02: A has no weights, B projects where the dimensions
# change, C projects in every unit.
#
# None of these nets can be trained in a lesson. Here is what the paper measured on ImageNet's validation set: the
# *top-1 error*, the share of images whose most probable class is a wrong one, with the probabilities averaged over ten
# crops of each image. It is **quoted** from the paper's Tables 2 and 3. Parameters and multiply-adds are computed.

# %%
errors = {  # name: arguments of models.imagenet, and the error in percent, He et al. 2015, Tables 2 and 3
    "plain-18": ({"depth": 18, "plain": True}, 27.94),
    "plain-34": ({"depth": 34, "plain": True}, 28.54),
    "ResNet-18 A": ({"depth": 18, "shortcut": "A"}, 27.88),
    "ResNet-34 A": ({"depth": 34, "shortcut": "A"}, 25.03),
    "ResNet-34 B": ({"depth": 34}, 24.52),
    "ResNet-34 C": ({"depth": 34, "shortcut": "C"}, 24.19),
    "ResNet-50 B": ({"depth": 50}, 22.85),
    "ResNet-101 B": ({"depth": 101}, 21.75),
    "ResNet-152 B": ({"depth": 152}, 21.43),
}
costs = {name: accounting.planned(models.imagenet, **arguments).total for name, (arguments, _) in errors.items()}
rows = [[name, f"{costs[name].parameters:,}", f"{error:.2f}"] for name, (_, error) in errors.items()]
header = ["network", "parameters (computed)", "top-1 error, % (quoted)"]
tables.html_table(rows, header, ["left", "right", "right"])

# %%
lines = {"plain": ["plain-18", "plain-34"], "ResNet, option A": ["ResNet-18 A", "ResNet-34 A"]}
lines["ResNet, option B"] = [name for name in errors if name.endswith("B")]
beside = (3, 9, "left"), (-6, -3, "right"), (6, 2, "left")  # where the label stands, in points
fig, ax = plots.figure()
for number, (label, names) in enumerate(lines.items()):
    x, y = [costs[name].multiply_adds / 1e9 for name in names], [errors[name][1] for name in names]
    plots.line(ax, number, x, y, label).lines[-1].set_marker(plots.MARKERS[number])
    for name, *point in zip(names, x, y, strict=True):
        text = f"{name.split('-')[1]} plain" if label == "plain" else name.split("-")[1]  # such as "34 A"
        ax.annotate(text, point, beside[number][:2], textcoords="offset points", ha=beside[number][2], fontsize=9)
ax.margins(x=0.08)
ax.set(xlabel="multiply-adds for one image, in 1e9 (computed)", ylabel="top-1 error, % (quoted)")
ax.legend(frameon=False)
alt = "Top-1 error against multiply-adds: from 18 to 34 layers the plain line rises; the ResNet lines fall, up to 152."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** From 18 to 34 layers the error of plain nets rises, and that of ResNets falls, on to 152 layers (errors
# quoted, multiply-adds computed; the numbers at the points are the layers, the letters the shortcut option).
#
# This is degradation on ImageNet, at full length: plain-34 is *worse* than plain-18, though it costs twice as much,
# and its training error is higher too (Fig. 4, left). With shortcuts the order is reversed. From 34 layers to 50 the
# cost rises by a twentieth and the error falls by 1.67 points: with bottlenecks the same work buys more layers and
# wider signals. From 101 to 152 half as much again buys 0.32 points. The paper does not say how much such figures
# vary from run to run.
#
# ### The shortcut must stay free
#
# From A to C the error of ResNet-34 falls by 0.84 points, in the table above. Should a bottleneck net have projections
# everywhere too, option C? He et al. (Sec. 4.1) are against it: in a bottleneck a projection in place of the identity
# would double cost and size. **Predict.** By how many percent do the parameters of all of ResNet-50 grow?

# %%
weights = slim.parameters, slim.parameters + 256 * 256  # the bottleneck of section 1, and with a 1x1 projection
print(f"unit: {weights[0]:,} and {weights[1]:,} weights, ratio {weights[1] / weights[0]:.2f}")
option = {letter: accounting.planned(models.imagenet, 50, shortcut=letter).total for letter in "BC"}
for what in ("parameters", "multiply_adds"):
    b, c = (getattr(option[letter], what) for letter in "BC")
    print(f"ResNet-50, {what}: B {b:,}, C {c:,}, {100 * (c / b - 1):.0f}% more")

# %% [markdown]
# A unit nearly doubles: the projection joins the two wide ends, where the channels are. The whole net grows by less,
# since four of its sixteen units have a projection with option B already.
#
# ## 4 A transplant
#
# Is our ResNet-50 really *the* ResNet-50? Counts alone do not show it: a net that lacks every ReLU has the same. So we
# take another implementation, Keras's own, and copy its weights into ours, layer by layer. If both then put out the
# same, for random weights and random images, they are the same network.

# %%
theirs = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3))
features = keras.Model(ours.input, ours.get_layer("pool").output)  # ours up to the same place, (B, 2048)
print(f"weights: {theirs.count_params():,} theirs, {features.count_params():,} ours (statistics, no dense layer)")
total = accounting.planned(keras.applications.ResNet50, weights=None).total
print(f"multiply-adds of the whole net at 224x224, theirs: {total.multiply_adds:,}")

# %% [markdown]
# The multiply-adds are ours. But theirs has 26,560 weights more. **Predict.** What are they? And this: we compare the
# two nets with fresh weights, as Keras initialises them. Which mistakes in copying would such a comparison *not*
# notice?

# %%
extra = [layer for layer in theirs.layers if isinstance(layer, layers.Conv2D) and layer.use_bias]
print(f"{sum(layer.filters for layer in extra):,} biases, in {len(extra)} convolutions")
fresh = theirs.get_layer("conv3_block1_1_conv").get_weights()[1:] + theirs.get_layer("conv3_block1_1_bn").get_weights()
for name, values in zip(("bias", "scale", "shift", "mean", "variance"), fresh, strict=True):
    print(f"{name:9}{np.unique(values)}")

# %% [markdown]
# Every convolution of theirs has a bias, ours has none. Fresh biases are zero, and so are fresh means and shifts. A
# comparison of fresh nets would not notice if biases were dropped, or shift and mean exchanged. So we fill all weights
# with random values first.


# %%
def randomize(model, rng):
    """Give every weight a value far from its first one, and keep signals from growing unit by unit."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        if weight.name == "kernel":
            value *= np.sqrt(2 / np.prod(weight.shape[:-1]))
        elif weight.name == "gamma":
            value = 0.7 * np.exp(0.3 * value)  # below 1, for the shortcut adds as much again
        elif weight.name == "moving_variance":
            value = np.exp(0.3 * value)
        else:
            value *= 0.3  # biases, shifts, means
        weight.assign(value)


randomize(theirs, np.random.default_rng(0))

# %% [markdown]
# ### Why ours has no biases
#
# Build two small nets, a convolution and batch norm, alike but for a bias that is larger by 5.
#
# **Predict.** By how much do their outputs differ in inference? And in training mode? Two numbers.


# %%
def conv_and_norm():
    """Build a convolution with a bias, and batch norm: (B, 8, 8, 3) to (B, 6, 6, 4)."""
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])


without, with_bias = conv_and_norm(), conv_and_norm()
with_bias.set_weights(without.get_weights())
with_bias.layers[0].bias.assign(with_bias.layers[0].bias + 5.0)
noise = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
for training in (False, True):
    outputs = [keras.ops.convert_to_numpy(net(noise, training=training)) for net in (without, with_bias)]
    print("in training: " if training else "in inference:", f"{np.abs(outputs[1] - outputs[0]).max():.2f}")

# %% [markdown]
# In training a bias before batch norm has no effect: batch norm subtracts the mean of the batch, and the bias goes
# with it. So it gets no gradient either, and networks like ours leave it out. In inference batch norm subtracts a
# moving mean. That of a trained net contains the bias that was there in training, and the two cancel. Change or drop
# the bias afterwards, as here, and the mean no longer fits. A transplant may not drop it; it must go where it has the
# same effect.
#
# In inference a channel of the convolution, $z$, with its bias $b$, comes out as
#
# $$ \gamma \, \frac{z + b - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta . $$
#
# **Exercise 2** (10 minutes). Our batch norm gets $z$ without $b$, and its $\epsilon$ is 1e-5; theirs is 1.001e-5.
# Return the four arrays that make ours do the same. The code below the exercise needs them too, so do it before you
# read on.


# %%
def fold_bias(bias, gamma, beta, mean, variance, epsilon):
    """Return gamma, beta, mean, variance for a batch norm of z with epsilon 1e-5; all arrays are (C,)."""
    return ...


checks.fold_bias(fold_bias)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write ours below theirs. Which mean makes the numerators equal? Which variance makes the denominators equal?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fold_bias(bias, gamma, beta, mean, variance, epsilon):
#     # or into the shift: beta + gamma * bias / np.sqrt(variance + epsilon)
#     return gamma, beta, mean - bias, variance + epsilon - 1e-5
# ```
#
# </details>
#
# ### Layer by layer
#
# The names differ. Their `conv3_block1_2_bn` is our `stage2_block1_bn2`: they count stages from 2, as the paper does,
# and give the projection the number 0.

# %%
import re


def their_name(name):
    """Translate our name of a convolution or a batch norm into theirs."""
    if name.startswith("stem_"):
        return "conv1_" + name[len("stem_") : -1]
    stage, block, rest = re.fullmatch(r"stage(\d)_block(\d+)_(.+)", name).groups()
    kind, number = (rest.removeprefix("shortcut_"), 0) if "shortcut" in rest else (rest[:-1], rest[-1])
    return f"conv{int(stage) + 1}_block{block}_{number}_{kind}"


for name in ("stem_conv1", "stage2_block1_bn2", "stage2_block1_shortcut_conv"):
    print(f"{name:28}{their_name(name)}")


# %%
def transplant(donor, receiver):
    """Copy convolutions as they are, and batch norms with the bias of the convolution before them."""
    for layer in receiver.layers:
        if isinstance(layer, layers.Conv2D):
            kernel, bias = donor.get_layer(their_name(layer.name)).get_weights()
            layer.set_weights([kernel])
            norm = receiver.get_layer(layer.name.replace("conv", "bn"))  # each of ours is followed by its own
            given = donor.get_layer(their_name(norm.name))
            gamma, beta, mean, variance = given.get_weights()
            norm.set_weights([gamma, beta, mean - bias, variance + given.epsilon - norm.epsilon])


transplant(theirs, features)
print(f"difference: {difference(features(images), theirs(images)):.2f} standard deviations")

# %% [markdown]
# Up to the pooled features our net computes what theirs computes. (A classifier would follow.) But would we have
# noticed a mistake? Make one: put back a single batch norm's mean as it was in theirs, as if the biases of one
# convolution of 53 had been forgotten.
#
# **Predict.** By how many standard deviations does that change the outputs at the end: a hundredth, a tenth, or more?

# %%
norm = features.get_layer("stage3_block2_bn2")
folded = norm.get_weights()
mean = theirs.get_layer("conv4_block2_2_bn").get_weights()[2]
norm.set_weights([folded[0], folded[1], mean, folded[3]])
print(f"biases forgotten: {difference(features(images), theirs(images)):.2f} standard deviations")
norm.set_weights(folded)
print(f"put right again:  {difference(features(images), theirs(images)):.2f}")

# %% [markdown]
# One convolution is enough. (Another mistake would not be seen: an epsilon that is not corrected changes a variance
# near 1 by 1e-8, less than float32 can tell.)
#
# ## 5 Where does the stride sit?
#
# Where a stage begins, its first unit halves the map. In a bottleneck either the first 1x1 or the 3x3 convolution can
# have the stride; `stride_in` says which. The weights have the same shapes either way.
#
# **Predict.** Load the transplanted weights into a ResNet-50 that has the stride in the 3x3 convolution. Will Keras
# refuse? If not, will the outputs be the same?

# %%
other = models.imagenet(50, stride_in="3x3", input_shape=(64, 64, 3))
other_features = keras.Model(other.input, other.get_layer("pool").output)
other_features.set_weights(features.get_weights())
print("weights loaded:", f"{other_features.count_params():,}")
print(f"difference: {difference(other_features(images), features(images)):.2f} standard deviations")

# %% [markdown]
# Keras does not refuse. Neither the number of parameters nor the shape of a single weight tells the two networks
# apart; their outputs do. Whoever loads weights of the one into the other gets a network that computes something else,
# without a word.
#
# This is not a riddle made up for a lesson: both are published as "ResNet-50". Ask Keras's own where its strides are.


# %%
import textwrap


def strided(build, **arguments):
    """List the layers with stride 2 of a model that is planned only."""
    with keras.StatelessScope(initialize_variables=False):
        found = build(**arguments).layers
    return [layer.name for layer in found if getattr(layer, "strides", 1) == (2, 2)]


nets = {
    "ours, 1x1:": strided(models.imagenet, depth=50),
    "ours, 3x3:": strided(models.imagenet, depth=50, stride_in="3x3"),
    "ResNet50:": strided(keras.applications.ResNet50, weights=None),
}
for name, names in nets.items():
    print(textwrap.fill(" ".join([name, *names]), 72, subsequent_indent=" " * 11, break_on_hyphens=False))

# %% [markdown]
# After the stem, `keras.applications.ResNet50` has its strides in the first 1x1 convolution of a unit and in its
# projection, number 0. The others of this table are **quoted**, each from the source that it names. (*Prototxt* files
# are Caffe's descriptions of networks.)
#
# | network | stride in | source |
# |---|---|---|
# | the authors' release (2016), ResNet-50 and 101 | first 1x1 | prototxt files of deep-residual-networks |
# | Keras, `keras.applications.ResNet50` | first 1x1 | computed above |
# | Facebook's Torch code (2016) | 3x3 | fb.resnet.torch: README, notes on how it differs from the paper |
# | ResNeXt paper's ResNets | 3x3 | Xie et al. 2017, Sec. 4 |
# | PyTorch, `torchvision.models.resnet50` | 3x3 | its documentation, which calls it ResNet V1.5 |
# | TensorFlow Model Garden, `resnet_model.py` (legacy) | 3x3 | its docstring: version 1.5 |
# | NVIDIA, ResNet-50 v1.5 | 3x3 | DeepLearningExamples: README |
#
# The paper itself says only that the first unit of a stage has the stride (Table 1); its authors' release settles it,
# in the layer `res3a_branch2a` and its like. There ResNet-50 has another peculiarity: its very first convolution has a
# bias, that of ResNet-101 has none.
#
# The name "v1.5" has nothing to do with the second paper's version 2 (lesson 05). torchvision's documentation prints
# 25,557,032 parameters and 4.09 GFLOPS for it, which are multiply-adds in our words. Do we get that?

# %%
totals = {where: accounting.planned(models.imagenet, 50, stride_in=where).total for where in ("1x1", "3x3")}
for where, total in totals.items():
    print(f"stride in the {where}: {total.parameters:,} parameters, {total.multiply_adds:,} multiply-adds")
more = totals["3x3"].multiply_adds - totals["1x1"].multiply_adds
print(f"difference: {more:,}, {100 * more / totals['1x1'].multiply_adds:.1f}%")

# %% [markdown]
# We do. So whoever reads "ResNet-50, 4.1 GFLOPs" beside "ResNet-50, 3.8 billion FLOPs" is reading about two networks.
#
# **Exercise 3** (7 minutes). Where do the 231,211,008 come from? For one unit, which gets a map of side x side pixels
# (an even number) and `channels` channels, and has the inner width `width`: how many multiply-adds does it gain when
# the stride moves from the first 1x1 to the 3x3? Three units of ResNet-50 do so.


# %%
def moved_stride(channels, width, side):
    """Return by how many multiply-adds the unit with its stride in the 3x3 is costlier."""
    return ...


checks.moved_stride(moved_stride)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write down the side of the map that each of the three convolutions puts out, in both variants. For which of them
# does it change?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def moved_stride(channels, width, side):
#     kernel = channels * width  # of the first 1x1, the only one that puts out a larger map
#     return kernel * side**2 - kernel * (side // 2) ** 2
# ```
#
# </details>
#
# ### What a strided 1x1 convolution throws away
#
# On a map of 8x8 pixels, count for each pixel how many windows of a convolution with stride 2 read it. How many does a
# 1x1 convolution leave unread?


# %%
def windows(kernel, side=8):
    """Count, for each pixel, the windows of a padded convolution with stride 2 that contain it, (side, side)."""
    reach, counts = kernel // 2, np.zeros((side, side), int)
    for row in range(0, side, 2):
        for column in range(0, side, 2):
            counts[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] += 1
    return counts


fig, axes = plots.figure(2, width=7, height=3.4)
for ax, kernel in zip(axes, (1, 3), strict=True):
    plots.number_grid(ax, windows(kernel)).set_title(f"{kernel}x{kernel}, stride 2")
plots.show(
    fig, "Two grids of 8x8 pixels: a strided 1x1 reads every fourth pixel once, a strided 3x3 reads all of them."
)
print(f"never read by the 1x1: {np.mean(windows(1) == 0):.0%}; by the 3x3: {np.mean(windows(3) == 0):.0%}")

# %% [markdown]
# **Figure.** A 1x1 convolution with stride 2 reads every fourth pixel and no other, a padded 3x3 convolution reads
# every pixel once, twice or four times.
#
# Look at the first unit of stage 2. Its branch has the stride in the first 1x1 or in the 3x3 convolution, and its
# shortcut is a projection, a 1x1 convolution with stride 2. Cut both networks before this unit. Of each square of 2x2
# pixels take the one at (row, column), and add 10 to it in all squares.
#
# **Predict.** For each of the four places, and for both networks: do the outputs at the end change?


# %%
def rest_of(net):
    """Cut the net after stage 1: (B, 16, 16, 256) to (B, 2048)."""
    return keras.Model(net.get_layer("stage1_block3_relu3").output, net.get_layer("pool").output)


rests = [rest_of(net) for net in (features, other_features)]  # stride in the 1x1, in the 3x3
to_stage_1 = keras.Model(features.input, features.get_layer("stage1_block3_relu3").output)
stage_1 = keras.ops.convert_to_numpy(to_stage_1(images))  # (2, 16, 16, 256), the same in both nets
for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]:
    disturbed = stage_1.copy()
    disturbed[:, row::2, column::2] += 10
    change = [difference(rest(disturbed), rest(stage_1)) for rest in rests]
    print(f"at ({row}, {column}): change {change[0]:.2f} with the stride in the 1x1, {change[1]:.2f} in the 3x3")

# %% [markdown]
# With the stride in the 1x1, three of four pixels can be anything: branch and shortcut read the same quarter, so
# nothing in the rest of the net depends on the others. That does not mean that three quarters of the *image* are lost.
# The pixels that are read come from 3x3 convolutions, which have seen their neighbours. What is lost is work: the last
# unit of the stage computes a map of which a quarter is used.
#
# With the stride in the 3x3 all four places count. The branch's windows read (1, 1) most often, as the grid shows. The
# shortcut reads (0, 0) alone, which fits the large change there; we have not disturbed the two apart.
#
# Is the 3x3 variant better for it? NVIDIA's README says: more accurate by about 0.5% top-1, slower by about 5%
# (quoted; it does not say over how many runs). The 6.0% more multiply-adds fit the second. fb.resnet.torch reports
# lower errors than the paper too, but by its README its training differs in three other things as well. We have not
# measured it.
#
# ## 6 Go further
#
# If nobody reads three quarters of what a stage's last unit puts out, need it be computed? Here are the stages of the
# paper's ResNet-50, made from the package's units:


# %%
def stages(x):
    """Map the stem's output (B, H, W, 64) to the last map, (B, H/8, W/8, 2048)."""
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        for number in range(1, count + 1):
            name, width = f"stage{stage}_block{number}", 32 * 2**stage
            stride = 2 if stage > 1 and number == 1 else 1
            x = blocks.unit(x, blocks.Unit(name, width, block="bottleneck", shortcut="B", stride=stride))
    return x


def between_stem_and_pool(stages):
    """Build the model of the stages alone, as they stand in ResNet-50 at 224x224."""
    stem_output = keras.Input((56, 56, 64))
    return keras.Model(stem_output, stages(stem_output))


print(f"{accounting.planned(between_stem_and_pool, stages).total.multiply_adds:,} multiply-adds in the stages")

# %% [markdown]
# **Exercise 4** (30 minutes). Build stages that put out **the same, with the same weights**, and compute nothing that
# no later layer reads. They make 3,362,193,408 multiply-adds (counted from the solution) instead of the number above:
# start from a copy of `stages`, and keep the names. A `Unit` has the fields `stride`, `stride_in` ("1x1" or "3x3") and
# `shortcut`: "B" projects where the shapes differ, "A" takes every `stride`-th pixel and adds channels of zeros where
# there are too few. The check builds both nets and compares them, which takes some seconds.


# %%
def lean_stages(x):
    """Map (B, H, W, 64) to (B, H/8, W/8, 2048) as the published stages do, without idle work."""
    return ...


checks.lean_stages(lean_stages)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Halve the map one unit earlier: in the last unit of stages 1, 2 and 3. Which of its convolutions may take the
# stride, if only pixels 0, 2, 4, ... of its output are wanted? Its first 1x1 may not: the 3x3 needs the neighbours.
# And what must its shortcut do?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# from resnet_lessons import blocks
#
#
# def lean_stages(x):
#     for stage, count in enumerate((3, 4, 6, 3), start=1):
#         for number in range(1, count + 1):
#             name, width = f"stage{stage}_block{number}", 32 * 2**stage
#             if number == count and stage < 4:
#                 # The 3x3 is centred on the pixels that the next unit reads. The shortcut has all its channels
#                 # already, so option A only takes every second pixel.
#                 u = blocks.Unit(name, width, block="bottleneck", shortcut="A", stride=2, stride_in="3x3")
#             else:
#                 u = blocks.Unit(name, width, block="bottleneck", shortcut="B")
#             x = blocks.unit(x, u)
#     return x
#
#
# # At 224x224 ResNet-50 then needs 3,482,255,360 multiply-adds: a tenth of the published net's work is never looked
# # at. TensorFlow's TF-Slim library builds its ResNets so; resnet_utils.py says that the results are identical.
# ```
#
# </details>
#
# Two more, without a check:
#
# - *10 minutes.* Time `unit("bottleneck", 256, 64, side=7)` and the basic unit of 256 channels beside it. There are 64
#   times fewer pixels than at 56x56. Are both 64 times faster? What work does not shrink with the map?
# - *15 minutes.* `keras.applications.ResNet50V2` puts its strides elsewhere: print `strided` for it. Some of the names
#   are poolings of a single pixel: what are they for? Compare with exercise 4.
#
# ## 7 Summary
#
# - A bottleneck has 69,632 weights where two 3x3 convolutions on its 256 channels have 1,179,648, 17 times as many
#   *(computed)*.
# - With ends four times as wide as its inside it saves parameters at any width, but only a quarter of the values that
#   have to be moved. So with many channels it saves time, and with few not much of it *(computed; times of the stored
#   run, forward pass)*.
# - ResNet-152 needs 11.3e9 multiply-adds and 60,192,808 parameters, VGG-19 19.6e9 and 143,667,240 *(computed)*.
# - The paper's Table 1 is ours, rounded (34 layers with option A), but for ResNet-50: 3.858e9, where it prints 3.8
#   *(computed, quoted)*.
# - On ImageNet plain-34 is worse than plain-18, and ResNets get better up to 152 layers *(quoted)*.
# - Up to the pooled features our ResNet-50 computes what `keras.applications.ResNet50` computes, once its biases are
#   folded into batch norm's means *(computed)*.
# - Two networks are published as "ResNet-50", with the same parameters and the same shapes: 3.858e9 multiply-adds
#   with the stride in the 1x1, 4.089e9 with the stride in the 3x3 *(computed, quoted)*. The first never reads three
#   quarters of three of its maps *(computed)*.
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385, 2015.
# K. Simonyan, A. Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, arXiv 1409.1556,
# 2014. S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, *Aggregated Residual Transformations for Deep Neural Networks*,
# arXiv 1611.05431, 2017. Code on GitHub: KaimingHe/deep-residual-networks, facebookarchive/fb.resnet.torch,
# pytorch/vision, tensorflow/models, NVIDIA/DeepLearningExamples.
