"""Things for synthetic voices to say: prose, sentences from our own word lists, and words that mean nothing."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

PROSE = Path(__file__).with_name("prose.txt")
_LONGEST = 220  # characters of a piece that is spoken in one breath

_PEOPLE = (
    "the gardener",
    "my neighbour",
    "a young pilot",
    "the choir",
    "an old fisherman",
    "her brother",
    "the judge",
    "our teacher",
    "the clockmaker",
    "a stranger",
    "the twins",
    "their cousin",
    "the goalkeeper",
    "a nurse",
    "Victor",
    "Josephine",
    "the whole village",
    "nobody",
    "the chief engineer",
    "a flock of geese",
)
_ACTIONS = (
    "carried",
    "forgot",
    "photographed",
    "polished",
    "examined",
    "chased",
    "whispered about",
    "exchanged",
    "borrowed",
    "measured",
    "painted",
    "rescued",
    "unwrapped",
    "sketched",
    "described",
    "buried",
    "juggled",
    "thanked",
    "watched",
    "refused",
)
_THINGS = (
    "a basket of cherries",
    "the rusty bicycle",
    "three yellow envelopes",
    "the telescope",
    "a jar of honey",
    "the unfinished bridge",
    "a zebra",
    "the cheese",
    "his favourite jacket",
    "the long question",
    "a thick fog",
    "the treasure",
    "an orange umbrella",
    "the violin",
    "eighteen chairs",
    "the weather report",
    "a ship's whistle",
    "the ghost of a waltz",
    "their shoes",
    "the fifth chapter",
)
_PLACES = (
    "behind the cathedral",
    "at the edge of the marsh",
    "in the laundry",
    "under the wooden stairs",
    "near the airport",
    "between two mirrors",
    "on the northern beach",
    "in a church kitchen",
    "above the quiet valley",
    "by the zoo",
    "inside the museum",
    "along the railway",
    "across the square",
    "outside the theatre",
    "at the foot of the hill",
)
_TIMES = (
    "before sunrise",
    "on Thursday",
    "for the second time",
    "every other week",
    "just after midnight",
    "last autumn",
    "in the pouring rain",
    "without a word",
    "much too early",
    "since the year nineteen sixty two",
    "once more",
    "at noon",
)
_FRAMES = (
    "{time}, {who} {did} {what} {where}.",
    "{who} {did} {what}, and {who2} {did2} {what2}.",
    "Why was it that {who} {did} {what} {time}?",
    "{where}, {who} {did} {what}.",
    "No! {who} never {did} {what} {where}.",
    "It is said that {who} {did} {what} {time}; I think {who2} {did2} it too.",
    "Listen: {who} {did} {what}.",
)
_ONSETS = [*"bdfghklmnprstvz", "br", "dr", "fl", "gl", "kl", "kr", "pl", "pr", "sk", "sl", "sp", "st", "tr"]
_VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "au", "ei"]
_CODAS = ["", "", "", "n", "r", "s", "l", "m", "t", "k"]
_SCRIPTS = {
    "latin": (_ONSETS, _VOWELS, _CODAS),
    "cyrillic": (list("бвгджзклмнпрстфхчш"), list("аеиоуыяю"), ["", "", "н", "р", "с", "т", "й"]),
}


def english(rng: np.random.Generator, sentences: int) -> str:
    """``sentences`` grammatical, pointless English sentences."""
    pick = lambda words: words[rng.integers(len(words))]  # noqa: E731
    spoken = []
    for _ in range(sentences):
        text = pick(_FRAMES).format(
            who=pick(_PEOPLE),
            did=pick(_ACTIONS),
            what=pick(_THINGS),
            where=pick(_PLACES),
            time=pick(_TIMES),
            who2=pick(_PEOPLE),
            did2=pick(_ACTIONS),
            what2=pick(_THINGS),
        )
        spoken.append(text[0].upper() + text[1:])
    return " ".join(spoken)


@functools.cache
def prose() -> tuple[tuple[str, ...], ...]:
    """Every source of ``prose.txt`` as pieces of a sentence or a long clause, in their order."""
    paragraphs = re.split(r"^#.*$", PROSE.read_text(encoding="utf-8"), flags=re.M)
    return tuple(tuple(_pieces(paragraph.strip())) for paragraph in paragraphs if paragraph.strip())


def _pieces(paragraph: str) -> list[str]:
    pieces: list[str] = []
    for sentence in re.split(r"(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.)(?<=[.?!])\s+", paragraph.replace('"', "")):
        clauses = re.split(r"(?<=[;,:])\s+", sentence) if len(sentence) > _LONGEST else [sentence]
        for clause in clauses:
            joined = len(clauses) > 1 and pieces and pieces[-1][-1] in ";,:"
            if joined and len(pieces[-1]) + len(clause) < _LONGEST:
                pieces[-1] += " " + clause
            else:
                pieces.append(clause)
    return pieces


def passage(rng: np.random.Generator, pieces: int) -> list[str]:
    """So many pieces in a row of one source of prose, or as many made-up sentences: each every other time."""
    if rng.random() < 0.5:
        return re.split(r"(?<=[.?!])\s+", english(rng, pieces))
    sources = prose()
    source = sources[rng.integers(len(sources))]
    first = int(rng.integers(len(source)))
    return [source[(first + i) % len(source)] for i in range(pieces)]


def nonsense(rng: np.random.Generator, sentences: int, script: str = "latin") -> str:
    """``sentences`` of made-up words, for voices of any language that uses ``script``."""
    onsets, vowels, codas = _SCRIPTS[script]
    pick = lambda parts: parts[rng.integers(len(parts))]  # noqa: E731

    def word() -> str:
        return "".join(pick(onsets) + pick(vowels) + pick(codas) for _ in range(rng.integers(1, 4)))

    return " ".join(
        " ".join(word() for _ in range(rng.integers(4, 11))) + pick((".", ".", "?", ","))
        for _ in range(sentences)
    )
