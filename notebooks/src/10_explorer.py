# %% [markdown]
# # 10 Explorer
#
# *30 minutes to read and run, 45 more for the exercises. All the training takes about 20 seconds on two cores, in fast
# mode and in full mode.*
#
# Which network would you train, by which recipe, and what does it cost you? This lesson is one page on which you
# choose both, see what is known of them, and train. You will
#
# - use the page: choose, predict, train, stop, resume;
# - find out which of its controls cost much and which cost little;
# - compare published errors by what the networks cost, and name the network behind each figure;
# - look at what happens behind its buttons.
#
# You should have read lessons 03 and 05; the page uses what they explain. Every number is *computed* in a cell above
# it, *recorded* from a run that ships with the package, or *quoted* from a paper, and the text says which.
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
# Now the page. All controls work by keyboard: <kbd>Tab</kbd> goes from one to the next, the arrow keys change a value,
# and the space bar presses a button.
#
# **Predict.** ResNet-20 by the recipe `minute`, 56 updates of 64 images: which test error will it reach, in percent?
# Guessing is at 90%. Write it down, then press *Train*.

# %%
from resnet_lessons import widgets

explorer = widgets.Explorer(dataset, folder="../runs/explorer")
explorer

# %% [markdown]
# What the parts say:
#
# - **Network.** Version, unit, units a stage and shortcut name one network. Parameters and multiply-adds are
#   *computed* from that name. The error in the last column is *quoted*, and only if it was published for exactly this
#   network. *Time it here* makes a few updates and says how long each recipe would take on this machine.
# - **Recipe.** How it is trained. The slider reads the learning rate of any update off the schedule.
# - **Recorded runs.** Trainings of this network that ship with the package, on the data that the table names.
# - **Training.** *Train* begins a run, *Stop* ends it after the update under way, *Resume* continues it. The line is
#   the error on the training images, update by update; the marks are the validation error, epoch by epoch.
#
# No cell is running while the net trains, so you can go on reading and running cells. (While a cell does run, the
# curve waits for it; the training does not.) The run is a folder below `runs/explorer`. Close this tab, restart the
# kernel, come back tomorrow: choose the same network, recipe and seed, and the page finds the run. The page also runs
# on its own, without a notebook: `make app`, or `python notebooks/app.py`.
#
# The page of the stored notebook does not move. What it would show for some networks, as a table:

# %%
from resnet_lessons.specs import Spec

resnet_20, resnet_56 = Spec("v1", 20), Spec("v1", 56)
widgets.model_table([resnet_20, resnet_56, Spec("v1", 56, shortcut="B"), Spec("v2", 164), Spec("plain", 56)])

# %% [markdown]
# A schedule as a table, that of the first paper for nets of 110 layers or more:

# %%
from resnet_lessons import recipes

deep = recipes.get("he2015", depth=110)
widgets.schedule_table(deep)

# %% [markdown]
# The same schedule beside two others, each over its own length:

# %%
from resnet_lessons import plots

fig, ax = plots.figure(width=8.5, height=2.6)
plots.learning_rates(ax, [deep, recipes.get("fast-accuracy"), recipes.get("keras-example")])
plots.show(fig, "Learning rate against the part of the updates made, for three recipes.")

# %% [markdown]
# **Figure.** The paper's recipe starts a deep net low and then takes two steps down (solid); `fast-accuracy` goes up
# and down once in straight lines (dashed); the Keras example's, for another optimizer, has four late steps (dotted and
# dashed).
#
# And the recorded runs of ResNet-20:

# %% tags=["nbval-ignore-output"]
from IPython.display import HTML

table = widgets.recorded_table(resnet_20)
assert "v1-20" in table or "recorded: test error" in table
HTML(table)

# %% [markdown]
# ## 2 What a control costs
#
# The page changes one thing at a time. So we can ask of each control what it does to the size of a network and to its
# work for one image.
#
# **Predict.** Start from ResNet-56. Four changes: to shortcut B, to shortcut C, to bottlenecks with the nearest depth
# (83 layers, n = 9), to twice the units (110 layers). Which of them add more than a tenth to the parameters? Which to
# the multiply-adds?

# %%
from resnet_lessons import accounting

changes = {
    "shortcut B": Spec("v1", 56, shortcut="B"),
    "shortcut C": Spec("v1", 56, shortcut="C"),
    "bottlenecks": Spec("v1", 83, block="bottleneck"),
    "version 2": Spec("v2", 56, block="basic"),
    "n = 18": Spec("v1", 110),
}
before = accounting.count(resnet_56)
for change, spec in changes.items():
    after = accounting.count(spec)
    size, work = (getattr(after, field) / getattr(before, field) - 1 for field in ("parameters", "multiply_adds"))
    print(f"{change:12} {spec.name:19} parameters {100 * size:+6.1f}%  multiply-adds {100 * work:+6.1f}%")

# %% [markdown]
# Only the depth costs: twice the units are twice the work. Shortcut C adds 5.6% of parameters, B adds 0.3%, and the
# other version nothing at all. The bottleneck net of 83 layers has about the size and the work of the basic net of 56:
# that is what a bottleneck is for (lesson 04). So most of what the two papers compare is compared at equal cost, and
# a difference in error between two versions is not bought by size.
#
# **Exercise 1** (10 minutes). You may spend a given number of multiply-adds for one image. How deep can the net be?
# Return the largest n whose v1 net of basic units, shortcut A, stays within the budget. You may count with
# `accounting.count`.

# %%
from resnet_lessons import checks


def largest_n(budget):
    """Return the largest n whose net of 6n+2 layers needs at most so many multiply-adds."""
    return ...


checks.largest_n(largest_n)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `accounting.count(Spec("v1", 6 * n + 2)).multiply_adds` grows by the same number with each n. Count up until the next
# net would be too large. A net that needs exactly the budget is within it.
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
# **Predict.** ResNet-20 makes 3.3 times the multiply-adds of ResNet-8. Does one of its updates take 3.3 times as long,
# or more, or less?

# %% tags=["nbval-ignore-output"]
from resnet_lessons import training

timings = {depth: training.time_updates(Spec("v1", depth), batch_size=64) for depth in (8, 20)}
work = [accounting.count(Spec("v1", depth)).multiply_adds for depth in timings]
times = [update for _, update in timings.values()]
print(f"multiply-adds x {work[1] / work[0]:.1f}, time of an update x {times[1] / times[0]:.1f}")
assert min(times) > 0

# %% [markdown]
# The ratio differs from machine to machine. What an update takes besides convolutions (batch norm, additions,
# reading and writing feature maps, the start of each operation) grows by its own rules. That is why the page times a
# network instead of computing its time from the multiply-adds.
#
# ## 3 What is reached for what is paid
#
# The papers' tables sort networks by depth. Here are their figures by cost. The errors are *quoted* (He et al. 2015,
# Table 6; He et al. 2016, Table 3), the multiply-adds *computed*.
#
# **Predict.** Four of the eleven nets make between 244 and 253 million multiply-adds. How far apart are the best and
# the worst of these four, in points of test error?

# %%
from resnet_lessons import results

rows = [row for row in results.PUBLISHED if row.source in (results.HE_2015, results.HE_2016_DEPTHS)]
costs = [accounting.count(row.network).multiply_adds / 1e6 for row in rows]
errors = [row.error for row in rows]
for row, cost in sorted(zip(rows, costs, strict=True), key=lambda pair: pair[1]):
    print(f"{row.network.name:20} {cost:8.1f} million multiply-adds   {row.error:.2f}%  {row.statistic}")

# %%
kinds = [("v1", "basic"), ("v1", "bottleneck"), ("v2", "basic"), ("v2", "bottleneck")]
fig, ax = plots.figure(height=3.6)
for number, kind in enumerate(kinds):
    chosen = [i for i, row in enumerate(rows) if (row.network.family, row.network.block) == kind]
    style = {"color": plots.COLOURS[number], "marker": plots.MARKERS[number], "linestyle": "none"}
    ax.plot([costs[i] for i in chosen], [errors[i] for i in chosen], label=" ".join(kind), **style)
for row, cost in zip(rows, costs, strict=True):
    ax.annotate(row.network.depth, (cost, row.error), (6, 3), textcoords="offset points", fontsize=8)
ax.set(xscale="log", xlabel="million multiply-adds for one image", ylabel="quoted test error (%)")
ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plots.show(fig, "Quoted test error against computed multiply-adds, one mark a network, its depth beside it.")

# %% [markdown]
# **Figure.** At about 250 million multiply-adds stand four nets, 1.15 points apart from v1 with basic units (top) to
# v2 with bottlenecks (bottom); the two with bottlenecks are the two better ones, and cost a little less.
#
# From 110 to 1202 layers the first version pays eleven times the work and gets worse. The second version at 1001
# layers pays six times the work of its 164 and gets better by 0.54 points. Four nets of one cost have four errors: the
# depth in a name says least of all. But the figures are not of one kind: the first paper prints one run each, and for
# 110 layers the mean of five; the second prints medians of five. The spread of those five is 0.16 points, so half a
# point is more than the seeds, and a tenth is not.
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
# </details>
#
# Call yours with the figures above: `[rows[i].network.name for i in unbeaten(costs, errors)]`. Six of the eleven are
# left.
#
# **Exercise 3** (15 minutes). The last column of the page's table is empty for most networks, because a figure belongs
# to one network. For six figures from the two papers, return that network: `Spec(family, depth)`, and `block=...` where
# it is not the usual one of its version. Table 3 of the second paper has 110, 164 and 1001 layers; only its 110 has
# basic units.


# %%
def network_of(error):
    """Return the Spec behind a test error: 6.97, 6.61, 6.37, 5.93, 5.46 or 4.92 percent."""
    return ...


checks.network_of(network_of)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The list in this section has them all. 6.61 is the first paper's mean for 110 layers, 6.37 the second version's
# median for the same units. 5.93 is the *first* version at 164 layers, as the second paper trained it.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def network_of(error):
#     return {
#         6.97: Spec("v1", 56),
#         6.61: Spec("v1", 110),
#         6.37: Spec("v2", 110, block="basic"),
#         5.93: Spec("v1", 164, block="bottleneck"),
#         5.46: Spec("v2", 164),
#         4.92: Spec("v2", 1001),
#     }[error]
# ```
#
# </details>
#
# ## 4 Behind the buttons
#
# The part of the page that trains is a widget of its own, `LiveTrainer`, and its buttons are methods. A small net and
# a small recipe: 200 updates, four epochs of 50.

# %%
import dataclasses
import tempfile

folder = tempfile.TemporaryDirectory()
small = dataclasses.replace(recipes.get("minute"), name="small", steps=200, batch_size=32, steps_per_epoch=50)
trainer = widgets.LiveTrainer(dataset, Spec("v1", 8), small, folder.name, deterministic=True)
trainer.state

# %% [markdown]
# Pressing *Train* calls `trainer.train()`, which starts a thread and returns. If it trained itself, the kernel would
# be busy, and a press of *Stop* would wait in the queue until there is nothing left to stop. Below, our cell waits
# with `await`, which lets the kernel do other things meanwhile, until 120 updates are made. Then it presses *Stop*.
#
# **Predict.** How many updates will have been made when it stands still: 120, some more, or 150? How many of them does
# the folder keep?

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
# A few more than 120: the button sets a flag, and the training looks at the flag after each update. The log has two
# lines, so the folder has the state after 100 updates. What came after is lost to the folder. It is not lost to you:
# `trainer.run.model` is the net as it was when it stopped, and can be tested or saved.
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
# *Resume* calls the same method: whoever finds a run in the folder goes on with it. We press it twice, as an impatient
# person would.
#
# **Predict.** Will two trainings run in one folder? And will the net end as one that was never stopped: with the same
# weights to the last bit, nearly, or not?

# %% tags=["nbval-ignore-output"]
import numpy as np

trainer.train()
trainer.train()
resumed = await trainer.finished()
print(f"{trainer.state}: {len(resumed.step_error)} updates made after Resume, {trainer.progress.step} in all")
alone = training.train(trainer.spec, small, dataset, deterministic=True, progress=None)
pairs = zip(resumed.model.get_weights(), alone.model.get_weights(), strict=True)
print("the same weights, bit for bit:", all(np.array_equal(one, other) for one, other in pairs))
assert len(resumed.step_error) < 150 <= trainer.progress.step == 200

# %% [markdown]
# The second press does nothing while the first one's training runs. In the stored run the resumed net and the one
# that was left alone have the same weights, to the last bit: the folder keeps weights, momentum and statistics, and
# the order of the images follows from the seed and the number of the epoch (lesson 03).

# %%
fig, ax = plots.figure()
progress = trainer.progress
plots.training_progress(ax, progress.epochs, progress.step_error, progress.first_step, small.steps)
plots.show(fig, "Error against updates of the run that was stopped and resumed.", dataset.title)

# %% [markdown]
# **Figure.** Of the run that was stopped, the epochs' means (dashed) and the validation errors (marks) go back to its
# beginning; single updates (solid) are known from update 101 on, where it was resumed.
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
# read the sentence; in a program you cannot overlook it. The same goes for an interrupt: *Interrupt the kernel* stops
# the training that a page has started, as *Stop* does.

# %%
folder.cleanup()

# %% [markdown]
# ## 5 Go further
#
# - *15 minutes.* Shortcuts A, B and C at n = 3, by `minute`, three seeds each, on the page. Does the order of the
#   means repeat that of the paper's Table 3 for ImageNet (A worst, C best)? How large is the spread of one?
# - *20 minutes.* Add your own recipe to the page: `widgets.Explorer` takes names that `recipes.get` knows. Train with
#   `widgets.LiveTrainer(dataset, spec, recipe)` and a recipe of yours, made with `dataclasses.replace`.
# - *an afternoon.* ResNet-20 by `short`, started on the page before lunch. Compare its curve with the recorded one,
#   if one ships for your data.
#
# ## 6 Summary
#
# - Of all controls only the depth costs much; shortcuts cost up to 6%, the version costs nothing (computed).
# - Four nets at about 250 million multiply-adds lie 1.15 points apart, those with bottlenecks ahead (computed, quoted).
# - Eleven times the work from 110 to 1202 layers made the first version worse (computed, quoted).
# - A published figure belongs to one network: version, depth, unit and shortcut (quoted).
# - Stop keeps whole epochs; a resumed run ends in the weights of one that was left alone (computed).
#
# This is the last lesson. What to read next is in [docs/reading.md](../docs/reading.md).
#
# **Sources.** K. He, X. Zhang, S. Ren, J. Sun, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385,
# 2015; *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027, 2016.
