"""What a demo clip can contain, and which combinations no tower ever trains on.

Everything else (drawing, wording, the codes both towers learn) counts in the indices of these lists,
so an entry added here must be added to the tables that are keyed by it: `scenes.py` and `captions.py`.
"""

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "crescent")

# Seven of the nine become another colour when red and blue change places: a swapped channel shows at once.
COLOURS = {
    "red": (222, 30, 36),
    "orange": (250, 140, 20),
    "yellow": (246, 226, 40),
    "green": (40, 172, 62),
    "cyan": (48, 214, 226),
    "blue": (36, 72, 224),
    "purple": (130, 44, 192),
    "pink": (250, 122, 192),
    "white": (246, 246, 246),
}

# The first eight become another motion when the frames run backwards.
MOTIONS = (
    "left",
    "right",
    "up",
    "down",
    "growing",
    "shrinking",
    "clockwise",
    "anticlockwise",
    "spinning",
    "swinging",
    "still",
)

# What each motion is most easily taken for: the same one backwards, or another that stays where it is.
OPPOSITES = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "growing": "shrinking",
    "shrinking": "growing",
    "clockwise": "anticlockwise",
    "anticlockwise": "clockwise",
    "spinning": "still",
    "swinging": "still",
    "still": "swinging",
}

BACKGROUNDS = {
    "black": (18, 18, 20),
    "grey": (124, 124, 126),
    "white": (236, 236, 234),
    "dark red": (92, 20, 22),
    "dark green": (20, 78, 34),
    "dark blue": (20, 28, 98),
}

COLOUR_NAMES = tuple(COLOURS)
BACKGROUND_NAMES = tuple(BACKGROUNDS)
DIRECTIONAL_MOTIONS = MOTIONS[:8]


def is_drawable(shape: str, colour: str, motion: str, background: str) -> bool:
    """False for what cannot be seen: a spinning disc, white on white."""
    if motion == "spinning" and shape in ("circle", "ring"):
        return False
    return not (colour == "white" and background == "white")


def is_held_out(shape: str, colour: str, motion: str) -> bool:
    """One (shape, colour, motion) in seven is kept out of training.

    A rule and not a random draw, so that the trainer, the renderer and the tests agree without a file;
    every pair of two attributes still occurs in training.
    """
    return (5 * SHAPES.index(shape) + 3 * COLOUR_NAMES.index(colour) + 2 * MOTIONS.index(motion)) % 7 == 0
