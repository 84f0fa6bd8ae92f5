"""The progress bar of a cell reaches whoever waits for the run."""

import io

import pytest
from tqdm import tqdm

from lib.runs import bars
from lib.runs.bars import BarWatch
from lib.runs.job import Job
from lib.runs.launch import DONE, FAILED, RUNNING, Progress, run_jobs
from lib.runs.live import BAR_EVERY_S, LogLines


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, in a list, as the watch sees it."""
    now = [100.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


def drawn(position, total=8, description="building model (about 60 s, once)"):
    """What tqdm writes of a bar that stands there."""
    text = io.StringIO()
    with tqdm(total=total, desc=description, file=text, ncols=88, initial=position):
        return text.getvalue()


def test_the_latest_bar_is_told_without_the_bar_itself(clock):
    told = []
    watch = BarWatch(told.append)
    assert watch.write(drawn(1) + drawn(3)) > 0
    (said,) = told
    assert said.startswith("building model (about 60 s, once): 38% 3/8")
    assert "|" not in said
    assert "\r" not in said


def test_at_most_once_a_second_and_only_what_is_new(clock):
    told = []
    watch = BarWatch(told.append)
    for position in (1, 2, 3):
        watch.write(drawn(position))
    assert len(told) == 1
    clock[0] += bars.EVERY_S
    watch.write(drawn(1))
    assert len(told) == 1
    watch.write(drawn(4))
    assert len(told) == 2


@pytest.mark.parametrize("text", ["", "In the beginning", "50 % of them | and more", "|x| = 3", "\x1b[A\r"])
def test_other_text_is_no_bar(clock, text):
    told = []
    assert BarWatch(told.append).write(text) == len(text)
    assert told == []


def test_a_cell_that_draws_a_bar_tells_it_and_the_next_cell_has_none(tiny, outputs, monkeypatch):
    monkeypatch.setenv("TINY_BAR", "1")
    seen = []
    run_jobs([Job.of("tiny", tiny.study.params.parse({}))], 1, lambda p: seen.append((p.state, p.cell, p.bar)))
    barred = {cell for _, cell, bar in seen if bar}
    assert seen[-1] == (DONE, "", "")
    assert len(barred) == 1, "the tiny notebook has one cell with a bar"
    assert any(bar.startswith("samples: ") for _, _, bar in seen)


class TestLogLines:
    def progress(self, tiny, **facts):
        return Progress(Job.of("tiny", tiny.study.params.parse({})), state=RUNNING, began=1.0, **facts)

    def test_a_start_a_line_for_each_cell_and_a_bar_now_and_then(self, tiny, outputs):
        lines, p = LogLines("started"), self.progress(tiny, ended=3.0)
        assert lines.next(p) == "tiny: started"
        p.apply({"event": "cell", "id": "train", "index": 4, "of": 9})
        assert lines.next(p) == "  0:02  tiny  cell 5/9 train"
        p.apply({"event": "bar", "bar": "nets: 20% 2/10"})
        assert lines.next(p) is None, "too soon"
        p.ended += BAR_EVERY_S
        assert lines.next(p) == "  0:17  tiny  nets: 20% 2/10"
        assert lines.next(p) is None
        p.apply({"event": "cell", "id": "draw", "index": 5, "of": 9})
        assert lines.next(p) == "  0:17  tiny  cell 6/9 draw"

    def test_an_end_is_told_elsewhere(self, tiny, outputs):
        assert LogLines("started").next(Progress(Job.of("tiny", tiny.study.params.parse({})), state=FAILED)) is None
