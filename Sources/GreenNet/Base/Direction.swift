/// The side of a descriptor that a wait is for.
enum Direction {
    case readable, writable
}
