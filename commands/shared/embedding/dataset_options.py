"""Which images are meant: options of the commands that list a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.extract import Dataset


@dataclass(frozen=True)
class ListingOptions:
    """Which images are meant, and where a table keeps what is known of them."""

    labels: Annotated[
        Path | None, typer.Option(help="Table that corrects labels of images in the folder DATA; others keep theirs")
    ] = None
    only_listed: Annotated[bool, typer.Option("--only-listed", help="Leave out images that --labels does not list")] = (
        False
    )
    path_column: Annotated[str, typer.Option(help="Table column with the image paths")] = "path"
    label_column: Annotated[str, typer.Option(help="Table column with the labels")] = "label"
    label_columns: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Table columns that are a label each (cells of 1 and 0), or a number each, separated by commas",
        ),
    ] = ""
    label_separator: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What stands between the labels of an image that can have several, such as '|' or , [default: each "
            "image has one]",
        ),
    ] = ""
    split_column: Annotated[str, typer.Option(help="Table column with split names such as train and test")] = "split"
    group_column: Annotated[
        str, typer.Option(help="Table column that names what belongs together, such as a patient or a scene")
    ] = "group"
    image_column: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Column that holds the images of Parquet or Arrow files [default: the one that does]",
        ),
    ] = ""
    every: Annotated[
        str,
        typer.Option(
            metavar="STEP",
            help="Frames of videos to take: 2s for one every 2 seconds, 10 for every tenth [default: 1s]",
        ),
    ] = ""
    suffix: Annotated[str, typer.Option(help="File extension to add to table paths that lack it, such as .jpg")] = ""
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave out files and folders of this name or path; repeat for more"),
    ] = None
    split_folders: Annotated[
        str,
        typer.Option(help="Whether folders named like train or test_set are splits: auto, or none if they are classes"),
    ] = "auto"
    class_level: Annotated[
        str | None,
        typer.Option(help="Level of folders that are the classes, from 1, or leaf for the innermost [default: 1]"),
    ] = None
    encoding: Annotated[
        str, typer.Option(help="Encoding of a table of text, such as cp1251 [default: what it looks like]")
    ] = ""
    keep_na: Annotated[
        bool,
        typer.Option("--keep-na", help="Take NA, None, nan and so on in a table for names, not for missing values"),
    ] = False

    @property
    def name(self) -> str | None:
        """What the dataset is called; None leaves it to the folder or file."""
        return None

    def open(
        self, data: Sequence[str], *, labelled: bool = True, label_form: str = "", store: FeatureStore | None = None
    ) -> Dataset:
        """List the dataset's images: one folder, table or file, or several files; see `open_dataset`."""
        from stackbone.extract import open_dataset

        return open_dataset(
            data[0] if len(data) == 1 else data,
            name=self.name,
            labels=self.labels,
            path_column=self.path_column,
            label_column=self.label_column if labelled else None,
            label_separator=self.label_separator,
            label_columns=self.label_columns,
            label_form=label_form if self.label_columns else "",
            split_column=self.split_column,
            group_column=self.group_column,
            suffix=self.suffix,
            exclude=self.exclude,
            split_folders=self.split_folders,
            class_level=self.class_level,
            encoding=self.encoding,
            keep_na=self.keep_na,
            only_listed=self.only_listed,
            image_column=self.image_column,
            every=self.every,
            store=store,
        )


@dataclass(frozen=True)
class DatasetOptions(ListingOptions):
    """The same, and how the dataset is called in the cache."""

    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Name for the dataset in the cache [default: that of the folder or file]"),
    ] = None

    @property
    def name(self) -> str | None:
        """As ``--dataset`` gives it."""
        return self.dataset
