import ArgumentParser

/// Files and time of TLS.
struct CertificateOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Speak TLS only, with the certificate in this PEM file, followed by those that it rests on; read again on HUP (default: no TLS).",
            valueName: "file"), completion: .file())
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp(
            "The certificate's key, a PEM file without a passphrase; read again on HUP.", valueName: "file"),
        completion: .file())
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Serve only clients with a certificate of one of the authorities in this PEM file (default: all clients).",
            valueName: "file"), completion: .file())
    var tlsClientCa: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close a connection whose TLS handshake takes longer; 0: never (default: 10).", valueName: "seconds"))
    var handshakeTimeout: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "tls-certificate": tlsCertificate,
            "tls-key": tlsKey,
            "tls-client-ca": tlsClientCa,
            "handshake-timeout": handshakeTimeout,
        ]
    }
}
