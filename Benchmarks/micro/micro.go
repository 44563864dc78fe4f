// What MicroBenchmarks.swift measures, in Go on one processor, under the same names.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func yield(count, goroutines int) {
	var all sync.WaitGroup
	all.Add(goroutines)
	for i := 0; i < goroutines; i++ {
		go func() {
			for n := count / goroutines; n > 0; n-- {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
}

// So many at once, of count.
func spawn(count, atOnce int) {
	ran := 0
	var all sync.WaitGroup
	for i := 0; i < count/atOnce; i++ {
		all.Add(atOnce)
		for j := 0; j < atOnce; j++ {
			go func() {
				ran++
				all.Done()
			}()
		}
		all.Wait()
	}
	if ran != count/atOnce*atOnce {
		panic("not all have run")
	}
}

// A channel with room for one is what a goroutine returns its value by.
func start(value int) chan int {
	result := make(chan int, 1)
	go func() { result <- value }()
	return result
}

func gatherTwo(count int) {
	sum := 0
	for i := 0; i < count; i++ {
		one, other := start(i), start(1)
		sum += <-one + <-other
	}
	if sum != count*(count+1)/2 {
		panic("wrong sum")
	}
}

func startForValue(count int) {
	sum := 0
	for i := 0; i < count; i++ {
		sum += <-start(i)
	}
	if sum != count*(count-1)/2 {
		panic("wrong sum")
	}
}

func limitTime(count int) {
	for ; count > 0; count-- {
		_, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		cancel()
	}
}

// A channel with room for one is Go's event that is cleared by its waiter.
func passEvents(count int) {
	ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
	var both sync.WaitGroup
	play := func(mine, other chan struct{}) {
		for n := count / 2; n > 0; n-- {
			<-mine
			other <- struct{}{}
		}
		both.Done()
	}
	both.Add(2)
	go play(ping, pong)
	go play(pong, ping)
	ping <- struct{}{}
	both.Wait()
}

func passEventsWithDeadline(count int) {
	ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
	var both sync.WaitGroup
	play := func(mine, other chan struct{}) {
		timer := time.NewTimer(10 * time.Second)
		for n := count / 2; n > 0; n-- {
			timer.Reset(10 * time.Second)
			select {
			case <-mine:
				timer.Stop()
			case <-timer.C:
				panic("too late")
			}
			other <- struct{}{}
		}
		both.Done()
	}
	both.Add(2)
	go play(ping, pong)
	go play(pong, ping)
	ping <- struct{}{}
	both.Wait()
}

func passThroughQueue(count int) {
	queue := make(chan int, 1)
	go func() {
		for i := 0; i < count; i++ {
			queue <- i
		}
	}()
	sum := 0
	for i := 0; i < count; i++ {
		sum += <-queue
	}
	if sum != count*(count-1)/2 {
		panic("wrong sum")
	}
}

var block, other = make([]byte, 64<<10), make([]byte, 64<<10)

func uppercaseBlock(count int) {
	for ; count > 0; count-- {
		for i, c := range block {
			if c-'a' < 26 {
				block[i] = c ^ 0x20
			}
		}
	}
}

func copyBlock(count int) {
	for ; count > 0; count-- {
		copy(other, block)
	}
}

// The processor time of this process: nothing here sleeps, and others who run meanwhile don't count.
func usedTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func nanoseconds(length time.Duration, body func(int)) float64 {
	for count := 1000; ; count *= 2 {
		start := usedTime()
		body(count)
		if took := usedTime() - start; took >= length {
			return float64(took.Nanoseconds()) / float64(count)
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	seconds := 0.1
	if len(os.Args) > 1 {
		seconds, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	for _, step := range []struct {
		name string
		body func(int)
	}{
		{"yield, 2 threads", func(count int) { yield(count, 2) }},
		{"yield, 1000 threads", func(count int) { yield(count, 1000) }},
		{"spawn, run, join", func(count int) { spawn(count, 1) }},
		{"spawn 100, run, join", func(count int) { spawn(count, 100) }},
		{"time limit set and lifted", limitTime},
		{"event hand-over", passEvents},
		{"event hand-over with deadline", passEventsWithDeadline},
		{"queue hand-over", passThroughQueue},
		{"gather of two", gatherTwo},
		{"task of the hub, value", startForValue},
		{"tasks of the hub, Task.yield", func(count int) { yield(count, 2) }},
		{"uppercase of 64 KiB", uppercaseBlock},
		{"copy of 64 KiB", copyBlock},
	} {
		fmt.Printf("%s\t%f\n", step.name, nanoseconds(time.Duration(seconds*1e9), step.body))
	}
}
