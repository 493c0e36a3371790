"""Every benchmark, one after the other: ``make bench``. Ratios within one run, never figures across machines."""

from __future__ import annotations

from benchmarks import bench_predict

if __name__ == "__main__":
    bench_predict.main()
