# %% [markdown]
# # 00 Start here
#
# *10 minutes.*
#
# This is a course on deep residual networks. You will see what depth does to plain networks, build the residual
# block, train both versions of ResNet, look inside trained nets, and know which published number belongs to which
# network. You need Python and a little Keras. You do not need a GPU.
#
# This notebook shows how the lessons work, what your machine can do, how long each lesson will take on it, and which
# data are at hand. Run a cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>; run them all from top to bottom.

# %% [markdown]
# ## What runs here
#
# The next cell looks at this machine. A line that says *problem* comes with the command that fixes it. In a terminal,
# `resnet-lessons doctor` prints the same, and where things lie.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import doctor

findings = doctor.examine()
for finding in findings:
    remedy = f"  ->  {finding.remedy}" if finding.remedy else ""
    print(f"{finding.status:8} {finding.topic}: {finding.summary}{remedy}")
problems = [finding.topic for finding in findings if finding.status == "problem"]
assert not problems, f"{problems}: run the commands after -> above, restart the kernel, and run this cell again"

# %% [markdown]
# ## A network in one line
#
# The package describes a network by a `Spec` and builds it with `models`. `v1` is the ResNet of He et al. (2015),
# *Deep Residual Learning*, the paper this course starts from; `v2` is its successor of 2016. This is ResNet-20, the
# smallest net in Table 6 of the first paper, which gives it 0.27M parameters (*quoted*). The package counts them
# (*computed*). The statistics are batch norm's moving means and variances, which are not trained by gradient descent;
# multiply-adds are the work for one image.

# %%
from resnet_lessons import accounting, models
from resnet_lessons.specs import Spec

resnet_20 = Spec("v1", 20)
print(f"{resnet_20.name}: {accounting.count(resnet_20)}")

# %% [markdown]
# Building it takes a moment. Every layer's name says where it stands.

# %%
model = models.build(resnet_20)
print(model.input_shape, "to", model.output_shape)
print(*(layer.name for layer in model.layers if layer.name.startswith("stage2_block1")), sep="\n")

# %% [markdown]
# The count above came from a formula. Counting the weights of the built net must give the same:

# %%
print("the same count:", accounting.account(model).total == accounting.count(resnet_20))

# %% [markdown]
# ## How long the lessons take on this machine
#
# Here a net of 20 layers and one of 56 make a few updates each. An update is one step of the optimizer, on one batch
# of images. Multiplied by the updates a lesson makes, it says how long the lesson's training will take. On a busy
# machine it can be off by a factor of two. `mixed_bfloat16` means 16-bit arithmetic, used where the processor or the
# GPU has instructions for it.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import training

timing = {depth: training.time_updates(Spec("plain", depth), batch_size=64) for depth in (20, 56)}
print("precision:", training.choose_precision())
for depth, (first, update) in timing.items():
    print(f"{depth} layers: {first:.1f} s to build and start, then {64 / update:.0f} images/s")
assert all(first > 0 and update > 0 for first, update in timing.values())

# %% [markdown]
# A lesson trains in one of two modes (a third, smoke, is for tests):
#
# - **fast** (the default): all the training of a lesson is meant to take less than 90 seconds on two idle cores
#   (with its validation, that of lessons 05 and 06 takes 120 and 140). The text says which conclusions that cannot
#   support.
# - **full**: long enough to see more, a quarter of an hour to an hour for most lessons, and two hours for 08, which
#   computes losses. Set the environment variable `RESNET_LESSONS_MODE=full` before you start JupyterLab.

# %% tags=["nbval-ignore-output"]
import numpy as np
from resnet_lessons import recipes

nets_trained = {"01": (3, 3), "02": (2, 2), "03": (4, 0), "05": (11, 0)}  # of 20 and 56 layers, or what costs as much
for lesson, nets in nets_trained.items():
    minutes = {}
    for mode in ("fast", "full"):
        recipe = recipes.for_lesson(mode)
        work = recipe.steps * recipe.batch_size / 64  # in batches of 64, which we have timed
        seconds = [first + work * update for first, update in (timing[20], timing[56])]
        minutes[mode] = np.dot(nets, seconds) / 60
        assert minutes[mode] > 0
    print(f"lesson {lesson}: about {minutes['fast']:.1f} minutes of training, in full mode {minutes['full']:.0f}")

# %% [markdown]
# Validation and what else a lesson computes are not counted: a whole lesson may take four or five times as long.
# (The stored estimates come from a machine with other work; on an idle one they are about half.) Lessons 04 and 08
# train nothing. Those that train by recipes of their own say how long: on two cores in fast mode lesson 06 about
# 140 seconds, 07 about 15, 09 about 70, 10 about 20.
#
# ## The data
#
# `data.load` takes CIFAR-10 from `$RESNET_LESSONS_DATA`, from its own cache or from Keras's. It never starts a
# download. If there is no CIFAR-10, it returns `shapes10`, a stand-in that the package draws, and says so.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import data

dataset = data.load("cifar10")
print(dataset.source)
assert dataset.name in ("cifar10", "shapes10")

# %%
print(dataset.x_train.shape, dataset.x_train.dtype, dataset.x_test.shape, len(dataset.class_names), "classes")

# %%
from resnet_lessons import plots

fig, ax = plots.figure(height=3.3)
plots.images(ax, dataset.x_train[:40])
plots.show(fig, "The first forty training images of the data set at hand, in four rows.", dataset.title)

# %% [markdown]
# **Figure.** The first forty training images of the data set at hand; the small line under the images says which it
# is.
#
# To get CIFAR-10 (170 MB), run this in a terminal. It shows its progress, resumes where it was cut, and checks what
# it has got:
#
# ```
# resnet-lessons data fetch cifar10
# ```
#
# The university's server can be slow. If somebody near you has the file `cifar-10-python.tar.gz`, put it into a
# folder and let the environment variable `RESNET_LESSONS_DATA` name the folder, or fetch it from a copy with
# `--mirror`. `resnet-lessons data status` shows what is found where. The lessons work with `shapes10` too, but what
# they say about CIFAR-10 can then not be seen.
#
# ## How to work with a lesson
#
# - **Predict** before you run. Where a lesson says so, write your guess down. Being wrong is the point.
# - **Exercises** come with a check. It calls your function and tells you what is wrong with its answer. If you have
#   not tried yet, it says so, and no error stops the notebook. Hints, and solutions where you have them, are folded
#   below.
# - **Numbers** are *computed* in a cell above, *recorded* from a long run that ships with the package, or *quoted*
#   from a paper's table. The text says which.
# - Outputs are stored, so you can read a lesson without running it. What depends on your machine will differ when you
#   run it.
#
# An exercise looks like this. Run the cell as it is, then write `return 6 * n + 2` and run it again.

# %%
from resnet_lessons import checks


def depth_of_plain_net(n):
    """Return the layers of a net with one convolution, 3 stages of n pairs of convolutions, and a classifier."""
    return ...


checks.plain_depth(depth_of_plain_net)

# %% [markdown]
# ## A map of the course
#
# | lesson | what it is about | minutes |
# |---|---|---|
# | 00 start here | this page | 10 |
# | [01 degradation](01_degradation.ipynb) | 20 layers against 56: which learns better, and why? | 40 |
# | [02 residual blocks](02_residual_blocks.ipynb) | What does a shortcut do, and which explanations hold? | 45 |
# | [03 ResNet v1 on CIFAR-10](03_resnet_v1.ipynb) | From units to a test error that you may print | 50 |
# | [04 bottlenecks and the ImageNet family](04_imagenet_family.ipynb) | What does depth cost? Which "ResNet-50"? | 45 |
# | [05 identity mappings](05_identity_mappings.ipynb) | ResNet v2, and which net a published number belongs to | 60 |
# | [06 ResNet on MNIST, and a bug zoo](06_mnist_and_bug_zoo.ipynb) | A net to mend, nine specimens of bugs | 45 |
# | [07 inside a ResNet](07_inside_a_resnet.ipynb) | What do the layers of a trained net depend on? | 50 |
# | [08 loss landscapes](08_loss_landscapes.ipynb) | What do slices through the loss show, and what not? | 40 |
# | [09 training at full length](09_full_length.ipynb) | Cost, kills, two devices; how to read a difference | 40 |
# | [10 explorer](10_explorer.ipynb) | Any network, any recipe: what it costs, what it reaches | 30 |
#
# Exercises come on top. What to read beside each lesson is in [a page of its own](../docs/reading.md), the terms in
# English and Chinese in [a glossary](../docs/glossary.md).
#
# Go on with [lesson 01](01_degradation.ipynb).
