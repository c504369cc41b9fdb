"""Bad parameters are named, before anything runs."""

import re
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from factalign.hooks import CheckParameters
from factalign.parameters import check_parameters

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def parameters():
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        return session.load_context().config_loader["parameters"]


@pytest.mark.parametrize("env", ["test", "gpu"])
def test_the_parameters_of_every_environment_are_valid(env):
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT, env=env) as session:
        check_parameters(session.load_context().config_loader["parameters"])


def test_a_misspelt_top_level_key_names_the_valid_ones(parameters):
    with pytest.raises(ValueError, match=r"samplng: unknown key; valid keys: .*sampling"):
        check_parameters({**parameters, "samplng": {}})


def test_a_misspelt_nested_key_names_the_valid_ones(parameters):
    wrong = deepcopy(parameters)
    wrong["training"]["fkto"]["learning_rat"] = 1.0
    with pytest.raises(ValueError, match=r"training\.fkto\.learning_rat: unknown key; valid keys: .*learning_rate"):
        check_parameters(wrong)


def test_a_bad_value_names_its_key_and_value(parameters):
    wrong = deepcopy(parameters)
    wrong["sampling"]["temperature"] = "warm"
    with pytest.raises(ValueError, match=r"sampling\.temperature: .*'warm'"):
        check_parameters(wrong)


def test_a_policy_needs_the_keys_of_its_kind(parameters):
    wrong = deepcopy(parameters)
    wrong["policy"] = {"kind": "hub"}
    with pytest.raises(ValueError, match=r"policy of kind 'hub' needs model"):
        check_parameters(wrong)


@pytest.mark.parametrize(("key", "value"), [("model", "org/name"), ("revision", "main"), ("adapters", ["folder"])])
def test_a_bundled_policy_takes_no_keys_of_the_hub(parameters, key, value):
    wrong = {**parameters, "policy": {**parameters["policy"], key: value}}
    with pytest.raises(ValueError, match=rf"policy: .*of kind 'gguf_package' takes no {key}; the kind 'hub' does"):
        check_parameters(wrong)


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        (("corpus", "name"), "corpus", "unknown corpus 'x'; valid names: factbook, folder, none, table"),
        (("retriever", "name"), "retriever.name", "unknown retriever 'x'; valid names: bm25"),
        (
            ("evaluation", "extractor"),
            "evaluation.extractor",
            "unknown claim extractor 'x'; valid names: clause, llm, sentence",
        ),
        (("evaluation", "verifier", "name"), "evaluation.verifier", "unknown verifier 'x'; valid names: "),
        (("evaluation", "verifier"), "evaluation.verifier", "unknown verifier 'x'; valid names: "),
        (("sampling", "engine"), "sampling", "unknown engine 'x'; valid names: openai, transformers, vllm"),
        (("audit", "verifiers", 0, "name"), "audit.verifiers.0", "unknown verifier 'x'; valid names: "),
        (("audit", "extractors", 0), "audit.extractors.0", "unknown claim extractor 'x'; valid names: "),
        (
            ("audit", "claims", 0, "kind"),
            "audit.claims.0.kind",
            "unknown kind of labelled claims 'x'; valid names: claims, factbook",
        ),
        (("training", "accelerate_config"), "training.accelerate_config", "no file x"),
    ],
)
def test_an_unknown_name_lists_the_valid_ones_before_anything_runs(parameters, keys, where, message):
    wrong = deepcopy(parameters)
    wrong["audit"] |= {"claims": [{"name": "mine", "path": "mine.jsonl"}], "verifiers": [{"name": "lexical"}]}
    inner = wrong
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = "x"
    with pytest.raises(ValueError, match=re.escape(f"{where}: {message}")):
        check_parameters(wrong)


def test_the_engine_is_a_name_or_a_name_with_options(parameters):
    changed = deepcopy(parameters)
    changed["sampling"]["engine"] = {"name": "vllm", "options": {"tensor_parallel_size": 2}}
    assert check_parameters(changed).sampling.engine.options == {"tensor_parallel_size": 2}
    changed["sampling"] |= {"engine": "vllm", "engine_options": {}}
    with pytest.raises(ValueError, match=r"sampling\.engine_options: unknown key; valid keys: .* engine, "):
        check_parameters(changed)


@pytest.mark.parametrize(
    ("keys", "name", "options"),
    [
        (("corpus",), "table", {"path": "corpus.jsonl"}),
        (("retriever",), "dense", {"model": "m"}),
        (("evaluation", "extractor"), "sentence", {"chat": {"model": "m"}}),
        (("evaluation", "verifier"), "entailment", {"chat": {"model": "m"}}),
    ],
)
def test_a_choice_is_a_name_or_a_name_with_options(parameters, keys, name, options):
    changed = deepcopy(parameters)
    *outer, last = keys
    holder = changed[outer[0]] if outer else changed
    for choice in (name, {"name": name, "options": options}):
        holder[last] = choice
        checked = check_parameters(changed)
        chosen = getattr(getattr(checked, outer[0]) if outer else checked, last)
        assert (chosen.name, chosen.options) == (name, {} if choice == name else options)


def test_two_filled_sheets_of_one_reader_are_refused(parameters):
    wrong = deepcopy(parameters)
    wrong["annotate"]["sheets"] = [{"name": "Ada", "path": path} for path in ("a.csv", "b.csv")]
    with pytest.raises(ValueError, match=r"annotate\.sheets: two sheets are named 'Ada'; each reader has one"):
        check_parameters(wrong)


def test_the_number_of_iterations_is_set_in_the_environment(parameters):
    context = SimpleNamespace(params={**parameters, "iterations": 7})
    with pytest.raises(ValueError, match="set FACTALIGN_ITERATIONS=7"):
        CheckParameters(iterations=2).after_context_created(context)
