"""The worker of Examples/TaskIntake with redis-py and gevent: the same stream and group, as many tasks at once, confirmed in the same transactions."""

from gevent import monkey

monkey.patch_all()

import os
import signal
import socket
import sys

import gevent
import redis
from gevent.lock import Semaphore
from gevent.queue import Queue

AT_ONCE = 256
name = f"{socket.gethostname()}-{os.getpid()}"
places = Semaphore(AT_ONCE)
finished = Queue()
is_stopping = False


def say(text):
    print(text, flush=True)


def stop():
    global is_stopping
    is_stopping = True


def run(id, fields):
    say(f"begin: job {fields[b'job'].decode()}")
    gevent.sleep(float(fields[b"seconds"]))
    finished.put((id, fields))


def confirm(telling):
    while True:
        jobs = [finished.get()]
        while len(jobs) < AT_ONCE and not finished.empty():
            jobs.append(finished.get())
        transaction = telling.pipeline(transaction=True)
        for id, _ in jobs:
            transaction.hincrby("tasks:done", id, 1)
        transaction.xack("tasks", "workers", *[id for id, _ in jobs])
        for (id, fields), times in zip(jobs, transaction.execute()):
            say(f"{'done' if times == 1 else 'done twice'}: job {fields[b'job'].decode()}")
            places.release()


def main(host, port):
    taking, telling = (redis.Redis(host, int(port)) for _ in range(2))
    try:
        telling.xgroup_create("tasks", "workers", "0", mkstream=True)
    except redis.ResponseError:
        pass  # it is there
    gevent.signal_handler(signal.SIGTERM, stop)
    gevent.spawn(confirm, telling)
    say(f"{name} takes tasks")
    while not is_stopping:
        places.acquire()
        count = 1 + places.counter
        places.release()
        for _, entries in taking.xreadgroup("workers", name, {"tasks": ">"}, count, block=500) or []:
            for id, fields in entries:
                places.acquire()
                gevent.spawn(run, id, fields)
    for _ in range(AT_ONCE):
        places.acquire()


main(*sys.argv[1:])
