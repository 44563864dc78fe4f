// Two fibers play ping-pong.
//
// Shows symmetric switching: no scheduler chooses, each fiber itself passes the ball to the other.  `switchTo` leaves the fiber that calls it, and returns with
// the ball when another fiber switches back.  The game ends when a player returns: its value goes to the fiber that has made it.
//
//     swift run PingPong

import GreenNet

@main struct PingPong {
    static func main() throws {
        // Each refers to the other: `pong` is set when both exist.
        var pong: Fiber<Int>?
        let ping = Fiber<Int>(name: "ping") { ball in
            var ball = ball
            while ball < 6 {
                print("ping \(ball)")
                ball = try pong!.switchTo(ball + 1)
            }
            return ball
        }
        pong = Fiber(name: "pong") { ball in
            var ball = ball
            while true {
                print("  pong \(ball)")
                ball = try ping.switchTo(ball + 1)
            }
        }
        let strokes = try ping.switchTo(0)
        print("\(strokes) strokes")
        // Pong still waits for the ball.  Dropped, it unwinds: its `switchTo` throws.
        pong = nil
    }
}
