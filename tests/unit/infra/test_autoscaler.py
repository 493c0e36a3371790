"""The autoscaler's algorithm as Kubernetes documents it, and the numbers that the forecaster's manifest gives it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.hpa import SYNC_S, Autoscaler, Policy, Rules, Scaler
from benchmarks.pods import IN_FLIGHT, cluster_of, scaler_of

FAST = Rules((Policy("Pods", 4, 15), Policy("Percent", 100, 15)), 0.0)
SLOW = Rules((Policy("Pods", 1, 60),), 300.0)
FORECASTER = scaler_of()


def scaler(up: Rules = FAST, down: Rules = SLOW, target: float = 10.0) -> Scaler:
    return Scaler(1, 50, {"x": target}, up, down)


def decided(scaler: Scaler, values: Sequence[float], pods: int) -> list[int]:
    """Pods after each sync, all of them ready at once."""
    controller, found = Autoscaler(scaler), []
    for place, value in enumerate(values):
        pods = controller.decide(place * SYNC_S, pods, pods, {"x": value})
        found.append(pods)
    return found


def test_the_numbers_are_read_from_the_manifest() -> None:
    assert (FORECASTER.least, FORECASTER.most) == (2, 10)
    assert FORECASTER.targets == {"cpu": 70.0, IN_FLIGHT: 8.0}
    assert FORECASTER.up == FAST
    assert FORECASTER.down == SLOW


def test_what_a_pod_asks_for_and_waits_for_is_read_from_the_manifests() -> None:
    cluster = cluster_of()
    assert cluster.requested == 1.0
    assert cluster.probes_s == 2 + 5
    assert cluster.window_s == 30


def test_a_manifest_with_another_choice_of_policies_is_refused() -> None:
    way = {"selectPolicy": "Min", "policies": [], "stabilizationWindowSeconds": 0}
    with pytest.raises(ValueError, match="selectPolicy is not Max"):
        Scaler.of({"spec": {"behavior": {"scaleUp": way, "scaleDown": way}}})


@pytest.mark.parametrize(
    ("pods", "value", "wanted"),
    [
        (4, 20.0, 8),  # the documentation's example: twice the target, twice the pods
        (5, 10.9, 5),  # within a tenth of the target nothing changes
        (5, 11.1, 6),
        (5, 14.0, 7),  # 1.4 * 5 is seven, and not the little more that it is in binary
        (4, 9.1, 4),
    ],
)
def test_pods_follow_the_ratio_of_metric_and_target(pods: int, value: float, wanted: int) -> None:
    assert decided(scaler(), [value], pods) == [wanted]


def test_of_several_metrics_the_one_that_asks_for_most_counts() -> None:
    both = Scaler(1, 50, {"x": 10.0, "y": 100.0}, FAST, SLOW)
    assert Autoscaler(both).decide(0.0, 4, 4, {"x": 10.0, "y": 150.0}) == 6
    assert Autoscaler(both).decide(0.0, 4, 4, {"x": 15.0, "y": 100.0}) == 6


def test_pods_that_are_not_ready_count_as_idle_when_more_are_asked_for() -> None:
    # Four ready with 15 each are 60, on eight 7.5 each: more are on their way already.
    assert Autoscaler(scaler()).decide(0.0, 8, 4, {"x": 15.0}) == 8
    assert Autoscaler(scaler()).decide(0.0, 8, 4, {"x": 40.0}) == 16
    assert Autoscaler(scaler()).decide(0.0, 3, 0, {"x": 0.0}) == 3


def test_policies_limit_a_step_and_the_one_that_allows_most_counts() -> None:
    assert decided(scaler(), [1000.0] * 3, 2) == [6, 12, 24]  # four more, then twice as many
    assert decided(scaler(down=Rules((Policy("Pods", 1, 60),), 0.0)), [0.0] * 9, 9) == [8, 8, 8, 8, 7, 7, 7, 7, 6]
    assert decided(scaler(down=Rules((Policy("Percent", 50, 15),), 0.0)), [0.0] * 3, 8) == [4, 2, 1]


def test_a_window_takes_the_most_cautious_of_its_recommendations() -> None:
    held = decided(scaler(), [20.0] + [1.0] * 25, 4)
    assert held[0] == 8
    assert held[1:20] == [8] * 19, "for 300 s the eight that were asked for stand"
    assert held[20] == 7
    late = decided(scaler(up=Rules((Policy("Pods", 4, 15),), 60.0)), [10.0, 20.0, 20.0, 20.0, 20.0, 20.0], 4)
    assert late == [4, 4, 4, 4, 8, 8]
