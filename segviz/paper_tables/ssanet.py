"""The four tables of SSANet (Liu and Yin, arXiv 2109.01915)."""

from __future__ import annotations

from segviz.paper_tables.description import (
    NetworkChoice,
    PaperColumn,
    PaperRow,
    PaperTable,
    ScoreColumn,
    cite,
)
from segviz.paper_tables.psanet import FINE_TRAIN_AND_VAL, PSA_ON_TRAIN_AND_VAL, PSANET_ON_CITYSCAPES, PSPNET_101

SSA_MEAN_IOU = PaperColumn("Mean IoU (%)", "miou", ScoreColumn("cityscapes"))
SNL_ALONE = {"pooling": False, "decoder": False}
SSA_SCALES = "Scores are multi-scale; the paper names no scales, and does not say whether pictures are mirrored."


def without_snl(block: str) -> NetworkChoice:
    """The MobileNetV2 baseline with another block in the place of SNL, and no decoder."""
    return NetworkChoice("ssanet_mbv2", {"block": block, "decoder": False})


def sampled_row(samples: int, score: float) -> PaperRow:
    """A row of Table 1: SNL with a number of samples, neither pooling nor decoder."""
    choice = NetworkChoice("ssanet_mbv2", {"points": samples, **SNL_ALONE})
    return PaperRow("Baseline + SNL", (samples, score), choice)


SSANET_TABLES = (
    PaperTable(
        "ssanet-1", "SSANet, Table 1", "settings of the sparse non-local block, on the Cityscapes val set",
        (PaperColumn("NoS", "text"), SSA_MEAN_IOU),
        (
            PaperRow("Baseline", (None, 70.39), without_snl("none")),
            sampled_row(9, 73.54),
            sampled_row(49, 74.26),
            sampled_row(81, 74.51),
            sampled_row(99, 73.98),
            sampled_row(121, 73.96),
            PaperRow("Baseline + SNL + GP", (81, 74.94), NetworkChoice("ssanet_mbv2", {"decoder": False})),
            PaperRow("Baseline + SNL + GP + Decoder", (81, 75.85), NetworkChoice("ssanet_mbv2")),
        ),
        recipe="ssanet", notes=("NoS is the number of sampled keys; GP is global average pooling. One scale.",),
    ),
    PaperTable(
        "ssanet-2", "SSANet, Table 2", "time and accuracy of ways to gather context, on the Cityscapes val set",
        (PaperColumn("Inf. time (ms)", "time"), SSA_MEAN_IOU),
        (
            PaperRow("Baseline", (27, 70.39), without_snl("none")),
            PaperRow("+ PPM", (41, 72.88), without_snl("ppm")),
            PaperRow("+ ASPP", (55, 74.48), without_snl("aspp")),
            PaperRow("+ NL", (42, 73.75), without_snl("nl")),
            PaperRow("+ SNL", (39, 74.51), NetworkChoice("ssanet_mbv2", SNL_ALONE)),
        ),
        recipe="ssanet", size=(1024, 2048), batch=2,
        notes=("The paper's times are of a Titan V100, for 2 x 3 x 1024 x 2048; its scores are of one scale.",),
    ),
    PaperTable(
        "ssanet-3", "SSANet, Table 3", "comparison on the Cityscapes test set",
        (
            PaperColumn("Backbone", "text"),
            PaperColumn("Mean IoU (%)", "miou", ScoreColumn("cityscapes", "test", True)),
        ),
        (
            PaperRow("PSPNet", ("ResNet-101", 78.4), PSPNET_101, recipe="psanet"),
            cite("AAF", "ResNet-101", 79.1),
            PaperRow(
                "PSANet", ("ResNet-101", 80.1), PSANET_ON_CITYSCAPES, recipe="psanet", split=FINE_TRAIN_AND_VAL
            ),
            cite("DenseASPP", "DenseNet-161", 80.6),
            cite("ANNet", "ResNet-101", 81.3),
            cite("CCNet", "ResNet-101", 81.4),
            cite("DANet", "ResNet-101", 81.5),
            PaperRow("SSANet", ("ResNet-101", 81.8), NetworkChoice("ssanet_r101")),
        ),
        recipe="ssanet", notes=(SSA_SCALES, PSA_ON_TRAIN_AND_VAL),
    ),
    PaperTable(
        "ssanet-4", "SSANet, Table 4", "mean IoU (%) on the val sets of ADE20K and PASCAL Context",
        (
            PaperColumn("ADE20K", "miou", ScoreColumn("ade20k", multi_scale=True)),
            PaperColumn("PASCAL Context", "miou", ScoreColumn("context59", multi_scale=True)),
        ),
        (
            cite("EncNet", 44.65, 51.7),
            cite("DANet", 45.22, 52.6),
            cite("ANNet", 45.24, 52.8),
            cite("OCRNet", 45.28, 54.8),
            PaperRow("SSANet", (45.50, 54.9), NetworkChoice("ssanet_r101", {"points": 49})),
        ),
        recipe="ssanet", notes=("49 sampled keys, as the crops are smaller than Cityscapes'.", SSA_SCALES),
    ),
)  # fmt: skip
