import pytest

from agent.contract.catalogue import catalogue
from agent.link.slot_figures import Probed, slot_figures


def test_three_answers_give_median_percentile_jitter_and_no_loss() -> None:
    figures = slot_figures([Probed(0, 80.0), Probed(1, 300.0), Probed(0, 90.0)], {1: 310.0})
    assert figures == {
        "link_up": 1,
        "rtt_ms": 90.0,
        "rtt_p95_ms": 300.0,
        "jitter_ms": 10.0,
        "loss_ratio": 0.0,
    }


def test_an_answer_of_three_is_up_with_loss() -> None:
    figures = slot_figures([Probed(0, None), Probed(1, 50.0), Probed(0, None)], {})
    assert figures == {"link_up": 1, "rtt_ms": 50.0, "rtt_p95_ms": 50.0, "loss_ratio": pytest.approx(2 / 3)}


def test_none_answered_is_down_without_times() -> None:
    assert slot_figures([Probed(0, None), Probed(1, None)], {0: 1.0}) == {"link_up": 0, "loss_ratio": 1.0}


def test_no_probes_say_nothing() -> None:
    assert slot_figures([], {0: 1.0}) == {}


def test_a_dead_target_is_no_loss_of_the_link() -> None:
    figures = slot_figures([Probed(0, None), Probed(1, 50.0), Probed(1, 52.0)], {}, dead=frozenset({0}))
    assert figures["loss_ratio"] == 0
    assert slot_figures([Probed(0, None)], {}, dead=frozenset({0})) == {"link_up": 0}


def test_jitter_never_compares_two_targets_or_over_a_lost_probe() -> None:
    assert "jitter_ms" not in slot_figures([Probed(0, 80.0), Probed(1, 300.0)], {})
    assert "jitter_ms" not in slot_figures([Probed(0, None), Probed(0, 90.0)], {0: 10.0})


def test_the_catalogue_keeps_every_figure() -> None:
    figures = slot_figures([Probed(0, 80.04), Probed(1, 300.0), Probed(0, None)], {0: 70.0})
    assert catalogue().clean(dict(figures)) == {
        "link_up": 1, "rtt_ms": 190.0, "rtt_p95_ms": 300.0, "jitter_ms": 10.0, "loss_ratio": 0.333,
    }  # fmt: skip
