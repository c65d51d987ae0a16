"""Tells a scene in English, in many ways, and reads such a sentence back.

A caption is a row of words, each tagged with the object it belongs to, so that the text encoder can be taught what
each word is about. What a caption leaves out is the plain case: day, clear weather, the flat style. `parse` knows the
same grammar and no pixel.
"""

import itertools
import random
import re
from dataclasses import dataclass

from pixart_ui.tiny.world import (
    COLOURS,
    OPPOSITE,
    SHAPES,
    Combination,
    Item,
    Scene,
    all_combinations,
    clear_relation,
    is_held_out,
    pair_scene,
)

Words = list[tuple[str, int]]
NOBODY = -1

RELATION_PHRASES = {
    "left of": ("to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
SIDE_PHRASES = {"left of": "on the left", "right of": "on the right", "above": "at the top", "below": "at the bottom"}
SIZE_WORDS = {"small": ("small", "little"), "medium": ("medium",), "large": ("large", "big")}
TIME_PHRASES = {
    "day": ("in the daytime", "by day", "during the day", "in daylight"),
    "dawn": ("at dawn",),
    "sunset": ("at sunset",),
    "night": ("at night",),
}
WEATHER_PHRASES = {
    "snow": ("in the snow", "in falling snow", "while it snows"),
    "rain": ("in the rain", "in falling rain", "while it rains"),
}
PLACE_PHRASES = {"meadow": ("in a meadow", "over green hills"), "sea": ("by the sea", "over the sea", "at sea")}
STYLE_OPENINGS = {
    "flat": ("a flat illustration of", "a flat drawing of"),
    "watercolour": ("a watercolour of", "a watercolour painting of", "a watercolor of"),
    "neon": ("a neon sign of", "a neon picture of"),
    "pixel art": ("pixel art of", "a pixel art picture of"),
    "sketch": ("a sketch of", "a pencil sketch of"),
}
STYLE_ENDINGS = {
    "flat": ("flat", "flat style", "in flat style"),
    "watercolour": ("watercolour", "in watercolour", "watercolour style", "watercolor"),
    "neon": ("neon", "neon style", "in neon style", "neon lights"),
    "pixel art": ("pixel art", "as pixel art", "pixel art style", "in pixel art style"),
    "sketch": ("sketch", "pencil sketch", "as a sketch", "sketch style"),
}
OPENINGS = ("a picture of", "an image of", "a drawing of", "an illustration of", "there is", "a scene with")


@dataclass(frozen=True)
class Caption:
    """Words in order and, for each, the index of the object it belongs to (-1: none)."""

    words: tuple[str, ...]
    tags: tuple[int, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Mention:
    """An object as a caption names it; `size` is None where the caption does not say."""

    colour: str
    shape: str
    size: str | None = None


@dataclass(frozen=True)
class Parsed:
    """What a caption asks for. A relation (i, relation, j) says how object i lies to object j."""

    mentions: tuple[Mention, ...]
    relations: tuple[tuple[int, str, int], ...]
    time: str
    weather: str
    style: str


def describe(scene: Scene, rng: random.Random) -> Caption:
    """One caption of the scene, freshly worded."""
    opening, style_ending = _style(scene, rng)
    context = _context(scene, rng)
    body = _objects(scene, rng)
    words = list(opening)
    if context and not opening and rng.random() < 0.15:
        words += _comma(context) + body
    else:
        words += body + context
    if style_ending:
        words = _comma(words) + style_ending
    if rng.random() < 0.12:
        words = [*words[:-1], (words[-1][0] + ".", words[-1][1])]
    return Caption(tuple(word for word, _ in words), tuple(tag for _, tag in words))


def say(text: str) -> Words:
    return [(word, NOBODY) for word in text.split()]


def _comma(words: Words) -> Words:
    return [*words[:-1], (words[-1][0] + ",", words[-1][1])]


def _style(scene: Scene, rng: random.Random) -> tuple[Words, Words]:
    """The words before and after that name the style; the flat one is mostly left unsaid."""
    if scene.style == "flat" and rng.random() < 0.85:
        return (say(rng.choice(OPENINGS)) if rng.random() < 0.25 else []), []
    if rng.random() < 0.4:
        return say(rng.choice(STYLE_OPENINGS[scene.style])), []
    opening = say(rng.choice(OPENINGS)) if rng.random() < 0.15 else []
    return opening, say(rng.choice(STYLE_ENDINGS[scene.style]))


def _context(scene: Scene, rng: random.Random) -> Words:
    """Time, weather and place; the plain day, clear weather and the meadow are mostly left unsaid."""
    parts: list[str] = []
    if scene.time in ("day", "night") and scene.weather != "clear" and rng.random() < 0.3:
        adjective = "snowy" if scene.weather == "snow" else "rainy"
        parts.append(f"on a {adjective} {scene.time}")
    else:
        if scene.time != "day" or rng.random() < 0.25:
            parts.append(rng.choice(TIME_PHRASES[scene.time]))
        if scene.weather != "clear":
            parts.append(rng.choice(WEATHER_PHRASES[scene.weather]))
    has_boat = any(item.shape == "boat" for item in scene.items)
    if rng.random() < ((0.25 if has_boat else 0.9) if scene.place == "sea" else 0.12):
        parts.append(rng.choice(PLACE_PHRASES[scene.place]))
    rng.shuffle(parts)
    return say(" ".join(parts))


def _noun(scene: Scene, index: int, rng: random.Random, article: bool) -> Words:
    """ "a small red circle"; the size is said more often when it is not the medium one."""
    item = scene.items[index]
    words = [item.colour, item.shape]
    if rng.random() < (0.15 if item.size == "medium" else 0.75):
        words.insert(0, rng.choice(SIZE_WORDS[item.size]))
    if article:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    return [(word, index) for word in words]


def _objects(scene: Scene, rng: random.Random) -> Words:
    article = rng.random() < 0.9
    if len(scene.items) == 1:
        return _noun(scene, 0, rng, article) + _where(scene, rng)
    order = [0, 1, 2] if rng.random() < 0.5 else [2, 1, 0]
    order = order if len(scene.items) == 3 else rng.sample((0, 1), 2)
    if len(order) == 3 and _is_row(scene) and rng.random() < 0.3:
        return _row(scene, rng, article)
    words = _pair(scene, order[0], order[1], rng, article)
    if len(order) == 3:
        words = words + _third(scene, order[2], order[1], rng, article)
    return words


def _where(scene: Scene, rng: random.Random) -> Words:
    """ "on the left" for a lone object; the middle is mostly left unsaid."""
    item = scene.items[0]
    x, y = item.x / scene.width, item.y / scene.height
    if max(abs(x - 0.5), abs(y - 0.5)) < 0.13:
        return say("in the middle") if rng.random() < 0.2 else []
    horizontal = abs(x - 0.5) > abs(y - 0.5)
    side = ("left of" if x < 0.5 else "right of") if horizontal else ("above" if y < 0.5 else "below")
    return say(SIDE_PHRASES[side])


def _pair(scene: Scene, i: int, j: int, rng: random.Random, article: bool) -> Words:
    relation = _relation(scene.items[i], scene.items[j])
    first, second = _noun(scene, i, rng, article), _noun(scene, j, rng, article)
    phrase = say(rng.choice(RELATION_PHRASES[relation]))
    form = rng.choices(("plain", "with", "sides", "and"), (0.7, 0.12, 0.12, 0.06))[0]
    if form == "with":
        return second + say("with") + first + phrase + say("it")
    if form == "sides":
        return first + say(SIDE_PHRASES[relation]) + say("and") + second + say(SIDE_PHRASES[OPPOSITE[relation]])
    if form == "and":
        return first + say("and") + second
    return first + phrase + second


def _third(scene: Scene, k: int, j: int, rng: random.Random, article: bool) -> Words:
    """A third object, told by how it lies to one that was named before."""
    known = scene.items[j]
    relation = _relation(scene.items[k], known)
    joint = say(rng.choice(("and", "and", "with")))
    back = [("the", j), (known.colour, j), (known.shape, j)]
    return joint + _noun(scene, k, rng, article) + say(rng.choice(RELATION_PHRASES[relation])) + back


def _row(scene: Scene, rng: random.Random, article: bool) -> Words:
    """ "a red circle, a blue square and a green tree in a row", from left to right."""
    order = sorted(range(3), key=lambda index: scene.items[index].x)
    a, b, c = (_noun(scene, index, rng, article) for index in order)
    return _comma(a) + b + say("and") + c + say("in a row")


def _is_row(scene: Scene) -> bool:
    a, b, c = scene.items
    return {clear_relation(a, b), clear_relation(b, c)} <= {"left of", "right of"}


def _relation(first: Item, second: Item) -> str:
    relation = clear_relation(first, second)
    if relation is None:
        raise ValueError(f"{first} and {second} lie on a diagonal; place them so that one relation is clear")
    return relation


def evaluation_captions(count: int = 300) -> tuple[str, ...]:
    """The captions of the evaluation: each asks for a combination that no training picture holds. Always the same."""
    rng = random.Random(20261121)
    combos = rng.sample([combo for combo in all_combinations() if is_held_out(combo)], count)
    return tuple(_evaluation_caption(combo, rng) for combo in combos)


def _evaluation_caption(combo: Combination, rng: random.Random) -> str:
    scene = pair_scene(rng, combo)
    first, second = rng.sample((0, 1), 2)
    relation = _relation(scene.items[first], scene.items[second])
    words = _noun(scene, first, rng, True) + say(rng.choice(RELATION_PHRASES[relation]))
    words += _noun(scene, second, rng, True) + _context(scene, rng)
    text = " ".join(word for word, _ in words)
    return text if scene.style == "flat" else f"{text}, {rng.choice(STYLE_ENDINGS[scene.style])}"


_SIZE_OF = {word: size for size, words in SIZE_WORDS.items() for word in words}
_NOUN = re.compile(rf"\b(?:({'|'.join(_SIZE_OF)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b")
_ARTICLES = re.compile(r"\b(?:a|an|the|one)$")


def parse(caption: str) -> Parsed:
    """Reads a caption of this grammar. Words outside the grammar are skipped."""
    text = " ".join(re.sub(r"[.,;]", " ", caption.lower()).split())
    mentions: list[Mention] = []
    seen: list[int] = []
    spans: list[tuple[int, int]] = []
    for match in _NOUN.finditer(text):
        size = _SIZE_OF.get(match[1] or "")
        kinds = [(mention.colour, mention.shape) for mention in mentions]
        if (match[2], match[3]) not in kinds:
            mentions.append(Mention(match[2], match[3], size))
            kinds.append((match[2], match[3]))
        seen.append(kinds.index((match[2], match[3])))
        spans.append(match.span())
    gaps = _gaps(text, spans)
    return Parsed(tuple(mentions), tuple(_relations(seen, gaps)), _time(text), _weather(text), _style_of(text))


def _gaps(text: str, spans: list[tuple[int, int]]) -> list[str]:
    """The text before, between and after the nouns, without the article in front of a noun."""
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return [_ARTICLES.sub("", text[end:start].strip()).strip() for end, start in zip(ends, starts, strict=True)]


def _relations(seen: list[int], gaps: list[str]) -> list[tuple[int, str, int]]:
    if len(seen) >= 2 and gaps[-1].startswith("in a row"):
        return [(i, "left of", j) for i, j in itertools.pairwise(seen)]
    found = []
    for position in range(1, len(seen)):
        gap, after = gaps[position], f"{gaps[position + 1]} "
        first, second = seen[position - 1], seen[position]
        if side := _side(gap, after):
            found.append((first, side, second))
        elif gap.endswith("with") and (behind := _phrase(after, at_start=True)):
            found.append((second, behind, first))
        elif between := _phrase(gap, at_start=False):
            found.append((first, between, second))
    return found


def _side(gap: str, after: str) -> str | None:
    """The relation told as "... on the left and ... on the right"."""
    for relation, phrase in SIDE_PHRASES.items():
        opposite = SIDE_PHRASES[OPPOSITE[relation]]
        if gap == f"{phrase} and" and after.startswith(f"{opposite} ") and not after.startswith(f"{opposite} of "):
            return relation
    return None


def _phrase(gap: str, at_start: bool) -> str | None:
    """The relation that the gap starts or ends with."""
    for relation, phrases in RELATION_PHRASES.items():
        for phrase in sorted(phrases, key=len, reverse=True):
            if f"{gap} ".startswith(f"{phrase} it ") if at_start else f" {gap}".endswith(f" {phrase}"):
                return relation
    return None


def _time(text: str) -> str:
    return next((time for time in ("dawn", "sunset", "night") if re.search(rf"\b{time}\b", text)), "day")


def _weather(text: str) -> str:
    return next((weather for weather in ("snow", "rain") if re.search(rf"\b{weather}(y|s)?\b", text)), "clear")


def _style_of(text: str) -> str:
    plain = re.sub(r"\bwatercolor\b", "watercolour", text)
    return next((style for style in ("watercolour", "neon", "pixel art", "sketch") if style in plain), "flat")
