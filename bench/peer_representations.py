"""thingsvision's own CKA and RSA, for `bench/representations.py --thingsvision PYTHON`; run by a Python that has it.

It needs torch and TensorFlow of its own, and so an environment of its own: ``python -m venv peers && peers/bin/pip
install thingsvision``.
"""

import json
import sys
import time

import numpy as np


def main() -> None:
    """Compare the features in the file that is named, and print the numbers and the seconds that they took."""
    from thingsvision.core.cka import get_cka
    from thingsvision.core.rsa import compute_rdm, correlate_rdms

    out, sys.stdout = sys.stdout, sys.stderr
    blocks = np.load(sys.argv[1])
    x, y = blocks["x"].astype(np.float64), blocks["y"].astype(np.float64)
    started = time.perf_counter()
    cka = float(get_cka(backend="numpy", m=len(x), kernel="linear").compare(X=x, Y=y))
    cka_s = time.perf_counter() - started
    started = time.perf_counter()
    matrices = [compute_rdm(each, method="correlation") for each in (x, y)]
    rsa = float(correlate_rdms(*matrices, correlation="spearman"))
    rsa_s = time.perf_counter() - started
    print(json.dumps({"cka": cka, "cka_s": cka_s, "rsa": rsa, "rsa_s": rsa_s}), file=out)


if __name__ == "__main__":
    main()
