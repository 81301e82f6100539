// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "./INousAnchor.sol";
import {NousLedger} from "./NousLedger.sol";
import {Rfc9162} from "./Rfc9162.sol";
import {Secp256k1} from "./Secp256k1.sol";

/// @title The anchor contract of nous-ledger/1
/// @dev PROTOCOL.md section 16. Security notes:
///      - Count and root of the anchored head come from storage only, and every path length follows from the counts.
///      - The only calls are to precompiles and, in a batch, to this contract's own `anchor`, which calls nobody back.
///      - The storage layout is part of the protocol (ANCH-12): state proofs name its slots.
contract NousAnchor is INousAnchor {
    /// @dev Seconds by which a head may be ahead of the block's time.
    uint256 private constant CLOCK_TOLERANCE = 300;

    /// @dev Number of epochs that a log can have (KEY-19).
    uint32 private constant EPOCHS = 64;

    /// @dev Items of a batch.
    uint256 private constant MAX_BATCH = 64;

    /// @dev Root over no leaves: SHA-256 of nothing (MMR-7).
    bytes32 private constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @dev Signer of one epoch; set once, and its flag only ever raised. One slot.
    struct Signer {
        address account;
        bool forked;
    }

    /// @dev What every anchor reads and writes, in one slot. size, timestamp, headEpoch: of the anchored head.
    ///      epoch: the one in force. anchors: heads anchored so far.
    struct State {
        uint64 size;
        uint64 timestamp;
        uint32 headEpoch;
        uint32 epoch;
        uint48 anchors;
        bool closed;
        bool registered;
    }

    /// @dev A log. Its first three slots are never zero once it is registered: the first anchor costs what every other
    ///      does.
    struct Log {
        // slot 0
        State state;
        // slot 1
        bytes32 root;
        // slot 2
        bytes32 chain;
        // slot 3
        bytes32 nextHash;
        // slots 4 to 67
        Signer[64] signers;
    }

    mapping(bytes32 log => Log) private _logs;

    /// @inheritdoc INousAnchor
    function register(bytes calldata origin, bytes calldata key, bytes32 ed25519, bytes32 nextHash)
        external
        returns (bytes32 log)
    {
        log = NousLedger.logId(origin, key, ed25519, nextHash);
        Log storage entry = _logs[log];
        if (entry.state.registered) revert LogAlreadyRegistered(log);
        address signer = Secp256k1.addressOf(key);
        entry.state.registered = true;
        entry.root = EMPTY_ROOT;
        entry.chain = log;
        entry.nextHash = nextHash;
        entry.signers[0].account = signer;
        emit Registered(log, signer, nextHash, ed25519, key, origin);
    }

    /// @inheritdoc INousAnchor
    function anchor(NousLedger.Checkpoint calldata checkpoint, bytes32 r, bytes32 s, uint8 v, bytes32[] calldata proof)
        external
    {
        Log storage entry = _logs[checkpoint.log];
        State memory state = entry.state;
        _checkSuccessor(state, checkpoint);
        bytes32 signed = NousLedger.verifyHead(checkpoint, r, s, v, entry.signers[checkpoint.epoch].account);
        if (state.size != 0) {
            Rfc9162.verifyConsistency(state.size, entry.root, checkpoint.size, checkpoint.root, proof);
        } else if (proof.length != 0) {
            revert Rfc9162.ProofLengthWrong(0, proof.length);
        }
        bytes32 chain = sha256(abi.encodePacked("nous-ledger/1 anchor\x00", entry.chain, signed));
        state.size = checkpoint.size;
        state.timestamp = checkpoint.timestamp;
        state.headEpoch = checkpoint.epoch;
        ++state.anchors;
        entry.state = state;
        entry.root = checkpoint.root;
        entry.chain = chain;
        emit Anchored(
            checkpoint.log, checkpoint.epoch, checkpoint.size, checkpoint.root, checkpoint.timestamp, r, s, v, chain
        );
    }

    /// @inheritdoc INousAnchor
    function anchorBatch(Anchoring[] calldata items) external returns (bytes4[] memory outcomes) {
        if (items.length > MAX_BATCH) revert BatchTooLong(items.length, MAX_BATCH);
        outcomes = new bytes4[](items.length);
        for (uint256 k = 0; k < items.length; ++k) {
            Anchoring calldata item = items[k];
            try this.anchor(item.head, item.r, item.s, item.v, item.proof) {}
            catch (bytes memory reason) {
                // Without a selector the gas ran out, and zero would say that the item was accepted.
                if (reason.length < 4) revert BatchItemFailed(k);
                outcomes[k] = bytes4(reason);
            }
        }
    }

    /// @inheritdoc INousAnchor
    function rotate(bytes32 log, uint32 epoch, bytes calldata key, bytes32 nextHash, bytes32 r, bytes32 s, uint8 v)
        external
    {
        Log storage entry = _registered(log);
        if (entry.state.closed) revert LogClosed(log);
        bytes32 committed = entry.nextHash;
        if (committed == 0) revert LogCannotRotate(log);
        if (epoch != entry.state.epoch + 1) revert EpochNotNext(epoch, entry.state.epoch + 1);
        if (epoch >= EPOCHS) revert EpochTooLarge(epoch);
        bytes32 given = NousLedger.nextKeyHash(key);
        if (given != committed) revert KeyNotCommitted(committed, given);
        address signer = Secp256k1.addressOf(key);
        Secp256k1.verifySignature(NousLedger.rotationDigest(log, epoch, nextHash), r, s, v, signer);
        entry.state.epoch = epoch;
        entry.state.closed = nextHash == 0;
        entry.nextHash = nextHash;
        entry.signers[epoch].account = signer;
        emit Rotated(log, epoch, signer, nextHash, key, r, s, v);
    }

    /// @inheritdoc INousAnchor
    function reportFork(
        SignedHead calldata smaller,
        SignedHead calldata larger,
        bytes32 prefixRoot,
        bytes32[] calldata proof
    ) external {
        bytes32 log = smaller.head.log;
        if (log != larger.head.log) revert LogsDiffer(log, larger.head.log);
        Log storage entry = _registered(log);
        _checkSigned(entry, smaller.head, smaller.r, smaller.s, smaller.v);
        _checkSigned(entry, larger.head, larger.r, larger.s, larger.v);
        // Both counts are signed, so the path shows the one root that the larger tree has over its first leaves.
        Rfc9162.verifyConsistency(smaller.head.size, prefixRoot, larger.head.size, larger.head.root, proof);
        if (prefixRoot == smaller.head.root) revert HeadsAgree(prefixRoot);
        entry.signers[smaller.head.epoch].forked = true;
        entry.signers[larger.head.epoch].forked = true;
        emit ForkReported(log, smaller, larger, prefixRoot);
    }

    /// @inheritdoc INousAnchor
    function head(bytes32 log)
        external
        view
        returns (NousLedger.Checkpoint memory newest, bytes32 chain, uint64 anchors)
    {
        Log storage entry = _registered(log);
        newest = NousLedger.Checkpoint({
            log: log,
            epoch: entry.state.headEpoch,
            size: entry.state.size,
            root: entry.root,
            timestamp: entry.state.timestamp
        });
        return (newest, entry.chain, entry.state.anchors);
    }

    /// @inheritdoc INousAnchor
    function keys(bytes32 log) external view returns (uint32 epoch, address signer, bytes32 nextHash, bool closed) {
        Log storage entry = _registered(log);
        epoch = entry.state.epoch;
        return (epoch, entry.signers[epoch].account, entry.nextHash, entry.state.closed);
    }

    /// @inheritdoc INousAnchor
    function signerOf(bytes32 log, uint32 epoch) external view returns (address signer, bool forked) {
        Log storage entry = _registered(log);
        return (_signer(entry, log, epoch), entry.signers[epoch].forked);
    }

    /// @inheritdoc INousAnchor
    function verifyInclusion(bytes32 log, bytes32 leaf, uint64 index, bytes32[] calldata proof) external view {
        Log storage entry = _registered(log);
        Rfc9162.verifyInclusion(leaf, index, entry.state.size, proof, entry.root);
    }

    /// @inheritdoc INousAnchor
    function verifyConsistency(bytes32 log, uint64 size, bytes32 root, bytes32[] calldata proof) external view {
        Log storage entry = _registered(log);
        Rfc9162.verifyConsistency(size, root, entry.state.size, entry.root, proof);
    }

    /// @inheritdoc INousAnchor
    function verifyRecord(bytes32 log, bytes calldata record)
        external
        view
        returns (NousLedger.Record memory fields, bytes32 leaf)
    {
        Log storage entry = _registered(log);
        fields = NousLedger.decodeRecord(record);
        NousLedger.verifyRecordSignature(record, log, _signer(entry, log, fields.epoch));
        leaf = NousLedger.recordLeaf(record);
    }

    /// @inheritdoc INousAnchor
    function digest(NousLedger.Checkpoint calldata checkpoint) external pure returns (bytes32) {
        return NousLedger.headDigest(checkpoint);
    }

    /// @inheritdoc INousAnchor
    function rotationDigest(bytes32 log, uint32 epoch, bytes32 nextHash) external pure returns (bytes32) {
        return NousLedger.rotationDigest(log, epoch, nextHash);
    }

    /// @dev Revert unless the head may follow the anchored one; its signature and its tree are not looked at.
    function _checkSuccessor(State memory state, NousLedger.Checkpoint calldata next) private view {
        if (!state.registered) revert LogUnknown(next.log);
        if (state.closed) revert LogClosed(next.log);
        if (next.epoch != state.epoch) revert EpochNotCurrent(next.epoch, state.epoch);
        if (next.size <= state.size) revert SizeNotGrown(next.size, state.size);
        if (next.timestamp < state.timestamp) revert TimeRegressed(next.timestamp, state.timestamp);
        if (next.timestamp > block.timestamp + CLOCK_TOLERANCE) {
            revert TimeInFuture(next.timestamp, block.timestamp + CLOCK_TOLERANCE);
        }
        if (next.root == 0) revert RootZero();
    }

    /// @dev Revert unless the signer of the head's epoch signed it; return the digest that was signed.
    function _checkSigned(Log storage entry, NousLedger.Checkpoint calldata signed, bytes32 r, bytes32 s, uint8 v)
        private
        view
        returns (bytes32 digested)
    {
        return NousLedger.verifyHead(signed, r, s, v, _signer(entry, signed.log, signed.epoch));
    }

    function _signer(Log storage entry, bytes32 log, uint32 epoch) private view returns (address account) {
        if (epoch > entry.state.epoch) revert EpochUnknown(log, epoch);
        return entry.signers[epoch].account;
    }

    function _registered(bytes32 log) private view returns (Log storage entry) {
        entry = _logs[log];
        if (!entry.state.registered) revert LogUnknown(log);
    }
}
