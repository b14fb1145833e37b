# %% [markdown]
# # 09 Training at full length
#
# *40 minutes to read and run, 50 more for the exercises. All the training takes about 70 seconds on two cores.*
#
# How do you train for hours, and know in the end what you have? This lesson is about everything around the updates:
# what they cost, what survives when the machine does not, and how to read the number at the end. You will
#
# - predict how long a network trains, and compare;
# - see what 16-bit arithmetic rounds away, and what it must not touch;
# - kill a training run and bring it back to the same weights, bit for bit;
# - leave one thing out of a checkpoint and measure the damage;
# - train one network on two devices;
# - read the runs that ship with this course beside the tables of the papers, and say what was *not* reproduced.
#
# You should have read [lesson 03](03_resnet_v1.ipynb), which takes the recipe apart. Every number is *computed* in
# a cell above it, *recorded* from a run that ships with the package, or *quoted* from a paper, and the text says
# which.

# %% [markdown]
# ## 1 What will it cost?
#
# A training is a number of updates, and each takes about the same time. So the estimate is one multiplication, once
# one update has been timed. Can it be had without timing, from the multiply-adds alone?
#
# **Predict.** ResNet-56 makes 3.1 times the multiply-adds of ResNet-20, and has 3.2 times the weights. How many
# times as long does an update take: less than 3, about 3, or more? Write a number.

# %%
from resnet_lessons import accounting
from resnet_lessons.specs import Spec

nets = {depth: Spec("v1", depth) for depth in (20, 56)}
counts = {depth: accounting.count(spec) for depth, spec in nets.items()}
for field in ("multiply_adds", "parameters"):
    small, large = (getattr(counts[depth], field) for depth in nets)
    print(f"{field:14} {small:12,} {large:12,}  ratio {large / small:.2f}")

# %% tags=["nbval-ignore-output"]
import time

from resnet_lessons import training

timings = {depth: training.time_updates(spec, batch_size=64) for depth, spec in nets.items()}
for depth, (start, update) in timings.items():
    rate = counts[depth].multiply_adds * 64 / update / 1e9
    print(
        f"ResNet-{depth}: {start:.1f} s to start, {1000 * update:.0f} ms an update, {rate:.0f}e9 multiply-adds a second"
    )
print(f"an update takes {timings[56][1] / timings[20][1]:.1f} times as long")
assert timings[56][1] > timings[20][1] > 0

# %% [markdown]
# The multiply-adds are those of the forward pass; the backward pass makes about twice as many again. In the stored
# run an update takes 2.6 times as long, somewhat less than the 3.1 of the multiply-adds: the optimizer, the metrics
# and the start of an update do not grow threefold. The ratio is this close because both nets are made of the same
# layers on the same maps. Between a bottleneck and a basic unit it is not (lesson 04), and on a GPU a net this
# small may be limited by starting its operations and not by arithmetic.
#
# **Exercise 1** (3 minutes). Write the estimate: hours for a number of updates, from the images in a batch and the
# images a second that the machine trains on.


# %%
from resnet_lessons import checks


def hours(updates, batch_size, images_per_second):
    """Return how long the updates take, in hours."""
    return ...


checks.training_hours(hours)

# %% [markdown]
# <details><summary>Hint</summary>
#
# How many images are seen in all? An image counts each time it is seen.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def hours(updates, batch_size, images_per_second):
#     return updates * batch_size / images_per_second / 3600
# ```
#
# </details>
#
# The estimate against a run: ResNet-20, 56 updates of 64 images, four validations of 1,000 images and a test of
# 10,000.
#
# **Predict.** Will it take as long as estimated, longer or less?

# %% tags=["nbval-ignore-output"]
from resnet_lessons import data, recipes

dataset, minute = data.load("cifar10"), recipes.get("minute")
start, update = timings[20]
began = time.perf_counter()
run = training.train(nets[20], minute, dataset, progress=None)
took, expected = time.perf_counter() - began, start + update * minute.steps
print(f"estimated {expected:.0f} s, took {took:.0f} s: {took / expected:.1f} times as long")
print(f"of which training and validation {run.seconds:.0f} s")
assert took > run.seconds > 0

# %% [markdown]
# What the estimate leaves out shows in a run this short: starting a second function for validation, four
# validations, one test. In a run of hours they are a few percent. The validation reads 5,000 images for each 45,000
# trained on, forward only, so it adds about a thirtieth.
#
# ### The lengths in use
#
# The recipes of the package differ by two orders of magnitude. The next cell uses the update timed above.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import widgets

chosen = [recipes.get(name, depth=20) for name in ("he2015", "fast-accuracy", "short", "minute")]
assert [recipe.steps for recipe in chosen] == sorted((recipe.steps for recipe in chosen), reverse=True)
widgets.time_table(chosen, timings[20], batch_size=64)

# %%
from resnet_lessons import plots

fig, ax = plots.figure(width=8.5)
plots.learning_rates(
    ax, [recipes.get(name, depth=20) for name in ("he2015", "short", "fast-accuracy", "keras-example")]
)
alt = "Learning rate against the part of the updates made: two staircases that coincide, a triangle, a lower staircase."
plots.show(fig, alt)

# %% [markdown]
# **Figure.** "short" has the shape of "he2015" in an eighth of the updates, so their lines coincide;
# "fast-accuracy" rises and falls in straight lines, bent here by the logarithmic scale; "keras-example" belongs to
# another optimizer, Adam, whose rates mean something else.
#
# A schedule is tied to its length. Cut "he2015" off after an eighth of its updates, and the rate has never fallen:
# the net is left where steps of 0.1 keep it. "short" falls twice within its own length instead. Whoever compares
# two trainings of different length compares two schedules.
#
# One piece of the schedule depends on the net. At 110 layers a first rate of 0.1 was too high for the authors' net
# to start, so they trained at 0.01 until the training error was below 80%, about 400 updates, and went on as before
# (He et al. 2015, Sec. 4.2, *quoted*). "short" keeps the 400 updates.

# %%
for name in ("he2015", "short"):
    for depth in (20, 110):
        recipe = recipes.get(name, depth=depth)
        rates = {step: recipe.lr_at(step) for step in (0, 399, 400, recipe.steps // 2, recipe.steps - 1)}
        print(f"{name:6} {depth:3} layers", rates)

# %% [markdown]
# ## 2 Sixteen bits
#
# Half the bits are half the memory traffic, and processors with the right instructions multiply 16-bit numbers
# faster. The package trains in `mixed_bfloat16` where the machine has such instructions. A **bfloat16** has the
# exponent of a float32 and 8 bits of precision, one of them implied, so two neighbouring numbers near 1 are 1/128
# apart.
#
# **Predict.** A weight is 1. A thousand updates add 0.001 each. What is the weight at the end, in float32, and in
# bfloat16? Two numbers.

# %%
import keras

for dtype in ("float32", "bfloat16"):
    weight, step = keras.ops.convert_to_tensor(1.0, dtype), keras.ops.convert_to_tensor(0.001, dtype)
    for _ in range(1000):
        weight = weight + step
    print(f"{dtype:8} {float(weight):.3f}")

# %% [markdown]
# In bfloat16 the weight never moves: 1.001 lies nearer to 1 than to the next number, so each addition is rounded
# away. Learning rates of 0.001 make steps as small as that. This is why *mixed* precision keeps two kinds of
# numbers.
#
# **Predict.** Which of these are bfloat16 in a mixed net: the weights, the activations, batch norm's statistics,
# the optimizer's momentum, the logits?

# %%
net = training.compile_model(nets[20], recipes.get("short"), seed=0, precision="mixed_bfloat16")
layer_names = {"convolution": "stage1_block1_conv1", "batch norm": "stage1_block1_bn1", "classifier": "logits"}
for what, name in layer_names.items():
    layer = net.get_layer(name)
    print(f"{what:12} weights {layer.variable_dtype}, output {keras.backend.standardize_dtype(layer.output.dtype)}")
statistics = {str(layer.moving_mean.dtype) for layer in net.layers if hasattr(layer, "moving_mean")}
print("batch norm's statistics", statistics, " momentum", {str(v.dtype) for v in net.optimizer.variables[2:]})

# %% [markdown]
# Only what flows is 16 bits: activations, and on the way back their gradients. The weights are float32 and are
# copied to bfloat16 for each use; the update is made on the float32 **master weights**. The statistics and the
# momentum are sums over many small contributions, like the thousand steps above, and stay float32. So do the
# logits: the loss takes differences of numbers that are nearly equal.
#
# Is it faster here? The two take turns, so that what else the machine does hits both.

# %% tags=["nbval-ignore-output"]
import numpy as np

seconds = {"float32": [], "mixed_bfloat16": []}
for _ in range(3):
    for precision, values in seconds.items():
        values.append(training.time_updates(nets[20], 64, precision=precision)[1])
for precision, values in seconds.items():
    least, median, most = (1000 * np.quantile(values, part) for part in (0, 0.5, 1))
    print(f"{precision:15} {median:.0f} ms an update, {least:.0f} to {most:.0f}")
ratio = np.median(seconds["float32"]) / np.median(seconds["mixed_bfloat16"])
print(f"bfloat16 is {ratio:.1f} times as fast here. The package chooses {training.choose_precision()}.")
assert training.choose_precision() in seconds
assert ratio > 0

# %% [markdown]
# On a processor without such instructions bfloat16 is *slower*, since each operation converts to float32 and back;
# then the package chooses float32. In the stored run the processor has them.
#
# Does it cost accuracy? Train the smallest net both ways, from the same weights, on the same batches. A second seed
# shows how much is chance.

# %% tags=["nbval-ignore-output"]
import dataclasses

tiny, brief = Spec("v1", 8), dataclasses.replace(minute, validation=500)
by_precision = {
    (precision, seed): training.train(tiny, brief, dataset, seed=seed, precision=precision, progress=None)
    for precision, seed in (("float32", 0), ("mixed_bfloat16", 0), ("float32", 1))
}
for (precision, seed), run in by_precision.items():
    print(f"{precision:15} seed {seed}: training error of the last epoch {100 * run.epochs[-1]['train_error']:.1f}%")
assert all(np.isfinite(run.step_loss).all() for run in by_precision.values())

# %%
fig, ax = plots.figure()
plots.loss_curves(ax, [(f"{precision}, seed {seed}", run) for (precision, seed), run in by_precision.items()])
plots.show(
    fig, "Training loss of ResNet-8: two lines of one seed close together, another seed beside them.", dataset.title
)

# %% [markdown]
# **Figure.** Training loss, a mean over ten updates: in the stored run the two precisions of one seed stay closer
# to each other than to the other seed.
#
# A minute of training cannot show that the test error of a long run is the same. What it shows is that the rounding
# moves the loss less than the draw of the initial weights does.

# %% [markdown]
# ## 3 What must survive
#
# A long run will be interrupted: by you, by the power, by a full disk. What is on the disk at that moment decides
# whether the run goes on or starts over. `training.train` keeps a run in a folder; here is one that was stopped
# after its first epoch of two (10 updates each).

# %%
import tempfile
import threading
from pathlib import Path

folder = tempfile.TemporaryDirectory()  # gone when the kernel ends
runs = Path(folder.name)
smoke = recipes.get("minute-smoke")  # 20 updates of 32 images


def train(name, stop_early=False):
    """Train the smallest net in the folder ``name``, or only its first epoch."""
    stop = threading.Event()
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: stop.set())] if stop_early else []
    return training.train(tiny, smoke, dataset, runs / name, progress=None, stop=stop, callbacks=callbacks)


whole, cut = train("whole"), train("cut", stop_early=True)
print("finished:", whole.finished, cut.finished)
for name in ("whole", "cut"):
    print(f"{name:5}", sorted(path.name for path in (runs / name).iterdir() if path.name[0] != "."))

# %% [markdown]
# `run.json` says what the run is, `log.jsonl` has a line an epoch. A finished run has its weights, an unfinished
# one a **checkpoint**. What is in it?

# %%
variables = [*cut.model.variables, *cut.model.optimizer.variables]  # in the order of the checkpoint's arrays
arrays, epoch, step = training.RunFolder(runs / "cut").restore()


def kind(variable):
    """Name what a variable is for."""
    name = variable.path.split("/")[-1]
    if name in ("iteration", "learning_rate"):
        return name
    return "momentum" if name.endswith("_momentum") else "statistics" if name.startswith("moving") else "weights"


kinds = [kind(variable) for variable in variables]
for each in dict.fromkeys(kinds):
    sizes = [array.size for array, this in zip(arrays, kinds, strict=True) if this == each]
    print(f"{each:14} {len(sizes):3} arrays {sum(sizes):8,} numbers")
print("and the place in the training: epoch", epoch, "update", step)

# %% [markdown]
# The order of the images and their augmentation are not among them. They need not be: which images a batch holds,
# and how each is cropped, is a pure function of seed, epoch and index.

# %%
from resnet_lessons import batches

one, _ = batches.train_and_validation(dataset, smoke, seed=0)
other, _ = batches.train_and_validation(dataset, smoke, seed=0)
for index in range(7):
    other.at(0, index)  # this one has served other batches before
same = all(np.array_equal(*pair) for pair in zip(one.at(1, 3), other.at(1, 3), strict=True))
print("batch 3 of epoch 1 is the same, whatever was served before:", same)

# %% [markdown]
# **Predict.** Two experiments. We put fresh momentum (zeros) into the checkpoint and resume. Then we put fresh
# statistics (means 0, variances 1) into it and resume. Which of the two changes the *weights* at the end?
#
# As a scale: how far the whole run has moved its weights from where they started.

# %%
import shutil

fresh = training.compile_model(tiny, smoke, seed=0, precision=whole.precision)
fresh_arrays = [keras.ops.convert_to_numpy(v) for v in (*fresh.variables, *fresh.optimizer.variables)]


def resumed_without(what):
    """Resume a copy of the cut run whose checkpoint has fresh values for one kind of variables."""
    copy = runs / f"without {what}"
    shutil.copytree(runs / "cut", copy)
    pairs = zip(fresh_arrays, arrays, kinds, strict=True)
    training.RunFolder(copy).save([new if this == what else old for new, old, this in pairs], epoch, step)
    return training.resume(copy, dataset, progress=None)


# %%
def size(ones, others):
    """Return the Euclidean distance of two lists of arrays."""
    return np.sqrt(sum(((one - other) ** 2).sum() for one, other in zip(ones, others, strict=True)))


def apart(model, another, which):
    """Return the distance of two nets' variables of one kind, as part of how far the whole run moved them."""
    pick = [index for index, this in enumerate(kinds[: len(model.variables)]) if this == which]
    nets = (model, another, fresh, whole.model)
    a, b, start, end = ([keras.ops.convert_to_numpy(net.variables[i]) for i in pick] for net in nets)
    return float(size(a, b) / size(start, end))


# %% tags=["nbval-ignore-output"]
without = {what: resumed_without(what) for what in ("nothing", "momentum", "statistics")}
for what, run in without.items():
    weights, statistics = (apart(run.model, whole.model, which) for which in ("weights", "statistics"))
    print(f"without {what:11} weights {100 * weights:5.1f}% apart, statistics {100 * statistics:5.1f}% apart")
assert apart(without["nothing"].model, whole.model, "weights") < 1e-3
assert apart(without["momentum"].model, whole.model, "weights") > 0.01
assert apart(without["statistics"].model, whole.model, "statistics") > 0.01

# %% [markdown]
# With a complete checkpoint nothing is apart: in the stored run, on a processor, to the last bit. Without the
# momentum the resumed run makes other steps from its first update on and ends elsewhere. Without the statistics the
# weights are *the same*: in training mode batch norm uses the statistics of the batch, so the moving ones never
# enter an update. But they are what the net is tested with. Ten updates bring a moving mean with momentum 0.9 back
# by $1 - 0.9^{10} = 65\%$; after a few hundred nobody could tell. So this fault hides: the loss goes on without a
# kink, and only a validation soon after the resume is off.
#
# A resume that loses the momentum is the usual kind: `model.save_weights` keeps weights and statistics and nothing
# of the optimizer. Neither loss is told by an error message.
#
# **Exercise 2** (15 minutes). A repair. This function writes a checkpoint, by calling `write(file)` with a file that
# is open for bytes; `write` may fail, as on a full disk.
#
# ```python
# def save_checkpoint(path, write):
#     with path.open("wb") as file:
#         write(file)
# ```
#
# If the process is killed while it writes, the old checkpoint is gone and the new one is half there. Write one that
# can be stopped at any moment: `path` (a `pathlib.Path`) holds the old content or the new, whole.


# %%
def save_checkpoint(path, write):
    """Put what ``write`` writes into the file ``path``, whole or not at all."""
    return ...


checks.save_checkpoint(save_checkpoint)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write to another name in the same folder. When that file is complete, one operation moves it to its place: see
# `pathlib.Path.replace`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# import os
#
#
# def save_checkpoint(path, write):
#     partial = path.with_name(path.name + ".partial")
#     try:
#         with partial.open("wb") as file:
#             write(file)
#             file.flush()
#             os.fsync(file.fileno())  # on the disk, before it takes the old one's place
#         partial.replace(path)
#     finally:
#         partial.unlink(missing_ok=True)
# ```
#
# </details>

# %% [markdown]
# ## 4 Kill it
#
# Stopping is polite. A kill is not: the process gets no chance to write anything. We start a training in a process
# of its own, as the command line does, and kill it as soon as the log has two lines. The third epoch is then under
# way.
#
# **Predict.** How much is lost: nothing, the third epoch, or all? And will the resumed run end with the weights of
# one that was never killed?

# %% tags=["nbval-ignore-output"]
import subprocess
import sys


def command(out, *options):
    """Return the command that trains ResNet-8 by the lesson's recipe into ``out``."""
    program = [sys.executable, "-m", "resnet_lessons.cli", "train", "v1", "--n", "1", "--recipe", "minute"]
    return [*program, "--data", dataset.name, "--out", str(out), *options]


victim = runs / "victim"
process = subprocess.Popen(command(victim), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while process.poll() is None and len(training.RunFolder(victim).lines()) < 2:
    time.sleep(0.05)
process.kill()
print("killed; exit code", process.wait())
print("whole epochs in the log:", [line["epoch"] for line in training.RunFolder(victim).lines()])
assert len(training.RunFolder(victim).lines()) >= 2

# %% [markdown]
# The same thing by hand: `resnet-lessons train v1 --n 1 --recipe minute --out runs/victim` in a terminal, `kill -9`
# in another, `resnet-lessons resume runs/victim`. We resume it here, beside a run that nobody disturbs.

# %% tags=["nbval-ignore-output"]
revived = training.resume(victim, dataset, progress=None)
undisturbed = training.train(tiny, minute, dataset, progress=None)
for name, run in (("revived", revived), ("undisturbed", undisturbed)):
    print(f"{name:12}", [f"{line['train_loss']:.4f}" for line in run.epochs], f"test error {100 * run.test_error:.2f}%")
assert revived.finished
assert len(revived.epochs) == len(undisturbed.epochs) == 4

# %% tags=["nbval-ignore-output"]
from resnet_lessons import backend

pairs = list(zip(revived.model.get_weights(), undisturbed.model.get_weights(), strict=True))
identical = all(np.array_equal(*pair) for pair in pairs)
print("the same weights, bit for bit:", identical)
only_a_processor = all(device == "CPU" for device, _ in backend.devices())
assert identical or not only_a_processor

# %% [markdown]
# What the kill took is the epoch under way. Everything else is on the disk, and the rest follows from it: on a
# processor the two runs end in the same bits. (A GPU may add in an order that varies; `--deterministic` asks it not
# to.) The test suite of this package kills runs at twenty moments, five of them while a checkpoint is being
# written.
#
# How often should one save? Each epoch is a compromise: a kill costs half an epoch on average. For "he2015" on the
# machine of the stored run an epoch is some 40 s, and a checkpoint of ResNet-20 is 2 MB.

# %% [markdown]
# ## 5 Two devices
#
# Several GPUs share the work of each batch: every one has a copy of the net, takes its part of the images, and
# before the update the gradients are averaged over all. This is **data parallelism**. Here the processor is divided
# in two parts that stand for GPUs. That shows what changes and what does not; it makes nothing faster.
#
# **Predict.** One device with batches of 64, against two with 32 each: the same losses, or others? Think of batch
# norm.

# %% tags=["nbval-ignore-output"]
on_one, on_two = runs / "one device", runs / "two devices"
options = ("--smoke", "--precision", "float32")  # 20 updates of 32 images
training.train(tiny, smoke, dataset, on_one, precision="float32", progress=None)
divisible = backend.BACKEND == "tensorflow" and only_a_processor
if divisible:
    mirrored = command(on_two, *options, "--strategy", "mirrored", "--devices", "2")
    done = subprocess.run(mirrored, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for name in (on_one, on_two):
        print(f"{name.name:12}", [f"{line['train_loss']:.4f}" for line in training.RunFolder(name).lines()])
else:
    print("needs TensorFlow and a machine without a GPU: several GPUs need no pretending")
assert (on_two / "model.weights.h5").exists() == divisible

# %% [markdown]
# In the stored run the losses agree to three digits or more; what is left is the order of additions. That is not so
# by itself. A batch norm that looks at its own 16 images normalizes by other means and variances than one that sees
# all 32, and trains another net. The package's batch norm, on several devices, computes its statistics over the
# whole batch, which costs a message between the devices for every layer. Many programs leave them apart, and then
# "batch 256 on 8 GPUs" means batch norm over 32 images: read for it when you compare results.
#
# ### Many runs
#
# Most of the time it is not one long run but many: networks times seeds. `resnet-lessons sweep FILE.toml` takes
# them from a file, spreads them over the processors of a machine or a cluster, and goes on where it was
# interrupted.

# %%
from resnet_lessons import sweep

plan = runs / "degradation.toml"
plan.write_text(
    """
recipe = "short"
seeds = [0, 1, 2]

[[network]]
family = "plain"
n = [3, 9]

[[network]]
family = "v1"
n = [3, 9]
"""
)
for planned in sweep.read(plan, runs / "sweep").runs:
    print(planned.name)

# %% [markdown]
# Two networks of two sizes and three seeds are twelve runs. `resnet-lessons sweep degradation.toml` would make
# them, one after the other on a small machine, and report means over the seeds.

# %% [markdown]
# ## 6 The recorded runs
#
# These are what this course can show instead of asking you to wait. Each is a folder as `training.train` wrote it:
# `run.json` and `log.jsonl`, with the data, the versions, the machine and the commit.
#
# **The data matter.** The runs below were trained on what their column says. If that is the JPEG re-encoding of
# CIFAR-10, it is a *harder* problem than the original: no error on it reaches or misses a published one. They are
# compared with each other, and stand *beside* the published figures. (All of this section, and the end of the next,
# is drawn from what the package ships; it grows when a run is added.)

# %%
from resnet_lessons import results

long_runs = [run for run in results.load() if run.data["name"] == "cifar10"]
for run in long_runs:
    first, last = run.log[0], run.log[-1]
    errors = f"training {100 * last.train_error:5.2f}%, test {100 * run.result['test_error']:5.2f}%"
    print(f"{run.spec.name:9} {run.recipe['name']:6} seed {run.seed}: {len(run.log)} epochs, {errors}")
print({run.data["source"] for run in long_runs})

# %% [markdown]
# Now the training errors, epoch by epoch.
#
# **Predict.** Take plain nets and ResNets of 20 and of 56 layers, all trained by "short". If the first paper is
# right, which ends with the lowest training error, and which with the highest?

# %%
families = {group.spec.name: group for group in results.groups(data="cifar10") if group.recipe["name"] == "short"}
fig, ax = plots.figure()
plots.recorded_curves(ax, list(families.items())[:6])
plots.show(fig, "Training error against updates of the recorded runs by the recipe short: a line for each network.")

# %% [markdown]
# **Figure.** Training error of the recorded runs of the recipe "short"; where the rate first drops, after 4,000
# updates, it falls within two epochs. Where several seeds are recorded the line is their mean and the band their
# range.

# %%
mean_error = {name: group.train_error[0] for name, group in families.items()}
for name, error in sorted(mean_error.items(), key=lambda item: item[1]):
    print(f"{name:9} {error:5.2f}% training error in the last epoch, seeds {families[name].seeds}")
for one, other in (("plain-56", "plain-20"), ("v1-56", "v1-20"), ("v1-20", "plain-20"), ("v1-56", "plain-56")):
    if {one, other} <= set(mean_error):
        verdict = "worse" if mean_error[one] > mean_error[other] else "better"
        print(f"{one} trains {verdict} than {other}, by {abs(mean_error[one] - mean_error[other]):.1f} points")

# %% [markdown]
# After both drops of the rate the nets have almost stopped improving, so these gaps are not those of a late start,
# as in lesson 01 after a minute. And they are gaps in *training* error, so overfitting is not their reason. (A pair
# with a net that has not been recorded is not listed.)
#
# ### Beside the tables
#
# The next table puts the published figures, the Keras example's and the recorded runs side by side. Each row names
# the network exactly, for rows that look alike are not (lesson 05, "Which ResNet is this?").

# %%
results.table(tablefmt="html")

# %% [markdown]
# What is *not* reproduced here, and why:
#
# - **The published errors.** They belong to the original CIFAR-10 and, with "he2015", to 64,000 updates. The column
#   for them is one command away for whoever has the original: `resnet-lessons reproduce NAME` repeats a record from
#   its `run.json` on the data it finds.
# - **Empty cells.** Nobody has recorded these runs. On two cores a net of 110 layers takes an hour and a half by
#   "short", and half a day by "he2015" (estimated).
# - **ImageNet.** None of Tables 1 to 5 of the first paper. Lesson 04 rebuilds the networks and counts them.
#
# ### What the runs took
#
# Each epoch's seconds are in the log. **Predict.** On one machine, with one net and one recipe, how much do they
# vary: by a hundredth, a tenth, or a factor?

# %%
fig, ax = plots.figure()
for number, run in enumerate(long_runs[:6]):
    seconds_of_epochs = [epoch.seconds for epoch in run.log]
    plots.line(ax, number, range(1, len(run.log) + 1), seconds_of_epochs, f"{run.spec.name}, seed {run.seed}")
ax.set(xlabel="epoch", ylabel="seconds", yscale="log")
ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plots.show(fig, "Seconds of each epoch of the recorded runs: they jump by a factor, for all epochs did the same work.")

# %% [markdown]
# **Figure.** Seconds an epoch, *recorded*: each epoch of a line makes the same updates, and yet their times differ
# by a factor where the machine had other work to do.
#
# So a mean of wall-clock times says as much about the neighbours as about the program. For what a machine *can* do
# take the fastest epochs; for a comparison let the two take turns, as in section 2, and quote a ratio.

# %% [markdown]
# ## 7 Reading a difference
#
# The first paper trained its ResNet-110 five times: 6.61% on average, with a standard deviation of 0.16; the best
# of the five had 6.43% (*quoted*, Table 6). Its table, and most tables after it, can print one of these.
#
# **Predict.** Someone trains five seeds of a network that has 6.61 ± 0.16 and reports the best. By how much does
# the report flatter it, on average? And the best of twenty?

# %%
draws = np.random.default_rng(0).normal(6.61, 0.16, size=(100_000, 20))
for seeds in (1, 2, 5, 20):
    print(f"best of {seeds:2}: {draws[:, :seeds].min(axis=1).mean():.2f}%")

# %% [markdown]
# The best of five such draws is at 6.42% on average (*computed*, for normal draws), and the paper's best is 6.43%.
# So the best run was not a better network. It is what the lowest of five numbers looks like. A table of means and a
# table of bests cannot be compared, and neither can bests over different numbers of seeds.
#
# The second paper reports the **median** of five runs, 6.61% for the original unit again, and 6.37% for full
# pre-activation (*quoted*, Table 2). Is 0.24 a difference?
#
# If each run scatters by $s$, the mean of $n$ runs scatters by $s/\sqrt{n}$, and the difference of two such means
# by $s\sqrt{2/n}$. A common rule calls a difference shown if it is at least twice that.
#
# **Exercise 3** (10 minutes). How many seeds of *each* network does it take?


# %%
def seeds_needed(difference, spread):
    """Return the least number of seeds n for which difference is at least twice spread times the root of 2/n."""
    return ...


checks.seeds_needed(seeds_needed)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Square both sides of $d \ge 2 s \sqrt{2/n}$ and solve for n. It is a whole number, and at least 1.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# import math
#
#
# def seeds_needed(difference, spread):
#     return max(1, math.ceil(8 * (spread / difference) ** 2))
# ```
#
# </details>
#
# With a spread of 0.16 four seeds of each are enough for 0.24; for 0.1 it takes 21. At two hours a run of ResNet-20
# by "he2015" that is 84 hours for one comparison of a tenth of a point. (The standard deviation itself is estimated
# from few runs, so a careful test asks for more.)
#
# There is a second source of chance. 10,000 test images at an error of 6.6% have a standard error of 0.25 points
# (lesson 03). Two networks that read the *same* images share most of it, so their difference is known better than
# either number. Networks that are compared across data sets share none.

# %%
error, images = 0.0661, 10_000
print(f"standard error from the choice of test images: {100 * np.sqrt(error * (1 - error) / images):.2f} points")
for name, group in families.items():
    mean, spread = group.test_error
    known = "one seed: no spread" if spread is None else f"standard deviation {spread:.2f} points"
    print(f"{name:9} test error {mean:.2f}%, {known}")

# %% [markdown]
# ## 8 Go further
#
# - *10 minutes.* In section 3, save the checkpoint after the *second* epoch of four instead of the first of two.
#   Which of the two losses gets smaller, and why?
# - *10 minutes.* `training.train(..., strategy="mirrored")` refuses a batch that the devices cannot share evenly.
#   Try `--devices 3` in section 5. What would go wrong if it did not refuse?
# - *15 minutes.* Give section 2 a learning rate of $10^{-4}$ and count for how many weights of `net` one plain step
#   would be rounded away if they were bfloat16.
# - *30 minutes, and a night.* **Exercise 4.** Choose a network that is not recorded, such as ResNet-32 (n = 5).
#   Estimate how long "short" takes on your machine. Start it in a terminal with `resnet-lessons train v1 --n 5
#   --recipe short`, close the laptop's lid, go on with `resnet-lessons resume`, and look at `resnet-lessons
#   results` in the morning. How close was the estimate, and which epochs were slow? Where does its test error lie
#   between those of 20 and 56 layers, and how many seeds would you need to be sure?
#
# ## 9 Summary
#
# - ResNet-56 makes 3.1 times the multiply-adds of ResNet-20, and an update takes 2.6 times as long (computed,
#   stored run).
# - In bfloat16 a weight of 1 does not move by a thousand steps of 0.001; so mixed precision keeps weights,
#   statistics and momentum in float32 (computed).
# - A checkpoint needs weights, statistics, momentum and the place in the training; the order of the images follows
#   from seed and epoch (computed).
# - Lost momentum changes every later weight. Lost statistics change none, and spoil the next validation (computed).
# - A killed run loses the epoch under way, and ends in the same bits (computed).
# - Two devices give the losses of one if batch norm looks at the whole batch (computed).
# - After 8,000 updates and two drops of the rate plain-56 has a training error of 35%, plain-20 of 15.5% and
#   ResNet-20 of 12.5%, one seed each (recorded).
# - The best of five seeds is better than their mean by 1.2 standard deviations, from chance alone (computed); 0.24
#   points at a spread of 0.16 take four seeds of each net (computed from quoted figures).
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015; *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016. P. Micikevicius and others, *Mixed
# Precision Training*, arXiv 1710.03740, 2017. The Keras example is `examples/cifar10_resnet.py` of Keras 2.
