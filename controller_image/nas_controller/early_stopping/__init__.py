"""Early stopping (`controller.earlyStopping`): which trials in training are not worth training to their end."""

from nas_controller.early_stopping.early_stopping import REMARK, SPARED, EarlyStopping, build_early_stopping

__all__ = ["REMARK", "SPARED", "EarlyStopping", "build_early_stopping"]
