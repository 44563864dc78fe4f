// A game of hide and seek, in which each waits for the other's word.
//
// Shows `GreenCondition`.  Each waits for a state of the game, and not for a signal: a signal that comes before the wait is not lost then.  In Python's
// version the hider sleeps a second first, so that the seeker waits already; without that, its notification is lost, and both wait for ever.
//
//     swift run HideAndSeek

import CourseKit
import GreenNet

@main struct HideAndSeek {
    static func main() {
        let game = Game()
        orEnd {
            try withGreenGroup { group in
                group.spawn(name: "hider", game.hider)
                group.spawn(name: "seeker", game.seeker)
            }
        }
    }
}

final class Game {
    enum State { case hiding, eyesCovered, hidden, found }

    let condition = GreenCondition()
    var state = State.hiding

    func hider() throws {
        try wait(for: .eyesCovered)
        say("hider: I am hidden, come and find me!")
        try change(to: .hidden)
        try wait(for: .found)
        say("hider: you have found me.")
        say("hider: now it is your turn to hide.")
    }

    func seeker() throws {
        say("seeker: my eyes are covered.")
        try change(to: .eyesCovered)
        try wait(for: .hidden)
        say("seeker: I have found you!")
        try change(to: .found)
    }

    func wait(for wanted: State) throws {
        try condition.lock.withLock { _ = try condition.wait { state == wanted } }
    }

    func change(to next: State) throws {
        try condition.lock.withLock {
            state = next
            condition.broadcast()
        }
    }
}
