"""The licences of released weights, as far as they are known."""

from __future__ import annotations

from collections.abc import Iterable

from stackbone.extract.backbones.backbone import BACKBONES


def known_licences(architectures: Iterable[str]) -> dict[str, str]:
    """Return the licence under which the weights of each architecture were released, where it is known.

    Of models that have no name in the table timm's registry is asked, which imports timm (seconds).

    Parameters
    ----------
    architectures
        As of `FeatureSpec.architecture`, such as ``resnet50.tv_in1k``.
    """
    ours = {each.architecture: _said(each.licence, gated=each.gated) for each in BACKBONES.values()}
    found = {name: ours[name] if name in ours else _of_timm(name) for name in dict.fromkeys(architectures)}
    return {name: licence for name, licence in found.items() if licence}


def _said(licence: str, *, gated: bool) -> str:
    return f"{licence}, gated" if licence and gated else licence


def _of_timm(architecture: str) -> str:
    try:
        import timm

        config = timm.get_pretrained_cfg(architecture)
    except (ImportError, RuntimeError):  # it is a network of the user's own, or one that this timm does not know
        return ""
    return (config.license or "") if config is not None else ""
