"""Secrets in URLs: neither typed ones nor those of a table come into an index, and no message shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.remote.url import holds_secret
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.listings import message, touch

SECRETS = [
    "https://example.org/{}?X-Amz-Algorithm=AWS4&X-Amz-Signature=s3cret",
    "https://example.org/{}?x-goog-signature=s3cret",
    "https://example.org/{}?sv=2020&sig=s3cret",
    "https://example.org/{}?AWSAccessKeyId=AK&Signature=s3cret",
    "https://example.org/{}?access_token=s3cret",
    "https://example.org/{}?w=3&api-key=s3cret",
    "https://user:s3cret@example.org/{}",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_table_with_secrets_in_its_paths_is_refused_and_they_are_not_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "t.csv").write_text(f"path,label\na.jpg,x\n{url.format('a.jpg')},x\n")
    text = message(DatasetError, data=tmp_path / "t.csv")
    assert "line 3, 'https://example.org/a.jpg" in text
    assert "holds a password or a signature, and would be kept in the index" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("url", SECRETS)
def test_a_further_column_with_secrets_is_not_kept(tmp_path: Path, url: str) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text(f"path,label,source,camera\na.jpg,x,,left\nb.jpg,x,{url.format('b')},right\n")
    dataset = open_dataset(tmp_path / "t.csv")
    assert dataset.columns == {"camera": ["left", "right"]}
    assert "Columns of 't.csv' that hold URLs with passwords or signatures are not kept: 'source'." in dataset.notes
    assert "s3cret" not in repr(dataset)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a.jpg?id=3&size=large",
        "https://example.org/signature=1/a.jpg",
        "https://example.org/a.jpg?key=photos/3",
        "s3://bucket/user@home/a.jpg",
        "no url?token=3",
        "https://example.org:8080/a.jpg",
    ],
)
def test_other_queries_are_no_secrets(text: str) -> None:
    assert not holds_secret(text)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip", "t.parquet", "v.mp4", "a.jpg", "t.csv", "folder"])
@pytest.mark.parametrize("others", [[], ["https://example.org/b.png"]])
def test_a_typed_url_with_a_query_is_refused_as_such_whatever_it_names(name: str, others: list[str]) -> None:
    text = message(UsageError, data=[SECRETS[0].format(name), *others])
    assert "has a query, which may hold a signature" in text
    assert "s3cret" not in text
