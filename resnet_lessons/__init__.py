"""Deep residual networks, in code small enough to read.

The lessons in ``notebooks/`` teach from this package. Open ``specs`` first (what a network is), then ``blocks`` and
``models`` (how it is built). Importing the package itself loads neither Keras nor matplotlib.
"""

__version__ = "0.1.0"
