"""The five tables of AttaNet (Song et al., AAAI 2021)."""

from __future__ import annotations

from segviz.paper_tables.description import (
    NetworkChoice,
    PaperColumn,
    PaperRow,
    PaperTable,
    ScoreColumn,
    cite,
)
from segviz.paper_tables.psanet import PSPNET_101

CITYSCAPES_VAL, ADE20K_VAL = ScoreColumn("cityscapes"), ScoreColumn("ade20k")
ATTA_OPERATIONS = "The paper counts a multiply-add as one operation; so does this table."
ATTA_BASELINE = NetworkChoice("attanet_r18", {"block": "none", "fusion": "addition"})
PSPNET_50 = NetworkChoice("psanet_r50", {"block": "ppm"})
ATTENTION_METHODS, FUSION_METHODS = "Attention methods", "Feature fusion methods"


def atta(**options: str) -> NetworkChoice:
    """AttaNet on ResNet-18 with options."""
    return NetworkChoice("attanet_r18", options)


def atta_pair(
    backbone: str, body: str, baseline: tuple[float, float, float], attanet: tuple[float, float, float]
) -> list[PaperRow]:
    """Two rows of Table 4: the aggregation baseline on a backbone, and AttaNet on it."""
    plain = NetworkChoice(f"attanet_{body}", ATTA_BASELINE.options)
    return [
        PaperRow(backbone, baseline, plain, group=backbone),
        PaperRow("+AttaNet", attanet, NetworkChoice(f"attanet_{body}"), group=backbone),
    ]


ATTANET_TABLES = (
    PaperTable(
        "attanet-1", "AttaNet, Table 1", "comparison with real-time models on the Cityscapes test set",
        (
            PaperColumn("Backbone", "text"),
            PaperColumn("mIoU", "miou", ScoreColumn("cityscapes", "test")),
            PaperColumn("FPS", "fps"),
        ),
        (
            cite("ICNet", "ResNet50", 69.5, 34),
            cite("BiSeNetV1 A", "Xception39", 68.4, 105.8),
            cite("SwiftNet", "ResNet18", 75.5, 39.9),
            cite("SwiftNet-ens", "ResNet18", 76.5, 18.4),
            cite("DFANet A", "Xception A", 71.3, 100),
            cite("DFANet A'", "Xception B", 70.3, 160),
            cite("DFANet B", "Xception B", 67.1, 120),
            cite("DF1-Seg †", "DF1", 73.0, 80.8),
            cite("DF2-Seg †", "DF2", 74.8, 55),
            cite("CellNet", None, 70.5, 108),
            cite("BiSeNetV2 †", None, 72.6, 156),
            cite("BiSeNetV2 †", None, 75.8, 47.3),
            cite("SFNet", "DF1", 74.5, 74),
            cite("SFNet", "DF2", 77.8, 53),
            cite("SFNet", "ResNet18", 78.9, 18),
            cite("SFNet ‡", "ResNet18", 80.4, 18),
            cite("FANet-18", "ResNet18", 74.4, 72),
            cite("FANet-34", "ResNet18", 75.5, 58),
            PaperRow("AttaNet", (None, 70.1, 180), NetworkChoice("attanet_light")),
            PaperRow("AttaNet (ResNet18)", ("ResNet18", 78.5, 130), NetworkChoice("attanet_r18")),
            PaperRow("AttaNet (DF2)", ("DF2", 79.9, 71), NetworkChoice("attanet_df2")),
        ),
        recipe="attanet", size=(1024, 2048), resized=(512, 1024),
        notes=(
            "† tested with TensorRT; ‡ pre-trained on Mapillary.",
            "AttaNet's own FPS are of a GTX 1080Ti; of the cited rows the paper names no GPU. A 1024 x 2048 picture is "
            "resized to 512 x 1024, run, and the prediction is resized back; both resizings are timed.",
        ),
    ),
    PaperTable(
        "attanet-2", "AttaNet, Table 2", "the proposed modules on ResNet18, on the Cityscapes val set",
        (
            PaperColumn("mIoU (%)", "miou", CITYSCAPES_VAL),
            PaperColumn("Δa", "gain"),
            PaperColumn("GFLOPs (Δ)", "gflops", over_baseline=True, operations=1),
        ),
        (
            PaperRow("Baseline", (72.8, None, None), ATTA_BASELINE),
            PaperRow("SAM", (77.1, 4.3, 0.185), atta(fusion="addition")),
            PaperRow("AFM", (77.3, 4.5, 0.336), atta(block="none")),
            PaperRow("SAM + AFM", (78.5, 5.7, 0.521), NetworkChoice("attanet_r18")),
        ),
        recipe="attanet", size=(1024, 1024),
        notes=(ATTA_OPERATIONS, "Table 2 names no size for GFLOPs; Table 3, with the same numbers, does: 1024 x 1024."),
    ),
    PaperTable(
        "attanet-3", "AttaNet, Table 3", "attention and fusion methods on ResNet18, on the Cityscapes val set",
        (
            PaperColumn("mIOU", "miou", CITYSCAPES_VAL),
            PaperColumn("GFLOPs", "gflops", over_baseline=True, operations=1),
            PaperColumn("Memory", "memory", over_baseline=True),
        ),
        (
            PaperRow("Baseline", (72.8, None, None), ATTA_BASELINE, group=ATTENTION_METHODS),
            PaperRow("NL", (78.1, 3.357, 334), atta(block="nl", fusion="addition"), group=ATTENTION_METHODS),
            PaperRow("RCCA", (77.7, 0.472, 26), atta(block="rcca", fusion="addition"), group=ATTENTION_METHODS),
            PaperRow("EMA", (75.0, 0.335, 12), atta(block="ema", fusion="addition"), group=ATTENTION_METHODS),
            PaperRow(
                "SAM-horizontal (Ours)", (76.9, 0.185, 8), atta(strips="horizontal", fusion="addition"),
                group=ATTENTION_METHODS,
            ),
            PaperRow("SAM-vertical (Ours)", (77.1, 0.185, 8), atta(fusion="addition"), group=ATTENTION_METHODS),
            PaperRow("Addition (Baseline)", (72.8, None, None), ATTA_BASELINE, group=FUSION_METHODS),
            PaperRow("Concat", (73.7, 0.336, 10), atta(block="none", fusion="concatenation"), group=FUSION_METHODS),
            PaperRow("AFM (Ours)", (77.3, 0.336, 12), atta(block="none"), group=FUSION_METHODS),
        ),
        recipe="attanet", size=(1024, 1024),
        notes=(ATTA_OPERATIONS, "GFLOPs and memory (M) are what is added to the baseline, for 1 x 3 x 1024 x 1024."),
    ),
    PaperTable(
        "attanet-4", "AttaNet, Table 4", "AttaNet on several backbones, on the Cityscapes val set",
        (
            PaperColumn("mIoU", "miou", CITYSCAPES_VAL),
            PaperColumn("Params", "parameters"),
            PaperColumn("GFLOPs", "gflops", operations=1),
        ),
        (
            *atta_pair("ResNet50", "r50", (73.4, 41.51, 171.36), (81.2, 53.62, 176.91)),
            *atta_pair("ResNet101", "r101", (74.5, 65.80, 324.36), (81.0, 78.96, 329.91)),
            *atta_pair("ShuffleNetV2", "shufflenet", (67.7, 2.55, 12.10), (76.0, 3.31, 12.59)),
            *atta_pair("DF1", "df1", (70.3, 9.34, 25.92), (78.0, 10.43, 26.44)),
            *atta_pair("DF2", "df2", (72.5, 18.96, 48.74), (80.0, 20.08, 49.23)),
        ),
        recipe="attanet", size=(1024, 1024),
        notes=(
            "Table 4 names neither size nor operations for GFLOPs; ours are of Table 3's 1024 x 1024, with one for a "
            "multiply-add.",
        ),
    ),
    PaperTable(
        "attanet-5", "AttaNet, Table 5", "comparison on the ADE20K val set",
        (
            PaperColumn("Backbone", "text"),
            PaperColumn("mIoU", "miou", ADE20K_VAL),
            PaperColumn("GFLOPs", "gflops"),
        ),
        (
            PaperRow("PSPNet", ("ResNet50", 42.78, 335.0), PSPNET_50, recipe="psanet"),
            cite("SFNet", "ResNet50", 42.81, 151.1),
            PaperRow("AttaNet", ("ResNet50", 41.79, 116.3), NetworkChoice("attanet_r50")),
            cite("UperNet", "ResNet101", 42.66, None),
            PaperRow("PSPNet", ("ResNet101", 43.29, 476.3), PSPNET_101, recipe="psanet"),
            PaperRow("PSANet", ("ResNet101", 43.77, 529.3), NetworkChoice("psanet_r101"), recipe="psanet"),
            cite("SAC", "ResNet101", 44.30, None),
            cite("EncNet", "ResNet101", 44.65, None),
            cite("SFNet", "ResNet101", 44.67, 187.5),
            cite("CFNet", "ResNet101", 44.82, None),
            cite("CCNet", "ResNet101", 45.22, None),
            cite("ACNet", "ResNet101", 45.90, None),
            cite("AlignSeg", "ResNet101", 45.95, None),
            PaperRow("AttaNet", ("ResNet101", 43.71, 150.5), NetworkChoice("attanet_r101")),
        ),
        recipe="attanet", size=(512, 512),
        notes=(
            "Table 5 names no size for GFLOPs; ours are of 512 x 512, the crop of training, with two operations for a "
            "multiply-add: with one, as in Tables 2 to 4, PSPNet's and PSANet's would be half of the printed numbers.",
        ),
    ),
)  # fmt: skip
