"""The six tables of PSANet (Zhao et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.models.options import OptionValue
from segviz.paper_tables.description import (
    NetworkChoice,
    PaperColumn,
    PaperRow,
    PaperTable,
    ScoreColumn,
    cite,
)

PSA_SCALES = "The paper names no scales for MS, and does not say whether mirrored pictures are added; ours are."
PSA_BACKBONE_UNSAID = "The paper does not name the backbone of this PSANet; ours is ResNet-101."
PSA_SCALES_UNSAID = "The paper does not say whether these scores are of one scale or of several; ours are of one."
COARSE_TOO = "train+coarse_train_extra"
FINE_LABELS, COARSE_LABELS = "fine labels", "fine and coarse labels"
# On Cityscapes PSANet was trained on crops of 705 x 705, whose shrunk grid of 45 x 45 needs masks of 89 x 89.
CITYSCAPES_MASK = (89, 89)
PSANET_ON_CITYSCAPES = NetworkChoice("psanet_r101", {"mask": CITYSCAPES_MASK})
PSPNET_101 = NetworkChoice("psanet_r101", {"block": "ppm"})
FINE_TRAIN_AND_VAL = "train+val"  # on Cityscapes: what PSANet's 80.1 was trained on, says its Table 6
PSA_ON_TRAIN_AND_VAL = "PSANet's Table 6 says that its network was trained on fine train and val; so is ours."
FourScores = tuple[float | None, ...]
NO_CRF = "DenseCRF is a step after the network, which this package does not have"


def four_scores(data: str) -> tuple[PaperColumn, ...]:
    """Mean IoU and pixel accuracy, at a single scale and at several."""
    single, several = ScoreColumn(data), ScoreColumn(data, multi_scale=True)
    return (
        PaperColumn("SS Mean IoU(%)", "miou", single),
        PaperColumn("SS Pixel Acc.(%)", "accuracy", single),
        PaperColumn("MS Mean IoU(%)", "miou", several),
        PaperColumn("MS Pixel Acc.(%)", "accuracy", several),
    )


def psa_row(label: str, printed: FourScores, body: str, **options: OptionValue) -> PaperRow:
    """A row of PSANet's body with options."""
    return PaperRow(label, printed, NetworkChoice(f"psanet_{body}", options))


def psa_rows(body: str, masks: Mapping[str, OptionValue], *scores: tuple[str, FourScores]) -> list[PaperRow]:
    """Rows of Tables 4 and 5: the baseline, one branch and both, with an option for the size of the masks."""
    choices: tuple[dict[str, OptionValue], ...] = ({"block": "none"}, {"directions": "collect", **masks}, {**masks})
    return [psa_row(label, printed, body, **options) for (label, printed), options in zip(scores, choices, strict=True)]


PSANET_TABLES = (
    PaperTable(
        "psanet-1", "PSANet, Table 1", "ways to gather context, on the ADE20K val set",
        four_scores("ade20k"),
        (
            psa_row("ResNet50-Baseline", (37.23, 78.01, 38.48, 78.92), "r50", block="none"),
            PaperRow("ResNet50+DenseCRF", (37.97, 78.51, 38.86, 79.32), reason=NO_CRF),
            psa_row("ResNet50+GlobalPooling", (40.07, 79.52, 41.22, 80.35), "r50", block="gp"),
            psa_row("ResNet50+ASPP", (40.39, 79.71, 42.18, 80.73), "r50", block="aspp"),
            psa_row("ResNet50+NonLocal", (40.93, 79.97, 41.94, 80.71), "r50", block="nl"),
            psa_row("ResNet50+PSP", (41.68, 80.04, 42.78, 80.76), "r50", block="ppm"),
            psa_row(
                "ResNet50+COLLECT(Compact)", (41.07, 79.61, 41.99, 80.32), "r50", directions="collect", compact=True
            ),
            psa_row("ResNet50+COLLECT", (41.27, 79.74, 42.56, 80.56), "r50", directions="collect"),
            psa_row("ResNet50+DISTRIBUTE", (41.46, 80.12, 42.63, 80.90), "r50", directions="distribute"),
            psa_row("ResNet50+COLLECT+DISTRIBUTE", (41.92, 80.17, 42.97, 80.92), "r50"),
            psa_row("ResNet101-Baseline", (39.66, 79.44, 40.71, 80.17), "r101", block="none"),
            psa_row("ResNet101+COLLECT", (42.70, 80.53, 43.68, 81.24), "r101", directions="collect"),
            psa_row("ResNet101+DISTRIBUTE", (42.11, 80.01, 43.38, 81.12), "r101", directions="distribute"),
            psa_row("ResNet101+COLLECT+DISTRIBUTE", (42.75, 80.71, 43.77, 81.51), "r101"),
        ),
        recipe="psanet",
        notes=(
            PSA_SCALES,
            "The paper's ASPP is DeepLab's (TPAMI); ours is DeepLabV3's, behind a 3x3 convolution to 512 channels.",
        ),
    ),
    PaperTable(
        "psanet-2", "PSANet, Table 2", "comparison on the ADE20K val set",
        four_scores("ade20k")[2:],
        (
            cite("FCN-8s", 29.39, 71.32),
            cite("SegNet", 21.64, 71.00),
            cite("DilatedNet", 32.31, 73.55),
            cite("CascadeNet", 34.90, 74.52),
            cite("RefineNet101", 40.20, None),
            cite("RefineNet152", 40.70, None),
            psa_row("PSPNet50", (42.78, 80.76), "r50", block="ppm"),
            psa_row("PSPNet101", (43.29, 81.39), "r101", block="ppm"),
            cite("WiderNet", 43.73, 81.17),
            psa_row("PSANet50", (42.97, 80.92), "r50"),
            psa_row("PSANet101", (43.77, 81.51), "r101"),
        ),
        recipe="psanet",
        notes=("The columns name no scales; PSANet's values are those of MS in Table 1.", PSA_SCALES),
    ),
    PaperTable(
        "psanet-3", "PSANet, Table 3", "comparison on the PASCAL VOC 2012 test set",
        (PaperColumn("mIoU(%)", "miou", ScoreColumn("voc", "test")),),
        (
            cite("LRR", 79.3),
            cite("DeepLabv2", 79.7),
            cite("G-CRF", 80.4),
            cite("SegModel", 81.8),
            cite("LC", 82.7),
            cite("DUC_HDC", 83.1),
            cite("Large_Kernel_Matters", 83.6),
            cite("RefineNet", 84.2),
            cite("ResNet-38", 84.9),
            psa_row("PSPNet", (85.4,), "r101", block="ppm"),
            cite("DeepLabv3", 85.7),
            psa_row("PSANet", (85.7,), "r101"),
        ),
        recipe="psanet",
        notes=(
            PSA_BACKBONE_UNSAID,
            PSA_SCALES_UNSAID,
            "The paper's network is trained on MS-COCO first, then on VOC; the command here trains on VOC alone.",
        ),
    ),
    PaperTable(
        "psanet-4", "PSANet, Table 4", "what PSA adds, on the PASCAL VOC 2012 val set, trained on train_aug",
        four_scores("voc"),
        (
            *psa_rows(
                "r50", {},
                ("Res50-Baseline", (67.12, 92.83, 67.57, 92.98)),
                ("+COL", (76.96, 94.79, 78.00, 95.01)),
                ("+COL+DIS", (77.24, 94.88, 78.14, 95.12)),
            ),
            *psa_rows(
                "r101", {},
                ("Res101-Baseline", (70.64, 93.82, 71.22, 93.95)),
                ("+COL", (77.90, 95.02, 79.07, 95.32)),
                ("+COL+DIS", (78.51, 95.18, 79.77, 95.43)),
            ),
        ),
        recipe="psanet", notes=(PSA_SCALES,),
    ),
    PaperTable(
        "psanet-5", "PSANet, Table 5", "what PSA adds, on the Cityscapes val set, trained on fine train",
        four_scores("cityscapes"),
        (
            *psa_rows(
                "r50", {"mask": CITYSCAPES_MASK},
                ("Res50-Baseline", (71.93, 95.53, 72.99, 95.76)),
                ("+COL", (76.51, 95.95, 77.50, 96.15)),
                ("+COL+DIS", (76.65, 95.99, 77.79, 96.24)),
            ),
            *psa_rows(
                "r101", {"mask": CITYSCAPES_MASK},
                ("Res101-Baseline", (None, None, 75.89, 96.23)),
                ("+COL", (77.06, 96.18, 78.05, 96.39)),
                ("+COL+DIS", (77.94, 96.10, 79.05, 96.30)),
            ),
        ),
        recipe="psanet",
        notes=(
            PSA_SCALES,
            "Our copy of the paper does not show the single-scale scores of Res101-Baseline.",
        ),
    ),
    PaperTable(
        "psanet-6", "PSANet, Table 6", "comparison on the Cityscapes test set",
        (PaperColumn("mIoU(%)", "miou", ScoreColumn("cityscapes", "test")),),
        (
            cite("DeepLabv2", 70.4, group=FINE_LABELS),
            cite("LC", 71.1, group=FINE_LABELS),
            cite("Adelaide", 71.6, group=FINE_LABELS),
            cite("FRRN", 71.8, group=FINE_LABELS),
            cite("RefineNet", 73.6, group=FINE_LABELS),
            cite("PEARL", 75.4, group=FINE_LABELS),
            cite("DUC_HDC", 77.6, group=FINE_LABELS),
            cite("SAC", 78.1, group=FINE_LABELS),
            PaperRow("PSPNet (fine_train)", (78.4,), PSPNET_101, group=FINE_LABELS),
            cite("ResNet-38", 78.5, group=FINE_LABELS),
            cite("SegModel", 78.5, group=FINE_LABELS),
            cite("Multitask Learning", 78.5, group=FINE_LABELS),
            PaperRow("PSANet (fine_train)", (78.6,), PSANET_ON_CITYSCAPES, group=FINE_LABELS),
            PaperRow(
                "PSANet (fine_train + fine_val)", (80.1,), PSANET_ON_CITYSCAPES, group=FINE_LABELS,
                split=FINE_TRAIN_AND_VAL,
            ),
            cite("LRR-4x", 71.8, group=COARSE_LABELS),
            cite("SegModel", 79.2, group=COARSE_LABELS),
            cite("DUC_HDC", 80.1, group=COARSE_LABELS),
            cite("Netwarp", 80.5, group=COARSE_LABELS),
            cite("ResNet-38", 80.6, group=COARSE_LABELS),
            PaperRow("PSPNet", (81.2,), PSPNET_101, group=COARSE_LABELS, split=COARSE_TOO),
            cite("DeepLabv3", 81.3, group=COARSE_LABELS),
            PaperRow("PSANet", (81.4,), PSANET_ON_CITYSCAPES, group=COARSE_LABELS, split=COARSE_TOO),
        ),
        recipe="psanet",
        notes=(
            PSA_BACKBONE_UNSAID,
            PSA_SCALES_UNSAID,
            "The paper marks networks trained on fine and coarse labels, without naming the splits; ours are trained "
            "on the fine train split and the coarse labels of train_extra.",
        ),
    ),
)  # fmt: skip
