import numpy as np
import pytest

from factalign.base.reliability import expected_calibration_error


def test_calibration_error_by_hand():
    # The bins 0.1-0.2 (two cases), 0.9-1.0 (two, 1 among them) and 0.5-0.6 (one).
    confidence, correct = [0.15, 0.17, 0.92, 1.0, 0.5], [True, False, True, False, True]
    gaps = [abs(0.32 - 1), abs(1.92 - 1), abs(0.5 - 1)]
    assert expected_calibration_error(confidence, correct) == pytest.approx(sum(gaps) / 5)


def test_calibrated_and_overconfident_cases():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    correct = rng.random(20_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.02
    assert expected_calibration_error(np.full(20_000, 0.99), correct) > 0.1
    assert np.isnan(expected_calibration_error([], []))
