//! The form that AWS sends is read, and nothing beside it: forgeries, attachments,
//! weak algorithms, every truncation and every flipped bit.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

use super::*;

static AWS: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static ROGUE: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
const DOCUMENT: &[u8] = b"{\n  \"instanceId\" : \"i-0123456789abcdef0\"\n}";
const ISSUER: &[u8] = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02US";
const SERIAL: &[u8] = b"\x00\xb6\x4b\xde\x5a";
const DSA: &[u8] = b"\x30\x09\x06\x07\x2a\x86\x48\xce\x38\x04\x03";
const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";

/// What is signed and how; the default is what AWS sends.
struct Blob<'a> {
    digest: &'a [u8],
    content: Vec<u8>,
    /// Between content and signers, where certificates and CRLs would be.
    beside: &'a [u8],
    issuer: &'a [u8],
    serial: &'a [u8],
    attributes: Vec<Vec<u8>>,
    algorithm: &'a [u8],
    /// After the signature, where unsigned attributes would be.
    unsigned: &'a [u8],
    key: &'a KeyPair,
    signers: usize,
}

impl Default for Blob<'_> {
    fn default() -> Self {
        Self {
            digest: SHA256,
            content: indefinite(CHUNKED_OCTET_STRING, &[&tlv(OCTET_STRING, &[DOCUMENT])]),
            beside: b"",
            issuer: ISSUER,
            serial: SERIAL,
            attributes: vec![content_type(OID_DATA), protection(), message_digest(DOCUMENT)],
            algorithm: SHA256_WITH_RSA,
            unsigned: b"",
            key: &AWS,
            signers: 1,
        }
    }
}

impl Blob<'_> {
    fn bytes(&self) -> Vec<u8> {
        let attributes = self.attributes.concat();
        let message = tlv(SET, &[&attributes]);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
        self.signed(&tlv(CONTEXT_0, &[&attributes]), &signature)
    }

    fn signed(&self, attributes: &[u8], signature: &[u8]) -> Vec<u8> {
        let identifier = tlv(SEQUENCE, &[self.issuer, &tlv(INTEGER, &[self.serial])]);
        let signature = tlv(OCTET_STRING, &[signature]);
        let parts: [&[u8]; 7] = [
            &[INTEGER, 1, 1],
            &identifier,
            self.digest,
            attributes,
            self.algorithm,
            &signature,
            self.unsigned,
        ];
        let signers = tlv(SEQUENCE, &parts).repeat(self.signers);
        let content = indefinite(CONTEXT_0, &[&self.content]);
        let signed_data = indefinite(
            SEQUENCE,
            &[
                &[INTEGER, 1, 1],
                &tlv(SET, &[self.digest]),
                &indefinite(SEQUENCE, &[&tlv(OID, &[OID_DATA]), &content]),
                self.beside,
                &tlv(SET, &[&signers]),
            ],
        );
        let explicit = indefinite(CONTEXT_0, &[&signed_data]);
        indefinite(SEQUENCE, &[&tlv(OID, &[OID_SIGNED_DATA]), &explicit])
    }

    fn opened(&self) -> Result<Content, Error> {
        open(&self.bytes())
    }
}

/// A document as AWS sends it, signed by `key`.
pub(in crate::enrol) fn sign(
    document: &[u8],
    issuer: &[u8],
    serial: &[u8],
    key: &KeyPair,
) -> Vec<u8> {
    let content = indefinite(CHUNKED_OCTET_STRING, &[&tlv(OCTET_STRING, &[document])]);
    let attributes = vec![content_type(OID_DATA), protection(), message_digest(document)];
    Blob { content, issuer, serial, attributes, key, ..Blob::default() }.bytes()
}

fn open(bytes: &[u8]) -> Result<Content, Error> {
    open_by(bytes, AWS.public_key().as_ref())
}

fn open_by(bytes: &[u8], public_key: &[u8]) -> Result<Content, Error> {
    parse(bytes)?.verify(&Signer { issuer: ISSUER, serial: SERIAL, public_key })
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = contents.len();
    let header = match u8::try_from(length) {
        Ok(short @ ..0x80) => vec![tag, short],
        Ok(byte) => vec![tag, 0x81, byte],
        Err(_) => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    [header, contents].concat()
}

fn indefinite(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], &parts.concat()[..], &[0, 0]].concat()
}

fn attribute(kind: &[u8], values: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OID, &[kind]), &tlv(SET, values)])
}

fn content_type(kind: &[u8]) -> Vec<u8> {
    attribute(OID_CONTENT_TYPE, &[&tlv(OID, &[kind])])
}

fn message_digest(content: &[u8]) -> Vec<u8> {
    attribute(OID_MESSAGE_DIGEST, &[&tlv(OCTET_STRING, &[&Sha256::digest(content)])])
}

fn protection() -> Vec<u8> {
    attribute(OID_ALGORITHM_PROTECTION, &[ALGORITHM_PROTECTIONS[0]])
}

fn malformed(result: Result<Content, Error>) -> &'static str {
    match result {
        Err(Error::Malformed(what)) => what,
        other => panic!("not malformed, but {other:?}"),
    }
}

#[test]
fn the_form_that_aws_sends_is_read() {
    assert_eq!(Blob::default().opened().unwrap().bytes(), DOCUMENT);
    let whole = Blob { content: tlv(OCTET_STRING, &[DOCUMENT]), ..Blob::default() };
    assert_eq!(whole.opened().unwrap().bytes(), DOCUMENT);
    let (a, b) = DOCUMENT.split_at(9);
    let chunks = [&tlv(OCTET_STRING, &[a])[..], &tlv(OCTET_STRING, &[b])];
    for content in [tlv(CHUNKED_OCTET_STRING, &chunks), indefinite(CHUNKED_OCTET_STRING, &chunks)] {
        assert_eq!(Blob { content, ..Blob::default() }.opened().unwrap().bytes(), DOCUMENT);
    }
    // The form of 2017: another name of the algorithm, and no word about algorithms.
    let attributes = vec![content_type(OID_DATA), message_digest(DOCUMENT)];
    let old = Blob { algorithm: RSA_ENCRYPTION, attributes, ..Blob::default() };
    assert_eq!(old.opened().unwrap().bytes(), DOCUMENT);
    // A SubjectPublicKeyInfo, as certificates have it.
    let spki: PublicKeyX509Der<'_> = AWS.public_key().as_der().unwrap();
    assert!(open_by(&Blob::default().bytes(), spki.as_ref()).is_ok());
}

#[test]
fn t061_another_document_under_a_good_signature_is_not_used() {
    let forged = tlv(OCTET_STRING, &[b"{\"instanceId\":\"i-0ffffffffffffffff\"}"]);
    assert_eq!(
        Blob { content: forged, ..Blob::default() }.opened().unwrap_err(),
        Error::OtherContent
    );
}

#[test]
fn t062_a_forgers_key_counts_for_nothing_whatever_travels_along() {
    let rogue = Blob { key: &ROGUE, ..Blob::default() };
    assert_eq!(rogue.opened().unwrap_err(), Error::Signature);
    let renumbered = Blob { serial: b"\x01", ..Blob::default() };
    assert_eq!(renumbered.opened().unwrap_err(), Error::OtherSigner);
    // A certificate ([0]) or a CRL ([1]) beside the content; two signers, or none.
    for beside in [tlv(CONTEXT_0, &[ISSUER]), tlv(0xa1, &[ISSUER]), indefinite(CONTEXT_0, &[])] {
        for key in [&*AWS, &*ROGUE] {
            let attached = Blob { key, beside: &beside, ..Blob::default() };
            assert_eq!(malformed(attached.opened()), "certificates or CRLs travel along");
        }
    }
    let two = Blob { signers: 2, ..Blob::default() };
    assert_eq!(malformed(two.opened()), "more than one signer");
    malformed(Blob { signers: 0, ..Blob::default() }.opened());
    let unsigned = tlv(0xa1, &[&content_type(OID_DATA)]);
    malformed(Blob { unsigned: &unsigned, ..Blob::default() }.opened());
}

#[test]
fn t064_signed_attributes_are_there_once_and_say_what_is_signed() {
    // Signed directly, without attributes: RFC 5652 allows it, AWS does not do it.
    let mut signature = vec![0; AWS.public_modulus_len()];
    AWS.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), DOCUMENT, &mut signature).unwrap();
    let direct = Blob::default().signed(b"", &signature);
    assert_eq!(malformed(open(&direct)), "it has no signed attributes");

    let (kind, digest) = (content_type(OID_DATA), message_digest(DOCUMENT));
    let with = |attributes: &[&[u8]]| {
        let attributes = attributes.iter().map(|attribute| attribute.to_vec()).collect();
        Blob { attributes, ..Blob::default() }.opened()
    };
    with(&[&kind, &digest]).unwrap();
    let twice = attribute(
        OID_MESSAGE_DIGEST,
        &[&tlv(OCTET_STRING, &[&Sha256::digest(DOCUMENT)]), &tlv(OCTET_STRING, &[b""])],
    );
    let contradicted = attribute(OID_ALGORITHM_PROTECTION, &[SHA1]);
    for bad in [
        &[&kind[..], &digest, &digest][..],
        &[&kind, &kind, &digest],
        &[&kind, &twice],
        &[&kind],
        &[&digest],
        &[],
        &[&content_type(OID_SIGNED_DATA), &digest],
        &[&kind, &digest, &contradicted],
    ] {
        malformed(with(bad));
    }
    assert_eq!(with(&[&kind, &message_digest(b"another")]).unwrap_err(), Error::OtherContent);
}

#[test]
fn t064_no_other_algorithm_is_accepted() {
    malformed(Blob { digest: SHA1, ..Blob::default() }.opened());
    malformed(Blob { algorithm: DSA, ..Blob::default() }.opened());
    // Made once with OpenSSL: a good signature by a key of 1024 bits.
    let attributes = [content_type(OID_DATA), protection(), message_digest(DOCUMENT)].concat();
    let short = Blob::default().signed(&tlv(CONTEXT_0, &[&attributes]), WEAK_SIGNATURE);
    assert_eq!(open_by(&short, WEAK_KEY).unwrap_err(), Error::Signature);
}

#[test]
fn t066_the_wrapper_is_malleable_and_the_content_is_not() {
    let bytes = Blob::default().bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&flipped).is_err(), "bit {bit}");
    }
    // The reason why no hash of these bytes may serve against replays.
    let reencoded = Blob { content: tlv(OCTET_STRING, &[DOCUMENT]), ..Blob::default() }.bytes();
    assert_ne!(reencoded, bytes);
    assert_eq!(open(&reencoded).unwrap(), open(&bytes).unwrap());
}

#[test]
fn what_is_cut_followed_or_too_long_is_refused() {
    let bytes = Blob::default().bytes();
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length]).is_err(), "{length}");
    }
    assert_eq!(malformed(open(&[&bytes[..], &[0]].concat())), "something follows it");
    let long = vec![0x30; MAX_BYTES + 1];
    assert_eq!(open(&long).unwrap_err(), Error::TooLong { length: MAX_BYTES + 1 });
    let chunk = tlv(OCTET_STRING, &[b"a"]);
    let content = indefinite(CHUNKED_OCTET_STRING, &[&chunk.repeat(MAX_CHUNKS + 1)]);
    malformed(Blob { content, ..Blob::default() }.opened());
}

const WEAK_KEY: &[u8] = b"\
    \x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\
    \x30\x81\x89\x02\x81\x81\x00\xb6\x6f\x8a\x24\xd9\xbb\xba\x3a\x7b\x34\x0f\xe9\xd2\x58\xf1\
    \xa6\xea\xb9\x06\x7f\xe4\x17\x2b\x86\xfa\x4f\x6d\xa2\x79\x51\x7a\x98\xca\xe7\x33\x6a\xde\
    \x40\xe3\xa2\xd3\x1f\xe8\x7c\x5f\x51\xdd\xfa\xd7\x7c\x02\x68\xa2\xb9\x4c\x65\x3e\xc2\x51\
    \x3e\xe3\x8f\x14\x6f\xe2\xc2\x2c\xee\x77\xe8\xbf\x32\x9a\x28\x77\x6f\x23\x01\xb0\x2c\xb2\
    \x55\x44\xc4\x8b\x35\xdd\x69\x04\x51\x59\xd1\x4b\x6c\x02\x54\xb9\x4a\x97\x2b\x82\x0b\x86\
    \xd2\xb9\xc6\xa7\xe2\xd9\xd8\x34\x54\xe7\x83\x8b\x42\xa8\x34\x71\x77\x36\x0b\x09\x41\xd8\
    \x27\xe9\xd1\x02\x03\x01\x00\x01";
const WEAK_SIGNATURE: &[u8] = b"\
    \x85\xcd\xe4\x46\x03\x2f\xe0\xfc\x87\xaf\x5a\x74\x1c\xc8\x0c\xaa\x16\xbe\x0d\x83\xd7\x16\
    \x8f\x73\x47\x78\x83\xa9\x5e\xa9\x4f\x3d\xb4\x07\x86\xf8\x65\x34\x88\xa6\x80\x2b\xef\x11\
    \xad\x21\x4a\xb2\xe7\xc6\x6c\x44\x74\x70\xae\x7d\x2c\xfb\x4f\x08\xae\xd1\xf4\xaf\x17\x50\
    \x66\xb0\xa5\x44\x00\x16\xd4\x50\xa8\x49\xc5\xf2\xf4\xf1\xfa\x6d\x42\x82\x60\x97\x7d\x71\
    \xf1\x57\x18\x19\x55\xcb\xa7\xe4\x2d\x4d\x86\x2c\xe5\x56\x82\x5c\xde\xc5\xbf\x42\x1a\x05\
    \xdc\xaf\xb9\x88\x57\x0b\x3b\x38\x7d\xdf\xcb\x85\x02\xe3\x57\xd7\x2d\xf4";
