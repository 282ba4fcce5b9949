"""What a file's name says of its content: an image that can be decoded here, one that cannot, or something else."""

from __future__ import annotations

import os

from stackbone.extract.containers.place import kind_of
from stackbone.extract.images.formats import decodable_extensions, what_decodes

_RAW = ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .orf .rw2 .pef .srw .x3f .3fr .iiq .kdc .mrw .raw"
_VIDEOS = ".ts .ogv"
_READ_VIDEOS = ".mp4 .m4v .mov .avi .mkv .webm .wmv .flv .mpg .mpeg .3gp .mts .m2ts"
_ARCHIVES = ".7z .rar .zst"
_COMPRESSED = ".gz .bz2 .xz"
_READ_ARCHIVES = ".zip .tar .tgz .tbz2 .txz"
_TABLES = ".csv .tsv .parquet .pq .json .jsonl .xml .xls .xlsx .ods .arff .feather .arrow .h5 .hdf5 .npy .npz .mat .pkl"
_TABLES_OF_IMAGES = (".csv", ".tsv", ".parquet", ".pq", ".arrow", ".jsonl")
_TEXTS = (
    ".txt .md .rst .html .htm .pdf .doc .docx .tex .log .ini .cfg .toml .yaml .yml .lock .url .lnk .xmp .thm .aae "
    ".py .pyc .ipynb .js .css .sh .bat .c .cpp .h .java .exe .dll .so .db .sqlite .pt .pth .ckpt .onnx .safetensors"
)
_AUDIO = ".mp3 .wav .flac .ogg .m4a .aac .wma"
_NOT_IMAGES = {
    **dict.fromkeys(_RAW.split(), "a camera's raw file; convert to TIFF or JPEG"),
    **dict.fromkeys(_VIDEOS.split(), "a video; convert to MP4"),
    **dict.fromkeys(_READ_VIDEOS.split(), "a video; name it by itself"),
    **dict.fromkeys(_ARCHIVES.split(), "an archive; unpack it"),
    **dict.fromkeys(_COMPRESSED.split(), "an archive; unpack it, or name it by itself if it is a tar"),
    **dict.fromkeys(_READ_ARCHIVES.split(), "an archive; name it by itself"),
    **dict.fromkeys(_TABLES.split(), "not an image"),
    **dict.fromkeys(_TEXTS.split(), "not an image"),
    **dict.fromkeys(_AUDIO.split(), "not an image"),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".ai", ".wmf", ".emf"), "a drawing; export it as PNG"),
    **dict.fromkeys((".part", ".crdownload", ".download", ".partial", ".tmp"), "an unfinished download"),
    **dict.fromkeys((".dcm", ".nii", ".fits", ".exr", ".hdr"), "no ordinary image; convert to PNG or TIFF"),
}
ARCHIVES = frozenset(f"{_ARCHIVES} {_COMPRESSED} {_READ_ARCHIVES}".split())
"""Extensions of archives and of compressed files, read or not."""

NO_IMAGE = "not an image"
NO_DECODER = "no decoder is installed"


def is_image_name(name: str) -> bool:
    """Return whether a file's name has the extension of an image that can be decoded, in any case of letters."""
    return name.lower().endswith(decodable_extensions())


def why_not(extension: str) -> str | None:
    """Return why a file of this extension is not taken, in words; None if its first bytes are to tell.

    Parameters
    ----------
    extension
        In lower case, with its dot; '' for none.
    """
    return _NOT_IMAGES.get(extension)


def why_not_beside(name: str) -> str:
    """Return why a file beside archives, tables or videos, which alone are read, is not taken, in words."""
    if name.lower().endswith(_TABLES_OF_IMAGES):
        return "a table; name it by itself"
    if kind := kind_of(name):
        return f"{kind.what}; name it by itself"
    if is_image_name(name):
        return "an image; name it by itself"
    extension = os.path.splitext(name)[1].lower()
    return why_not(extension) or missing_decoder(extension) or NO_IMAGE


def missing_decoder(extension: str) -> str | None:
    """Return what to do for images of this extension to be decoded; None if they are, or are none."""
    needs = what_decodes(extension)
    return needs and f"{NO_DECODER}; {needs}"
