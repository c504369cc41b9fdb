import sys

import pytest

from factalign.base.registry import Choice, Registry

SOURCE = """
def build(size, *, colour="red"):
    return size, colour

def broken(size):
    return size + "text"

constant = 3
"""


def choose(name, **options):
    return {"name": name, "options": options}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    (tmp_path / "registry_entries.py").write_text(SOURCE)
    (tmp_path / "registry_needy.py").write_text("import a_module_that_nobody_has")
    (tmp_path / "registry_wrong.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("thing", {"build": "registry_entries:build", "needy": "registry_needy:build"})
    sys.modules.pop("registry_entries", None)


def test_names_and_paths_of_ones_own(registry):
    assert registry.build(choose("build", size=1)) == (1, "red")
    assert registry.build(choose("registry_entries:build", size=1, colour="blue")) == (1, "blue")
    # A callable without a signature is just called.
    assert registry.build(choose("builtins:dict", size=1)) == {"size": 1}


def test_a_choice_a_mapping_and_a_bare_name_are_the_same(registry):
    registry.entries["dict"] = "builtins:dict"
    assert registry.build("dict") == registry.build({"name": "dict"}) == registry.build(Choice(name="dict")) == {}
    assert Choice.model_validate("dict") == Choice(name="dict", options={})


def test_what_is_offered_reaches_only_those_who_ask_for_it(registry):
    assert registry.build(choose("build", size=1), colour="blue", handle="x") == (1, "blue")
    # What the user says wins.
    assert registry.build(choose("build", size=1, colour="green"), colour="blue") == (1, "green")


def test_a_choice_with_another_key_is_refused(registry):
    with pytest.raises(ValueError, match="option\n  Extra inputs are not permitted"):
        registry.build({"name": "build", "option": {}})


def test_unknown_names_list_the_valid_ones(registry):
    for look_up in (registry.build, registry.check):
        with pytest.raises(ValueError, match="unknown thing 'bild'; valid names: build, needy, or"):
            look_up("bild")


def test_a_check_imports_nothing(registry):
    for name in ("build", "needy", "registry_wrong:build", "absent:build"):
        registry.check(name)
    assert not {"registry_entries", "registry_needy", "registry_wrong"} & set(sys.modules)


@pytest.mark.parametrize("options", [{}, {"size": 1, "shape": 2}])
def test_options_that_do_not_fit(registry, options):
    with pytest.raises(ValueError, match=r"thing 'build' does not accept .*; its options: size, colour"):
        registry.build(choose("build", **options))


def test_an_error_inside_a_factory_is_not_blamed_on_the_options(registry):
    with pytest.raises(TypeError, match="unsupported operand"):
        registry.build(choose("registry_entries:broken", size=1))


@pytest.mark.parametrize(
    ("name", "message", "cause"),
    [
        ("absent:build", "No module named 'absent'", ImportError),
        ("registry_entries:bild", "has no attribute 'bild'", AttributeError),
        ("registry_wrong:build", "ZeroDivisionError: division by zero", ZeroDivisionError),
        (":build", "Empty module name", ValueError),
        ("needy", "cannot import 'registry_needy:build': .*No module named 'a_module_that_nobody_has'", ImportError),
    ],
)
def test_what_cannot_be_imported_is_named(registry, name, message, cause):
    with pytest.raises(ValueError, match=message) as error:
        registry.build(name)
    assert f"thing {name!r}" in str(error.value)
    assert isinstance(error.value.__cause__, cause)


def test_what_is_no_factory_is_named(registry):
    with pytest.raises(ValueError, match="'registry_entries:constant' is not callable, but int"):
        registry.build("registry_entries:constant")
