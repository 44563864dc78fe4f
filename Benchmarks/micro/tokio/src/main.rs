//! What MicroBenchmarks.swift measures, with tasks of tokio on one OS thread, under the same names.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, Notify};
use tokio::task::{spawn, yield_now};
use tokio::time::timeout;

async fn give_way(count: usize, tasks: usize) {
    let each = (count / tasks).max(1);
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            spawn(async move {
                for _ in 0..each {
                    yield_now().await;
                }
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
}

/// `count` tasks, `at_once` at a time.
async fn spawn_and_join(count: usize, at_once: usize) {
    let mut sum = 0;
    for _ in 0..count / at_once {
        let all: Vec<_> = (0..at_once).map(|_| spawn(async { 1 })).collect();
        for one in all {
            sum += one.await.unwrap();
        }
    }
    assert_eq!(sum, count / at_once * at_once);
}

async fn spawn_for_value(count: usize) {
    let mut sum = 0;
    for number in 0..count {
        sum += spawn(async move { number }).await.unwrap();
    }
    assert_eq!(sum, count * (count - 1) / 2);
}

async fn gather_two(count: usize) {
    let mut sum = 0;
    for number in 0..count {
        let (one, other) = (spawn(async move { number }), spawn(async { 1 }));
        sum += one.await.unwrap() + other.await.unwrap();
    }
    assert_eq!(sum, count * (count + 1) / 2);
}

async fn limit_time(count: usize) {
    for _ in 0..count {
        timeout(Duration::from_secs(10), async {}).await.unwrap();
    }
}

async fn pass_events(count: usize, limit: Option<Duration>) {
    let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let play = |mine: Arc<Notify>, other: Arc<Notify>| {
        spawn(async move {
            for _ in 0..count / 2 {
                match limit {
                    Some(limit) => timeout(limit, mine.notified()).await.unwrap(),
                    None => mine.notified().await,
                }
                other.notify_one();
            }
        })
    };
    let both = [play(ping.clone(), pong.clone()), play(pong, ping.clone())];
    ping.notify_one();
    for one in both {
        one.await.unwrap();
    }
}

async fn pass_through_queue(count: usize) {
    let (producer, mut queue) = mpsc::channel(1);
    spawn(async move {
        for item in 0..count {
            producer.send(item).await.unwrap();
        }
    });
    let mut sum = 0;
    while let Some(item) = queue.recv().await {
        sum += item;
    }
    assert_eq!(sum, count * (count - 1) / 2);
}

#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Time) -> i32;
}

/// The processor time of this process: no step sleeps, and other processes that run meanwhile don't count.
fn used_time() -> f64 {
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    assert_eq!(unsafe { clock_gettime(2, &mut time) }, 0);
    time.seconds as f64 * 1e9 + time.nanoseconds as f64
}

fn measure<F: Future<Output = ()>>(name: &str, body: impl Fn(usize) -> F) {
    let seconds: f64 = std::env::args().nth(1).map_or(0.1, |word| word.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut count = 1000;
    loop {
        let start = used_time();
        runtime.block_on(body(count));
        let took = used_time() - start;
        if took >= seconds * 1e9 {
            return println!("{name}\t{}", took / count as f64);
        }
        count *= 2;
    }
}

/// `block_on` runs a task of its own; the step is one of the runtime's, as the others are.
fn step<F: Future<Output = ()> + Send + 'static>(name: &str, body: impl Fn(usize) -> F) {
    measure(name, |count| {
        let task = body(count);
        async { spawn(task).await.unwrap() }
    });
}

fn main() {
    step("yield, 2 threads", |count| give_way(count, 2));
    step("yield, 1000 threads", |count| give_way(count, 1000));
    step("spawn, run, join", |count| spawn_and_join(count, 1));
    step("spawn 100, run, join", |count| spawn_and_join(count, 100));
    step("time limit set and lifted", limit_time);
    step("event hand-over", |count| pass_events(count, None));
    step("event hand-over with deadline", |count| pass_events(count, Some(Duration::from_secs(10))));
    step("queue hand-over", pass_through_queue);
    step("gather of two", gather_two);
    step("task of the hub, value", spawn_for_value);
    step("tasks of the hub, Task.yield", |count| give_way(count, 2));
}
