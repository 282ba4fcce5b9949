"""Images that are decoded side by side fit together, a large one is decoded by itself, and pixels are the same."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from stackbone.extract.images import strips
from stackbone.extract.images.budget import DecodingBudget, memory_limit
from stackbone.extract.images.decode import decode, decoded


def test_no_more_is_held_at_once_than_there_is_room_for() -> None:
    budget, held, most, lock = DecodingBudget(100), [0], [0], threading.Lock()

    def take(n_bytes: int) -> None:
        with budget.room_for(n_bytes):
            with lock:
                held[0] += n_bytes
                most[0] = max(most[0], held[0])
            time.sleep(0.005)
            with lock:
                held[0] -= n_bytes

    threads = [threading.Thread(target=take, args=(n,)) for n in (40, 60, 30, 250, 90, 10, 300, 50) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] == 300  # alone, since with any other it would be more
    assert held[0] == 0


def test_what_exceeds_the_machine_is_refused_by_its_size() -> None:
    assert memory_limit() > 1 << 20
    refused = pytest.raises(MemoryError, match=r"takes 1 MB, and this process may use 0 MB")
    with refused, DecodingBudget(100).room_for(1_000_000):
        pass
    content = io.BytesIO()
    Image.new("RGBA", (300, 200)).save(content, "PNG")
    with pytest.raises(MemoryError, match="decoding it takes"), decoded(content.getvalue(), DecodingBudget(1000)):
        pass


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_strips_give_the_pixels_of_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    if mode == "I;16":
        picture = Image.fromarray(rng.integers(0, 65536, (61, 47), dtype=np.uint16))
    else:
        rgba = Image.fromarray(rng.integers(0, 256, (61, 47, 4), dtype=np.uint8))
        picture = rgba.convert(mode) if mode != "P" else rgba.quantize(32)
    content = io.BytesIO()
    picture.save(content, "PNG")
    whole = np.asarray(decode(content.getvalue()))
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 300)
    assert np.array_equal(np.asarray(decode(content.getvalue())), whole)
