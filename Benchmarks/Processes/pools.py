"""Measures Python's pools of processes for ProcessBenchmarks: a line "apply" or "submit" is answered with the microseconds of a call of 64 bytes."""
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def same(data):
    return data


def measure(call, count=2000):
    for _ in range(100):
        call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    data = b"7" * 64
    pool = multiprocessing.Pool(4)
    executor = ProcessPoolExecutor(4)
    calls = {
        "apply": lambda: pool.apply(same, (data,)),
        "submit": lambda: executor.submit(same, data).result(),
    }
    for line in sys.stdin:
        print(measure(calls[line.strip()]), flush=True)
    pool.terminate()
    executor.shutdown()
