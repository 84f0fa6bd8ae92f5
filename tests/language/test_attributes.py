"""Attributes: clean, disjoint, balanced parts; controls; matched topics; a generated family whose content tells nothing."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.language.attributes import ATTRIBUTES, PARTS, find_attribute, load_attribute
from lib.language.candidates import POLITE_AND_FORMAL, SOURCES
from lib.language.cleaning import LONGEST, SHORTEST, clean, repeats, sentences, usable, words
from lib.language.grammar import SWITCHES, generate
from lib.language.lexicon import lexicon_for
from lib.language.matching import match, topic_words
from lib.language.neutral import neutral_prompts, neutral_texts
from lib.seeds import Seeds

SMALL = {"anchors": 60, "scorer": 60, "held_out": 30}
GENERATED = [name for name, pair in ATTRIBUTES.items() if pair.generated]
WRITTEN = [name for name, pair in ATTRIBUTES.items() if not pair.generated]


@pytest.fixture(scope="module")
def film():
    return load_attribute("sentiment", Seeds(0))


@pytest.fixture(scope="module")
def plain():
    return load_attribute("simplicity", Seeds(0))


# Cleaning


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("@you see https://t.co/x #sad it's fine &amp; dandy", "See it's fine & dandy."),
        ("RT @you: never   again!!!", "Never again!"),
        ("it 's good , solid storytelling .", "It's good, solid storytelling."),
        ("they do n't ( ever ) know", "They don't (ever) know."),
        ("One.<br /><br />Two", "One. Two."),
        ("it isn\x92t &lt;i&gt;so&lt;/i&gt;", "It isn't so."),
        ("and behold, `he` came:", "And behold, 'he' came."),
        ("«No», he said", 'No", he said.'),
        ("#only @marks", ""),
    ],
)
def test_marks_of_the_source_are_stripped(raw, cleaned):
    assert clean(raw) == cleaned


@given(st.text(alphabet=st.sampled_from("abc XY.,!?'\"()-@#&;:<>[]/\n\x92“’"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_cleaned_text_is_one_line_without_marks_and_ends_in_a_stop(raw):
    cleaned = clean(raw)
    assert "\n" not in cleaned
    assert "  " not in cleaned
    assert not re.search(r"[\[\]“’\x92]|@\w|#\w", cleaned)
    assert not cleaned or cleaned[-1] in ".!?"


def test_short_long_and_foreign_texts_are_not_used():
    assert usable("A good and solid story.")
    assert not usable("Too few words.")
    assert not usable("x" * 10 + " a b c d" * 60)
    assert not usable("¿Qué será, será? ¡Así está más allá — él!")


def test_sentences_end_at_stops_before_capitals():
    assert sentences("It is 3.5 long. So? yes. The end.") == ["It is 3.5 long.", "So? yes.", "The end."]


def test_near_duplicates_are_found_and_others_are_not():
    base = [" ".join(f"w{chr(97 + (7 * i + j) % 26)}{chr(97 + i)}x" for j in range(12)) for i in range(20)]
    nearly = base[3].rsplit(" ", 1)[0] + " changed"
    half = " ".join(base[5].split()[:6] + base[6].split()[:6])
    found = repeats([*base, base[0], nearly, half, base[7].upper()])
    assert found.tolist() == [False] * 20 + [True, True, False, True]


# Matching


def _confounded(n=2000):
    """Texts whose topic goes with the label three times in four, of lengths that do too."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=n)
    topic = np.where(rng.random(n) < 0.75, labels, 1 - labels)
    nouns = (("flight", "gate", "luggage"), ("concert", "stage", "singer"))
    fillers = rng.choice(["window", "table", "garden", "river", "letter"], size=(n, 9))
    texts = [
        " ".join([nouns[topic[i]][rng.integers(3)], *fillers[i, : 4 + topic[i] * 2 + rng.integers(3)]]) + f" {labels[i]}"
        for i in range(n)
    ]
    return texts, labels


def test_matching_takes_topic_and_length_away():
    texts, labels = _confounded()
    vocabulary = topic_words(texts, lexicon=(), n=20)
    assert {"flight", "concert"} <= set(vocabulary)
    found = match(texts, labels, vocabulary, Seeds(0))
    assert found.before > 0.7
    assert 0.4 < found.after < 0.55
    assert np.bincount(labels[found.kept]).tolist() == [len(found.kept) // 2] * 2
    lengths = np.array([len(text) for text in texts])[found.kept]
    apart = abs(lengths[labels[found.kept] == 1].mean() - lengths[labels[found.kept] == 0].mean())
    assert apart < 0.1 * lengths.std()
    assert np.array_equal(found.kept, match(texts, labels, vocabulary, Seeds(0)).kept)


def test_topic_words_leave_out_function_words_and_the_lexicon():
    assert topic_words(["the good river runs", "a good river and you"], lexicon=["good"], n=5) == ["river", "runs"]


@pytest.mark.network
def test_matching_balances_real_film_reviews(film):
    assert film.facts["topic_before"] > 0.58
    assert film.facts["topic_after"] < 0.53
    assert film.facts["matched"] >= 2 * sum(map(len, (film.anchors.positive, film.scorer.positive, film.held_out.positive)))


# Parts


@pytest.mark.network
@pytest.mark.parametrize("name", ["film", "plain"])
def test_parts_are_balanced_and_share_no_text(name, request):
    data = request.getfixturevalue(name)
    parts = [data.anchors, data.scorer, data.held_out]
    assert [(len(part.positive), len(part.negative)) for part in parts] == [(1000, 1000), (1000, 1000), (300, 300)]
    counts = Counter(text for part in parts for text in part.texts)
    assert max(counts.values()) == 1
    assert all(SHORTEST <= len(text) <= LONGEST for text in counts)


@pytest.mark.network
@pytest.mark.parametrize("name", ["film", "plain"])
def test_held_out_texts_have_no_near_duplicate_in_training(name, request):
    data = request.getfixturevalue(name)
    joined = [f"{a} {b}" for part in (data.scorer, data.held_out) for a, b in zip(part.positive, part.negative, strict=True)]
    # Where pairs are drawn together no pair may come back; elsewhere no single text.
    assert not repeats(joined if name == "plain" else data.scorer.texts + data.held_out.texts).any()


@pytest.mark.network
@pytest.mark.parametrize("name", ["film", "plain"])
def test_both_sides_have_the_same_lengths(name, request):
    part = request.getfixturevalue(name).anchors
    first, second = (np.quantile([len(text) for text in side], (0.1, 0.5, 0.9)) for side in (part.positive, part.negative))
    assert np.abs(first / second - 1).max() < 0.15


@pytest.mark.network
def test_pairs_of_translations_say_the_same(plain):
    names = [
        [set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{4,}", text)) for text in side]
        for side in (plain.held_out.positive, plain.held_out.negative)
    ]
    both = [(first, second) for first, second in zip(*names, strict=True) if first and second]
    same = np.mean([bool(first & second) for first, second in both])
    moved = np.mean([bool(first & both[(i + 1) % len(both)][1]) for i, (first, _) in enumerate(both)])
    assert same > 0.75
    assert moved < 0.5


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["tweet-sentiment", "critic", "archaic"])
def test_every_other_real_attribute_loads(name):
    data = load_attribute(name, Seeds(0))
    assert len(set(data.anchors.texts + data.scorer.texts + data.held_out.texts)) == 4600


def test_the_same_seed_gives_the_same_texts_and_another_one_others():
    first, again, other = (load_attribute("generated-sentiment", Seeds(root), SMALL) for root in (0, 0, 1))
    assert first == again
    assert not set(first.anchors.texts) & set(other.anchors.texts)


def test_swapped_exchanges_the_sides_and_twice_is_nothing():
    sides = load_attribute("generated-formality", Seeds(0), SMALL).anchors
    assert (sides.swapped().positive, sides.swapped().negative) == (sides.negative, sides.positive)
    assert sides.swapped().swapped() == sides


def test_shuffled_permutes_the_labels():
    sides = load_attribute("generated-formality", Seeds(0), SMALL).anchors
    control = sides.shuffled(Seeds(1))
    assert sorted(control.texts) == sorted(sides.texts)
    kept = len(set(control.positive) & set(sides.positive))
    assert 18 <= kept <= 42  # half of 60
    assert sides.labels.tolist() == [1] * 60 + [0] * 60


# Errors


@pytest.mark.parametrize("ask", [find_attribute, lambda name: load_attribute(name, Seeds(0))])
def test_unknown_attribute_name_lists_the_known_ones(ask):
    with pytest.raises(
        KeyError, match=r"'humour', known are sentiment, tweet-sentiment, critic, archaic, simplicity, generated-"
    ):
        ask("humour")


@pytest.mark.parametrize("sizes", [{"anchors": 10}, {**SMALL, "scorer": 0}, {**SMALL, "more": 3}, {**SMALL, "held_out": 2.0}])
def test_sizes_must_name_the_three_parts(sizes):
    with pytest.raises(ValueError, match=r"sizes: got .* allowed are counts >= 1 for anchors, scorer, held_out"):
        load_attribute("generated-sentiment", Seeds(0), sizes)


@pytest.mark.network
def test_more_texts_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"allowed for 'simplicity' are counts that add to at most 5688 a side"):
        load_attribute("simplicity", Seeds(0), dict.fromkeys(PARTS, 2000))


def test_every_attribute_has_a_source_and_says_what_its_sides_mean():
    assert set(SOURCES) == set(ATTRIBUTES)
    for pair in ATTRIBUTES.values():
        assert pair.positive != pair.negative
        assert ("GENERATED" in pair.note) == pair.generated


# The generated family


def test_the_grammar_writes_as_many_as_are_wanted_and_begins_with_the_same():
    source, node = SOURCES["generated-formality"], Seeds(0)
    few, many = source(node, 10), source(node, 3500)
    assert len(few.positive) == 3000
    assert len(many.negative) >= 3500
    assert (many.positive[:3000], many.negative[:3000]) == (few.positive, few.negative)
    data = load_attribute("generated-formality", Seeds(0), {"anchors": 3000, "scorer": 400, "held_out": 100})
    assert len({*data.anchors.texts, *data.scorer.texts, *data.held_out.texts}) == 7000


@pytest.mark.network
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ("archaic", "critic") else []) for name in WRITTEN]
)
def test_there_are_as_many_texts_as_an_attribute_promises(name):
    sizes = {"anchors": find_attribute(name).most - 2, "scorer": 1, "held_out": 1}
    assert len(load_attribute(name, Seeds(1), sizes).anchors.negative) == sizes["anchors"]


def _information(first, second):
    """Mutual information of two discrete variables, in nats."""
    joint = Counter(zip(first, second, strict=True))
    one, other, n = Counter(first), Counter(second), len(first)
    return sum(count / n * np.log(count * n / (one[a] * other[b])) for (a, b), count in joint.items())


def test_content_is_independent_of_every_switch():
    styled = generate(4000, Seeds(0))
    for place, switch in enumerate(SWITCHES):
        labels = [text.switches[place] for text in styled]
        for slot in range(5):
            assert _information([text.content[slot] for text in styled], labels) < 0.006, (switch, slot)


def test_content_words_of_the_texts_tell_nothing_of_the_label():
    content = {word for text in generate(500, Seeds(1)) for item in text.content for word in words(item)} - {"the", "it"}
    deeds = {"fix", "repair", "move", "relocate", "check", "examine", "show", "demonstrate", "swap", "exchange", "find", "locate"}
    for switch in SWITCHES:
        sides = [generate(800, Seeds(2).child(on), {switch: on}) for on in (0, 1)]
        texts = [set(words(text.text)) for side in sides for text in side]
        labels = [on for on, side in enumerate(sides) for _ in side]
        for word in sorted(content - deeds - {"in", "by", "at", "on", "this", "after", "before", "near", "behind", "during"}):
            assert _information([word in text for text in texts], labels) < 0.006, (switch, word)


def test_switches_are_independent_of_each_other():
    table = np.array([text.switches for text in generate(4000, Seeds(0))])
    assert np.abs(table.mean(axis=0) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(table.T) - np.eye(4)).max() < 0.05


def test_the_correlated_corpus_is_70_percent_formal_where_polite():
    for polite, share in ((1, POLITE_AND_FORMAL), (0, 1 - POLITE_AND_FORMAL)):
        formal = [text.switches[2] for text in generate(2000, Seeds(0), {"politeness": polite}, POLITE_AND_FORMAL)]
        assert abs(np.mean(formal) - share) < 0.04


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_its_own_markers_only(switch):
    """Two texts from one seed with one switch apart say the same about the same."""
    other = [name for name in SWITCHES if name != switch]
    for index in range(20):
        fixed = dict.fromkeys(other, index % 2)
        one, two = (generate(1, Seeds(index), fixed | {switch: on})[0] for on in (0, 1))
        assert one.content == two.content
        assert one.text != two.text


@pytest.mark.parametrize(
    ("n", "fixed", "share"), [(0, None, 0.5), (3, {"humour": 1}, 0.5), (3, {"formality": 2}, 0.5), (3, None, 1.5)]
)
def test_bad_settings_of_the_grammar_are_refused(n, fixed, share):
    with pytest.raises(ValueError, match=r"generate: got n .* allowed are n >= 1, switches sentiment, politeness"):
        generate(n, Seeds(0), fixed, share)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_texts_fit_a_block(name):
    data = load_attribute(name, Seeds(0), SMALL)
    assert all(usable(text) for text in data.anchors.texts)
    assert data.facts["repeats"] == 0


# Prompts and neutral prose


@pytest.mark.network
@pytest.mark.parametrize("about", ["things", "film", "people"])
def test_prompts_hold_no_word_of_any_lexicon(about):
    said = {word for prompt in neutral_prompts(50, Seeds(0), about) for word in words(prompt)}
    for attribute in ("sentiment", "archaic", "generated-politeness"):
        lexicon = lexicon_for(attribute)
        assert not said & (lexicon.positive | lexicon.negative), attribute


def test_prompts_differ_and_repeat_with_the_seed():
    prompts = neutral_prompts(50, Seeds(0))
    assert len(set(prompts)) == 50
    assert prompts == neutral_prompts(50, Seeds(0))
    assert prompts != neutral_prompts(50, Seeds(1))


@pytest.mark.parametrize(("n", "about"), [(0, "things"), (10_000_000, "film"), (5, "weather")])
def test_impossible_prompts_are_refused(n, about):
    with pytest.raises(ValueError, match="allowed"):
        neutral_prompts(n, Seeds(0), about)


def test_neutral_prose_is_prose():
    texts = neutral_texts()
    assert texts == neutral_texts()
    assert sum(len(text.split()) for text in texts) > 800
    assert not any("::" in text or "`" in text for text in texts)
