"""Wording: many ways to say what a clip shows. Needs numpy only."""

from __future__ import annotations

import numpy as np

SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc", "ball"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "ring", "hoop"),
    "cross": ("cross", "cross", "plus sign"),
    "heart": ("heart",),
    "crescent": ("crescent", "crescent", "moon"),
}

COLOUR_WORDS = {
    "red": ("red",),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "cyan": ("cyan", "cyan", "turquoise"),
    "blue": ("blue",),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink",),
    "white": ("white",),
}

# Each entry is (what follows "a red circle", what follows "a red circle that" or "the red circle").
MOTION_PHRASES = {
    "left": (
        ("moving left", "moves left"),
        ("moving to the left", "moves to the left"),
        ("going left", "goes left"),
        ("sliding to the left", "slides to the left"),
        ("moving from right to left", "moves from right to left"),
        ("travelling leftwards", "travels leftwards"),
    ),
    "right": (
        ("moving right", "moves right"),
        ("moving to the right", "moves to the right"),
        ("going right", "goes right"),
        ("sliding to the right", "slides to the right"),
        ("moving from left to right", "moves from left to right"),
        ("travelling rightwards", "travels rightwards"),
    ),
    "up": (
        ("moving up", "moves up"),
        ("rising", "rises"),
        ("going up", "goes up"),
        ("moving upwards", "moves upwards"),
        ("moving from bottom to top", "moves from bottom to top"),
        ("climbing", "climbs"),
    ),
    "down": (
        ("moving down", "moves down"),
        ("falling", "falls"),
        ("going down", "goes down"),
        ("moving downwards", "moves downwards"),
        ("moving from top to bottom", "moves from top to bottom"),
        ("sinking", "sinks"),
    ),
    "growing": (
        ("growing", "grows"),
        ("getting bigger", "gets bigger"),
        ("becoming larger", "becomes larger"),
        ("growing from small to big", "grows from small to big"),
        ("expanding", "expands"),
    ),
    "shrinking": (
        ("shrinking", "shrinks"),
        ("getting smaller", "gets smaller"),
        ("becoming smaller", "becomes smaller"),
        ("shrinking from big to small", "shrinks from big to small"),
        ("contracting", "contracts"),
    ),
    "clockwise": (
        ("circling clockwise", "circles clockwise"),
        ("moving in a clockwise circle", "moves in a clockwise circle"),
        ("going round clockwise", "goes round clockwise"),
        ("orbiting clockwise", "orbits clockwise"),
    ),
    "anticlockwise": (
        ("circling anticlockwise", "circles anticlockwise"),
        ("circling counterclockwise", "circles counterclockwise"),
        ("moving in a counterclockwise circle", "moves in a counterclockwise circle"),
        ("going round anticlockwise", "goes round anticlockwise"),
        ("orbiting counterclockwise", "orbits counterclockwise"),
    ),
    "spinning": (
        ("spinning", "spins"),
        ("rotating", "rotates"),
        ("turning around itself", "turns around itself"),
        ("spinning in place", "spins in place"),
    ),
    "swinging": (
        ("swinging from side to side", "swings from side to side"),
        ("moving back and forth", "moves back and forth"),
        ("swaying", "sways"),
        ("shaking from side to side", "shakes from side to side"),
    ),
    "still": (
        ("standing still", "stands still"),
        ("not moving", "does not move"),
        ("staying still", "stays still"),
        ("resting", "rests"),
        ("staying in place", "stays in place"),
    ),
}

BACKGROUND_WORDS = {
    "black": ("black",),
    "grey": ("grey", "gray"),
    "white": ("white",),
    "dark red": ("dark red",),
    "dark green": ("dark green",),
    "dark blue": ("dark blue",),
}
BACKGROUND_SUFFIXES = (
    "on a {} background",
    "over a {} background",
    "in front of a {} background",
    "against a {} background",
    "with a {} background",
    "on {}",
)
OPENINGS = ("", "", "", "", "a video of ", "a clip of ", "a video showing ", "there is ", "this clip shows ")
JOINTS = (" and ", " and ", " while ", ", ", " next to ", " together with ")


def pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


def article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def thing(rng, shape: str | None, colour: str | None, participle: str = "") -> str:
    """ "a red circle"; without a shape "a red shape"; without a colour "a circle"; "a spinning red circle"."""
    words = [participle] if participle else []
    if colour:
        words.append(pick(rng, COLOUR_WORDS[colour]))
    words.append(pick(rng, SHAPE_WORDS[shape] if shape else ("shape", "thing", "object")))
    words = " ".join(words)
    return pick(rng, 7 * (f"{article(words)} {words}",) + (f"the {words}", f"one {words}", words))


def clause(rng, shape: str | None, colour: str | None, motion: str | None, finite: bool = False) -> str:
    """One object and what it does: "a red circle moving left", or finite, "a red circle moves left"."""
    if motion is None:
        return thing(rng, shape, colour)
    participle, verb = pick(rng, MOTION_PHRASES[motion])
    style = rng.random()
    if finite:
        return f"{thing(rng, shape, colour)} {verb if style < 0.7 else f'is {participle}'}"
    if style < 0.3 and " " not in participle:
        return thing(rng, shape, colour, participle)
    if style > 0.85:
        return f"{thing(rng, shape, colour)} {'that' if style < 0.95 else 'which'} {verb}"
    return f"{thing(rng, shape, colour)} {participle}"


def sentence(rng, objects: list[tuple], background: str | None) -> str:
    """A caption. `objects`: (shape, colour, motion) each, any of them None; `background` None leaves it out."""
    objects = list(objects)
    if len(objects) == 2 and rng.random() < 0.5:
        objects.reverse()
    opening = pick(rng, OPENINGS)
    finite = not opening and all(motion for _, _, motion in objects) and rng.random() < 0.4
    body = pick(rng, JOINTS).join(clause(rng, *obj, finite=finite) for obj in objects)
    if background is None:
        return opening + body
    where = pick(rng, BACKGROUND_SUFFIXES).format(pick(rng, BACKGROUND_WORDS[background]))
    return f"{where}, {body}" if not opening and rng.random() < 0.2 else f"{opening}{body} {where}"


def stranger(rng: np.random.Generator) -> str:
    """A word of no known meaning, or a common one that says nothing about a clip."""
    if rng.random() < 0.3:
        return pick(rng, ("the", "a", "in", "of", "with", "and", "is", "on"))
    consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
    return "".join(
        pick(rng, consonants) + pick(rng, vowels) + (pick(rng, consonants) if rng.random() < 0.4 else "")
        for _ in range(rng.integers(1, 4))
    )


def is_salad(words: list[str], shuffled: list[str]) -> bool:
    """True if the shuffle broke most of the neighbourhoods, so that the words no longer make a sentence."""
    kept = len(set(zip(words, words[1:])) & set(zip(shuffled, shuffled[1:])))
    return len(words) >= 6 and kept * 4 < len(words)


def vocabulary() -> list[str]:
    """Every word the wording can produce, sorted."""
    phrases = ["a an the one two that which is are something nothing shape thing object"]
    for table in (SHAPE_WORDS, COLOUR_WORDS, BACKGROUND_WORDS):
        phrases += [words for options in table.values() for words in options]
    phrases += [words for options in MOTION_PHRASES.values() for pair in options for words in pair]
    phrases += [*BACKGROUND_SUFFIXES, *OPENINGS, *JOINTS]
    return sorted(
        {
            word
            for phrase in phrases
            for word in phrase.replace(",", " ").replace(".", " ").split()
            if word != "{}"
        }
    )
