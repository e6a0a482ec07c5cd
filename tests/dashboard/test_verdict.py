from dataclasses import replace

import pytest

from dashboard.verdict import DISAGREE, agreement, in_reading_order, ordered, positive_subtypes, verdict
from ichscope.results import StudyResult
from tests.support.results_builder import model, result

HIGH, LOW = (0.1, 0.9, 0.2), (0.1, 0.2, 0.1)


@pytest.mark.parametrize(
    ("first", "second", "level", "title"),
    [
        (HIGH, HIGH, "flagged", "FLAGGED - possible haemorrhage"),
        (HIGH, LOW, "flagged", "FLAGGED - possible haemorrhage"),
        (LOW, HIGH, "flagged", "FLAGGED - possible haemorrhage"),
        (LOW, LOW, "clear", "Not flagged"),
    ],
)
def test_one_model_that_flags_is_enough(first, second, level, title) -> None:
    answer = verdict(result(model(along=first), model("cerebroscan", along=second, labels=("any",))))
    assert (answer.level, answer.title) == (level, title)


@pytest.mark.parametrize(("first", "second"), [(HIGH, LOW), (LOW, HIGH)])
def test_a_contradiction_is_in_the_headline(first, second) -> None:
    answer = verdict(result(model(along=first), model("cerebroscan", along=second)))
    assert DISAGREE in answer.lines[0]
    flagging, other = ("cranioscan", "cerebroscan") if first == HIGH else ("cerebroscan", "cranioscan")
    assert f"Flagged by {flagging} (0.900, threshold 0.500), not by {other} (0.200" in answer.lines[0]


def test_where_a_model_decides_the_other_is_a_second_opinion() -> None:
    decides = replace(model("cerebroscan", along=(0.1, 0.2, 0.1), labels=("any",)), decides=True)
    other = model("cranioscan", along=(0.1, 0.9, 0.2))
    said = verdict(result(decides, other))
    assert (said.level, said.title) == ("clear", "Not flagged")
    assert said.lines[0].startswith("Below threshold: cerebroscan (")
    assert "cranioscan (" in said.lines[0]
    assert said.lines[0].endswith(f"flags it, as a second opinion. {DISAGREE}")
    assert verdict(result(replace(decides, thresholds={"any": 0.15}), other)).level == "flagged"


def test_flagged_says_where_which_kind_and_at_which_operating_point() -> None:
    answer = verdict(result(model(probability={"subdural": 0.6, "intraparenchymal": 0.8}, along=HIGH)))
    expected = "Highest on slice 2 of 3. Subtypes: Intraparenchymal (IPH), Subdural (SDH). "
    assert answer.lines[1] == expected + "Operating point: sensitivity 0.95."


def test_not_flagged_never_says_normal() -> None:
    answer = verdict(result(model(along=LOW)))
    assert "does not rule out" in " ".join(answer.lines)
    assert "normal" not in " ".join((answer.title, *answer.lines)).lower()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (result(status="not analysed", reasons=("is empty", "Why not?")), "Is empty. Why not?"),
        (result(model(along=HIGH), status="not analysed", reasons=("The modality is MR.",)), "The modality is MR."),
        (result(status="analysed"), "No model is installed."),
    ],
)
def test_not_analysed_gives_the_reason_and_no_probability(given, line) -> None:
    answer = verdict(given)
    assert (answer.level, answer.title, answer.lines) == ("none", "NOT ANALYSED", (line,))


@pytest.mark.parametrize(
    ("along", "level", "text"),
    [
        ((HIGH, HIGH), "ok", "Both models flag this series."),
        ((LOW, LOW), "ok", "Neither model flags this series."),
        ((HIGH, LOW), "warning", DISAGREE),
        ((HIGH,), "ok", "One model only: no second opinion."),
    ],
)
def test_agreement(along, level, text) -> None:
    assert agreement([model(str(i), along=one) for i, one in enumerate(along)]) == (level, text)


def test_subtypes_are_judged_by_their_own_threshold_and_any_is_none_of_them() -> None:
    one = model(probability={"epidural": 0.5, "subdural": 0.49}, along=HIGH)
    assert positive_subtypes(one) == ["epidural"]


def test_the_model_that_tells_kinds_apart_comes_first() -> None:
    given = result(model("cerebroscan", labels=("any",)), model("cranioscan"))
    assert [one.name for one in ordered(given)] == ["cranioscan", "cerebroscan"]


def test_flagged_results_lead_and_nothing_is_lost() -> None:
    given = [
        result(status="not analysed", reasons=("empty",), name="broken"),
        result(model(along=LOW), name="clear"),
        result(model(along=HIGH), name="flagged"),
    ]
    studies = [StudyResult(series=(each,)) for each in given]
    assert [study.speaks.name for study in in_reading_order(studies)] == ["flagged", "clear", "broken"]
