"""What outputs a backbone offers, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch

from stackbone.cache import UsageError
from stackbone.cache.records.feature_name import LAYER, PYRAMID
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.outputs import DEFAULT_MAP_SIZE, OutputForm
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.networks.anatomy import Anatomy
from stackbone.extract.networks.network import FeatureNetwork, build_body, plain_network
from stackbone.extract.networks.outputs import check_anatomy, form_of, study_network


def list_forms(backbone: Backbone) -> tuple[list[OutputForm], list[OutputForm]]:
    """Return the outputs that a backbone's network offers, and those of its modules.

    Maps are those of a frame of the usual size, or of the first larger one that the network takes.
    """
    anatomy = _study(backbone)
    modules = [form_of(f"{LAYER}{name}", anatomy) for name in anatomy.modules]
    forms = [form_of(output, anatomy) for output in anatomy.offered if output != PYRAMID]
    return [*forms, *_form_of_maps(backbone)] if PYRAMID in anatomy.offered else forms, modules


def forms_of(backbone: Backbone, outputs: Sequence[str]) -> list[OutputForm]:
    """Return what a backbone gives for some outputs.

    Raises
    ------
    UsageError
        If it lacks one; the message names those it has.
    """
    anatomy = _study(backbone)
    check_anatomy(backbone, outputs, anatomy)
    return [form_of(output, anatomy) for output in outputs]


def _form_of_maps(backbone: Backbone) -> list[OutputForm]:
    for side in (DEFAULT_MAP_SIZE, DEFAULT_MAP_SIZE + 32):
        with suppress(UsageError):
            return forms_of(backbone.framed(side), [PYRAMID])
    return []


def _study(backbone: Backbone) -> Anatomy:
    """Return a network's anatomy by shapes alone, without memory for its weights; where that fails, by random ones."""
    try:
        return _study_on(backbone, "meta")
    except (
        AssertionError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ):  # some of timm's models look at numbers while they are made
        return _study_on(backbone, "cpu")


def _study_on(backbone: Backbone, device: str) -> Anatomy:
    with torch.device(device):
        network = FeatureNetwork(plain_network(build_body(backbone, random_weights(0))), backbone)
    return study_network(network.eval(), backbone)
