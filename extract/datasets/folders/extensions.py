"""What a file's name says of its content: an image that can be decoded here, one that cannot, or something else."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".psd", ".qoi", ".dds"),
)
"""What every Pillow reads by itself."""

_NEEDS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("pillow_heif", "pip install 'stackbone[heif]'")),
    ".jxl": ("pillow_jxl", "pip install pillow-jxl-plugin"),
    **dict.fromkeys((".avif", ".avifs"), ("", "pip install 'pillow>=11.3'")),
}
"""Extension of images that not every machine decodes: the module that decodes them ('' for Pillow), what to type."""

_RAW = ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .orf .rw2 .pef .srw .x3f .3fr .iiq .kdc .mrw .raw"
_VIDEOS = ".mp4 .m4v .mov .avi .mkv .webm .wmv .flv .mpg .mpeg .3gp .mts .m2ts .ts .ogv"
_ARCHIVES = ".zip .tar .gz .tgz .bz2 .xz .7z .rar .zst"
_TABLES = ".csv .tsv .parquet .pq .json .jsonl .xml .xls .xlsx .ods .arff .feather .arrow .h5 .hdf5 .npy .npz .mat .pkl"
_TEXTS = (
    ".txt .md .rst .html .htm .pdf .doc .docx .tex .log .ini .cfg .toml .yaml .yml .lock .url .lnk .xmp .thm .aae "
    ".py .pyc .ipynb .js .css .sh .bat .c .cpp .h .java .exe .dll .so .db .sqlite .pt .pth .ckpt .onnx .safetensors"
)
_AUDIO = ".mp3 .wav .flac .ogg .m4a .aac .wma"
_NOT_IMAGES = {
    **dict.fromkeys(_RAW.split(), "a camera's raw file; convert to TIFF or JPEG"),
    **dict.fromkeys(_VIDEOS.split(), "a video"),
    **dict.fromkeys(_ARCHIVES.split(), "an archive; unpack it"),
    **dict.fromkeys(_TABLES.split(), "not an image"),
    **dict.fromkeys(_TEXTS.split(), "not an image"),
    **dict.fromkeys(_AUDIO.split(), "not an image"),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".ai", ".wmf", ".emf"), "a drawing; export it as PNG"),
    **dict.fromkeys((".part", ".crdownload", ".download", ".partial", ".tmp"), "an unfinished download"),
    **dict.fromkeys((".dcm", ".nii", ".fits", ".exr", ".hdr"), "no ordinary image; convert to PNG or TIFF"),
}
NO_IMAGE = "not an image"


@cache
def image_extensions() -> tuple[str, ...]:
    """Return the extensions of the images that can be decoded on this machine, in lower case."""
    return (*IMAGE_EXTENSIONS, *(extension for extension, (module, _) in _NEEDS.items() if _is_there(module)))


def is_image_name(name: str) -> bool:
    """Return whether a file's name has the extension of an image that can be decoded, in any case of letters."""
    return name.lower().endswith(image_extensions())


def why_not(extension: str) -> str | None:
    """Return why a file of this extension is not taken, in words; None if its first bytes are to tell.

    Parameters
    ----------
    extension
        In lower case, with its dot; '' for none.
    """
    return _NOT_IMAGES.get(extension)


def missing_decoder(extension: str) -> str | None:
    """Return what to do for images of this extension to be decoded; None if they are, or are none."""
    if extension not in _NEEDS or extension in image_extensions():
        return None
    return f"no decoder is installed; {_NEEDS[extension][1]}"


def _is_there(module: str) -> bool:
    if module:
        return find_spec(module) is not None
    from PIL import features

    return "avif" in features.modules and features.check_module("avif") is True
