"""A small lesson that holds one of everything the rules speak of, and where the project lies."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL_LESSON = """\
# %% [markdown]
# # A small lesson

# %%
import math

print(math.factorial(5))

# %% tags=["nbval-ignore-output"]
import time

start = time.perf_counter()
print(time.perf_counter() - start)

# %%
assert time.perf_counter() >= start
"".join(["ab", "c"])

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(1, 1))
axes.plot([1, 2])
plt.close(figure)
display(figure, metadata={"image/png": {"alt": "A line that rises from one to two."}})

# %% [markdown]
# **Figure.** A line that rises from one to two.

# %%
import ipywidgets

ipywidgets.IntSlider(3)
"""
