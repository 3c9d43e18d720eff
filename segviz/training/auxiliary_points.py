"""The points of a network at which an auxiliary loss may stand; this module imports nothing, for the command line."""

AUXILIARY_POINTS = ("eighth", "middle", "reduced", "context")
AUXILIARY_WORDS = {
    "eighth": "the body's features of stride 8 (ResNet's stage 3, which AttaNet calls res3)",
    "middle": "its features one stage before the deepest (ResNet's stage 4)",
    "reduced": "the block's input (AttaNet's AFM)",
    "context": "the block's context alone",
}
