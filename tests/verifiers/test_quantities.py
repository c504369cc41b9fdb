import pytest

from factalign.verifiers.lexical.quantities import find_quantities


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("30.5 million people", 30.5e6, ""),
        ("47,735,685 (x)", 47735685, ""),
        ("85% Christian", 85, "%"),
        ("85 per cent", 85, "%"),
        ("238,533 sq km", 238533e6, "m2"),
        ("92,098 square miles", 92098 * 2.589988e6, "m2"),
        ("539 kilometers", 539e3, "m"),
        ("29,032 feet", 29032 * 0.3048, "m"),
        ("885 m", 885, "m"),
        ("$4.5 billion", 4.5e9, "$"),
        ("in 1957", 1957, "year"),
        ("16 regions", 16, ""),
    ],
)
def test_reads_value_and_unit(text, value, unit):
    (quantity,) = find_quantities(text)
    assert quantity.value == pytest.approx(value)
    assert quantity.unit == unit


@pytest.mark.parametrize(
    ("claimed", "known", "close"),
    [
        ("2.7 million", "2,551,837", True),
        ("2.3 million", "2,551,837", False),
        ("1957", "1958", False),
        ("16", "17", False),
        ("85%", "84.1%", True),
        ("85%", "98%", False),
        ("2.5%", "3.5%", False),
        ("100 km", "100", False),
        ("150 miles", "241 km", True),
    ],
)
def test_tolerance(claimed, known, close):
    (left,), (right,) = find_quantities(claimed), find_quantities(known)
    assert left.close_to(right) is close


def test_odd_numbers_do_no_harm():
    for text in ("", "1.2.3.4", "9" * 50_000, "1," * 20_000, "x1y", "-5", "٣"):
        assert isinstance(find_quantities(text), list)
