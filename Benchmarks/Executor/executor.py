"""Nanoseconds a call of ThreadPoolExecutor: one at a time, and many submitted before the first result is taken."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor


def answer():
    return 42


def one_at_a_time(executor, count):
    for _ in range(count):
        executor.submit(answer).result()


def many(executor, count):
    for future in [executor.submit(answer) for _ in range(count)]:
        future.result()


def nanoseconds(body, executor, count):
    start = time.perf_counter_ns()
    body(executor, count)
    return (time.perf_counter_ns() - start) / count


count, limit = int(sys.argv[1]), int(sys.argv[2])
with ThreadPoolExecutor(limit) as executor:
    many(executor, 1000)
    print(nanoseconds(one_at_a_time, executor, count), nanoseconds(many, executor, count))
