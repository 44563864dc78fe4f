internal import CSwitch

/// The OS thread that an object of a hub belongs to.
///
/// An object may be made on any OS thread, in a `static let` too, and then be used by one hub.  So it belongs to the first OS thread with a hub that changes it or
/// waits for it; what exists only by a hub, such as a green thread, belongs to that hub's from the beginning.  The OS thread and not the hub counts:
/// a hub that was closed may be followed by another one, and a forked child goes on with its parent's objects.
struct Owner {
    /// As `HubOwners` counts them; 0 while it belongs to none.
    let number: UInt32

    /// None yet.
    init() { number = 0 }

    init(number: UInt32) { self.number = number }

    /// The OS thread that calls; none where it never had a hub.
    static var here: Owner {
        @inline(__always) get { Owner(number: green_owner_here()) }
    }

    /// Whether it is the OS thread that calls.  An object that belongs to none may be changed by an OS thread that never had a hub, and belongs to none still.
    var isHere: Bool {
        @inline(__always) get { number == green_owner_here() }
    }

    /// For an object with this owner, which is not the OS thread that calls: the new owner.  Stops the program where it belongs to another OS thread.
    @inline(never)
    func taken(by object: any HubObject) -> Owner {
        if number != 0 { stop(object.kind) }
        return .here
    }

    /// Stops the program: the OS thread that calls has used `kind` of another OS thread.
    @inline(never)
    func stop(_ kind: String) -> Never {
        programmingError(
            "\(kind) of \(HubOwners.describe(self)), is used on \(HubOwners.describeCaller()): it is for its own OS thread only, "
                + "which others reach through `hub.remote`")
    }
}

/// An object that belongs to the OS thread of a hub.
protocol HubObject: AnyObject {
    /// Only for `checkOwner` and the like.
    var owner: Owner { get set }
    /// How messages name it, such as `GreenQueue<Int>`.
    var kind: String { get }
}

extension HubObject {
    var kind: String { "\(type(of: self))" }

    /// To be called first by whatever changes the object or wakes a green thread: stops the program on another OS thread than the owner.
    @inline(__always)
    func checkOwner() { if !owner.isHere { owner = owner.taken(by: self) } }
}
