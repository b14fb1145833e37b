"""What a network is, before it is built: family, depth and the choices the two ResNet papers compare.

Sources: He et al. 2015 (arXiv 1512.03385) Sec. 4.2 for the CIFAR-10 nets of 6n+2 layers, 4.1 for the shortcuts A, B, C;
He et al. 2016 (arXiv 1603.05027) Tables 1 and 2 for the shortcut variants and the activation orders, and its appendix
for bottleneck nets of 9n+2 layers. Every lesson uses it; lesson 03 explains the numbers.
"""

import dataclasses
import operator

FAMILIES = ("plain", "v1", "v2")
BLOCKS = ("basic", "bottleneck")
SHORTCUTS = ("A", "B", "C")
STYLES = ("paper", "keras-example")
SKIPS = ("identity", "constant-scaling", "exclusive-gating", "shortcut-gating", "conv", "dropout")
ORDERS = ("original", "bn-after-add", "relu-before-add", "relu-pre", "full-pre")
CHOICES = {"block": BLOCKS, "shortcut": SHORTCUTS, "style": STYLES, "skip": SKIPS, "order": ORDERS}  # fields of Spec

STAGES = 3  # feature maps of size 32, 16 and 8 for a 32x32 image
EXPANSION = {"basic": 1, "bottleneck": 4}  # a unit's output channels over its inner width
LAYERS_PER_N = {"basic": 6, "bottleneck": 9}  # weighted layers that one more unit in each of three stages adds


@dataclasses.dataclass(frozen=True)
class Spec:
    """Describe one network for images of size 32x32 or so.

    Args:
        family: "plain", "v1" or "v2".
        depth: weighted layers on the longest path, 6n+2 (basic) or 9n+2 (bottleneck).
        block: "basic" (3x3, 3x3) or "bottleneck" (1x1, 3x3, 1x1). None: basic for plain and v1, bottleneck for v2.
        shortcut: where the dimensions change, "A" pads with zero channels, "B" projects by a 1x1 convolution; "C"
            projects in every unit. None: A for basic, B for bottleneck. A plain net has none.
        style: "paper", or "keras-example" for the networks of that well-known script, which differ from the papers'.
        skip: what happens on the shortcut (He 2016, Table 1).
        order: where normalisation and activation stand (He 2016, Table 2). None: "original", for v2 "full-pre".
        width: channels of the first stage's inner convolutions; doubled from stage to stage.
        input_shape: (height, width, channels).
        num_classes: length of the output vector.

    Raises:
        ValueError: for a value or combination that no such network has.
    """

    family: str
    depth: int
    _: dataclasses.KW_ONLY
    block: str | None = None
    shortcut: str | None = None
    style: str = "paper"
    skip: str = "identity"
    order: str | None = None
    width: int = 16
    input_shape: tuple[int, int, int] = (32, 32, 3)
    num_classes: int = 10

    def __post_init__(self):
        _one_of("family", self.family, FAMILIES)
        _one_of("style", self.style, STYLES)
        self._fill("block", _block_or_default(self.family, self.block))
        self._fill("depth", depth_for(self.family, blocks_for(self.family, self.depth, self.block), self.block))
        if self.shortcut is None:
            self._fill("shortcut", self._default_shortcut())
        if self.order is None:
            self._fill("order", _default_order(self.family))
        if self.shortcut is not None:
            _one_of("shortcut", self.shortcut, SHORTCUTS)
        _one_of("skip", self.skip, SKIPS)
        _one_of("order", self.order, ORDERS)
        self._fill("width", at_least("width", self.width, 1))
        self._fill("num_classes", at_least("num_classes", self.num_classes, 2))
        self._fill("input_shape", image_shape(self.input_shape))
        self._refuse_contradictions()

    def _fill(self, field, value):
        object.__setattr__(self, field, value)  # the dataclass is frozen; only __post_init__ may do this

    def _default_shortcut(self):
        if self.family == "plain":
            return None
        return "B" if self.block == "bottleneck" or self.style == "keras-example" else "A"

    def _refuse_contradictions(self):
        if self.family == "plain" and (self.shortcut, self.skip, self.order) != (None, "identity", "original"):
            raise ValueError(
                "A plain net has no shortcuts, so it takes no shortcut, skip or order. "
                f"Received: shortcut={self.shortcut!r}, skip={self.skip!r}, order={self.order!r}. "
                'Leave them out, or choose family="v1" or "v2".'
            )
        if self.style == "keras-example":
            self._refuse_what_the_keras_example_lacks()

    def _refuse_what_the_keras_example_lacks(self):
        has = {
            "v1": ("basic", "B", "identity", "original"),
            "v2": ("bottleneck", "B", "identity", "full-pre"),
        }.get(self.family)
        wants = (self.block, self.shortcut, self.skip, self.order)
        if wants != has:
            allowed = 'v1 with basic blocks or v2 with bottlenecks, shortcut "B", skip "identity", the default order'
            raise ValueError(
                f'style="keras-example" has {allowed} only. Received: family={self.family!r}, block={self.block!r}, '
                f'shortcut={self.shortcut!r}, skip={self.skip!r}, order={self.order!r}. Use style="paper" for others.'
            )
        if min(self.input_shape[:2]) < 32:
            raise ValueError(
                'style="keras-example" ends in an 8x8 average pooling, so images must be at least 32x32. '
                f'Received: input_shape={self.input_shape}. Use style="paper" for smaller images.'
            )

    @property
    def n(self):
        """Residual units (or plain pairs) in each of the three stages."""
        return blocks_for(self.family, self.depth, self.block)

    @property
    def inner_widths(self):
        """Channels inside the units, stage by stage: 16, 32, 64 in the papers."""
        if self.style == "keras-example" and self.family == "v2":
            return tuple(factor * self.width for factor in (1, 4, 8))  # 16, 64, 128: not the paper's
        return tuple(self.width * 2**stage for stage in range(STAGES))

    @property
    def outer_widths(self):
        """Channels of the stages' outputs: 16, 32, 64 for basic units, 64, 128, 256 for bottlenecks."""
        if self.style == "keras-example" and self.family == "v2":
            return tuple(factor * self.width for factor in (4, 8, 16))
        return tuple(width * EXPANSION[self.block] for width in self.inner_widths)

    @property
    def name(self):
        """A short name that tells two different networks apart, such as "v1-56" or "v2-110-basic"."""
        usual = {
            "style": "paper",
            "block": _block_or_default(self.family, None),
            "shortcut": self._default_shortcut(),
            "skip": "identity",
            "order": _default_order(self.family),
        }
        parts = [self.family, str(self.depth)]
        parts += [getattr(self, field) for field, value in usual.items() if getattr(self, field) != value]
        parts += [f"w{self.width}"] if self.width != 16 else []
        parts += ["x".join(map(str, self.input_shape))] if self.input_shape != (32, 32, 3) else []
        parts += [f"{self.num_classes}classes"] if self.num_classes != 10 else []
        return "-".join(parts)

    def to_json(self):
        """Return a dict of plain values that ``Spec(**...)`` turns back into this spec."""
        return dataclasses.asdict(self) | {"input_shape": list(self.input_shape)}


def depth_for(version, n, block=None):
    """Return the depth of the net with ``n`` units in each stage: 6n+2 for basic blocks, 9n+2 for bottlenecks.

    Args:
        version: "plain", "v1" or "v2"; the numbers 1 and 2 stand for "v1" and "v2".
        n: units in each of the three stages, at least 1.
        block: "basic" or "bottleneck"; None for the family's own.

    Raises:
        ValueError: for an unknown version or block, or an n that is not a whole number of at least 1.
    """
    family = _family(version)
    block = _block_or_default(family, block)
    return LAYERS_PER_N[block] * at_least("n", n, 1, _allowed_depths(family, block)) + 2


def blocks_for(version, depth, block=None):
    """Return n, the units in each stage, of the net with ``depth`` layers: the inverse of ``depth_for``.

    Args:
        version: as in ``depth_for``.
        depth: weighted layers.
        block: as in ``depth_for``.

    Raises:
        ValueError: for a depth that the family does not have; the message names the nearest that it has.
    """
    family = _family(version)
    block = _block_or_default(family, block)
    depth, step = _integer("depth", depth, _allowed_depths(family, block)), LAYERS_PER_N[block]
    n, remainder = divmod(depth - 2, step)
    if n < 1 or remainder:
        nearest = max(1, (depth - 2 + step // 2) // step)
        raise ValueError(
            f"{_allowed_depths(family, block)} Received: depth={depth}. "
            f"The nearest such depth is {step * nearest + 2} (n={nearest})."
        )
    return n


def sized(family, n=None, depth=None, **choices):
    """Return a ``Spec`` by its size in units a stage or in layers.

    Args:
        family: "plain", "v1" or "v2".
        n: residual units in each stage.
        depth: weighted layers.
        **choices: fields of ``Spec``; None for the usual ones.

    Raises:
        ValueError: unless exactly one of ``n`` and ``depth`` is given, and for what no such network has.
    """
    choices = {field: value for field, value in choices.items() if value is not None}
    block = choices.get("block")
    if (n is None) == (depth is None):
        layers = depth_for(family, 1, block) - 2
        received = "neither" if n is None else f"n={n} and depth={depth}"
        raise ValueError(
            f"Give the size of the network once: n, such as 3, or depth, such as {3 * layers + 2}; "
            f"a {family} net of n units a stage has {layers}n+2 layers here. Received: {received}."
        )
    return Spec(family, depth_for(family, n, block) if depth is None else depth, **choices)


def _allowed_depths(family, block):
    step = LAYERS_PER_N[block]
    first = ", ".join(str(step * n + 2) for n in (1, 2, 3))
    return f"A {family} net of {block} blocks has {step}n+2 layers, n = 1, 2, 3, ...: {first}, ..."


def _family(version):
    aliases = {1: "v1", 2: "v2"}
    if not isinstance(version, bool) and isinstance(version, int) and version in aliases:
        return aliases[version]
    if not isinstance(version, str) or version not in FAMILIES:
        raise ValueError(f"version must be 'plain', 'v1', 'v2', or 1 or 2 for short. Received: {version!r}.")
    return version


def _default_order(family):
    return "full-pre" if family == "v2" else "original"


def _block_or_default(family, block):
    if block is None:
        return "bottleneck" if family == "v2" else "basic"
    _one_of("block", block, BLOCKS)
    return block


def _one_of(what, value, allowed):
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}. Received: {value!r}.")


def _integer(what, value, hint=""):
    """Accept whole numbers of any integer type (NumPy's too), but neither True nor 3.0 nor "3"."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        message = f"{what} must be a whole number. Received: {value!r} ({type(value).__name__}). {hint}"
        raise ValueError(message.rstrip()) from None


def at_least(what, value, minimum, hint=""):
    """Return ``value`` as an int, or raise a ValueError that says what it must be."""
    value = _integer(what, value, hint)
    if value < minimum:
        raise ValueError(f"{what} must be at least {minimum}. Received: {value}. {hint}".rstrip())
    return value


def image_shape(shape):
    """Return (height, width, channels) as a tuple of ints, or raise a ValueError that says what it must be."""
    try:
        height, width, channels = shape
    except (TypeError, ValueError):
        raise ValueError(f"input_shape must be (height, width, channels). Received: {shape!r}.") from None
    sides = at_least("input_shape height", height, 4), at_least("input_shape width", width, 4)
    return (*sides, at_least("input_shape channels", channels, 1))
