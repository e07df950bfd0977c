"""Makes `benchmarks` importable; the checkout is not on the import path of the tests."""

from __future__ import annotations

import runpy

from house.checkout import ROOT

runpy.run_path(str(ROOT / "benchmarks" / "launch.py"))["load"]()
