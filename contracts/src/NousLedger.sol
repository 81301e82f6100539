// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "./Rfc9162.sol";
import {Secp256k1} from "./Secp256k1.sol";

/// @title nous-ledger/1 on the EVM: log ids, signed records and signed heads
/// @notice The rules of PROTOCOL.md that a chain can check. A contract builds on these functions; nothing is stored.
/// @dev A function named `verify…` returns only when the claim holds. Signatures are checked against an address:
///      which key is in force at which epoch is for the caller to know.
library NousLedger {
    /// @dev Largest integer of the protocol: 2^53 - 1 (TYPE-1).
    uint64 internal constant MAX_UINT = (1 << 53) - 1;

    /// @dev Bytes of a record, and of the part of it that is signed.
    uint256 internal constant RECORD_LENGTH = 120;
    uint256 internal constant SIGNED_LENGTH = 55;

    /// @dev hashStruct of EIP712Domain(string name,string version) with ("nous-ledger", "1"). It names neither chain
    ///      nor contract, so one signature of a head serves notes, bundles and every chain.
    bytes32 internal constant DOMAIN_SEPARATOR = 0xe3127a2c29f5d1a95fb1b4f1204eca75729f4c639f4c240d669d22e1902bf85c;

    bytes32 internal constant CHECKPOINT_TYPEHASH =
        keccak256("Checkpoint(bytes32 log,uint32 epoch,uint64 size,bytes32 root,uint64 timestamp)");
    bytes32 internal constant ROTATION_TYPEHASH = keccak256("Rotation(bytes32 log,uint32 epoch,bytes32 next)");
    bytes32 internal constant BINDING_TYPEHASH =
        keccak256("Binding(bytes32 log,bytes32 subject,address wallet,uint64 nonce,uint64 deadline)");

    /// @dev Sets of characters, bit n for the character of code n: a-z and 0-9; these and . _ ~ / - besides.
    uint256 private constant ALPHANUMERICS = (((1 << 26) - 1) << 0x61) | (((1 << 10) - 1) << 0x30);
    uint256 private constant ORIGIN_CHARACTERS =
        ALPHANUMERICS | (1 << 0x2e) | (1 << 0x5f) | (1 << 0x7e) | (1 << 0x2f) | (1 << 0x2d);

    /// @notice A head of a log: what an EIP-712 head signature covers.
    /// @dev log: log id. epoch: key epoch of the signer. size: leaves in the tree. root: root of the tree.
    ///      timestamp: Unix seconds.
    struct Checkpoint {
        bytes32 log;
        uint32 epoch;
        uint64 size;
        bytes32 root;
        uint64 timestamp;
    }

    /// @notice The signed part of a record, without its version.
    /// @dev recordType: type of the body. epoch: key epoch of the signer. index: zero-based leaf index.
    ///      loggedAt: Unix milliseconds. bodyHash: SHA-256 of the body.
    struct Record {
        uint16 recordType;
        uint32 epoch;
        uint64 index;
        uint64 loggedAt;
        bytes32 bodyHash;
    }

    /// @notice Not 1 to 255 bytes of [a-z0-9._~/-] that start and end with a letter or a digit (ID-1).
    error OriginInvalid(bytes origin);

    /// @notice A record has 120 bytes. PROTOCOL.md code: record-length.
    error RecordLengthWrong(uint256 actual);

    /// @notice The record's version is not 1. PROTOCOL.md codes: record-version for 0, newer-version above 1.
    error RecordVersionUnknown(uint8 version);

    /// @notice An index or a time of a record is above 2^53 - 1. PROTOCOL.md code: record-range.
    error RecordFieldOutOfRange(uint64 value);

    /// @notice A size or a time of a head is above 2^53 - 1 (TYPE-1, HEAD-1, HEAD-2).
    error HeadFieldOutOfRange(uint64 value);

    // ------------------------------------------------------------------ identity

    /// @notice Commitment to a log's next key: SHA-256("nous-ledger/1 next-key" 00 || key).
    /// @dev PROTOCOL.md ID-2. The commitment is to 33 bytes; that they are a point shows when the key is used.
    /// @param key 33-byte compressed secp256k1 key.
    function nextKeyHash(bytes memory key) internal pure returns (bytes32) {
        if (key.length != 33) revert Secp256k1.KeyInvalid(key);
        return sha256(abi.encodePacked("nous-ledger/1 next-key\x00", key));
    }

    /// @notice Log id: SHA-256("nous-ledger/1 log" 00 || u16 length || origin || key || ed25519 || nextHash).
    /// @dev PROTOCOL.md ID-1, ID-3. Whether `key` and `ed25519` are points of their curves is not checked here:
    ///      `Secp256k1.addressOf` does so for `key`, and no chain can for the other.
    /// @param origin Name of the log, 1 to 255 bytes.
    /// @param key First secp256k1 key, 33 bytes compressed.
    /// @param ed25519 First Ed25519 key.
    /// @param nextHash Commitment to the next secp256k1 key; zero: the log cannot rotate.
    function logId(bytes memory origin, bytes memory key, bytes32 ed25519, bytes32 nextHash)
        internal
        pure
        returns (bytes32)
    {
        if (!_isOrigin(origin)) revert OriginInvalid(origin);
        if (key.length != 33) revert Secp256k1.KeyInvalid(key);
        // Packed encoding is unambiguous here: the origin's length stands before it, all else has a fixed length.
        return sha256(abi.encodePacked("nous-ledger/1 log\x00", uint16(origin.length), origin, key, ed25519, nextHash));
    }

    // ------------------------------------------------------------------ records

    /// @notice Fields of a 120-byte record; its signature is not checked.
    /// @dev PROTOCOL.md REC-1 to REC-4, in this order.
    /// @param record 0 u8 version | 1 u16 type | 3 u32 epoch | 7 u64 index | 15 u64 logged_at | 23 body hash |
    ///        55 r | 87 s | 119 v, all big-endian.
    function decodeRecord(bytes calldata record) internal pure returns (Record memory fields) {
        if (record.length != RECORD_LENGTH) revert RecordLengthWrong(record.length);
        uint8 version = uint8(record[0]);
        if (version != 1) revert RecordVersionUnknown(version);
        fields = Record({
            recordType: uint16(bytes2(record[1:3])),
            epoch: uint32(bytes4(record[3:7])),
            index: uint64(bytes8(record[7:15])),
            loggedAt: uint64(bytes8(record[15:23])),
            bodyHash: bytes32(record[23:55])
        });
        if (fields.index > MAX_UINT) revert RecordFieldOutOfRange(fields.index);
        if (fields.loggedAt > MAX_UINT) revert RecordFieldOutOfRange(fields.loggedAt);
    }

    /// @notice Digest that a record's signature covers: SHA-256("nous-ledger/1 entry" 00 || log || record[0:55]).
    /// @dev PROTOCOL.md REC-5.
    /// @param log Log id.
    /// @param record The whole record, 120 bytes.
    function recordDigest(bytes32 log, bytes calldata record) internal pure returns (bytes32) {
        if (record.length != RECORD_LENGTH) revert RecordLengthWrong(record.length);
        return sha256(abi.encodePacked("nous-ledger/1 entry\x00", log, record[:SIGNED_LENGTH]));
    }

    /// @notice Leaf of the log's tree that a record is: SHA-256(0x00 || record).
    /// @dev PROTOCOL.md REC-6.
    /// @param record The whole record, 120 bytes.
    function recordLeaf(bytes calldata record) internal pure returns (bytes32) {
        if (record.length != RECORD_LENGTH) revert RecordLengthWrong(record.length);
        return Rfc9162.leafHash(record);
    }

    /// @notice Fields of a record that `signer` signed for `log`; reverts for any other.
    /// @dev PROTOCOL.md REC-1 to REC-5, REC-7. Whether `signer` held the log at the record's index, and what its body
    ///      says, is not decided here.
    /// @param record The whole record, 120 bytes.
    /// @param log Log id.
    /// @param signer Address of the key of the record's epoch in this log.
    function verifyRecord(bytes calldata record, bytes32 log, address signer)
        internal
        pure
        returns (Record memory fields)
    {
        fields = decodeRecord(record);
        verifyRecordSignature(record, log, signer);
    }

    /// @notice Revert unless `signer` signed a record for `log`; its fields are not looked at.
    /// @dev PROTOCOL.md REC-5. For callers that learn from the fields who the signer is.
    /// @param record The whole record, 120 bytes.
    /// @param log Log id.
    /// @param signer Address of the key of the record's epoch in this log.
    function verifyRecordSignature(bytes calldata record, bytes32 log, address signer) internal pure {
        Secp256k1.verifySignature(
            recordDigest(log, record), bytes32(record[55:87]), bytes32(record[87:119]), uint8(record[119]), signer
        );
    }

    // ------------------------------------------------------------------ EIP-712

    /// @notice Digest that a head signature covers.
    /// @dev PROTOCOL.md KEY-13.
    /// @param head The head.
    function headDigest(Checkpoint memory head) internal pure returns (bytes32) {
        return _typedDigest(
            keccak256(abi.encode(CHECKPOINT_TYPEHASH, head.log, head.epoch, head.size, head.root, head.timestamp))
        );
    }

    /// @notice Digest that the revealed key signs to take over a log.
    /// @dev PROTOCOL.md KEY-14.
    /// @param log Log id.
    /// @param epoch The epoch that begins.
    /// @param next Commitment to the key after the revealed one; zero closes the log.
    function rotationDigest(bytes32 log, uint32 epoch, bytes32 next) internal pure returns (bytes32) {
        return _typedDigest(keccak256(abi.encode(ROTATION_TYPEHASH, log, epoch, next)));
    }

    /// @notice Digest that a wallet signs to be bound to a subject, or to be unbound from it.
    /// @dev PROTOCOL.md KEY-15.
    /// @param log Log id.
    /// @param subject Pseudonym.
    /// @param wallet The wallet; zero unbinds.
    /// @param nonce Number that grows with every binding of one signer in one log.
    /// @param deadline Last Unix second at which the binding may be logged.
    function bindingDigest(bytes32 log, bytes32 subject, address wallet, uint64 nonce, uint64 deadline)
        internal
        pure
        returns (bytes32)
    {
        return _typedDigest(keccak256(abi.encode(BINDING_TYPEHASH, log, subject, wallet, nonce, deadline)));
    }

    /// @notice Revert unless `signer` signed this head and its size and time are integers of the protocol.
    /// @dev PROTOCOL.md HEAD-2, HEAD-3.
    /// @param head The head.
    /// @param r First half of the signature.
    /// @param s Second half of the signature, at most n/2.
    /// @param v Recovery id, 0 or 1.
    /// @param signer Address of the key of `head.epoch` in `head.log`.
    /// @return digest The digest that was signed.
    function verifyHead(Checkpoint memory head, bytes32 r, bytes32 s, uint8 v, address signer)
        internal
        pure
        returns (bytes32 digest)
    {
        if (head.size > MAX_UINT) revert HeadFieldOutOfRange(head.size);
        if (head.timestamp > MAX_UINT) revert HeadFieldOutOfRange(head.timestamp);
        digest = headDigest(head);
        Secp256k1.verifySignature(digest, r, s, v, signer);
    }

    function _typedDigest(bytes32 structHash) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR, structHash));
    }

    // ------------------------------------------------------------------ origins

    /// @dev At most 255 bytes are read; the first test also keeps the length within its u16.
    function _isOrigin(bytes memory origin) private pure returns (bool) {
        uint256 length = origin.length;
        if (length == 0 || length > 255) return false;
        for (uint256 k = 0; k < length; ++k) {
            if (!_isIn(ORIGIN_CHARACTERS, origin[k])) return false;
        }
        return _isIn(ALPHANUMERICS, origin[0]) && _isIn(ALPHANUMERICS, origin[length - 1]);
    }

    /// @dev Whether the bit of this character is set.
    function _isIn(uint256 characters, bytes1 character) private pure returns (bool) {
        return (characters >> uint8(character)) & 1 == 1;
    }
}
