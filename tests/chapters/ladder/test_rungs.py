"""What the chapter on the ladder says of its tables, whichever way they turn out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fmri_audio.chapters.ladder import rungs as chapter
from fmri_audio.chapters.ladder import targets, voxels
from fmri_audio.experiments import ladder_answer as answer
from fmri_audio.experiments.ladder import Condition, Ladder, Score
from tests.experiments.test_ladder import windows

WINDOWS = windows()


def condition(
    name: str, rung: str, arm: str, made: str, asked: float | None = None, **more: object
) -> Condition:
    known = {
        "sigma": None,
        "bits_per_tr": None,
        "voxels": "",
        "map": "",
        "noise": None,
        "subjects": None,
        "control": "",
        **more,
    }
    second = None if asked is None else asked / 1.5
    return Condition(
        name, rung, arm, made, asked, asked, second, weights="", seed=0, code="x", made_by="x", **known
    )  # type: ignore[arg-type]


def table() -> Ladder:
    """The mel arm gains by training at every width, the frozen one at none."""
    wrong = {"original/original": 2.0, "floor/noise": 20.0, "codec/6": 4.0}
    conditions = [
        condition("original/original", "original", "original", ""),
        condition("floor/noise", "floor", "noise", ""),
        condition("codec/6", "codec", "encodec", "6 kbps", bits_per_tr=9000.0),
    ]
    for arm, gain in (("mel", 3.0), ("frozen", 0.0)):
        for asked, lost in ((128.0, 12.0), (256.0, 7.0), (512.0, 5.2), (844.0, 2.4)):
            for made, less in (("pca", 0.0), ("trained", gain)):
                name = f"code/{arm}/{made}/{asked:g}"
                conditions.append(condition(name, "code", arm, made, asked, sigma=0.0))
                wrong[name] = max(2.0, lost - less)
        name = f"code/{arm}/trained/512/noise"
        conditions.append(condition(name, "code", arm, "trained", 512.0, sigma=0.1, bits_per_tr=1700.0))
        wrong[name] = 6.0
    name = "device/mel"
    conditions.append(
        condition(
            name,
            "device",
            "mel",
            "trained",
            128.0,
            map="ideal",
            voxels="between",
            noise=1.0,
            bits_per_tr=90.0,
        )
    )
    wrong[name] = 15.0
    scores = [
        Score(one, window.window, value + 0.1 * (index % 3), 1 - value / 20 + 0.001 * (index % 5), 0.5, 2.0)
        for one, value in wrong.items()
        for index, window in enumerate(WINDOWS)
    ]
    return Ladder(WINDOWS, conditions, scores)


def test_words_are_counted_beyond_the_original_and_every_arm_has_its_row() -> None:
    frame = chapter.by_width(table())
    assert len(frame) == 19 and set(frame["made"]) == {
        "trained",
        "principal components, same way back",
        "noise",
    }
    mel = frame[(frame["arm"] == "mel + Griffin-Lim") & (frame["made"] == "trained") & frame["σ"].isna()]
    assert mel["numbers per TR"].tolist() == [128, 256, 512, 844]
    assert mel["words wrong"].tolist() == pytest.approx([0.35, 0.1, 0.01, 0.0])
    assert answer.arms(table()) == ["mel", "frozen"]
    assert chapter.floors(table())["words wrong"].tolist() == pytest.approx([0, 0.1, 0.9], abs=0.01)


def test_an_arm_beats_its_components_only_where_both_intervals_say_so() -> None:
    found = chapter.against_pca(table())
    assert found.loc[found["arm"] == "mel + Griffin-Lim", "beats"].tolist() == [True] * 3
    assert not found.loc[found["arm"] != "mel + Griffin-Lim", "beats"].any()


def test_the_figure_has_a_line_for_every_arm_and_marks_for_codecs() -> None:
    drawn = chapter.figure(table())
    left, right = drawn.axes
    assert [line.get_label() for line in left.get_lines() if not str(line.get_label()).startswith("_")] == [
        "mel + Griffin-Lim",
        "EnCodec latents, codec frozen",
    ]
    assert right.get_xlabel() == "bits per TR" and any(
        line.get_label() == "EnCodec" for line in right.get_lines()
    )


def test_voxels_have_their_rows_and_groups_come_apart() -> None:
    frame = chapter.voxels(table())
    assert frame[["what", "map", "decoded"]].to_numpy().tolist() == [["device", "ideal", "as read"]]
    kinds = chapter.by_kind(table())
    assert len(kinds) == 8 and set(kinds["the play's engine that no training heard"]) == {
        "too few to say (0 words)"
    }


def with_more(more: dict[str, tuple[Condition, float]]) -> Ladder:
    """The table with other conditions, and the words wrong of each."""
    known = table()
    scores = [
        Score(name, window.window, value + 0.1 * (index % 3), 1 - value / 20 + 0.001 * (index % 5), 0.5, 2.0)
        for name, (_, value) in more.items()
        for index, window in enumerate(WINDOWS)
    ]
    conditions = [*known.conditions, *(one for one, _ in more.values())]
    return Ladder(WINDOWS, conditions, [*known.scores, *scores])


def test_what_the_text_says_follows_from_the_tables() -> None:
    said = chapter.facts(table())
    assert (said["beats"], said["compared"]) == (3, 6)
    assert str(said["beaten_not"]).count("frozen") == 3
    assert str(said["needed"]).startswith("mel + Griffin-Lim: 512 numbers per TR")
    assert said["needed_recorded"] == (
        "512 numbers per TR (mel + Griffin-Lim; 0.01 (0.01 to 0.01) of the words lost)"
    )
    assert said["floor_estoi"] == pytest.approx(0, abs=0.01) and said["floor_stoi"] == 0.5
    assert said["frozen_verdict"] == "Not measured."
    assert f"{len(WINDOWS)} windows" in chapter.caption(table())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(1.0, "fine-tuning is better"), (9.0, "fine-tuning is worse"), (5.2, "there is no verdict")],
)
def test_a_codec_that_moves_gets_the_verdict_of_its_intervals(wrong: float, said: str) -> None:
    name = "code/finetuned/trained/512"
    moving = condition(name, "code", "finetuned", "trained", 512.0, sigma=0.0)
    assert said in chapter.moving_verdict(with_more({name: (moving, wrong)}))


def test_a_stream_stands_beside_its_channel() -> None:
    name = "code/mel/trained/512/dithered"
    sent = condition(name, "code", "mel", "trained", 512.0, sigma=0.1, bits_per_tr=1800.0, control="dithered")
    [row] = chapter.streams(with_more({name: (sent, 6.0)})).to_dict("records")
    assert (row["bits per TR"], row["of the channel"]) == (1800.0, 1700.0)
    assert row["words wrong, less the channel's"] == pytest.approx(0)
    assert chapter.streams(table()).empty


def test_brains_are_marked_on_the_axis_of_bits_alone() -> None:
    from tests.chapters.ladder.test_voxels import row  # which takes its tables from here

    some = [row(voxels, 1, bits) for voxels, bits in (("smooth", 17.0), ("between", 30.0), ("fine", 47.0))]
    ladder = replace(table(), told=some)
    assert answer.brains_range(ladder) == (17.0, 47.0) and answer.brains_range(table()) is None
    left, right = chapter.figure(ladder).axes
    assert len(right.patches) == 1 and not left.patches


def test_few_words_say_nothing_of_their_kind_of_speech() -> None:
    few = [replace(one, said=1 if one.group == "play" else one.said) for one in WINDOWS]
    ladder = replace(table(), windows=few)
    assert "45 words are too few" in str(chapter.facts(ladder)["needed_play"])
    assert (
        "recorded speech: 45 windows, 3 voices, 900 words, 300 of them of one voice"
        in chapter.kinds_caption(ladder)
    )
    kinds = chapter.by_kind(ladder)
    assert set(kinds["the play's other voices"]) == {"too few to say (45 words)"}
    assert kinds["recorded speech"].tolist()[0].startswith("0.35 (0.35 to 0.35)")


def test_runs_that_differ_in_one_thing_are_named_and_held_to_the_frozen_arm() -> None:
    more = {}
    for arm, made in (("frozen", "inner448"), ("finetuned", "random"), ("finetuned", "steps1050-seed2")):
        name = f"code/{arm}/{made}/512"
        more[name] = (condition(name, "code", arm, made, 512.0, sigma=0.0), 6.0)
    frame = chapter.moving(with_more(more))
    assert frame["trained"].tolist() == [
        "with 448 channels inside",
        "begun from a codec of random weights",
        "trained for 1050 steps, from seed 2",
    ]
    assert frame["words wrong"].tolist() == pytest.approx([0.04] * 3)
    name = "code/mel/sound10/512"
    less = with_more({name: (condition(name, "code", "mel", "sound10", 512.0, sigma=0.0), 4.0)})
    assert chapter.sound_said(less).startswith("trained on 10 min of sound: +0.09 of the words wrong")
    assert chapter.sound_said(table()) == "not measured"


def test_sounds_without_words_stand_below_every_arm() -> None:
    name = "device/mel/prior"
    ladder = with_more({name: (condition(name, "device", "mel", "trained", 128.0, control="prior"), 20.0)})
    last = chapter.by_width(ladder).tail(2)
    assert last["arm"].tolist() == ["no words"] * 2 and last["words wrong"].tolist() == pytest.approx(
        [0.9] * 2, abs=0.01
    )
    assert last["made"].tolist()[1] == "mean latent: mel + Griffin-Lim told nothing, 128 numbers"
    assert chapter.by_width(ladder)["σ"].max() == 0.1


def test_marks_are_reached_by_intervals() -> None:
    frame = targets.table(table()).set_index("mark")["reached"]
    assert frame.tolist()[0] == "no" and "3 of 6" in targets.table(table())["measured"].tolist()
    best = next(mark for mark in frame.index if str(mark).startswith("the best arm at 844"))
    assert frame[best] == "yes"


def test_what_stands_on_fewer_windows_is_said() -> None:
    assert chapter.swept(table()) == "Every condition stands on all of them."
    name = "code/mel/start/512"
    ladder = with_more({name: (condition(name, "code", "mel", "start", 512.0, sigma=0.0), 9.0)})
    kept = [one for one in ladder.scores if one.condition != name or one.window.startswith("0-")]
    fewer = replace(ladder, scores=kept)
    assert "everything else on 15, spread over all voices: 2 minutes, 300 words" in chapter.swept(fewer)
    assert chapter.by_width(fewer)["windows"].min() == 15


def test_one_code_for_every_width_is_held_to_one_for_that_width_alone() -> None:
    name = "code/mel/single/256"
    ladder = with_more({name: (condition(name, "code", "mel", "single", 256.0, sigma=0.0), 3.0)})
    [row] = chapter.nesting(ladder).to_dict("records")
    assert row["words wrong"] == pytest.approx(0.05) and row["ESTOI"] == pytest.approx(-0.05)
    assert chapter.nesting(table()).empty


def test_equal_samples_and_equal_compute_have_to_agree() -> None:
    more = {}
    for made, wrong in (("trained", 1.0), ("steps1050", 9.0)):
        name = f"code/finetuned/{made}/512"
        more[name] = (condition(name, "code", "finetuned", made, 512.0, sigma=0.0), wrong)
    said = chapter.moving_verdict(with_more(more))
    assert "at equal samples by" in said and "at equal compute by" in said and "there is no verdict" in said


def test_the_headline_has_bits_and_a_panel_for_every_width() -> None:
    axes = voxels.headline(table()).axes
    assert len(axes) == 2 and axes[0].get_xlabel() == "bits per TR" and "128 numbers" in axes[1].get_title()


def test_a_wider_grid_is_not_ranked_as_the_width_that_was_asked_for() -> None:
    name = "code/finetuned-linear/trained/844"
    wide = condition(name, "code", "finetuned-linear", "trained", 844.0, sigma=0.0)
    ladder = with_more({name: (replace(wide, per_tr=900.0), 2.0)})
    best = next(one for one in targets.table(ladder)["mark"] if str(one).startswith("the best arm"))
    assert "mel + Griffin-Lim" in str(best)
