"""Who gets what of the metadata that come beside X and y: sample weights, groups, whatever members ask for.

With scikit-learn's metadata routing switched on, each member, the final estimator and the splitter get what they
asked for by ``set_fit_request`` and its like. Without it, sample weights go to all who are fitted, and groups to the
folds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from stackbone.stack.estimator.arguments import is_dropped, named_pairs

WEIGHTS = "sample_weight"
SHARED = "estimators"
"""What the router calls the one estimator that serves all blocks: the name of its parameter."""

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class Routed:
    """What goes where in `fit`.

    Attributes
    ----------
    members : mapping of str to mapping
        By member's name, what its `fit` gets.
    final : mapping
        What the `fit` of the final estimator gets.
    split : mapping or None
        What a splitter asked for; None where there is no routing.
    """

    members: Mapping[str, Metadata]
    final: Metadata
    split: Metadata | None


def is_routing() -> bool:
    """Return whether scikit-learn's metadata routing is switched on."""
    return bool(get_config()["enable_metadata_routing"])


def asking_for_weights(estimator: Any) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return a default estimator, which no caller could tell to ask for sample weights, asking for them."""
    return estimator.set_fit_request(sample_weight=True) if is_routing() else estimator


def make_router(owner: Any, default: object, final: object) -> MetadataRouter:  # noqa: ANN401
    """Say which parts of a stack get metadata, under the names of its parameters and members.

    Parameters
    ----------
    owner : estimator
        The stack, whose own request is for groups.
    default : estimator
        The member where none was given.
    final : estimator
        The final estimator, fitted or not.

    Returns
    -------
    MetadataRouter
        ``fit`` and ``fit_transform`` reach the members, the final estimator and the splitter; ``predict`` the
        final estimator.
    """
    router = MetadataRouter(owner=owner).add_self_request(owner)
    one = default if owner.estimators is None else owner.estimators
    members = named_pairs(owner.estimators) if isinstance(owner.estimators, list) else [(SHARED, one)]
    for name, member in members:
        if not is_dropped(member):
            router.add(**{name: member}, method_mapping=_in_fit("fit"))
    router.add(final_estimator=final, method_mapping=_in_fit("fit").add(caller="predict", callee="predict"))
    if hasattr(owner.cv, "get_metadata_routing"):
        router.add(cv=owner.cv, method_mapping=_in_fit("split"))
    return router


def refuse_unrouted(owner: str, params: Metadata) -> None:
    """Raise a ValueError if there are metadata that only routing can deal with, and it is off."""
    unknown = sorted(set(params) - {WEIGHTS})
    if unknown and not is_routing():
        msg = (
            f"{owner}.fit got {', '.join(unknown)}, which is only supported if enable_metadata_routing=True: call "
            "sklearn.set_config(enable_metadata_routing=True), and set_fit_request on each estimator that should "
            "receive it"
        )
        raise ValueError(msg)


def route_fit(owner: Any, members: Iterable[tuple[str, Any]], groups: object, params: Metadata) -> Routed:  # noqa: ANN401
    """Divide the metadata of `fit`.

    Parameters
    ----------
    owner : estimator
        The stack.
    members : iterable of (str, estimator)
        What will be fitted.
    groups : ndarray or None
        ``(n_samples,)``.
    params : mapping
        All else.

    Returns
    -------
    Routed
        What each gets.

    Raises
    ------
    UnsetMetadataPassedError
        With routing: if one could take what it neither asked for nor refused.
    TypeError
        With routing: if nobody asks for something.
    """
    if not is_routing():
        weights = params.get(WEIGHTS)
        return Routed(
            {name: _weights_for(member, weights) for name, member in members},
            _weights_for(owner._final(), weights),
            None,
        )
    routed = process_routing(owner, "fit", groups=groups, **params)
    shared = not isinstance(owner.estimators, list)
    return Routed(
        {name: routed[SHARED if shared else name]["fit"] for name, _ in members},
        routed["final_estimator"]["fit"],
        routed["cv"]["split"] if hasattr(owner.cv, "get_metadata_routing") else None,
    )


def route_predict(owner: Any, params: Metadata) -> Metadata:  # noqa: ANN401
    """Return what of the metadata of `predict` the final estimator gets."""
    if not params or not is_routing():
        return params
    routed: Metadata = process_routing(owner, "predict", **params)["final_estimator"]["predict"]
    return routed


def _weights_for(estimator: Any, weights: object) -> Metadata:  # noqa: ANN401
    """Return the weights under the name that `fit` takes them by: of a pipeline, its last step's."""
    name, last = WEIGHTS, estimator
    steps = []
    while isinstance(last, Pipeline):
        step, last = last.steps[-1]
        steps.append(step)
    return {} if weights is None else {"__".join([*steps, name]): weights}


def _in_fit(callee: str) -> MethodMapping:
    return MethodMapping().add(caller="fit", callee=callee).add(caller="fit_transform", callee=callee)
