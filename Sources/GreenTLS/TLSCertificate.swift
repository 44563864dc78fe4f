internal import COpenSSL
import Glibc
import GreenNet

/// What a certificate says.
public struct TLSCertificate: Sendable, Hashable {
    /// Whom it is for, in the notation of RFC 2253: `CN=example.org,O=Example`.  May be empty.
    public let subject: String
    /// Who has signed it, in the same notation.
    public let issuer: String
    /// The names of hosts and the addresses that it is for.
    public let names: [String]
    /// From when to when it is valid, in seconds since 1970.
    public let validity: ClosedRange<Int>
    /// The SHA-256 of the certificate, 32 bytes.
    public let fingerprint: [UInt8]

    init(_ certificate: OpaquePointer, _ openssl: OpenSSL) {
        subject = openssl.text(openssl.pointee.X509_get_subject_name(certificate))
        issuer = openssl.text(openssl.pointee.X509_get_issuer_name(certificate))
        names = openssl.alternativeNames(of: certificate)
        let begin = openssl.seconds(openssl.pointee.X509_get0_notBefore(certificate))
        validity = begin...max(begin, openssl.seconds(openssl.pointee.X509_get0_notAfter(certificate)))
        fingerprint = [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
            var length: UInt32 = 0
            _ = openssl.pointee.X509_digest(
                certificate, openssl.pointee.EVP_sha256(), bytes.baseAddress, &length)
            count = Int(length)
        }
    }
}

extension OpenSSL {
    fileprivate func text(_ name: OpaquePointer?) -> String {
        guard let name, let bio = pointee.BIO_new(pointee.BIO_s_mem()) else { return "" }
        defer { _ = pointee.BIO_free(bio) }
        _ = pointee.X509_NAME_print_ex(bio, name, 0, GREEN_TLS_NAME_FORMAT)
        var start: UnsafeMutablePointer<CChar>?
        let count = pointee.BIO_ctrl(bio, BIO_CTRL_INFO, 0, &start)
        guard let start, count > 0 else { return "" }
        return String(showing: UnsafeRawBufferPointer(start: start, count: count))
    }

    fileprivate func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        var fields = tm()
        guard let time, pointee.ASN1_TIME_to_tm(time, &fields) == 1 else { return 0 }
        return timegm(&fields)
    }

    fileprivate func alternativeNames(of certificate: OpaquePointer) -> [String] {
        guard let list = pointee.X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
        let names = OpaquePointer(list)
        defer { pointee.GENERAL_NAMES_free(names) }
        return (0..<pointee.OPENSSL_sk_num(names)).compactMap { index in
            pointee.OPENSSL_sk_value(names, index).flatMap {
                text($0.assumingMemoryBound(to: GENERAL_NAME.self).pointee)
            }
        }
    }

    /// Nil for those that are neither a host's name nor an address.
    private func text(_ name: GENERAL_NAME) -> String? {
        switch name.type {
        case GEN_DNS: String(showing: bytes(name.d.dNSName))
        case GEN_IPADD: address(bytes(name.d.iPAddress))
        default: nil
        }
    }

    private func bytes(_ string: UnsafePointer<ASN1_STRING>?) -> [UInt8] {
        guard let string, let start = pointee.ASN1_STRING_get0_data(string) else { return [] }
        return [UInt8](UnsafeBufferPointer(start: start, count: Int(pointee.ASN1_STRING_length(string))))
    }

    private func address(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
            return nil
        }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
