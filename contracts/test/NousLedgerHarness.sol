// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NousLedger} from "../src/NousLedger.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Secp256k1} from "../src/Secp256k1.sol";

/// @title The library's internal functions as calls, for tests only
contract NousLedgerHarness {
    function nextKeyHash(bytes calldata key) external pure returns (bytes32) {
        return NousLedger.nextKeyHash(key);
    }

    function logId(bytes calldata origin, bytes calldata key, bytes32 ed25519, bytes32 nextHash)
        external
        pure
        returns (bytes32)
    {
        return NousLedger.logId(origin, key, ed25519, nextHash);
    }

    function addressOf(bytes calldata key) external view returns (address) {
        return Secp256k1.addressOf(key);
    }

    function verifySignature(bytes32 digest, bytes32 r, bytes32 s, uint8 v, address signer) external pure {
        Secp256k1.verifySignature(digest, r, s, v, signer);
    }

    function decodeRecord(bytes calldata record) external pure returns (NousLedger.Record memory) {
        return NousLedger.decodeRecord(record);
    }

    function recordDigest(bytes32 log, bytes calldata record) external pure returns (bytes32) {
        return NousLedger.recordDigest(log, record);
    }

    function recordLeaf(bytes calldata record) external pure returns (bytes32) {
        return NousLedger.recordLeaf(record);
    }

    function verifyRecord(bytes calldata record, bytes32 log, address signer)
        external
        pure
        returns (NousLedger.Record memory)
    {
        return NousLedger.verifyRecord(record, log, signer);
    }

    function domainSeparator() external pure returns (bytes32) {
        return NousLedger.DOMAIN_SEPARATOR;
    }

    function typeHashes() external pure returns (bytes32 checkpoint, bytes32 rotation, bytes32 binding) {
        return (NousLedger.CHECKPOINT_TYPEHASH, NousLedger.ROTATION_TYPEHASH, NousLedger.BINDING_TYPEHASH);
    }

    function headDigest(NousLedger.Checkpoint calldata head) external pure returns (bytes32) {
        return NousLedger.headDigest(head);
    }

    function rotationDigest(bytes32 log, uint32 epoch, bytes32 next) external pure returns (bytes32) {
        return NousLedger.rotationDigest(log, epoch, next);
    }

    function bindingDigest(bytes32 log, bytes32 subject, address wallet, uint64 nonce, uint64 deadline)
        external
        pure
        returns (bytes32)
    {
        return NousLedger.bindingDigest(log, subject, wallet, nonce, deadline);
    }

    function verifyHead(NousLedger.Checkpoint calldata head, bytes32 r, bytes32 s, uint8 v, address signer)
        external
        pure
    {
        NousLedger.verifyHead(head, r, s, v, signer);
    }

    function leafHash(bytes calldata entry) external pure returns (bytes32) {
        return Rfc9162.leafHash(entry);
    }

    function nodeHash(bytes32 left, bytes32 right) external view returns (bytes32) {
        return Rfc9162.nodeHash(left, right);
    }

    function inclusionLength(uint256 index, uint256 count) external pure returns (uint256) {
        return Rfc9162.inclusionLength(index, count);
    }

    function consistencyLength(uint256 oldCount, uint256 newCount) external pure returns (uint256) {
        return Rfc9162.consistencyLength(oldCount, newCount);
    }

    function verifyInclusion(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path, bytes32 root)
        external
        view
    {
        Rfc9162.verifyInclusion(leaf, index, count, path, root);
    }

    function verifyConsistency(
        uint256 oldCount,
        bytes32 oldRoot,
        uint256 newCount,
        bytes32 newRoot,
        bytes32[] calldata path
    ) external view {
        Rfc9162.verifyConsistency(oldCount, oldRoot, newCount, newRoot, path);
    }
}
