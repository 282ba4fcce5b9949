"""A file of Python is a backbone by its bytes: how images are fed to it is read from its source, which is not run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache import UsageError
from stackbone.extract.backbones.backbone import IMAGENET, Transform
from stackbone.extract.backbones.own_file import check_modules_are_used, find_own, parse_module_options

NET = """
raise RuntimeError("run")


class Base:
    pass


class Net(Base):
    pass


def make():
    return Net()
"""
WEIGHTS = "sha256:" + "0" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(NET)
    return tmp_path / "my.py"


def with_body(file: Path, body: str) -> str:
    file.write_text(f"class Net:\n    {body}\n")
    return f"{file}:Net"


def test_a_file_and_a_class_make_a_backbone_without_being_run(file: Path) -> None:
    [backbone] = parse_module_options([f"{file}:Net"])
    digest = hashlib.sha256(NET.encode()).hexdigest()
    assert (backbone.name, backbone.architecture) == ("Net", f"own:Net:sha256:{digest}")
    assert backbone.transform == Transform((224, 224), 0.875, "bicubic")
    assert (backbone.mean, backbone.std, backbone.pooling) == (IMAGENET["mean"], IMAGENET["std"], "model")
    assert backbone.own is not None
    assert (backbone.own.file, backbone.hub) == (file, "")


def test_a_name_may_be_given(file: Path) -> None:
    named, plain = parse_module_options([f"my_net.v2={file}:Net", f"{file}:Base"])
    assert (named.name, plain.name) == ("my_net.v2", "Base")
    assert named.spec(WEIGHTS) == parse_module_options([f"{file}:Net"])[0].spec(WEIGHTS)


def test_what_the_class_says_of_its_input_is_taken(file: Path) -> None:
    option = with_body(
        file,
        "input_size = [96, 128]; crop_fraction: float = 1.0; crop_mode = 'squash'; interpolation = 'bilinear'\n"
        "    mean = (0.5, 0.5, 0.5); std = [1, 1, 1]",
    )
    [backbone] = parse_module_options([option])
    assert backbone.transform == Transform((96, 128), 1.0, "bilinear", "squash")
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (1, 1, 1))
    assert parse_module_options([with_body(file, "input_size = 64")])[0].transform.input_size == (64, 64)


@pytest.mark.parametrize("change", ["# a comment", "input_size = 64", "x = 1"])
def test_every_change_of_the_file_is_another_network(file: Path, change: str) -> None:
    before = parse_module_options([f"{file}:Net"])[0].spec(WEIGHTS)
    file.write_text(NET + f"\nclass Other:\n    pass\n    {change}\n")
    assert parse_module_options([f"{file}:Net"])[0].spec(WEIGHTS).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("", "takes [NAME=]FILE.py:CLASS"),
        ("my.py", "takes [NAME=]FILE.py:CLASS"),
        ("{file}", "takes [NAME=]FILE.py:CLASS"),
        ("{file}:", "takes [NAME=]FILE.py:CLASS"),
        (":Net", "takes [NAME=]FILE.py:CLASS"),
        ("{file}:not a name", "takes [NAME=]FILE.py:CLASS"),
        ("{folder}/absent.py:Net", "absent.py cannot be read (No such file or directory)"),
        ("{folder}:Net", "cannot be read"),
        ("{file}:Nett", "no class Nett at its top level; it has 2 classes: Base, Net; did you mean 'Net'?"),
        ("{file}:make", "make is a function. Name a class"),
        ("resnet50={file}:Net", "the name 'resnet50' is one of Stackbone's own"),
        ("all={file}:Net", "the name 'all' is one of Stackbone's own"),
        ("timm.x={file}:Net", "the name 'timm.x' is one of Stackbone's own"),
        ("_x={file}:Net", "'_x' cannot name a network"),
    ],
)
def test_what_names_no_class_of_a_file_is_refused(file: Path, option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_module_options([option.format(file=file, folder=file.parent)])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"class Net(:\n", "is not Python (line 1: invalid syntax)"),
        (b"class Net: pass\n\x00", "is not Python"),
        (b"\xff\xfe\x00", "is not Python"),
        (b"", "declares no class. Expected a torch.nn.Module called Net"),
        (b"from somewhere import Net\n", "declares no class. Expected a torch.nn.Module called Net"),
        (b"(" * 5000, "is not Python"),
    ],
    ids=["syntax", "zero", "bytes", "empty", "imported", "deep"],
)
def test_a_file_that_cannot_be_parsed_is_refused(file: Path, content: bytes, words: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        parse_module_options([f"{file}:Net"])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("input_size = SIZE", "line 2: write the value of input_size out"),
        ("mean = tuple(x)", "line 2: write the value of mean out"),
        ("input_size = 0", "input_size is (0, 0): give (height, width)"),
        ("input_size = 1_000_000", "input_size is (1000000, 1000000): give (height, width)"),
        ("input_size = '224'", "input_size is '224': give (height, width)"),
        ("input_size = (224,)", "input_size is (224,): give (height, width)"),
        ("input_size = True", "input_size is True: give (height, width)"),
        ("crop_fraction = 0", "crop_fraction is 0: give a number above 0"),
        ("crop_fraction = 1e999", "crop_fraction is inf: give a number above 0"),
        ("crop_mode = 'border'", "crop_mode is 'border': give 'center' or 'squash'"),
        ("interpolation = 3", "interpolation is 3: give 'bilinear' or 'bicubic'"),
        ("mean = 0.5", "mean is 0.5: give three numbers"),
        ("mean = (0.5, 0.5, '')", "give three numbers"),
        ("std = (0.2, 0, 0.2)", "std is (0.2, 0, 0.2): give three numbers above 0"),
    ],
)
def test_an_input_that_cannot_be_is_refused(file: Path, body: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_module_options([with_body(file, body)])
    assert words in str(caught.value)


def test_two_of_one_name_are_refused_with_the_way_to_name_one(file: Path) -> None:
    with pytest.raises(UsageError, match=r"makes Net twice\. Name one otherwise: --backbone-module NAME=\S+my\.py:Net"):
        parse_module_options([f"{file}:Net", f"{file}:Net"])


# Found again by what a feature set says


def test_the_network_that_made_features_is_found_by_its_code(file: Path) -> None:
    [backbone, other] = parse_module_options([f"{file}:Net", f"{file}:Base"])
    found = find_own("as_it_was_called", backbone.spec(WEIGHTS), [other, backbone])
    assert found == replace(backbone, name="as_it_was_called")
    check_modules_are_used([backbone], [backbone.spec(WEIGHTS)])


def test_without_its_code_features_name_what_to_give(file: Path) -> None:
    [backbone] = parse_module_options([f"{file}:Net"])
    assert backbone.own is not None
    with pytest.raises(UsageError) as caught:
        find_own("Net", backbone.spec(WEIGHTS), [])
    assert f"the class Net, whose code has the digest {backbone.own.sha256}." in str(caught.value)
    assert "--backbone-module Net=FILE.py:Net --weights Net=FILE" in str(caught.value)


def test_changed_code_is_named_with_both_digests(file: Path) -> None:
    [backbone] = parse_module_options([f"{file}:Net"])
    file.write_text(NET + "\n# changed\n")
    [changed] = parse_module_options([f"{file}:Net"])
    assert backbone.own is not None
    assert changed.own is not None
    with pytest.raises(UsageError) as caught:
        find_own("Net", backbone.spec(WEIGHTS), [changed])
    assert f"{file} is not it: its code is {changed.own.sha256}." in str(caught.value)
    assert backbone.own.sha256 in str(caught.value)
    with pytest.raises(UsageError, match=f"theirs is {backbone.own.sha256}") as caught:
        check_modules_are_used([changed], [backbone.spec(WEIGHTS)])
    with pytest.raises(UsageError, match="none of them is by a network of one's own"):
        check_modules_are_used([changed], [])
