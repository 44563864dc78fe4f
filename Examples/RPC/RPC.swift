// A call of a function in another process: (10, 20) goes there, and 30 comes back.
//
// Shows `ProcessPool` with typed requests and answers, and what a call throws when its process dies: that call ends, and the next one is served by a new process.
// In Python, the two ends of a pipe send each other objects with pickle, which runs what its sender likes; and a pool whose worker is killed waits for ever.
//
//     swift run RPC

import CourseKit
import Glibc
import GreenNet

struct Addition: Codable {
    let left: Int
    let right: Int
}

@main struct RPC {
    static func main() {
        orEnd {
            let server = try ProcessPool(limit: 1) { (addition: Addition) in
                // The one question that this server does not survive.
                if addition.left == 0 { kill(getpid(), SIGKILL) }
                return addition.left + addition.right
            }
            try say("\(server.call(Addition(left: 10, right: 20)))")
            do { _ = try server.call(Addition(left: 0, right: 1)) } catch let death as WorkerDied {
                say("the server has died: \(death.exit)")
            }
            try say("\(server.call(Addition(left: 1, right: 2)))")
            server.close()
            say("server done")
        }
    }
}
