"""One process of a round with dogpile.cache, as `src/contenders.rs` is with the others: the same commands, the same answers."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dogpile.cache import make_region

CALLERS = 64
region = make_region().configure(
    "dogpile.cache.redis",
    # Longer than the slowest caller waits. Each round has a key of its own.
    expiration_time=10,
    arguments={
        "url": f"redis://127.0.0.1:{os.environ['FLEET_PORT']}/0",
        "distributed_lock": True,
        "thread_local_lock": False,
        # The default is no end, which a killed process would never give back.
        "lock_timeout": 5,
        # Keys that nobody asks for again would stay without it.
        "redis_expiration_time": 10,
    },
)
say_lock = threading.Lock()


def say(*words):
    with say_lock:
        print(*words, flush=True)


def micros():
    return time.time_ns() // 1000


def call(key, seconds):
    def expensive():
        if seconds:
            say("begin", key, micros())
            time.sleep(seconds)
            say("end", key, micros())
        return key

    return region.get_or_create(str(key), expensive)


def one_of_round(key, seconds):
    try:
        assert call(key, seconds) == key
    except Exception as error:  # It is counted.
        print(error, file=sys.stderr)
        say("error", key, micros())


def main():
    threads = ThreadPoolExecutor(CALLERS)
    # All threads are there, and the connections are made.
    list(threads.map(lambda n: (call(2**41, 0), time.sleep(0.02)), range(CALLERS)))
    say("ready")
    # Each alone call has a key of its own, which the cache does not know.
    lone = 2**40
    for line in sys.stdin:
        word, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if word == "round":
            key, millis = numbers
            calls = [threads.submit(one_of_round, key, millis / 1000) for _ in range(CALLERS)]
            for each in calls:
                each.result()
            say("returned", key, micros())
        else:
            times = []
            for _ in range(numbers[0]):
                lone += 1
                begin = time.perf_counter_ns()
                call(lone, 0)
                times.append(time.perf_counter_ns() - begin)
            say("alone", 0, sorted(times)[len(times) // 2])


main()
