"""Grading with the right answers before the networks, against a plain loop and against explicit greedy decoding."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lib.emergence.addition import Addition
from lib.emergence.count import Count
from lib.emergence.grading import grade, greedy
from lib.emergence.tasks import Rows
from lib.emergence.tokens import PAD
from lib.nets import MLP, Decoder
from lib.population import IGNORED, Hyperparameters, predict, stack, train
from lib.seeds import Seeds

QUICK = settings(max_examples=20, deadline=None)
TASK = Count(numbers=40, lengths=(1, 6), context=32)


@dataclass(frozen=True)
class Reader:
    """A language model that sees the present token and the third one, which says where counting ends."""

    vocabulary: int
    input_ndim = 2

    @property
    def net(self):
        return MLP((2 * self.vocabulary, 64, self.vocabulary))

    def layout(self):
        return self.net.layout()

    def init(self, seeds):
        return self.net.init(seeds)

    def apply(self, params, x, *, drop=None):
        end = x[..., min(2, x.shape[-1] - 1), None].expand(x.shape)
        seen = torch.cat([F.one_hot(ids.long(), self.vocabulary) for ids in (x, end)], -1).to(params["layer0.weight"])
        return self.net.apply(params, seen.flatten(-3, -2), drop=drop).unflatten(-2, x.shape[-2:])


def joined(exams):
    """Exams of different lengths as one, padded behind."""
    width = max(exam.inputs.shape[1] for exam in exams)
    pads = [width - exam.inputs.shape[1] for exam in exams]
    inputs = [F.pad(exam.inputs, (0, pad), value=3) for exam, pad in zip(exams, pads, strict=True)]
    targets = [F.pad(exam.targets, (0, pad), value=IGNORED) for exam, pad in zip(exams, pads, strict=True)]
    return Rows(torch.cat(inputs), torch.cat(targets))


@pytest.fixture(scope="module")
def trained():
    """Three networks that can do some of the 225 prompts, each after another number of steps; and these prompts."""
    exam, net = joined([TASK.evaluation(length) for length in range(1, 7)]), Reader(len(TASK.tokens))
    population = train(
        net, net.init(Seeds(0)), exam.inputs, exam.targets, members=3, steps=250, batch_size=32,
        hyper=Hyperparameters(lr=torch.tensor([3e-4, 2e-3, 1e-2])), seeds=Seeds(1),
    )  # fmt: skip
    return net, population.params, exam


def random_logits(exam, vocabulary, members=2, seed=0):
    """Logits that are often right."""
    noise = torch.randn(members, *exam.targets.shape, vocabulary, generator=Seeds(seed).torch())
    return noise + 3.0 * F.one_hot(exam.targets.clamp(min=0), vocabulary)


class TestGreedy:
    def test_teacher_forced_exact_match_equals_greedy_exact_match(self, trained):
        net, params, exam = trained
        found = grade(predict(net, params, exam.inputs), exam)
        said = greedy(net, params, exam)
        whole = (said == exam.targets).all(-1)
        assert len(exam.inputs) >= 200
        assert torch.equal(whole.double().mean(1), found.exact)
        assert ((found.exact > 0.05) & (found.exact < 0.95)).any()  # else the law would be empty
        # The same prompts, not only as many.
        forced = predict(net, params, exam.inputs).argmax(-1)
        assert torch.equal(((forced == exam.targets) | (exam.targets == IGNORED)).all(-1), whole)

    def test_writes_what_the_prompt_leads_to_and_nothing_else(self, trained):
        net, params, exam = trained
        said = greedy(net, params, exam)
        assert torch.equal(said == IGNORED, (exam.targets == IGNORED).expand_as(said))
        # Its own tokens are the inputs to the next: an exam with other answers leaves it as it is.
        other = Rows(torch.where(F.pad(exam.targets != IGNORED, (1, -1)), 7, exam.inputs), exam.targets)
        assert torch.equal(greedy(net, params, other), said)

    def test_what_a_decoder_wrote_is_what_it_finds_likeliest_after_it(self):
        """Fed back as inputs, its own answers are the arg-max at every place, at other lengths of prompts too."""
        exam = Addition((1, 2), pairs=8, padded=False).evaluation(2)
        net = Decoder(vocabulary=67, width=16, heads=2, layers=1)
        params = stack([{name: 5 * value for name, value in net.init(Seeds(k)).items()} for k in range(3)])
        said = greedy(net, params, exam)
        written = torch.where(said == IGNORED, PAD, said)[..., :-1]
        inputs = torch.where(F.pad(said[..., :-1] != IGNORED, (1, 0)), F.pad(written, (1, 0)), exam.inputs)
        again = net.apply(params, inputs).argmax(-1)
        assert torch.equal(torch.where(said == IGNORED, IGNORED, again), said)
        assert len(said[said != IGNORED].unique()) > 3


class TestGrade:
    @given(st.integers(0, 1000))
    @QUICK
    def test_is_what_a_plain_loop_counts(self, seed):
        exam = Addition((1, 2), pairs=6, padded=False).evaluation(2)
        logits = random_logits(exam, 67, seed=seed)
        found = grade(logits, exam)
        for k, member in enumerate(logits.double()):
            whole, right, nll = [], [], []
            for z, targets in zip(member, exam.targets, strict=True):
                places = [t for t in range(len(targets)) if targets[t] != IGNORED]
                hits = [int(z[t].argmax()) == int(targets[t]) for t in places]
                whole.append(all(hits))
                right += hits
                nll += [float(z[t].logsumexp(0) - z[t, targets[t]]) for t in places]
            assert found.exact[k] == sum(whole) / len(whole)
            assert found.token[k] == sum(right) / len(right)
            assert float(found.nll[k]) == pytest.approx(sum(nll) / len(nll), rel=1e-12)
        assert found.broken == ()

    def test_of_the_right_answers_is_perfect(self):
        exam = TASK.evaluation(4)
        found = grade(50.0 * F.one_hot(exam.targets.clamp(min=0), len(TASK.tokens))[None].float(), exam)
        assert (found.exact.item(), found.token.item()) == (1, 1)
        assert found.nll.item() == pytest.approx(0, abs=1e-12)

    def test_of_even_logits_has_the_entropy_of_the_vocabulary(self):
        exam = TASK.evaluation(4)
        found = grade(torch.zeros(1, *exam.targets.shape, 44), exam)
        assert found.nll.item() == pytest.approx(float(torch.tensor(44.0).double().log()), rel=1e-12)

    def test_one_wrong_token_makes_the_answer_wrong(self):
        exam = TASK.evaluation(3)
        logits = 9.0 * F.one_hot(exam.targets.clamp(min=0), len(TASK.tokens))[None].float()
        place = int((exam.targets[5] != IGNORED).nonzero()[-1])  # the end counts too
        logits[0, 5, place] = logits[0, 5, place].roll(1)
        found = grade(logits, exam)
        assert found.exact.item() == 37 / 38
        assert found.token.item() == 1 - 1 / (38 * 4)

    def test_prompts_are_not_graded(self):
        exam = TASK.evaluation(3)
        logits = random_logits(exam, 44)
        other = torch.where((exam.targets == IGNORED)[..., None], torch.nan, logits)
        one, same = grade(logits, exam), grade(other, exam)
        assert torch.equal(one.exact, same.exact)
        assert torch.equal(one.nll, same.nll)
        assert same.broken == ()

    def test_shares_compare_exactly_with_thresholds(self):
        """Float32 logits do not make 0.2 more than 0.2."""
        exam = Count(numbers=40, context=64).evaluation(36)
        logits = 9.0 * F.one_hot(exam.targets.clamp(min=0), 44)[None].float()
        logits[0, 1:] = -logits[0, 1:]
        found = grade(logits, exam)
        assert found.exact.dtype == torch.float64
        assert found.exact.item() == 1 / 5

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_members_without_finite_logits_are_named(self, bad):
        exam = TASK.evaluation(3)
        logits = random_logits(exam, 44, members=4)
        alone = grade(logits, exam)
        logits[2, 7, -1, 5] = bad
        found = grade(logits, exam)
        assert found.broken == (2,)
        for name in ("exact", "token", "nll"):
            values, others = getattr(found, name), getattr(alone, name)
            assert values[2].isnan()
            assert torch.equal(values[[0, 1, 3]], others[[0, 1, 3]])

    def test_order_of_members_and_of_examples(self):
        exam = TASK.evaluation(5)
        logits = random_logits(exam, 44, members=5)
        order, rows = torch.tensor([3, 0, 4, 2, 1]), torch.arange(len(exam.inputs)).flip(0)
        found, members = grade(logits, exam), grade(logits[order], exam)
        examples = grade(logits[:, rows], Rows(exam.inputs[rows], exam.targets[rows]))
        assert torch.equal(found.exact[order], members.exact)
        assert torch.equal(found.nll[order], members.nll)
        assert torch.equal(found.exact, examples.exact)

    def test_refuses_logits_and_exams_that_do_not_fit(self):
        exam = TASK.evaluation(3)
        with pytest.raises(ValueError, match=r"logits: got shape \(2, 38, 6, 44\), allowed is \(K, 38, 7, V\)"):
            grade(random_logits(exam, 44)[:, :, :-1], exam)
        with pytest.raises(ValueError, match="exam: got target 43 for logits of 40 tokens"):
            grade(torch.zeros(1, 38, 7, 40), exam)
        empty = Rows(exam.inputs, torch.full_like(exam.targets, IGNORED))
        with pytest.raises(ValueError, match="exam: got an example without targets"):
            grade(torch.zeros(1, 38, 7, 44), empty)
