// Go's net package with a goroutine for each connection, on one processor.  TERM ends it.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
)

func uppercase(text []byte) {
	for i, c := range text {
		if c-'a' < 26 {
			text[i] = c ^ 0x20
		}
	}
}

func serve(connection net.Conn, size int) {
	defer connection.Close()
	buffer := make([]byte, size)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		uppercase(buffer[:count])
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	size := flag.Int("buffer", 16384, "bytes for each connection")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "listening on %s model=go pid=%d\n", listener.Addr(), os.Getpid())
	for {
		connection, err := listener.Accept() // with TCP_NODELAY, as Go always has it
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection, *size)
	}
}
