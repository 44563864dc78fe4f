import Glibc

/// What a failed accept means for the loop that accepts.
///
/// | Class | Errors | What the loop does |
/// | --- | --- | --- |
/// | `skip` | ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENONET, ENOPROTOOPT, ETIMEDOUT and any other: accept(2) also reports what is wrong with the new connection's network | reports it, lets the other green threads run, and accepts the next one |
/// | `pause` | EMFILE, ENFILE, ENOBUFS, ENOMEM: no descriptor or no memory is left; also where no green thread, OS thread or process could be had for the connection | asks `makeRoom` for a descriptor, or else pauses for 10 ms, doubled up to 1 s, and accepts again |
/// | `stop` | EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT: the listener is closed or broken | reports it and ends |
///
/// EAGAIN and EINTR are no failures: the loop waits, and the call is made again.
enum AcceptFailure {
    case skip, pause, stop

    init(_ error: NetError) {
        if [.fork, .mmap, .threadCreate].contains(error.call) {
            self = .pause
            return
        }
        switch error.errno?.code {
        case nil, EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT: self = .stop
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: self = .pause
        default: self = .skip
        }
    }
}
