"""Features to scores and models: folds, base learners, meta-learners and their honest evaluation.

Knows nothing of images or networks: feature blocks by backbone name and labels come in, scores per fold go
out. `stack.experiment` joins them from a cache; everything else works on arrays alone.
"""

from stack.estimator import StackedBackbones, StackedBackbonesRegressor
from stack.evaluate import evaluate
from stack.experiment import Experiment, run_experiment
from stack.folds import Fold, split_folds, stratified_folds
from stack.meta import MetaOptions
from stack.model import StackModel
from stack.model_file import load_model, save_model
from stack.options import StackOptions, stack_options
from stack.recipes import STACKS
from stack.scores import Evaluation, ModelScore, Prediction
from stack.self_check import run_self_check
from stack.training_parts import TrainingPart, training_parts

__all__ = [
    "STACKS",
    "Evaluation",
    "Experiment",
    "Fold",
    "MetaOptions",
    "ModelScore",
    "Prediction",
    "StackModel",
    "StackOptions",
    "StackedBackbones",
    "StackedBackbonesRegressor",
    "TrainingPart",
    "evaluate",
    "load_model",
    "run_experiment",
    "run_self_check",
    "save_model",
    "split_folds",
    "stack_options",
    "stratified_folds",
    "training_parts",
]
