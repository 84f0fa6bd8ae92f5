"""The schema refuses what it must refuse, in one line that names field, value and what is allowed."""

import pytest
import yaml

from lib.studies import ParamError, StudyParams, resolve
from lib.studies.params import read_yaml


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"no_such": "1"}, "no_such: got '1', but there is no such parameter; allowed: seed, n,"),
        ({"seed": "abc"}, "seed: got 'abc', allowed: whole numbers >= 0"),
        ({"seed": "nan"}, "seed: got 'nan', allowed: whole numbers >= 0"),
        ({"seed": "1.5"}, "seed: got '1.5', allowed: whole numbers >= 0"),
        ({"seed": "-1"}, "seed: got -1, allowed: whole numbers >= 0"),
        ({"n": "-3"}, "n: got -3, allowed: whole numbers >= 2 and <= 10000"),
        ({"scale": "nan"}, "scale: got nan, allowed: finite numbers > 0 and <= 10"),
        ({"scale": "inf"}, "scale: got inf"),
        ({"law": "cauchy"}, "law: got 'cauchy', allowed: normal, uniform"),
        ({"fail": "perhaps"}, "fail: got 'perhaps', allowed: true or false"),
        ({"parts": ""}, "parts: got [], allowed: a list out of a, b, c, length >= 1"),
        ({"parts": "a,z"}, "parts: got ['a', 'z'], allowed: a list out of a, b, c"),
    ],
)
def test_text_from_the_command_line_is_refused_in_one_line(tiny, given, line):
    with pytest.raises(ParamError) as error:
        resolve(tiny, "quick", given)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "given", [{"seed": True}, {"seed": 1.0}, {"seed": "3"}, {"n": None}, {"parts": "a"}, {"scale": "1"}, {"fail": 1}]
)
def test_typed_values_are_not_converted(tiny, given):
    with pytest.raises(ParamError, match=next(iter(given))):
        tiny.study.params.parse(given)


def test_every_fault_has_its_line(tiny):
    with pytest.raises(ParamError) as error:
        resolve(tiny, "quick", {"seed": "x", "n": "0"})
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["n", "seed"]


def test_text_becomes_the_declared_type(tiny):
    params = resolve(tiny, "quick", {"n": "7", "scale": "2e-1", "fail": "True", "parts": "a, c", "law": "uniform"})
    assert (params.n, params.scale, params.fail, params.parts, params.law) == (7, 0.2, True, ["a", "c"], "uniform")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n: 3\nn: 4\n", "n: stands 2 times"),
        ("no_such: 3\n", "no_such"),
        ("n: [3\n", "not readable as YAML"),
        ("- 3\n", "got list, allowed: a flat mapping"),
        ("", "got NoneType, allowed: a flat mapping"),
    ],
)
def test_bad_yaml_names_the_file_or_field(tiny, tmp_path, text, words):
    path = tmp_path / "given.yaml"
    path.write_text(text)
    with pytest.raises(ParamError, match=words.replace("[", r"\[")):
        resolve(tiny, "quick", {}, read_yaml(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ParamError, match=r"nowhere\.yaml"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_unknown_size_lists_the_sizes(tiny):
    with pytest.raises(ParamError, match="got 'huge', allowed: test, quick, laptop, paper"):
        resolve(tiny, "huge", {})


def test_size_is_recognised_up_to_the_seed(tiny):
    assert tiny.size_of(resolve(tiny, "test", {"seed": "9"})) == "test"
    assert tiny.size_of(resolve(tiny, "test", {"n": "51"})) == "custom"


def test_small_floats_survive_yaml(tmp_path):
    """YAML 1.1 reads 1e-06 as text; the files we write must come back as numbers."""
    from lib.studies.faces import yaml_text
    from lib.studies.params import param

    class Params(StudyParams):
        rates: list[float] = param([1e-6, 3e-5, 0.1], "rates")
        tiny: float = param(1e-12, "a small number")

    read = yaml.safe_load(yaml_text(Params, Params(), "title"))
    assert Params.parse(read) == Params()
