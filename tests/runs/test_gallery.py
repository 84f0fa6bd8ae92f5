"""The gallery shows what is stored, all of it, escaped, on one page that needs nothing else."""

import base64
import io
import json
import shutil
from urllib.parse import unquote

import pytest
from PIL import Image

from lib.runs.gallery import build
from lib.runs.gallery_parts import duration, memory
from lib.runs.sweeps.record import FailedRow, write_report
from lib.studies import Metric, slugs
from tests.runs.stored_runs import CLAIM, Page, draw, fail, measure, patch, plan, row, shelve


@pytest.fixture
def page(tmp_path):
    """Draw the gallery of the test's folder and read it."""
    return lambda: Page(build(tmp_path))


def test_an_empty_folder_gives_a_page_that_says_what_to_run(page, tmp_path):
    shown = page()
    assert "Nothing has been run yet" in shown.text
    assert f"studies run {slugs()[0]}" in shown.text
    assert not shown.all("img")
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]


def test_the_outputs_folder_of_the_suite_is_the_default_and_need_not_exist(outputs):
    assert build() == outputs / "index.html"


def test_one_run_is_shown_with_claim_numbers_cost_and_links(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a")
    shown = page()
    for words in ("The study alpha", "Does it hold?", "A paper. 2026.", "Soups gain accuracy.", "table 1", "71.6 %", "gap > 0"):
        assert words in shown.text
    assert str(Metric.of([1.0, 2.0, 3.0], "points")) in shown.text
    for cost in ("61.5 s", "2.0 GiB", "A chip"):
        assert cost in shown.text
    targets = [a["href"] for a in shown.all("a") if not a["href"].startswith("#")]
    assert {"alpha/0a/notebook.html", "alpha/0a/results.json", "alpha/0a/figures/cover.png"} <= set(targets)
    assert all((tmp_path / unquote(t)).is_file() for t in targets)


def test_the_page_needs_nothing_but_itself(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a", figures=("cover", "second"))
    shown = page()
    assert not shown.all("link")
    assert not [a for a in shown.all("script") if "src" in a]
    assert all(a["src"].startswith("data:image/") for a in shown.all("img"))
    assert "@import" not in shown.source
    assert "url(" not in shown.source


def test_the_cover_is_the_declared_one_and_every_picture_is_small_and_has_its_caption_as_alt(page, tmp_path):
    run = shelve(tmp_path / "alpha" / "0a", figures=("first", "cover"))
    draw(run / "figures" / "cover.png", (3000, 2000))
    cover, thumb = page().all("img")
    assert (cover["alt"], thumb["alt"]) == ("What cover shows.", "What first shows.")
    stored = Image.open(io.BytesIO(base64.b64decode(cover["src"].partition(",")[2])))
    assert stored.size == (int(cover["width"]), int(cover["height"])) == (960, 640)
    assert int(thumb["width"]) <= 420


def test_a_transparent_figure_stands_on_white(page, tmp_path):
    run = shelve(tmp_path / "alpha" / "0a")
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(run / "figures" / "cover.png")
    (cover,) = page().all("img")
    stored = Image.open(io.BytesIO(base64.b64decode(cover["src"].partition(",")[2])))
    assert min(stored.convert("RGB").getpixel((25, 25))) > 250


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        (("quick", "laptop", "test"), "laptop"),
        (("laptop", "paper"), "paper"),
        (("custom", "quick"), "quick"),
        (("test", "custom"), "custom"),
        (("test",), "test"),
    ],
)
def test_the_largest_size_stands_for_a_study_whatever_came_last(page, tmp_path, sizes, chosen):
    for hours, size in enumerate(sizes):
        shelve(tmp_path / "alpha" / size, size=size, hours=hours, verdict="held" if size == chosen else "not held")
    shown = page()
    assert shown.verdicts() == ["held"]
    assert f"{chosen} size, seed 3" in shown.text
    assert f"{len(sizes)} run" in shown.text


def test_the_latest_run_of_that_size_counts(page, tmp_path):
    shelve(tmp_path / "alpha" / "new", hours=5, verdict="not held")
    shelve(tmp_path / "alpha" / "old", hours=1, verdict="held")
    assert page().verdicts() == ["missed"]


def test_totals_count_studies_runs_and_verdicts_of_shown_runs_only(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a", verdict="held")
    shelve(tmp_path / "alpha" / "0b", verdict="not held", size="test")
    shelve(tmp_path / "beta" / "0a", study="beta", verdict="not held")
    shelve(tmp_path / "gamma" / "0a", study="gamma", verdict="not tested at this size", size="test")
    shown = page()
    assert "studies run 3 runs 4 ✓ claims held 1 ✗ not held 1 – not tested 1" in shown.text
    assert sorted(shown.verdicts()) == ["held", "missed", "open"]


def test_a_verdict_is_never_said_by_colour_alone_and_filters_wait_for_their_script(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a", verdict="not held")
    shown = page()
    assert "✗ not held" in shown.text
    (filters,) = shown.all("div", class_="filters")
    assert "hidden" in filters
    assert {a["aria-pressed"] for a in shown.all("button")} == {"true", "false"}


def test_text_is_escaped_everywhere(page, tmp_path):
    evil = "<script>alert('x')</script>&\"'"
    sentences = dict.fromkeys(("statement", "source", "criterion", "paper_number"), evil)
    claim = CLAIM.judge({"gap": Metric.of([1.0] * 3, evil)}) | sentences
    words = dict.fromkeys(("title", "question", "paper", "device"), evil)
    run = shelve(tmp_path / "alpha" / "0a", figures=(), params={evil: evil, "seed": 0}, claims=[claim], **words)
    draw(run / "figures" / "x.png")
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {"figures": [{"name": "x", "caption": evil}]}))
    fail(tmp_path, error=evil, cell=evil, params={evil: evil})
    (tmp_path / "benchmarks.json").write_text(json.dumps([row(name=evil, peer=evil, note=evil)]))
    shown = page()
    assert evil in shown.text
    assert len(shown.all("script")) == 1
    assert "alert('x')</script>" not in shown.source
    assert shown.all("img")[0]["alt"] == evil


def test_formulas_in_sentences_and_captions_become_mathml(page, tmp_path):
    run = shelve(tmp_path / "alpha" / "0a", paper="costs $5 or $6")
    results = json.loads((run / "results.json").read_text())
    results["claims"][0]["statement"] = "With $x < y$ it holds."
    (run / "results.json").write_text(json.dumps(results))
    shown = page()
    assert len(shown.all("math")) == 1
    assert "costs $5 or $6" in shown.text


def test_parameters_of_every_run_are_at_hand(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a")
    shown = page()
    assert "3 parameters seed 3 rate 0.001 parts a, b" in shown.text


def test_failed_runs_stand_apart_with_error_cell_and_link(page, tmp_path):
    folder = fail(tmp_path)
    shown = page()
    assert "Nothing has been run yet" in shown.text
    assert "ValueError: no" in shown.text
    assert "the-cell" in shown.text
    assert shown.all("a", href=f"{folder.relative_to(tmp_path)}/notebook.html")
    assert "finished since" not in shown.text
    shelve(tmp_path / "alpha" / "0c")
    assert "finished since" in page().text


def test_published_results_are_shown_and_marked_as_stored(page, tmp_path):
    shelve(tmp_path / "alpha" / "0a", verdict="not held", hours=9)
    shelve(tmp_path / "published" / "alpha" / "on a GPU", size="paper", device="cuda")
    shown = page()
    assert shown.verdicts() == ["held"]
    assert "paper size, seed 3 stored result" in shown.text
    assert shown.all("a", href="published/alpha/on%20a%20GPU/notebook.html")
    assert "study run 1 runs 2" in shown.text


def test_benchmarks_are_a_table_and_a_bad_row_is_named(page, tmp_path):
    (tmp_path / "benchmarks.json").write_text(json.dumps([row(noise=0.03), {"name": "half"}]))
    shown = page()
    assert "sinkhorn 512 2 ms POT 10 ms 5 7 cpu noise: 0.03" in shown.text
    assert "benchmarks.json row 2: ours_s: Field required" in shown.text


def test_drawing_again_replaces_the_page_whole_and_leaves_nothing_beside(page, tmp_path, monkeypatch):
    page()
    before = (tmp_path / "index.html").read_text()
    shelve(tmp_path / "alpha" / "0a")
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            build(tmp_path)
    assert (tmp_path / "index.html").read_text() == before
    assert not list(tmp_path.glob(".index*"))
    assert "The study alpha" in page().text


AXES = {"seed": [0, 1, 2], "width": [16, 64]}
LOST = FailedRow("r005", {"seed": 2, "width": 64}, "ValueError: no", "the-cell", "alpha/failed/r005-20260301T120000", 2)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Outputs with a finished sweep: four runs are there, one failed and kept its notebook, one was never made."""
    root = tmp_path_factory.mktemp("outputs")
    fail(root, "r005")
    write_report(measure(plan(root, AXES), only={"r000", "r001", "r002", "r003"}), [LOST])
    return root


@pytest.fixture
def swept(original, tmp_path):
    """The sweep's folder in a copy of these outputs."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "alpha" / "sweeps" / "a1b2c3d4e5f6"


def test_a_sweep_is_shown_with_its_grid_figure_claims_and_files(page, tmp_path, swept):
    shown = page()
    assert "The study alpha seed 0, 1, 2; width 16, 64" in shown.text
    assert "4 runs finished, 1 failed, 1 missing" in shown.text
    assert "gap held in 4 of 4 [51 %, 100 %]" in shown.text
    (picture,) = shown.all("img")
    assert "4 of 6 runs finished" in picture["alt"]
    targets = {a["href"] for a in shown.all("a") if "sweeps/" in a["href"]}
    files = ("figure.png", "figure.svg", "table.parquet", "failed.json", "plan.json", "summary.json")
    assert targets == {f"alpha/sweeps/a1b2c3d4e5f6/{name}" for name in files}
    assert all((tmp_path / target).is_file() for target in targets)
    assert "could not be shown" not in shown.text
    assert shown.all("a", href="#sweeps")


def test_what_failed_in_a_sweep_is_listed_with_its_place_in_the_grid_and_its_notebook(page, swept):
    shown = page()
    assert "2 runs not in the table" in shown.text
    assert "0 64" not in shown.text
    assert "2 16 missing: has not been finished r004" in shown.text
    assert "2 64 failed: ValueError: no 2 attempts lost to the machines the-cell r005" in shown.text
    assert len(shown.all("a", href="alpha/failed/r005-20260301T120000/notebook.html")) == 2  # here and among failed runs


def test_an_unfinished_sweep_is_one_line_that_says_how_far_it_is(page, tmp_path):
    measure(plan(tmp_path, AXES), only={"r001"})
    shown = page()
    assert "Not finished: The study alpha, seed 0, 1, 2; width 16, 64: 1 of 6 runs done" in shown.text
    assert not shown.all("article", id="sweep-a1b2c3d4e5f6")
    assert "could not be shown" not in shown.text


def test_a_sweep_without_a_finished_run_is_shown_without_a_figure(page, tmp_path):
    write_report(plan(tmp_path, AXES), [])
    shown = page()
    assert "0 runs finished, 0 failed, 6 missing" in shown.text
    assert "No run finished, so there is no figure." in shown.text
    assert "could not be shown" not in shown.text


@pytest.mark.parametrize(
    ("harm", "why", "stays"),
    [
        (lambda s: (s / "plan.json").write_text("{"), "a1b2c3d4e5f6/plan.json Invalid JSON", False),
        (lambda s: (s / "plan.json").unlink(), "a1b2c3d4e5f6/plan.json is missing", False),
        (lambda s: patch(s / "plan.json", runs=["../x"] * 6), "a1b2c3d4e5f6/plan.json runs.0", False),
        (lambda s: patch(s / "summary.json", claims=7), "a1b2c3d4e5f6/summary.json claims", False),
        (lambda s: (s / "failed.json").unlink(), "a1b2c3d4e5f6/failed.json is missing", True),
        (lambda s: (s / "failed.json").write_text('[{"run_id": 1}]'), "a1b2c3d4e5f6/failed.json 0.run_id", True),
        (lambda s: (s / "table.parquet").unlink(), "a1b2c3d4e5f6/table.parquet is missing", True),
        (lambda s: (s / "figure.png").write_bytes(b"no"), "a1b2c3d4e5f6/figure.png cannot be read", True),
    ],
)
def test_a_damaged_sweep_is_named_and_shown_as_far_as_it_can_be(page, swept, harm, why, stays):
    harm(swept)
    shown = page()
    assert f"1 thing could not be shown: alpha/sweeps/{why}" in shown.text
    assert bool(shown.all("article", id="sweep-a1b2c3d4e5f6")) == stays
    assert shown.verdicts() == ["held"]


def test_a_stored_run_beside_a_shown_one_has_a_place_of_its_own(page, tmp_path):
    shelve(tmp_path / "alpha" / "here", size="quick", hours=1)
    shelve(tmp_path / "published" / "alpha" / "many seeds", size="custom")
    shown = page()
    assert [a["id"] for a in shown.all("article", class_="study")] == ["alpha", "stored-many seeds"]
    assert shown.all("a", href="#stored")
    (tmp_path / "alpha" / "here" / "results.json").unlink()
    assert not page().all("section", id="stored")  # it stands for the study now


def test_sweeps_stand_latest_first_and_a_published_one_is_marked(page, tmp_path):
    write_report(plan(tmp_path, AXES, sweep_id="aaa000000001"), [])
    write_report(measure(plan(tmp_path / "published", AXES, sweep_id="bbb000000002")), [])
    shown = page()
    assert [a["id"] for a in shown.all("article") if a["id"].startswith("sweep-")] == ["sweep-bbb000000002", "sweep-aaa000000001"]
    assert "The study alpha stored result seed" in shown.text


def test_the_text_of_a_sweep_is_escaped(page, tmp_path):
    evil = "<script>alert('x')</script>"
    folder = measure(plan(tmp_path, {evil: [evil, 1], "seed": [0, 1]}, title=evil), only={"r000"})
    write_report(folder, [FailedRow("r001", {evil: evil}, evil, evil)])
    shown = page()
    assert shown.text.count(evil) >= 4
    assert len(shown.all("script")) == 1


def test_long_tables_are_cut_and_say_what_they_leave_out(page, tmp_path):
    write_report(plan(tmp_path, {"seed": list(range(230))}), [])
    shown = page()
    assert "r199" in shown.text
    assert "r200" not in shown.text
    assert "30 runs more in the folder." in shown.text


def test_durations_and_memory_have_units_that_suit():
    assert [duration(s) for s in (2.5e-5, 0.0123, 61.5, 150, 9000)] == ["25 µs", "12.3 ms", "61.5 s", "2.5 min", "2.5 h"]
    assert [memory(m) for m in (700.4, 2560)] == ["700 MiB", "2.5 GiB"]
