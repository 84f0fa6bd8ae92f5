"""Where the texts of the lm-interpolation explorer are written: one thread, the latest wish first. No widget in here."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from threading import Condition, RLock, Thread

from lib.explorers import lm_interpolation as method
from lib.explorers.lm_interpolation_scene import Scene
from lib.explorers.lm_interpolation_state import PANES, SHARED, Pane, Samples, State, Text, check, first_state
from lib.language.weights import Anchor

Cancelled = Callable[[], bool]
NO_SAMPLES = "temperature: got 0, allowed for samples are numbers above 0, where texts differ"


class Latest:
    """One thread that works on what was submitted last; what it was at before is told that it is cancelled."""

    def __init__(self) -> None:
        self._change, self._number, self._at_work = Condition(), 0, False
        self._work: Callable[[Cancelled], None] | None = None
        self._thread: Thread | None = None

    def submit(self, work: Callable[[Cancelled], None]) -> None:
        """Call `work` as soon as the thread is free, if nothing else is submitted before."""
        with self._change:
            self._number, self._work = self._number + 1, work
            if self._thread is None:
                self._thread = Thread(target=self._run, name="lm-interpolation", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing is to be done; whether that came within so many seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._work is None and not self._at_work, seconds)

    def _run(self) -> None:
        try:
            while True:
                with self._change:
                    self._at_work = False
                    self._change.notify_all()
                    self._change.wait_for(lambda: self._work is not None)
                    work, number = self._work, self._number
                    self._work, self._at_work = None, True
                work(lambda number=number: number != self._number)
        finally:  # whatever went wrong is told by the thread's end; another one takes over
            with self._change:
                self._at_work, self._thread = False, None
                self._change.notify_all()


class Desk:
    """The state, what was written for it, and the thread that writes.

    `told` is called after every change, in whichever thread it happens, one at a time. A change of the state makes the texts
    stale that it concerns, and stops whatever is being written: then the changed panes come first, then samples and anchors'
    texts, where they were asked for.
    """

    def __init__(self, scene: Scene, told: Callable[[], None] = lambda: None) -> None:
        self.scene, self.state = scene, first_state(scene)
        self.panes = {pane: Pane() for pane in PANES}
        self.anchors: dict[Anchor, Text] = {}
        self.refusal = ""  # a change that could not be
        self._told, self._lock, self._latest = told, RLock(), Latest()
        self._order = list(PANES)  # the pane that was changed last comes first
        self._writing = False

    def start(self) -> None:
        """Begin to write, with what matters most now."""
        with self._lock:
            self._writing = True
            self._latest.submit(self._work)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything is written; whether that came within so many seconds."""
        return self._latest.wait(seconds)

    def set(self, state: State) -> None:
        """Go to a state. One that cannot be is told as the refusal, and everything stays as it was."""
        with self._lock:
            try:
                check(self.scene, state)
            except ValueError as error:
                self.refusal = str(error)
                self._told()
                return
            both = any(getattr(state, name) != getattr(self.state, name) for name in SHARED)
            changed = [pane for pane in PANES if both or state.mix(pane) != self.state.mix(pane)]
            self._order.sort(key=lambda pane: pane not in changed)
            for pane in changed:
                after = self.panes[pane].after if state.prompt == self.state.prompt else None
                self.panes[pane] = replace(self.panes[pane], stale=True, samples=None, error="", after=after)
            self.state, self.refusal = state, ""
            if both:
                self.anchors.clear()
            self._told()
            if changed:
                self.start()

    def ask_samples(self) -> None:
        """Write and score samples of both mixes."""
        with self._lock:
            self.refusal = "" if self.state.temperature else NO_SAMPLES
            if not self.refusal:
                for pane, each in self.panes.items():
                    self.panes[pane] = replace(each, samples=each.samples or Samples())
                self._go_on()
            self._told()

    def ask_anchors(self) -> None:
        """Write the texts of the anchors, each on its own."""
        with self._lock:
            self.anchors.update({anchor: Text() for anchor in method.anchors(self.scene) if anchor not in self.anchors})
            self._go_on()
            self._told()

    def _go_on(self) -> None:
        """Begin to write if nothing is being written; otherwise it comes in its turn."""
        if not self._writing:
            self.start()

    def _work(self, cancelled: Cancelled) -> None:
        """In the thread: one thing after the other, until nothing is left or a change comes."""
        while task := self._next(cancelled):
            task()

    def _next(self, cancelled: Cancelled) -> Callable[[], None] | None:
        with self._lock:
            if cancelled():
                return None  # another call of _work goes on
            known = [(pane, self.panes[pane]) for pane in self._order]
            for pane, each in known:
                if each.unwritten:
                    return partial(self._guarded, self._write, pane, self.state, cancelled)
            for pane, each in known:
                if each.samples and each.samples.scores is None and not each.error:
                    return partial(self._guarded, self._sample, pane, self.state, cancelled)
            for anchor, text in self.anchors.items():
                if not text.done:
                    return partial(self._write_anchor, anchor, self.state, cancelled)
            self._writing = False
        return None

    def _guarded(self, work: Callable[[str, State, Cancelled], None], pane: str, state: State, cancelled: Cancelled) -> None:
        """What fails is shown in the pane; a thread that dies would leave it waiting for ever."""
        try:
            work(pane, state, cancelled)
        except Exception as error:
            self._put(pane, cancelled, error=_said(error), stale=False, samples=None)

    def _put(self, pane: str, cancelled: Cancelled, **changes: object) -> None:
        with self._lock:
            if not cancelled():
                self.panes[pane] = replace(self.panes[pane], **changes)
                self._told()

    def _write(self, pane: str, state: State, cancelled: Cancelled) -> None:
        since, shares = time.perf_counter(), method.weights(self.scene, state.mix(pane))
        for text in self._texts(shares, state, since, cancelled):
            if text.tokens == 1 and not text.done:
                self._put_after(pane, state)
            self._put(pane, cancelled, text=text, stale=False)

    def _put_after(self, pane: str, state: State) -> None:
        """The next token also of a mix that is given up already: so its bars go along while a slider is being drawn."""
        with self._lock:
            if self.state.prompt == state.prompt:
                self.panes[pane] = replace(self.panes[pane], after=method.after(self.scene))
                self._told()

    def _write_anchor(self, anchor: Anchor, state: State, cancelled: Cancelled) -> None:
        try:
            for text in self._texts(method.anchor_shares(anchor), state, time.perf_counter(), cancelled):
                self._put_anchor(anchor, text, cancelled)
        except Exception as error:
            self._put_anchor(anchor, Text(_said(error), done=True), cancelled)

    def _put_anchor(self, anchor: Anchor, text: Text, cancelled: Cancelled) -> None:
        with self._lock:
            if not cancelled():
                self.anchors[anchor] = text
                self._told()

    def _texts(self, shares: dict[Anchor, float], state: State, since: float, cancelled: Cancelled) -> Iterator[Text]:
        """A text after every token, and once more when it is done and scored."""
        text = Text()
        nodes = [method.text_node(self.scene, state.seed)]
        with closing(method.write(self.scene, shares, state, nodes, cancelled)) as told:
            for [words] in told:
                now = time.perf_counter() - since
                text = replace(text, words=words, tokens=text.tokens + 1, first=text.first or now, seconds=now)
                yield text
        if not cancelled():
            found = method.scores(self.scene, [text.words])
            judged = dict(zip(self.scene.names, found[0].tolist(), strict=True)) if len(found) else None
            yield replace(text, done=True, scores=judged)

    def _sample(self, pane: str, state: State, cancelled: Cancelled) -> None:
        shares, nodes = method.weights(self.scene, state.mix(pane)), method.sample_nodes(self.scene, state.seed)
        texts: list[str] = []
        with closing(method.write(self.scene, shares, state, nodes, cancelled)) as told:
            for count, texts in enumerate(told, 1):  # noqa: B007 (the last ones are scored)
                self._put(pane, cancelled, samples=Samples(count))
        if not cancelled():
            self._put(pane, cancelled, samples=Samples(state.tokens, method.scores(self.scene, texts)))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
