// Two fibers play ping-pong.
//
// Shows symmetric switching: nothing schedules them, each says itself who goes on and with what.  `switchTo` leaves the one who calls, and returns when
// somebody switches back, with the ball.  The game ends when a player returns: that goes to whoever has made the fiber.
//
//     swift run PingPong

import GreenNet

@main struct PingPong {
    static func main() throws {
        // Each must know the other; the one that is made second is told later.
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
