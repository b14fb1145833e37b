# %% [markdown]
# # 10 Explorer
#
# *30 minutes to read and run, 35 more for the exercises. All the training takes about 20 seconds on two idle cores
# with 16-bit instructions, a minute or more on slow ones, in fast mode and in full mode; the run that you begin on
# the page takes as long again.*
#
# Which network would you train, by which recipe, and what does it cost you? This lesson is one page on which you
# choose both, see what is known of them, and train. You will
#
# - use the page: choose, predict, train, stop, resume;
# - find out which of its controls cost much and which cost little;
# - compare published errors by what the networks cost, and name the network behind each figure;
# - look at what happens behind its buttons.
#
# You should have read lessons 03, 04, 05 and 09; the page uses what they explain. ResNet-20 is the paper's name for
# what the page's tables call v1-20, version 1 with 20 layers. Every number is *computed* in a cell above it,
# *recorded* from a run that ships with the package, or *quoted* from a paper, and the text says which.
#
# ## 1 The page
#
# First the images to train on.

# %% tags=["nbval-ignore-output"]
from resnet_lessons import data

dataset = data.load("cifar10")
print(dataset.source)
assert len(dataset.class_names) == 10

# %% [markdown]
# Now the page. All controls work by keyboard: <kbd>Tab</kbd> goes from one to the next, the arrow keys change a
# value, and the space bar presses a button.
#
# **Predict.** ResNet-20 by the recipe `minute`, 56 updates of 64 images: which test error will it reach, in
# percent? Guessing is at 90%. Write it down, run the cell, then press *Train*. (Where no cell can run, as on
# GitHub, a line of text stands in the page's place.)

# %%
from resnet_lessons import widgets

explorer = widgets.Explorer(dataset, folder="../runs/explorer")
explorer

# %% [markdown]
# What was your guess? In the stored run of lesson 03 the same net by the same recipe ended at 79.0%: 56 updates are
# the first steps of a training. (If the page says *Finished* when you open it, it has found the run of an earlier
# visit: choose another seed, and *Train* can be pressed.)
#
# What the parts say:
#
# - **Network.** Version, unit, units a stage and shortcut name one network. Parameters and multiply-adds are
#   *computed* from that name. The error in the last column is *quoted*, and only if it was published for exactly
#   this network. *Time it here* makes a few updates and says how long each recipe would take on this machine. The
#   units end at n = 18: 110 layers of basic units, 164 of bottlenecks. The nets of 1001 and 1202 layers of section
#   3 cannot be chosen here; there they are made as a `Spec`, in code.
# - **Recipe.** How it is trained. *% made* reads the learning rate of any moment off the schedule.
# - **Recorded runs.** Trainings of this network that ship with the package, on the data that the table names.
#   The papers print no numbers for their curves, so what they published stands there as a sentence.
# - **Training.** *Train* begins a run, *Stop* ends it after the update under way, *Resume* continues it. Solid is
#   the error on the training images, a mean of ten updates, so it begins with the tenth; dashed is its mean over
#   each epoch; the marks are the validation error.
#
# No cell is running while the net trains, so you can go on reading and running cells. (While a cell does run, the
# curve waits for it, and so does a press of *Stop*; the training does not. Interrupting the kernel ends the cell
# and the training.) The run is a folder below `runs/explorer`. Close this tab, restart the kernel, come back
# tomorrow: choose the same network, recipe and seed, and the page finds the run. The page also runs on its own,
# without a notebook: in the folder of the course's repository call `make app`, or `python notebooks/app.py`.
#
# What the page shows for some networks, as a table:

# %%
from resnet_lessons.specs import Spec

resnet_20, resnet_56 = Spec("v1", 20), Spec("v1", 56)
widgets.model_table([resnet_20, resnet_56, Spec("v1", 56, shortcut="B"), Spec("v2", 164), Spec("plain", 56)])

# %% [markdown]
# The drawing that the page shows for the first of them:

# %%
from resnet_lessons import plots

fig, ax = plots.figure(width=8.5, height=2.2)
plots.network_diagram(ax, resnet_20)
plots.show(fig, plots.network_in_words(resnet_20))

# %% [markdown]
# **Figure.** ResNet-20 is one convolution, three stages of three units, and a classifier. From stage to stage the
# maps get half as wide and the channels twice as many.
#
# The recipe that the page begins with, in words, and its schedule:

# %%
import textwrap
from resnet_lessons import recipes

minute = recipes.get("minute")
print(textwrap.fill(widgets.recipe_words(minute), 72))
widgets.schedule_table(minute)

# %% [markdown]
# And that of the first paper for nets of 110 layers or more:

# %%
deep = recipes.get("he2015", depth=110)
widgets.schedule_table(deep)

# %% [markdown]
# The same schedule beside two others, each over its own length:

# %%
fig, ax = plots.figure(width=8.5, height=2.6)
plots.learning_rates(ax, [deep, recipes.get("fast-accuracy"), recipes.get("keras-example")], points=1000)
plots.show(fig, "Learning rate against the part of the updates made, for three recipes.")

# %% [markdown]
# **Figure.** The paper's recipe takes two steps down, at 50 and 75% (solid); its 400 slow updates are the notch at
# the left edge. `fast-accuracy` goes up and down once in straight lines (dashed). The Keras example's, for another
# optimizer, has four steps, at 40, 60, 80 and 90% (dotted and dashed).
#
# And the recorded runs of ResNet-20:

# %% tags=["nbval-ignore-output"]
from IPython.display import HTML

table = widgets.recorded_table(resnet_20)
assert "short, 8,000 updates" in table
assert "short-1000, 1,000 updates" in table
HTML(table)

# %% [markdown]
# `short-1000` is `short` scaled to 1,000 updates: its rate falls after 500 and 750. shapes10 is the stand-in of
# lesson 01, drawn by the package and far easier than CIFAR-10, so rows on different data do not compare. Nor does a
# row on JPEG re-encoded images, which are harder than the original, compare with the paper's 8.75%. The curves of
# these runs:

# %%
from resnet_lessons import results

found = results.groups([record for record in results.load() if record.spec == resnet_20])
runs = [(f"{one.recipe['name']}, {one.data['name']}", one) for one in found]
fig, ax = plots.figure(width=8.0, height=3.6)
plots.recorded_curves(ax, runs[:6], validation=True)
alt = "Errors against updates of the recorded runs of ResNet-20, on training images and on held-back ones."
plots.show(fig, alt, "; ".join(dict.fromkeys(one.data_title for one in found[:6])))

# %% [markdown]
# **Figure.** Training errors as lines, validation errors as marks. The scale of updates is logarithmic. By `short`
# on CIFAR-10 both errors fall once more when the learning rate does, at half of the 8,000 updates; in the end
# training is at 12.3% and validation at 15.6%. By `fast-accuracy` the training error falls after every pass: fast
# at first, slowly in the middle, and faster again near the end, where the rate nears 0. Validation scatters above
# it from the second pass on and settles too, but higher: 6.7% and 12.6%. These are means of three seeds. By
# `he2015`, one seed, they end at 0.9% and 12.0%: eight times the updates, and the net gets nearly every training
# image right. On shapes10 both are below 2% after 700 updates.
#
# ## 2 What a control costs
#
# Most controls of the page change one thing at a time. (Another version brings its usual unit and shortcut with it,
# and another unit its usual shortcut.) What does each thing do to the size of a network, and to its work for one
# image?
#
# **Predict.** Start from ResNet-56. Six changes: to shortcut B; to shortcut C; to bottlenecks at the same n = 9,
# which are 83 layers; to bottlenecks at the same depth of 56 layers, n = 6; to the other version; to twice the
# units, 110 layers. Which of them change the parameters by more than a tenth? Which the multiply-adds?

# %%
from resnet_lessons import accounting

changes = {
    "shortcut B": Spec("v1", 56, shortcut="B"),
    "shortcut C": Spec("v1", 56, shortcut="C"),
    "bottlenecks, n = 9": Spec("v1", 83, block="bottleneck"),
    "bottlenecks, n = 6": Spec("v1", 56, block="bottleneck"),
    "version 2": Spec("v2", 56, block="basic"),
    "n = 18": Spec("v1", 110),
}
before = accounting.count(resnet_56)
print(f"{'':39} parameters  multiply-adds")
for change, spec in changes.items():
    after = accounting.count(spec)
    size, work = (getattr(after, field) / getattr(before, field) - 1 for field in ("parameters", "multiply_adds"))
    print(f"{change:18} {spec.name:19} {100 * size:+9.1f}% {100 * work:+13.1f}%")

# %% [markdown]
# Of the network's controls only the number of units n costs much: twice the units are twice the work. Shortcut C
# adds 5.6% of parameters, B adds 0.3%, and the other version nothing at all. 83 layers of bottlenecks cost what 56
# layers of basic units do, and 56 layers of bottlenecks a third less: that is what a bottleneck is for (lesson 04).
# So the papers compare shortcuts and versions at nearly equal cost, and depths not: what a deeper net gains, it has
# paid for.
#
# **Exercise 1** (10 minutes). You may spend a given number of multiply-adds for one image. How deep can the net be?
# Return the largest n whose v1 net of basic units, shortcut A, stays within the budget. You may count with
# `accounting.count`.

# %%
from resnet_lessons import checks


def largest_n(budget):
    """Return the largest n whose net of 6n+2 layers needs at most so many multiply-adds; n = 1 always fits."""
    return ...


checks.largest_n(largest_n)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `accounting.count(Spec("v1", 6 * n + 2)).multiply_adds` grows by the same number with each n. Count up until the
# next net would be too large. A net that needs exactly the budget is within it.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def largest_n(budget):
#     n = 1
#     while accounting.count(Spec("v1", 6 * (n + 1) + 2)).multiply_adds <= budget:
#         n += 1
#     return n
# ```
#
# </details>
#
# ### Does time follow work?
#
# **Predict.** ResNet-20 makes 3.3 times the multiply-adds of ResNet-8, and a twelfth less than 29 layers of
# bottlenecks. How do the times of an update compare in each pair?

# %% tags=["nbval-ignore-output"]
from resnet_lessons import training

nets = [Spec("v1", 8), resnet_20, Spec("v1", 29, block="bottleneck")]
timings = [training.time_updates(net, batch_size=64) for net in nets]
works = [accounting.count(net).multiply_adds for net in nets]
for net, work, (_, update) in zip(nets, works, timings, strict=True):
    ratios = work / works[0], update / timings[0][1]
    print(f"{net.name:17} multiply-adds x {ratios[0]:.1f}, time of an update x {ratios[1]:.1f}")
assert min(update for _, update in timings) > 0
widgets.time_table([recipes.get(name) for name in recipes.NAMES], timings[1], batch_size=64)

# %% [markdown]
# The ratios differ from machine to machine, and with what else it has to do: run the cell again. What an update
# takes besides convolutions (batch norm, additions, the start of each operation) grows by its own rules, and
# bottlenecks write more values for the same work (lesson 04). (An argument: the shares are not timed apart here.) That
# is why the page times a network instead of
# computing its time from the multiply-adds. The table is what *Time it here* shows for ResNet-20; the stored one is
# from a slow and busy machine, and lesson 09's from a faster one.
#
# ## 3 What is reached for what is paid
#
# The papers' tables sort networks by depth. Here are their figures by cost. The errors are *quoted* (He et al.
# 2015, Table 6; He et al. 2016, Table 3), the multiply-adds *computed*.
#
# **Predict.** Four of the eleven nets make between 244 and 253 million multiply-adds. How far apart are the best
# and the worst of these four, in points of test error?

# %%
rows = [row for row in results.PUBLISHED if row.source in (results.HE_2015, results.HE_2016_DEPTHS)]
costs = [accounting.count(row.network).multiply_adds / 1e6 for row in rows]
errors = [row.error for row in rows]
print("million multiply-adds, test error in percent, and what it is")
for row, cost in sorted(zip(rows, costs, strict=True), key=lambda pair: pair[1]):
    print(f"{row.network.name:20} {cost:7,.1f}  {row.error:.2f}  {row.statistic}")

# %%
kinds = [("v1", "basic"), ("v1", "bottleneck"), ("v2", "basic"), ("v2", "bottleneck")]
fig, ax = plots.figure(height=3.6)
ticks = [50, 100, 250, 500, 1000, 3000]
for number, kind in enumerate(kinds):
    chosen = [i for i, row in enumerate(rows) if (row.network.family, row.network.block) == kind]
    style = {"color": plots.COLOURS[number], "marker": plots.MARKERS[number], "linestyle": plots.DASHES[number]}
    ax.plot([costs[i] for i in chosen], [errors[i] for i in chosen], label=" ".join(kind), linewidth=0.8, **style)
behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
for row, cost in zip(rows, costs, strict=True):
    ax.annotate(row.network.depth, (cost, row.error), (6, 3), textcoords="offset points", fontsize=9, bbox=behind)
ax.set(xscale="log", xlabel="million multiply-adds for one image", ylabel="quoted test error (%)")
ax.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
ax.set_xticks([], minor=True)
ax.legend(fontsize=8, loc="upper center")
plots.show(fig, "Quoted test error against computed multiply-adds, one mark a network, its depth beside it.")

# %% [markdown]
# **Figure.** At about 250 million multiply-adds stand four nets, 1.15 points apart from v1 with basic units (top)
# to v2 with bottlenecks (bottom); the two with bottlenecks are the two better ones, and cost a little less.
#
# From 110 to 1202 layers the first version pays eleven times the work and gets worse. The second version at 1001
# layers pays six times the work of its 164 and gets better by 0.54 points. Of the four nets at about 250 million,
# two are called ResNet-110 and two ResNet-164, and each pair differs, by 0.24 and by 0.47 points: depth does not
# name the net.
#
# But the figures are not of one kind. The second paper prints medians of five runs. The first prints for 110 layers
# the mean of five, 6.61%, and the second paper's median for that net is 6.61% too (lesson 09); nothing is said of
# the number of runs of the others. By the rule of lesson 09, two means of five runs must differ by 0.2 points, and
# two single runs by 0.45, if all nets scatter like ResNet-110, by 0.16.
#
# **Exercise 2** (15 minutes). One net *beats* another if it is no worse in cost and in error, and better in one of
# them. Nobody who knows the table would train a net that is beaten. Return the indices of the others, in order.


# %%
def unbeaten(costs, errors):
    """Return the indices of the nets that no other net beats."""
    return ...


checks.unbeaten(unbeaten)

# %% [markdown]
# <details><summary>Hint</summary>
#
# For nets i and j: j beats i if `costs[j] <= costs[i] and errors[j] <= errors[i]`, and not both are equal. Two nets
# that are alike in both do not beat each other.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def unbeaten(costs, errors):
#     nets = list(zip(costs, errors))
#     def beats(one, other):
#         return one != other and one[0] <= other[0] and one[1] <= other[1]
#     return [i for i, net in enumerate(nets) if not any(beats(other, net) for other in nets)]
# ```
#
# With the figures above six of the eleven are left: v1 with 20, 32, 44 and 56 layers, and v2 with 164 and 1001. No
# ResNet-110 is among them.
#
# </details>
#
# Call yours with the figures above: `[rows[i].network.name for i in unbeaten(costs, errors)]`.
#
# **Exercise 3** (5 minutes). The page's table says "none for this network" of most nets, because a figure belongs
# to one. Beside a piece of code you read: "so many million parameters, so many percent test error in the paper".
# Does a net in `results.PUBLISHED` have both, its parameters rounded to two decimals?


# %%
def claim_holds(parameters, error):
    """Return whether a published net has so many million parameters and this test error, percent."""
    return ...


checks.claim_holds(claim_holds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Each `row` has `row.network` and `row.error`. `accounting.count(row.network).parameters` is not in millions.
# Compare what is rounded with what is given: `round(..., 2) == parameters`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def claim_holds(parameters, error):
#     nets = [row.network for row in results.PUBLISHED if row.error == error]
#     return parameters in [round(accounting.count(net).parameters / 1e6, 2) for net in nets]
# ```
#
# Four of the nine claims that the check asks about fall. One is that of a net with other shortcuts; two are the Keras
# example's "ResNet110 v2" and "ResNet164 v1", which are other networks than the papers' (lesson 05); and one has the
# parameters of the 1001 layers and the error of the 164.
#
# </details>
#
# ## 4 Behind the buttons
#
# The part of the page that trains is a widget of its own, `LiveTrainer`, and its buttons are methods. A small net
# and a small recipe: 200 updates, four epochs of 50.

# %%
import dataclasses
import tempfile

from resnet_lessons import backend

folder = tempfile.TemporaryDirectory()
small = dataclasses.replace(recipes.get("minute"), name="small", steps=200, batch_size=32, steps_per_epoch=50)
trainer = widgets.LiveTrainer(dataset, Spec("v1", 8), small, folder.name, deterministic=True)
trainer.state

# %% [markdown]
# Pressing *Train* calls `trainer.train()`, which starts a thread and returns. If it trained itself, the kernel
# would be busy, and a press of *Stop* would wait in the queue until there is nothing left to stop. Below, our cell
# waits with `await`, which lets the kernel do other things meanwhile, until 120 updates are made. Then it presses
# *Stop*.
#
# **Predict.** How many updates will have been made when it stands still: 120, some more, or 150? How many of them
# does the folder keep?

# %% tags=["nbval-ignore-output"]
import asyncio

trainer.train()
while trainer.progress.step < 120 and trainer.state == "training":
    await asyncio.sleep(0.01)
trainer.stop()
stopped = await trainer.finished()
print(f"{trainer.state} after {trainer.progress.step} updates; the log has {len(stopped.epochs)} lines")
assert not stopped.finished
assert len(stopped.epochs) == trainer.progress.step // 50

# %% [markdown]
# A few more than 120: the button sets a flag, and the training looks at the flag after each update.
# The log has two lines, so the folder has the state after 100 updates. What came after is lost to the folder. It is
# not lost to you: `trainer.run.model` is the net as it was when it stopped, and can be tested or saved.
#
# **Exercise 4** (3 minutes). After a stop, how many updates need not be made again?


# %%
def updates_kept(made, per_epoch):
    """Return the updates that are kept of ``made``, with ``per_epoch`` updates an epoch."""
    return ...


checks.updates_kept(updates_kept)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Count whole epochs with `//`. How many updates are they?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def updates_kept(made, per_epoch):
#     return made // per_epoch * per_epoch
# ```
#
# </details>
#
# *Resume* calls the same method: whoever finds a run in the folder goes on with it. We press it twice, as an
# impatient person would.
#
# **Predict.** What will the second press do: begin a second training in the same folder, raise an error, or
# nothing?

# %% tags=["nbval-ignore-output"]
import threading

import numpy as np

threads = []
for _ in range(2):
    trainer.train()
    threads.append(sum(thread.name.startswith("training ") for thread in threading.enumerate()))
print(f"training threads after the first press: {threads[0]}, after the second: {threads[1]}")
resumed = await trainer.finished()
print("epochs in the log:", [line["epoch"] for line in resumed.epochs])
assert [line["epoch"] for line in resumed.epochs] == [1, 2, 3, 4]
print(f"{trainer.state}: {len(resumed.step_error)} updates made after Resume, {trainer.progress.step} in all")
alone = training.train(trainer.spec, small, dataset, deterministic=True, progress=None)
pairs = zip(resumed.model.get_weights(), alone.model.get_weights(), strict=True)
same = all(np.array_equal(one, other) for one, other in pairs)
print("the same weights, bit for bit:", same)
assert same or any(device != "CPU" for device, _ in backend.devices())
assert threads[0] == threads[1] > 0
assert len(resumed.step_error) < 150 <= trainer.progress.step == 200

# %% [markdown]
# The second press does nothing while the first one's training runs: there is no further thread, and no epoch twice.
# As in lesson 09, the net that was stopped and resumed and the one that was left alone have the same weights, to
# the last bit. What the page shows of the run:

# %% tags=["nbval-ignore-output"]
assert len(trainer.progress.epochs) == 4
widgets.epoch_table(trainer.progress.epochs)

# %%
fig, ax = plots.figure()
progress = trainer.progress
plots.training_progress(ax, progress.epochs, progress.step_error, progress.first_step, small.steps)
ax.autoscale(axis="y")
plots.show(fig, "Error against updates of the run that was stopped and resumed.", dataset.title)

# %% [markdown]
# **Figure.** Of the run that was stopped, the epochs' means (dashed) and the validation errors (marks) go back to
# its beginning. Update by update (solid) only what followed the resume is known; a mean of ten begins at update
# 110.
#
# ### When it goes wrong
#
# A training can fail: the loss is no longer a number, the disk is full, another kernel trains in the folder. An
# exception in a thread has nobody to catch it.
#
# **Predict.** We set the learning rate to a million. What will `trainer.state` be, and where will you read what
# happened?

# %% tags=["nbval-ignore-output"]
trainer.recipe = dataclasses.replace(small, name="absurd", learning_rate=1e6)
trainer.train()
try:
    await trainer.finished()
except training.Diverged as error:
    print(f"{trainer.state}: {str(error).split('.')[0]}")
assert trainer.state == "failed"

# %% [markdown]
# The thread hands its exception over; the widget shows it as a sentence and `finished()` raises it. On the page you
# read the sentence; in a program you cannot overlook it. An interrupt is heard too: *Interrupt the kernel* stops
# the training that a page has started, as *Stop* does.
#
# Back to the recipe before: its run is still in its folder, and the widget finds it.

# %%
trainer.recipe = small
print(trainer.state)
folder.cleanup()

# %% [markdown]
# ## 5 Go further
#
# - *10 minutes.* ResNet-20 with shortcut A by `minute`, three seeds, on the page. By how much do their test errors
#   differ? Take their standard deviation: how many seeds of A and of B does `seeds_needed` of lesson 09 ask for, to
#   see 0.3 points?
# - *20 minutes.* Train by a recipe of your own: `widgets.LiveTrainer(dataset, resnet_20,
#   dataclasses.replace(recipes.get("minute"), name="mine", learning_rate=0.1))`. Why does it need a name of its
#   own?
# - *Half an hour on two cores.* ResNet-20 by `short`, started on the page. Compare its curve with the recorded one,
#   if one ships for your data.
#
# ## 6 Summary
#
# - Of the network's controls only the number of units costs much; shortcuts cost up to 6%, the version costs
#   nothing *(computed)*.
# - Four nets at about 250 million multiply-adds lie 1.15 points apart, those with bottlenecks ahead *(computed,
#   quoted)*.
# - Eleven times the work from 110 to 1202 layers made the first version worse *(computed, quoted)*.
# - A published figure belongs to one network: version, depth, unit and shortcut *(quoted)*.
# - Stop keeps whole epochs; a resumed run ends in the weights of one that was left alone *(computed)*.
#
# This is the last lesson. What to read next is in [docs/reading.md](../docs/reading.md).
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015; *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016.
