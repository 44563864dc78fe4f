"""What MicroBenchmarks.swift measures, with greenlet and gevent, and tasks with asyncio, under the same names."""

import asyncio
import sys
import time

import gevent
import gevent.event
import gevent.queue
import greenlet


def switch(count):
    def loop():
        while True:
            parent.switch()

    parent, child = greenlet.getcurrent(), greenlet.greenlet(loop)
    for _ in range(count // 2):
        child.switch()


def give_way(count, greenlets):
    def loop():
        for _ in range(max(1, count // greenlets)):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(loop) for _ in range(greenlets)])


def spawn(count, at_once):
    def body():
        nonlocal ran
        ran += 1

    ran = 0
    for _ in range(count // at_once):
        for one in [gevent.spawn(body) for _ in range(at_once)]:
            one.join()
    assert ran == count // at_once * at_once


def gather_two(count):
    total = 0
    for number in range(count):
        both = [gevent.spawn(lambda: number), gevent.spawn(lambda: 1)]
        gevent.joinall(both, raise_error=True)
        total += both[0].value + both[1].value
    assert total == count * (count + 1) // 2


def run_tasks(count):
    async def body(number):
        return number

    async def main():
        total = 0
        for number in range(count):
            total += await asyncio.create_task(body(number))
        assert total == count * (count - 1) // 2

    asyncio.run(main())


def give_way_in_tasks(count):
    async def body():
        for _ in range(count // 2):
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(body(), body())

    asyncio.run(main())


def limit_time(count):
    for _ in range(count):
        with gevent.Timeout(10):
            pass


def pass_events(count, timeout):
    def play(mine, other):
        for _ in range(count // 2):
            mine.wait(timeout)
            mine.clear()
            other.set()

    ping, pong = gevent.event.Event(), gevent.event.Event()
    both = [gevent.spawn(play, ping, pong), gevent.spawn(play, pong, ping)]
    ping.set()
    gevent.joinall(both, raise_error=True)


def pass_through_queue(count):
    def produce():
        for item in range(count):
            queue.put(item)

    queue = gevent.queue.Queue(maxsize=1)
    gevent.spawn(produce)
    assert sum(queue.get() for _ in range(count)) == count * (count - 1) // 2


def take_from_generator(count):
    def numbers():
        number = 0
        while True:
            yield number
            number += 1

    values = numbers()
    for number in range(count):
        assert next(values) == number


def send_to_generator(count):
    def sums():
        total = 0
        while True:
            total += yield total

    values = sums()
    next(values)
    for number in range(1, count + 1):
        assert values.send(1) == number


def switch_with_values(count):
    def loop(value):
        while True:
            value = parent.switch(value + 1)

    parent, child, value = greenlet.getcurrent(), greenlet.greenlet(loop), 0
    for _ in range(count):
        value = child.switch(value)
    assert value == count


block = bytes(i * 7 % 256 for i in range(64 << 10))
other = bytearray(block)


def uppercase_block(count):
    for _ in range(count):
        block.upper()


def copy_block(count):
    for _ in range(count):
        other[:] = block


def nanoseconds(length, body):
    # Processor time: nothing here sleeps, and others who run meanwhile don't count.
    count = 1000
    while True:
        start = time.process_time_ns()
        body(count)
        took = time.process_time_ns() - start
        if took >= length * 1e9:
            return took / count
        count *= 2


steps = {
    "bare switch": switch,
    "yield, 2 threads": lambda count: give_way(count, 2),
    "yield, 1000 threads": lambda count: give_way(count, 1000),
    "spawn, run, join": lambda count: spawn(count, 1),
    "spawn 100, run, join": lambda count: spawn(count, 100),
    "time limit set and lifted": limit_time,
    "event hand-over": lambda count: pass_events(count, None),
    "event hand-over with deadline": lambda count: pass_events(count, 10),
    "queue hand-over": pass_through_queue,
    "generator, next": take_from_generator,
    "generator, send": send_to_generator,
    "fiber, there and back": switch_with_values,
    "gather of two": gather_two,
    "task of the hub, value": run_tasks,
    "tasks of the hub, Task.yield": give_way_in_tasks,
    "uppercase of 64 KiB": uppercase_block,
    "copy of 64 KiB": copy_block,
}
length = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
for name, body in steps.items():
    print(f"{name}\t{nanoseconds(length, body):f}")
