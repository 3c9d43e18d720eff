"""RECIPES: one literal table of how the papers trained, each number with its source; options override it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from segviz.training.view_range import Scales

OTHER = "other"  # data sets that a paper did not train on
DATA_TITLES: Mapping[str, str] = MappingProxyType({
    "cityscapes": "Cityscapes", "ade20k": "ADE20K", "voc": "PASCAL VOC 2012", "context": "PASCAL Context",
    OTHER: "any other data set",
})  # fmt: skip


class Sourced(NamedTuple):
    """A value of a field of `TrainOptions`, and where it comes from."""

    value: object
    source: str


@dataclass(frozen=True)
class TrainingRecipe:
    """How a paper trained.

    Attributes:
        name: the name on the command line.
        title: the paper.
        settings: fields of `TrainOptions`; those that are missing keep their defaults.
        by_data: fields that depend on the data set: its layout, or `OTHER`.
        notes: what the paper does not give, or says otherwise than its code, in sentences.
        start: the initial weights, which are not taken by themselves: `--init` has to be typed.
        network: options of the network that depend on the data set, for networks that have them.
    """

    name: str
    title: str
    settings: Mapping[str, Sourced]
    by_data: Mapping[str, Mapping[str, Sourced]]
    notes: tuple[str, ...] = ()
    start: Sourced | None = None
    network: Mapping[str, Mapping[str, Sourced]] = field(default_factory=lambda: MappingProxyType({}))

    def resolve(self, layout: str | None) -> dict[str, Sourced]:
        """All fields for a data set, by its layout."""
        return {**self.settings, **self.by_data.get(self.choose(layout), {})}

    def resolve_network_options(self, layout: str | None) -> Mapping[str, Sourced]:
        """Options of the network for a data set, by its layout."""
        return self.network.get(self.choose(layout), {})

    def choose(self, layout: str | None) -> str:
        """Which row of `by_data` holds for a layout."""
        return layout if layout in self.by_data and layout is not None else OTHER


RANGE = Scales((0.5, 2.0), between=True)
FIVE = Scales((0.75, 1.0, 1.5, 1.75, 2.0), between=False)
UNNAMED = "the paper names none"
# What the papers do not speak of is left out: what segviz adds to its own models' training is not theirs.
NOT_OF_PAPERS: Mapping[str, Sourced] = MappingProxyType({
    "optimizer": Sourced("sgd", "the paper"),
    "warm_up": Sourced(0.0, UNNAMED),
    "clip": Sourced(0.0, UNNAMED),
    "part_rates": Sourced(False, "one rate: the paper names no other"),
    "scenes": Sourced(0, "segviz's own"),
    "balance": Sourced(0.0, UNNAMED),
    "own_scale": Sourced(0.0, UNNAMED),
    "mirror": Sourced(True, "the paper"),
    "class_weights": Sourced(False, UNNAMED),
    "hard_share": Sourced(1.0, UNNAMED),
    "auxiliary_stride": Sourced(1, "all labels"),
    "average": Sourced(0.0, UNNAMED),
    "validate": Sourced(0, "at the end only"),
})  # fmt: skip

FLA_TEXT, ATTA_TEXT = "Implementation Details", "Training Settings"
PSA_TEXT, SSA_TEXT = "section 4.1", "section 4"
PSA_CODE = "not in the paper; the authors' PyTorch code"
FLA_OTHERS = f"{FLA_TEXT}: data sets other than Cityscapes"
FROM_PSA = "not in the paper; as in PSANet's section 4.1"

FLANET_RECIPE = TrainingRecipe(
    "flanet", "FLANet, AAAI 2022",
    MappingProxyType({
        **NOT_OF_PAPERS,
        "optimizer": Sourced("sgd", f"{FLA_TEXT}: momentum; it does not name the optimizer"),
        "rate": Sourced(1e-2, FLA_TEXT), "momentum": Sourced(0.9, FLA_TEXT), "power": Sourced(0.9, FLA_TEXT),
        "weight_decay": Sourced(5e-4, FLA_TEXT), "batch": Sourced(8, FLA_TEXT), "epochs": Sourced(240, FLA_TEXT),
        "crop": Sourced((520, 520), FLA_OTHERS),
        "scales": Sourced(RANGE, FLA_TEXT),
        "colours": Sourced("common", f"{FLA_TEXT}: common color jittering; no amounts, half here"),
        "auxiliary": Sourced({}, "the text names none; the code has two heads"),
    }),
    MappingProxyType({
        "cityscapes": {"crop": Sourced((768, 768), FLA_TEXT)},
        "ade20k": {"crop": Sourced((520, 520), FLA_OTHERS)},
        "voc": {"crop": Sourced((520, 520), FLA_OTHERS)},
    }),
    (
        "BatchNorm is synchronised over GPUs in the paper; so it is here, in several processes.",
        "The authors' code has two auxiliary heads that the text does not mention, on ResNet's stages 3 and 4, and no "
        "weights for them: --auxiliary eighth=W middle=W.",
    ),
    Sourced("imagenet", FLA_TEXT),
)  # fmt: skip

ATTANET_RECIPE = TrainingRecipe(
    "attanet", "AttaNet, AAAI 2021",
    MappingProxyType({
        **NOT_OF_PAPERS,
        "optimizer": Sourced("sgd", f"{ATTA_TEXT}: standard SGD"),
        "rate": Sourced(1e-2, ATTA_TEXT), "momentum": Sourced(0.9, ATTA_TEXT), "power": Sourced(0.9, ATTA_TEXT),
        "weight_decay": Sourced(5e-4, ATTA_TEXT),
        "batch": Sourced(32, f"{ATTA_TEXT}: ADE20K"), "steps": Sourced(250_000, f"{ATTA_TEXT}: ADE20K"),
        "crop": Sourced((512, 512), f"{ATTA_TEXT}: ADE20K"),
        "scales": Sourced(FIVE, ATTA_TEXT),
        "colours": Sourced("common", f"{ATTA_TEXT}: random color jittering; no amounts, half as in the code"),
        "auxiliary": Sourced({"eighth": 1.0, "reduced": 1.0}, "Network Architecture: res3 and AFM, lambda 1, K 2"),
        "auxiliary_width": Sourced(64, "not in the paper; the authors' code"),
    }),
    MappingProxyType({
        "cityscapes": {
            "batch": Sourced(16, ATTA_TEXT), "steps": Sourced(200_000, ATTA_TEXT),
            "crop": Sourced((1024, 1024), ATTA_TEXT),
        },
        "ade20k": {
            "batch": Sourced(32, ATTA_TEXT), "steps": Sourced(250_000, ATTA_TEXT),
            "crop": Sourced((512, 512), ATTA_TEXT),
        },
    }),
    (
        "All losses are cross-entropy, says the text; the code takes OHEM at 0.7 for all three: --ohem 0.7.",
        "The code supervises AFM's coarse level, weighted by its gate, at 1/16; the text, and segviz, AFM's output.",
        "The code adds the scale 1.25, a rotation and 1000 steps of warm-up, which the text does not have.",
        "The text does not speak of synchronised BatchNorm; in several processes segviz always synchronises it.",
    ),
    Sourced("imagenet", "Robustness on different backbones: ResNet and ShuffleNetV2 alone"),
)  # fmt: skip

SSANET_RECIPE = TrainingRecipe(
    "ssanet", "SSANet, arXiv 2109.01915",
    MappingProxyType({
        **NOT_OF_PAPERS,
        "optimizer": Sourced("sgd", SSA_TEXT),
        "rate": Sourced(5e-3, SSA_TEXT), "momentum": Sourced(0.9, SSA_TEXT), "power": Sourced(0.9, SSA_TEXT),
        "weight_decay": Sourced(1e-4, SSA_TEXT),
        "batch": Sourced(16, FROM_PSA), "steps": Sourced(30_000, FROM_PSA + " for PASCAL VOC 2012"),
        "crop": Sourced((480, 480), f"{SSA_TEXT}: PASCAL Context"),
        "scales": Sourced(RANGE, f"{SSA_TEXT}: random scaling, without a range; 0.5 to 2 as in PSANet and FLANet"),
        "colours": Sourced("none", UNNAMED),
        "auxiliary": Sourced({}, UNNAMED),
    }),
    MappingProxyType({
        "cityscapes": {
            "crop": Sourced((769, 769), "not in the paper; footnote 1 has 49 x 49 cells, which are 769 at stride 16"),
            "steps": Sourced(90_000, FROM_PSA + " for Cityscapes"),
        },
        "ade20k": {
            "crop": Sourced((520, 520), SSA_TEXT), "steps": Sourced(150_000, FROM_PSA + " for ADE20K"),
        },
        "context": {
            "crop": Sourced((480, 480), SSA_TEXT),
            "steps": Sourced(30_000, FROM_PSA + " for PASCAL VOC 2012, which has the same pictures"),
        },
    }),
    (
        "The paper gives no batch, no length and no range of scales.",
        "K is 81 on Cityscapes, and 49 where crops are smaller; train sets it unless --option points gives another.",
    ),
    Sourced("imagenet", SSA_TEXT),
    MappingProxyType({
        "cityscapes": {"points": Sourced(81, "footnote 1")},
        "ade20k": {"points": Sourced(49, f"{SSA_TEXT}: for the smaller crops")},
        "context": {"points": Sourced(49, f"{SSA_TEXT}: for the smaller crops")},
        OTHER: {"points": Sourced(49, "as for PASCAL Context, whose crops these are")},
    }),
)  # fmt: skip

TURNED = MappingProxyType({
    "rotation": Sourced(10.0, PSA_TEXT),
    "blur": Sourced(0.5, f"{PSA_TEXT}: random Gaussian blur, without a share; half as in the code"),
})  # fmt: skip
PSANET_RECIPE = TrainingRecipe(
    "psanet", "PSANet, ECCV 2018",
    MappingProxyType({
        **NOT_OF_PAPERS,
        "optimizer": Sourced("sgd", f"{PSA_TEXT}: momentum; it does not name the optimizer"),
        "rate": Sourced(1e-2, PSA_TEXT), "momentum": Sourced(0.9, PSA_TEXT), "power": Sourced(0.9, PSA_TEXT),
        "weight_decay": Sourced(1e-4, PSA_TEXT), "batch": Sourced(16, PSA_TEXT),
        "steps": Sourced(30_000, f"{PSA_TEXT}: PASCAL VOC 2012"),
        "crop": Sourced((465, 465), PSA_CODE),
        "scales": Sourced(RANGE, PSA_TEXT),
        "colours": Sourced("none", UNNAMED),
        **TURNED,
        "auxiliary": Sourced({"middle": 0.4}, "section 3.4: on one stage, without a weight; both as in the code"),
        "auxiliary_width": Sourced(256, PSA_CODE),
    }),
    MappingProxyType({
        "ade20k": {"steps": Sourced(150_000, PSA_TEXT)},
        "voc": {"steps": Sourced(30_000, PSA_TEXT)},
        "cityscapes": {
            "steps": Sourced(90_000, PSA_TEXT), "crop": Sourced((705, 705), PSA_CODE),
            "rotation": Sourced(0.0, f"{PSA_TEXT}: ADE20K and PASCAL VOC 2012 only"),
            "blur": Sourced(0.0, f"{PSA_TEXT}: ADE20K and PASCAL VOC 2012 only"),
        },
    }),
    (
        "BatchNorm is synchronised in the paper; so it is here, in several processes.",
        "The authors' PyTorch code rotates and blurs Cityscapes, too; the text does not.",
        "PSA's masks cover the crop where --option mask gives no others: 89 x 89 cells at 705, 59 x 59 at 465.",
        "For the test server of PASCAL VOC 2012 the paper trains on MS-COCO first (section 4.3): --init FILE.",
    ),
    Sourced("imagenet", PSA_CODE),
)  # fmt: skip

OWN_RECIPE = TrainingRecipe(
    "segviz", "the bundled models' recipe (docs/training.md)", MappingProxyType({}), MappingProxyType({})
)
RECIPES: Mapping[str, TrainingRecipe] = MappingProxyType({
    row.name: row for row in (OWN_RECIPE, FLANET_RECIPE, ATTANET_RECIPE, SSANET_RECIPE, PSANET_RECIPE)
})  # fmt: skip


def recipe_values(name: str, layout: str | None) -> dict[str, object]:
    """The fields of `TrainOptions` that a recipe sets for a data set.

    Raises:
        KeyError: there is no such recipe.
    """
    if name not in RECIPES:
        raise KeyError(f"recipe '{name}' is unknown; the recipes are {', '.join(RECIPES)}")
    return {field: setting.value for field, setting in RECIPES[name].resolve(layout).items()}


def format_setting(value: object) -> str:
    """A value as it is typed after its option."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={format_setting(one)}" for name, one in value.items()) or "none"
    if isinstance(value, tuple) and not isinstance(value, Scales):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
