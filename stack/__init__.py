"""Features to scores and models: folds, base learners, meta-learners and their honest evaluation.

Knows nothing of images or networks: feature blocks by backbone name and labels come in, scores per fold go
out. `stack.experiments.experiment` joins them from a cache; everything else works on arrays alone.
"""

from typing import TYPE_CHECKING

from stackbone.cache.lazy import lazy_names

if TYPE_CHECKING:
    from stackbone.stack.divisions.training_parts import TrainingPart, training_parts
    from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
    from stackbone.stack.estimator.estimator import StackedBackbones, StackedBackbonesRegressor
    from stackbone.stack.estimator.meta_classifier import MetaClassifier
    from stackbone.stack.estimator.ridge_regression import RidgeRegression
    from stackbone.stack.evaluation.evaluate import evaluate
    from stackbone.stack.evaluation.options import stack_options
    from stackbone.stack.experiments.experiment import Experiment
    from stackbone.stack.experiments.run import run_experiment
    from stackbone.stack.experiments.self_check import run_self_check
    from stackbone.stack.folds.fold import Fold
    from stackbone.stack.folds.folds import split_folds, stratified_folds
    from stackbone.stack.judging.evaluate_model import evaluate_model
    from stackbone.stack.judging.model_test import ModelTest
    from stackbone.stack.learners.options import MetaOptions, StackOptions
    from stackbone.stack.learners.recipes import STACKS
    from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
    from stackbone.stack.models.model import StackModel
    from stackbone.stack.models.model_file import load_model, save_model
else:
    __getattr__ = lazy_names(__name__, __file__)

__all__ = [
    "STACKS",
    "Evaluation",
    "Experiment",
    "Fold",
    "LinearSVM",
    "MetaClassifier",
    "MetaOptions",
    "ModelScore",
    "ModelTest",
    "Prediction",
    "RidgeRegression",
    "SoftmaxRegression",
    "StackModel",
    "StackOptions",
    "StackedBackbones",
    "StackedBackbonesRegressor",
    "TrainingPart",
    "evaluate",
    "evaluate_model",
    "load_model",
    "run_experiment",
    "run_self_check",
    "save_model",
    "split_folds",
    "stack_options",
    "stratified_folds",
    "training_parts",
]
