"""The command line, the launch profiles, and several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from factalign.fkto.__main__ import main, manifest_from, run
from factalign.fkto.config import FKTOConfig
from factalign.fkto.run.manifest import Manifest
from factalign.fkto.run.process import PARENT_PIPE
from factalign.policies import PolicyError

from .conftest import make_rows
from .test_selfcheck import bloom
from .test_terms import weighted_rows
from .test_trainer import PLAIN

PROJECT = Path(__file__).parents[2]
PROFILES = sorted((PROJECT / "conf" / "base" / "accelerate").glob("*.yaml"))


@pytest.fixture
def manifest(tmp_path: Path, saved: Callable[[], Path]) -> Callable[..., Path]:
    """Writes a manifest for the tiny model, its rows, and its policy."""
    model = str(saved())

    def write(name: str, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in (make_rows() if rows is None else rows)))
        path = tmp_path / f"{name}.json"
        content = {
            "policy": {"policy_id": "base", "model": model, "adapters": []},
            "preferences": str(data),
            "output_dir": str(tmp_path / name),
            "config": {**PLAIN, **changes},
            "seed": 3,
        }
        path.write_text(json.dumps(content))
        return path

    return write


def launch(manifest: Path, processes: int = 1, profile: str = "cpu") -> None:
    """Through accelerate's CPU profile, or as `processes` gloo ranks that share the weights as another profile says."""
    module = ["-m", "factalign.fkto"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    if processes == 1:
        starter = ["accelerate.commands.launch", "--config_file", str(PROFILES[0].with_name("cpu.yaml"))]
    else:
        starter = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    settings = yaml.safe_load(PROFILES[0].with_name(f"{profile}.yaml").read_text())
    if profile.startswith("zero"):
        environment |= {
            "ACCELERATE_USE_DEEPSPEED": "true", "DS_ACCELERATOR": "cpu",
            "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(settings["deepspeed_config"]["zero_stage"]),
            "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "true",
        }  # fmt: skip
    else:
        environment["ACCELERATE_USE_CPU"] = "true"
    if profile == "fsdp2":
        module = [str(Path(__file__).with_name("shard_on_cpu.py"))]
        environment |= {name.upper(): str(value) for name, value in settings["fsdp_config"].items()}
        environment["ACCELERATE_USE_FSDP"] = "true"
    command = [sys.executable, "-m", *starter, *module, str(manifest)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def weights(manifest: Path) -> dict[str, torch.Tensor]:
    folder = Path(json.loads(manifest.read_text())["output_dir"])
    (path,) = folder.glob("*/*model.safetensors")
    return load_file(path)


# ---- Profiles ----


def test_all_profiles_are_there() -> None:
    assert {path.stem for path in PROFILES} == {"cpu", "one_gpu", "ddp", "fsdp2", "zero2", "zero3"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_profiles_are_what_accelerate_reads(path: Path) -> None:
    config = load_config_from_file(str(path))
    raw = yaml.safe_load(path.read_text())
    kind = {
        "cpu": "NO",
        "one_gpu": "NO",
        "ddp": "MULTI_GPU",
        "fsdp2": "FSDP",
        "zero2": "DEEPSPEED",
        "zero3": "DEEPSPEED",
    }
    assert config.distributed_type == kind[path.stem] == raw["distributed_type"]
    if path.stem.startswith("zero"):
        assert config.deepspeed_config["zero_stage"] == int(path.stem[-1])
    if path.stem == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
        assert config.fsdp_config["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"


# ---- Command line ----


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {name} (default" in text for name in FKTOConfig.model_fields)


def test_flags_make_a_manifest() -> None:
    flags = "--model m --adapter a --adapter b --data d.jsonl --output-dir o --seed 4 --set method=layers"
    lists = '--set beta=0.2 --set report_to=["tensorboard"] --set save_steps=null'
    found = manifest_from(f"{flags} {lists}".split())
    assert found.model_dump(mode="json", exclude_unset=True) == {
        "policy": {"policy_id": "m", "model": "m", "adapters": ["a", "b"]},
        "preferences": "d.jsonl",
        "output_dir": "o",
        "seed": 4,
        "config": {"method": "layers", "beta": 0.2, "report_to": ["tensorboard"], "save_steps": None},
    }


def test_flags_win_over_the_file(manifest: Callable[..., Path]) -> None:
    found = manifest_from([str(manifest("x")), "--seed", "9", "--set", "beta=0.5", "--output-dir", "else"])
    assert (found.seed, found.config.beta, found.output_dir) == (9, 0.5, Path("else"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: output_dir, policy, preferences"),
        (["x.json", "--adapter", "a"], "--adapter needs --model"),
        (["--model", "m", "--data", "d", "--output-dir", "o", "--set", "beta"], "--set beta"),
        (["--model", "m", "--data", "d", "--output-dir", "o", "--set", "bta=1"], "bta"),
        (["--model", "m", "--data", "nowhere.jsonl", "--output-dir", "o"], "nowhere.jsonl"),
        (["nowhere.json"], "nowhere.json"),
    ],
)
def test_mistakes_end_with_a_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, factalign.fkto, factalign.fkto.__main__; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_a_manifest_trains_in_process(manifest: Callable[..., Path], tmp_path: Path) -> None:
    assert main([str(manifest("run", method="lora"))]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["kind"] == "adapter" and result["seed"] == 3
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()


def test_rows_to_evaluate_come_from_a_file(manifest: Callable[..., Path], tmp_path: Path) -> None:
    path = manifest("run", method="lora", eval_steps=1)
    manifest("held_out", make_rows(5, seed=2))
    assert main([str(path), "--eval-data", str(tmp_path / "held_out.jsonl")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["last_evaluation"]["step"] == 2 and result["last_evaluation"]["eval_sentence_loss"] > 0
    content = json.loads(path.read_text()) | {"eval_preferences": str(tmp_path / "none.jsonl")}
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 2


def test_a_hub_model_trains_at_its_revision(
    manifest: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest("run", reference_cache_dir=str(tmp_path / "cache"))
    content = json.loads(path.read_text())
    folder = content["policy"]["model"]
    content["policy"].update(model="someone/tiny", revision="abc123")
    calls: dict[str, dict[str, Any]] = {}

    def patch(auto: Any) -> None:
        original = auto.from_pretrained

        def from_pretrained(name: str, **options: Any) -> Any:
            assert name == "someone/tiny"
            calls[auto.__name__] = options
            return original(folder, **options)

        monkeypatch.setattr(auto, "from_pretrained", from_pretrained)

    patch(transformers.AutoModelForCausalLM)
    patch(transformers.AutoTokenizer)
    first = run(Manifest(**content))
    assert {options["revision"] for options in calls.values()} == {"abc123"}
    assert calls.keys() == {"AutoModelForCausalLM", "AutoTokenizer"}
    assert calls["AutoModelForCausalLM"]["use_safetensors"] is True
    assert not any(options.get("trust_remote_code") for options in calls.values())
    again = run(Manifest(**{**content, "output_dir": str(tmp_path / "again")}))
    assert first["references_computed"] == again["references_cached"] > 0


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"model": "/no/where"}, "no model folder '/no/where'"),
        ({"model": "./nowhere"}, "no model folder './nowhere'"),
        ({"model": __file__}, f"no model folder '{__file__}'"),
        ({"model": "a/b", "adapters": ["a/c"]}, "adapter folder a/c holds no adapter_config.json"),
    ],
    ids=lambda value: value["model"] if isinstance(value, dict) else "",
)
def test_paths_that_are_no_folders_are_named(
    manifest: Callable[..., Path], policy: dict[str, Any], message: str
) -> None:
    content = json.loads(manifest("x").read_text())
    content["policy"] |= policy
    with pytest.raises(PolicyError, match=message):
        run(Manifest(**content))


def test_a_model_that_lacks_tensors_is_refused(
    manifest: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers would fill them with random numbers, and training would go on from there."""
    weights = tmp_path / "policy" / "model.safetensors"
    path = manifest("x")
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    assert main([str(path)]) == 2
    message = capsys.readouterr().err
    assert "incomplete: 1 tensors" in message and "model.layers.1.mlp.up_proj.weight" in message
    assert not (tmp_path / "x").exists()


def test_an_adapter_in_a_pickle_is_refused(
    manifest: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(manifest("first", method="lora", max_steps=1))]) == 0
    adapter = tmp_path / "first" / "adapter"
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    path = manifest("second", method="lora")
    content = json.loads(path.read_text())
    content["policy"]["adapters"] = [str(adapter)]
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 2
    assert f"{adapter} holds no adapter_model.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_quantized_training_needs_a_gpu(manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(manifest("x", method="lora", load_in_4bit=True))]) == 2
    assert "load_in_4bit needs a GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bta": 1}, "bta: unknown key; valid keys: policy, preferences, output_dir, config, seed"),
        ({"config": {"bta": 1}}, "config.bta: unknown key; valid keys: loss_type, beta"),
        ({"config": {"beta": -1}}, "config.beta: Input should be greater than 0 (got -1)"),
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        (
            {"policy": {"mdel": "m"}},
            "policy: policy handle: missing keys ['model'], unknown keys ['mdel']",
        ),
        ({"config": 3}, "config: Input should be"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named_with_its_file(
    manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    path = manifest("x")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for flags in ([], ["--set", "epochs=2"]):
        assert main([str(path), *flags]) == 2
        assert f"error: {path}: {message}" in capsys.readouterr().err


def test_a_handwritten_policy_needs_its_model_only() -> None:
    found = Manifest(policy={"model": "m"}, preferences="d.jsonl", output_dir="o")
    assert found.policy == {"policy_id": "m", "model": "m", "adapters": []}
    assert (found.config, found.seed) == (FKTOConfig(), 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{broken", "not JSON"), (b"\xff", "not JSON"), (b"[]", "must be a JSON object, got list")],
)
def test_a_manifest_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    assert main([str(path)]) == 2
    assert f"error: {path}: {message}" in capsys.readouterr().err


# ---- Processes ----


@pytest.mark.parametrize("name", ["the pipe", "another pipe", "closed", "no flag"])
def test_only_the_end_of_the_named_pipe_ends_the_training(name: str) -> None:
    code = "import time, factalign.fkto.run.process as p; p.exit_with_parent(); time.sleep(1); print('alive')"
    read_end, write_end = os.pipe()
    os.close(write_end)
    number = os.fstat(read_end).st_ino
    flags = {"the pipe": str(number), "another pipe": str(number + 1), "closed": str(number)}
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    if name in flags:
        environment[PARENT_PIPE] = flags[name]
    close = "import os; os.close(0); " if name == "closed" else ""
    with os.fdopen(read_end) as stdin:
        done = subprocess.run(
            [sys.executable, "-c", close + code],
            env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
    expected = (-signal.SIGKILL, "") if name == "the pipe" else (0, "alive\n")
    assert (done.returncode, done.stdout) == expected


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("lora", {}),
        ("layers", {}),
        ("full", {"nll_weight": 0.5, "reward_normalisation": "sqrt", "z0_momentum": 0.5}),
        ("full", {"micro_batch_tokens": 60}),
    ],
    ids=["lora", "layers", "terms", "tokens"],
)
def test_two_ranks_equal_one(manifest: Callable[..., Path], method: str, terms: dict[str, Any]) -> None:
    """FactAlign defect 6: sentence losses averaged per rank. One rank has rows without sentences, and 13 rows leave the
    last step of two ranks uneven."""
    rows = weighted_rows(13) if terms else make_rows(13)
    for row in rows[::2]:
        row["sentence_label"] = row["sentence_spans"] = row["sentence_weight"] = None
    changes = {"method": method, "train_layers": 1, "learning_rate": 0.3, "micro_batch_size": 1, **terms}
    one, two = manifest("one", rows, **changes), manifest("two", rows, **changes)
    manifest("held_out", make_rows(7, seed=4))
    for path in (one, two):
        held_out = {"eval_preferences": str(path.with_name("held_out.jsonl"))}
        path.write_text(json.dumps(json.loads(path.read_text()) | held_out))
    launch(one)
    launch(two, processes=2)
    ranks = [json.loads((m.with_suffix("") / "result.json").read_text())["ranks"] for m in (one, two)]
    assert ranks == [1, 2]
    evaluations = [json.loads((m.with_suffix("") / "result.json").read_text())["last_evaluation"] for m in (one, two)]
    shared = {key: value for key, value in evaluations[0].items() if key != "eval_tokens_per_second"}
    assert {key: evaluations[1][key] for key in shared} == pytest.approx(shared, abs=1e-3)
    found, expected = weights(two), weights(one)
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=2e-5, rtol=1e-4 if method == "lora" else 1e-2)
    logs = [
        [json.loads(line) for line in (Path(json.loads(m.read_text())["output_dir"]) / "training_log.jsonl").open()]
        for m in (one, two)
    ]
    for single, double in zip(*logs, strict=True):
        for key in (
            "loss",
            "response_loss",
            "sentence_loss",
            "nll_loss",
            "mean_logp",
            "mean_entropy",
            "end_logp",
            "reference_kl",
            "z0",
            "z0_sentence",
            "sentence_num_desirable",
            "tokens",
        ):
            assert double[key] == pytest.approx(single[key], abs=1e-4), key


@pytest.mark.parametrize(
    ("profile", "method"),
    [
        ("fsdp2", "lora"),
        ("fsdp2", "full"),
        ("fsdp2", "layers"),
        ("zero2", "full"),
        ("zero3", "lora"),
        ("zero3", "full"),
    ],
)
def test_two_ranks_that_share_the_weights_equal_one(manifest: Callable[..., Path], profile: str, method: str) -> None:
    if profile.startswith("zero"):
        pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    changes = {"method": method, "train_layers": 1, "learning_rate": 0.3, "micro_batch_size": 1, "max_steps": 2}
    changes["checkpoint_activations_above"] = 60  # some micro-batches recompute, some do not
    one, shared = manifest("one", make_rows(13), **changes), manifest("shared", make_rows(13), **changes)
    launch(one)
    launch(shared, processes=2, profile=profile)
    assert json.loads((shared.with_suffix("") / "result.json").read_text())["ranks"] == 2
    if profile == "fsdp2":
        # The first rank reads the weights, and the other gets its share of them.
        held = [json.loads(Path(f"{shared}.{rank}").read_text())["held"] for rank in (0, 1)]
        assert held[0] > 0 and held[1] == 0
    found, expected = weights(shared), weights(one)
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=2e-5, rtol=1e-2 if method != "lora" else 1e-4)


def test_two_ranks_sample_and_stop_as_one(manifest: Callable[..., Path]) -> None:
    rows = [{"prompt": row["prompt"], "completion": "", "label": True} for row in make_rows()]
    changes = {"nll_weight": 1.0, "max_steps": 40, "sample_steps": 1, "sample_prompts": 3, "sample_max_new_tokens": 12}
    one, two = (manifest(name, rows, stop_length_change_above=2.0, **changes) for name in ("one", "two"))
    launch(one)
    launch(two, processes=2)
    logs = [(path.with_suffix("") / "samples_log.jsonl").read_text().splitlines() for path in (one, two)]
    expected, found = ([json.loads(line)["samples"] for line in log] for log in logs)
    assert found == expected and len(found) < 40
    results = [json.loads((path.with_suffix("") / "result.json").read_text()) for path in (one, two)]
    assert results[0]["ended"] == results[1]["ended"] and "stop_length_change_above" in results[0]["ended"]


def test_a_policy_whose_weights_are_sharded_is_not_sampled(manifest: Callable[..., Path]) -> None:
    with pytest.raises(AssertionError, match="error: sample_steps: a policy whose weights are sharded"):
        launch(manifest("sharded", sample_steps=1), processes=2, profile="fsdp2")


def test_ranks_that_share_the_weights_agree_to_pad(
    manifest: Callable[..., Path], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """The first rank alone can compare log-probabilities; a Bloom may not be packed, and the other has to know."""
    one, shared = (
        manifest(name, method="full", learning_rate=0.01, max_steps=2, reference_cache_dir="auto")
        for name in ("one", "shared")
    )
    bloom(len(tokenizer)).save_pretrained(tmp_path / "policy")
    launch(one)
    launch(shared, processes=2, profile="fsdp2")
    result = json.loads((tmp_path / "shared" / "result.json").read_text())
    assert result["config"]["packing"] is False
    assert result["references_cached"] > 0 == result["references_computed"]  # the policy has the same hash, to all
    found, expected = weights(shared), weights(one)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-2)


@pytest.mark.parametrize("method", ["full", "lora", "layers"])
def test_sharded_weights_travel_in_bfloat16_and_log_probabilities_stay_float32(
    manifest: Callable[..., Path], tmp_path: Path, method: str
) -> None:
    changes = {"method": method, "train_layers": 1, "dtype": "bfloat16", "learning_rate": 1e-3, "max_steps": 3}
    one, shared = (
        manifest(name, **changes, micro_batch_size=1, reference_cache_dir=str(tmp_path / f"cache_{name}"))
        for name in ("one", "shared")
    )
    launch(one)
    launch(shared, processes=2, profile="fsdp2")
    assert {json.loads(Path(f"{shared}.{rank}").read_text())["travel_as"] for rank in (0, 1)} == {"torch.bfloat16"}
    own, found = (
        {k: v for path in (tmp_path / f"cache_{name}").rglob("*.safetensors") for k, v in load_file(path).items()}
        for name in ("one", "shared")
    )
    assert own.keys() == found.keys()
    for key in own:
        torch.testing.assert_close(found[key], own[key], atol=1e-5, rtol=0)
    rows = [(tmp_path / name / "training_log.jsonl").read_text().splitlines() for name in ("one", "shared")]
    for single, double in zip(*rows, strict=True):
        for key in ("loss", "grad_norm", "mean_logp"):
            assert json.loads(double)[key] == pytest.approx(json.loads(single)[key], rel=0.02), key


def test_an_8_bit_optimizer_that_cannot_update_shards_is_refused(manifest: Callable[..., Path]) -> None:
    path = manifest("x", method="full", optimizer="adamw_bnb_8bit")
    with pytest.raises(AssertionError, match="optimizer 'adamw_bnb_8bit' does not work with FSDP; choose adamw_torch"):
        launch(path, processes=2, profile="fsdp2")


def test_what_the_first_rank_finds_is_known_to_all(tmp_path: Path) -> None:
    """Its errors too: nobody waits for what will not come."""
    script = tmp_path / "ranks.py"
    script.write_text(
        "import os\n"
        "from factalign.fkto.ranks import from_main, join_ranks\n"
        "rank = int(os.environ['RANK'])\n"
        "assert from_main(lambda: f'by {rank}') == 'by 0'\n"
        "try:\n"
        "    from_main(lambda: 1 // rank)\n"
        "except Exception as error:\n"
        "    os.write(1, f'{type(error).__name__} of {rank}: {error}\\n'.encode())\n"  # one write: lines stay whole
        "join_ranks().destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "ValueError of 1: the first rank ended with ZeroDivisionError: integer division or modulo by zero",
        "ZeroDivisionError of 0: integer division or modulo by zero",
    ]


def test_the_notebook_trains(saved: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, with the tiny model in place of the named one."""
    notebook = json.loads((PROJECT / "notebooks" / "train_with_fkto.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    name = '"HuggingFaceTB/SmolLM2-135M-Instruct"'
    assert name in code
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace(name, repr(str(saved()))), "notebook", "exec"), {})
    assert (tmp_path / "fkto_output" / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(("processes", "profile"), [(2, "cpu"), (2, "fsdp2")])
def test_the_best_step_is_the_result_of_all_ranks(manifest: Callable[..., Path], processes: int, profile: str) -> None:
    """What is judged is the opposite of what is learnt: the longer the training, the worse."""
    rows = make_rows(12)
    changes: dict[str, Any] = {
        "method": "lora", "batch_size": 12, "learning_rate": 1e-2, "optimizer": "adamw_torch", "save_steps": 1,
        "eval_steps": 1, "best_metric": "eval_loss", "early_stopping_patience": 2,
    }  # fmt: skip
    shorter = manifest("shorter", rows, **{**PLAIN, **changes, "max_steps": 1, "early_stopping_patience": None})
    longer = manifest("longer", rows, **changes, epochs=5)
    opposite = [{**row, "label": not row["label"], "sentence_label": None, "sentence_spans": None} for row in rows]
    manifest("held_out", opposite)
    for path in (shorter, longer):
        held_out = {"eval_preferences": str(path.with_name("held_out.jsonl"))}
        path.write_text(json.dumps(json.loads(path.read_text()) | held_out))
    launch(shorter)
    launch(longer, processes, profile)
    result = json.loads((longer.with_suffix("") / "result.json").read_text())
    assert (result["ranks"], result["best"]["step"], result["steps"]) == (processes, 1, 3)
    found, expected = weights(longer), weights(shorter)
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=2e-4, rtol=1e-3)
