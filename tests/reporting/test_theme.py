import plotly.graph_objects as go
import pytest

from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.reporting.figures import theme
from ichscope.reporting.figures.study import probability_bars

PROBABILITY = dict(zip(LABELS, (0.9, 0.01, 0.8, 0.1, 0.3, 0.02), strict=True))
THRESHOLDS = dict(zip(LABELS, (0.3, 0.5, 0.4, 0.5, 0.3, 0.5), strict=True))


def figure(probability: dict[str, float] = PROBABILITY, thresholds: dict[str, float] = THRESHOLDS) -> go.Figure:
    return probability_bars(probability, thresholds)


def test_every_label_has_a_colour_and_a_short_name_of_its_own() -> None:
    for table in (theme.LABEL_COLOURS, theme.SHORT_NAMES):
        assert tuple(table) == LABELS
        assert len(set(table.values())) == len(LABELS)


def test_every_line_of_a_dozen_other_labels_looks_different() -> None:
    found = theme.lines([*LABELS, *(f"finding {number}" for number in range(12))])
    assert [found[label] for label in LABELS] == [(theme.LABEL_COLOURS[label], "solid") for label in LABELS]
    assert len(set(found.values())) == len(LABELS) + 12


def test_red_stays_free_for_flagged() -> None:
    for colour in (*theme.LABEL_COLOURS.values(), *(colour for colour, _ in theme.OTHER_LINES)):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert not red > 2 * max(green, blue), colour


def test_bars_address_probabilities_by_name_whatever_the_order() -> None:
    shuffled = dict(reversed(PROBABILITY.items()))
    bar = figure(shuffled).data[0]
    assert dict(zip(bar.y, bar.x, strict=True)) == {DISPLAY_NAMES[label]: PROBABILITY[label] for label in LABELS}
    assert list(bar.y) == [DISPLAY_NAMES[label] for label in LABELS]


def test_ticks_stand_at_the_thresholds() -> None:
    ticks = figure().data[1]
    assert dict(zip(ticks.y, ticks.x, strict=True)) == {DISPLAY_NAMES[label]: THRESHOLDS[label] for label in LABELS}


def test_a_label_without_threshold_has_a_bar_and_no_tick() -> None:
    bar, ticks = figure({"any": 0.2, "subdural": 0.1}, {"any": 0.5}).data
    assert (len(bar.y), list(ticks.y)) == (2, [DISPLAY_NAMES["any"]])
    assert bar.hovertext[1] == "Subdural (SDH): 0.100"


@pytest.mark.parametrize(
    ("probability", "words"), [(0.31, "at or above its threshold"), (0.3, "at or above"), (0.29, "below its threshold")]
)
def test_hover_says_the_value_and_the_side_of_the_threshold(probability: float, words: str) -> None:
    hover = figure({"any": probability}, {"any": 0.3}).data[0].hovertext[0]
    assert hover.startswith(f"Any haemorrhage: {probability:.3f}")
    assert words in hover


def test_numbers_stand_in_a_column_that_no_tick_crosses() -> None:
    numbers = figure({"any": 0.9, "epidural": 0.01}, {"any": 0.3, "epidural": 1.0}).layout.annotations
    assert [(one.y, one.text) for one in numbers] == [("Any haemorrhage", "<b>0.900</b>"), ("Epidural (EDH)", "0.010")]
    assert {one.xanchor for one in numbers} == {"left"}
    assert min(one.x for one in numbers) > 1


def test_axes_have_a_title_and_the_template() -> None:
    layout = figure().layout
    assert "Probability" in layout.xaxis.title.text
    assert layout.template.layout.yaxis.automargin


def test_the_only_button_saves_the_chart() -> None:
    settings = theme.config("bars")
    assert settings["modeBarButtons"] == [["toImage"]]
    assert settings["displaylogo"] is False


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "<0.001"),
        (0.0004, "<0.001"),
        (0.001, "0.001"),
        (0.0314, "0.031"),
        (0.5, "0.500"),
        (0.9984, "0.998"),
        (0.9996, ">0.999"),
        (1.0, ">0.999"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert theme.number(value) == text
