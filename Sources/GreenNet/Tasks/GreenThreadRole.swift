/// What a green thread is to a layer above, besides a greenlet: a fiber, or the body of a generator.
///
/// The green thread holds its roles until it ends, and not the reverse.  A role that does not begin has no green thread.
@usableFromInline
class GreenThreadRole {
    /// Of the values that it exchanges, where it is a fiber; nil otherwise.
    final let valueType: Any.Type?
    /// The green thread on whose stack it runs; nil before it begins, and once that has ended.
    @exclusivity(unchecked)  // here and below: no access lasts across a call that parks
    fileprivate(set) final var thread: GreenThread?
    /// Another role of the same green thread.
    @exclusivity(unchecked)
    fileprivate final var next: GreenThreadRole?

    init(valueType: Any.Type?) { self.valueType = valueType }
}

extension AnyGreenlet {
    /// It has a stack.
    final func add(_ role: GreenThreadRole) {
        role.thread = thread
        role.next = roles
        roles = role
    }

    /// At the end, on its own stack.
    final func endRoles() {
        while let role = roles {
            roles = role.next
            (role.thread, role.next) = (nil, nil)
        }
    }
}

extension GreenThread {
    /// What it is among the fibers that exchange values of `type`; nil where it was none so far.  Valid until it ends.
    func role(exchanging type: Any.Type) -> Unmanaged<GreenThreadRole>? {
        // Nothing is retained: each switch of fibers begins with this call.
        let greenlet = Unmanaged<AnyGreenlet>.fromOpaque(body)
        var next = greenlet._withUnsafeGuaranteedRef { $0.roles.map(Unmanaged.passUnretained) }
        while let role = next {
            if role._withUnsafeGuaranteedRef({ $0.valueType == type }) { return role }
            next = role._withUnsafeGuaranteedRef { $0.next.map(Unmanaged.passUnretained) }
        }
        return nil
    }
}
