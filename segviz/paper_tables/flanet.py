"""The five tables of FLANet (Song et al., AAAI 2022)."""

from __future__ import annotations

from segviz.models.registry import MODELS
from segviz.paper_tables.description import (
    NetworkChoice,
    PaperColumn,
    PaperRow,
    PaperTable,
    ScoreColumn,
    cite,
)
from segviz.paper_tables.psanet import FINE_TRAIN_AND_VAL, PSA_ON_TRAIN_AND_VAL, PSANET_ON_CITYSCAPES, PSPNET_101

FLA_ON_CITYSCAPES_TEST = (
    PaperColumn("Backbone", "text"),
    PaperColumn("mIoU", "miou", ScoreColumn("cityscapes", "test")),
)
FLA_ON_CITYSCAPES = (
    PaperColumn("SS(%)", "miou", ScoreColumn("cityscapes")),
    PaperColumn("MS+F(%)", "miou", ScoreColumn("cityscapes", multi_scale=True)),
)
FLA_ON_ADE20K = (PaperColumn("Backbone", "text"), PaperColumn("mIoU", "miou", ScoreColumn("ade20k")))
FLA_ON_VOC_TEST = (PaperColumn("Backbone", "text"), PaperColumn("mIoU", "miou", ScoreColumn("voc", "test")))
SIMPLE_BACKBONE, ADVANCED_BACKBONE = "Simple backbone", "Advanced backbone"
FLA_SCALES = "The paper names no scales for multi-scale scores; F adds the mirrored picture."
FLA_SCALES_UNSAID = "The paper does not say whether these scores are of one scale or of several."
ATTANET_101 = NetworkChoice("attanet_r101")
FLA_FEATURES = (96, 96, 512)  # of a 768 x 768 picture at stride 8


def backbone_pair(backbone: str, body: str, baseline: tuple[float, float], fla: tuple[float, float]) -> list[PaperRow]:
    """Two rows of Table 2: a backbone, and the same with FLA."""
    return [
        PaperRow(backbone, baseline, NetworkChoice(f"flanet_{body}", {"block": "none"}), group=backbone),
        PaperRow("+FLA", fla, NetworkChoice(f"flanet_{body}"), group=backbone),
    ]


def block_row(label: str, scores: tuple[float, float], block: str) -> PaperRow:
    """A row of Table 3; the published costs are the registry's.

    Raises:
        ValueError: the registry has none of this block.
    """
    cost = MODELS[block].published
    if cost is None:
        raise ValueError(f"block '{block}' has no published cost; give its row in the registry one")
    options = {} if block == "fla" else {"block": block}
    return PaperRow(label, (*scores, cost.gflops, cost.megabytes), NetworkChoice("flanet_r50", options), block=block)


FLANET_TABLES = (
    PaperTable(
        "flanet-1", "FLANet, Table 1", "comparison on the Cityscapes test set, trained with fine labels only",
        FLA_ON_CITYSCAPES_TEST,
        (
            PaperRow("PSPNet", ("Res101", 78.4), PSPNET_101, group=SIMPLE_BACKBONE, recipe="psanet"),
            cite("AAF", "Res101", 79.1, group=SIMPLE_BACKBONE),
            cite("CFNet", "Res101", 79.6, group=SIMPLE_BACKBONE),
            PaperRow(
                "PSANet", ("Res101", 80.1), PSANET_ON_CITYSCAPES, group=SIMPLE_BACKBONE, recipe="psanet",
                split=FINE_TRAIN_AND_VAL,
            ),
            PaperRow("AttaNet", ("Res101", 80.5), ATTANET_101, group=SIMPLE_BACKBONE, recipe="attanet"),
            cite("ANNet", "Res101", 81.3, group=SIMPLE_BACKBONE),
            cite("CCNet", "Res101", 81.4, group=SIMPLE_BACKBONE),
            cite("OCNet", "Res101", 81.9, group=SIMPLE_BACKBONE),
            cite("DGCNet", "Res101", 82.0, group=SIMPLE_BACKBONE),
            cite("HANet", "Res101", 82.1, group=SIMPLE_BACKBONE),
            cite("ACNet", "Res101", 82.3, group=SIMPLE_BACKBONE),
            cite("RecoNet", "Res101", 82.3, group=SIMPLE_BACKBONE),
            PaperRow("FLANet (Ours)", ("Res101", 83.0), NetworkChoice("flanet_r101"), group=SIMPLE_BACKBONE),
            cite("SPGNet", "2×Res50", 81.1, group=ADVANCED_BACKBONE),
            cite("DANet", "R101+MG", 81.5, group=ADVANCED_BACKBONE),
            cite("ACFNet", "R101+ASPP", 81.8, group=ADVANCED_BACKBONE),
            cite("GALD", "R101+ASPP", 81.8, group=ADVANCED_BACKBONE),
            cite("GFF", "R101+PPM", 82.3, group=ADVANCED_BACKBONE),
            cite("HRNet", "HRNetW48", 81.6, group=ADVANCED_BACKBONE),
            cite("OCNet", "HRNetW48", 82.5, group=ADVANCED_BACKBONE),
            PaperRow("FLANet (Ours)", ("HRNetW48", 83.6), NetworkChoice("flanet_hrnet48"), group=ADVANCED_BACKBONE),
        ),
        recipe="flanet", notes=(FLA_SCALES_UNSAID, PSA_ON_TRAIN_AND_VAL),
    ),
    PaperTable(
        "flanet-2", "FLANet, Table 2", "baseline and FLANet on several backbones, on the Cityscapes val set",
        FLA_ON_CITYSCAPES,
        (
            *backbone_pair("ShuffleNetV2", "shufflenet", (69.2, 70.8), (74.7, 76.3)),
            *backbone_pair("Res18", "r18", (71.3, 72.5), (76.5, 78.1)),
            *backbone_pair("Res50", "r50", (72.8, 74.1), (78.9, 79.7)),
            *backbone_pair("Res101", "r101", (75.6, 76.9), (81.3, 82.2)),
        ),
        recipe="flanet", notes=(FLA_SCALES,),
    ),
    PaperTable(
        "flanet-3", "FLANet, Table 3", "non-local blocks on the Cityscapes val set, and what each adds",
        (*FLA_ON_CITYSCAPES, PaperColumn("GFLOPs", "gflops"), PaperColumn("Memory", "memory")),
        (
            PaperRow("Baseline", (72.8, 74.1, None, None), NetworkChoice("flanet_r50", {"block": "none"})),
            block_row("+EMA", (76.4, 77.1), "ema"),
            block_row("+Channel NL", (75.6, 76.9), "channel_nl"),
            block_row("+RCCA", (76.7, 77.8), "rcca"),
            block_row("+Spatial NL", (76.3, 77.6), "spatial_nl"),
            block_row("+Dual NL", (77.1, 78.0), "dual_nl"),
            block_row("+CS NL", (77.4, 78.2), "cs_nl"),
            block_row("+FLA(Ours)", (78.9, 79.7), "fla"),
        ),
        recipe="flanet", block_size=FLA_FEATURES,
        notes=(
            "Costs are those of the block alone, on features of 96 x 96 x 512: a 768 x 768 picture at stride 8.",
            "The paper does not say how it measured memory, nor whether its costs are for training or inference; here "
            "they are for inference, beyond input and weights.",
            FLA_SCALES,
        ),
    ),
    PaperTable(
        "flanet-4", "FLANet, Table 4", "comparison on the ADE20K val set",
        FLA_ON_ADE20K,
        (
            PaperRow("AttaNet", ("Res101", 43.71), ATTANET_101, group=SIMPLE_BACKBONE, recipe="attanet"),
            cite("CCNet", "Res101", 45.22, group=SIMPLE_BACKBONE),
            cite("ANNet", "Res101", 45.24, group=SIMPLE_BACKBONE),
            cite("GFF", "Res101", 45.33, group=SIMPLE_BACKBONE),
            cite("OCNet", "Res101", 45.40, group=SIMPLE_BACKBONE),
            cite("DMNet", "Res101", 45.50, group=SIMPLE_BACKBONE),
            cite("RecoNet", "Res101", 45.54, group=SIMPLE_BACKBONE),
            cite("ACNet", "Res101", 45.90, group=SIMPLE_BACKBONE),
            cite("DNL", "Res101", 45.97, group=SIMPLE_BACKBONE),
            cite("CPNet", "Res101", 46.27, group=SIMPLE_BACKBONE),
            PaperRow("FLANet (Ours)", ("Res101", 46.68), NetworkChoice("flanet_r101"), group=SIMPLE_BACKBONE),
            cite("HRNetV2", "HRNetW48", 42.99, group=ADVANCED_BACKBONE),
            cite("DANet", "Res101+MG", 45.22, group=ADVANCED_BACKBONE),
            cite("OCNet", "HRNetW48", 45.50, group=ADVANCED_BACKBONE),
            cite("DNL", "HRNetW48", 45.82, group=ADVANCED_BACKBONE),
            PaperRow("FLANet (Ours)", ("HRNetW48", 46.99), NetworkChoice("flanet_hrnet48"), group=ADVANCED_BACKBONE),
        ),
        recipe="flanet", notes=(FLA_SCALES_UNSAID + " Ours: one scale.",),
    ),
    PaperTable(
        "flanet-5", "FLANet, Table 5", "comparison on the PASCAL VOC test set",
        FLA_ON_VOC_TEST,
        (
            cite("DeepLabv3", "Res101", 85.7, group=SIMPLE_BACKBONE),
            cite("EncNet", "Res101", 85.9, group=SIMPLE_BACKBONE),
            cite("DFN", "Res101", 86.2, group=SIMPLE_BACKBONE),
            cite("CFNet", "Res101", 87.2, group=SIMPLE_BACKBONE),
            cite("EMANet", "Res101", 87.7, group=SIMPLE_BACKBONE),
            cite("DeeplabV3+", "Xception", 89.0, group=SIMPLE_BACKBONE),
            cite("RecoNet", "Res101", 88.5, group=SIMPLE_BACKBONE),
            PaperRow("FLANet (Ours)", ("Res101", 87.9), NetworkChoice("flanet_r101"), group=SIMPLE_BACKBONE),
            cite("EMANet", "Res150", 88.2, group=ADVANCED_BACKBONE),
            cite("RecoNet", "Res150", 89.0, group=ADVANCED_BACKBONE),
            PaperRow("FLANet (Ours)", ("HRNetW48", 88.5), NetworkChoice("flanet_hrnet48"), group=ADVANCED_BACKBONE),
        ),
        recipe="flanet",
        notes=(
            FLA_SCALES_UNSAID,
            "The caption says that FLANet is trained without a model pre-trained on COCO.",
        ),
    ),
)  # fmt: skip
