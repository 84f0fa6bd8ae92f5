"""The soft-labels explorer as plain functions: labels, bars, numbers, the nearest measured points, students trained now."""

import math
import runpy
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from lib.distillation.labels import entropy, hard, soften, swap_k, top_k
from lib.explorers import soft_labels as method
from lib.explorers.readout import Readout
from lib.explorers.soft_labels_charts import SHOWN, charts
from lib.explorers.soft_labels_state import Scene, State, Trained
from lib.explorers.soft_labels_still import draw_still
from lib.seeds import Seeds


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "soft_labels_scene.py"))


@pytest.fixture(scope="module")
def scene(built):
    return built["scene"]


@pytest.fixture(scope="module")
def parts(built):
    return built["parts"]


@pytest.fixture(scope="module")
def wide():
    """Twenty classes, three random images of each but the last, which has none; nothing measured but what must be."""
    rng, labels = Seeds(4).numpy(), torch.arange(19).repeat_interleave(3)
    table = pd.DataFrame({"ipc": [3], "epoch": 1, "temperature": 1.0, "accuracy": 40.0, "low": 39.0, "high": 41.0})
    logits = torch.from_numpy(rng.normal(size=(2, 57, 20), scale=2.0))
    images = torch.from_numpy(rng.random((57, 4, 6)))
    return Scene.of(images, labels, [f"<{c}>" for c in range(20)], logits, [0, 1], [5.0, 60.0], table, table)


def says(scene, state):
    return {line.title: line for line in method.readouts(scene, method.frame(scene, state))}


def test_the_first_state_is_one_of_the_scene(scene, wide):
    for each in (scene, wide):
        method.check(each, each.first)
    assert scene.first.ipc == 2, "the budget of these images"
    assert scene.first.epoch == 2, "half way"
    nats = entropy(soften(scene.logits[2]))
    assert nats[scene.first.image] == nats.max()


def test_labels_are_softened_then_swapped_then_cut(scene):
    z = scene.logits[3]
    for state in (scene.first, replace(scene.first, epoch=4)):
        q = soften(scene.logits[scene.epochs.index(state.epoch)])
        assert torch.equal(method.labels_of(scene, state).now, q)
    state = State(epoch=4, top=3, ipc=2, temperature=4.0, swap=2)
    labels = method.labels_of(scene, state)
    assert torch.equal(labels.now, top_k(swap_k(soften(z, 4.0), 2), 3, scene.labels))
    assert torch.equal(labels.before, soften(z, 4.0))
    assert torch.equal(labels.past, soften(scene.logits, 4.0))
    assert torch.equal(method.labels_of(scene, replace(state, top=0)).now, hard(scene.labels, 10))


def test_entropy_and_errors_are_those_of_the_labels_as_set(scene):
    cut = replace(scene.first, top=0)
    labels = method.labels_of(scene, cut)
    assert not labels.wrong.any()
    assert labels.entropies.abs().max() == 0
    swapped = method.labels_of(scene, replace(scene.first, swap=1))
    assert swapped.wrong.sum() >= method.labels_of(scene, scene.first).wrong.logical_not().sum(), "the top has gone elsewhere"
    assert torch.allclose(swapped.entropies, method.labels_of(scene, scene.first).entropies)
    softer = [float(method.labels_of(scene, replace(scene.first, temperature=t)).entropies.mean()) for t in (0.5, 1, 4, 16)]
    assert softer == sorted(softer)


def test_bars_of_few_classes_keep_their_order(scene):
    state = replace(scene.first, swap=1, image=5)
    shown = method.frame(scene, state)
    assert [bar.name for bar in shown.bars] == list(scene.class_names)
    assert [bar.true for bar in shown.bars] == [c == int(scene.labels[5]) for c in range(10)]
    assert sum(bar.share for bar in shown.bars) == pytest.approx(1)
    for bar in shown.bars:
        assert bar.before == bar.past[scene.epochs.index(state.epoch)]
    assert {bar.share for bar in shown.bars} == {bar.before for bar in shown.bars}, "a swap moves shares, it makes none"


def test_bars_of_many_classes_are_the_largest_the_true_one_and_the_others(wide):
    for image in range(len(wide.labels)):
        bars = method.frame(wide, replace(wide.first, image=image)).bars
        *single, rest = bars
        assert len(bars) == method.MOST_BARS
        assert rest.name == "7 others"
        assert [bar.name for bar in single if bar.true] == [f"<{int(wide.labels[image])}>"]
        shares = [bar.share for bar in single]
        assert shares[:-1] == sorted(shares[:-1], reverse=True)
        assert sum(bar.share for bar in bars) == pytest.approx(1)
        assert sum(bar.past[0] for bar in bars) == pytest.approx(1)
        largest = method.labels_of(wide, wide.first).now[image].topk(12).values.tolist()
        assert shares[:12] == largest


def test_the_leak_is_the_subject_s_mean_share_in_the_labels_of_other_classes(scene, wide):
    for each in (scene, wide):
        q, subject = method.labels_of(each, each.first).now, 3
        expected = [0.0] * each.classes
        for c in set(each.labels.tolist()) - {subject}:
            expected[c] = float(q[each.labels == c, subject].mean())
        assert method.frame(each, replace(each.first, subject=3)).leak.tolist() == pytest.approx(expected)


def test_measured_curves_are_exact_or_the_nearest_and_named(scene):
    exact = method.frame(scene, State(epoch=16, top=10, ipc=5, temperature=2.0, subject=3))
    assert (exact.bought.key, exact.bought.exact) == ((16, 2.0), True)
    assert exact.bought.curve == scene.students[16, 2.0]
    for (epoch, temperature), key in {(2, 8.0): (2, 1.0), (8, 4.0): (16, 4.0), (16, 2.5): (16, 2.0)}.items():
        found = method.frame(scene, State(epoch=epoch, top=10, ipc=5, temperature=temperature, subject=3))
        assert (found.bought.key, found.bought.exact) == (key, False)
        assert f"nearest measured: epoch {key[0]}, T = {key[1]:g}" in method.nearest_text(found)
    assert exact.swap.key == 2
    assert not exact.swap.exact, "swaps were measured at another budget"
    assert exact.top.key == (2, 4)
    assert [point.at for point in exact.zero.curve] == ["control", "no image", "no label", "hard, no image"]


def test_readouts_say_what_the_state_is(scene):
    state = State(epoch=16, top=10, ipc=5, temperature=2.0, subject=3, image=0)
    lines, q = says(scene, state), method.labels_of(scene, state).now
    assert lines["entropy"].value == f"{float(entropy(q)[0]):.2f} nats"
    assert f"{math.log(10):.2f}" in lines["entropy"].detail
    assert lines["all labels"].value == f"{int((q.argmax(1) != scene.labels).sum())} of 20 wrong"
    assert lines["expert"].value == f"{scene.expert_accuracy[-1]:.1f} %"
    point, base = scene.students[16, 2.0][2], scene.hard[2]
    assert lines["they buy"] == Readout(
        "they buy", f"{point.accuracy:.1f} %",
        f"at 5 images per class, {point.accuracy - base.accuracy:+.1f} points on hard labels; measured: epoch 16, T = 2",
    )  # fmt: skip
    changed = says(scene, replace(state, top=2))
    assert changed["they buy"].warn
    assert "before swap and cut" in changed["they buy"].detail
    assert "not renormalised" in changed["entropy"].detail
    assert not says(scene, replace(state, swap=10))["they buy"].warn, "swapping the smallest with itself changes nothing"


def test_right_and_wrong_are_told_apart(scene):
    state = replace(scene.first, epoch=1)
    wrong = method.labels_of(scene, state).wrong
    assert 0 < wrong.sum() < len(wrong)
    for image, is_wrong in enumerate(wrong.tolist()):
        detail = says(scene, replace(state, image=image))["largest"].detail
        assert detail == (f"wrong, true is {scene.class_names[int(scene.labels[image])]}" if is_wrong else "right")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epoch": 3}, "epoch: got 3, allowed are 0, 1, 2, 4, 8, 16"),
        ({"ipc": 4}, "ipc: got 4, allowed are 1, 2, 5"),
        ({"subject": 4}, "subject: got 4, allowed are 3, 8"),
        ({"image": 20}, "image: got 20, allowed are whole numbers 0 to 19"),
        ({"image": None}, "image: got None"),
        ({"swap": 11}, "swap: got 11, allowed are whole numbers 0 to 10"),
        ({"swap": -1}, "swap: got -1"),
        ({"top": 2.5}, "top: got 2.5"),
        ({"temperature": 0.1}, "temperature: got 0.1, allowed are 0.5 to 16"),
        ({"temperature": math.nan}, "temperature: got nan"),
    ],
)
def test_states_that_cannot_be_are_refused_in_one_line(scene, change, words):
    with pytest.raises(ValueError, match=words) as refusal:
        method.frame(scene, replace(scene.first, **change))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("images", lambda x: x + 1, "images: got shape"),
        ("images", lambda x: x.flatten(1), "images: got shape"),
        ("images", lambda x: x * math.nan, "images: got shape"),
        ("labels", lambda y: y[:5], "labels: got 5 for 20 images"),
        ("labels", lambda y: y.float(), "labels: got torch.float32"),
        ("labels", lambda y: y + 1, "labels: got 1 to 10"),
        ("class_names", lambda names: names[:9], "labels: got 0 to 9"),
        ("class_names", lambda names: ["same"] * 10, "class_names: got same"),
        ("logits", lambda z: z[:, :, :9], "logits: got shape"),
        ("logits", lambda z: z / 0, "logits: got shape"),
        ("epochs", lambda epochs: epochs[1:], "epochs: got"),
        ("epochs", lambda epochs: epochs[::-1], "epochs: got"),
        ("expert_accuracy", lambda a: a[1:], "expert_accuracy: got"),
        ("expert_accuracy", lambda a: a + 100, "expert_accuracy: got"),
        ("students", lambda t: t.assign(epoch=-1), "students: got two rows"),
        ("hard", lambda t: t.drop(columns="low"), "hard: got 3 rows"),
        ("swap", lambda t: t[t["k"] > 0], "swap: got no k = 0 for ipc 2"),
        ("top", lambda t: t.assign(k=t["k"] + 1), "top: got k 11"),
        ("zero", lambda t: t.assign(subject=t["subject"] + 2), "zero: got subject 10"),
    ],
)
def test_scenes_that_cannot_be_are_refused_in_one_line(parts, name, change, words):
    with pytest.raises(ValueError, match=words) as refusal:
        Scene.of(**{**parts, name: change(parts[name])})
    assert "\n" not in str(refusal.value)


def test_a_study_of_one_draw_is_shown_without_intervals(parts):
    """Its intervals are NaN, as a sample of one has none."""
    bare = {name: parts[name].assign(low=math.nan, high=math.nan) for name in ("students", "hard", "swap", "top", "zero")}
    scene = Scene.of(**{**parts, **bare})
    for state in (scene.first, replace(scene.first, swap=3), replace(scene.first, top=1)):
        shown, drawn = method.frame(scene, state), charts(scene, method.frame(scene, state), [])
        assert set(drawn) == {"buys", "swap", "top", "zero"}
        assert not [name for name, svg in drawn.items() if "nan" in svg]
        assert "one draw, no interval" in drawn["buys"]
        assert not any("nan" in f"{line.value}{line.detail}" for line in method.readouts(scene, shown))
        fig = draw_still(scene, state)
        fig.canvas.draw()
        plt.close(fig)


def test_zero_shot_may_be_measured_at_several_budgets(parts):
    zero = pd.concat([parts["zero"].assign(ipc=1), parts["zero"].assign(ipc=5, accuracy=0.0, low=0.0)])
    scene = Scene.of(**{**parts, "zero": zero})
    assert scene.subjects == (3, 8)
    for ipc, budget in ((1, 1), (2, 1), (5, 5)):
        found = method.frame(scene, replace(scene.first, ipc=ipc)).zero
        assert (found.key, found.exact) == ((budget, 3), ipc == budget)


def test_students_are_trained_now_and_hard_labels_gain_nothing_on_themselves(scene, built):
    same = method.train_now(scene, replace(scene.first, top=0))
    assert same.soft == same.hard
    assert same.gains == (0.0,) * built["STUDENTS"]
    good = method.train_now(scene, replace(scene.first, epoch=8))
    assert good.hard == same.hard
    assert good.seconds > 0
    assert sum(good.gains) > 0, "labels of epoch 8 are better than hard ones at two images per class"
    worst = method.train_now(scene, replace(scene.first, epoch=8, swap=1))
    assert max(worst.soft) < min(good.soft), "a swapped top teaches what is wrong"


def test_what_training_cannot_do_is_said(parts, scene):
    def diverge(labels):
        raise RuntimeError("arm 'now': student 0 diverged")

    for train, kind, words in (
        (None, ValueError, "train: got none with this scene"),
        (lambda labels: 101.0, ValueError, r"train: got \[101.0\], allowed are accuracies"),
        (lambda labels: math.nan, ValueError, "train: got"),
        (lambda labels: [], ValueError, "train: got"),
        (lambda labels: [50.0] * (1 + int(labels.max() < 1)), ValueError, "train: got 2 accuracies after 1 for hard labels"),
        (diverge, RuntimeError, "student 0 diverged"),
    ):
        with pytest.raises(kind, match=words):
            method.train_now(Scene.of(**parts, train=train), scene.first)


def texts(svg):
    return [each.text for each in ET.fromstring(svg).iter("text")]


def test_every_chart_is_a_picture_that_says_its_numbers(scene):
    state = replace(scene.first, epoch=4, swap=3)
    trained = [Trained(state, (60.0, 62.0), (50.0, 54.0), 0.5)]
    drawn = charts(scene, method.frame(scene, state), trained)
    assert list(drawn) == ["buys", "trained", "swap", "top", "zero"]
    point, control = scene.swap[2][2], scene.swap[2][0]
    assert (
        f"k = 3: {point.accuracy:.1f} % ({point.low:.1f} to {point.high:.1f}), {point.accuracy - control.accuracy:+.1f} points"
        in (texts(drawn["swap"]))
    )
    assert f"Before swap and cut they buy {scene.students[4, 1.0][1].accuracy:.1f} % at 2 images per class" in texts(
        drawn["buys"]
    )
    assert "61.0 % with your labels, 52.0 % with hard ones; 2 students in 0.50 s" in texts(drawn["trained"])
    assert "+9.0" in texts(drawn["trained"])
    for bar in scene.zero[0, 3]:
        assert {bar.at, f"{bar.accuracy:.1f} %"} <= set(texts(drawn["zero"]))
    assert "measured with labels of epoch 4" in texts(drawn["zero"])
    for svg in drawn.values():
        assert ET.fromstring(svg).get("aria-label")


def test_what_unchanged_labels_buy_is_never_said_of_changed_ones(scene):
    for change, own in (({}, True), ({"swap": 10}, True), ({"swap": 2}, False), ({"top": 9}, False)):
        shown = method.frame(scene, replace(scene.first, **change))
        (title,) = [text for text in texts(charts(scene, shown, [])["buys"]) if "they buy" in text.lower()]
        assert title.startswith("They buy" if own else "Before swap and cut they buy")


def test_nothing_is_interpolated(scene):
    tips = {each.text for curve in ("swap", "top") for each in ET.fromstring(
        charts(scene, method.frame(scene, scene.first), [])[curve]).iter("title")}  # fmt: skip
    assert len(tips) == 3 + 4, "a dot for each measured rank"
    between = charts(scene, method.frame(scene, replace(scene.first, swap=6, top=5)), [])
    assert any(text.startswith("k = 6; nearest measured k = 9") for text in texts(between["swap"]))
    assert any(text.startswith("k = 5; nearest measured k = 3") for text in texts(between["top"]))
    assert any(text.startswith("no swap: ") for text in texts(charts(scene, method.frame(scene, scene.first), [])["swap"]))


def test_labels_as_they_are_do_not_stand_in_for_a_swap(parts):
    scene = Scene.of(**{**parts, "swap": parts["swap"].query("k in (0, 3)")})
    shown = method.frame(scene, replace(scene.first, swap=1))
    assert any(text.startswith("k = 1; nearest measured k = 3") for text in texts(charts(scene, shown, [])["swap"]))


def test_the_latest_trained_arms_stay_in_sight(scene):
    arms = [Trained(replace(scene.first, swap=k), (50.0 + k,), (50.0,), 0.1) for k in range(10)]
    shown = texts(charts(scene, method.frame(scene, scene.first), arms)["trained"])
    assert [f"{k:+.1f}" in shown for k in range(10)] == [False] * (10 - SHOWN) + [True] * SHOWN
    assert shown.index("+9.0") < shown.index("+8.0"), "the latest first"


def test_a_scene_without_more_than_must_be_can_be_drawn(wide):
    shown = method.frame(wide, wide.first)
    assert (shown.swap, shown.top, shown.zero) == (None, None, None)
    assert list(charts(wide, shown, [])) == ["buys"]
    assert "nearest measured: epoch 1" in method.nearest_text(shown)
    plt.close(draw_still(wide, wide.first))


def test_the_still_picture_shows_what_the_explorer_does(scene, parts):
    state = replace(scene.first, swap=2, subject=8)
    fig = draw_still(scene, state)
    assert any("epoch 2, T = 1, swap 2" in title for title in _titles(fig))
    assert any(scene.class_names[8] in title for title in _titles(fig))
    plt.close(fig)
    cut = draw_still(Scene.of(**{**parts, "swap": None, "zero": None}), scene.first)
    assert any("Keep the k largest" in title for title in _titles(cut))
    plt.close(cut)


def _titles(fig):
    """Wherever the style that is in force puts them."""
    return [ax.get_title(loc="left") or ax.get_title() for sub in fig.subfigs for ax in sub.axes]
