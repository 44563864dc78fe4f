//! Nanoseconds a hand-over between two OS threads by std::sync::mpsc: to and fro, and one way through a channel for 1024 items.

use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Instant;

fn to_and_fro(count: usize) {
    let (there, inbox) = channel::<usize>();
    let (back, answers) = channel::<usize>();
    let other = thread::spawn(move || {
        for item in inbox {
            back.send(item).unwrap();
        }
    });
    for number in 0..count {
        there.send(number).unwrap();
        assert_eq!(answers.recv().unwrap(), number);
    }
    drop(there);
    other.join().unwrap();
}

fn one_way(count: usize) {
    let (there, inbox) = sync_channel::<usize>(1024);
    let other = thread::spawn(move || inbox.iter().sum::<usize>());
    for number in 0..count {
        there.send(number).unwrap();
    }
    drop(there);
    assert_eq!(other.join().unwrap(), count * (count - 1) / 2);
}

fn nanoseconds(body: fn(usize), count: usize, handovers: usize) -> f64 {
    let start = Instant::now();
    body(count);
    start.elapsed().as_nanos() as f64 / (count * handovers) as f64
}

fn main() {
    let count: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    println!("{} {}", nanoseconds(to_and_fro, count, 2), nanoseconds(one_way, count * 10, 1));
}
