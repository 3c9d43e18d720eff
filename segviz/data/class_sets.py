"""Names and colours of the data sets that many segmentation networks are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from segviz.data.classes import CAMVID, VOID, ClassSet, RgbColour, even_hues
from segviz.text import count_words

CITYSCAPES_NAMES = """
    road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, rider,
    car, truck, bus, train, motorcycle, bicycle
"""
CITYSCAPES_COLOURS = """
    804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64
    005064 0000e6 770b20
"""
ADE20K_NAMES = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field,
    armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest
    of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool
    table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
    bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus,
    towel, light, truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track,
    apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer
    belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle,
    oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
    sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board,
    shower, radiator, glass, clock, flag
"""
# The colours in which ADE20K's 150 classes are usually drawn, hexadecimal.
ADE20K_COLOURS = """
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33 ff0652
    8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0
    ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff
    8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff
    00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff
    ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff
    00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070
    5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500
    0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff
    b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""
VOC_NAMES = """
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike,
    person, pottedplant, sheep, sofa, train, tvmonitor
"""
CONTEXT_NAMES = """
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse, motorbike,
    person, pottedplant, sheep, sofa, train, tvmonitor, bag, bed, bench, book, building, cabinet, ceiling, cloth,
    computer, cup, door, fence, floor, flower, food, grass, ground, keyboard, light, mountain, mouse, curtain,
    platform, sign, plate, road, rock, shelves, sidewalk, sky, snow, bedclothes, track, tree, truck, wall, water,
    window, wood
"""
ALIKE = 0.8  # the share of names that must agree, as libraries spell a few of them differently


def split_words(text: str, separator: str) -> tuple[str, ...]:
    """The parts of a text that is wrapped over lines."""
    return tuple(part.strip() for part in " ".join(text.split()).split(separator))


def read_colours(text: str) -> tuple[RgbColour, ...]:
    """Colours written as six hexadecimal digits each."""
    return tuple((int(part[:2], 16), int(part[2:4], 16), int(part[4:], 16)) for part in split_words(text, " "))


def voc_colour(number: int) -> RgbColour:
    """The colour of a class of PASCAL VOC: the number's bits, three at a time, from the colours' highest bits down."""
    channels = [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
    return channels[0], channels[1], channels[2]


def make_class_sets() -> dict[str, ClassSet]:
    """All sets by name. PASCAL Context is drawn in ADE20K's first colours; its 59 classes have no background."""
    context, ade = split_words(CONTEXT_NAMES, ","), read_colours(ADE20K_COLOURS)
    voc = split_words(VOC_NAMES, ",")
    return {
        "camvid": CAMVID,
        "cityscapes": ClassSet(split_words(CITYSCAPES_NAMES, ","), read_colours(CITYSCAPES_COLOURS)),
        "ade20k": ClassSet(split_words(ADE20K_NAMES, ","), ade),
        "voc": ClassSet(voc, tuple(map(voc_colour, range(len(voc))))),
        "context": ClassSet(context, ade[: len(context)]),
        "context59": ClassSet(context[1:], ade[1 : len(context)]),
    }


CLASS_SETS: Mapping[str, ClassSet] = MappingProxyType(make_class_sets())


def find_class_set(name: str) -> ClassSet:
    """The class set of a name, whatever its case.

    Raises:
        ValueError: there is none.
    """
    if name.lower() in CLASS_SETS:
        return CLASS_SETS[name.lower()]
    raise ValueError(f"class set '{name}' is unknown; use {', '.join(CLASS_SETS)}, or give the names of the classes")


def choose_class_set(classes: str | Sequence[str]) -> ClassSet:
    """The class set of a name, or of these class names.

    Raises:
        ValueError: there is no such set.
    """
    return find_class_set(classes) if isinstance(classes, str) else give_colours(classes)


def give_colours(names: Sequence[str], void: int = VOID) -> ClassSet:
    """A class set of these names: in the colours of the data set that has them, and else in even hues.

    See `name_class_set`.
    """
    found = name_class_set(names)
    if found is None:
        return even_hues(tuple(names), void)
    known = CLASS_SETS[found]
    own = ClassSet(tuple(names), known.palette, void)
    return known if own == known else own


def name_class_set(names: Sequence[str]) -> str | None:
    """The name of the class set that has these classes in this order; None if none has.

    It has them if there are as many, and most agree but for case, blanks and synonyms after a comma.
    """
    for name, known in CLASS_SETS.items():
        pairs = zip(map(shorten_name, names), map(shorten_name, known.names), strict=False)
        if len(names) == len(known.names) and sum(own == other for own, other in pairs) >= ALIKE * len(names):
            return name
    return None


def shorten_name(name: str) -> str:
    """A class name without case, blanks, underscores and synonyms."""
    return name.lower().partition(",")[0].replace(" ", "").replace("_", "")


def find_other_class(own: Sequence[str], wanted: Sequence[str], tolerant: bool = False) -> str:
    """How the classes of a model differ from those of data, in words; empty if they do not.

    Args:
        own: the model's, in index order.
        wanted: the data's.
        tolerant: whether case, blanks and synonyms after a comma do not count.
    """
    if len(own) != len(wanted):
        return f"it has {count_words(len(own), 'class', 'classes')}, the data {len(wanted)}"
    read = shorten_name if tolerant else str
    wrong = [at for at, pair in enumerate(zip(own, wanted, strict=True)) if read(pair[0]) != read(pair[1])]
    if not wrong:
        return ""
    more = f" and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
    return f"its class {wrong[0]} is '{own[wrong[0]]}', the data's is '{wanted[wrong[0]]}'{more}"
