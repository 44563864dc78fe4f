/// An entry of the stream.
struct Job {
    let id: String
    let name: String
    let length: Duration

    init?(_ id: String, _ fields: Redis.Reply) {
        guard case .list(let parts) = fields, parts.count % 2 == 0 else { return nil }
        func value(_ name: String) -> String? {
            let place = stride(from: 0, to: parts.count, by: 2).first { parts[$0].word == name }
            return place.flatMap { parts[$0 + 1].word }
        }
        guard let name = value("job"), let seconds = value("seconds").flatMap(Double.init), 0...86400 ~= seconds
        else {
            return nil
        }
        (self.id, self.name, length) = (id, name, .seconds(seconds))
    }
}

extension Redis.Reply {
    var word: String? { if case .bytes(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
}
