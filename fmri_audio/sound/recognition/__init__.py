"""How many words a speech recogniser gets wrong in a sound, and which of the known sentences another one hears.

Whisper tiny.en counts words (:mod:`fmri_audio.sound.recognition.recogniser`): it has a language model, and so it can
guess a word from its neighbours or invent one. pocketsphinx with a grammar of the known sentences can invent none
(:mod:`fmri_audio.sound.recognition.sentences`): it confirms the order of conditions.
"""

from fmri_audio.sound.recognition.beyond import FEWEST_WORDS, Beyond, beyond_original
from fmri_audio.sound.recognition.passages import (
    MOST_SECONDS,
    SENTENCE,
    UNPREDICTABLE,
    Passage,
    passages,
)
from fmri_audio.sound.recognition.recogniser import NO_RECOGNISER, Recogniser, find_recogniser
from fmri_audio.sound.recognition.score import WordScore, word_score, word_scores, wrong_share
from fmri_audio.sound.recognition.sentences import (
    SentencesIdentified,
    identify_sentence,
    sentences_identified,
)
from fmri_audio.sound.recognition.words import (
    WORST_ORIGINAL,
    Words,
    heard,
    normalised,
    word_error_rate,
    word_errors,
)

__all__ = [
    "FEWEST_WORDS",
    "MOST_SECONDS",
    "NO_RECOGNISER",
    "SENTENCE",
    "UNPREDICTABLE",
    "WORST_ORIGINAL",
    "Beyond",
    "SentencesIdentified",
    "Passage",
    "Recogniser",
    "WordScore",
    "Words",
    "beyond_original",
    "find_recogniser",
    "heard",
    "sentences_identified",
    "identify_sentence",
    "normalised",
    "passages",
    "word_error_rate",
    "word_errors",
    "word_score",
    "word_scores",
    "wrong_share",
]
