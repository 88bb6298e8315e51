"""Measure 6: importing every DAG file, against importing airflow.sdk alone, each in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figures import Figure, in_turn, seconds
from bench.server import Server

ROOT = Path(__file__).resolve().parent.parent
MORE = 0.5

_ALONE = "import airflow.sdk"
_DAGS = "import airflow.sdk, runpy, sys\nfor file in sys.argv[1:]: runpy.run_path(file)"


def measure(server: Server, quick: bool) -> Iterator[Figure]:  # noqa: ARG001 - all measures are called alike
    """Seconds that the DAG files add; nothing where there are none yet."""
    files = sorted(map(str, (ROOT / "dags").glob("*.py")))
    if not files:
        return
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-c"]
        ours = _run([*command, _DAGS, *files], home)
        alone = _run([*command, _ALONE], home, path="")  # without airflow_local_settings, which loads the core
        ours(), alone()  # configuration and bytecode are written once
        rounds = in_turn(3 if quick else 9, lambda: seconds(ours), lambda: seconds(alone))
    times, floors = zip(*rounds, strict=True)
    more = median(a - b for a, b in rounds)
    yield Figure(
        f"importing {len(files)} DAG files, against airflow.sdk alone",
        f"{median(times):.2f} s",
        f"{median(floors):.2f} s",
        median(a / b for a, b in rounds),
        f"at most {MORE} s more: {more:.2f}",
        more <= MORE,
        tuple(a / b for a, b in rounds),
    )


def _run(command: list[str], home: str, path: str = "include"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": path}
    return lambda: subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
