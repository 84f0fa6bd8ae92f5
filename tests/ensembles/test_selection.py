"""Selection on score tables: no networks, no distances but those made up here."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ensembles.selection import ORDERS, RULES, select
from lib.ensembles.walk import REFERENCES
from lib.seeds import Seeds

SEQUENTIAL = ("random", "greedy", "greedier", "ranked")
CHOOSING = (*SEQUENTIAL, "uniform")


class Problem:
    """Made-up whole-number scores of all soups of n models, and distances between models."""

    def __init__(self, n, seed, ties=False):
        rng = np.random.default_rng(seed)
        subsets = [frozenset(c) for size in range(1, n + 1) for c in combinations(range(n), size)]
        values = rng.integers(0, 6, len(subsets)) if ties else rng.permutation(len(subsets))
        self.n, self.table = n, dict(zip(subsets, values.tolist(), strict=True))
        upper = np.triu(rng.permutation(n * n).reshape(n, n) + 1.0, 1)
        self.distances = upper + upper.T
        self.asked = []

    def score(self, soups):
        self.asked += soups
        return [self.table[frozenset(soup)] for soup in soups]

    def distance(self, members, candidates):
        return self.distances[np.ix_(members, candidates)].mean(0)

    def run(self, rule, **options):
        options = {"seeds": Seeds(3)} | options
        return select(rule, self.score, self.n, self.score([(i,) for i in range(self.n)]), self.distance, **options)


def table_problem(table):
    """Scores written as in the spec: '13' is the soup of models 1 and 3."""
    scores = {frozenset(int(c) - 1 for c in key): value for key, value in table.items()}
    singles = [scores[frozenset([i])] for i in range(3)]
    return lambda rule, **options: select(rule, lambda soups: [scores[frozenset(s)] for s in soups], 3, singles, **options)


problems = st.builds(Problem, st.integers(1, 6), st.integers(0, 10_000), st.booleans())
untied = st.builds(Problem, st.integers(1, 6), st.integers(0, 10_000))
rules = st.sampled_from(SEQUENTIAL)
accepts = st.sampled_from(["ge", "gt"])

FIRST = {"1": 80, "2": 79, "3": 70, "12": 79, "13": 85, "123": 84, "23": 75}
SECOND = {"1": 80, "2": 79, "3": 70, "12": 81, "13": 90, "123": 82, "23": 75}


class TestOracle01ScoreTables:
    def test_first_table_greedy_tries_2_in_vain_then_takes_3(self):
        chosen = table_problem(FIRST)("greedy")
        assert (chosen.members, chosen.best, chosen.n_evals) == ((0, 2), 85, 2)
        assert [(s.candidate, s.accepted) for s in chosen.trace] == [(0, True), (1, False), (2, True)]

    def test_first_table_greedier_takes_3_then_tries_2_and_stops(self):
        chosen = table_problem(FIRST)("greedier")
        assert (chosen.members, chosen.best, chosen.n_evals) == ((0, 2), 85, 3)
        assert [(s.candidate, s.accepted) for s in chosen.trace] == [(0, True), (1, False), (2, True), (1, False)]

    def test_second_table_tells_greedy_from_greedier(self):
        assert (table_problem(SECOND)("greedy").members, table_problem(SECOND)("greedy").best) == ((0, 1, 2), 82)
        assert (table_problem(SECOND)("greedier").members, table_problem(SECOND)("greedier").best) == ((0, 2), 90)

    def test_ranked_walks_by_distance(self):
        distance = {"distance_fn": lambda members, candidates: [{1: 1.0, 2: 5.0}[i] for i in candidates]}
        far = table_problem(SECOND)("ranked", order="far", **distance)
        near = table_problem(SECOND)("ranked", order="near", **distance)
        assert (far.members, far.n_evals) == ((0, 2), 2)
        assert (near.members, near.n_evals) == ((0, 1, 2), 2)
        assert far.trace[1].distance == 5.0
        assert far.trace[1].rank == 1


class TestOracle02Monotone:
    @given(problems, rules, accepts, st.booleans())
    def test_best_never_decreases(self, problem, rule, accept, force):
        best = [step.best for step in problem.run(rule, accept=accept, force=force).trace]
        assert best == sorted(best)

    @given(problems, rules, accepts)
    def test_the_soup_is_no_worse_than_the_best_single(self, problem, rule, accept):
        chosen = problem.run(rule, accept=accept)
        singles = problem.score([(i,) for i in range(problem.n)])
        assert problem.score([chosen.members])[0] == chosen.best >= max(singles)

    @given(problems)
    def test_greediers_first_addition_is_no_worse_than_greedys(self, problem):
        greedier, greedy = problem.run("greedier").curve, problem.run("greedy").curve
        assert (len(greedier) > 1) == (len(greedy) > 1)
        if len(greedy) > 1:
            assert greedier[1].score >= greedy[1].score


class TestOracle03EvaluationCounts:
    @given(problems, accepts)
    def test_greedy_needs_k_minus_1(self, problem, accept):
        assert problem.run("greedy", accept=accept).n_evals == problem.n - 1

    @given(problems)
    def test_greedier_needs_at_most_all_pairs(self, problem):
        assert problem.run("greedier").n_evals <= problem.n * (problem.n - 1) // 2

    @given(problems)
    def test_forced_greedier_needs_exactly_all_pairs(self, problem):
        chosen = problem.run("greedier", force=True)
        assert chosen.n_evals == problem.n * (problem.n - 1) // 2
        assert sorted(chosen.members) == list(range(problem.n))

    @given(problems, rules, st.booleans())
    def test_the_count_is_of_calls_made(self, problem, rule, force):
        chosen = problem.run(rule, force=force)
        asked = len(problem.asked) - problem.n
        assert chosen.n_evals == asked == len(chosen.trace) - 1 == chosen.trace[-1].n_evals


class TestOracle10Repeatable:
    @given(problems, rules, accepts)
    def test_same_seed_same_trace(self, problem, rule, accept):
        assert problem.run(rule, accept=accept) == problem.run(rule, accept=accept)

    @given(untied, st.sampled_from(CHOOSING), st.sampled_from(ORDERS), st.sampled_from(REFERENCES), st.randoms())
    def test_storage_order_does_not_matter_without_ties(self, problem, rule, order, reference, random):
        new_to_old = list(range(problem.n))
        random.shuffle(new_to_old)
        shuffled = Problem(problem.n, 0)
        place = {old: new for new, old in enumerate(new_to_old)}
        shuffled.table = {frozenset(place[i] for i in soup): score for soup, score in problem.table.items()}
        shuffled.distances = problem.distances[np.ix_(new_to_old, new_to_old)]
        options = {"order": order, "reference": reference}
        before, after = problem.run(rule, **options), shuffled.run(rule, **options)
        assert {new_to_old[i] for i in after.members} == set(before.members)
        assert after.best == before.best


class TestOracle11RankedAgainstGreedy:
    @given(st.integers(0, 10_000), st.booleans(), accepts, st.sampled_from(ORDERS))
    def test_ranked_with_two_models_equals_greedy(self, seed, ties, accept, order):
        problem = Problem(2, seed, ties)
        ranked, greedy = problem.run("ranked", accept=accept, order=order), problem.run("greedy", accept=accept)
        assert ranked.trace == greedy.trace

    @given(problems, accepts, st.sampled_from(ORDERS))
    def test_equal_distances_fall_to_the_single_scores(self, problem, accept, order):
        problem.distances = np.ones((problem.n, problem.n))
        trace = problem.run("ranked", accept=accept, order=order).trace
        singles = [problem.table[frozenset([i])] for i in range(problem.n)]
        expected = sorted(range(problem.n), key=lambda i: (-singles[i], i))
        first_walk = 1 + next((step.step for step in trace[1:] if step.accepted), problem.n - 1)
        assert [step.candidate for step in trace[:first_walk]] == expected[:first_walk]

    @given(problems, accepts, st.sampled_from(ORDERS))
    def test_equal_distances_without_reranking_equal_greedy(self, problem, accept, order):
        problem.distances = np.ones((problem.n, problem.n))
        assert problem.run("ranked", accept=accept, order=order, rerank=False).trace == problem.run("greedy", accept=accept).trace


class TestRecords:
    @given(problems, rules)
    def test_score_of_a_step_is_that_of_the_soup_before_with_the_candidate(self, problem, rule):
        trace = problem.run(rule).trace
        for before, step in pairwise(trace):
            assert step.score == problem.table[frozenset((*before.members, step.candidate))]
            assert step.members == ((*before.members, step.candidate) if step.accepted else before.members)
            assert step.accepted == (step.score >= before.best) or rule == "greedier"

    def test_force_records_the_whole_curve_and_names_its_best_prefix(self):
        chosen = table_problem(SECOND)("greedier", force=True)
        assert chosen.members == (0, 2, 1)
        assert [step.score for step in chosen.curve] == [80, 90, 82]
        assert (chosen.best_prefix, chosen.best) == ((0, 2), 90)

    @given(problems, rules)
    def test_without_force_the_best_score_is_the_last(self, problem, rule):
        chosen = problem.run(rule)
        assert problem.table[frozenset(chosen.best_prefix)] == chosen.best == chosen.curve[-1].score

    def test_uniform_is_one_evaluation_of_all(self):
        chosen = table_problem(FIRST)("uniform")
        assert (chosen.members, chosen.best, chosen.n_evals, len(chosen.trace)) == ((0, 1, 2), 84, 1, 1)
        assert chosen.trace[0].candidate is None

    def test_manual_follows_the_order_given_and_keeps_what_lowers_the_score(self):
        chosen = table_problem(FIRST)("manual", members=(1, 0, 2))
        assert (chosen.members, chosen.n_evals) == ((1, 0, 2), 2)
        assert [step.score for step in chosen.trace] == [79, 79, 84]

    def test_random_order_depends_on_the_seed_only(self):
        problem = Problem(6, 1)
        orders = {tuple(step.candidate for step in problem.run("random", force=True, seeds=Seeds(s)).trace) for s in range(20)}
        assert len(orders) > 10
        assert {order[0] for order in orders} == {problem.run("greedy").members[0]}

    def test_reference_first_and_mean_pairwise_measure_from_there(self):
        problem = Problem(5, 4)
        from_there = {"first": lambda d, m, c: d[m[0], c], "mean_pairwise": lambda d, m, c: d[list(m), c].mean()}
        for reference, expected in from_there.items():
            trace = problem.run("ranked", reference=reference, force=True).trace
            for before, step in pairwise(trace):
                assert step.distance == pytest.approx(expected(problem.distances, before.members, step.candidate))

    def test_replacement_lets_the_best_model_enter_again_and_ends(self):
        """Caruana's ensemble selection: adding the same model keeps a mean, so with >= it goes on up to n entries."""
        chosen = select("greedier", lambda soups: [s.count(0) / len(s) for s in soups], 3, [1.0, 0.0, 0.0], replacement=True)
        assert chosen.members == (0, 0, 0)
        assert chosen.n_evals == 6


class TestTies:
    def test_equal_single_scores_fall_to_the_lower_index(self):
        chosen = select("greedy", lambda soups: [0] * len(soups), 3, [5, 7, 7])
        assert [step.candidate for step in chosen.trace] == [1, 2, 0]

    def test_greedier_breaks_ties_by_single_score_then_index(self):
        def run(singles):
            return select("greedier", lambda soups: [9] * len(soups), 4, singles).members[1]

        assert run([8, 5, 6, 6]) == 2
        assert run([8, 6, 6, 5]) == 1

    def test_ranked_breaks_ties_by_single_score_then_index(self):
        chosen = select("ranked", lambda soups: [0] * len(soups), 4, [9, 5, 6, 6], lambda m, c: [1.0] * len(c))
        assert [step.candidate for step in chosen.trace] == [0, 2, 3, 1]

    def test_pitfall_strict_comparison_changes_the_result(self):
        def run(accept):
            return select("greedy", lambda soups: [80] * len(soups), 3, [80, 79, 78], accept=accept).members

        assert run("ge") == (0, 1, 2)
        assert run("gt") == (0,)


class TestPitfalls:
    @given(problems, rules)
    def test_a_rejected_candidate_leaves_no_mark_on_later_soups(self, problem, rule):
        """The running sum is updated for accepted candidates only."""
        problem.asked.clear()
        chosen = problem.run(rule)
        accepted = set(chosen.members)
        for soup in problem.asked[problem.n :]:
            assert set(soup[:-1]) <= accepted

    def test_whole_numbers_stay_whole(self):
        """Counts are compared exactly: the scores of a trace are the integers that went in."""
        chosen = select("greedy", lambda soups: np.array([7] * len(soups)), 2, np.array([7, 3]))
        assert [type(step.score) for step in chosen.trace] == [int, int]
        assert chosen.members == (0, 1)

    def test_cost_stands_beside_the_gain(self):
        """Greedy and greedier may agree on the soup; the trace still tells them apart by their cost."""
        greedy, greedier = table_problem(FIRST)("greedy"), table_problem(FIRST)("greedier")
        assert greedy.members == greedier.members
        assert greedy.n_evals < greedier.n_evals


class TestBadInput:
    def run(self, rule="greedy", scores=(3, 2), score=lambda soups: [1] * len(soups), n=2, **options):
        return select(rule, score, n, list(scores), **options)

    @pytest.mark.parametrize("rule", [*CHOOSING, "manual"])
    def test_one_model_every_rule_returns_it(self, rule):
        options = {"members": (0,)} if rule == "manual" else {}
        chosen = self.run(
            rule, [3], lambda soups: [0] * len(soups), 1, distance_fn=lambda m, c: [0.0] * len(c), seeds=Seeds(0), **options
        )
        assert (chosen.members, chosen.best, chosen.n_evals, len(chosen.trace)) == ((0,), 3, 0, 1)

    def test_empty_pool(self):
        with pytest.raises(ValueError, match="pool is empty"):
            self.run(scores=[], n=0)

    def test_unknown_rule_lists_the_rules(self):
        with pytest.raises(ValueError, match=rf"rule: got 'best'.*{', '.join(RULES)}"):
            self.run("best")

    def test_unknown_order_lists_the_orders(self):
        with pytest.raises(ValueError, match=r"order: got 'middle'.*far, near"):
            self.run("ranked", order="middle")

    def test_unknown_reference_lists_the_references(self):
        with pytest.raises(ValueError, match=r"reference: got 'last'.*soup, first, mean_pairwise"):
            self.run("ranked", reference="last")

    def test_unknown_accept_rule_lists_the_rules(self):
        with pytest.raises(ValueError, match=r"accept: got '>='.*ge, gt"):
            self.run(accept=">=")

    def test_score_function_returning_nan_names_the_candidate(self):
        with pytest.raises(RuntimeError, match="score of candidate 1 is NaN"):
            self.run(score=lambda soups: [math.nan])

    def test_single_score_nan_names_the_model(self):
        with pytest.raises(RuntimeError, match="single score of candidate 1 is NaN"):
            self.run(scores=[0.5, math.nan])

    def test_distance_nan_names_the_candidate(self):
        with pytest.raises(RuntimeError, match="distance of candidate 1 is NaN"):
            self.run("ranked", distance_fn=lambda m, c: [math.nan] * len(c))

    def test_wrong_number_of_scores(self):
        with pytest.raises(ValueError, match="got 2 values for 1 candidates"):
            self.run(score=lambda soups: [1, 2])
        with pytest.raises(ValueError, match="single_scores: got 3 scores for 2 models"):
            self.run(scores=[1, 2, 3])

    def test_manual_soup_with_repeated_ids(self):
        with pytest.raises(ValueError, match=r"model 1 is given more than once.*replacement=True"):
            self.run("manual", members=(1, 1))
        assert self.run("manual", members=(1, 1), replacement=True).members == (1, 1)

    @pytest.mark.parametrize(("members", "message"), [((), "empty soup"), ((0, 2), r"got 2, allowed are the models 0\.\.1")])
    def test_manual_soup_of_models_that_are_not_there(self, members, message):
        with pytest.raises(ValueError, match=message):
            self.run("manual", members=members)

    @pytest.mark.parametrize(
        ("rule", "options", "message"),
        [
            ("ranked", {}, "distance_fn: got None"),
            ("random", {}, "seeds: got None"),
            ("greedy", {"replacement": True}, "replacement: got True for the rule 'greedy'"),
            ("greedy", {"members": (0,)}, "belong to the rule 'manual'"),
            ("manual", {}, "members: got None"),
        ],
    )
    def test_options_that_do_not_fit_the_rule(self, rule, options, message):
        with pytest.raises(ValueError, match=message):
            self.run(rule, **options)
