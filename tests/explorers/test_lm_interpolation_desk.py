"""The desk of the lm-interpolation explorer: real streaming on the tiny model, one thread, the latest wish first."""

import runpy
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lib.explorers import lm_interpolation as method
from lib.explorers.lm_interpolation_desk import Desk
from lib.explorers.lm_interpolation_state import MOST_TOKENS, SAMPLES, Mix, first_state
from lib.language.generation import generate

PATIENCE = 60


@pytest.fixture(scope="module")
def scene():
    return runpy.run_path(str(Path(__file__).parent / "lm_interpolation_scene.py"))["scene"]


def expected(scene, shares, state):
    """What the study's own generation writes under a mix."""
    with scene.gate:
        scene.mixer.apply(shares)
        node = method.text_node(scene, state.seed)
        return generate(scene.backbone, [state.prompt], tokens=state.tokens, seeds=[node], temperature=state.temperature)[0]


def settle(desk):
    assert desk.wait(PATIENCE)


def is_written(desk):
    """Every pane holds the text of the state, whole and scored, and nothing of an earlier one."""
    settle(desk)
    for pane in "ab":
        shown = desk.panes[pane]
        assert shown.text.words == expected(desk.scene, method.weights(desk.scene, desk.state.mix(pane)), desk.state)
        assert shown.text.done
        assert not shown.stale
        assert shown.error == ""
        assert set(shown.text.scores or ()) == (set(desk.scene.names) if shown.text.words.strip() else set())
        assert 0 < shown.text.first <= shown.text.seconds
    return True


@pytest.fixture
def desk(scene):
    desk = Desk(scene)
    desk.start()
    settle(desk)
    return desk


def test_both_texts_are_written_token_by_token_one_after_the_other(scene):
    seen = []
    desk = Desk(scene, lambda: seen.append({pane: each.text.tokens for pane, each in desk.panes.items()}))
    desk.start()
    assert is_written(desk)
    last = desk.state.tokens
    assert [each["a"] for each in seen if each["b"] == 0] == [0, *range(1, last + 1), last, last], "then b's prompt is read"
    assert {each["b"] for each in seen if each["a"] == last} == set(range(last + 1))


def test_a_newer_request_ends_the_stale_one_early_and_only_the_last_text_is_shown(scene):
    seen, asked = [], []
    changed = replace(first_state(scene), tokens=MOST_TOKENS, a=Mix((-1.0, 2.0), (0.2, 1.0)))

    def told():
        text = desk.panes["a"].text
        seen.append((desk.state, text.words, desk.panes["a"].stale))
        if asked and desk.state == asked[0] and not desk.panes["a"].stale and text.tokens == 3:
            desk.set(changed)  # as if a slider moved right now; the thread itself holds still meanwhile

    desk = Desk(scene, told)
    first = replace(changed, a=Mix((2.0, -1.0), (1.0, 0.3)))
    asked.append(first)
    desk.set(first)
    settle(desk)
    old = [words for state, words, stale in seen if state == first and not stale]
    whole = expected(scene, method.weights(scene, first.a), first)
    assert old
    assert all(whole.startswith(words) for words in old)
    assert max(map(len, old)) < len(whole), "it ended early"
    new = expected(scene, method.weights(scene, changed.a), changed)
    after = [words for state, words, stale in seen if state == changed and not stale]
    assert after
    assert all(new.startswith(words) for words in after), "nothing of the stale text is shown any more"
    assert desk.panes["a"].text.words == new
    assert is_written(desk)


def test_next_tokens_go_along_with_a_slider_though_no_text_can_be_written_meanwhile(scene):
    """Every request is given up at its first token, as while a slider is being drawn: its bars are shown all the same."""
    seen, values = [], [0.9, 0.7, 0.5, 0.3, 0.1]

    def told():
        after, pane = desk.panes["a"].after, desk.panes["a"]
        if pane.stale and after is not None and all(after is not each for each in seen):
            seen.append(after)
            if values:
                desk.set(desk.state.moved("a", "alphas", 0, values.pop(0)))

    desk = Desk(scene, told)
    desk.set(desk.state.moved("a", "alphas", 0, 1.1))
    assert is_written(desk)
    assert len(seen) == 6
    assert len({float(after.sum()) for after in seen}) == 6


def test_next_tokens_after_another_prompt_are_not_kept(scene):
    seen = []
    desk = Desk(scene, lambda: seen.append((desk.state.prompt, desk.panes["b"].after)))
    desk.start()
    assert is_written(desk)
    desk.set(replace(desk.state, prompt="My sister"))
    assert is_written(desk)
    one, other = ([after for at, after in seen if at == prompt] for prompt in (scene.prompts[0], "My sister"))
    assert one[0] is None is other[0]
    assert one[-1] is not None is not other[-1]
    assert not any(after is old for after in other for old in one if old is not None)


def test_many_changes_at_once_leave_one_thread_and_the_last_text(desk):
    before = threading.active_count()
    for step in range(31):
        desk.set(desk.state.moved("ab"[step % 2], "alphas", step % 2, -1 + step / 10))
    desk.set(replace(desk.state, seed=4))
    assert threading.active_count() == before
    assert is_written(desk)
    assert desk.state.b.alphas[1] == pytest.approx(1.9)


def test_only_what_a_change_concerns_is_written_anew(desk):
    kept = desk.panes["b"].text
    desk.set(desk.state.moved("a", "alphas", 0, 0.3))
    assert is_written(desk)
    assert desk.panes["b"].text is kept
    desk.set(replace(desk.state, temperature=0.5))
    assert is_written(desk)
    assert desk.panes["b"].text is not kept


def test_the_pane_that_was_changed_comes_first(scene):
    order = []
    desk = Desk(scene, lambda: order.extend(pane for pane in "ab" if desk.panes[pane].text.tokens == 1))
    desk.set(desk.state.moved("b", "alphas", 0, 0.4))
    assert is_written(desk)
    assert order[0] == "b"


def test_the_same_mix_and_seed_write_the_same_text(desk):
    desk.set(replace(desk.state, b=desk.state.a))
    assert is_written(desk)
    assert desk.panes["a"].text.words == desk.panes["b"].text.words
    assert (desk.panes["a"].after == desk.panes["b"].after).all()
    words = desk.panes["a"].text.words
    desk.set(replace(desk.state, seed=1))
    assert is_written(desk)
    assert desk.panes["a"].text.words != words
    desk.set(replace(desk.state, seed=0))
    assert is_written(desk)
    assert desk.panes["a"].text.words == words


def test_a_mix_without_any_lambda_is_an_error_in_its_pane_and_the_other_goes_on(desk):
    desk.set(replace(desk.state, a=Mix((1.0, 0.5), (0.0, 0.0)), seed=2))
    settle(desk)
    assert "lambda: all of them are 0" in desk.panes["a"].error
    assert desk.panes["b"].text.done
    assert desk.panes["b"].error == ""
    desk.set(desk.state.moved("a", "parts", 1, 0.5))
    assert is_written(desk)


def test_a_prompt_that_is_too_long_is_an_error_in_both_panes_until_it_is_shorter(desk):
    desk.set(replace(desk.state, prompt="a very long walk " * 100))
    settle(desk)
    for pane in desk.panes.values():
        assert "need a context of" in pane.error
        assert not pane.unwritten
    desk.set(replace(desk.state, prompt=""))
    assert is_written(desk), "nothing but the start token is a prompt, too"


def test_whatever_goes_wrong_is_named_in_the_pane(scene):
    class Broken:
        def score(self, texts):
            raise RuntimeError("no judge today")

    desk = Desk(replace(scene, scorers=dict.fromkeys(scene.names, Broken())))
    desk.start()
    settle(desk)
    assert {pane.error for pane in desk.panes.values()} == {"RuntimeError: no judge today"}


def test_a_state_that_cannot_be_is_told_and_nothing_changes(desk):
    before = desk.state
    desk.set(replace(before, tokens=0))
    assert "tokens: got 0" in desk.refusal
    assert desk.state == before
    desk.set(replace(before, tokens=5))
    assert desk.refusal == ""
    assert is_written(desk)


def test_samples_have_a_mean_and_vanish_with_their_mix(desk):
    desk.ask_samples()
    settle(desk)
    for pane in desk.panes.values():
        assert pane.samples.scores.shape == (SAMPLES, 2)
    one = desk.panes["a"].samples.scores
    desk.set(desk.state.moved("a", "alphas", 0, 0.2))
    assert desk.panes["a"].samples is None
    assert desk.panes["b"].samples is not None
    desk.set(desk.state.moved("a", "alphas", 0, 1.0))
    desk.ask_samples()
    settle(desk)
    assert (desk.panes["a"].samples.scores == one).all()


def test_samples_that_are_asked_for_while_a_text_is_written_come_after_it(scene):
    seen = []

    def told():
        text = desk.panes["a"].text
        seen.append((text.tokens, desk.panes["b"].text.tokens))
        if text.tokens == 4 and desk.panes["a"].samples is None:
            desk.ask_samples()
            desk.ask_anchors()

    desk = Desk(scene, told)
    desk.start()
    assert is_written(desk)
    assert desk.panes["a"].samples.scores is not None
    assert all(text.done for text in desk.anchors.values())
    assert seen == sorted(seen), "no text was begun twice"


def test_samples_of_the_likeliest_text_are_refused(desk):
    desk.set(replace(desk.state, temperature=0.0))
    assert is_written(desk)
    desk.ask_samples()
    assert "temperature: got 0" in desk.refusal
    assert desk.panes["a"].samples is None


def test_anchors_write_on_their_own_and_are_forgotten_with_the_seed(scene, desk):
    desk.ask_anchors()
    settle(desk)
    assert tuple(desk.anchors) == method.anchors(scene)
    assert len(desk.anchors) == 2 * len(scene.names) + 1
    for anchor, text in desk.anchors.items():
        assert text.words == expected(scene, method.anchor_shares(anchor), desk.state)
    desk.set(desk.state.moved("a", "alphas", 0, 0.2))
    assert desk.anchors, "they do not depend on the mix"
    desk.set(replace(desk.state, seed=9))
    assert desk.anchors == {}


def test_a_thread_that_an_observer_ended_is_followed_by_another(scene):
    def told():
        if desk.panes["a"].text.tokens == 2 and not failed:
            failed.append(True)
            raise KeyboardInterrupt

    failed, desk, caught = [], Desk(scene, told), []
    hook, threading.excepthook = threading.excepthook, caught.append
    try:
        desk.start()
        settle(desk)
    finally:
        threading.excepthook = hook
    assert caught[0].exc_type is KeyboardInterrupt
    desk.set(replace(desk.state, seed=5))
    assert is_written(desk)
