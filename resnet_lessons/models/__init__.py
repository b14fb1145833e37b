"""Networks as keras.Models: from a ``Spec``, the CIFAR-10 nets; by their own functions, the ImageNet and MNIST nets.

Lesson 01 builds plain nets, 02 and 03 version 1, 04 the ImageNet family, 05 version 2, 06 the nets for MNIST.
"""

from .cifar_nets import build, plain, resnet_v1, resnet_v2
from .imagenet_nets import IMAGENET, imagenet, vgg19
from .mnist_nets import Bias, mnist, mnist_tutorial

__all__ = [
    "IMAGENET",
    "Bias",
    "build",
    "imagenet",
    "mnist",
    "mnist_tutorial",
    "plain",
    "resnet_v1",
    "resnet_v2",
    "vgg19",
]
