"""Networks as keras.Models: from a ``Spec``, the CIFAR-10 nets; by their own functions, the ImageNet family.

Lesson 01 builds plain nets, 02 and 03 version 1, 04 the ImageNet family, 05 version 2.
"""

from .cifar_nets import build, plain, resnet_v1, resnet_v2
from .imagenet_nets import IMAGENET, imagenet, vgg19

__all__ = ["IMAGENET", "build", "imagenet", "plain", "resnet_v1", "resnet_v2", "vgg19"]
