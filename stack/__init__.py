"""Features to scores: folds, base learners, meta-learners and their honest evaluation.

Knows nothing of images or networks: feature blocks by backbone name and labels come in, scores per fold go
out. `stack.experiment` joins them from a cache; everything else works on arrays alone.
"""

from stack.evaluate import RECIPES, Evaluation, ModelScore, evaluate
from stack.experiment import Experiment, run_experiment
from stack.folds import Fold, split_folds, stratified_folds

__all__ = [
    "RECIPES",
    "Evaluation",
    "Experiment",
    "Fold",
    "ModelScore",
    "evaluate",
    "run_experiment",
    "split_folds",
    "stratified_folds",
]
