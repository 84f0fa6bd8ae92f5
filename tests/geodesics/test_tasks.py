"""Transfer tasks: images made comparable, parts that never meet, draws that hand out no test image."""

import pytest
import torch

from lib.data import status, tensors
from lib.geodesics import tasks
from lib.geodesics.tasks import PARTS, SIDE, TASKS, View, _part, draw_episode, evaluation_set, nearest_labels, resized, shrink
from lib.geodesics.transfer import Setup, run_repeat
from lib.seeds import Seeds
from lib.studies import find
from lib.transport import dataset_distance as dataset_distance_module

CPU = torch.device("cpu")
SIZES = {"shots": 5, "pool_size": 100, "source_size": 120, "device": CPU}
LARGE = "mnist-from-all"  # needs the Hugging Face hub


def needs(name):
    views = [TASKS[name].target, *TASKS[name].sources.values()]
    missing = {view.dataset for view in views if view.dataset == "fashion-mnist" and not status(view.dataset).present}
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not on this machine")


@pytest.fixture(scope="module")
def episode():
    return draw_episode(TASKS["mnist-from-digits"], Seeds(0), **SIZES)


@pytest.fixture
def stand_ins(monkeypatch):
    """Small real images of the same shape in the places of the hub's collections."""
    images, labels = tensors("mnist-5k")
    monkeypatch.setattr(tasks, "tensors", lambda name, split: (images[::5], labels[::5]))
    tasks._sized_images.cache_clear()
    yield
    tasks._sized_images.cache_clear()


class TestPaperSize:
    @pytest.mark.parametrize("large", [10**9, 10], ids=["few pairs", "as many pairs as there"])
    def test_starts(self, stand_ins, monkeypatch, large):
        """Its first steps, on stand-ins; its 10,000 x 10,000 pairs are above LARGE."""
        paper = find("dataset-geodesics").size_params("paper").model_dump()
        assert (paper["pool_size"] + 10 * paper["shots"]) * paper["source_size"] > dataset_distance_module.LARGE
        monkeypatch.setattr(dataset_distance_module, "LARGE", large)
        first = {"neural_steps": 1, "steps": 2, "tune_steps": 1, "width": 16, "repeats": 1, "pool_size": 50, "device": "cpu"}
        found = run_repeat(0, Setup.of(paper | first), Seeds(0))
        assert found.arms["accuracy"].between(0, 100).all()
        assert len(found.grid) == 28


class TestEveryTask:
    @pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in TASKS if name != LARGE])
    def test_draws_comparable_images(self, name):
        episode = draw_episode(TASKS[name], Seeds(0), **SIZES)
        assert episode.few.counts.tolist() == [5] * 10
        assert len(episode.pool) == 100
        assert len(episode.sources) == 3
        for data in (episode.few, evaluation_set(TASKS[name], "test", CPU), *episode.sources.values()):
            assert data.features.shape[1] == 64
            assert data.features.min() >= 0
            assert data.features.max() <= 1
            assert 0.9 < data.features.amax(1).mean() <= 1  # the same grey scale for all: a bright pixel in every image
        widths = [source.classes for source in episode.sources.values()]
        assert widths == [len(view.classes) for view in TASKS[name].sources.values()]

    def test_the_large_one_on_stand_ins(self, stand_ins):
        episode = draw_episode(TASKS[LARGE], Seeds(0), **SIZES)
        test = evaluation_set(TASKS[LARGE], "test", CPU)
        for data in (episode.few, test, *episode.sources.values()):
            assert data.features.shape[1] == 32 * 32
            assert 0 <= data.features.min() <= data.features.max() <= 1

    def test_resizing_keeps_constants_and_halves_checkerboards(self):
        assert torch.equal(resized(torch.full((2, 28, 28), 0.5), 32), torch.full((2, 32, 32), 0.5))
        board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
        torch.testing.assert_close(resized(board[None].float(), 4), torch.full((1, 4, 4), 0.5))


class TestEpisode:
    def test_parts_of_a_data_set_share_no_image(self):
        rows = [_part(View("digits"), part, SIDE)[0] for part in PARTS]
        assert sum(map(len, rows)) <= 1797
        for i, one in enumerate(rows):
            for other in rows[:i]:
                assert torch.cdist(one, other).min() > 0

    def test_few_and_pool_are_target_images_and_do_not_overlap(self, episode):
        target = _part(TASKS["mnist-from-digits"].target, "target", SIDE)[0]
        drawn = torch.cat([episode.few.features, episode.pool])
        nearest = torch.cdist(drawn.double(), target.double(), compute_mode="donot_use_mm_for_euclid_dist").min(1)
        assert nearest.values.max() == 0
        assert len(nearest.indices.unique()) == len(drawn)

    def test_pseudo_labels_come_from_the_few_alone(self, episode):
        base = episode.base
        assert torch.equal(base.labels[:50], episode.few.labels)
        apart = torch.cdist(episode.pool, episode.few.features)
        assert torch.equal(base.labels[50:], episode.few.labels[apart.argmin(1)])
        assert torch.equal(nearest_labels(episode.few.features, episode.few), episode.few.labels)

    def test_label_sets_of_the_halves_are_disjoint_but_numbered_from_nought(self, episode):
        halves = [episode.sources["digits 0-4"], episode.sources["digits 5-9"]]
        assert [half.names for half in halves] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
        assert [sorted(set(half.labels.tolist())) for half in halves] == [[0, 1, 2, 3, 4]] * 2

    def test_seeds_choose_the_images_but_not_the_test_set(self):
        task = TASKS["mnist-from-digits"]
        one, same, other = (draw_episode(task, Seeds(seed), **SIZES) for seed in (0, 0, 1))
        assert torch.equal(one.pool, same.pool)
        assert not torch.equal(one.pool, other.pool)
        assert len(evaluation_set(task, "test", CPU).labels) == 1000

    def test_too_much_asked(self):
        with pytest.raises(ValueError, match="shots, pool_size: digits has 539 target images"):
            draw_episode(TASKS["rotated-digits"], Seeds(0), **SIZES | {"pool_size": 500})
        with pytest.raises(ValueError, match="shots, pool_size"):
            draw_episode(TASKS["rotated-digits"], Seeds(0), **SIZES | {"shots": 60})

    def test_unknown_part(self):
        with pytest.raises(ValueError, match="part: got 'train', allowed are test, validation"):
            evaluation_set(TASKS["mnist-from-digits"], "train", CPU)


class TestShrink:
    def test_a_box_of_ink_fills_the_image_wherever_it_stood(self):
        images = torch.zeros(3, 28, 28)
        images[0, 4:24, 4:24] = 0.5
        images[1, 0:20, 8:28] = 0.7
        images[2, 8:28, 0:20] = 1.0
        torch.testing.assert_close(shrink(images), torch.ones(3, 8, 8))

    def test_thin_strokes_are_centred(self):
        images = torch.zeros(2, 28, 28)
        images[0, 4:24, 4:24] = 1
        images[1, 4:24, 2:6] = 1
        columns = shrink(images)[1].sum(0)
        torch.testing.assert_close(columns, columns.flip(0))

    def test_an_empty_image_stays_dark(self):
        assert shrink(torch.zeros(2, 28, 28)).abs().max() == 0

    def test_digits_of_both_collections_sit_alike(self):
        """Centre of ink and extent of the two handwritten sets, in pixels of 8 x 8."""
        digits, mnist = tensors("digits")[0], shrink(tensors("mnist-5k")[0])
        at = torch.arange(8) + 0.5
        for axis in (1, 2):
            where = [(images.mean(0).sum(2 - axis) * at).sum() / images.mean(0).sum() for images in (digits, mnist)]
            assert abs(where[0] - where[1]) < 0.25
