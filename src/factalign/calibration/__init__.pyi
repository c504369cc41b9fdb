from .config import CalibrationConfig
from .features import read_features
from .learning import calibrate, predict
from .report import calibration_report

__all__ = ["CalibrationConfig", "calibrate", "calibration_report", "predict", "read_features"]
