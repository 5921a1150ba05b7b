"""What the presets under scenarios/reply show, against what theory and a re-implementation say."""

import numpy as np
import pytest
from shared_data import shared

from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.scenario import scenario
from desim.scenario.setting import Setting


def setting(preset: str, label: str, **values: object) -> Setting:
    plain = {"sweep": {}, "seeds": [0], **values}
    read = scenario.read(f"reply/{preset}").with_values(plain)
    [found] = [t.setting for t in read.trials() if t.setting.algorithm.name == label]
    return found


def trained(preset: str, label: str, **values: object) -> Outcome:
    folder = {"problem.dataset.folder": str(shared("data/mnist"))}
    return Simulation(setting(preset, label, **folder, **values)).run()


@pytest.mark.slow
@pytest.mark.parametrize("delta", [0.2, 0.4])
def test_a_convex_loss_nears_its_optimum_at_least_as_fast_as_the_reply_says(delta: float) -> None:
    """f of the average model less f* is O(T^(-delta/2)); the start's share falls as T^(delta - 1).

    With the preset's constants it is that share which is left after so few rounds.
    """
    horizons, gaps = [300, 1000, 3000], []
    for rounds in horizons:
        changes = {"stop.rounds": rounds, "evaluate.every_rounds": rounds}
        found = trained("convex-rate", f"delta = {delta}", **changes)
        assert found.optimal_loss is not None
        gaps.append(found.rows[-1]["train_loss"] - found.optimal_loss)
    assert min(gaps) > 0
    slope = np.polyfit(np.log(horizons), np.log(gaps), 1)[0]
    assert delta - 1 - 0.05 <= slope <= -delta / 2


#: Training loss after T = 300 rounds in a re-implementation, one graph and one start; and how far
#: another seed may be from it. With 127 levels three seeds here are 3 to 6 % below.
RELATIVE = {"2047 levels": (1.493, 0.03), "127 levels": (1.645, 0.06)}


@pytest.mark.slow
@pytest.mark.parametrize("label", RELATIVE)
def test_a_relative_error_does_little_harm_with_many_levels(label: str) -> None:
    found = trained("quantizers", label)
    loss, tolerance = RELATIVE[label]
    assert found.rows[-1]["train_loss"] == pytest.approx(loss, rel=tolerance)


@pytest.mark.slow
def test_with_seven_levels_the_noise_is_larger_than_the_model() -> None:
    """||Q(x) - x||^2 is 24 times ||x||^2 there: models grow instead of learning."""
    found = trained("quantizers", "7 levels", **{"stop.rounds": 100})
    losses = [row["train_loss"] for row in found.rows]
    assert losses[-1] > 2 * min(losses)


@pytest.mark.parametrize(
    ("label", "most"), [("DSGD", 0.02), ("async DSGD", 0.03), ("QuanTimed-DSGD", 0.05)]
)
def test_averaging_costs_little_time(label: str, most: float) -> None:
    """On a Raspberry Pi 4, 19 neighbours' models of 39,760 parameters: a few hundredths."""
    free = setting("averaging-cost", label, **{"cluster.charge_memory": False})
    costly = setting("averaging-cost", label)
    times_s = [Simulation(given, train=False).run().time_s for given in (free, costly)]
    assert 1 < times_s[1] / times_s[0] < 1 + most
