/// The number of connections of each address, in all and on each row (a hub or a worker).  In memory that forked children share.
///
/// A hash table with a node for each address that has connections, and a node for its share of each row.  The shares of a row are linked,
/// so that a death costs what that row held.  Nodes are reused, the last one first: the table uses memory for what was open at once, 24
/// bytes a node, and a megabyte at most for the buckets.
///
/// The caller holds the lock of the cells, and calls `commit` after a change.
struct PeerTable: Sendable {
    typealias Address = (UInt64, UInt64)

    private let cells: SharedCells
    private let mostNodes: Int
    private let bucketCount: Int
    /// Where each part begins.
    private let rowHeads: Int
    private let peerBuckets: Int
    private let shareBuckets: Int
    private let nodes: Int
    /// Random and secret: a client with many addresses could otherwise choose addresses that fall into one bucket.
    private let seed = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))

    private static let mostBuckets = 1 << 17
    // Cells before the rows' heads.
    private static let firstFree = 0
    private static let nodesUsed = 1

    /// The fields of a node; node 0 is no node.  A share's fields are where an address's node has the address.
    private enum Field {
        static let count = 0
        static let nextInBucket = 1
        static let address = 2..<6
        static let peer = 2
        static let row = 3
        static let nextOfRow = 4
        static let previousOfRow = 5
        static let all = 6
    }

    /// With room for `connections` at once, each from another address.
    init(connections: Int, rows: Int) throws(StartFailure) {
        mostNodes = 2 * connections
        var buckets = 1
        while buckets < min(connections, PeerTable.mostBuckets) { buckets *= 2 }
        bucketCount = buckets
        rowHeads = 2
        peerBuckets = rowHeads + rows
        shareBuckets = peerBuckets + buckets
        nodes = shareBuckets + buckets
        cells = try SharedCells(count: nodes + (mostNodes + 1) * Field.all)
    }

    func commit() { cells.commit() }
    /// Takes back changes that were not committed.
    func undo() { cells.undo() }

    // MARK: Counting

    func count(of address: Address) -> Int {
        let peer = findPeer(address)
        return peer == 0 ? 0 : cells[cell(peer, Field.count)]
    }

    /// Counts one more connection.  Returns false, with nothing changed, where the table has no room for a further address.
    func add(_ address: Address, row: Int) -> Bool {
        let (foundPeer, foundShare) = find(address, row)
        let missing = (foundPeer == 0 ? 1 : 0) + (foundShare == 0 ? 1 : 0)
        guard missing == 0 || hasFree(missing) else { return false }
        let peer = foundPeer != 0 ? foundPeer : insertPeer(address)
        let share = foundShare != 0 ? foundShare : insertShare(of: peer, row)
        cells.add(1, to: cell(peer, Field.count))
        cells.add(1, to: cell(share, Field.count))
        return true
    }

    /// Counts one connection fewer.
    func remove(_ address: Address, row: Int) {
        let (_, share) = find(address, row)
        if share != 0 { take(1, from: share) }
    }

    /// Removes all connections that one address has on `row`.  Returns false where the row has no connections.
    func removeSome(of row: Int) -> Bool {
        let share = cells[rowHeads + row]
        guard share != 0 else { return false }
        take(cells[cell(share, Field.count)], from: share)
        return true
    }

    private func take(_ count: Int, from share: Int) {
        let peer = cells[cell(share, Field.peer)]
        cells.add(-count, to: cell(share, Field.count))
        cells.add(-count, to: cell(peer, Field.count))
        if cells[cell(share, Field.count)] == 0 { deleteShare(share) }
        if cells[cell(peer, Field.count)] == 0 { deletePeer(peer) }
    }

    // MARK: Addresses and shares

    private func find(_ address: Address, _ row: Int) -> (peer: Int, share: Int) {
        let peer = findPeer(address)
        return (peer, peer == 0 ? 0 : findShare(of: peer, row))
    }

    private func findPeer(_ address: Address) -> Int {
        var node = cells[bucket(of: address)]
        while node != 0, self.address(of: node) != address { node = cells[cell(node, Field.nextInBucket)] }
        return node
    }

    private func findShare(of peer: Int, _ row: Int) -> Int {
        var node = cells[bucket(of: peer, row)]
        while node != 0, cells[cell(node, Field.peer)] != peer || cells[cell(node, Field.row)] != row {
            node = cells[cell(node, Field.nextInBucket)]
        }
        return node
    }

    private func insertPeer(_ address: Address) -> Int {
        let node = takeFree()
        for (field, word) in zip(Field.address, [address.0 >> 32, address.0, address.1 >> 32, address.1]) {
            cells.set(cell(node, field), to: Int(UInt32(truncatingIfNeeded: word)))
        }
        link(node, into: bucket(of: address))
        return node
    }

    private func insertShare(of peer: Int, _ row: Int) -> Int {
        let (node, first) = (takeFree(), cells[rowHeads + row])
        cells.set(cell(node, Field.peer), to: peer)
        cells.set(cell(node, Field.row), to: row)
        cells.set(cell(node, Field.nextOfRow), to: first)
        cells.set(cell(node, Field.previousOfRow), to: 0)
        if first != 0 { cells.set(cell(first, Field.previousOfRow), to: node) }
        cells.set(rowHeads + row, to: node)
        link(node, into: bucket(of: peer, row))
        return node
    }

    private func deletePeer(_ node: Int) {
        unlink(node, from: bucket(of: address(of: node)))
        giveFree(node)
    }

    private func deleteShare(_ node: Int) {
        let (peer, row) = (cells[cell(node, Field.peer)], cells[cell(node, Field.row)])
        let (next, previous) = (cells[cell(node, Field.nextOfRow)], cells[cell(node, Field.previousOfRow)])
        cells.set(previous == 0 ? rowHeads + row : cell(previous, Field.nextOfRow), to: next)
        if next != 0 { cells.set(cell(next, Field.previousOfRow), to: previous) }
        unlink(node, from: bucket(of: peer, row))
        giveFree(node)
    }

    // MARK: Nodes

    private func cell(_ node: Int, _ field: Int) -> Int { nodes + node * Field.all + field }

    private func address(of node: Int) -> Address {
        let words = (cell(node, Field.address.lowerBound)..<cell(node, Field.address.upperBound))
        let low = words.lowerBound
        return (
            UInt64(cells[low]) << 32 | UInt64(cells[low + 1]), UInt64(cells[low + 2]) << 32 | UInt64(cells[low + 3])
        )
    }

    private func bucket(of address: Address) -> Int { peerBuckets + hash(address.0, address.1) }
    private func bucket(of peer: Int, _ row: Int) -> Int { shareBuckets + hash(UInt64(peer), UInt64(row)) }

    private func hash(_ one: UInt64, _ other: UInt64) -> Int {
        let (high, low) = (one ^ seed.0).multipliedFullWidth(by: other ^ seed.1)
        return Int(truncatingIfNeeded: high ^ low) & (bucketCount - 1)
    }

    private func link(_ node: Int, into bucket: Int) {
        cells.set(cell(node, Field.nextInBucket), to: cells[bucket])
        cells.set(bucket, to: node)
    }

    private func unlink(_ node: Int, from bucket: Int) {
        var link = bucket
        while cells[link] != node { link = cell(cells[link], Field.nextInBucket) }
        cells.set(link, to: cells[cell(node, Field.nextInBucket)])
    }

    private func hasFree(_ count: Int) -> Bool {
        if mostNodes - cells[PeerTable.nodesUsed] >= count { return true }
        var (node, found) = (cells[PeerTable.firstFree], mostNodes - cells[PeerTable.nodesUsed])
        while node != 0, found < count { (node, found) = (cells[cell(node, Field.nextInBucket)], found + 1) }
        return found >= count
    }

    /// A node that is linked nowhere, with a count of 0.
    private func takeFree() -> Int {
        let free = cells[PeerTable.firstFree]
        if free != 0 {
            cells.set(PeerTable.firstFree, to: cells[cell(free, Field.nextInBucket)])
            return free
        }
        cells.add(1, to: PeerTable.nodesUsed)
        return cells[PeerTable.nodesUsed]
    }

    private func giveFree(_ node: Int) {
        cells.set(cell(node, Field.nextInBucket), to: cells[PeerTable.firstFree])
        cells.set(PeerTable.firstFree, to: node)
    }
}
