"""The contender that runs on PyTorch: ResNet v1 with shortcut A (He et al. 2015, Sec. 4.2), channels-last.

Its images lie in memory as normalized float32 tensors and are not augmented, so it has less to do than the others.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """A basic block; where the dimensions change, the shortcut drops pixels and appends channels of zeros."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.padding = stride, filters - channels

    def forward(self, x):
        """Map (B, C, H, W) to (B, filters, ceil(H/stride), ceil(W/stride))."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.stride > 1 or self.padding:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.padding))
        return F.relu(y + x, inplace=True)


def build(depth, width, classes=10):
    """Return ResNet v1 of ``depth`` 6n+2 layers, from (B, 3, 32, 32) to logits (B, classes)."""
    stem = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    blocks, channels = [], width
    for stage in range(3):
        for block in range((depth - 2) // 6):
            filters = width * 2**stage
            blocks.append(Block(channels, filters, stride=2 if stage and not block else 1))
            channels = filters
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def train(contender, settings, turns):
    """Train by stochastic gradient descent with momentum, in float32 or with bfloat16 autocast."""
    turns.facts.update(precision=contender.precision, versions={"torch": torch.__version__})
    torch.manual_seed(0)
    images, labels = settings.arrays(contender.batch_size)
    x = torch.tensor(images, dtype=torch.float32) / 255  # (N, H, W, C): permuted, a batch of it is channels-last
    x -= x.mean(dim=0)
    y = torch.tensor(labels)
    model = build(settings.depth, settings.width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    while True:
        for chosen in torch.randperm(len(x)).split(contender.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=contender.precision == "bfloat16"):
                loss = F.cross_entropy(model(x[chosen].permute(0, 3, 1, 2)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            turns.tick()
