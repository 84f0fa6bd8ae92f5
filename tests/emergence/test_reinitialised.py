"""Re-initialised language models: what differs between seeds, what does not, and what a run gives."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from lib.emergence.drawing_text import draw_texts
from lib.emergence.questions import mixture
from lib.emergence.reinitialised import TEXT_METRICS, TextOutcome, fresh_names, pretrain, reinitialised, run_share, run_shares
from lib.emergence.text_measures import clustered_share, failing_below, text_measurements, text_table
from lib.emergence.text_setup import TextSetup
from lib.population import unstack
from lib.seeds import Seeds

PARAMS = {
    "text_shares": [0.25, 0.5], "text_members": 4, "text_width": 8, "text_heads": 2, "text_layers": 2, "text_passage": 6,
    "text_first_steps": 5, "text_base_steps": 5, "text_base_share": 0.5, "text_base_rows": 8, "text_steps": 6,
    "text_batch_size": 4, "text_lr": 0.004, "text_weight": 0.25, "text_pool": 200, "text_questions": 40, "text_tau": 0.35,
    "text_checkpoints": 2, "members_at_once": 4, "device": "cpu",
}  # fmt: skip
SETUP = TextSetup.of(PARAMS)
SEEDS = Seeds(3)


@pytest.fixture(scope="module")
def base(corpus):
    return pretrain(SETUP, corpus, SEEDS)


@pytest.fixture(scope="module")
def outcome(corpus, base):
    return run_shares(SETUP, corpus, base, SEEDS)


def made_up(accuracy, lm):
    """An outcome with these values [S, K] after the only step."""
    rows = [
        {
            "share": share,
            "seed": seed,
            "step": 6,
            "accuracy": accuracy[place][seed],
            "nll": 1.0 + seed / 100,
            "lm": lm[place][seed],
        }
        for place, share in enumerate(SETUP.shares)
        for seed in range(len(accuracy[0]))
    ]
    return TextOutcome(pd.DataFrame(rows))


def test_seeds_start_apart_in_the_last_attention_and_the_head_alone(base):
    assert fresh_names(SETUP) == {"block1.qkv.weight", "block1.qkv.bias", "block1.out.weight", "block1.out.bias", "head.weight"}
    starts = unstack(reinitialised(SETUP, base.params, [SEEDS.child("seed", k) for k in range(3)]))
    for name, value in base.params.items():
        if name in fresh_names(SETUP):
            drawn = name.endswith("weight")  # fresh biases are all 0
            assert all(torch.equal(starts[0][name], other[name]) != drawn for other in starts[1:])
            assert not torch.equal(starts[0][name], value)
        else:
            assert all(torch.equal(start[name], value) for start in starts)


def test_a_seed_starts_from_the_same_parameters_whatever_else_is_run(base):
    few, many = (reinitialised(SETUP, base.params, [SEEDS.child("seed", k) for k in range(n)]) for n in (2, 5))
    assert all(torch.equal(few[name], many[name][:2]) for name in few)


def test_training_touches_the_rest_too(corpus, base):
    rows = mixture(corpus, 0.5, SETUP.pool, SETUP.passage, SETUP.weight, SEEDS)
    assert rows.inputs.shape[1] == SETUP.net().length
    moved = pretrain(replace(SETUP, base_steps=6), corpus, SEEDS).params
    assert all(not torch.equal(moved[name], base.params[name]) for name in moved)


def test_the_same_seed_gives_the_same_bits(corpus, base, outcome):
    again = run_shares(SETUP, corpus, pretrain(SETUP, corpus, SEEDS), SEEDS)
    pd.testing.assert_frame_equal(outcome.grades, again.grades, check_exact=True)
    other = run_share(0.25, SETUP, corpus, base, Seeds(4))
    assert not np.allclose(other["lm"], outcome.grades.loc[outcome.grades["share"] == 0.25, "lm"])


def test_seeds_do_not_depend_on_their_number(corpus, base, outcome):
    fewer = run_shares(replace(SETUP, members=2), corpus, base, SEEDS)
    alone = run_shares(replace(SETUP, members_at_once=1), corpus, base, SEEDS)
    for metric in TEXT_METRICS:
        assert fewer.final(metric) == pytest.approx(outcome.final(metric)[:, :2], abs=1e-4)
        assert alone.final(metric) == pytest.approx(outcome.final(metric), abs=1e-4)


def test_shares_may_be_run_anywhere_in_any_order(corpus, base, outcome):
    backwards = run_shares(SETUP, corpus, base, SEEDS, lambda function, shares: [function(share) for share in reversed(shares)])
    assert np.array_equal(backwards.final("lm"), outcome.final("lm"))


def test_tables_are_tidy_and_within_bounds(outcome, base):
    assert outcome.shares == SETUP.shares
    assert len(outcome.grades) == 2 * SETUP.members * SETUP.checkpoints
    assert list(outcome.grades) == ["share", "seed", "step", *TEXT_METRICS]
    assert outcome.grades["accuracy"].between(0, 1).all()
    assert (outcome.grades[["nll", "lm"]] > 0).all(axis=None)
    assert outcome.curves(0.5, "lm").shape == (SETUP.checkpoints, SETUP.members)
    assert 0 <= base.accuracy <= 1
    assert base.lm > 0


def test_a_network_that_never_learned_knows_nothing(corpus, base):
    still = run_share(0.5, replace(SETUP, lr=0.0, questions=400), corpus, base, SEEDS)
    assert np.allclose(still["nll"], np.log(4), atol=0.2)
    assert abs(still["accuracy"].mean() - 0.25) < 0.08


def test_a_seed_that_diverges_is_nan_and_left_out(corpus, base):
    grades = run_share(0.25, replace(SETUP, lr=1e30), corpus, base, SEEDS)
    assert grades[list(TEXT_METRICS)].isna().all(axis=None)
    with pytest.raises(ValueError, match="outcome: got 4 seeds, all of which diverged"):
        text_table(TextOutcome(grades), SETUP, SEEDS)


def test_two_clusters_and_one_are_told_apart(corpus, base):
    rng = np.random.default_rng(0)
    split = np.concatenate([rng.normal(0.25, 0.01, 16), rng.normal(0.55, 0.01, 16)])
    accuracy = np.stack([rng.normal(0.25, 0.01, 32), split])
    found = text_measurements(made_up(accuracy, rng.normal(2, 0.01, (2, 32))), SETUP, base, corpus, SEEDS)
    assert found["text/share"].value == 0.5
    assert (found["text/below"].value, found["text/above"].value) == (0.5, 0.5)
    assert found["text/dip_p_any"].value < 0.05 < found["text_lm/dip_p"].value
    assert found["text/p_success_at_0.25"].value == 0
    assert found["text/change_p_success"].value == 0.5
    assert found["text/change_p_success"].low > 0.2
    assert found["text_lm/gap_over_mean"].value < 0.02


def test_clusters_are_counted_for_every_share():
    accuracy, lm = np.array([[0.25] * 8, [0.25] * 4 + [0.6] * 4]), np.linspace(2, 2.1, 16).reshape(2, 8)
    table = text_table(made_up(accuracy, lm), SETUP, SEEDS).set_index("share")
    assert table["above"].tolist() == [0, 0.5]
    assert (table[["below", "between", "above"]].sum(axis=1) == 1).all()
    assert table["mean"].tolist() == pytest.approx([0.25, 0.425])
    assert clustered_share(accuracy, SETUP) == 1


def test_guessing_lies_below_the_bound_of_failures():
    assert failing_below(replace(SETUP, questions=400)) == pytest.approx(0.25 + 2 * 0.02165, abs=1e-4)


def test_measurements_of_a_real_run(outcome, base, corpus):
    found = text_measurements(outcome, SETUP, base, corpus, SEEDS)
    assert found["text/diverged"].value == 0
    assert sum(found[f"text/{name}"].value for name in ("below", "between", "above")) == pytest.approx(1)
    assert found["text/base_accuracy"].value == base.accuracy
    assert all(name.startswith("text") for name in found)


def test_the_figure_shows_every_share_and_chance(outcome, base):
    fig = draw_texts(outcome, SETUP, base)
    assert len(fig.axes) == 2 * len(SETUP.shares)
    assert fig.axes[-2].get_xlabel() == "accuracy on held-out questions"
    assert fig.axes[-1].get_xlabel() == "language-model loss (nats per sign)"
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["chance", "success above 0.35", "base model"]
    plt.close(fig)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_shares": []}, r"shares: got \[\], allowed are ascending ones within 0 < share < 1"),
        ({"text_shares": [0.0, 0.5]}, "shares: got"),
        ({"text_shares": [0.5, 1.0]}, "shares: got"),
        ({"text_shares": [0.5, 0.25]}, "shares: got"),
        ({"text_shares": [0.001]}, "pool: got 200, allowed are enough for a question at the share 0.001"),
        ({"text_members": 0}, "members: got 0"),
        ({"text_passage": 0}, "passage: got 0"),
        ({"text_tau": 0.25}, "tau: got 0.25, allowed is 0.25 < tau < 1"),
        ({"text_tau": 1.0}, "tau: got 1.0"),
        ({"text_weight": 0.0}, "weight: got 0.0"),
        ({"text_base_share": 1.0}, "base_share: got 1.0"),
        ({"text_first_steps": -1}, "first_steps: got -1, allowed are whole numbers >= 0"),
        ({"text_checkpoints": 7}, "checkpoints: got 7, allowed are at most steps = 6"),
        ({"text_width": 9}, "width: got 9, allowed are multiples of heads"),
    ],
)
def test_setups_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TextSetup.of(PARAMS | change)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_shares_without_questions_or_text_are_refused(share, corpus, base):
    with pytest.raises(ValueError, match=f"share: got {share}, allowed is 0 < share < 1"):
        run_share(share, SETUP, corpus, base, SEEDS)


def test_unknown_shares_and_metrics_are_refused(outcome):
    with pytest.raises(ValueError, match=r"share: got 0.1, allowed are 0.25, 0.5"):
        outcome.curves(0.1)
    with pytest.raises(ValueError, match="metric: got 'exact', allowed are accuracy, nll, lm"):
        outcome.final("exact")
