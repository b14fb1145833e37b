"""Answers as learners may give them: the same function in several guises."""

import functools

import numpy as np


def written(text, name):
    """Return a function from text that no file holds: a check that reads source finds none."""
    space = {"np": np}
    exec(text, space)
    return space[name]


class Called:
    """A callable object that is no function and has no name of its own."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)


def disguised(function):
    """Give the same answers by a lambda, a partial, an object, and a function that is named otherwise."""

    def diagnose_plain_kernel_depth(*arguments):
        return function(*arguments)

    return [
        lambda *arguments: function(*arguments),
        functools.partial(lambda _, *arguments: function(*arguments), "another argument"),
        Called(function),
        diagnose_plain_kernel_depth,
    ]
