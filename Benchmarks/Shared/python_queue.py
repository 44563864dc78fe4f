"""What a frame of 64 bytes costs through multiprocessing.Queue, from one process to another: nanoseconds."""
import multiprocessing
import sys
import time


def produce(queue, count):
    frame = b"x" * 64
    for _ in range(count):
        queue.put(frame)


if __name__ == "__main__":
    count = int(sys.argv[1])
    queue = multiprocessing.Queue(1000)
    producer = multiprocessing.Process(target=produce, args=(queue, count))
    producer.start()
    queue.get()
    begin = time.perf_counter()
    for _ in range(count - 1):
        queue.get()
    print((time.perf_counter() - begin) / (count - 1) * 1e9)
    producer.join()
