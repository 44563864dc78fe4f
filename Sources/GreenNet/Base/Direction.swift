/// Which of a descriptor's two sides is waited for.
enum Direction {
    case readable, writable
}
