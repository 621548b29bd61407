"""The residual networks that Wav2CLIP and AudioCLIP hear with, under torchvision's names.

Ours because nothing that the project has offers them: transformers' ResNet has no grouped convolutions, and timm needs
torchvision, whose presence changes how transformers prepares pictures.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size, but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions around a shortcut: (B, inputs, H, W) -> (B, width, H / stride, W / stride)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        out = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(out)) + self.downsample(x)).relu()


class Bottleneck(nn.Module):
    """ResNeXt's block, 32 groups of 4 channels at width 64: (B, inputs, H, W) -> (B, 4 * width, H', W')."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        inner, outputs = 2 * width, 4 * width
        self.conv1, self.bn1 = conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv(inner, inner, 3, stride, groups=32), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        return (self.bn3(self.conv3(out)) + self.downsample(x)).relu()


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The block's input in its output's shape."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def stage(block: type[Basic] | type[Bottleneck], inputs: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """`depth` blocks; the first one strides."""
    outputs = width * (4 if block is Bottleneck else 1)
    rest = [block(outputs, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(block(inputs, width, stride), *rest)


class ResNet(nn.Module):
    """Stem and four stages, without pool and classifier."""

    def __init__(self, block: type[Basic] | type[Bottleneck], depths: tuple[int, int, int, int], channels: int) -> None:
        super().__init__()
        grow = 4 if block is Bottleneck else 1
        self.conv1, self.bn1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = stage(block, 64, 64, depths[0], 1)
        self.layer2 = stage(block, 64 * grow, 128, depths[1], 2)
        self.layer3 = stage(block, 128 * grow, 256, depths[2], 2)
        self.layer4 = stage(block, 256 * grow, 512, depths[3], 2)

    def stem(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, 64, H / 4, W / 4)."""
        return self.maxpool(self.bn1(self.conv1(x)).relu())

    def stages(self) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
        """The four of them, in order."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, 512 or 2048), the mean over the last stage's places."""
        x = self.stem(x)
        for one in self.stages():
            x = one(x)
        return x.mean((2, 3))
