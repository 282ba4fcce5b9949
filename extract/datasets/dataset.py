"""A dataset: which images there are, and what is known of each.

Folders of classes, tables, CUB-200-2011, plain images, and arrays all become the same four columns; nothing after
this module knows how they were listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stackbone.cache.choices import check_choice
from stackbone.cache.hdf5.coded_texts import Texts, code_texts
from stackbone.cache.labels.sets import SETS, split_names
from stackbone.cache.remote.url import is_url
from stackbone.extract.datasets.archives.braces import expanded
from stackbone.extract.datasets.archives.remembered import remembered
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.dataset_name import check_dataset_name, safe_name
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.further import first_columns
from stackbone.extract.datasets.kind import Listing, Request, Skipped, TableColumns
from stackbone.extract.datasets.label_sets import labels_of_columns, read_label_columns, separated
from stackbone.extract.datasets.listing import list_images
from stackbone.extract.datasets.listing_options import (
    asked_words,
    checked_marks,
    read_class_level,
    refuse_idle_options,
    refuse_label_options,
)
from stackbone.extract.datasets.remote.root import remote_root
from stackbone.extract.datasets.typed_paths import absolute, absolute_paths
from stackbone.extract.images.arrays import Arrays, are_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stackbone.cache import DatasetIndex, FeatureStore

SPLIT_FOLDERS = ("auto", "none")


@dataclass(frozen=True)
class Dataset:
    """Columns of equal length, one entry per image, sorted by path in code point order.

    Those of which many entries are equal are read as lists are: see `stackbone.cache.hdf5.coded_texts.CodedTexts`.

    Attributes
    ----------
    name
        Name of the dataset's index, safe as a file name: ``[A-Za-z0-9._-]``, never empty.
    root
        Absolute folder that `paths` are relative to; means nothing where `arrays` are.
    paths
        Posix-style paths relative to `root`, absolute where an image lies outside it; ``array/000012`` of arrays.
    labels
        Class names; '' for an unlabelled image.
    splits
        'train', 'validation' and 'test' for split folders, a table's own names otherwise, '' for none.
    groups
        Names of what belongs together (a patient, a scene); '' for none.
    skipped
        Files and folders that were met and not taken.
    notes
        What was believed where it could be read in another way, a sentence each.
    asked
        What to type after ``stackbone extract`` to list the same again; nothing of images in memory.
    arrays
        The images themselves, in the order of `paths`, where they are in memory and no files.
    columns
        Further columns of a table, by name: for dividing or weighing images, see docs/folds.md.
    label_form
        What a label is: ``""`` for the name of one class; else one of `cache.labels.forms.FORMS`, as
        `cache.labels.sets.join_names` or `cache.labels.numbers.join_numbers` write it.
    boxes
        Of the annotated images' objects, by path; None where there are none, or no labels are asked for.
    """

    name: str
    root: Path
    paths: list[str]
    labels: Texts
    splits: Texts
    groups: Texts
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    asked: Sequence[str] = ()
    arrays: Arrays | None = None
    columns: Mapping[str, Texts] = field(default_factory=dict)
    label_form: str = ""
    boxes: ListedBoxes | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.paths)

    @property
    def classes(self) -> list[str]:
        """Distinct labels, sorted."""
        if self.label_form == SETS:
            return sorted({name for label in set(self.labels) for name in split_names(label)})
        return sorted(set(self.labels) - {""})

    @property
    def has_labels(self) -> bool:
        """Whether any image has a label."""
        return any(self.labels)

    @property
    def has_splits(self) -> bool:
        """Whether any image belongs to a split."""
        return any(self.splits)


def open_dataset(
    data: Path | str | Sequence[Any] | NDArray[Any],
    *,
    name: str | None = None,
    labels: Path | str | Sequence[object] | NDArray[Any] | None = None,
    splits: Sequence[object] | NDArray[Any] | None = None,
    groups: Sequence[object] | NDArray[Any] | None = None,
    path_column: str = "path",
    label_column: str | None = "label",
    split_column: str = "split",
    group_column: str = "group",
    suffix: str = "",
    exclude: Sequence[str] | str | None = None,
    split_folders: str = "auto",
    class_level: int | str | None = None,
    encoding: str = "",
    label_separator: str = "",
    label_columns: Sequence[str] | str = "",
    label_form: str = "",
    keep_na: bool = False,
    only_listed: bool = False,
    image_column: str = "",
    every: str = "",
    store: FeatureStore | None = None,
) -> Dataset:
    """List the images of a dataset with their labels, splits and groups. No image is opened.

    Parameters
    ----------
    data
        One of these, or a sequence that holds one of these alone:

        - a folder. Its first level of folders are the classes, however deep the images lie below. Folders that
          are named ``train``, ``val``, ``test_set`` or the like are splits, and the level below are the classes.
          Images that lie beside class folders instead of inside one are kept, unlabelled. Tables named
          ``metadata.csv``, ``.jsonl`` or ``.parquet`` beside the images are read. See docs/datasets.md;
        - an unpacked ``CUB_200_2011`` folder, or the folder that holds it;
        - a CSV, TSV or Parquet file, one row per image, paths relative to the file's folder. Where the files are not
          there, they are found by their names where just one fits, and the dataset's notes say so;
        - Parquet or Arrow files that hold the images themselves in a column of bytes or of {bytes, path}, or a folder
          of Hugging Face's datasets, saved by them or downloaded from their hub;
        - videos, or a folder of them: frames are the images, and each video is a group;
        - a tar or zip archive, a list or a folder of them, or ``shards/{000000..000999}.tar``: read as folders are, or
          as WebDataset shards;
        - one image, or a list of images: unlabelled;
        - images in memory: an array (n, height, width, 3) uint8, (n, height, width) of grey, or (n, height, width, 4)
          with transparency; a memory map is read image by image. Or a list of such arrays without the first axis, which
          may differ in size, and of PIL images, which are turned upright and converted as files are.
    name
        The dataset's name; by default that of the folder or the file without its extension, of the
        common folder followed by ``-list`` for a list of images, and ``arrays`` for images in memory.
    labels
        A table that corrects what the folder `data` says of some of its images; its paths are relative to that
        folder. Images that it does not list stay as they are, unless with `only_listed`. Of images in memory, their
        labels, one each; None or NaN for an image without.
    splits, groups
        Of images in memory, their splits and groups, as `labels`.
    path_column, label_column, split_column, group_column
        Names of a table's columns; the last two may be absent unless named otherwise than by default. Of a default that
        is absent, the one column that says the same (``filename``, ``species``) is taken. With
        ``label_column=None`` every image is unlabelled, whatever the kind of dataset.
    label_separator
        What stands between the labels of an image that can have several, such as '|' or ','; by default each image has
        one. Columns of lists (Parquet, JSON lines, ``labels=`` with a list for each image) need none.
    label_columns, label_form
        Columns of a table that are a label each, 1 where an image has it and 0 where not, or a number each, in place of
        `label_column`. 'sets' or 'numbers' says which; by default it is told from the cells.
    suffix
        File extension added to those of a table's paths that lack it, such as '.jpg'.
    exclude
        Patterns of files and folders to leave out, such as ``thumbnails``, ``*_mask.png`` or ``./train/broken``.
    split_folders
        ``auto``, or ``none`` if folders named like splits are classes.
    class_level
        Which level of folders below splits and wrappers is the class, from 1, or ``leaf`` for the innermost; by
        default the first, with a note if there are more.
    encoding
        Of a table of text, as Python calls it, such as 'cp1251'; by default UTF-8, UTF-16 or Windows-1252, whichever
        it is.
    keep_na
        Whether the texts ``NA``, ``None``, ``nan`` and the like are names in a table's columns of labels, splits and
        groups; by default they stand for missing values, as pandas takes them.
    only_listed
        Whether images that the table `labels` does not list are left out.
    image_column
        Column that holds the images of a Parquet or Arrow file; needed where several do.
    every
        Which frames of a video are taken: ``"2s"`` for one every two seconds, ``"10"`` for each tenth; by default one a
        second.
    store
        A cache, whose index tells what lies in archives that did not change; without it they are opened to be listed.

    Returns
    -------
    Dataset
        At least one image.

    Raises
    ------
    UsageError
        The options do not fit the data, or a table lacks a column.
    DatasetError
        The dataset is missing, empty, unreadable or contradicts itself.
    StackboneError
        A Parquet file, and pyarrow is not installed.
    """
    labelled = label_column is not None
    marked = read_label_columns(label_columns, label_column, label_form)
    refuse_label_options(label_separator, marked, labelled=labelled)
    label = None if marked else label_column
    columns = TableColumns(
        path_column, label, split_column, group_column, suffix, encoding, keep_na, labels=marked, image=image_column
    )
    check_choice("value of --split-folders", split_folders, SPLIT_FOLDERS)
    in_memory = are_images(data)
    marks = checked_marks({"labels": labels, "splits": splits, "groups": groups}, in_memory=in_memory)
    patterns = [] if in_memory else absolute_paths(cast("Path | str | Sequence[Path | str]", data))
    paths = expanded(patterns)
    table = None if in_memory or labels is None else absolute(cast("Path | str", labels))
    request = Request(
        paths,
        table,
        columns,
        exclude=Exclusion([exclude] if isinstance(exclude, str) else exclude or ()),
        split_folders=split_folders,
        class_level=read_class_level(class_level),
        only_listed=only_listed,
        images=data if in_memory else None,
        marks=marks,
        label_separator=label_separator,
        every=every,
        patterns=patterns if patterns != paths else (),
    )
    refuse_idle_options(request)
    asked = asked_words(request, labelled=labelled)
    if store is not None and not label_form and (known := remembered(request, name, asked, store)):
        return _of_index(*known)
    listing = list_images(request)
    if marked:
        listing = labels_of_columns(listing, marked, label_form)
    if label_separator:
        listing = separated(listing, label_separator)
    return _build(listing, name, asked, labelled=labelled)


def _of_index(index: DatasetIndex, boxes: ListedBoxes | None) -> Dataset:
    return Dataset(
        name=index.name,
        root=remote_root(index.root) if is_url(index.root) else Path(index.root),
        paths=index.path,
        labels=index.label,
        splits=index.split,
        groups=index.group,
        skipped=index.listed.skipped,
        notes=index.listed.notes,
        asked=index.listed.asked,
        columns=index.columns,
        label_form=index.label_form,
        boxes=boxes,
    )


def _build(listing: Listing, name: str | None, asked: Sequence[str], *, labelled: bool) -> Dataset:
    if name is not None:
        check_dataset_name(name, in_memory=listing.arrays is not None)
    paths = sorted(listing.entries)
    marks = [listing.entries[path] for path in paths]
    columns, said = first_columns(listing.further.columns(paths))
    return Dataset(
        name=name or safe_name(listing.title),
        root=listing.root,
        paths=paths,
        labels=code_texts([label if labelled else "" for label, _, _ in marks]),
        splits=code_texts([split for _, split, _ in marks]),
        groups=code_texts([group for _, _, group in marks]),
        skipped=listing.skipped,
        notes=[*listing.notes, *said],
        asked=tuple(asked),
        arrays=listing.arrays,
        columns={column: code_texts(cells) for column, cells in columns.items()},
        label_form=listing.label_form if labelled else "",
        boxes=listing.boxes.among(paths) if listing.boxes is not None and labelled else None,
    )
